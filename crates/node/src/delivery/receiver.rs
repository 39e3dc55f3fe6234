//! One delivery: a result becomes a multipart POST.

use std::{fs::File, time::Duration};

use bytes::Bytes;
use futures::TryStreamExt;
use reqwest::{
    Body, Client, StatusCode,
    multipart::{Form, Part},
};
use tokio_util::io::ReaderStream;
use tryon_api::callback::{AUTH_HEADER, ResultImage, field};
use tryon_core::secret::Secret;
use url::Url;

use super::schedule::Failure;
use crate::{
    config::AssetServiceConfig,
    failpoint,
    spool::{Document, Outcome},
};

/// Who receives results.
pub(super) struct Receiver {
    client: Client,
    url: Url,
    token: Option<Secret>,
    timeout: Duration,
}

/// Where the bytes of a picture come from.
pub(super) enum Source {
    /// An open file that is positioned at them.
    File(File),
    /// Memory: the disk did not take them.
    Memory(Bytes),
}

/// Why a result was not received.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    #[error("the receiver answered {status}")]
    Refused { status: StatusCode },
    #[error("the receiver cannot be reached: {}", describe(.0))]
    Unreachable(reqwest::Error),
}

impl DeliveryError {
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Unreachable(_) => Failure::Passing,
            Self::Refused { status } => match *status {
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Failure::Passing,
                status if status.is_server_error() => Failure::Passing,
                _ => Failure::Lasting,
            },
        }
    }
}

/// The chain of causes, without the address: it may carry a secret.
pub(crate) fn describe(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        text = if text.is_empty() {
            error.to_string()
        } else {
            format!("{text}: {error}")
        };
        cause = error.source();
    }
    match text.is_empty() {
        true if error.is_timeout() => "no answer in time".to_owned(),
        true => "the request failed".to_owned(),
        false => text,
    }
}

impl Receiver {
    /// The receiver of `config`, if it names one.
    pub(super) fn new(client: Client, config: &AssetServiceConfig) -> Option<Self> {
        Some(Self {
            client,
            url: config.callback_url.clone()?,
            token: config.internal_auth_token.clone(),
            timeout: config.timeout.duration(),
        })
    }

    /// Sends a result once.
    pub(super) async fn deliver(
        &self,
        document: &Document,
        source: Source,
    ) -> Result<(), DeliveryError> {
        let mut request = self.client.post(self.url.clone()).timeout(self.timeout);
        if let Some(token) = &self.token {
            request = request.header(AUTH_HEADER, token.expose());
        }
        request = request.headers(tryon_trace::headers());
        let form = to_form(document, source).map_err(DeliveryError::Unreachable)?;
        if matches!(document.outcome, Outcome::Error(_)) {
            failpoint::reach("node::during-callback").await;
        }
        let answer = request
            .multipart(form)
            .send()
            .await
            .map_err(DeliveryError::Unreachable)?;
        let status = answer.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(DeliveryError::Refused { status })
        }
    }
}

fn to_form(document: &Document, source: Source) -> reqwest::Result<Form> {
    let mut form = Form::new();
    for (name, value) in document.head.fields() {
        form = form.text(name, value);
    }
    match &document.outcome {
        Outcome::Picture { image, bytes } => {
            for (name, value) in image.fields() {
                form = form.text(name, value);
            }
            form = form.part(field::OUTPUT_IMAGE, to_part(image, *bytes, source)?);
        }
        Outcome::Error(error) => {
            for (name, value) in error.fields() {
                form = form.text(name, value);
            }
        }
    }
    Ok(form)
}

fn to_part(image: &ResultImage, bytes: u64, source: Source) -> reqwest::Result<Part> {
    let body = match source {
        Source::Memory(bytes) => Body::from(bytes),
        Source::File(file) => {
            let chunks = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 64 * 1024);
            Body::wrap_stream(chunks.and_then(async |chunk| {
                failpoint::reach("node::during-callback").await;
                Ok(chunk)
            }))
        }
    };
    Part::stream_with_length(body, bytes)
        .file_name(image.file_name())
        .mime_str(image.format.mime())
}
