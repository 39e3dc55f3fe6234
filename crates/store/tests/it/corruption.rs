//! The schema refuses what must not be, and the audit finds what was forced past it.

use std::path::Path;

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tryon_core::error::JobErrorCode::Cancelled;
use tryon_store::{SqliteStore, Store, Violation};

use crate::fixture::{account_id, at, dispatched_job, error, job_id, output, rich_account, submit};

/// Runs statements on the file behind the store's back.
pub(crate) async fn execute(path: &Path, statements: &'static str) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    sqlx::raw_sql(statements).execute(&mut connection).await?;
    connection.close().await
}

/// Account 1 has 10 credits; job 1 is completed with one image, job 2 failed, job 3 is open.
async fn make_store(path: &Path) -> SqliteStore {
    let store = SqliteStore::open(path).await.unwrap();
    rich_account(&store, 10).await;
    let attempt = dispatched_job(&store, 1, "a").await;
    store
        .complete_sample(attempt, output("x"), at(2))
        .await
        .unwrap();
    submit(&store, 2, 2).await;
    store
        .end_job(job_id(2), error(Cancelled), at(3))
        .await
        .unwrap();
    submit(&store, 3, 2).await;
    store
}

struct Case {
    /// What stands in the way.
    disarm: &'static str,
    /// The damage.
    damage: &'static str,
    /// What the audit finds.
    found: Vec<Violation>,
}

async fn check(case: Case) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tryon.db");
    let store = make_store(&path).await;
    assert_eq!(store.audit().await.unwrap(), []);

    let refused = execute(&path, case.damage).await;
    if !case.disarm.is_empty() {
        assert!(
            matches!(refused, Err(sqlx::Error::Database(_))),
            "{}",
            case.damage
        );
        assert_eq!(store.audit().await.unwrap(), []);
        execute(&path, case.disarm).await.unwrap();
        execute(&path, case.damage).await.unwrap();
    }
    assert_eq!(store.audit().await.unwrap(), case.found);
}

const ACCOUNT: &str = "010101010101010101010101";

#[tokio::test]
async fn a_second_settlement() {
    assert_eq!(account_id(1).to_string(), ACCOUNT);
    let account = account_id(1);
    check(Case {
        disarm: "DROP INDEX ledger_one_settlement",
        damage: "INSERT INTO ledger (account_id, job_id, kind, subscription, purchased, reserved,
                    created_at)
                 VALUES ('010101010101010101010101', '000000010000000000000000', 'capture',
                    -1, 0, -1, 0)",
        found: vec![
            Violation::Sum { account },
            Violation::Settlements {
                job: job_id(1),
                count: 2,
            },
            Violation::Captured {
                job: job_id(1),
                captured: 2,
                delivered: 1,
            },
        ],
    })
    .await;
}

/// What an update without its fence would do: bring an ended job back to life.
#[tokio::test]
async fn a_state_that_was_left_after_the_end() {
    let account = account_id(1);
    check(Case {
        disarm: "DROP TRIGGER jobs_stay_ended",
        damage: "UPDATE jobs SET state = 'running', ended_at = NULL
                 WHERE id = '000000010000000000000000'",
        found: vec![
            Violation::Reserved { account },
            Violation::OpenJobs { account },
            Violation::Settlements {
                job: job_id(1),
                count: 1,
            },
        ],
    })
    .await;
}

#[tokio::test]
async fn an_image_that_nobody_paid_for() {
    check(Case {
        disarm: "DROP TRIGGER samples_stay_ended",
        damage: "UPDATE samples SET state = 'succeeded', attempt = 1, error_name = NULL,
                    error_message = NULL, output = '{}'
                 WHERE job_id = '000000020000000000000000' AND idx = 0",
        found: vec![Violation::Captured {
            job: job_id(2),
            captured: 0,
            delivered: 1,
        }],
    })
    .await;
}

#[tokio::test]
async fn an_edited_ledger() {
    check(Case {
        disarm: "DROP TRIGGER ledger_rows_stay",
        damage: "UPDATE ledger SET subscription = 11 WHERE kind = 'grant'",
        found: vec![Violation::Sum {
            account: account_id(1),
        }],
    })
    .await;
}

