use tryon_core::{
    error::JobErrorCode,
    id::AccountId,
    job::{JobState, SampleState},
    ledger::OutOfCredits,
    limit::Limits,
    task::{Provider, Region, TaskOptions},
};
use tryon_store::{JobPage, NewJob, Pair, Request, Source, Store, StoreError, SubmitError};

use crate::fixture::{
    DEADLINE, account_id, at, balance, dispatch, error, inputs, job_id, make_account, many_jobs,
    new_job, open_jobs, plan, prepare, ready_nodes, request, rich_account, submit,
};

pub(super) async fn a_job_reads_back(store: &dyn Store) {
    rich_account(store, 10).await;
    let new = NewJob {
        request: Request {
            options: TaskOptions::Tattoo {
                placement: Some("left arm — „oben“".to_owned()),
                region: Some(Region {
                    x: 0.1,
                    y: 0.2,
                    w: 0.3,
                    h: 0.7,
                }),
            },
            ..request()
        },
        seeds: vec![0, u64::MAX],
        trace: Some("00-where-it-goes-on".to_owned()),
        ..new_job(1, 0)
    };
    assert_eq!(store.find_job(new.id).await.unwrap(), None);
    store.submit_job(new.clone(), at(5)).await.unwrap();

    let job = store.find_job(new.id).await.unwrap().unwrap();
    assert_eq!((job.id, job.account), (new.id, new.account));
    assert_eq!((&job.request, job.plan), (&new.request, new.plan));
    assert_eq!(job.state, JobState::Accepted);
    assert_eq!(job.history.person, "https://example.org/1/person.jpg");
    assert_eq!(job.history.garment.as_deref(), Some("<base64>"));
    assert_eq!((job.created_at, job.deadline), (at(5), at(DEADLINE)));
    assert_eq!(
        (job.error, job.ended_at, job.outputs_erased_at),
        (None, None, None)
    );
    assert_eq!(job.trace, new.trace);
    for (index, (sample, seed)) in (0..).zip(job.samples.iter().zip(new.seeds)) {
        assert_eq!((sample.id, sample.seed), (new.id.sample(index), seed));
        assert_eq!((sample.state, sample.attempt), (SampleState::Queued, 0));
        assert_eq!((&sample.output, &sample.error), (&None, &None));
    }
    assert_eq!(job.samples.len(), 2);
}

pub(super) async fn a_job_reserves_one_credit_a_sample(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    submit(store, 1, 3).await;
    submit(store, 2, 1).await;
    let held = balance(store, account).await;
    assert_eq!(
        (held.subscription, held.reserved, held.available()),
        (10, 4, 6)
    );
    assert_eq!(open_jobs(store, account).await, 2);
}

pub(super) async fn without_credits_nothing_is_done(store: &dyn Store) {
    let account = rich_account(store, 3).await;
    let refused = store.submit_job(new_job(1, 4), at(1)).await;
    let expected = OutOfCredits {
        needed: 4,
        available: 3,
    };
    assert!(matches!(refused, Err(SubmitError::OutOfCredits(refused)) if refused == expected));
    assert_eq!(store.find_job(job_id(1)).await.unwrap(), None);
    assert_eq!(balance(store, account).await.available(), 3);
    assert_eq!(open_jobs(store, account).await, 0);
}

pub(super) async fn reserved_credits_are_not_spent_twice(store: &dyn Store) {
    let account = rich_account(store, 4).await;
    submit(store, 1, 3).await;
    let refused = store.submit_job(new_job(2, 2), at(2)).await;
    assert!(matches!(refused, Err(SubmitError::OutOfCredits(_))));
    submit(store, 3, 1).await;
    assert_eq!(balance(store, account).await.available(), 0);
}

pub(super) async fn too_many_jobs_are_refused_until_one_ends(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let limits = Limits {
        concurrent_jobs: 2,
        ..many_jobs()
    };
    store.set_limits(account, limits).await.unwrap();
    submit(store, 1, 1).await;
    submit(store, 2, 1).await;

    let refused = store.submit_job(new_job(3, 1), at(3)).await;
    assert!(matches!(
        refused,
        Err(SubmitError::TooManyJobs { open: 2, limit: 2 })
    ));
    assert_eq!(balance(store, account).await.reserved, 2);
    assert_eq!(open_jobs(store, account).await, 2);

    let cancelled = error(JobErrorCode::Cancelled);
    store
        .end_job(job_id(1), cancelled, at(4))
        .await
        .unwrap()
        .unwrap();
    submit(store, 3, 1).await;
}

