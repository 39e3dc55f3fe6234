//! The file itself.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use tokio::task::JoinSet;
use tryon_core::{error::JobErrorCode::Cancelled, id::ErasureId};
use tryon_store::{
    Idempotency, NewErasure, NewJob, Pair, Source, SqliteStore, Store, StoreError, Subject,
};

use crate::fixture::{account_id, at, error, job_id, many_jobs, new_job, rich_account, submit};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_is_created_is_for_its_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("data/store");
    let path = folder.join("tryon.db");
    let store = SqliteStore::open(&path).await.unwrap();
    rich_account(&store, 1).await;
    assert_eq!(mode(&folder), 0o700);
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
    }
    assert!(
        folder.join("tryon.db-wal").exists(),
        "the log is there to be looked at"
    );
}

#[tokio::test]
async fn an_operators_mode_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tryon.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    SqliteStore::open(&path).await.unwrap().close().await;
    assert_eq!(mode(&path), 0o640);
}

#[tokio::test]
async fn what_was_stored_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tryon.db");
    let store = SqliteStore::open(&path).await.unwrap();
    rich_account(&store, 5).await;
    let job = submit(&store, 1, 2).await;
    let (account, found) = (
        store.find_account(account_id(1)).await.unwrap(),
        store.find_job(job).await.unwrap(),
    );
    store.close().await;
    let closed = store.find_job(job).await;
    assert!(matches!(closed, Err(StoreError::Database(_))));

    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.find_account(account_id(1)).await.unwrap(), account);
    assert_eq!(store.find_job(job).await.unwrap(), found);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tryon.db");
    fs::write(
        &path,
        "these are not the rows you are looking for".repeat(100),
    )
    .unwrap();
    assert!(matches!(
        SqliteStore::open(&path).await,
        Err(StoreError::Database(_))
    ));
    let absent = folder.path().join("file/inside");
    fs::write(folder.path().join("file"), "").unwrap();
    assert!(matches!(
        SqliteStore::open(&absent).await,
        Err(StoreError::Database(_))
    ));
}

/// An older program must not write to what a newer one made.
#[tokio::test]
async fn a_schema_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tryon.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    let changed = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1";
    crate::place::execute(&path, changed).await.unwrap();
    assert!(matches!(
        SqliteStore::open(&path).await,
        Err(StoreError::Migration(_))
    ));
}

/// Whoever only looks at a database must neither make nor change one, also while it is in use.
#[tokio::test]
async fn a_store_that_is_opened_to_read_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tryon.db");
    let absent = SqliteStore::open_to_read(&path).await;
    assert!(matches!(absent, Err(StoreError::Database(_))));
    assert!(!path.exists());

    let live = SqliteStore::open(&path).await.unwrap();
    let reading = SqliteStore::open_to_read(&path).await.unwrap();
    check_reading(&live, &reading).await;
}

/// `reading` sees what `live` stores, and changes nothing.
pub(crate) async fn check_reading(live: &dyn Store, reading: &dyn Store) {
    rich_account(live, 5).await;
    assert_eq!(reading.audit().await.unwrap(), []);
    let account = live.find_account(account_id(1)).await.unwrap();
    assert_eq!(reading.find_account(account_id(1)).await.unwrap(), account);
    let written = reading.create_account(account_id(2), "", many_jobs(), at(0));
    assert!(matches!(written.await, Err(StoreError::Database(_))));
    assert_eq!(live.list_accounts().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_that_is_opened_to_read_keeps_its_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tryon.db");
    fs::write(&path, "").unwrap();
    let refused = SqliteStore::open_to_read(&path).await;
    assert!(matches!(
        refused,
        Err(StoreError::OtherSchema {
            found: 0,
            known: 1..
        })
    ));
    assert_eq!(fs::read(&path).unwrap(), b"");

    SqliteStore::open(&path).await.unwrap().close().await;
    let changed = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1";
    crate::place::execute(&path, changed).await.unwrap();
    let before = fs::read(&path).unwrap();
    let refused = SqliteStore::open_to_read(&path).await;
    assert!(matches!(
        refused,
        Err(StoreError::OtherSchema { found: 9999, .. })
    ));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fresh_file_can_be_opened_by_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tryon.db");
    let mut opening = JoinSet::new();
    for _ in 0..8 {
        let path = path.clone();
        opening.spawn(async move {
            let store = SqliteStore::open(&path).await.unwrap();
            store
                .set_limits(account_id(9), many_jobs())
                .await
                .unwrap_err();
        });
    }
    assert_eq!(opening.join_all().await.len(), 8);
}

#[tokio::test]
async fn stores_in_memory_are_apart() {
    let first = SqliteStore::open(":memory:").await.unwrap();
    let second = SqliteStore::open(":memory:").await.unwrap();
    first
        .create_account(account_id(1), "", many_jobs(), at(0))
        .await
        .unwrap();
    assert!(
        first
            .clone()
            .find_account(account_id(1))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(second.list_accounts().await.unwrap(), []);
}

const MARK: &[u8] = b"a-word-that-nobody-may-find";

fn wordy(number: u32) -> NewJob {
    let mark = str::from_utf8(MARK).unwrap();
    NewJob {
        sources: Pair {
            person: Source::Url(format!("https://shop.example/{mark}/{}", "x".repeat(300))),
            garment: None,
        },
        idempotency: Some(Idempotency {
            key: format!("{mark}-{number}"),
            request: [1; 32],
        }),
        trace: Some(format!("00-of-a-trace shop={mark}")),
        ..new_job(number, 1)
    }
}

fn count_marks(path: &Path) -> usize {
    let log = fs::read(path.with_extension("db-wal")).unwrap_or_default();
    let all = [fs::read(path).unwrap(), log].concat();
    let marks = all.windows(MARK.len()).filter(|window| *window == MARK);
    marks.count()
}

/// Not in the rows, not in free pages, and not in the log.
#[tokio::test]
async fn what_is_erased_is_gone_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tryon.db");
    let store = SqliteStore::open(&path).await.unwrap();
    rich_account(&store, 1000).await;
    for number in 0..200 {
        store.submit_job(wordy(number), at(1)).await.unwrap();
    }
    assert!(count_marks(&path) >= 400, "they are somewhere else");
    // Not in the order in which they came, so that pages are left half empty.
    for number in (0..200).map(|number| number * 73 % 200) {
        let (job, error) = (job_id(number), error(Cancelled));
        store.end_job(job, error, at(2)).await.unwrap();
        let new = NewErasure {
            id: ErasureId::from_bytes([u8::try_from(number).unwrap(); 12]),
            account: account_id(1),
            subject: Subject::Job(job),
        };
        let id = store
            .begin_erasure(new, at(9), at(3))
            .await
            .unwrap()
            .unwrap();
        store.forget_job(job, at(3)).await.unwrap();
        store.finish_erasure(id, at(9), at(3)).await.unwrap();
    }
    assert_eq!(count_marks(&path), 0);
    store.close().await;
    assert_eq!(count_marks(&path), 0);
}
