//! Forgetting jobs and the people that they are for.

use std::time::Duration;

use serde_json::{Value, json};
use tryon_blob::{Blobs, Folder, Key};
use tryon_core::{id::JobId, job::JobState, task::OutputFormat};
use tryon_store::{NewErasure, Subject};
use tryon_testkit::{
    fake_node::{Outcome, Reaction},
    object_store::ObjectStore,
    upload,
};

use crate::stage::{Answer, Customer, TestApp, clothes, hairstyle, result, tattoo, wait};

async fn delete(app: &TestApp, who: &Customer, path: &str) -> Answer {
    let request = app.http.delete(app.url(&format!("/api/v1{path}")));
    Answer::to(request.bearer_auth(&who.key)).await
}

async fn erase(app: &TestApp, job: JobId) -> Value {
    let answer = delete(app, &app.owner, &format!("/jobs/{job}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

/// How many pictures of this kind a receipt names.
fn deleted(receipt: &Value, folder: &str) -> u64 {
    let kinds = receipt["deleted"]["pictures"].as_array().unwrap();
    let kind = kinds.iter().find(|kind| kind["folder"] == folder);
    kind.unwrap()["count"].as_u64().unwrap()
}

#[tokio::test]
async fn a_job_that_ended_is_erased_with_its_pictures_and_words() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    let body = tattoo(json!({"placement": "over the scar of Ada", "num_samples": 2}));
    let job = app.post("/tryon/tattoo", &body).await.job();
    let links = app.wait_for_outputs(job).await;
    app.wait_until_inputs_are_gone().await;
    let receipt = erase(&app, job).await;
    assert_eq!(receipt["status"], "finished", "{receipt}");
    assert_eq!(receipt["job"], job.to_string());
    assert_eq!(
        (deleted(&receipt, "outputs"), deleted(&receipt, "uploads")),
        (2, 0)
    );
    assert_eq!(receipt["deleted"]["pictures"][0]["storage"], "disk");

    assert_eq!(app.pictures(Folder::Outputs).await, []);
    for link in &links {
        Answer::to(app.http.get(link))
            .await
            .refusal(410, "NotFound");
    }
    let database = app.read_database();
    let words = b"scar of Ada";
    assert!(!database.windows(words.len()).any(|part| part == words));
    let status = app.status(job).await;
    assert_eq!(
        (&status["status"], &status["output"]),
        (&json!("completed"), &json!([]))
    );
    assert_eq!(
        app.balance(&app.owner).await.available(),
        98,
        "it was delivered"
    );
    // Again, and later.
    assert_eq!(erase(&app, job).await, receipt);
    let id = receipt["id"].as_str().unwrap();
    assert_eq!(app.get(&format!("/erasures/{id}")).await.body, receipt);
    app.check_books().await;
}

#[tokio::test]
async fn a_job_under_way_is_cancelled_and_its_late_picture_is_not_kept() {
    let app = TestApp::start().await;
    let job = app.submit(json!({})).await;
    app.wait_for_state(job, JobState::Running).await;
    let receipt = erase(&app, job).await;
    assert_eq!(
        (deleted(&receipt, "uploads"), deleted(&receipt, "prepared")),
        (2, 2)
    );
    let failure = app.wait_for_failure(job).await;
    assert_eq!(
        failure,
        ("Cancelled".to_owned(), "the job was erased".to_owned())
    );
    let stop = format!("DELETE /tryon/{job}-0.1");
    app.node.wait_for_requests(&stop, 1).await;
    app.wait_until_inputs_are_gone().await;
    // A gateway that was killed between a picture and its settlement leaves it behind.
    let late = Key::output(job.sample(0).attempt(1), OutputFormat::Png);
    app.blobs
        .put(&late, upload::png(8, 8).into())
        .await
        .unwrap();
    app.clock.advance(app.config.jobs.orphan_age.duration());
    wait("the end of the late picture", async || {
        app.pictures(Folder::Outputs).await.is_empty()
    })
    .await;
    app.check_books().await;
}

#[tokio::test]
async fn an_erasure_that_was_cut_short_is_gone_on_with() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    let job = app.submit(json!({})).await;
    app.wait_for_outputs(job).await;
    let new = NewErasure {
        id: tryon_core::id::ErasureId::from_bytes([9; 12]),
        account: app.owner.account,
        subject: Subject::Job(job),
    };
    let due = app.now() + Duration::from_secs(30);
    app.store.begin_erasure(new, due, app.now()).await.unwrap();
    app.clock.advance(Duration::from_secs(30));
    wait("the end of the erasure", async || {
        let erasure = app.store.find_erasure(new.id).await.unwrap();
        erasure.unwrap().finished_at.is_some()
    })
    .await;
    assert_eq!(app.pictures(Folder::Outputs).await, []);
    let receipt = erase(&app, job).await;
    assert_eq!(
        (deleted(&receipt, "outputs"), &receipt["id"]),
        (1, &json!(new.id))
    );
}

#[tokio::test]
async fn what_is_somebody_elses_is_neither_erased_nor_shown() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    let job = app.submit(json!({"end_user_id": "ada"})).await;
    app.wait_for_outputs(job).await;
    let other = app.customer(1, crate::stage::GENEROUS).await;
    let never = JobId::from_bytes([77; 12]);
    let theirs = delete(&app, &other, &format!("/jobs/{job}")).await;
    let nobodys = delete(&app, &other, &format!("/jobs/{never}")).await;
    theirs.refusal(404, "NotFound");
    assert_eq!(theirs.text, nobodys.text);
    delete(&app, &other, "/jobs/x")
        .await
        .refusal(404, "NotFound");
    let none = delete(&app, &other, "/end-users/ada").await;
    assert_eq!(
        (none.status, &none.body["jobs"]),
        (200, &json!(0)),
        "{}",
        none.text
    );
    assert_eq!(app.pictures(Folder::Outputs).await.len(), 1);
    let id = none.body["id"].as_str().unwrap();
    let shown = app.get(&format!("/erasures/{id}")).await;
    shown.refusal(404, "NotFound");
    let request = app.http.delete(app.url(&format!("/api/v1/jobs/{job}")));
    Answer::to(request).await.refusal(401, "UnauthorizedAccess");
}

