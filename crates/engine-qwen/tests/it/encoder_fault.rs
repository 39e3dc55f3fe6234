//! Text encoders that cannot be used, each refused with the file and the key or tensor.

use image::RgbImage;
use serde_json::{Value, json};
use tryon_engine_qwen::{
    LoadError, RunError,
    backend::Cpu,
    image::Processor,
    tap::Untapped,
    text::{EncoderConfig, TextEncoder, Tokeniser},
};

use crate::changed::Changed;

fn open(checkpoint: &Changed) -> Result<(Tokeniser, Processor, EncoderConfig), LoadError> {
    let tokeniser = Tokeniser::open(checkpoint.path())?;
    let processor = Processor::open(checkpoint.path())?;
    let config = EncoderConfig::open(checkpoint.path(), &tokeniser, &processor)?;
    Ok((tokeniser, processor, config))
}

fn load(checkpoint: &Changed) -> Result<TextEncoder<Cpu>, LoadError> {
    let (_, _, config) = open(checkpoint)?;
    TextEncoder::load(&Cpu, checkpoint.path(), config)
}

/// Loads a checkpoint with `key` of `file` set, or removed for null, and holds the refusal to
/// naming the file and `words`.
fn refused(file: &str, key: &str, value: &Value, words: &[&str]) {
    let checkpoint = Changed::copy();
    checkpoint.json(file, |json| {
        let (above, name) = key.rsplit_once('/').unwrap();
        let table = json.pointer_mut(above).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            assert!(table.remove(name).is_some(), "{key}");
        } else {
            table.insert(name.to_owned(), value.clone());
        }
    });
    let error = open(&checkpoint).err();
    let message = error.expect(key).to_string();
    for word in words.iter().chain([&file]) {
        assert!(
            message.contains(word),
            "{key}: `{word}` is not in: {message}"
        );
    }
}

#[test]
fn a_language_model_that_is_computed_otherwise() {
    for (key, value, words) in [
        (
            "/model_type",
            json!("qwen3_vl"),
            &["`model_type`", "qwen3_vl"][..],
        ),
        ("/model_type", json!(null), &["`model_type`"]),
        (
            "/image_token_id",
            json!(7),
            &["`image_token_id`", "7", "tokenizer.json"],
        ),
        ("/vision_config", json!(null), &["`vision_config`"]),
        (
            "/text_config/vocab_size",
            json!(400),
            &["`text_config.vocab_size`", "400"],
        ),
        (
            "/text_config/vocab_size",
            json!("many"),
            &["`text_config.vocab_size`"],
        ),
        (
            "/text_config/num_hidden_layers",
            json!(0),
            &["`text_config.num_hidden_layers`"],
        ),
        (
            "/text_config/hidden_act",
            json!("gelu"),
            &["`text_config.hidden_act`", "gelu"],
        ),
        (
            "/text_config/use_sliding_window",
            json!(true),
            &["`text_config.use_sliding_window`"],
        ),
        (
            "/text_config/num_key_value_heads",
            json!(3),
            &["`text_config.num_key_value_heads`"],
        ),
        (
            "/text_config/num_attention_heads",
            json!(3),
            &["`text_config.num_attention_heads`"],
        ),
        (
            "/text_config/head_dim",
            json!(4),
            &["`text_config.head_dim`"],
        ),
        (
            "/text_config/rms_norm_eps",
            json!(null),
            &["`text_config.rms_norm_eps`"],
        ),
        (
            "/text_config/rope_parameters",
            json!(null),
            &["`text_config.rope_scaling`", "missing"],
        ),
        (
            "/text_config/layer_types",
            json!(["full_attention", "sliding_attention"]),
            &["`text_config.layer_types`", "sliding_attention"],
        ),
        (
            "/text_config/rope_parameters/mrope_section",
            json!([1, 1, 3]),
            &["`text_config.rope_parameters.mrope_section`", "4"],
        ),
        (
            "/text_config/rope_parameters/mrope_section",
            json!([2, 2]),
            &["`text_config.rope_parameters.mrope_section`"],
        ),
        (
            "/text_config/rope_parameters/rope_type",
            json!("yarn"),
            &["`text_config.rope_parameters.rope_type`", "yarn"],
        ),
    ] {
        refused("text_encoder/config.json", key, &value, words);
    }
}

