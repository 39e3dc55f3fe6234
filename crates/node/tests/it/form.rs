//! Multipart forms, byte by byte, so that wrong ones can be sent too.

use serde_json::{Value, json};
use tryon_testkit::upload;

const BOUNDARY: &str = "------------------------a1b2c3d4e5f6";

/// A part: name, file name, content.
type Part = (String, Option<&'static str>, Vec<u8>);

/// A form to be sent.
#[derive(Clone)]
pub(crate) struct Form {
    parts: Vec<Part>,
}

impl Form {
    /// A job that succeeds at once.
    pub(crate) fn tryon(job_id: &str) -> Self {
        Self { parts: Vec::new() }
            .with("job_id", job_id)
            .with("user_id", "user-1")
            .with("session_id", "session-1")
            .with("provider", "preview")
            .with("config", "{}")
            .with_file("masked_user_image", upload::png(48, 64))
            .with_file("garment_image", upload::jpeg(32, 32))
    }

    /// A request for a picture.
    pub(crate) fn infer() -> Self {
        Self { parts: Vec::new() }
            .with_file("masked_user_image", upload::png(48, 64))
            .with_file("garment_image", upload::jpeg(32, 32))
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.parts
            .push((name.to_owned(), None, value.as_bytes().to_vec()));
        self
    }

    pub(crate) fn with_file(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.parts
            .push((name.to_owned(), Some("picture.png"), bytes));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.parts.retain(|(part, ..)| part != name);
        self
    }

    /// Replaces a part's content, in its place.
    pub(crate) fn set(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        let part = self.parts.iter_mut().find(|(part, ..)| part == name);
        part.expect("the form has this part").2 = content.into();
        self
    }

    /// Tells the fake engine what to do, with a `config` beside it.
    pub(crate) fn doing(self, prompt: &str) -> Self {
        self.config(&json!({"prompt": prompt, "steps": 2}))
    }

    pub(crate) fn config(self, config: &Value) -> Self {
        self.set("config", config.to_string())
    }

    pub(crate) fn content_type() -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, file_name, content) in &self.parts {
            let file_name = file_name
                .map(|name| format!("; filename=\"{name}\""))
                .unwrap_or_default();
            let head = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file_name}\r\n\r\n"
            );
            body.extend(head.as_bytes());
            body.extend(content);
            body.extend(b"\r\n");
        }
        body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
        body
    }
}