pub(super) async fn a_job_needs_an_account(store: &dyn Store) {
    let refused = store.submit_job(new_job(1, 1), at(1)).await;
    let Err(SubmitError::Store(StoreError::NoSuchAccount(id))) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(id, account_id(1));
}

pub(super) async fn an_id_is_used_once(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    submit(store, 1, 2).await;
    let refused = store.submit_job(new_job(1, 1), at(2)).await;
    assert!(matches!(
        refused,
        Err(SubmitError::Store(StoreError::Database(_)))
    ));
    assert_eq!(balance(store, account).await.reserved, 2);
    assert_eq!(
        store
            .find_job(job_id(1))
            .await
            .unwrap()
            .unwrap()
            .samples
            .len(),
        2
    );
}

pub(super) async fn a_job_without_samples_is_refused(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let refused = store.submit_job(new_job(1, 0), at(1)).await;
    assert!(matches!(
        refused,
        Err(SubmitError::Store(StoreError::Database(_)))
    ));
    assert_eq!(open_jobs(store, account).await, 0);
}

pub(super) async fn jobs_are_listed_newest_first_in_pages(store: &dyn Store) {
    let account = rich_account(store, 20).await;
    for number in 1..=3 {
        submit(store, number, 2).await;
    }
    // Jobs of the same moment have an order too.
    store.submit_job(new_job(5, 1), at(3)).await.unwrap();
    store.submit_job(new_job(4, 1), at(3)).await.unwrap();
    let other = account_id(2);
    store
        .create_account(other, "", many_jobs(), at(0))
        .await
        .unwrap();

    let page = |account, after, limit| JobPage {
        account,
        after,
        limit,
    };
    let mut listed = Vec::new();
    loop {
        let jobs = store
            .list_jobs(page(account, listed.last().copied(), 2))
            .await
            .unwrap();
        assert!(jobs.iter().all(|job| !job.samples.is_empty()));
        if jobs.is_empty() {
            break;
        }
        assert!(jobs.len() <= 2);
        listed.extend(jobs.iter().map(|job| job.id));
    }
    assert_eq!(listed, [5, 4, 3, 2, 1].map(job_id));

    let first = store.list_jobs(page(account, None, 1)).await.unwrap();
    assert_eq!(first, [store.find_job(job_id(5)).await.unwrap().unwrap()]);
    assert_eq!(store.list_jobs(page(other, None, 9)).await.unwrap(), []);
    let unknown = Some(job_id(99));
    assert_eq!(
        store.list_jobs(page(account, unknown, 9)).await.unwrap(),
        []
    );
}

pub(super) async fn a_list_goes_on_after_ones_own_jobs_alone(store: &dyn Store) {
    let (account, other) = (
        rich_account(store, 20).await,
        make_account(store, 2, 20).await,
    );
    submit(store, 1, 1).await;
    let foreign = NewJob {
        account: other,
        ..new_job(2, 1)
    };
    store.submit_job(foreign, at(2)).await.unwrap();
    let page = JobPage {
        account,
        after: Some(job_id(2)),
        limit: 9,
    };
    assert_eq!(store.list_jobs(page).await.unwrap(), []);
}

pub(super) async fn jobs_are_found_together(store: &dyn Store) {
    rich_account(store, 20).await;
    for (number, samples) in [(3, 2), (1, 1), (2, 4)] {
        submit(store, number, samples).await;
    }
    let wanted = [3, 9, 1].map(job_id);
    let found = store.find_jobs(&wanted).await.unwrap();
    let expected = [1, 3].map(|number| store.find_job(job_id(number)));
    let [one, three] = expected.map(|job| async { job.await.unwrap().unwrap() });
    assert_eq!(found, [one.await, three.await]);
    assert_eq!(store.find_jobs(&[]).await.unwrap(), []);
}

