use tryon_core::{
    error::JobErrorCode, id::UserId, ledger::EntryKind, limit::Limits, time::Timestamp,
};
use tryon_store::{
    Before, Identity, NewAction, NewSession, NewUser, Proof, Store, StoreError, UsageDay,
};

use crate::fixture::{
    account_id, at, dispatch_one, error, make_account, output, prepare, ready_nodes, rich_account,
    submit,
};

fn user(number: u8, login: &str) -> NewUser {
    NewUser {
        id: UserId::from_bytes([number; 12]),
        login: login.to_owned(),
        account: account_id(1),
        is_operator: number == 1,
        password: Some(format!("hash {number}")),
    }
}

fn session(number: u8, user: u8, until: i64) -> NewSession {
    NewSession {
        hash: [number; 32],
        user: UserId::from_bytes([user; 12]),
        proof: Proof::Password(format!("hash {user}")),
        expires_at: at(until),
    }
}

fn identity(issuer: &str, subject: &str) -> Identity {
    Identity {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
    }
}

async fn make_users(store: &dyn Store) {
    let account = store.create_account(account_id(1), "shop", Limits::default(), at(0));
    account.await.unwrap();
    for (number, login) in [(1, "anna"), (2, "ben")] {
        assert!(store.create_user(user(number, login), at(1)).await.unwrap());
    }
}

/// The next sample that waits is made.
async fn complete_next(store: &dyn Store, second: i64) {
    let attempt = dispatch_one(store, second).await;
    let settled = store.complete_sample(attempt, output("picture"), at(second));
    settled.await.unwrap();
}

async fn who(store: &dyn Store, session: u8, now: Timestamp) -> Option<String> {
    let found = store.find_session(&[session; 32], now).await.unwrap();
    found.map(|visitor| visitor.user.login)
}

pub(super) async fn a_login_is_one_persons(store: &dyn Store) {
    make_users(store).await;
    assert!(!store.create_user(user(3, "anna"), at(2)).await.unwrap());
    let nobodys = NewUser {
        account: account_id(9),
        ..user(4, "dora")
    };
    let refused = store.create_user(nobodys, at(2)).await;
    assert!(matches!(refused, Err(StoreError::NoSuchAccount(id)) if id == account_id(9)));

    let anna = store.find_user("anna").await.unwrap().unwrap();
    assert_eq!(anna.password.as_deref(), Some("hash 1"));
    assert!(anna.is_operator && anna.disabled_at.is_none());
    assert_eq!((anna.account, anna.created_at), (account_id(1), at(1)));
    assert_eq!(store.find_user("dora").await.unwrap(), None);
    let logins = store.list_users().await.unwrap();
    let logins: Vec<_> = logins.into_iter().map(|user| user.login).collect();
    assert_eq!(logins, ["anna", "ben"]);
}

pub(super) async fn a_session_is_its_users_until_it_is_over(store: &dyn Store) {
    make_users(store).await;
    for opened in [session(1, 1, 100), session(2, 2, 50), session(3, 2, 100)] {
        assert!(store.open_session(opened, at(2)).await.unwrap());
    }
    assert!(!store.open_session(session(4, 9, 100), at(2)).await.unwrap());
    let anna = store.find_session(&[1; 32], at(3)).await.unwrap().unwrap();
    assert_eq!(
        (anna.user.login.as_str(), anna.account.id),
        ("anna", account_id(1))
    );
    assert_eq!(who(store, 2, at(49)).await.as_deref(), Some("ben"));
    assert_eq!(who(store, 2, at(50)).await, None);
    assert_eq!(who(store, 9, at(3)).await, None);

    store.close_session(&[1; 32]).await.unwrap();
    assert_eq!(who(store, 1, at(3)).await, None);
    assert_eq!(store.forget_sessions(at(50), 10).await.unwrap(), 1);
    assert_eq!(who(store, 2, at(3)).await, None);
    assert_eq!(who(store, 3, at(51)).await.as_deref(), Some("ben"));
}