#[test]
fn a_vision_tower_that_is_computed_otherwise() {
    for (key, value, words) in [
        (
            "/vision_config/hidden_act",
            json!("quick_gelu"),
            &["`vision_config.hidden_act`"][..],
        ),
        (
            "/vision_config/num_heads",
            json!(3),
            &["`vision_config.num_heads`"],
        ),
        (
            "/vision_config/in_channels",
            json!(4),
            &["`vision_config.in_channels`"],
        ),
        (
            "/vision_config/out_hidden_size",
            json!(32),
            &["`vision_config.out_hidden_size`", "16"],
        ),
        (
            "/vision_config/window_size",
            json!(8),
            &["`vision_config.window_size`"],
        ),
        (
            "/vision_config/patch_size",
            json!(16),
            &["`vision_config.patch_size`", "14"],
        ),
        (
            "/vision_config/spatial_merge_size",
            json!(0),
            &["`vision_config.spatial_merge_size`"],
        ),
        (
            "/vision_config/fullatt_block_indexes",
            json!(null),
            &["fullatt_block_indexes"],
        ),
    ] {
        refused("text_encoder/config.json", key, &value, words);
    }
}

#[test]
fn an_image_processor_that_computes_otherwise() {
    for (key, value, words) in [
        (
            "/image_processor_type",
            json!("CLIPImageProcessor"),
            &["`image_processor_type`", "CLIP"][..],
        ),
        ("/resample", json!(2), &["`resample`", "2"]),
        ("/do_normalize", json!(false), &["`do_normalize`"]),
        ("/image_std", json!([0.2, 0.0, 0.2]), &["`image_std`"]),
        ("/image_mean", json!([0.2, 0.1]), &["`image_mean"]),
        ("/merge_size", json!(0), &["`merge_size`"]),
        (
            "/size",
            json!({ "longest_edge": 9000 }),
            &["`size.shortest_edge`"],
        ),
        (
            "/size",
            json!({ "longest_edge": 1, "shortest_edge": 2 }),
            &["`size`"],
        ),
        ("/patch_size", json!(null), &["`patch_size`"]),
    ] {
        refused("processor/preprocessor_config.json", key, &value, words);
    }
}