pub(super) async fn the_oldest_job_is_prepared_first(store: &dyn Store) {
    rich_account(store, 10).await;
    assert_eq!(
        store.claim_preparation(at(1), at(2), &[]).await.unwrap(),
        None
    );
    store.submit_job(new_job(1, 1), at(20)).await.unwrap();
    let older = NewJob {
        sources: Pair {
            person: Source::Blob("uploads/2/person".to_owned()),
            garment: None,
        },
        plan: plan(Provider::Qwen),
        ..new_job(2, 1)
    };
    store.submit_job(older.clone(), at(10)).await.unwrap();

    let first = store
        .claim_preparation(at(30), at(40), &[])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first.job, job_id(2));
    assert_eq!(first.sources, older.sources);
    assert_eq!((first.request, first.plan), (older.request, older.plan));
    assert_eq!(first.deadline, at(DEADLINE));
    let second = store
        .claim_preparation(at(30), at(40), &[])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(second.job, job_id(1));
    assert_eq!(
        store.claim_preparation(at(30), at(40), &[]).await.unwrap(),
        None
    );
}

pub(super) async fn accounts_are_passed_over(store: &dyn Store) {
    let rich = rich_account(store, 10).await;
    let other = make_account(store, 2, 10).await;
    let oldest = submit(store, 1, 1).await;
    let theirs = NewJob {
        account: other,
        ..new_job(2, 1)
    };
    store.submit_job(theirs, at(2)).await.unwrap();
    let claim = async |passed_over: &[AccountId]| {
        let claimed = store.claim_preparation(at(3), at(60), passed_over).await;
        claimed
            .unwrap()
            .map(|claimed| (claimed.job, claimed.account))
    };
    assert_eq!(claim(&[rich, other]).await, None);
    assert_eq!(claim(&[rich]).await, Some((job_id(2), other)));
    assert_eq!(claim(&[rich]).await, None);
    assert_eq!(claim(&[other]).await, Some((oldest, rich)));
}

pub(super) async fn a_preparation_is_leased(store: &dyn Store) {
    rich_account(store, 10).await;
    let job = submit(store, 1, 1).await;
    assert!(
        store
            .claim_preparation(at(10), at(20), &[])
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        store.claim_preparation(at(19), at(29), &[]).await.unwrap(),
        None
    );
    let again = store
        .claim_preparation(at(20), at(30), &[])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.job, job);
    assert_eq!(
        store.claim_preparation(at(25), at(35), &[]).await.unwrap(),
        None
    );
}

pub(super) async fn a_job_past_its_deadline_is_not_prepared(store: &dyn Store) {
    rich_account(store, 10).await;
    submit(store, 1, 1).await;
    let past = at(DEADLINE);
    assert_eq!(
        store
            .claim_preparation(past, at(DEADLINE + 10), &[])
            .await
            .unwrap(),
        None
    );
    let just_before = at(DEADLINE - 1);
    assert!(
        store
            .claim_preparation(just_before, past, &[])
            .await
            .unwrap()
            .is_some()
    );
}

pub(super) async fn preparation_ends_once(store: &dyn Store) {
    rich_account(store, 10).await;
    ready_nodes(store, &["a"]).await;
    let job = submit(store, 1, 1).await;
    assert!(
        store
            .finish_preparation(job, inputs(job), at(2))
            .await
            .unwrap()
    );
    assert_eq!(
        store.find_job(job).await.unwrap().unwrap().state,
        JobState::Prepared
    );

    let other_inputs = Pair {
        person: "late".to_owned(),
        garment: None,
    };
    assert!(
        !store
            .finish_preparation(job, other_inputs.clone(), at(3))
            .await
            .unwrap()
    );
    assert_eq!(
        store
            .claim_preparation(at(100), at(200), &[])
            .await
            .unwrap(),
        None
    );
    assert_eq!(dispatch(store, 4).await[0].inputs, inputs(job));

    let ended = prepare(store, 5, 1).await;
    store
        .end_job(ended, error(JobErrorCode::Cancelled), at(6))
        .await
        .unwrap();
    assert!(
        !store
            .finish_preparation(ended, other_inputs.clone(), at(7))
            .await
            .unwrap()
    );
    assert!(
        !store
            .finish_preparation(job_id(99), other_inputs, at(7))
            .await
            .unwrap()
    );
}
