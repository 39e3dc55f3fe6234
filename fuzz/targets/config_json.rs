//! A node's `config` field: what is understood is within its ranges, and written out and read again
//! it is the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tryon_api::node::JobConfig;

fuzz_target!(|text: &str| {
    let Ok(config) = JobConfig::parse(text) else {
        return;
    };
    check_numbers(&config);
    check_texts(&config);
    assert!(config.region.is_none_or(|region| region.validate().is_ok()));
    let written = serde_json::to_string(&config).expect("a configuration is JSON");
    assert_eq!(JobConfig::parse(&written), Ok(config));
});

fn check_numbers(config: &JobConfig) {
    let side = |side: u32| (64..=4096).contains(&side);
    assert!(config.steps.is_none_or(|steps| (1..=100).contains(&steps)));
    assert!(config.cfg.is_none_or(|cfg| (0.0..=20.0).contains(&cfg)));
    assert!(config.width.is_none_or(side) && config.height.is_none_or(side));
    assert_eq!(config.width.is_some(), config.height.is_some());
}

fn check_texts(config: &JobConfig) {
    let fits = |text: &Option<String>, most| {
        text.as_ref()
            .is_none_or(|text| text.chars().count() <= most)
    };
    assert!(fits(&config.prompt, JobConfig::MAX_PROMPT));
    for text in [&config.placement, &config.hair_color, &config.subcategory] {
        assert!(fits(text, JobConfig::MAX_WORDS));
    }
    let url = config.progress_url.as_ref();
    assert!(url.is_none_or(|url| matches!(url.scheme(), "http" | "https")));
}
