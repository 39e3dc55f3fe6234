//! From where a picture is to one that a node can be given.

use bytes::Bytes;
use tryon_core::id::AccountId;
use tryon_store::Source;

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
        let file = self.inputs.read(account, field, source).await?;
        let developed = self
            .app
            .darkroom
            .run(move || develop::develop(file, &limits, max_side))
            .await;
        let developed = developed
            .map_err(|panic| input::undecodable(field, &panic))
            .and_then(|it| it.map_err(|error| input::unusable(field, &error)));
        developed.map_err(PrepareError::Unusable)
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
