//! The commands, a module each.

pub(crate) mod account;
pub(crate) mod bench;
pub(crate) mod credits;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod gateway;
pub(crate) mod key;
pub(crate) mod manual;
pub(crate) mod models;
pub(crate) mod node;
pub(crate) mod nodes;
pub(crate) mod serve;
pub(crate) mod submit;
pub(crate) mod try_on;
pub(crate) mod user;
pub(crate) mod verify_model;
pub(crate) mod worker;

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use tryon_core::{
    category::Category,
    id::AccountId,
    task::{OutputFormat, Region},
    time::Timestamp,
};
use tryon_gateway::GatewayConfig;
use tryon_store::{NewAction, Store, StoreError};

use crate::{
    config::{Service, Source, load_gateway, load_serve},
    failure::Failure,
    platform::open_store,
};

/// Works on the store that a gateway with this configuration opens.
pub(crate) async fn with_store(
    config: &GatewayConfig,
    work: impl AsyncFnOnce(&dyn Store) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let store = open_store(config).await?;
    let done = work(&*store).await;
    store.close().await;
    done
}

/// The configuration of the gateway that `serve` or `gateway` would start here.
pub(crate) fn gateway_config(source: Source, data: &Path) -> Result<GatewayConfig, Failure> {
    match Service::of(&source) {
        Service::Serve => Ok(load_serve(source, data)?.gateway),
        Service::Gateway => Ok(load_gateway(&source)?),
        Service::Node => Err(
            Failure::new("the configuration is a node's, which has no accounts")
                .hint("name the gateway's with `--config`"),
        ),
    }
}

/// Who did it, in the log of what was changed.
const ACTOR: &str = "command line";

/// Writes down what is about to be changed, as the pages do.
async fn note(
    store: &dyn Store,
    account: Option<AccountId>,
    action: &'static str,
    detail: String,
) -> Result<(), Failure> {
    let action = NewAction {
        actor: ACTOR.to_owned(),
        account,
        action,
        detail,
        form: None,
    };
    let noted = store.record_action(action, now()).await;
    noted.map_err(store_failed)?;
    Ok(())
}

/// The format that a file's ending asks for.
fn output_format(path: &Path) -> OutputFormat {
    let ending = path.extension().and_then(|extension| extension.to_str());
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("jpg" | "jpeg") => OutputFormat::Jpeg,
        _ => OutputFormat::Png,
    }
}

/// Random bytes for a new id.
fn fresh_id() -> [u8; 12] {
    rand::random()
}

/// The time by the system's clock.
fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn store_failed(error: StoreError) -> Failure {
    Failure::from_error("the store failed", &error)
        .hint("`tryon doctor` checks the database and its disk")
}

fn no_such_account(id: AccountId) -> Failure {
    Failure::new(format!("there is no account `{id}`")).hint("`tryon account list` lists them")
}

/// Reads a category's name on the wire.
fn category(text: &str) -> Result<Category, String> {
    serde_json::from_value(Value::from(text)).map_err(|error| error.to_string())
}

/// Reads `x,y,w,h`.
fn region(text: &str) -> Result<Region, String> {
    let numbers = text.split(',').map(|number| number.trim().parse::<f32>());
    let numbers = numbers.collect::<Result<Vec<_>, _>>();
    let Ok([x, y, w, h]) = numbers.as_deref() else {
        return Err("four numbers are needed, such as `0.3,0.2,0.25,0.3`".to_owned());
    };
    let region = Region {
        x: *x,
        y: *y,
        w: *w,
        h: *h,
    };
    region.validate().map_err(|error| error.to_string())
}