/// Loads a checkpoint and holds the refusal to naming `words`.
fn refuses(checkpoint: &Changed, words: &[&str]) {
    let message = load(checkpoint).err().expect(words[0]).to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

#[test]
fn files_that_are_missing() {
    let checkpoint = Changed::copy();
    checkpoint.remove("text_encoder/config.json");
    refuses(&checkpoint, &["text_encoder/config.json"]);

    let checkpoint = Changed::copy();
    checkpoint.remove("processor/preprocessor_config.json");
    refuses(&checkpoint, &["processor/processor_config.json"]);

    let checkpoint = Changed::copy();
    checkpoint.remove("processor/tokenizer.json");
    checkpoint.remove("tokenizer/merges.txt");
    refuses(&checkpoint, &["tokenizer/merges.txt"]);

    let checkpoint = Changed::copy();
    checkpoint.remove("text_encoder/model-00002-of-00002.safetensors");
    refuses(&checkpoint, &["model-00002-of-00002.safetensors"]);
}

#[test]
fn a_tokenizer_of_another_kind() {
    let change = |key: &str, value: Value| {
        let checkpoint = Changed::copy();
        checkpoint.json("processor/tokenizer.json", |json| {
            *json.pointer_mut(key).unwrap() = value;
        });
        checkpoint
    };
    refuses(
        &change(
            "/model",
            json!({ "type": "WordLevel", "vocab": { "a": 0 }, "unk_token": "a" }),
        ),
        &["processor/tokenizer.json", "BPE"],
    );
    refuses(
        &change("/model/unk_token", json!("a")),
        &["processor/tokenizer.json", "unk_token"],
    );
    refuses(
        &change("/added_tokens", json!([])),
        &["processor/tokenizer.json", "<|im_start|>"],
    );

    let checkpoint = Changed::copy();
    checkpoint.write("processor/tokenizer.json", "{");
    refuses(&checkpoint, &["processor/tokenizer.json", "damaged"]);
}

#[test]
fn a_vocabulary_that_does_not_fit_together() {
    let built = || {
        let checkpoint = Changed::copy();
        checkpoint.remove("processor/tokenizer.json");
        checkpoint
    };
    load(&built()).ok().unwrap();

    let checkpoint = built();
    let merges = checkpoint.read("tokenizer/merges.txt") + "th q\n";
    checkpoint.write("tokenizer/merges.txt", &merges);
    refuses(&checkpoint, &["merges.txt", "`th q`"]);

    let checkpoint = built();
    checkpoint.json("tokenizer/vocab.json", |json| {
        let table = json.as_object_mut().unwrap();
        let id = table.remove("!").unwrap();
        table.insert("!!".into(), id);
    });
    refuses(&checkpoint, &["tokenizer", "byte `!`"]);

    let checkpoint = built();
    checkpoint.json("tokenizer/added_tokens.json", |json| {
        json["<|im_end|>"] = json!(3);
    });
    refuses(&checkpoint, &["added_tokens.json", "<|im_end|>", "3"]);
}

#[test]
fn tensors_that_cannot_be_used() {
    let up = "model.layers.1.mlp.up_proj.weight";
    let nan = f32::NAN.to_le_bytes();

    let checkpoint = Changed::copy();
    checkpoint.tensors(|tensors| {
        let tensor = tensors.remove(up).unwrap();
        tensors.insert("model.layers.1.mlp.upper.weight".into(), tensor);
    });
    refuses(&checkpoint, &[up, "no tensor"]);

    let checkpoint = Changed::copy();
    checkpoint.tensors(|tensors| tensors.get_mut(up).unwrap().bytes[4..8].copy_from_slice(&nan));
    refuses(&checkpoint, &[up, "not finite"]);

    let checkpoint = Changed::copy();
    checkpoint.tensors(|tensors| tensors.get_mut(up).unwrap().shape.reverse());
    refuses(&checkpoint, &[up, "[16, 32]", "[32, 16]"]);

    let table = "model.embed_tokens.weight";
    let checkpoint = Changed::copy();
    checkpoint.tensors(|tensors| {
        let tensor = tensors.get_mut(table).unwrap();
        tensor.dtype = safetensors::Dtype::F8_E4M3;
        tensor.bytes.truncate(tensor.bytes.len() / 4);
    });
    refuses(&checkpoint, &[table, "F8_E4M3"]);

    let checkpoint = Changed::copy();
    checkpoint.tensors(|tensors| {
        let tensor = tensors.remove("visual.patch_embed.proj.weight").unwrap();
        tensors.insert("vision.patch_embed.proj.weight".into(), tensor);
    });
    refuses(&checkpoint, &["visual.patch_embed.proj.weight"]);
}

/// The table of embeddings is not read when it is loaded, so what is wrong with a row is found when
/// a prompt needs it.
#[test]
fn an_embedding_that_is_not_a_number() {
    let checkpoint = Changed::copy();
    let (tokeniser, processor, _) = open(&checkpoint).unwrap();
    let picture = [processor.process(&RgbImage::new(56, 56)).unwrap()];
    let grid = picture[0].grid.merged(processor.merge_size());
    let prompt = tokeniser.prompt("a", &[grid]);
    let at = *prompt.ids.last().unwrap() as usize * 16 * 4;
    checkpoint.tensors(|tensors| {
        let table = tensors.get_mut("model.embed_tokens.weight").unwrap();
        table.bytes[at..at + 4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    });
    let encoder = load(&checkpoint).unwrap();
    let seen = encoder.look(&Cpu, &picture, &mut Untapped).unwrap();
    let error = encoder.encode(&Cpu, &prompt, &seen, &mut Untapped).err();
    let Some(RunError::Load(LoadError::NotFinite { name, .. })) = error else {
        panic!("{error:?}");
    };
    assert_eq!(name, "model.embed_tokens.weight");
}
