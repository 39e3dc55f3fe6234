//! Requests on raw sockets: a client library decides for itself when it sends and when it reads.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{form::Form, stage::Stage};

/// A request in the making.
pub(crate) struct Wire {
    stream: TcpStream,
    body: Vec<u8>,
    sent: usize,
}

impl Wire {
    /// Connects, and sends nothing.
    pub(crate) async fn connect(stage: &Stage) -> Self {
        Self {
            stream: TcpStream::connect(stage.node.local_addr()).await.unwrap(),
            body: Vec::new(),
            sent: 0,
        }
    }

    /// Sends the head of `POST path`, and nothing of its body.
    pub(crate) async fn post(
        stage: &Stage,
        path: &str,
        token: &str,
        headers: &str,
        form: &Form,
    ) -> Self {
        let body = form.encode();
        let mut wire = Self::connect(stage).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: node\r\nX-Internal-Auth: {token}\r\n\
             Content-Type: {}\r\nContent-Length: {}\r\n{headers}\r\n",
            Form::content_type(),
            body.len()
        );
        wire.write(head.as_bytes()).await;
        Self { body, ..wire }
    }

    /// Sends these bytes, whatever they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends so many further bytes of the body.
    pub(crate) async fn send(&mut self, count: usize) {
        let end = self.body.len().min(self.sent + count);
        let part = &self.body[self.sent..end];
        self.stream.write_all(part).await.unwrap();
        self.sent = end;
    }

    /// Sends what is left of the body.
    pub(crate) async fn send_all(&mut self) {
        self.send(self.body.len()).await;
    }

    /// Reads one answer: its head and its body.
    pub(crate) async fn answer(&mut self) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.stream.read_exact(&mut body).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// Reads what comes until the node closes the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).await.unwrap();
        rest
    }
}
