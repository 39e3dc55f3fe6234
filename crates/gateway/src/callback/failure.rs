//! What a failure that a node reports means.

use tryon_core::error::{JobError, JobErrorCode};

/// The longest message that is kept, in characters.
const LONGEST: usize = 500;

/// A failure in a node's words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// What went wrong.
    pub(super) error: Option<String>,
    /// The kind.
    pub(super) error_name: Option<String>,
    /// Whether another attempt may succeed.
    pub(super) retryable: Option<bool>,
}

/// A failure that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What its owner is told if this is the end.
    pub(super) error: JobError,
    /// Whether another attempt may succeed.
    pub(super) retryable: bool,
}

impl Words {
    /// What they mean. Nodes of other makes send a sentence only: its kind is told by what it
    /// speaks of, and it is tried again only where that is about the device.
    pub(super) fn understand(self) -> Failure {
        let text = self.error.as_deref().unwrap_or_default().trim();
        let named = self.error_name.as_deref();
        let name = named
            .and_then(JobErrorCode::from_name)
            .unwrap_or_else(|| classify(text));
        let retryable = self.retryable.unwrap_or_else(|| {
            name == JobErrorCode::ProcessingError && speaks_of(text, &DEVICE_TROUBLE)
        });
        let message = match text {
            "" => "the node reported a failure without saying why".to_owned(),
            text => text.chars().take(LONGEST).collect(),
        };
        Failure {
            error: JobError::new(name, message),
            retryable,
        }
    }
}

const DEVICE_TROUBLE: [&str; 4] = ["out of memory", "cuda error", "worker died", "device lost"];

/// What sentences of each kind speak of, in lower case.
const KINDS: [(JobErrorCode, &[&str]); 5] = [
    (
        JobErrorCode::PoseError,
        &["pose", "no person", "no face", "no body"],
    ),
    (
        JobErrorCode::ContentModerationError,
        &["moderation", "nsfw", "unsafe content"],
    ),
    (JobErrorCode::Cancelled, &["cancelled", "canceled"]),
    (JobErrorCode::Timeout, &["timed out", "timeout"]),
    (
        JobErrorCode::InputValidationError,
        &["invalid input", "cannot identify image"],
    ),
];

fn classify(text: &str) -> JobErrorCode {
    // A kind's own name in front, as in `PoseError: no person in the picture`.
    let head = text.split(':').next().unwrap_or_default();
    if let Some(name) = JobErrorCode::from_name(head.trim()) {
        return name;
    }
    let found = KINDS.iter().find(|(_, words)| speaks_of(text, words));
    found.map_or(JobErrorCode::ProcessingError, |(name, _)| *name)
}

fn speaks_of(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understand(error: &str, name: Option<&str>, retryable: Option<bool>) -> Failure {
        let words = Words {
            error: Some(error.to_owned()),
            error_name: name.map(str::to_owned),
            retryable,
        };
        words.understand()
    }

    #[test]
    fn a_named_failure_is_taken_at_its_word() {
        let failure = understand("no person found", Some("InputValidationError"), Some(false));
        assert_eq!(failure.error.name, JobErrorCode::InputValidationError);
        assert_eq!(failure.error.message, "no person found");
        assert!(understand("died", Some("ProcessingError"), Some(true)).retryable);
    }

    #[test]
    fn a_sentence_alone_is_classified() {
        let cases = [
            ("PoseError: nobody there", JobErrorCode::PoseError, false),
            ("No person detected", JobErrorCode::PoseError, false),
            ("NSFW content", JobErrorCode::ContentModerationError, false),
            ("Job cancelled", JobErrorCode::Cancelled, false),
            ("CUDA out of memory", JobErrorCode::ProcessingError, true),
            ("something else", JobErrorCode::ProcessingError, false),
        ];
        for (text, name, retryable) in cases {
            let failure = understand(text, None, None);
            assert_eq!(
                (failure.error.name, failure.retryable),
                (name, retryable),
                "{text}"
            );
        }
    }

    #[test]
    fn a_failure_without_words_says_so_and_a_long_one_is_cut() {
        let silent = Words::default().understand();
        assert_eq!(silent.error.name, JobErrorCode::ProcessingError);
        assert!(!silent.error.message.is_empty());
        let long = understand(&"é".repeat(5000), Some("NoSuchName"), None);
        assert_eq!(long.error.message.chars().count(), LONGEST);
    }
}
