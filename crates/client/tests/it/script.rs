//! A server that says what it is told to.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// This is answered: a status, further headers with their line ends, a body.
    Say(&'static str, &'static str, String),
    /// This is sent as it is, and then the connection is closed.
    Raw(String),
    /// This is sent as it is, and nothing after it.
    Hold(String),
}

impl Answer {
    pub(crate) fn ok(body: &str) -> Self {
        Self::Say("200 OK", "", body.to_owned())
    }

    /// A stream of these events, which then breaks.
    pub(crate) fn events(events: &str) -> Self {
        Self::Raw(format!("{STREAM}{events}"))
    }
}

/// The head of a stream of events.
pub(crate) const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// The server.
pub(crate) struct Script {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Script {
    /// Answers requests in this order, a connection each. A request too many is closed.
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::default();
        let answers: Vec<_> = answers.into_iter().collect();
        let task = tokio::spawn(serve(listener, answers, Arc::clone(&seen)));
        Self { url, seen, task }
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, answers: Vec<Answer>, seen: Arc<Mutex<Vec<String>>>) {
    let mut kept = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_request(&mut stream).await;
        seen.lock().unwrap().push(head);
        let text = match &answer {
            Answer::Say(status, headers, body) => {
                let length = body.len();
                format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\
                     {headers}\r\n{body}"
                )
            }
            Answer::Raw(text) | Answer::Hold(text) => text.clone(),
        };
        // Who asked may have gone.
        let _ = stream.write_all(text.as_bytes()).await;
        if matches!(answer, Answer::Hold(_)) {
            kept.push(stream);
        }
    }
    while let Ok((stream, _)) = listener.accept().await {
        drop(stream);
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).await.unwrap(), 0, "{head}");
    }
    let head = head.to_ascii_lowercase();
    let length = head.split_once("content-length: ").map_or(0, |(_, rest)| {
        let (length, _) = rest.split_once("\r\n").unwrap();
        length.parse().unwrap()
    });
    reader.read_exact(&mut vec![0; length]).await.unwrap();
    head
}
