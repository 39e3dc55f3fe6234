//! `tryon submit` against a gateway that answers as it is told to.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::process::{example, fail, run};

/// What the gateway does with one request.
#[derive(Clone, Copy)]
enum Answer {
    /// Answers with a status, further headers and a body.
    Say(&'static str, &'static str, &'static str),
    /// Hangs up.
    HangUp,
}

const SUBMITTED: Answer = Answer::Say("200 OK", "", r#"{"id": "0123456789abcdef01234567"}"#);
const PROCESSING: Answer = Answer::Say("200 OK", "", r#"{"status": "processing"}"#);
/// This gateway has no stream of events: it is asked for the status.
const NO_EVENTS: Answer = Answer::Say("404 Not Found", "", "{}");

/// A request.
struct Seen {
    line: String,
    /// Its `idempotency-key`.
    name: Option<String>,
    at: Instant,
}

/// Answers requests in this order, a connection each, and tells of each; then it is gone.
fn start(answers: &[Answer]) -> (String, mpsc::Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, seen) = mpsc::channel();
    let answers = answers.to_vec();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            tell.send(read_request(&stream)).unwrap();
            if let Answer::Say(status, headers, body) = answer {
                let length = body.len();
                let head = format!("content-length: {length}\r\nconnection: close\r\n{headers}");
                write!(stream, "HTTP/1.1 {status}\r\n{head}\r\n{body}").unwrap();
            }
        }
    });
    (url, seen)
}

/// Reads a request to its end.
fn read_request(stream: &TcpStream) -> Seen {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let header = |name| lines.iter().find_map(|line| line.strip_prefix(name));
    let length = header("content-length: ").map_or(0, |length| length.parse().unwrap());
    reader.read_exact(&mut vec![0; length]).unwrap();
    Seen {
        line: lines[0].clone(),
        name: header("idempotency-key: ").map(str::to_owned),
        at: Instant::now(),
    }
}

fn submit(url: &str) -> Vec<String> {
    let picture = |name| example(name).display().to_string();
    let (person, garment) = (picture("person-studio.jpg"), picture("garment-tee.jpg"));
    let args = [
        "submit", &person, &garment, "-o", "out.png", "--url", url, "--key", "tryon_x",
    ];
    args.map(str::to_owned).to_vec()
}

fn submit_and_fail(folder: &Path, answers: &[Answer]) -> (String, Vec<Seen>) {
    let (url, seen) = start(answers);
    let args = submit(&url);
    let said = fail(folder, &args.iter().map(String::as_str).collect::<Vec<_>>());
    (said, seen.iter().collect())
}

/// The job goes on all the while, and is paid for.
#[test]
fn a_job_is_waited_for_through_limits_faults_and_a_restart_of_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let limited = Answer::Say(
        "429 Too Many Requests",
        "retry-after: 2\r\n",
        r#"{"error": "RateLimitExceeded", "message": "slowly"}"#,
    );
    let ended = Answer::Say(
        "200 OK",
        "",
        r#"{"status": "failed", "error": {"name": "PoseError", "message": "nobody is there"}}"#,
    );
    let answers = [
        SUBMITTED,
        NO_EVENTS,
        PROCESSING,
        limited,
        Answer::Say("503 Service Unavailable", "", "<html>a proxy's page</html>"),
        Answer::HangUp,
        ended,
    ];
    let (said, seen) = submit_and_fail(folder.path(), &answers);
    assert!(
        said.contains("error: the job failed with PoseError: nobody is there"),
        "{said}"
    );
    let status = "get /api/v1/status/0123456789abcdef01234567 http/1.1";
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    let mut expected = vec![status; answers.len()];
    expected[0] = "post /api/v1/tryon/clothes http/1.1";
    expected[1] = "get /api/v1/status/0123456789abcdef01234567/events http/1.1";
    assert_eq!(lines, expected);
    // As long as it was told to wait.
    assert!(seen[4].at - seen[3].at >= Duration::from_secs(2));
}

/// Nobody knows what became of a submission that was not answered.
#[test]
fn a_submission_is_sent_again_under_the_same_name_until_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let ended = Answer::Say(
        "200 OK",
        "",
        r#"{"status": "failed", "error": {"name": "PoseError", "message": "nobody is there"}}"#,
    );
    let proxy = Answer::Say("502 Bad Gateway", "", "<html>a proxy's page</html>");
    let answers = [Answer::HangUp, proxy, SUBMITTED, NO_EVENTS, ended];
    let (said, seen) = submit_and_fail(folder.path(), &answers);
    assert!(said.contains("PoseError"), "{said}");
    let names: Vec<_> = seen.iter().map(|seen| seen.name.as_deref()).collect();
    let name = names[0].expect("the submission has a name");
    assert_eq!(names[..3], [Some(name), Some(name), Some(name)]);
    assert_eq!(names[3..], [None, None]);
    assert_eq!(name.len(), 32);

    let another = submit_and_fail(folder.path(), &[SUBMITTED, NO_EVENTS, ended]);
    assert_ne!(another.1[0].name.as_deref(), Some(name));
}

#[test]
fn what_waiting_cannot_mend_ends_it_and_the_job_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refusals = [
        Answer::Say("401 Unauthorized", "", r#"{"error": "UnauthorizedAccess"}"#),
        // Nobody waits for a day.
        Answer::Say("429 Too Many Requests", "retry-after: 86400\r\n", "{}"),
        Answer::Say("200 OK", "", "<html>a proxy's page</html>"),
    ];
    for refusal in refusals {
        let answers = [SUBMITTED, NO_EVENTS, refusal];
        let (said, seen) = submit_and_fail(folder.path(), &answers);
        assert!(
            said.contains("its id is 0123456789abcdef01234567"),
            "{said}"
        );
        assert_eq!(seen.len(), 3, "{said}");
    }
}

#[test]
fn whatever_a_gateway_says_the_client_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let refusals = [
        r#"{"error": "BadRequest", "message": "no"}"#,
        r#"{"error": "OutOfCredits", "message": "no"}"#,
        r#"{"error": "SomethingNew", "message": "no"}"#,
        "",
    ];
    for refusal in refusals {
        let answer = Answer::Say("400 Bad Request", "", refusal);
        let (said, _) = submit_and_fail(folder.path(), &[answer]);
        assert!(said.contains("error: the gateway answered 400"), "{said}");
    }
    let unknown = Answer::Say("200 OK", "", r#"{"status": "asleep"}"#);
    let (said, _) = submit_and_fail(folder.path(), &[SUBMITTED, NO_EVENTS, unknown]);
    assert!(said.contains("unknown job status `asleep`"), "{said}");
}

#[test]
fn outputs_are_written_where_they_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    // A server's address is not known before it has one: a second one keeps the picture.
    let (pictures, _seen) = start(&[Answer::Say("200 OK", "", "a picture")]);
    let done = format!(r#"{{"status": "completed", "output": ["{pictures}/out.png"]}}"#);
    let (url, _seen_too) = start(&[SUBMITTED, NO_EVENTS, Answer::Say("200 OK", "", done.leak())]);
    let args = submit(&url);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    assert_eq!(run(folder.path(), &args), "out.png\n");
    let written = std::fs::read(folder.path().join("out.png")).unwrap();
    assert_eq!(written, b"a picture");
}
