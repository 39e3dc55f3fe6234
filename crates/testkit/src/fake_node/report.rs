//! How a node reports the end of a job.

use std::time::Duration;

use reqwest::{
    Client,
    multipart::{Form, Part},
};
use tryon_api::callback::{AUTH_HEADER, ResultError, ResultHead, ResultImage, field};
use tryon_core::{error::JobErrorCode, task::OutputFormat};

/// What every report says of the model.
pub(super) const MODEL_VERSION: &str = "fake-1";

/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What came of a job.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A picture.
    Picture {
        /// The file.
        bytes: Vec<u8>,
        /// What it is called.
        format: OutputFormat,
    },
    /// A failure, as a form of parts.
    Error(ResultError),
    /// A failure as nodes of other makes send it: urlencoded, with nothing but `error`.
    PlainError(String),
}

impl Outcome {
    /// A PNG.
    pub const fn png(bytes: Vec<u8>) -> Self {
        Self::Picture {
            bytes,
            format: OutputFormat::Png,
        }
    }

    /// A failure of this kind.
    pub fn error(name: JobErrorCode, message: &str, retryable: bool) -> Self {
        Self::Error(ResultError {
            error: message.to_owned(),
            error_name: name,
            retryable,
        })
    }
}

/// A report that was answered.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The job it was about.
    pub job_id: String,
    /// What was answered; 0 when nobody did.
    pub status: u16,
    /// The answer's body.
    pub body: String,
}

/// Sends reports.
#[derive(Debug, Clone)]
pub struct Reporter {
    client: Client,
    url: String,
    token: String,
}

impl Reporter {
    /// Reports to `url` with this token.
    pub fn new(url: &str, token: &str) -> Self {
        // Refused when another part of the process was faster, and that serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(TIMEOUT).build();
        Self {
            client: client.expect("the client needs nothing"),
            url: url.to_owned(),
            token: token.to_owned(),
        }
    }

    /// Reports what came of a job.
    pub async fn send(&self, job_id: &str, outcome: &Outcome) -> Reported {
        let request = self.client.post(&self.url).header(AUTH_HEADER, &self.token);
        let request = match outcome {
            Outcome::PlainError(error) => request.form(&plain(job_id, error)),
            Outcome::Picture { .. } | Outcome::Error(_) => request.multipart(form(job_id, outcome)),
        };
        let (status, body) = match request.send().await {
            Ok(answer) => (
                answer.status().as_u16(),
                answer.text().await.unwrap_or_default(),
            ),
            Err(_) => (0, String::new()),
        };
        Reported {
            job_id: job_id.to_owned(),
            status,
            body,
        }
    }
}

fn head(job_id: &str) -> ResultHead {
    ResultHead {
        job_id: job_id.to_owned(),
        user_id: "user".to_owned(),
        session_id: "session".to_owned(),
        provider: "preview".to_owned(),
        node_id: "fake-node".to_owned(),
        model_version: MODEL_VERSION.to_owned(),
        inference_time_ms: 7,
    }
}

fn plain(job_id: &str, error: &str) -> Vec<(&'static str, String)> {
    let error = (field::ERROR, error.to_owned());
    head(job_id).fields().into_iter().chain([error]).collect()
}

fn form(job_id: &str, outcome: &Outcome) -> Form {
    let mut fields = Vec::from(head(job_id).fields());
    let mut file = None;
    match outcome {
        Outcome::Picture { bytes, format } => {
            let image = ResultImage {
                format: *format,
                width: 64,
                height: 64,
            };
            fields.extend(image.fields());
            let part = Part::bytes(bytes.clone()).file_name(image.file_name());
            file = Some(part.mime_str(format.mime()).expect("it is a media type"));
        }
        Outcome::Error(error) => fields.extend(error.fields()),
        Outcome::PlainError(error) => fields.push((field::ERROR, error.clone())),
    }
    let form = fields
        .into_iter()
        .fold(Form::new(), |form, (name, value)| form.text(name, value));
    match file {
        Some(part) => form.part(field::OUTPUT_IMAGE, part),
        None => form,
    }
}
