//! What an account holds.

use axum::{Extension, Json};
use tryon_api::public::CreditAnswer;

use super::refusal;
use crate::auth::Caller;

/// Says what the account holds.
#[utoipa::path(
    get,
    path = super::path::CREDITS,
    tag = "credits",
    security(("key" = [])),
    responses(
        (status = 200, description = "The figures", body = CreditAnswer),
        refusal::Limited,
    )
)]
pub(super) async fn get_credits(Extension(caller): Extension<Caller>) -> Json<CreditAnswer> {
    Json(caller.account.balance.into())
}
