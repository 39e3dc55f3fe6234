//! The schema refuses what must not be, and the audit finds what was forced past it.

use tryon_core::error::JobErrorCode::Cancelled;
use tryon_store::{NewAction, Violation};

use crate::{
    fixture::{account_id, at, dispatched_job, error, job_id, output, rich_account, submit},
    place::{Place, Shared},
};

/// Account 1 has 10 credits; job 1 is completed with one image, job 2 failed, job 3 is open.
async fn make_store(place: &Place) -> Shared {
    let store = place.open().await;
    rich_account(&**store, 10).await;
    let attempt = dispatched_job(&**store, 1, "a").await;
    store
        .complete_sample(attempt, output("x"), at(2))
        .await
        .unwrap();
    submit(&**store, 2, 2).await;
    store
        .end_job(job_id(2), error(Cancelled), at(3))
        .await
        .unwrap();
    submit(&**store, 3, 2).await;
    store
}

struct Case {
    /// What stands in the way, and how each backend takes it away; empty where nothing does.
    disarm: Disarm,
    /// The damage.
    damage: &'static str,
    /// What the audit finds.
    found: Vec<Violation>,
}

#[derive(Clone, Copy, Default)]
struct Disarm {
    sqlite: &'static str,
    postgres: &'static str,
}

impl From<&'static str> for Disarm {
    fn from(both: &'static str) -> Self {
        Self {
            sqlite: both,
            postgres: both,
        }
    }
}

async fn check(case: Case) {
    check_at(&Place::sqlite().await, &case, case.disarm.sqlite).await;
    check_at(&Place::postgres().await, &case, case.disarm.postgres).await;
}

async fn check_at(place: &Place, case: &Case, disarm: &'static str) {
    let store = make_store(place).await;
    assert_eq!(store.audit().await.unwrap(), []);

    let refused = place.execute(case.damage).await;
    if !disarm.is_empty() {
        assert!(refused.is_err(), "{}", case.damage);
        assert_eq!(store.audit().await.unwrap(), []);
        place.execute(disarm).await.unwrap();
        place.execute(case.damage).await.unwrap();
    }
    assert_eq!(store.audit().await.unwrap(), case.found);
}

const ACCOUNT: &str = "010101010101010101010101";

#[tokio::test]
async fn a_second_settlement() {
    assert_eq!(account_id(1).to_string(), ACCOUNT);
    let account = account_id(1);
    check(Case {
        disarm: "DROP INDEX ledger_one_settlement".into(),
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
        disarm: Disarm {
            sqlite: "DROP TRIGGER jobs_stay_ended",
            postgres: "DROP TRIGGER jobs_stay_ended ON jobs",
        },
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
        disarm: Disarm {
            sqlite: "DROP TRIGGER samples_stay_ended",
            postgres: "DROP TRIGGER samples_stay_ended ON samples",
        },
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
        disarm: Disarm {
            sqlite: "DROP TRIGGER ledger_rows_stay",
            postgres: "DROP TRIGGER ledger_rows_stay ON ledger",
        },
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
        disarm: Disarm {
            sqlite: "DROP TRIGGER ledger_rows_are_kept",
            postgres: "DROP TRIGGER ledger_rows_are_kept ON ledger",
        },
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
        disarm: Disarm::default(),
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
        disarm: Disarm {
            sqlite: "PRAGMA writable_schema = ON;
                     UPDATE sqlite_schema SET sql = replace(sql,
                        'CHECK (subscription + purchased - reserved >= 0)', 'CHECK (1)')
                     WHERE name = 'accounts'",
            postgres: "ALTER TABLE accounts DROP CONSTRAINT not_overdrawn",
        },
        damage: "UPDATE accounts SET subscription = 1",
        found: vec![Violation::Sum { account }, Violation::Overdrawn { account }],
    })
    .await;
}

#[tokio::test]
async fn a_forgotten_open_job() {
    check(Case {
        disarm: Disarm::default(),
        damage: "UPDATE accounts SET open_jobs = 0",
        found: vec![Violation::OpenJobs {
            account: account_id(1),
        }],
    })
    .await;
}

#[tokio::test]
async fn an_end_that_nobody_is_told() {
    check(Case {
        disarm: Disarm::default(),
        damage: "UPDATE jobs SET webhook_url = 'https://a.example/'",
        found: [1, 2]
            .map(|it| Violation::Untold { job: job_id(it) })
            .into(),
    })
    .await;
}

/// Damage that no audit needs to look for, because no row can hold it.
const REFUSED: &[&str] = &[
    "UPDATE actions SET actor = 'nobody'",
    "DELETE FROM actions",
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
    "INSERT INTO ledger (account_id, job_id, kind, subscription, purchased, reserved, created_at)
        VALUES ('010101010101010101010101', NULL, 'gift', 1, 0, 0, 0)",
    "INSERT INTO ledger (account_id, job_id, kind, subscription, purchased, reserved, created_at)
        VALUES ('010101010101010101010101', NULL, 'grant', -1, 0, 0, 0)",
    "INSERT INTO ledger (account_id, job_id, kind, subscription, purchased, reserved, created_at)
        VALUES ('010101010101010101010101', NULL, 'release', 0, 0, 0, 0)",
    "INSERT INTO ledger (account_id, job_id, kind, subscription, purchased, reserved, created_at)
        VALUES ('010101010101010101010101',
        '000000030000000000000000', 'reserve', 0, 0, 2, 0)",
    "INSERT INTO ledger (account_id, job_id, kind, subscription, purchased, reserved, created_at)
        VALUES ('010101010101010101010101',
        '000000030000000000000000', 'capture', -3, 0, -2, 0)",
    "INSERT INTO ledger (account_id, job_id, kind, subscription, purchased, reserved, created_at)
        VALUES ('nobody', NULL, 'grant', 1, 0, 0, 0)",
];

#[tokio::test]
async fn what_the_schema_refuses() {
    for place in [Place::sqlite().await, Place::postgres().await] {
        let store = make_store(&place).await;
        let action = NewAction {
            actor: "anna".to_owned(),
            account: None,
            action: "node.drain",
            detail: String::new(),
            form: None,
        };
        assert!(store.record_action(action, at(1)).await.unwrap());
        for statement in REFUSED {
            let outcome = place.execute(statement).await;
            assert!(outcome.is_err(), "{statement}");
        }
    }
}
