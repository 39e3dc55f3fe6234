//! Submitting: once, whatever becomes of the answer.

use tryon_client::{ApiErrorCode, Error, InputFault, JobErrorCode, Submission};
use tryon_testkit::{
    fake_node::{Outcome, Reaction},
    proxy::Harm,
};

use crate::stage::{CREDITS, Stage, clothes, soon};

/// The gateway took it each time, and the client heard of none but the last.
#[tokio::test]
async fn a_submission_whose_answer_is_lost_is_one_job_and_paid_once() {
    let stage = Stage::start().await;
    stage.deliver();
    stage.proxy.harm_next(Harm::CutAnswer(0));
    stage.proxy.harm_next(Harm::CutAnswer(20));
    let client = stage.client();
    let job = soon(client.submit(clothes().samples(2))).await.unwrap();
    assert_eq!(stage.proxy.harmed(), 2);
    assert_eq!(stage.count_jobs().await, 1);
    let done = soon(client.wait(job)).await.unwrap();
    assert_eq!((done.job, done.outputs.len()), (job, 2));
    assert_eq!(stage.balance().await.available(), u64::from(CREDITS - 2));
    stage.check_books().await;
}

#[tokio::test]
async fn a_request_that_is_cut_in_the_middle_is_sent_again() {
    let stage = Stage::start().await;
    stage.proxy.harm_next(Harm::CutRequest(300));
    soon(stage.client().submit(clothes())).await.unwrap();
    assert_eq!((stage.proxy.harmed(), stage.count_jobs().await), (1, 1));
}

/// Each call is a job, unless they have a name.
#[tokio::test]
async fn a_name_makes_two_submissions_one() {
    let stage = Stage::start().await;
    let client = stage.client();
    let named = Submission::from(clothes()).named("order-1042");
    let first = client.submit(&named).await.unwrap();
    assert_eq!(client.submit(&named).await.unwrap(), first);
    assert_ne!(client.submit(clothes()).await.unwrap(), first);

    let other = Submission::from(clothes().seed(7)).named("order-1042");
    let Err(Error::Refused(refusal)) = client.submit(other).await else {
        panic!("the name is another's")
    };
    assert_eq!(refusal.status, 409);
    for name in ["", "a\nb", "ü", &"n".repeat(256)] {
        let submission = Submission::from(clothes()).named(name);
        let error = client.submit(submission).await.unwrap_err();
        assert!(matches!(error, Error::Input(InputFault::Name)), "{error}");
    }
    assert_eq!(stage.count_jobs().await, 2);
}

#[tokio::test]
async fn a_job_that_fails_says_why_and_costs_nothing() {
    let stage = Stage::start().await;
    let outcome = Outcome::error(JobErrorCode::PoseError, "nobody is there", false);
    stage.node.otherwise(Reaction::Report(outcome));
    let error = soon(stage.client().run(&clothes())).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the job failed with PoseError: nobody is there"
    );
    assert!(!error.is_transient());
    let Error::JobFailed { failure, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(failure.code(), Some(JobErrorCode::PoseError));
    assert_eq!(stage.balance().await.available(), u64::from(CREDITS));
}

#[tokio::test]
async fn what_is_refused_is_said_at_once() {
    let stage = Stage::start().await;
    let refusal = |error| match error {
        Error::Refused(refusal) => refusal,
        other => panic!("{other}"),
    };
    let stranger = stage.client_with("tryon_nobody", |builder| builder);
    let refused = refusal(stranger.submit(clothes()).await.unwrap_err());
    assert_eq!(refused.status, 401);
    assert!(refused.is(ApiErrorCode::UnauthorizedAccess) && refused.request_id.is_some());
    refusal(stranger.credits().await.unwrap_err());

    let client = stage.client();
    let refused = refusal(client.submit(clothes().samples(9)).await.unwrap_err());
    assert_eq!(refused.status, 400);
    assert!(refused.message.contains("num_samples"), "{refused}");

    // Waiting for credits is of no use.
    for _ in 0..CREDITS / 4 {
        client.submit(clothes().samples(4)).await.unwrap();
    }
    let error = client.submit(clothes()).await.unwrap_err();
    assert!(!error.is_transient() && error.retry_after().is_some());
    assert!(refusal(error).is(ApiErrorCode::OutOfCredits));
}

#[tokio::test]
async fn no_key_is_printed() {
    let stage = Stage::start().await;
    let printed = format!("{:?}", stage.client());
    assert!(!printed.contains(&stage.key), "{printed}");
    let builder = tryon_client::Client::builder("http://a", tryon_client::Secret::new("tryon_k"));
    assert!(!format!("{builder:?}").contains("tryon_k"));
}