#[tokio::test]
async fn an_end_user_is_erased_with_every_job() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    let name = "Ada L. / ada@example.com";
    let named = json!({"end_user_id": name});
    let mut jobs = Vec::new();
    for (path, body) in [
        ("/tryon/clothes", clothes(named.clone())),
        ("/tryon/fashion", clothes(named.clone())),
        ("/tryon/tattoo", tattoo(named)),
    ] {
        jobs.push(app.post(path, &body).await.job());
    }
    let other = app.submit(json!({"end_user_id": "bob"})).await;
    for job in jobs.iter().chain([&other]) {
        app.wait_for_end(*job).await;
    }
    let path = "/end-users/Ada%20L.%20%2F%20ada@example.com";
    let receipt = delete(&app, &app.owner, path).await;
    assert_eq!(receipt.status, 200, "{}", receipt.text);
    assert_eq!(
        (&receipt.body["jobs"], receipt.body.get("job")),
        (&json!(3), None)
    );
    let left = app.pictures(Folder::Outputs).await;
    assert!(
        !left.is_empty() && left.iter().all(|key| key.job() == Some(other)),
        "{left:?}"
    );
    assert!(!receipt.text.contains("ada"), "{}", receipt.text);
    let again = delete(&app, &app.owner, path).await;
    assert_eq!((again.status, &again.body["jobs"]), (200, &json!(0)));
    app.check_books().await;
}

#[tokio::test]
async fn an_end_user_is_named_in_1_to_255_characters() {
    let app = TestApp::start().await;
    let long = "é".repeat(256);
    for wrong in [json!(""), json!(long), json!(7), json!(["a"])] {
        let fields = json!({"end_user_id": wrong});
        for (path, body) in [
            ("/tryon/clothes", clothes(fields.clone())),
            ("/tryon/hairstyle", hairstyle(fields.clone())),
            ("/tryon/tattoo", tattoo(fields)),
        ] {
            let said = app.post(path, &body).await.refusal(400, "BadRequest");
            assert!(said.starts_with("`end_user_id` is wrong: "), "{said}");
        }
    }
    for right in [json!(null), json!(" "), json!(long[2..])] {
        app.submit(json!({"end_user_id": right})).await;
    }
    let path = format!("/end-users/{}", "a".repeat(256));
    let said = delete(&app, &app.owner, &path)
        .await
        .refusal(400, "BadRequest");
    assert!(said.contains("256 characters"), "{said}");
}

// ── retention ──────────────────────────────────────────────────────────────────────────────────

async fn keep_for(app: &TestApp, seconds: u64) {
    let retention = Some(Duration::from_secs(seconds));
    let set = app.store.set_output_retention(app.owner.account, retention);
    set.await.unwrap();
}

#[tokio::test]
async fn an_account_s_own_retention_ends_its_links_and_pictures() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    keep_for(&app, 60).await;
    let link = app
        .wait_for_outputs(app.submit(json!({})).await)
        .await
        .remove(0);
    app.clock.advance(Duration::from_secs(58));
    assert_eq!(app.http.get(&link).send().await.unwrap().status(), 200);
    app.clock.advance(Duration::from_secs(3));
    Answer::to(app.http.get(&link))
        .await
        .refusal(410, "NotFound");
    wait("the end of the output", async || {
        app.pictures(Folder::Outputs).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn with_no_retention_a_picture_goes_with_its_first_download() {
    let bucket = ObjectStore::start("shop");
    let blobs = Blobs::bucket("s3://shop/try", bucket.variables()).await;
    let app = TestApp::start_keeping(Some(blobs.unwrap()), |_| {}).await;
    let large = Outcome::png(upload::png(600, 800));
    app.node.otherwise(Reaction::Report(large));
    keep_for(&app, 0).await;
    let links = app
        .wait_for_outputs(app.submit(json!({"num_samples": 2})).await)
        .await;
    let count = async || app.pictures(Folder::Outputs).await.len();
    // To look is not to download.
    assert_eq!(app.http.head(&links[0]).send().await.unwrap().status(), 200);
    assert_eq!(count().await, 2);
    // It is not sent on to the bucket, which could not tell.
    let answer = app.http.get(&links[0]).send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let size = answer.content_length().unwrap();
    assert_eq!(answer.bytes().await.unwrap().len() as u64, size);
    wait("the end of the picture", async || count().await == 1).await;
    Answer::to(app.http.get(&links[0]))
        .await
        .refusal(410, "NotFound");
    // The other was never asked for.
    app.clock
        .advance(app.config.jobs.download_grace.duration() + Duration::from_secs(1));
    wait("the end of the other", async || count().await == 0).await;
}
