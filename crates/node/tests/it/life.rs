//! Results that arrive whatever happens, and starts and ends of a node.

use std::{fs, path::Path, pin::pin, sync::Arc, time::Duration};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tokio::time::timeout;
use tryon_core::secret::Secret;
use tryon_node::{
    Node, NodeConfig, SpoolError, StartError,
    config::{ConfigFault, Seconds},
};

use crate::{
    form::Form,
    stage::{Stage, TOKEN, client, send, supervise, until},
};

/// A job that runs until it is cancelled, or for some seconds.
fn long(job_id: &str) -> Form {
    Form::tryon(job_id).config(&json!({"prompt": "step-sleep:50", "steps": 100}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_arrives_through_errors_and_a_restart() {
    let stage = Stage::start().await;
    stage.receiver.answer(500);
    stage.submit(&Form::tryon("job")).await;
    stage.receiver.wait_for_requests("/results", 3).await;
    assert_eq!(stage.spooled("results"), 1);

    let stage = stage.restart().await;
    stage.receiver.wait_for_requests("/results", 5).await;
    stage.receiver.answer(200);
    let result = stage.result().await;
    assert_eq!(result.text("job_id"), "job");
    let picture = image::load_from_memory(&result.parts["output_image"].bytes).unwrap();
    assert_eq!((picture.width(), picture.height()), (48, 64));
    stage.wait_for_empty_spool().await;
    assert!(stage.receiver.rest("/results").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_arrives_through_errors_too() {
    let stage = Stage::start().await;
    stage.receiver.answer(503);
    stage.submit(&Form::tryon("job").doing("refuse:pose")).await;
    stage.receiver.wait_for_requests("/results", 3).await;
    stage.receiver.answer(204);
    assert_eq!(stage.result().await.text("error"), "refused: pose");
    stage.wait_for_empty_spool().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_device_does_not_wait_for_a_receiver_that_hangs() {
    let stage = Stage::start().await;
    stage.receiver.hold();
    stage.submit(&Form::tryon("a")).await;
    stage.receiver.wait_for_requests("/results", 1).await;
    stage.wait_for_slot().await;
    stage.submit(&Form::tryon("b")).await;
    stage.receiver.wait_for_requests("/results", 2).await;
    assert_eq!(stage.get("/health").await.status, 200);
    stage.receiver.release();
    stage.wait_for_empty_spool().await;
    assert_eq!(stage.receiver.rest("/results").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_answers_too_late_is_asked_again() {
    let stage = Stage::start_with(|config| {
        config.asset_service.timeout = Seconds::from(Duration::from_millis(200));
    })
    .await;
    stage.receiver.hold();
    stage.submit(&Form::tryon("job")).await;
    stage.receiver.wait_for_requests("/results", 2).await;
    stage.receiver.release();
    stage.wait_for_empty_spool().await;
    assert!(stage.receiver.rest("/results").len() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_not_there_yet_gets_its_result() {
    // Connections are taken by the system, and nobody answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/results", silent.local_addr().unwrap());
    let stage = Stage::start_with(|config| {
        config.asset_service.callback_url = url.parse().ok();
        config.asset_service.timeout = Seconds::from(Duration::from_millis(100));
    })
    .await;
    stage.submit(&Form::tryon("job")).await;
    until("no offer failed", async || {
        let failed = r#"tryon_node_deliveries_total{outcome="failed"}"#;
        (stage.figure(failed).await > 0).then_some(())
    })
    .await;
    assert_eq!(stage.spooled("results"), 1);
    let receiver = tryon_testkit::receiver::Receiver::start_on(silent);
    assert_eq!(receiver.next("/results").await.text("job_id"), "job");
    stage.wait_for_empty_spool().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_does_not_want_is_kept_for_it() {
    let stage = Stage::start().await;
    stage.receiver.answer(403);
    stage.submit(&Form::tryon("job")).await;
    stage.receiver.wait_for_requests("/results", 1).await;
    stage.wait_for_slot().await;
    assert_eq!(stage.spooled("results"), 1);
    stage.receiver.answer(200);
    let stage = stage.restart().await;
    assert_eq!(stage.result().await.text("job_id"), "job");
    stage.wait_for_empty_spool().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_nobody_takes_is_given_up_in_the_end() {
    let stage = Stage::start_with(|config| config.spool.keep = Seconds::new(0)).await;
    stage.receiver.answer(500);
    stage.submit(&Form::tryon("job")).await;
    stage.receiver.wait_for_requests("/results", 1).await;
    stage.wait_for_empty_spool().await;
}

/// Copies what a process that is killed now would leave on the disk.
fn copy_spool(from: &Path, to: &Path) {
    for folder in ["running", "results", "ended", "damaged"] {
        fs::create_dir_all(to.join(folder)).unwrap();
        for entry in fs::read_dir(from.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            fs::copy(&path, to.join(folder).join(name)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_leaves_its_results_and_its_job_to_the_next_one() {
    let killed = Stage::start().await;
    killed.receiver.answer(500);
    killed.submit(&Form::tryon("made")).await;
    killed.receiver.wait_for_requests("/results", 1).await;
    killed.wait_for_slot().await;
    killed.submit(&long("running")).await;

    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    copy_spool(&killed.config.spool.dir, &spool);
    let next = Stage::start_with(|config| config.spool.dir = spool).await;
    let results = [next.result().await, next.result().await];
    let find = |job_id: &str| {
        let found = results.iter().find(|it| it.text("job_id") == job_id);
        found.unwrap_or_else(|| panic!("no result of `{job_id}`"))
    };
    assert!(find("made").parts.contains_key("output_image"));
    let interrupted = find("running");
    assert_eq!(
        interrupted.text("error"),
        "the node restarted during the job"
    );
    assert_eq!(interrupted.text("error_name"), "ProcessingError");
    assert_eq!(interrupted.text("retryable"), "true");
    assert_eq!(interrupted.text("user_id"), "user-1");
    let complete = next.receiver.next("/job_complete").await;
    let complete: Value = serde_json::from_slice(&complete.body).unwrap();
    assert_eq!(complete["job_id"], "running");
    next.wait_for_empty_spool().await;
    // Neither is run again.
    for job_id in ["made", "running"] {
        next.submit(&Form::tryon(job_id)).await;
    }
    assert_eq!(next.get("/metrics").await.json()["vton_inference_count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_result_is_set_aside_and_holds_nothing_up() {
    let stage = Stage::start().await;
    stage.receiver.answer(500);
    stage.submit(&Form::tryon("job")).await;
    stage.receiver.wait_for_requests("/results", 1).await;
    let results = stage.config.spool.dir.join("results");
    let file = fs::read_dir(results).unwrap().next().unwrap().unwrap();
    fs::write(file.path(), "{").unwrap();
    until("the damage is not seen", async || {
        (stage.spooled("damaged") == 1).then_some(())
    })
    .await;
    stage.receiver.answer(200);
    stage.wait_for_slot().await;
    stage.submit(&Form::tryon("next")).await;
    assert_eq!(stage.result().await.text("job_id"), "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_takes_no_further_job() {
    let stage = Stage::start_with(|config| config.spool.max_bytes = 1).await;
    stage.receiver.answer(500);
    stage.submit(&Form::tryon("first")).await;
    stage.receiver.wait_for_requests("/results", 1).await;
    stage.wait_for_slot().await;
    let answer = stage.tryon(&Form::tryon("second")).await;
    assert_eq!(answer.status, 503);
    let detail = answer.detail();
    let expected = " bytes of results wait for their receiver and 1 are kept; \
                    no further job is accepted until some were received";
    assert!(detail.ends_with(expected), "{detail}");
    stage.receiver.answer(200);
    stage.wait_for_empty_spool().await;
    stage.submit(&Form::tryon("second")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_recorded_is_not_begun() {
    let stage = Stage::start().await;
    fs::remove_dir(stage.config.spool.dir.join("running")).unwrap();
    let answer = stage.tryon(&Form::tryon("job")).await;
    assert_eq!(answer.status, 503);
    let detail = answer.detail();
    assert!(
        detail.starts_with("the job cannot be recorded on disk: "),
        "{detail}"
    );
    assert_eq!(stage.get("/gpu/status").await.json()["busy"], false);
    // And not known: once the disk is mended, it is run.
    fs::create_dir(stage.config.spool.dir.join("running")).unwrap();
    stage.submit(&Form::tryon("job")).await;
    assert_eq!(stage.result().await.text("error"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_a_job_before_it_is_recorded() {
    let stage = Arc::new(Stage::start().await);
    // Writing the record waits until somebody reads it, and then fails: pipes cannot be synced.
    let record = stage
        .config
        .spool
        .dir
        .join("running/job.5e8c9902207afaeb.part");
    mknodat(CWD, &record, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let first = tokio::spawn({
        let stage = Arc::clone(&stage);
        async move { stage.tryon(&Form::tryon("job")).await }
    });
    stage.wait_for("/gpu/status", |it| it["busy"] == true).await;
    let form = Form::tryon("job");
    let mut twin = pin!(stage.tryon(&form));
    let early = timeout(Duration::from_millis(300), &mut twin).await;
    assert!(early.is_err(), "{}", early.unwrap().status);
    fs::read(&record).unwrap();
    let statuses = [first.await.unwrap().status, twin.await.status];
    assert_ne!(statuses[0], 202);
    assert_ne!(statuses[1], 202);
    assert_eq!(stage.spooled("running"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_cannot_be_written_is_delivered_from_memory() {
    let stage = Stage::start().await;
    let results = stage.config.spool.dir.join("results");
    fs::remove_dir(&results).unwrap();
    stage.receiver.answer(500);
    stage.submit(&Form::tryon("job")).await;
    stage.receiver.wait_for_requests("/results", 2).await;
    stage.wait_for_slot().await;
    let answer = stage.tryon(&Form::tryon("next")).await;
    assert_eq!(
        (answer.status, answer.detail().as_str()),
        (
            503,
            "the job cannot be recorded on disk: an earlier result could not be written either"
        )
    );
    // The disk is mended: the result is written down after the next offer that fails.
    fs::create_dir(&results).unwrap();
    until("the result is not written", async || {
        (stage.spooled("results") == 1).then_some(())
    })
    .await;
    stage.receiver.answer(200);
    let result = stage.result().await;
    assert!(result.parts.contains_key("output_image"));
    stage.wait_for_empty_spool().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_receiver_results_are_discarded() {
    let stage = Stage::start_with(|config| config.asset_service.callback_url = None).await;
    stage.submit(&Form::tryon("job")).await;
    let complete = stage.receiver.next("/job_complete").await;
    let body: Value = serde_json::from_slice(&complete.body).unwrap();
    assert_eq!(body["job_id"], "job");
    stage.wait_for_empty_spool().await;
    assert_eq!(stage.spooled("ended"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_lets_its_job_end_and_takes_no_other() {
    let stage = Stage::start().await;
    let config = json!({"prompt": "step-sleep:50", "steps": 20});
    stage.submit(&Form::tryon("last").config(&config)).await;
    stage.wait_for_pace().await;
    let (client, url) = (client(), format!("http://{}", stage.node.local_addr()));
    let stopping = tokio::spawn(stage.node.shutdown());
    until("the node goes on", async || {
        let request = client.post(format!("{url}/tryon"));
        let request = request.header("x-internal-auth", TOKEN);
        let request = request.header("content-type", Form::content_type());
        let answer = send(request.body(Form::tryon("late").encode())).await;
        (answer.status == 503).then(|| assert_eq!(answer.detail(), "the node is being stopped"))
    })
    .await;
    let health = send(client.get(format!("{url}/health"))).await;
    assert_eq!(health.status, 200, "it answers while its job ends");
    stopping.await.unwrap();
    let result = stage.receiver.next("/results").await;
    assert_eq!(result.text("job_id"), "last");
    assert!(result.parts.contains_key("output_image"));
    assert!(client.get(format!("{url}/health")).send().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_end_in_time_is_interrupted() {
    let stage = Stage::start_with(|config| {
        config.limits.shutdown_grace = Seconds::from(Duration::from_millis(10));
    })
    .await;
    stage.submit(&Form::tryon("job").doing("hang")).await;
    stage.node.shutdown().await;
    let result = stage.receiver.next("/results").await;
    assert_eq!(result.text("error"), "the node restarted during the job");
    assert_eq!(result.text("retryable"), "true");
}

/// Why a node of this configuration does not start.
async fn refusal(config: NodeConfig) -> StartError {
    match Node::start(config, supervise("ok")).await {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

fn startable(dir: &Path) -> NodeConfig {
    let mut config = NodeConfig::default();
    config.server.port = 0;
    config.security.internal_auth_token = Some(Secret::new(TOKEN));
    config.spool.dir = dir.join("spool");
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_start_with_a_wrong_configuration() {
    let mut config = NodeConfig::default();
    config.server.node_id.clear();
    config.limits.connections = 0;
    let error = refusal(config).await;
    assert_eq!(
        error.to_string(),
        "`security.internal_auth_token` is not set; set it (or `INCOMING_AUTH_TOKEN`), or say \
         `security.require_auth: false` on a network where everybody may use the device\n\
         `server.node_id` is empty\n\
         `limits.connections` is 0; the node could do nothing at all"
    );
    let StartError::Config(faults) = error else {
        panic!("{error}")
    };
    assert_eq!(faults[0], ConfigFault::NoToken);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = startable(dir.path());
    config.server.port = taken.local_addr().unwrap().port();
    let expected = format!("`127.0.0.1:{}` cannot be listened on: ", config.server.port);
    let error = refusal(config).await.to_string();
    assert!(error.starts_with(&expected), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_do_not_share_a_spool() {
    let stage = Stage::start().await;
    let error = refusal(startable(stage.dir.path())).await;
    assert!(
        matches!(error, StartError::Spool(SpoolError::InUse { .. })),
        "{error}"
    );
    // A folder that cannot be one is named.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("spool"), "a file").unwrap();
    let error = refusal(startable(dir.path())).await;
    assert!(
        matches!(error, StartError::Spool(SpoolError::Unusable { .. })),
        "{error}"
    );
}
