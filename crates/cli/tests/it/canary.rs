//! A picture that can be recognised anywhere: what is left of it once its job has ended, and once
//! that was erased.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::Method;
use serde_json::{Value, json};
use tryon_testkit::{object_store::ObjectStore, postgres::PostgresServer};

use crate::{
    cluster::{Cluster, wait_killed},
    process::{PATIENCE, example, http},
};

pub(crate) const EXIF: &str = "a-canary-in-its-metadata";
pub(crate) const QUERY: &str = "a-canary-in-its-address";
pub(crate) const PERSON: &str = "a-canary-by-name@example.com";
pub(crate) const ORDER: &str = "a-canary-of-an-order";

/// Something to look for, and what it is.
type Marker = (&'static str, Vec<u8>);

/// The example with a description of the picture in its EXIF block.
pub(crate) fn canary() -> Vec<u8> {
    let mut block = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0e\x01\x02\0".to_vec();
    let length = u32::try_from(EXIF.len()).unwrap();
    for number in [length, 26, 0] {
        block.extend(number.to_le_bytes());
    }
    block.extend(EXIF.as_bytes());
    let size = u16::try_from(block.len() + 2).unwrap().to_be_bytes();
    let picture = fs::read(example("person-studio.jpg")).unwrap();
    let (start, rest) = picture.split_at(2);
    [start, &[0xff, 0xe1], &size, &block, rest].concat()
}

pub(crate) fn middle(bytes: &[u8]) -> Vec<u8> {
    bytes[bytes.len() / 2..][..48].to_vec()
}

/// Serves this file to whoever asks; gives its address.
pub(crate) fn serve(file: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 4096]);
            let length = file.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = client.write_all(head.as_bytes());
            let _ = client.write_all(&file);
        }
    });
    format!("http://{address}/canary.jpg?token={QUERY}")
}

