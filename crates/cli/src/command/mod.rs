//! The commands, a module each.

pub(crate) mod account;
pub(crate) mod credits;
pub(crate) mod key;
pub(crate) mod submit;

use std::time::{SystemTime, UNIX_EPOCH};

use tryon_core::{id::AccountId, task::Region, time::Timestamp};
use tryon_store::StoreError;

use crate::failure::Failure;

/// Random bytes for a new id.
fn fresh_id() -> [u8; 12] {
    rand::random()
}

/// The time by the system's clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn store_failed(error: StoreError) -> Failure {
    Failure::from_error("the store failed", &error)
        .hint("`tryon doctor` checks the database and its disk")
}

fn no_such_account(id: AccountId) -> Failure {
    Failure::new(format!("there is no account `{id}`")).hint("`tryon account list` lists them")
}

/// Reads `x,y,w,h`.
fn region(text: &str) -> Result<Region, String> {
    let numbers = text.split(',').map(|number| number.trim().parse::<f32>());
    let numbers = numbers.collect::<Result<Vec<_>, _>>();
    let Ok([x, y, w, h]) = numbers.as_deref() else {
        return Err("four numbers are needed, such as `0.3,0.2,0.25,0.3`".to_owned());
    };
    let region = Region { x: *x, y: *y, w: *w, h: *h };
    region.validate().map_err(|error| error.to_string())
}
