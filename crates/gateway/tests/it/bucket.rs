//! Pictures in a bucket, which clients are sent on to.

use std::time::Duration;

use reqwest::{Client, redirect};
use serde_json::json;
use tryon_blob::{Blobs, Folder};
use tryon_testkit::{fake_node::Reaction, object_store::ObjectStore};

use crate::stage::{Answer, TestApp, result, wait};

async fn start(bucket: &ObjectStore, redirect: bool) -> TestApp {
    let blobs = Blobs::bucket("s3://shop/try", bucket.variables()).await;
    let app = TestApp::start_keeping(Some(blobs.unwrap()), |config| {
        config.storage.redirect = redirect;
    })
    .await;
    app.node.otherwise(Reaction::Report(result()));
    app
}

#[tokio::test]
async fn a_link_leads_to_the_picture_in_the_bucket() {
    let bucket = ObjectStore::start("shop");
    let app = start(&bucket, true).await;
    let links = app.wait_for_outputs(app.submit(json!({})).await).await;
    // A client that follows gets the picture, and needs no key for it.
    let picture = app.http.get(&links[0]).send().await.unwrap();
    assert_eq!(picture.status(), 200);
    assert_eq!(picture.headers()["content-type"], "image/png");
    assert!(picture.bytes().await.unwrap().starts_with(b"\x89PNG"));

    let stubborn = Client::builder().redirect(redirect::Policy::none()).build();
    let stubborn = stubborn.unwrap();
    let sent_on = Answer::to(stubborn.get(&links[0])).await;
    assert_eq!(
        (sent_on.status, sent_on.header("cache-control")),
        (302, "no-store")
    );
    let address = sent_on.header("location");
    assert!(address.contains("/shop/try/outputs/"), "{address}");
    assert!(address.contains("X-Amz-Expires=300&"), "{address}");
    // The bucket is not asked for what the link does not open.
    let forged = format!("{}0", links[0]);
    Answer::to(stubborn.get(&forged))
        .await
        .refusal(403, "UnauthorizedAccess");
    app.clock
        .advance(app.config.jobs.output_retention.duration());
    Answer::to(stubborn.get(&links[0]))
        .await
        .refusal(410, "NotFound");
}

#[tokio::test]
async fn without_being_sent_on_a_client_never_sees_the_bucket() {
    let bucket = ObjectStore::start("shop");
    let app = start(&bucket, false).await;
    let links = app.wait_for_outputs(app.submit(json!({})).await).await;
    let answer = Answer::to(app.http.get(&links[0])).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "image/png")
    );
    assert!(answer.header("cache-control").contains("immutable"));
}

#[tokio::test]
async fn inputs_leave_the_bucket_with_their_job_and_outputs_when_their_time_is_over() {
    let bucket = ObjectStore::start("shop");
    let app = start(&bucket, true).await;
    app.wait_for_outputs(app.submit(json!({})).await).await;
    app.wait_until_inputs_are_gone().await;
    let old = app.pictures(Folder::Outputs).await;
    assert_eq!(old.len(), 1);
    let retention = app.config.jobs.output_retention.duration();
    app.clock.advance(retention + Duration::from_secs(1));
    // Its end rings for the sweep, which knows nothing of a clock that is moved.
    app.wait_for_outputs(app.submit(json!({})).await).await;
    wait("the end of the old output", async || {
        let left = app.pictures(Folder::Outputs).await;
        left.len() == 1 && left != old
    })
    .await;
    app.check_books().await;
}
