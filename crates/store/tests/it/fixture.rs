//! Accounts, jobs and nodes to test with, and the moments they act at.

use std::time::Duration;

use tryon_core::{
    category::Category,
    error::{JobError, JobErrorCode},
    id::{AccountId, AttemptId, JobId},
    ledger::{Balance, Pool},
    limit::Limits,
    task::{GarmentPhotoType, Mode, ModerationLevel, OutputFormat, Provider, TaskOptions},
    time::Timestamp,
};
use tryon_store::{
    Assignment, NewJob, NodeSpec, NodeState, Output, Pair, Plan, Request, Retention, Source, Store,
};

/// This many seconds after the start of the test.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

/// When every job of these tests must have ended.
pub(crate) const DEADLINE: i64 = 1000;

/// How long the outputs of every job of these tests are kept.
pub(crate) const RETENTION: Retention = Retention {
    longest: Duration::from_secs(100),
    once: false,
};

pub(crate) fn account_id(number: u8) -> AccountId {
    AccountId::from_bytes([number; 12])
}

/// Ids in the order of their numbers.
pub(crate) fn job_id(number: u32) -> JobId {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    JobId::from_bytes(bytes)
}

pub(crate) fn many_jobs() -> Limits {
    Limits {
        concurrent_jobs: 10_000,
        ..Limits::default()
    }
}

/// Account 1, with this many credits of its subscription.
pub(crate) async fn rich_account(store: &dyn Store, credits: u32) -> AccountId {
    make_account(store, 1, credits).await
}

/// Account `number`, with this many credits of its subscription.
pub(crate) async fn make_account(store: &dyn Store, number: u8, credits: u32) -> AccountId {
    let id = account_id(number);
    store
        .create_account(id, "rich", many_jobs(), at(0))
        .await
        .unwrap();
    store
        .grant_credits(id, Pool::Subscription, credits, at(0))
        .await
        .unwrap();
    id
}

pub(crate) async fn balance(store: &dyn Store, id: AccountId) -> Balance {
    store.find_account(id).await.unwrap().unwrap().balance
}

pub(crate) async fn open_jobs(store: &dyn Store, id: AccountId) -> u32 {
    store.find_account(id).await.unwrap().unwrap().open_jobs
}

pub(crate) fn request() -> Request {
    Request {
        options: TaskOptions::Clothes {
            category: Category::Tops,
            subcategory: None,
            garment_photo_type: GarmentPhotoType::FlatLay,
            segmentation_free: true,
        },
        mode: Mode::Balanced,
        output_format: OutputFormat::Png,
        moderation: ModerationLevel::Permissive,
    }
}

pub(crate) fn plan(provider: Provider) -> Plan {
    Plan {
        provider,
        steps: 8,
        cfg: 2.5,
        max_side: 1024,
    }
}

/// A job of account 1 for the preview engine.
pub(crate) fn new_job(number: u32, samples: u64) -> NewJob {
    NewJob {
        id: job_id(number),
        account: account_id(1),
        request: request(),
        plan: plan(Provider::Preview),
        sources: Pair {
            person: Source::Url(format!("https://example.org/{number}/person.jpg")),
            garment: Some(Source::Blob(format!("uploads/{number}/garment"))),
        },
        seeds: (0..samples).map(|index| u64::MAX - index).collect(),
        deadline: at(DEADLINE),
        idempotency: None,
        webhook_url: None,
        end_user: None,
        retention: RETENTION,
        trace: None,
    }
}

pub(crate) fn inputs(job: JobId) -> Pair<String> {
    Pair {
        person: format!("prepared/{job}/person"),
        garment: Some(format!("prepared/{job}/garment")),
    }
}

/// Submits job `number` at second `number`.
pub(crate) async fn submit(store: &dyn Store, number: u32, samples: u64) -> JobId {
    let job = new_job(number, samples);
    store.submit_job(job, at(number.into())).await.unwrap();
    job_id(number)
}

/// Submits job `number` at second `number` and prepares it at once.
pub(crate) async fn prepare(store: &dyn Store, number: u32, samples: u64) -> JobId {
    let id = submit(store, number, samples).await;
    let prepared = store
        .finish_preparation(id, inputs(id), at(number.into()))
        .await;
    assert!(prepared.unwrap());
    id
}

/// Nodes that answer for the preview engine, and are the only ones.
pub(crate) async fn ready_nodes(store: &dyn Store, names: &[&str]) {
    let specs: Vec<NodeSpec> = names.iter().map(|name| spec(name)).collect();
    store.sync_nodes(&specs).await.unwrap();
    for name in names {
        set_ready(store, name, &[Provider::Preview]).await;
    }
}

pub(crate) fn spec(name: &str) -> NodeSpec {
    NodeSpec {
        name: name.to_owned(),
        url: format!("http://{name}:9000"),
    }
}

pub(crate) async fn set_ready(store: &dyn Store, name: &str, providers: &[Provider]) {
    store
        .set_node_state(name, NodeState::Ready, providers)
        .await
        .unwrap();
}

/// What the node works on.
pub(crate) async fn attempt_of(store: &dyn Store, name: &str) -> Option<AttemptId> {
    let nodes = store.list_nodes().await.unwrap();
    nodes
        .into_iter()
        .find(|node| node.name == name)
        .unwrap()
        .attempt
}

/// The attempts given out at this second, leased for 60 seconds.
pub(crate) async fn dispatch(store: &dyn Store, second: i64) -> Vec<Assignment> {
    store
        .claim_dispatch(at(second), at(second + 60), 100)
        .await
        .unwrap()
}

/// The one attempt given out at this second.
pub(crate) async fn dispatch_one(store: &dyn Store, second: i64) -> AttemptId {
    let given = dispatch(store, second).await;
    assert_eq!(given.len(), 1, "{given:?}");
    given[0].attempt
}

/// Job `number` with one sample, on its way to node `name`, the only one.
pub(crate) async fn dispatched_job(store: &dyn Store, number: u32, name: &str) -> AttemptId {
    ready_nodes(store, &[name]).await;
    prepare(store, number, 1).await;
    dispatch_one(store, number.into()).await
}

pub(crate) fn output(key: &str) -> Output {
    Output {
        key: key.to_owned(),
        format: OutputFormat::Png,
        model_version: "preview-1".to_owned(),
        inference_ms: 1234,
    }
}

pub(crate) fn error(name: JobErrorCode) -> JobError {
    JobError::new(name, format!("because of {}", name.as_str()))
}
