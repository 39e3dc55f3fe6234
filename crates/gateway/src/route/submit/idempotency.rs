//! Submissions that are sent again.
//!
//! A client that hears no answer does not know whether its job was accepted. With a name of its own
//! for the submission it can send it again: what was accepted is answered with the same job, and
//! costs nothing more.

use axum::http::{HeaderMap, HeaderName};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::{Form, wanted::SMALL};
use crate::error::ApiError;

/// The client's name for a submission.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Tells that the answer is that of a submission before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The longest name, in characters.
const LONGEST: usize = 255;

/// The name that the request has, if it has one.
pub(super) fn read_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut given = headers.get_all(KEY).into_iter();
    let Some(key) = given.next() else {
        return Ok(None);
    };
    let key = key.to_str().ok().filter(|key| {
        (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    });
    match (key, given.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        (_, Some(_)) => Err(ApiError::bad_request("`Idempotency-Key` is given twice")),
        (None, None) => Err(ApiError::bad_request(format!(
            "`Idempotency-Key` is not 1 to {LONGEST} printable ASCII characters"
        ))),
    }
}

/// What tells one request of an account from another.
pub(super) async fn digest(form: &Form, body: Bytes) -> Result<[u8; 32], ApiError> {
    let small = body.len() <= SMALL;
    let name = form.name();
    let digest = move || {
        let hash = Sha256::new_with_prefix(&*name);
        hash.chain_update(b"\n")
            .chain_update(&body)
            .finalize()
            .into()
    };
    if small {
        return Ok(digest());
    }
    spawn_blocking(digest).await.map_err(ApiError::internal)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use tryon_core::task::Task;

    use super::*;

    #[test]
    fn a_name_is_short_and_printable() {
        let read = |values: &[&str]| {
            let values = values
                .iter()
                .map(|value| HeaderValue::from_bytes(value.as_bytes()));
            read_key(&values.map(|value| (KEY, value.unwrap())).collect())
        };
        assert_eq!(read(&[]).unwrap(), None);
        let longest = "k".repeat(LONGEST);
        for key in ["7", "order 7: \"try-2\"", &longest] {
            assert_eq!(read(&[key]).unwrap().as_deref(), Some(key));
        }
        let too_long = "k".repeat(LONGEST + 1);
        for keys in [&[""][..], &["a\tb"], &["ü"], &[&too_long], &["a", "a"]] {
            assert!(read(keys).is_err(), "{keys:?}");
        }
    }

    #[tokio::test]
    async fn a_digest_is_of_the_task_and_every_byte() {
        let large = |last| Bytes::from([vec![0; SMALL], vec![last]].concat());
        let mut seen = std::collections::HashSet::new();
        let run = |url: Option<&str>| Form::Run {
            webhook_url: url.map(str::to_owned),
        };
        for form in [
            Form::Task(Task::Clothes),
            Form::Task(Task::Tattoo),
            run(None),
            run(Some("https://a.example")),
            run(Some("https://b.example")),
        ] {
            for body in [Bytes::new(), Bytes::from_static(b"{}"), large(0), large(1)] {
                let first = digest(&form, body.clone()).await.unwrap();
                assert_eq!(first, digest(&form, body).await.unwrap());
                assert!(seen.insert(first));
            }
        }
    }
}
