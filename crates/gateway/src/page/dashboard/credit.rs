//! Where an account's credits went.

use std::sync::Arc;

use askama::Template;
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use futures::{TryStreamExt as _, stream};
use tryon_core::id::AccountId;
use tryon_store::{Account, Before, Entry, StoreError};

use super::super::{
    assets,
    form::After,
    frame::{Frame, Notice, PAGE, moment, rfc3339},
    path, render,
};
use crate::{app::App, error::ApiError, session::Session};

/// Rows that are read at once for a file.
const BATCH: u32 = 500;

/// A row of the ledger in a list.
struct EntryRow {
    at: String,
    what: &'static str,
    job: String,
    /// Change of the credits, and of those set aside.
    credits: i64,
    reserved: i64,
}

impl EntryRow {
    fn new(entry: &Entry) -> Self {
        let movement = &entry.movement;
        Self {
            at: moment(entry.at),
            what: movement.kind.as_str(),
            job: entry.job.map(|job| job.to_string()).unwrap_or_default(),
            credits: movement.subscription + movement.purchased,
            reserved: movement.reserved,
        }
    }
}

#[derive(Template)]
#[template(path = "app/credits.html")]
struct Credits {
    here: &'static str,
    frame: Frame,
    account: Account,
    entries: Vec<EntryRow>,
    next: Option<i64>,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    After(before): After<i64>,
    session: Session,
) -> Result<Response, ApiError> {
    let account = session.visitor.account.clone();
    let page = Before {
        before,
        limit: PAGE,
    };
    let entries = app.store.list_entries(account.id, page).await?;
    let full = entries.len() == PAGE as usize;
    Ok(render(&Credits {
        here: path::CREDITS,
        frame: Frame::of(&app, &session),
        account,
        next: entries.last().filter(|_| full).map(|entry| entry.id),
        entries: entries.iter().map(EntryRow::new).collect(),
    }))
}

/// The whole ledger of the account, newest first, as it is read.
pub(super) async fn export(State(app): State<Arc<App>>, session: Session) -> Response {
    let account = session.visitor.account.id;
    let head = Bytes::from_static(b"id,at,kind,job,subscription,purchased,reserved\r\n");
    let head = stream::iter([Ok(head)]);
    let rows = stream::try_unfold(Some(None), move |place| {
        let app = Arc::clone(&app);
        async move {
            let Some(before) = place else { return Ok(None) };
            read(&app, account, before).await.map(Some)
        }
    });
    let body = futures::StreamExt::chain(head, rows.into_stream());
    let kind = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"credits.csv\"",
        ),
    ];
    (kind, Body::from_stream(body)).into_response()
}

/// The rows before one, as lines, and where to go on; `None` after the last.
async fn read(
    app: &App,
    account: AccountId,
    before: Option<i64>,
) -> Result<(Bytes, Option<Option<i64>>), StoreError> {
    let page = Before {
        before,
        limit: BATCH,
    };
    let entries = app.store.list_entries(account, page).await?;
    let full = entries.len() == BATCH as usize;
    let next = entries.last().filter(|_| full).map(|entry| Some(entry.id));
    let lines: String = entries.iter().map(line).collect();
    Ok((lines.into(), next))
}

/// Nothing in it needs quotes: numbers, ids and our own words.
fn line(entry: &Entry) -> String {
    let movement = &entry.movement;
    format!(
        "{},{},{},{},{},{},{}\r\n",
        entry.id,
        rfc3339(entry.at),
        movement.kind.as_str(),
        entry.job.map(|job| job.to_string()).unwrap_or_default(),
        movement.subscription,
        movement.purchased,
        movement.reserved,
    )
}