pub(super) async fn whoever_is_shut_out_is_so_everywhere(store: &dyn Store) {
    make_users(store).await;
    let (anna, ben) = (user(1, "anna").id, user(2, "ben").id);
    let open = async |number, user| {
        let opened = store.open_session(session(number, user, 100), at(2)).await;
        opened.unwrap()
    };
    assert!(open(1, 1).await && open(2, 2).await);

    assert!(store.set_password(anna, "another").await.unwrap());
    assert_eq!(who(store, 1, at(3)).await, None);
    // Nor does whoever named the old one a moment before.
    assert!(!open(5, 1).await);
    let password = store.find_user("anna").await.unwrap().unwrap().password;
    assert_eq!(password.as_deref(), Some("another"));

    assert!(store.set_user_disabled(ben, Some(at(3))).await.unwrap());
    assert_eq!(who(store, 2, at(4)).await, None);
    assert!(!open(3, 2).await);
    assert!(store.set_user_disabled(ben, None).await.unwrap());
    // Not by what they had before.
    assert_eq!(who(store, 2, at(4)).await, None);
    assert!(open(4, 2).await);

    let nobody = UserId::from_bytes([9; 12]);
    assert!(!store.set_password(nobody, "another").await.unwrap());
    assert!(!store.set_user_disabled(nobody, None).await.unwrap());
}

pub(super) async fn an_identity_is_one_persons(store: &dyn Store) {
    make_users(store).await;
    let (anna, ben) = (user(1, "anna").id, user(2, "ben").id);
    let link = async |issuer, subject, user| {
        let identity = identity(issuer, subject);
        let linked = store.link_identity(&identity, user, at(2));
        linked.await.unwrap()
    };
    let login = async |issuer, subject| {
        let found = store.find_identity(&identity(issuer, subject)).await;
        found.unwrap().map(|user| user.login)
    };
    assert_eq!(login("one", "a").await, None);
    assert!(link("one", "a", anna).await);
    assert_eq!(login("one", "a").await.as_deref(), Some("anna"));
    // Nobody else is that, nor is she anybody else there.
    assert!(!link("one", "a", ben).await && !link("one", "b", anna).await);
    assert!(!link("one", "c", UserId::from_bytes([9; 12])).await);
    // What another provider calls so is somebody else.
    assert_eq!(login("two", "a").await, None);
    assert!(link("two", "a", ben).await && link("two", "b", anna).await);
    assert_eq!(login("two", "a").await.as_deref(), Some("ben"));
    assert_eq!(login("one", "a").await.as_deref(), Some("anna"));
}

pub(super) async fn an_identity_opens_its_users_sessions(store: &dyn Store) {
    make_users(store).await;
    let ben = user(2, "ben").id;
    let open = async |number, user, subject| {
        let session = NewSession {
            proof: Proof::Identity(identity("one", subject)),
            ..session(number, user, 100)
        };
        store.open_session(session, at(2)).await.unwrap()
    };
    assert!(!open(1, 2, "b").await);
    let known = identity("one", "b");
    let linked = store.link_identity(&known, ben, at(2));
    assert!(linked.await.unwrap());
    assert!(open(2, 2, "b").await);
    assert_eq!(who(store, 2, at(3)).await.as_deref(), Some("ben"));
    assert!(!open(3, 1, "b").await && !open(4, 2, "a").await);

    store.set_user_disabled(ben, Some(at(3))).await.unwrap();
    assert!(!open(5, 2, "b").await);
    store.set_user_disabled(ben, None).await.unwrap();
    assert!(open(6, 2, "b").await);
    assert!(store.unlink_identities(ben).await.unwrap());
    assert_eq!(who(store, 6, at(3)).await, None);
    assert!(!open(7, 2, "b").await);
    assert!(!store.unlink_identities(ben).await.unwrap());

    assert!(store.set_operator(ben, true).await.unwrap());
    assert!(store.find_user("ben").await.unwrap().unwrap().is_operator);
    assert!(store.set_operator(ben, false).await.unwrap());
    assert!(!store.find_user("ben").await.unwrap().unwrap().is_operator);
    let nobody = UserId::from_bytes([9; 12]);
    assert!(!store.set_operator(nobody, true).await.unwrap());
}

