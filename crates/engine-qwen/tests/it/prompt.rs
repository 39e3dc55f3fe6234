//! The prompts, built in and replaced.

use tryon_core::{
    category::Category,
    task::{Haircut, Region},
};
use tryon_engine_qwen::{
    prompt::{Ask, Language, PromptFault, Prompts},
    text::check_prompt,
};

const CATEGORIES: [Category; 10] = [
    Category::Auto,
    Category::Tops,
    Category::Bottoms,
    Category::OnePieces,
    Category::Eyewear,
    Category::Footwear,
    Category::Headwear,
    Category::Jewelry,
    Category::Accessories,
    Category::Others,
];

const REGION: Region = Region {
    x: 0.1,
    y: 0.7,
    w: 0.2,
    h: 0.25,
};

/// Everything that can be asked for.
fn asks() -> Vec<Ask<'static>> {
    let mut asks = Vec::new();
    for category in CATEGORIES {
        asks.extend([true, false].map(|masked| Ask::Clothes { category, masked }));
    }
    for &haircut in Haircut::ALL {
        asks.extend([None, Some("ash blonde")].map(|color| Ask::Hairstyle { haircut, color }));
    }
    for placement in [None, Some("left forearm")] {
        asks.extend([None, Some(REGION)].map(|region| Ask::Tattoo { placement, region }));
    }
    asks
}

#[test]
fn every_ask_has_a_text_of_its_own_in_every_language() {
    assert_eq!(Haircut::ALL.len(), 34);
    let prompts = Prompts::built_in();
    let mut seen = std::collections::BTreeMap::new();
    for language in Language::ALL {
        for ask in asks() {
            let prompt = prompts.render(language, ask);
            assert!(!prompt.contains(['{', '}', '\n']), "{ask:?}: {prompt}");
            check_prompt(&prompt).unwrap();
            let chinese = prompt
                .chars()
                .any(|c| ('\u{4e00}'..'\u{9fff}').contains(&c));
            assert_eq!(chinese, language == Language::Chinese, "{ask:?}: {prompt}");
            let before = seen.insert(prompt, ask);
            assert_eq!(before, None, "the same text as for {ask:?}");
        }
    }
}

#[test]
fn what_the_client_asks_for_is_in_the_text() {
    let prompts = Prompts::built_in();
    for language in Language::ALL {
        let render = |ask| prompts.render(language, ask);
        let colored = render(Ask::Hairstyle {
            haircut: Haircut::BuzzCut,
            color: Some("pastel teal"),
        });
        assert!(colored.contains("pastel teal"), "{colored}");
        let placed = render(Ask::Tattoo {
            placement: Some("  inner\n wrist. "),
            region: Some(REGION),
        });
        assert!(placed.contains("inner wrist"), "{placed}");
        assert!(!placed.contains("wrist.."), "{placed}");
        for edge in ["10%", "30%", "70%", "95%"] {
            assert!(placed.contains(edge), "{placed}");
        }
    }
}

#[test]
fn a_region_is_named_by_its_middle() {
    let prompts = Prompts::built_in();
    for (x, y, spot) in [
        (0.0, 0.0, "upper left"),
        (0.4, 0.0, "upper middle"),
        (0.8, 0.4, "middle right"),
        (0.4, 0.4, "the middle of"),
        (0.0, 0.8, "lower left"),
        (0.8, 0.8, "lower right"),
    ] {
        let region = Region {
            x,
            y,
            w: 0.2,
            h: 0.2,
        };
        let ask = Ask::Tattoo {
            placement: None,
            region: Some(region),
        };
        let prompt = prompts.render(Language::English, ask);
        assert!(prompt.contains(spot), "{x} {y}: {prompt}");
    }
}

