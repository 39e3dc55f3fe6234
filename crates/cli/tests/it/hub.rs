//! A small hub on loopback: the two routes of the real one that `tryon models` asks, and its
//! faults.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The path and query.
    pub(crate) target: String,
    /// The `range` header.
    pub(crate) range: Option<String>,
    /// The `authorization` header.
    pub(crate) authorization: Option<String>,
}

impl Asked {
    /// Whether it is for the content of this file.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        let path = self.target.split_once("/resolve/");
        path.is_some_and(|(_, path)| path.ends_with(&format!("/{name}")))
    }
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// After its last byte.
    Whole,
    /// The connection is closed after so many bytes.
    Cut(usize),
    /// Nothing more comes after so many bytes, until the client goes away.
    Stall(usize),
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

impl Reply {
    pub(crate) fn of(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            end: End::Whole,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }
}

/// Makes another answer of the one that an honest hub would give.
type Twist = Box<dyn FnMut(&Asked, Reply) -> Reply + Send>;

/// Files of a repository by their names.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

struct State {
    files: Files,
    twist: Twist,
    asked: Vec<Asked>,
}

/// A hub whose every repository has the same files.
pub(crate) struct Hub {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    pub(crate) fn start(files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State {
            files,
            twist: Box::new(|_, reply| reply),
            asked: Vec::new(),
        }));
        let shared = state.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let shared = shared.clone();
                thread::spawn(move || serve(connection.unwrap(), &shared));
            }
        });
        Self { address, state }
    }

    /// What `HF_ENDPOINT` says: hubs may be under a path.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}/mirror/", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Answers otherwise from now on.
    pub(crate) fn twist(&self, twist: impl FnMut(&Asked, Reply) -> Reply + Send + 'static) {
        self.state.lock().unwrap().twist = Box::new(twist);
    }

    /// Is honest from now on.
    pub(crate) fn mend(&self) {
        self.twist(|_, reply| reply);
    }

    /// Commits another content.
    pub(crate) fn commit(&self, files: Files) {
        self.state.lock().unwrap().files = files;
    }

    /// What was asked since this was asked last.
    pub(crate) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

/// The files of a folder, by their paths in it.
pub(crate) fn files_of(folder: &Path) -> Files {
    let mut files = Files::new();
    collect(folder, "", &mut files);
    files
}

fn collect(folder: &Path, prefix: &str, files: &mut Files) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
}

fn serve(connection: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(connection);
    let Some(asked) = read_request(&mut reader) else {
        return;
    };
    let reply = {
        let mut state = state.lock().unwrap();
        state.asked.push(asked.clone());
        let reply = answer(&asked, &state.files);
        (state.twist)(&asked, reply)
    };
    // The client may have gone away.
    let _ = send(reader.get_mut(), &reply);
    if matches!(reply.end, End::Stall(_)) {
        let _ = reader.read(&mut [0]);
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let read = reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" if read == 0 => return None,
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |wanted: &str| {
        let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
        let mut found = headers.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value.to_owned())
    };
    Some(Asked {
        target: lines[0].split(' ').nth(1)?.to_owned(),
        range: header("range"),
        authorization: header("authorization"),
    })
}

fn send(connection: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    let length = reply.body.len();
    let mut head = format!(
        "HTTP/1.1 {} _\r\nconnection: close\r\ncontent-length: {length}\r\n",
        reply.status
    );
    for (name, value) in &reply.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let sent = match reply.end {
        End::Whole => length,
        End::Cut(sent) | End::Stall(sent) => sent.min(length),
    };
    connection.write_all((head + "\r\n").as_bytes())?;
    connection.write_all(&reply.body[..sent])
}

/// What an honest hub answers.
fn answer(asked: &Asked, files: &Files) -> Reply {
    let is_known = |revision: &str| revision == "main" || revision == commit_of(files);
    let target = asked.target.split('?').next().unwrap_or_default();
    if let Some((_, path)) = target.split_once("/api/models/") {
        return match path.split_once("/revision/") {
            Some((_, revision)) if is_known(revision) => list(files),
            _ => Reply::of(404),
        };
    }
    let file = target.split_once("/resolve/");
    let file = file.and_then(|(_, file)| file.split_once('/'));
    let file = file.filter(|(revision, _)| is_known(revision));
    match file.and_then(|(_, name)| Some((name, files.get(name)?))) {
        Some((name, content)) => file_reply(name, content, asked.range.as_deref()),
        None => Reply::of(404),
    }
}

fn list(files: &Files) -> Reply {
    let siblings: Vec<_> = files
        .iter()
        .map(|(name, content)| sibling(name, content))
        .collect();
    let listing = json!({"id": "x/y", "sha": commit_of(files), "siblings": siblings});
    Reply {
        body: listing.to_string().into_bytes(),
        ..Reply::of(200)
    }
}

fn sibling(name: &str, content: &[u8]) -> Value {
    let size = content.len();
    if !is_large(name) {
        return json!({"rfilename": name, "size": size, "blobId": git_blob(content)});
    }
    let pointer = format!("sha256:{}", sha256(content));
    let lfs = json!({"sha256": sha256(content), "size": size, "pointerSize": 134});
    json!({"rfilename": name, "size": size, "blobId": git_blob(pointer.as_bytes()), "lfs": lfs})
}

fn file_reply(name: &str, content: &[u8], range: Option<&str>) -> Reply {
    let tag = if is_large(name) {
        ("x-linked-etag", sha256(content))
    } else {
        ("etag", git_blob(content))
    };
    let start = range.map(|range| {
        let start = range.strip_prefix("bytes=").unwrap();
        start.strip_suffix('-').unwrap().parse::<usize>().unwrap()
    });
    let (status, body) = match start {
        None => (200, content),
        Some(start) if start < content.len() => (206, &content[start..]),
        Some(_) => return Reply::of(416),
    };
    let reply = Reply {
        body: body.to_vec(),
        ..Reply::of(status)
    };
    let reply = reply.header(tag.0, format!("\"{}\"", tag.1));
    match start {
        None => reply,
        Some(start) => {
            let (last, size) = (content.len() - 1, content.len());
            reply.header("content-range", format!("bytes {start}-{last}/{size}"))
        }
    }
}

/// Large files are kept apart from the small ones, which are in git.
fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors")
}

pub(crate) fn commit_of(files: &Files) -> String {
    let mut hasher = Sha1::new();
    for (name, content) in files {
        hasher.update(name);
        hasher.update(content);
    }
    hex::encode(hasher.finalize())
}

fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

fn git_blob(content: &[u8]) -> String {
    let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", content.len()));
    hasher.update(content);
    hex::encode(hasher.finalize())
}
