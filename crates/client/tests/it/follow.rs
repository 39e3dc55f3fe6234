//! Following and waiting, whatever happens on the way.

use std::time::Duration;

use futures::StreamExt as _;
use tryon_client::{Client, Error, Event, Events, JobErrorCode, JobId, Stage as At, Status};
use tryon_testkit::{fake_node::Reaction, proxy::Harm};

use crate::stage::{Stage, clothes, result, soon, wait};

async fn next(events: &mut Events) -> Event {
    soon(events.next()).await.expect("it goes on").unwrap()
}

/// The first event of which that holds.
async fn find(events: &mut Events, holds: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = next(events).await;
        if holds(&event) {
            return event;
        }
    }
}

fn step(event: &Event) -> Option<u32> {
    event.progress.as_ref()?.samples[0].step
}

fn is_running(event: &Event) -> bool {
    let progress = event.progress.as_ref();
    progress.is_some_and(|progress| progress.stage == At::Running)
}

/// A job that its node works on, and its attempt.
async fn submit(stage: &Stage, client: &Client) -> (JobId, String) {
    let count = stage.node.offers().len() + 1;
    let job = client.submit(&clothes()).await.unwrap();
    (job, stage.node.wait_for_offer(count).await.job_id())
}

#[tokio::test]
async fn a_job_is_followed_to_its_end_and_its_picture_downloaded() {
    let stage = Stage::start().await;
    let client = stage.client();
    let (first, attempt) = submit(&stage, &client).await;
    let second = client.submit(&clothes()).await.unwrap();
    let mut waiting = client.follow(second);
    let queued = |event: &Event| {
        let progress = event.progress.as_ref();
        progress.is_some_and(|progress| progress.queue_position == Some(1))
    };
    find(&mut waiting, queued).await;

    stage.node.set_progress(2, 8, 4000);
    let mut events = client.follow(first);
    let stepped = find(&mut events, |event| step(event).is_some()).await;
    let progress = stepped.progress.unwrap();
    let sample = &progress.samples[0];
    assert_eq!((sample.step, sample.steps), (Some(2), Some(8)));
    assert_eq!(progress.remaining_ms, Some(4000));

    stage.node.report(&attempt, &result()).await;
    let end = find(&mut events, |event| event.status.is_terminal()).await;
    assert_eq!(end.progress, None);
    assert!(events.next().await.is_none(), "the end is told once");
    let Status::Completed { outputs } = end.status else {
        panic!("it completed")
    };
    assert_eq!(client.wait(first).await.unwrap().outputs, outputs);
    let picture = client.download(&outputs[0]).await.unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
}

/// Nothing is told twice, and nothing is missed.
#[tokio::test]
async fn a_stream_that_is_cut_goes_on_where_it_broke() {
    let stage = Stage::start().await;
    let client = stage.client();
    let (job, attempt) = submit(&stage, &client).await;
    let mut events = client.follow(job);
    find(&mut events, is_running).await;

    let told = events.next();
    let resumed = async {
        // It counts the connection.
        stage.proxy.harm_next(Harm::Delay(Duration::ZERO));
        stage.proxy.cut();
        wait("the stream to be asked for", async || {
            stage.proxy.harmed() == 1
        })
        .await;
        // A gateway asks its node at once where somebody follows.
        let asked = stage.node.requests("GET /gpu/status");
        let again = stage.node.wait_for_requests("GET /gpu/status", asked + 2);
        again.await;
        stage.node.set_progress(3, 8, 4000);
    };
    let (told, ()) = soon(futures::future::join(told, resumed)).await;
    assert_eq!(step(&told.unwrap().unwrap()), Some(3));

    stage.node.report(&attempt, &result()).await;
    find(&mut events, |event| event.status.is_terminal()).await;
}

