//! Everything that is promised of pictures, in a bucket.

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use tryon_blob::{BlobError, Blobs, Folder, Key, Role};
use tryon_core::{id::JobId, task::OutputFormat, time::Timestamp};
use tryon_testkit::object_store::ObjectStore;

const FUTURE: Timestamp = Timestamp::from_millis(i64::MAX);

fn job(byte: u8) -> JobId {
    JobId::from_bytes([byte; 12])
}

fn output() -> Key {
    Key::output(job(1).sample(0).attempt(1), OutputFormat::Png)
}

async fn open(store: &ObjectStore, url: &str) -> Result<Blobs, BlobError> {
    Blobs::bucket(url, store.variables()).await
}

/// Variables that say something else than the store's own.
fn with(store: &ObjectStore, name: &str, value: &str) -> Vec<(String, String)> {
    let mut variables = store.variables();
    variables.retain(|(it, _)| it != name);
    variables.push((name.to_owned(), value.to_owned()));
    variables
}

/// Everything that an error and its sources say.
fn told(error: &dyn std::error::Error) -> String {
    let source = error.source().map(told).unwrap_or_default();
    format!("{error}: {source}")
}

#[tokio::test]
async fn pictures_are_put_read_listed_and_erased() {
    let store = ObjectStore::start("shop");
    // At the top of a bucket, and below a path of it.
    for url in ["s3://shop", "s3://shop/try/on"] {
        let blobs = open(&store, url).await.unwrap();
        let [upload, prepared] = [
            Key::upload(job(1), Role::Person),
            Key::prepared(job(1), Role::Person),
        ];
        for (key, picture) in [(upload, "u"), (prepared, "p"), (output(), "first")] {
            blobs.put(&key, picture.into()).await.unwrap();
        }
        blobs.put(&output(), "second".into()).await.unwrap();
        assert_eq!(blobs.get(&output()).await.unwrap().unwrap(), "second");
        assert!(!blobs.put_new(&output(), "third".into()).await.unwrap());
        assert_eq!(blobs.get(&output()).await.unwrap().unwrap(), "second");
        let blob = blobs.open(&output()).await.unwrap().unwrap();
        assert_eq!(blob.size, 6);
        assert!(blob.etag.starts_with('"') && blob.etag.ends_with('"'));
        let pieces: Vec<Bytes> = blob.stream.try_collect().await.unwrap();
        assert_eq!(pieces.concat(), b"second");

        for (folder, key) in [
            (Folder::Uploads, upload),
            (Folder::Prepared, prepared),
            (Folder::Outputs, output()),
        ] {
            assert_eq!(blobs.list(folder, FUTURE).await.unwrap(), [key], "{url}");
        }
        let past = Timestamp::from_millis(0);
        assert_eq!(blobs.list(Folder::Outputs, past).await.unwrap(), []);
        assert_eq!(blobs.erase_partial(FUTURE).await.unwrap(), 0);

        let absent = Key::upload(job(9), Role::Garment);
        blobs
            .delete(&[upload, absent, prepared, output()])
            .await
            .unwrap();
        for key in [upload, prepared, output()] {
            assert_eq!(blobs.get(&key).await.unwrap(), None);
            assert!(blobs.open(&key).await.unwrap().is_none());
        }
    }
}

#[tokio::test]
async fn nothing_is_left_of_the_probe_and_nothing_lies_outside_the_path() {
    let store = ObjectStore::start("shop");
    let blobs = open(&store, "s3://shop/try/on").await.unwrap();
    blobs.put(&output(), "picture".into()).await.unwrap();
    let folder = store.folder("shop");
    let names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| !name.to_str().unwrap().starts_with('.'))
        .collect();
    assert_eq!(names, ["try"]);
    let names: Vec<_> = std::fs::read_dir(folder.join("try/on"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["outputs"]);
}

#[tokio::test]
async fn a_signed_address_opens_one_picture_without_a_key() {
    let store = ObjectStore::start("shop");
    let blobs = open(&store, "s3://shop/try").await.unwrap();
    blobs.put(&output(), "picture".into()).await.unwrap();
    let minute = Duration::from_mins(1);
    let url = blobs.sign(&output(), minute).await.unwrap().unwrap();
    let answer = reqwest::get(url.clone()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(answer.bytes().await.unwrap(), "picture");

    let mut other = url.clone();
    other.set_path(&url.path().replace("0.1.png", "0.2.png"));
    assert_eq!(reqwest::get(other).await.unwrap().status(), 403);
    let mut bare = url;
    bare.set_query(None);
    assert_eq!(reqwest::get(bare).await.unwrap().status(), 403);
    // On disk and in memory there is nobody to sign for.
    let none = Blobs::memory().sign(&output(), minute).await.unwrap();
    assert_eq!(none, None);
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_is_found_at_once_and_says_what_was_tried() {
    let store = ObjectStore::start("shop");
    // Nobody listens there.
    let variables = with(&store, "AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let error = Blobs::bucket("s3://shop", variables).await.unwrap_err();
    let said = told(&error);
    assert!(said.contains("`s3://shop` cannot be written to"), "{said}");
    assert!(
        said.contains("AWS_ENDPOINT_URL=http://127.0.0.1:1"),
        "{said}"
    );

    let variables = with(&store, "AWS_SECRET_ACCESS_KEY", "another");
    let error = Blobs::bucket("s3://shop", variables).await.unwrap_err();
    let said = told(&error);
    assert!(
        said.contains("AWS_ENDPOINT_URL=http://127.0.0.1:"),
        "{said}"
    );
    assert!(said.contains("AWS_SECRET_ACCESS_KEY is set"), "{said}");
    assert!(said.contains("SignatureDoesNotMatch"), "{said}");
    assert!(!said.contains("another"), "{said}");
}
