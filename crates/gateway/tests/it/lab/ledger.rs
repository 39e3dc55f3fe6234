//! What has to be true afterwards.

use std::{collections::BTreeMap, fmt, time::Duration};

use tryon_blob::Folder;
use tryon_core::{id::JobId, time::Timestamp};
use tryon_store::{Job, JobPage, WebhookState};

use super::{
    client::Ended,
    clock::PACE,
    world::{CREDITS, World},
};
use crate::stage::wait;

/// How late a deadline may be kept, in the laboratory's time: a gateway that swept may be killed
/// with the database, the other asks for its turn every five seconds of real time, and a machine
/// that does other things as well starts a database again in as many.
const GRACE: Duration = Duration::from_secs(60 * PACE as u64);

/// What a run came to.
pub(super) struct Report {
    jobs: usize,
    pictures: usize,
    errors: BTreeMap<String, usize>,
    told: usize,
    latest: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            jobs,
            pictures,
            errors,
            told,
            latest,
        } = self;
        write!(
            f,
            "{jobs} jobs delivered {pictures} pictures; {errors:?} failed; {told} ends were told; \
             the latest end was {latest:.1?} after its deadline"
        )
    }
}

/// Checks the books against what the clients saw.
pub(super) async fn check(world: &World, ended: &[Ended]) -> Report {
    let store = &world.store;
    assert_eq!(store.audit().await.unwrap(), []);

    let jobs = list_jobs(world).await;
    // A submission that was sent again is one job, and each client knows its jobs.
    assert_eq!(
        jobs.len(),
        ended.len(),
        "jobs, and those that clients know of"
    );
    let mut latest = Duration::ZERO;
    for seen in ended {
        let job = &jobs[&seen.id];
        assert!(job.state.is_terminal(), "{}", seen.id);
        let outputs = job.samples.iter().filter(|sample| sample.output.is_some());
        assert_eq!(outputs.count(), seen.pictures, "{}", seen.id);
        latest = latest.max(job.ended_at.unwrap().since(job.deadline));
    }
    assert!(latest < GRACE, "a job ended {latest:?} after its deadline");

    let failed = ended.iter().filter(|job| job.error.is_some()).count();
    assert!(2 * failed < ended.len(), "most jobs are done all the same");
    let pictures: usize = ended.iter().map(|job| job.pictures).sum();
    let account = store
        .find_account(world.customer.account)
        .await
        .unwrap()
        .unwrap();
    let spent = u64::from(CREDITS) - account.balance.available();
    assert_eq!(
        spent, pictures as u64,
        "credits, and pictures that were read"
    );
    assert_eq!((account.balance.reserved, account.open_jobs), (0, 0));

    check_inputs(world).await;
    let mut errors = BTreeMap::new();
    for error in ended.iter().filter_map(|job| job.error.clone()) {
        *errors.entry(error).or_default() += 1;
    }
    Report {
        jobs: jobs.len(),
        pictures,
        errors,
        told: check_messages(world, ended).await,
        latest,
    }
}

async fn list_jobs(world: &World) -> BTreeMap<JobId, Job> {
    let mut jobs = BTreeMap::new();
    let mut after = None;
    loop {
        let page = JobPage {
            account: world.customer.account,
            after,
            limit: 1000,
        };
        let listed = world.store.list_jobs(page).await.unwrap();
        let Some(last) = listed.last() else {
            return jobs;
        };
        after = Some(last.id);
        jobs.extend(listed.into_iter().map(|job| (job.id, job)));
    }
}

/// No input survives its job.
async fn check_inputs(world: &World) {
    wait("the end of the inputs", async || {
        let all = Timestamp::from_millis(i64::MAX);
        let mut left = world.blobs.list(Folder::Uploads, all).await.unwrap();
        left.extend(world.blobs.list(Folder::Prepared, all).await.unwrap());
        // What a gateway that was killed had stored for a job that never was is swept by its age.
        let mut of_jobs = 0;
        for key in left {
            of_jobs += usize::from(
                world
                    .store
                    .find_job(key.job().unwrap())
                    .await
                    .unwrap()
                    .is_some(),
            );
        }
        of_jobs == 0
    })
    .await;
}

/// Each end that is to be told is told, or waits for a receiver that refused it a while ago: none
/// is due and left where it is.
async fn check_messages(world: &World, ended: &[Ended]) -> usize {
    let mut delivered = 0;
    for job in ended {
        let mut found = None;
        wait("a message that is due", async || {
            let message = world.store.find_webhook(world.customer.account, job.id);
            found = message.await.unwrap();
            let due = found.as_ref().and_then(|message| message.due_at);
            due.is_none_or(|due| due > world.now())
        })
        .await;
        assert_eq!(found.is_some(), job.told, "{}", job.id);
        let message = found.filter(|message| message.state == WebhookState::Delivered);
        delivered += usize::from(message.is_some());
    }
    let told = ended.iter().filter(|job| job.told).count();
    assert!(delivered > 0 || told == 0, "nobody was told of {told} ends");
    delivered
}
