//! Identifiers.
//!
//! A job, an account and a key are 12 random bytes, written as 24 lower-case hex digits. A sample
//! is its job and an index, an attempt is its sample and a number: `<job>-<index>.<attempt>`. The
//! attempt's id is what a node is given as `job_id`, so that a late callback names the attempt it
//! belongs to.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct ParseIdError {
    text: String,
    expected: &'static str,
}

impl ParseIdError {
    fn new(text: &str, expected: &'static str) -> Self {
        // An id arrives from outside: keep a hostile one from filling a log line.
        Self {
            text: text.chars().take(64).collect(),
            expected,
        }
    }
}

const HEX_ID: &str = "24 lower-case hex digits";

fn parse_hex(text: &str) -> Result<[u8; 12], ParseIdError> {
    let error = || ParseIdError::new(text, HEX_ID);
    let digits = text.as_bytes();
    if digits.len() != 24 {
        return Err(error());
    }
    let mut bytes = [0; 12];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = hex_value(pair[0]).ok_or_else(error)?;
        let low = hex_value(pair[1]).ok_or_else(error)?;
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 12]);

        impl $name {
            /// An id of these (random) bytes.
            pub const fn from_bytes(bytes: [u8; 12]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self)
            }
        }

        string_serde!($name);
    };
}

macro_rules! string_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

hex_id! {
    /// A customer.
    AccountId
}
hex_id! {
    /// An API key; not its secret.
    KeyId
}
hex_id! {
    /// Somebody who signs in to the pages.
    UserId
}
hex_id! {
    /// One submission to the public API.
    JobId
}
hex_id! {
    /// A picture that was sent ahead of the jobs that use it.
    UploadId
}
hex_id! {
    /// One request to erase what there is of a job or of an end user.
    ErasureId
}

impl JobId {
    /// The sample of this job at `index`, counted from 0.
    pub const fn sample(self, index: u8) -> SampleId {
        SampleId { job: self, index }
    }
}

/// One output image of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleId {
    /// The job it belongs to.
    pub job: JobId,
    /// Its place among the job's samples, from 0.
    pub index: u8,
}

impl SampleId {
    /// The dispatch of this sample with this number, counted from 1.
    pub const fn attempt(self, number: u32) -> AttemptId {
        AttemptId {
            sample: self,
            number,
        }
    }
}

impl fmt::Display for SampleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.job, self.index)
    }
}

impl FromStr for SampleId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let error = || ParseIdError::new(text, "a sample id, `<job>-<index>`");
        let (job, index) = text.split_once('-').ok_or_else(error)?;
        let index: u8 = parse_decimal(index).ok_or_else(error)?;
        Ok(job.parse::<JobId>().map_err(|_| error())?.sample(index))
    }
}

string_serde!(SampleId);

/// One dispatch of a sample to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId {
    /// The sample it is an attempt at.
    pub sample: SampleId,
    /// Its number, from 1.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.sample, self.number)
    }
}

impl FromStr for AttemptId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let error = || ParseIdError::new(text, "an attempt id, `<job>-<index>.<attempt>`");
        let (sample, number) = text.split_once('.').ok_or_else(error)?;
        let number: u32 = parse_decimal(number)
            .filter(|&number| number > 0)
            .ok_or_else(error)?;
        Ok(sample
            .parse::<SampleId>()
            .map_err(|_| error())?
            .attempt(number))
    }
}

string_serde!(AttemptId);

/// Decimal digits without sign or leading zeros, so that every id has exactly one spelling.
fn parse_decimal<T: FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    (plain && canonical).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_attempt_reads_back(bytes: [u8; 12], index: u8, number in 1u32..) {
            let attempt = JobId::from_bytes(bytes).sample(index).attempt(number);
            prop_assert_eq!(attempt.to_string().parse::<AttemptId>().unwrap(), attempt);
        }

        #[test]
        fn what_parses_prints_the_same(text in "[0-9a-f]{24}-[0-9]{1,3}\\.[0-9]{1,11}") {
            if let Ok(attempt) = text.parse::<AttemptId>() {
                prop_assert_eq!(attempt.to_string(), text);
            }
        }
    }

    #[test]
    fn near_misses_are_refused() {
        for text in [
            "",
            "64B7f1a9d9a3b8e5c7f9a123",
            "64b7f1a9d9a3b8e5c7f9a12",
            "job-12345",
        ] {
            assert!(text.parse::<JobId>().is_err(), "{text}");
        }
        for text in [
            "64b7f1a9d9a3b8e5c7f9a123-0.0",
            "64b7f1a9d9a3b8e5c7f9a123-00.1",
            "x-0.1",
        ] {
            assert!(text.parse::<AttemptId>().is_err(), "{text}");
        }
    }
}
