//! A collector of traces: what it was sent, read as the published types say.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Instant,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1 as proto,
};
use prost::Message as _;

use crate::process::PATIENCE;

/// A span, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) kind: proto::span::SpanKind,
    pub(crate) failed: bool,
    /// When it began, in nanoseconds since the epoch, and how long it took.
    pub(crate) began: u64,
    pub(crate) nanos: u64,
    /// Values as text.
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) events: Vec<(String, BTreeMap<String, String>)>,
}

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    /// Heads of requests and their bodies, as they came.
    bodies: Vec<u8>,
    heads: Vec<String>,
}

/// It takes spans until the test ends.
#[derive(Clone)]
pub(crate) struct Collector {
    url: String,
    received: Arc<(Mutex<Received>, Condvar)>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self {
            url,
            received: Arc::default(),
        };
        let taking = collector.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taking = taking.clone();
                thread::spawn(move || while taking.take(&stream).is_some() {});
            }
        });
        collector
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Takes a request; `None` at the end of its connection.
    fn take(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = reader.read_line(&mut head).ok()?;
            (read > 0).then_some(())?;
        }
        let head = head.to_ascii_lowercase();
        let (_, length) = head.split_once("content-length: ")?;
        let length = length.lines().next()?.parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let request = ExportTraceServiceRequest::decode(&*body).unwrap();
        let (lock, bell) = &*self.received;
        let mut received = lock.lock().unwrap();
        received.heads.push(head);
        received.bodies.extend(body);
        received.spans.extend(read(request));
        bell.notify_all();
        drop(received);
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        let mut stream = stream;
        stream.write_all(answer).ok()
    }

    /// The spans so far, once they are what is waited for.
    pub(crate) fn wait_for(&self, what: &str, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let (lock, bell) = &*self.received;
        let begun = Instant::now();
        let mut received = lock.lock().unwrap();
        while !enough(&received.spans) {
            let left = PATIENCE.checked_sub(begun.elapsed());
            let left = left.unwrap_or_else(|| panic!("{what}: {:#?}", received.spans));
            received = bell.wait_timeout(received, left).unwrap().0;
        }
        received.spans.clone()
    }

    /// The spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.received.0.lock().unwrap().spans.clone()
    }

    /// Every byte of the bodies that it was sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.received.0.lock().unwrap().bodies.clone()
    }

    /// The heads of the requests, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.received.0.lock().unwrap().heads.clone()
    }
}

fn read(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap();
        let service = texts(&resource.attributes)["service.name"].clone();
        let sent = of_resource.scope_spans.into_iter().flat_map(|it| it.spans);
        spans.extend(sent.map(|span| read_span(&service, &span)));
    }
    spans
}

fn read_span(service: &str, span: &proto::Span) -> Span {
    let failed = proto::status::StatusCode::Error;
    Span {
        service: service.to_owned(),
        name: span.name.clone(),
        trace: hex::encode(&span.trace_id),
        id: hex::encode(&span.span_id),
        parent: hex::encode(&span.parent_span_id),
        kind: span.kind(),
        failed: span.status.as_ref().is_some_and(|it| it.code() == failed),
        began: span.start_time_unix_nano,
        nanos: span.end_time_unix_nano - span.start_time_unix_nano,
        attributes: texts(&span.attributes),
        events: span
            .events
            .iter()
            .map(|event| (event.name.clone(), texts(&event.attributes)))
            .collect(),
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        any_value::Value::BoolValue(truth) => Some(truth.to_string()),
        other => panic!("{other:?}"),
    };
    let named = |it: &KeyValue| Some((it.key.clone(), text(&it.value)?));
    attributes.iter().filter_map(named).collect()
}