pub(super) async fn what_was_changed_is_read_backwards(store: &dyn Store) {
    make_users(store).await;
    for number in 0..5 {
        let action = NewAction {
            actor: "anna".to_owned(),
            account: (number % 2 == 0).then(|| account_id(1)),
            action: "key.create",
            detail: format!("key {number}"),
            form: (number > 2).then(|| format!("form {number}")),
        };
        let recorded = store.record_action(action.clone(), at(number)).await;
        assert!(recorded.unwrap());
        // The same form does nothing once more.
        if number > 2 {
            assert!(!store.record_action(action, at(number)).await.unwrap());
        }
    }
    let read = async |before, limit| store.list_actions(Before { before, limit }).await.unwrap();
    let first = read(None, 2).await;
    let details: Vec<_> = first.iter().map(|it| it.detail.as_str()).collect();
    assert_eq!(details, ["key 4", "key 3"]);
    assert_eq!(
        (first[0].account, first[1].account),
        (Some(account_id(1)), None)
    );
    assert_eq!((first[0].actor.as_str(), first[0].at), ("anna", at(4)));
    let rest = read(Some(first[1].id), 10).await;
    assert_eq!(rest.len(), 3);
    assert_eq!(rest[2].detail, "key 0");
    assert_eq!(read(Some(rest[2].id), 10).await, []);
}

pub(super) async fn the_ledger_is_read_backwards(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    make_account(store, 2, 7).await;
    ready_nodes(store, &["a"]).await;
    let job = prepare(store, 1, 2).await;
    complete_next(store, 2).await;
    complete_next(store, 3).await;
    let read = async |before, limit| {
        let entries = store.list_entries(account, Before { before, limit });
        entries.await.unwrap()
    };
    let all = read(None, 10).await;
    let kinds: Vec<_> = all.iter().map(|it| it.movement.kind).collect();
    assert_eq!(
        kinds,
        [EntryKind::Capture, EntryKind::Reserve, EntryKind::Grant]
    );
    assert_eq!((all[0].job, all[2].job), (Some(job), None));
    assert_eq!(
        (all[0].movement.subscription, all[0].movement.reserved),
        (-2, -2)
    );
    let pages = [read(None, 2).await, read(Some(all[1].id), 2).await].concat();
    assert_eq!(pages, all);
}

pub(super) async fn what_was_used_is_added_up_by_day(store: &dyn Store) {
    const DAY: i64 = 86_400;
    let account = rich_account(store, 10).await;
    let first = at(0).as_millis() / (DAY * 1000);
    ready_nodes(store, &["a"]).await;
    prepare(store, 1, 2).await;
    complete_next(store, 2).await;
    complete_next(store, 3).await;
    prepare(store, 4, 1).await;
    complete_next(store, 5).await;
    let failed = submit(store, 6, 1).await;
    let too_late = error(JobErrorCode::Timeout);
    let ended = store.end_job(failed, too_late, at(2 * DAY)).await;
    assert!(ended.unwrap().is_some());
    let day = |day, pictures, completed, failed| UsageDay {
        day,
        pictures,
        completed,
        failed,
    };
    let both = [day(first, 3, 2, 0), day(first + 2, 0, 0, 1)];
    assert_eq!(store.list_usage(account, first).await.unwrap(), both);
    assert_eq!(
        store.list_usage(account, first + 1).await.unwrap(),
        both[1..]
    );
    assert_eq!(store.list_usage(account_id(9), 0).await.unwrap(), []);
}
