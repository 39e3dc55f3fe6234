//! What is kept, for how long, and what is never written down.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::{prelude::Strategy as _, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::json;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};
use tryon_blob::Folder;
use tryon_core::{error::JobErrorCode, job::JobState};
use tryon_testkit::fake_node::{Outcome, Reaction};

use crate::{
    host::Host,
    stage::{
        Answer, CALLBACK_TOKEN, LINK_KEY, NODE_TOKEN, TestApp, clothes, picture, result, wait,
    },
};

#[tokio::test]
async fn outputs_can_be_read_for_72_hours_and_are_gone_after() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    let job = app.submit(json!({"num_samples": 2})).await;
    let links = app.wait_for_outputs(job).await;
    assert_eq!(links.len(), 2);
    app.clock.advance(Duration::from_secs(72 * 60 * 60 - 2));
    for link in &links {
        let answer = app.http.get(link).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        assert!(answer.bytes().await.unwrap().starts_with(b"\x89PNG"));
    }
    app.clock.advance(Duration::from_secs(3));
    wait("the end of the outputs", async || {
        app.pictures(Folder::Outputs).await.is_empty()
    })
    .await;
    for link in &links {
        Answer::to(app.http.get(link))
            .await
            .refusal(410, "NotFound");
    }
    // The job itself goes on saying what became of it.
    assert_eq!(app.wait_for_outputs(job).await, links);
    app.check_books().await;
}

#[tokio::test]
async fn a_link_opens_one_picture_and_cannot_be_changed() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    let mine = app
        .wait_for_outputs(app.submit(json!({"num_samples": 2})).await)
        .await;
    let (link, other) = (&mine[0], &mine[1]);
    let (path, query) = link.split_once('?').unwrap();
    let (other_path, _) = other.split_once('?').unwrap();
    let later = query.replacen("expires=1", "expires=2", 1);
    assert_ne!(later, query);
    for forged in [
        path.to_owned(),
        format!("{other_path}?{query}"),
        format!("{path}?{later}"),
        format!("{path}?{}", &query[..query.len() - 1]),
        format!("{path}?{query}0"),
        format!("{path}?expires=9999999999&signature="),
    ] {
        Answer::to(app.http.get(&forged))
            .await
            .refusal(403, "UnauthorizedAccess");
    }
    for unknown in [
        "/files/outputs/x/y.png",
        "/files/uploads/x/person",
        "/files/outputs/../../x",
    ] {
        Answer::to(app.http.get(app.url(unknown)))
            .await
            .refusal(404, "NotFound");
    }
    // No key is needed, and a cache is told that it may keep it.
    let answer = app.http.get(link).send().await.unwrap();
    assert!(
        answer.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    let etag = answer.headers()["etag"].clone();
    let again = app
        .http
        .get(link)
        .header("if-none-match", etag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 304);
}

