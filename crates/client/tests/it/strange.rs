//! Servers that are no gateway of today, and ways that are none.

use std::time::Duration;

use futures::StreamExt as _;
use tryon_client::{AnswerFault, Client, Error, JobId, Status};

use crate::{
    script::{Answer, STREAM, Script},
    stage::{client, clothes, soon},
};

const PROCESSING: &str = r#"{"status": "processing"}"#;
const COMPLETED: &str = r#"{"status": "completed", "output": ["https://a/1.png"]}"#;

fn connect(script: &Script) -> Client {
    client(&script.url, "tryon_x", |builder| builder)
}

fn job() -> JobId {
    JobId::from_bytes([7; 12])
}

/// What each request was for.
fn paths(script: &Script) -> Vec<String> {
    let seen = script.seen();
    let path = |head: &String| head.split(' ').nth(1).unwrap().to_owned();
    seen.iter().map(path).collect()
}

#[tokio::test]
async fn an_older_gateway_is_asked_and_so_is_one_behind_a_proxy_that_holds_streams_back() {
    let answers = [
        Answer::Say("404 Not Found", "", r#"{"error": "NotFound"}"#.to_owned()),
        Answer::Say("501 Not Implemented", "", String::new()),
        Answer::ok("<html>a page for people</html>"),
        Answer::Hold(STREAM.to_owned()),
        Answer::Hold(String::new()),
        Answer::events("data: {}\nevent: status\n\n"),
    ];
    for answer in answers {
        let what = format!("{answer:?}");
        let script = [answer, Answer::ok(PROCESSING), Answer::ok(COMPLETED)];
        let script = Script::start(script).await;
        let done = soon(connect(&script).wait(job())).await;
        assert_eq!(done.expect(&what).outputs, ["https://a/1.png"]);
        let status = format!("/api/v1/status/{}", job());
        let events = format!("{status}/events");
        assert_eq!(paths(&script), [events, status.clone(), status], "{what}");
    }
}

/// It is asked for anew as long as it brings something.
#[tokio::test]
async fn a_stream_that_breaks_is_resumed_and_what_is_not_known_is_passed_over() {
    let first = "retry: 300\nid: a1\nevent: status\ndata: {\"status\": \"processing\"}\n\n\
                 event: weather\ndata: rain\n\ndata: torn";
    let last = format!("id: b2\nevent: status\ndata: {COMPLETED}\n\n");
    let answers = [
        Answer::events(first),
        Answer::events(": nothing new\n\n"),
        Answer::events(&last),
    ];
    let script = Script::start(answers).await;
    let events: Vec<_> = soon(connect(&script).follow(job()).collect()).await;
    let statuses: Vec<_> = events.into_iter().map(|it| it.unwrap().status).collect();
    let outputs = vec!["https://a/1.png".to_owned()];
    assert_eq!(
        statuses,
        [Status::Processing, Status::Completed { outputs }]
    );
    let seen = script.seen();
    assert!(!seen[0].contains("last-event-id"), "{}", seen[0]);
    assert!(seen[1..].iter().all(|it| it.contains("last-event-id: a1")));
    assert!(
        seen.iter()
            .all(|it| it.contains("authorization: bearer tryon_x"))
    );
}

/// As long as it was told to wait, and through what a proxy says of a gateway that is not there.
#[tokio::test]
async fn limits_and_faults_on_the_way_are_waited_out() {
    let limited = r#"{"error": "RateLimitExceeded", "message": "slowly"}"#.to_owned();
    let answers = [
        Answer::Say("429 Too Many Requests", "retry-after: 2\r\n", limited),
        Answer::Say("503 Service Unavailable", "", "<html>".to_owned()),
        Answer::Raw(String::new()),
        Answer::events(&format!("event: status\ndata: {COMPLETED}\n\n")),
    ];
    let script = Script::start(answers).await;
    let began = std::time::Instant::now();
    soon(connect(&script).wait(job())).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(3));
    assert_eq!(script.seen().len(), 4);
}

#[tokio::test]
async fn what_is_no_answer_of_this_api_is_said_to_be_none() {
    let huge = "a".repeat(5 * 1024 * 1024);
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"ok\": ".to_owned();
    let script = [
        Answer::ok("<html>a proxy's page</html>"),
        Answer::ok(r#"{"status": "asleep"}"#),
        Answer::ok(&huge),
        Answer::Raw(half),
        Answer::Say("302 Found", "location: /elsewhere\r\n", String::new()),
        Answer::Say("404 Not Found", "", huge),
    ];
    let script = Script::start(script).await;
    let client = connect(&script);
    let error = client.credits().await.unwrap_err();
    assert!(
        matches!(error, Error::NotThisApi(AnswerFault::Unreadable(_))),
        "{error}"
    );
    let error = client.status(job()).await.unwrap_err();
    assert!(
        matches!(error, Error::NotThisApi(AnswerFault::Unreadable(_))),
        "{error}"
    );
    let error = client.status(job()).await.unwrap_err();
    assert!(
        matches!(error, Error::NotThisApi(AnswerFault::TooLarge { .. })),
        "{error}"
    );
    let error = client.status(job()).await.unwrap_err();
    assert!(
        matches!(error, Error::Unreachable(_)) && error.is_transient(),
        "{error}"
    );
    let error = client.status(job()).await.unwrap_err();
    let Error::Refused(refusal) = error else {
        panic!("{error}")
    };
    assert_eq!(
        (refusal.status, refusal.name.as_str()),
        (404, ""),
        "where it led to"
    );
}

#[tokio::test]
async fn a_download_is_whole_and_not_too_large_and_goes_without_the_key() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na pic".to_owned();
    let script = [
        Answer::Raw(half),
        Answer::ok("a picture"),
        Answer::ok("a larger picture"),
    ];
    let script = Script::start(script).await;
    let small = |builder: tryon_client::ClientBuilder| builder.largest_download(9);
    let client = client(&script.url, "tryon_x", small);
    let link = format!("{}/files/1.png?signature=secret", script.url);
    assert_eq!(soon(client.download(&link)).await.unwrap(), b"a picture");
    let error = client.download(&link).await.unwrap_err();
    assert!(matches!(
        error,
        Error::NotThisApi(AnswerFault::TooLarge { limit: 9 })
    ));
    assert!(script.seen().iter().all(|head| !head.contains("tryon_x")));
    drop(script);
    let impatient = |builder: tryon_client::ClientBuilder| builder.doubt(Duration::ZERO);
    let client = crate::stage::client("http://a", "k", impatient);
    let error = client.download(&link).await.unwrap_err();
    assert!(!format!("{error:?}").contains("signature"), "{error:?}");
    assert!(client.download("data:image/png;base64,AA").await.is_err());
}

/// Nobody took it: whoever submits may do so elsewhere.
#[tokio::test]
async fn a_gateway_that_is_not_there_is_said_at_once() {
    let script = Script::start([]).await;
    let url = script.url.clone();
    drop(script);
    let client = client(&url, "k", |builder| builder);
    tokio::task::yield_now().await;
    let error = client.submit(clothes()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
}