fn submit(cluster: &Cluster, person: &str, number: u8) -> String {
    let garment = BASE64_STANDARD.encode(fs::read(example("garment-tee.jpg")).unwrap());
    let body = json!({
        "model_image": person,
        "garment_image": format!("data:image/jpeg;base64,{garment}"),
        "category": "tops",
        "mode": "performance",
        "end_user_id": PERSON,
    });
    let request = cluster.request(Method::POST, "/api/v1/tryon/clothes");
    let request = request.header("idempotency-key", format!("{ORDER} {number}"));
    let answer: Value = request.json(&body).send().unwrap().json().unwrap();
    answer["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let below = |path: PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    entries.flat_map(|entry| below(entry.path())).collect()
}

pub(crate) fn holds(bytes: &[u8], marker: &[u8]) -> bool {
    bytes.windows(marker.len()).any(|part| part == marker)
}

/// Cluster, where its data is, and the database's dump where that is no file.
struct Scene {
    cluster: Cluster,
    bucket: Option<ObjectStore>,
    server: Option<String>,
}

impl Scene {
    fn start(mut cluster: Cluster, bucket: Option<ObjectStore>, server: Option<String>) -> Self {
        cluster.watch();
        if let Some(bucket) = &bucket {
            cluster.keep_in(bucket, "shop");
        }
        cluster.start_node(None);
        cluster.start_gateway(None);
        Self {
            cluster,
            bucket,
            server,
        }
    }

    /// Where the markers are, in every byte that there is.
    fn find(&self, markers: &[Marker]) -> Vec<String> {
        let mut places = files(self.cluster.folder());
        places.extend(self.bucket.iter().flat_map(|it| files(&it.folder("shop"))));
        // One may be erased while they are read.
        let read = |path: &PathBuf| fs::read(path).unwrap_or_default();
        let mut texts: Vec<_> = places
            .iter()
            .map(|path| (path.display().to_string(), read(path)))
            .collect();
        if let Some(url) = &self.server {
            let dump = PostgresServer::shared().dump(url).unwrap();
            texts.push(("the database".to_owned(), dump));
        }
        let found = |(what, marker): &Marker| {
            let holding = texts.iter().filter(|(_, bytes)| holds(bytes, marker));
            let said = holding.map(|(place, _)| format!("{what} in {place}"));
            said.collect::<Vec<_>>()
        };
        markers.iter().flat_map(found).collect()
    }

    /// Waits until there is none of them anywhere.
    fn wait_until_gone(&self, markers: &[Marker]) {
        let begun = Instant::now();
        loop {
            let found = self.find(markers);
            if found.is_empty() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{found:?}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn download(&self, job: &str) -> (String, Vec<u8>) {
        let status = self.cluster.wait(job);
        assert_eq!(status["status"], "completed", "{status}");
        let link = status["output"][0].as_str().unwrap().to_owned();
        let picture = http().get(&link).send().unwrap().bytes().unwrap();
        (link, picture.to_vec())
    }
}

fn leave_nothing(scene: &Scene) {
    let picture = canary();
    let text = BASE64_STANDARD.encode(&picture);
    let inputs = [
        ("the picture", middle(&picture)),
        ("the picture as text", middle(text.as_bytes())),
        ("its metadata", EXIF.into()),
    ];
    let sent = submit(&scene.cluster, &format!("data:image/jpeg;base64,{text}"), 1);
    let named = submit(&scene.cluster, &serve(picture), 2);
    let (link, output) = scene.download(&sent);
    scene.download(&named);
    scene.wait_until_gone(&inputs);

    let said = [
        ("its address", QUERY.into()),
        ("the person", PERSON.into()),
        ("the order", ORDER.into()),
        ("the output", middle(&output)),
    ];
    let found = scene.find(&said).concat();
    for what in ["its address", "the order", "the output"] {
        assert!(
            found.contains(what),
            "{what} is kept where nobody looks: {found}"
        );
    }
    let path = format!("/api/v1/end-users/{PERSON}");
    let receipt: Value = scene
        .cluster
        .request(Method::DELETE, &path)
        .send()
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(
        (&receipt["status"], &receipt["jobs"]),
        (&json!("finished"), &json!(2))
    );
    assert_eq!(scene.find(&[&inputs[..], &said[..]].concat()), [""; 0]);
    assert_eq!(http().get(link).send().unwrap().status(), 410);
    assert_eq!(scene.cluster.credits(), (8, 0));
    let log = fs::read(scene.cluster.folder().join("log")).unwrap();
    assert!(
        holds(&log, sent.as_bytes()) && holds(&log, b"TRACE"),
        "logs are elsewhere"
    );
}

#[test]
fn nothing_is_left_in_a_file_on_a_disk_or_in_a_log() {
    leave_nothing(&Scene::start(Cluster::new(), None, None));
}

#[test]
fn nothing_is_left_in_a_bucket_or_on_a_server() {
    let url = PostgresServer::shared().create_database().unwrap();
    let bucket = Some(ObjectStore::start("shop"));
    leave_nothing(&Scene::start(Cluster::on(url.clone()), bucket, Some(url)));
}

#[test]
fn an_erasure_that_its_gateway_died_of_is_finished() {
    let mut cluster = Cluster::new();
    cluster.start_node(None);
    cluster.start_gateway(Some("gateway::during-erasure"));
    let job = cluster.submit().unwrap();
    cluster.wait(&job);
    let path = format!("/api/v1/jobs/{job}");
    let died = cluster.request(Method::DELETE, &path).send();
    assert!(died.is_err());
    wait_killed(&mut cluster.gateway);
    cluster.start_gateway(None);
    let receipt: Value = cluster
        .request(Method::DELETE, &path)
        .send()
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(receipt["status"], "finished", "{receipt}");
    // It knows of what was deleted before.
    assert_eq!(
        receipt["deleted"]["pictures"][2],
        json!({"storage": "disk", "folder": "outputs", "count": 1})
    );
    assert_eq!(cluster.status(&job)["output"], json!([]));
    assert_eq!(cluster.credits(), (9, 0));
}