#[tokio::test]
async fn a_gateway_that_is_started_again_is_waited_for() {
    let stage = Stage::start().await;
    let client = stage.client();
    let (job, attempt) = submit(&stage, &client).await;
    let mut events = client.follow(job);
    find(&mut events, is_running).await;
    let waiting = tokio::spawn(async move { client.wait(job).await });
    // Whoever comes back too early finds nobody.
    stage.proxy.harm_next(Harm::Refuse);
    stage.proxy.harm_next(Harm::Refuse);
    let stage = stage.restart().await;
    stage.node.report(&attempt, &result()).await;
    let done = soon(waiting).await.unwrap().unwrap();
    assert_eq!(done.outputs.len(), 1);
    let end = find(&mut events, |event| event.status.is_terminal()).await;
    assert!(matches!(end.status, Status::Completed { .. }));
    assert_eq!(stage.proxy.harmed(), 2);
    stage.check_books().await;
}

/// The account follows too much already.
#[tokio::test]
async fn where_no_stream_is_to_be_had_the_status_is_asked_for() {
    let stage = Stage::start_with(|config| config.limits.followers = 1).await;
    let client = stage.client();
    let (job, attempt) = submit(&stage, &client).await;
    let mut followed = client.follow(job);
    next(&mut followed).await;
    let mut asked = client.follow(job);
    let first = next(&mut asked).await;
    assert_eq!((first.status, first.progress), (Status::Processing, None));
    stage.node.report(&attempt, &result()).await;
    let end = next(&mut asked).await;
    assert!(end.status.is_terminal(), "nothing is told twice");
    assert!(asked.next().await.is_none());
}

#[tokio::test]
async fn a_client_that_is_told_to_follows_nothing() {
    let stage = Stage::start().await;
    stage.node.script([Reaction::Work]);
    let polling = |builder: tryon_client::ClientBuilder| builder.poll_only(Duration::from_secs(1));
    let client = stage.client_with(&stage.key, polling);
    let (job, attempt) = submit(&stage, &client).await;
    let waiting = tokio::spawn(async move {
        let mut steps = 0;
        let done = client.wait_telling(job, |_| steps += 1).await;
        (done.unwrap(), steps)
    });
    stage.node.report(&attempt, &result()).await;
    let (done, steps) = soon(waiting).await.unwrap();
    assert_eq!((done.job, steps), (job, 0));
}

#[tokio::test]
async fn a_job_is_cancelled_while_it_is_followed() {
    let stage = Stage::start().await;
    let client = stage.client();
    let (job, _) = submit(&stage, &client).await;
    let mut events = client.follow(job);
    find(&mut events, is_running).await;
    let Status::Failed(failure) = client.cancel(job).await.unwrap() else {
        panic!("it had no picture")
    };
    assert_eq!(failure.code(), Some(JobErrorCode::Cancelled));
    let end = find(&mut events, |event| event.status.is_terminal()).await;
    assert_eq!(end.status, Status::Failed(failure.clone()));
    assert_eq!(
        client.cancel(job).await.unwrap(),
        Status::Failed(failure),
        "it stays so"
    );
}

#[tokio::test]
async fn a_job_that_cannot_be_waited_for_is_named() {
    let stage = Stage::start().await;
    let impatient = |builder: tryon_client::ClientBuilder| {
        let builder = builder.deadline(Duration::from_millis(300));
        builder.patience(Duration::from_millis(600))
    };
    let client = stage.client_with(&stage.key, impatient);
    let (job, _) = submit(&stage, &client).await;
    let error = client.wait(job).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { job: it, .. } if it == job));

    let unknown = JobId::from_bytes([7; 12]);
    let error = client.wait(unknown).await.unwrap_err();
    let Error::Lost { job, cause } = error else {
        panic!("{error}")
    };
    assert_eq!(job, unknown);
    assert!(matches!(*cause, Error::Refused(refusal) if refusal.status == 404));

    stage.proxy.lead_to([]);
    let patient =
        |builder: tryon_client::ClientBuilder| builder.patience(Duration::from_millis(600));
    let client = stage.client_with(&stage.key, patient);
    let error = client.wait(job).await.unwrap_err();
    assert!(error.is_transient());
    let Error::Lost { cause, .. } = error else {
        panic!("{error}")
    };
    assert!(matches!(*cause, Error::Unreachable(_)), "{cause}");
}
