use std::io::Read;

use tryon_api::callback::{ResultError, ResultImage};
use tryon_core::{error::JobErrorCode, task::OutputFormat, time::Timestamp};

use super::*;

const PICTURE: &[u8] = b"not really a picture\nbut bytes";

struct Folder {
    dir: tempfile::TempDir,
    config: SpoolConfig,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = SpoolConfig {
            dir: dir.path().join("spool"),
            ..SpoolConfig::default()
        };
        Self { dir, config }
    }

    fn open(&self) -> (Spool, Leftover) {
        Spool::open(&self.config).unwrap()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("spool").join(folder)).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

fn record(job_id: &str) -> Record {
    Record {
        job_id: job_id.to_owned(),
        user_id: "user".to_owned(),
        session_id: "session".to_owned(),
        provider: "preview".to_owned(),
        model_version: "1".to_owned(),
        accepted_at: Timestamp::from_millis(1),
        trace: None,
    }
}

fn document(job_id: &str, outcome: Outcome) -> Document {
    let head = record(job_id).result_head("node", 12);
    Document {
        head,
        outcome,
        ended_at: Timestamp::from_millis(2),
        trace: None,
    }
}

fn picture(job_id: &str) -> Document {
    let image = ResultImage {
        format: OutputFormat::Png,
        width: 2,
        height: 3,
    };
    document(
        job_id,
        Outcome::Picture {
            image,
            bytes: PICTURE.len() as u64,
        },
    )
}

#[test]
fn a_result_reads_back_after_a_restart_until_it_is_removed() {
    let folder = Folder::new();
    {
        let (spool, leftover) = folder.open();
        assert!(leftover.waiting.is_empty());
        spool.record(&record("a/b")).unwrap();
        spool.keep(&picture("a/b"), PICTURE).unwrap();
    }
    let (spool, leftover) = folder.open();
    assert_eq!(leftover.waiting, ["a/b"]);
    assert!(leftover.interrupted.is_empty());
    assert_eq!(leftover.ended.len(), 1);
    assert_eq!(spool.waiting_results(), 1);

    let (document, mut file) = spool.open_result("a/b").unwrap();
    assert_eq!(document, picture("a/b"));
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, PICTURE);

    spool.remove("a/b").unwrap();
    assert_eq!((spool.waiting_results(), spool.waiting_bytes()), (0, 0));
    assert!(folder.names("results").is_empty());
}

#[test]
fn a_job_that_was_left_behind_is_found() {
    let folder = Folder::new();
    folder.open().0.record(&record("a")).unwrap();
    assert_eq!(folder.open().1.interrupted, [record("a")]);
    folder.open().0.withdraw("a").unwrap();
    assert!(folder.open().1.interrupted.is_empty());
}

#[test]
fn a_death_between_result_and_record_leaves_the_result() {
    let folder = Folder::new();
    {
        let (spool, _) = folder.open();
        spool.record(&record("a")).unwrap();
        spool.keep(&picture("a"), PICTURE).unwrap();
    }
    fs::rename(
        folder
            .config
            .dir
            .join("ended")
            .join(&folder.names("ended")[0]),
        folder
            .config
            .dir
            .join("running")
            .join(&folder.names("ended")[0]),
    )
    .unwrap();
    let (_spool, leftover) = folder.open();
    assert_eq!(leftover.waiting, ["a"]);
    assert!(leftover.interrupted.is_empty());
    assert_eq!(leftover.ended.len(), 1);
}

#[test]
fn damage_is_set_aside_and_stops_nothing() {
    let folder = Folder::new();
    {
        let (spool, _) = folder.open();
        spool.keep(&picture("whole"), PICTURE).unwrap();
        spool.keep(&picture("short"), &PICTURE[1..]).unwrap();
    }
    let write = |name: &str, bytes: &[u8]| fs::write(folder.config.dir.join(name), bytes).unwrap();
    write("results/noise", &vec![0; 100_000]);
    write("running/noise-too", b"{}");
    write("results/half.part", b"{");

    let (spool, leftover) = folder.open();
    assert_eq!(leftover.waiting, ["whole"]);
    assert_eq!(spool.waiting_results(), 1);
    assert_eq!(folder.names("damaged").len(), 3);
    assert_eq!(folder.names("results").len(), 1);
}

#[test]
fn a_full_spool_says_so() {
    let mut folder = Folder::new();
    folder.config.max_bytes = 100;
    let (spool, _) = folder.open();
    assert_eq!(spool.find_overflow(), None);
    let error = ResultError {
        error: "cancelled".to_owned(),
        error_name: JobErrorCode::Cancelled,
        retryable: false,
    };
    spool
        .keep(&document("a", Outcome::Error(error)), &[])
        .unwrap();
    assert!(matches!(spool.find_overflow(), Some((waiting, 100)) if waiting > 100));
}

#[test]
fn an_ended_job_is_forgotten_after_its_time() {
    let mut folder = Folder::new();
    folder.open().0.record(&record("a")).unwrap();
    folder.open().0.mark_ended("a").unwrap();
    assert_eq!(folder.open().1.ended.len(), 1);
    folder.config.remember = crate::config::Seconds::new(0);
    assert!(folder.open().1.ended.is_empty());
}

#[test]
fn two_nodes_cannot_share_a_spool() {
    let folder = Folder::new();
    let _first = folder.open();
    assert!(matches!(
        Spool::open(&folder.config),
        Err(SpoolError::InUse { .. })
    ));
}