#[tokio::test]
async fn no_input_survives_its_job_however_that_ends() {
    let app = TestApp::start().await;
    let failure = Outcome::error(JobErrorCode::PoseError, "nobody there", false);
    for reaction in [Reaction::Report(result()), Reaction::Report(failure)] {
        app.node.script([reaction]);
        let job = app.submit(json!({})).await;
        app.wait_for_end(job).await;
        app.wait_until_inputs_are_gone().await;
    }
    let job = app.submit(json!({})).await;
    app.wait_for_state(job, JobState::Running).await;
    assert_eq!(
        app.pictures(Folder::Prepared).await.len(),
        2,
        "a running job has its inputs"
    );
    app.clock.advance(app.config.jobs.deadline.duration());
    app.wait_for_end(job).await;
    app.wait_until_inputs_are_gone().await;
    // Nor on the disk under another name.
    let left = files(&app.dir.path().join("pictures"));
    assert_eq!(left.len(), 1, "{left:?}");
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn history_keeps_addresses_and_no_pictures() {
    let host = Host::start().await;
    let app = TestApp::start().await;
    let address = host.url("/picture.png");
    let job = app.submit(json!({"garment_image": address})).await;
    let history = app.job(job).await.history;
    assert_eq!(
        (history.person.as_str(), history.garment),
        ("<base64>", Some(address.clone()))
    );
    app.wait_for_end(job).await;
    app.wait_until_inputs_are_gone().await;
    let kept = app.read_database();
    let holds = |text: &[u8]| kept.windows(text.len()).any(|window| window == text);
    assert!(holds(address.as_bytes()), "what is kept is somewhere else");
    let picture = picture();
    let part = &picture.as_bytes()[picture.len() / 2..picture.len() / 2 + 32];
    for secret in [part, app.owner.key.as_bytes(), CALLBACK_TOKEN.as_bytes()] {
        assert!(!holds(secret));
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_and_no_picture_is_logged_at_any_level() {
    let log = Log::default();
    let filter = "tryon_gateway=trace,tryon_store=trace,tryon_blob=trace,sqlx=trace,reqwest=trace,\
                  object_store=trace,multer=trace";
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    // For the whole process: a subscriber of one thread misses what other tests met before it.
    tracing::subscriber::set_global_default(subscriber).expect("no other test does this");
    let app = TestApp::start().await;
    let failure = Outcome::error(JobErrorCode::PoseError, "nobody there\nFORGED", false);
    app.node
        .script([Reaction::Report(result()), Reaction::Report(failure)]);
    let job = app.submit(json!({})).await;
    let links = app.wait_for_outputs(job).await;
    Answer::to(app.http.get(&links[0])).await;
    let job = app.submit(json!({})).await;
    app.wait_for_failure(job).await;
    let with_password = "http://user:a-word-that-passes@127.0.0.1/a.png?token=a-word-that-opens";
    let job = app.submit(json!({"model_image": with_password})).await;
    app.wait_for_failure(job).await;
    app.post("/tryon/clothes", &clothes(json!({"mode": "x"})))
        .await
        .refusal(400, "BadRequest");
    // What strangers and nodes say begins no line of its own. Some of this is taken, and ends.
    app.node.otherwise(Reaction::Report(result()));
    for field in [
        "mode",
        "category",
        "subcategory",
        "model_image",
        "webhook_url",
        "end_user_id",
    ] {
        let body = clothes(json!({field: "x\r\nFORGED\u{1b}[2J"}));
        app.post("/tryon/clothes", &body).await;
        app.get(&format!("/status/{field}%0AFORGED")).await;
    }
    app.node.set_token("another-token");
    app.submit(json!({})).await;
    app.wait_for_node(tryon_store::NodeState::Quarantined).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("accepted") && text.contains("an image was delivered"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
    let forged = text.lines().find(|line| line.starts_with("FORGED"));
    assert_eq!(forged, None, "{text}");
    let picture = picture();
    let signature = links[0].split_once("signature=").unwrap().1;
    for secret in [
        app.owner.key.as_str(),
        &app.owner.key[..20],
        CALLBACK_TOKEN,
        NODE_TOKEN,
        LINK_KEY,
        signature,
        "a-word-that-passes",
        "a-word-that-opens",
        &picture[picture.len() / 2..picture.len() / 2 + 24],
    ] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

/// The ledger's promises under whatever nodes do, in an order that nobody chose.
#[tokio::test]
async fn the_books_are_in_order_whatever_happens() {
    let app = TestApp::start_with(|config| config.jobs.max_lost = 2).await;
    let mut runner = TestRunner::deterministic();
    let reaction = proptest::sample::select(vec![
        Reaction::Report(result()),
        Reaction::ReportFirst(result()),
        Reaction::Report(Outcome::error(
            JobErrorCode::ProcessingError,
            "failed",
            false,
        )),
        Reaction::Report(Outcome::error(
            JobErrorCode::ProcessingError,
            "crashed",
            true,
        )),
        Reaction::Work,
        Reaction::refuse(400, "not this one"),
        Reaction::refuse(500, "Internal Server Error"),
        Reaction::busy(1),
        Reaction::DropAtHead,
        Reaction::DropAfterBody { taken: false },
        Reaction::DropAfterBody { taken: true },
    ]);
    let reactions = proptest::collection::vec(reaction, 40)
        .new_tree(&mut runner)
        .unwrap();
    app.node.script(reactions.current());
    let mut jobs = Vec::new();
    for index in 0..12 {
        jobs.push(app.submit(json!({"num_samples": index % 4 + 1})).await);
    }
    let mut rounds = 0;
    wait("the end of every job", async || {
        app.check_books().await;
        app.clock.advance(Duration::from_millis(500));
        rounds += 1;
        if rounds % 40 == 0 {
            app.node.forget();
        }
        app.balance(&app.owner).await.reserved == 0
    })
    .await;
    let mut delivered = 0;
    for job in jobs {
        let job = app.job(job).await;
        assert!(job.state.is_terminal());
        delivered += job
            .samples
            .iter()
            .filter(|sample| sample.output.is_some())
            .count();
    }
    assert_eq!(
        app.balance(&app.owner).await.available(),
        100 - delivered as u64
    );
    assert_eq!(app.pictures(Folder::Outputs).await.len(), delivered);
    app.wait_until_inputs_are_gone().await;
    app.check_books().await;
}