/// Fails when a value is searched for words in braces after it was put in.
#[test]
fn a_clients_words_are_not_filled_in_themselves() {
    let ask = Ask::Tattoo {
        placement: Some("{spot} {garment} {"),
        region: Some(REGION),
    };
    let prompt = Prompts::built_in().render(Language::English, ask);
    assert!(prompt.contains("{spot} {garment} {"), "{prompt}");
}

#[test]
fn words_of_spaces_are_none() {
    let prompts = Prompts::built_in();
    let render = |color| {
        let haircut = Haircut::Updo;
        prompts.render(Language::English, Ask::Hairstyle { haircut, color })
    };
    assert_eq!(render(Some(" . ")), render(None));
}

#[test]
fn a_file_replaces_what_it_has() {
    let text =
        "en:\n  hairstyle:\n    plain: Make it {haircut}!\n    haircut:\n      Updo: an updo\n";
    let prompts = Prompts::from_text(text).unwrap();
    let ask = Ask::Hairstyle {
        haircut: Haircut::Updo,
        color: None,
    };
    assert_eq!(prompts.render(Language::English, ask), "Make it an updo!");
    let built_in = Prompts::built_in();
    let chinese = |prompts: &Prompts| prompts.render(Language::Chinese, ask);
    assert_eq!(chinese(&prompts), chinese(&built_in));
    assert!(Prompts::from_text("").is_ok());
    assert!(Prompts::from_text("# nothing\n").is_ok());
}

#[test]
fn faults_name_the_key() {
    for (text, words) in [
        (
            "en: {clothes: {masked: 'in {colour}'}}",
            &["en.clothes.masked", "{colour}", "garment, wear"][..],
        ),
        (
            "en: {hairstyle: {plain: 'cut it'}}",
            &["en.hairstyle.plain", "{haircut}"],
        ),
        (
            "zh: {hairstyle: {coloured: '{haircut}'}}",
            &["zh.hairstyle.coloured", "{color}"],
        ),
        (
            "en: {tattoo: {placed: 'ink'}}",
            &["en.tattoo.placed", "{placement}"],
        ),
        (
            "en: {tattoo: {spot: {top: '{left}'}}}",
            &["en.tattoo.spot.top", "{left}", "nothing is"],
        ),
        (
            "en: {clothes: {masked: 'in {garment'}}",
            &["en.clothes.masked", "brace"],
        ),
        (
            "en: {clothes: {masked: 'in garment}'}}",
            &["en.clothes.masked", "brace"],
        ),
        (
            "en: {clothes: {masked: '  '}}",
            &["en.clothes.masked", "empty"],
        ),
        ("en: {clothes: {mask: text}}", &["en.clothes.mask"]),
        ("fr: {clothes: {masked: texte}}", &["fr.clothes.masked"]),
        (
            "en: {hairstyle: {haircut: {Mullet: a mullet}}}",
            &["en.hairstyle.haircut.Mullet"],
        ),
    ] {
        let fault = Prompts::from_text(text).unwrap_err().to_string();
        for word in words {
            assert!(fault.contains(word), "{text}: {fault}");
        }
    }
}

#[test]
fn what_is_no_table_of_texts_is_refused() {
    for text in [
        "- a list",
        "en: [1, 2]",
        "en: {clothes: {masked: [a]}}",
        "en: {",
        "a text: b: c",
    ] {
        let fault = Prompts::from_text(text);
        assert!(
            matches!(fault, Err(PromptFault::Yaml(_))),
            "{text}: {fault:?}"
        );
    }
}

#[test]
fn a_prompt_is_neither_empty_nor_endless() {
    for empty in ["", " ", "\n\t"] {
        let fault = check_prompt(empty).unwrap_err().to_string();
        assert!(fault.contains("`prompt` is empty"), "{fault}");
    }
    check_prompt(&"字".repeat(4000)).unwrap();
    let fault = check_prompt(&"字".repeat(10_000)).unwrap_err().to_string();
    assert!(fault.contains("10000") && fault.contains("4000"), "{fault}");
}