#[tokio::test]
async fn a_deleted_settlement() {
    let account = account_id(1);
    check(Case {
        disarm: "DROP TRIGGER ledger_rows_are_kept",
        damage: "DELETE FROM ledger WHERE kind = 'release'",
        found: vec![
            Violation::Sum { account },
            Violation::Settlements {
                job: job_id(2),
                count: 0,
            },
        ],
    })
    .await;
}

#[tokio::test]
async fn credits_from_nowhere() {
    check(Case {
        disarm: "",
        damage: "UPDATE accounts SET purchased = purchased + 1",
        found: vec![Violation::Sum {
            account: account_id(1),
        }],
    })
    .await;
}

#[tokio::test]
async fn an_overdraft() {
    let account = account_id(1);
    check(Case {
        disarm: "PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET sql = replace(sql,
                    'CHECK (subscription + purchased - reserved >= 0)', 'CHECK (1)')
                 WHERE name = 'accounts'",
        damage: "UPDATE accounts SET subscription = 1",
        found: vec![Violation::Sum { account }, Violation::Overdrawn { account }],
    })
    .await;
}

#[tokio::test]
async fn a_forgotten_open_job() {
    check(Case {
        disarm: "",
        damage: "UPDATE accounts SET open_jobs = 0",
        found: vec![Violation::OpenJobs {
            account: account_id(1),
        }],
    })
    .await;
}

/// Damage that no audit needs to look for, because no row can hold it.
#[tokio::test]
async fn what_the_schema_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tryon.db");
    let _store = make_store(&path).await;
    let refused = [
        "UPDATE jobs SET state = 'dreaming' WHERE state = 'accepted'",
        "UPDATE jobs SET state = 'prepared' WHERE state = 'accepted'",
        "UPDATE jobs SET state = 'failed' WHERE state = 'accepted'",
        "UPDATE jobs SET ended_at = 1 WHERE state = 'accepted'",
        "UPDATE jobs SET inputs_erased_at = 1 WHERE state = 'accepted'",
        "UPDATE jobs SET request = 'not json'",
        "UPDATE samples SET state = 'paused' WHERE state = 'queued'",
        "UPDATE samples SET state = 'running' WHERE state = 'queued'",
        "UPDATE samples SET state = 'succeeded' WHERE state = 'queued'",
        "UPDATE samples SET due_at = 1 WHERE state = 'succeeded'",
        "UPDATE samples SET lost = 1 WHERE state = 'queued'",
        "UPDATE samples SET job_id = 'nobody'",
        "UPDATE accounts SET reserved = -1",
        "UPDATE accounts SET reserved = 1000",
        "UPDATE accounts SET open_jobs = -1",
        "UPDATE accounts SET subscription = 'many'",
        "UPDATE nodes SET state = 'fine'",
        "DELETE FROM accounts",
        "DELETE FROM jobs",
        "INSERT INTO ledger VALUES (NULL, '010101010101010101010101', NULL, 'gift', 1, 0, 0, 0)",
        "INSERT INTO ledger VALUES (NULL, '010101010101010101010101', NULL, 'grant', -1, 0, 0, 0)",
        "INSERT INTO ledger VALUES (NULL, '010101010101010101010101', NULL, 'release', 0, 0, 0, 0)",
        "INSERT INTO ledger VALUES (NULL, '010101010101010101010101',
            '000000030000000000000000', 'reserve', 0, 0, 2, 0)",
        "INSERT INTO ledger VALUES (NULL, '010101010101010101010101',
            '000000030000000000000000', 'capture', -3, 0, -2, 0)",
        "INSERT INTO ledger VALUES (NULL, 'nobody', NULL, 'grant', 1, 0, 0, 0)",
    ];
    for statement in refused {
        let outcome = execute(&path, statement).await;
        assert!(
            matches!(outcome, Err(sqlx::Error::Database(_))),
            "{statement}: {outcome:?}"
        );
    }
}
