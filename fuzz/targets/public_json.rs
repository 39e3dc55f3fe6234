//! Bodies of submissions: what is understood keeps what the types promise, and what is refused is
//! refused in few words.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tryon_api::public::{self, ImageSource, MAX_SAMPLES, MAX_WORDS, Submission};
use tryon_core::task::{Task, TaskOptions};

/// The longest refusal: the one that lists 34 haircuts.
const LONGEST_REFUSAL: usize = 1000;

fuzz_target!(|body: &[u8]| {
    let tasks = Task::ALL.iter().map(|task| (*task, public::parse(*task, body)));
    let run = (Task::Clothes, public::parse_run(body, None));
    for (task, parsed) in tasks.chain([run]) {
        match parsed {
            Ok(submission) => check(task, &submission),
            Err(fault) => {
                let text = fault.to_string();
                assert!(!text.is_empty() && text.len() < LONGEST_REFUSAL, "{text}");
            }
        }
    }
});

fn check(task: Task, submission: &Submission<'_>) {
    assert_eq!(submission.options.task(), task);
    assert!((1..=MAX_SAMPLES).contains(&submission.samples));
    assert_eq!(submission.garment.is_some(), task != Task::Hairstyle);
    check_picture(&submission.person);
    submission.garment.iter().for_each(check_picture);
    match &submission.options {
        TaskOptions::Clothes { subcategory, .. } => check_words(subcategory.as_deref()),
        TaskOptions::Hairstyle { hair_color, .. } => check_words(hair_color.as_deref()),
        TaskOptions::Tattoo { placement, region } => {
            check_words(placement.as_deref());
            assert!(region.is_none_or(|region| region.validate().is_ok()));
        }
    }
}

fn check_picture(source: &ImageSource<'_>) {
    match source {
        ImageSource::Url(url) => {
            assert!(matches!(url.scheme(), "http" | "https") && url.has_host());
        }
        ImageSource::Base64(text) => assert!(!text.is_empty()),
    }
}

fn check_words(text: Option<&str>) {
    if let Some(text) = text {
        assert!(!text.trim().is_empty() && text.chars().count() <= MAX_WORDS);
    }
}
