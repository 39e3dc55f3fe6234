"""A tokenizer in Qwen2's layout whose vocabulary fits a fixture.

256 byte tokens, then merges learned from the frame of the prompt until each of its words
is one token, as in the published vocabulary: so the system part is 64 tokens here as well.
"""

import collections
import itertools
import json
import pathlib

import regex

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_characters():
    """The printable character that stands for each byte, in the order of GPT-2's table."""
    spans = ("!~", "¡¬", "®ÿ")
    printable = [byte for first, last in spans for byte in range(ord(first), ord(last) + 1)]
    rest = [byte for byte in range(256) if byte not in printable]
    characters = {byte: chr(byte) for byte in printable}
    characters.update({byte: chr(256 + index) for index, byte in enumerate(rest)})
    return characters


def learn_merges(texts, characters):
    """Byte pair encoding: merges the commonest pair (the smallest on a tie) until every word of
    the texts is one token."""
    words = collections.Counter(word for text in texts for word in regex.findall(SPLIT, text))
    parts = {word: [characters[byte] for byte in word.encode()] for word in words}
    merges = []
    while True:
        pairs = collections.Counter()
        for word, tokens in parts.items():
            for pair in itertools.pairwise(tokens):
                pairs[pair] += words[word]
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        parts = {word: merge(tokens, best) for word, tokens in parts.items()}


def merge(tokens, pair):
    merged, index = [], 0
    while index < len(tokens):
        if tuple(tokens[index : index + 2]) == pair:
            merged.append("".join(pair))
            index += 2
        else:
            merged.append(tokens[index])
            index += 1
    return merged


def write(folder, texts):
    """Writes `vocab.json`, `merges.txt`, `added_tokens.json` and `tokenizer_config.json`."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    characters = byte_characters()
    merges = learn_merges(texts, characters)
    tokens = [*characters.values(), *("".join(pair) for pair in merges)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    added = {token: len(vocabulary) + index for index, token in enumerate(SPECIAL)}
    flags = {key: False for key in ("lstrip", "normalized", "rstrip", "single_word")}
    flags["special"] = True
    config = {
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(index): {"content": token, **flags} for token, index in added.items()
        },
        "additional_special_tokens": SPECIAL[1:],
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    files = {
        "vocab.json": json.dumps(vocabulary, ensure_ascii=False),
        "merges.txt": "\n".join(lines) + "\n",
        "added_tokens.json": json.dumps(added, indent=1) + "\n",
        "tokenizer_config.json": json.dumps(config, indent=1) + "\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
