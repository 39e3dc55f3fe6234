use tryon_core::{
    ledger::{Balance, Pool},
    limit::Limits,
};
use tryon_store::{Store, StoreError};

use crate::fixture::{account_id, at, balance, make_account, many_jobs};

pub(super) async fn an_account_starts_without_credits(store: &dyn Store) {
    let id = account_id(1);
    assert_eq!(store.find_account(id).await.unwrap(), None);
    store
        .create_account(id, "Ada's shop", many_jobs(), at(7))
        .await
        .unwrap();

    let account = store.find_account(id).await.unwrap().unwrap();
    assert_eq!(account.id, id);
    assert_eq!(account.name, "Ada's shop");
    assert_eq!(account.balance, Balance::default());
    assert_eq!(account.limits, many_jobs());
    assert_eq!(account.open_jobs, 0);
    assert_eq!(account.created_at, at(7));

    let again = store
        .create_account(id, "another", many_jobs(), at(8))
        .await;
    assert!(matches!(again, Err(StoreError::Database(_))));
    assert_eq!(
        store.find_account(id).await.unwrap().unwrap().name,
        "Ada's shop"
    );
}

pub(super) async fn accounts_are_listed_oldest_first(store: &dyn Store) {
    for (number, second) in [(1, 30), (2, 10), (3, 20)] {
        let id = account_id(number);
        store
            .create_account(id, "", Limits::default(), at(second))
            .await
            .unwrap();
    }
    let ids: Vec<_> = store
        .list_accounts()
        .await
        .unwrap()
        .iter()
        .map(|found| found.id)
        .collect();
    assert_eq!(ids, [account_id(2), account_id(3), account_id(1)]);
}

pub(super) async fn limits_are_replaced(store: &dyn Store) {
    let (id, other) = (account_id(1), account_id(2));
    for id in [id, other] {
        store
            .create_account(id, "", Limits::default(), at(0))
            .await
            .unwrap();
    }
    let limits = Limits {
        tryon_per_minute: 1,
        status_per_minute: 2,
        credits_per_minute: 3,
        concurrent_jobs: 4,
    };
    store.set_limits(id, limits).await.unwrap();
    assert_eq!(
        store.find_account(id).await.unwrap().unwrap().limits,
        limits
    );
    let untouched = store.find_account(other).await.unwrap().unwrap();
    assert_eq!(untouched.limits, Limits::default());

    let absent = store.set_limits(account_id(9), limits).await;
    assert!(matches!(absent, Err(StoreError::NoSuchAccount(id)) if id == account_id(9)));
}

pub(super) async fn what_all_hold_is_added_up(store: &dyn Store) {
    assert_eq!(store.sum_balances().await.unwrap(), Balance::default());
    make_account(store, 1, 5).await;
    make_account(store, 2, 7).await;
    let sum = store.sum_balances().await.unwrap();
    assert_eq!((sum.subscription, sum.purchased, sum.reserved), (12, 0, 0));
}

pub(super) async fn a_grant_goes_to_its_pool(store: &dyn Store) {
    let id = account_id(1);
    store
        .create_account(id, "", Limits::default(), at(0))
        .await
        .unwrap();
    let first = store
        .grant_credits(id, Pool::Subscription, 5, at(1))
        .await
        .unwrap();
    let second = store
        .grant_credits(id, Pool::Purchased, 7, at(2))
        .await
        .unwrap();
    assert_eq!(
        (first.subscription, first.purchased, first.reserved),
        (5, 0, 0)
    );
    assert_eq!(
        (second.subscription, second.purchased, second.reserved),
        (5, 7, 0)
    );
    assert_eq!(balance(store, id).await, second);

    let absent = store
        .grant_credits(account_id(9), Pool::Purchased, 1, at(3))
        .await;
    assert!(matches!(absent, Err(StoreError::NoSuchAccount(id)) if id == account_id(9)));
}
