//! From where a picture is to one that a node can be given.

use bytes::Bytes;
use tryon_core::id::AccountId;
use tryon_store::Source;
use tryon_trace::{Kind, Span, Traced as _};

use super::{PrepareError, Preparer, develop};
use crate::input::{self, InputError};

impl Preparer {
    /// The picture of `source`, ready for a node.
    pub(super) async fn develop(
        &self,
        account: AccountId,
        field: &'static str,
        source: Source,
        max_side: u32,
    ) -> Result<Bytes, PrepareError> {
        let limits = input::limits(&self.app);
        let file = self.obtain(account, field, source).await?;
        let span = Span::new("decode", Kind::Internal);
        span.set("tryon.picture", field);
        let developed = self
            .app
            .darkroom
            .run(move || develop::develop(file, &limits, max_side))
            .await;
        drop(span);
        let developed = developed
            .map_err(|panic| input::undecodable(field, &panic))
            .and_then(|it| it.map_err(|error| input::unusable(field, &error)));
        developed.map_err(PrepareError::Unusable)
    }

    /// The file of `source`. Of where it is, a trace is told nothing: an address may hold a secret.
    async fn obtain(
        &self,
        account: AccountId,
        field: &'static str,
        source: Source,
    ) -> Result<Bytes, InputError> {
        let (name, kind) = if self.inputs.is_fetched(account, &source) {
            ("fetch", Kind::Client)
        } else {
            ("read", Kind::Internal)
        };
        let span = Span::new(name, kind);
        span.set("tryon.picture", field);
        let file = self.inputs.read(account, field, source).traced(&span).await;
        match &file {
            Ok(file) => span.set("tryon.bytes", i64::try_from(file.len()).unwrap_or(i64::MAX)),
            Err(_) => span.fail("not loaded"),
        }
        file
    }
}

impl From<InputError> for PrepareError {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Unusable(error) => Self::Unusable(error),
            InputError::Blob(error) => Self::Blob(error),
        }
    }
}
