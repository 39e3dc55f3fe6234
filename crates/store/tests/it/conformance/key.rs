use tryon_core::{
    id::KeyId,
    limit::Limits,
    scope::{Scope, Scopes},
};
use tryon_store::{NewKey, Store, StoreError};

use crate::fixture::{account_id, at};

fn key(number: u8, account: u8) -> NewKey {
    NewKey {
        id: KeyId::from_bytes([number; 12]),
        account: account_id(account),
        name: format!("key {number}"),
        prefix: format!("try_{number}"),
        hash: [number; 32],
        scopes: Scopes::ALL,
        expires_at: None,
    }
}

async fn make_accounts(store: &dyn Store) {
    for number in [1, 2] {
        let id = account_id(number);
        store
            .create_account(id, "", Limits::default(), at(0))
            .await
            .unwrap();
    }
}

pub(super) async fn a_key_opens_its_account(store: &dyn Store) {
    make_accounts(store).await;
    store.create_key(key(1, 1), at(1)).await.unwrap();
    store.create_key(key(2, 2), at(1)).await.unwrap();

    let caller = store
        .find_account_by_key(&[2; 32], at(9))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (caller.key, caller.account.id),
        (KeyId::from_bytes([2; 12]), account_id(2))
    );
    assert_eq!(
        store.find_account(account_id(2)).await.unwrap(),
        Some(caller.account)
    );
    assert_eq!(
        store.find_account_by_key(&[3; 32], at(9)).await.unwrap(),
        None
    );
}

pub(super) async fn a_revoked_key_opens_nothing(store: &dyn Store) {
    make_accounts(store).await;
    let (first, second) = (key(1, 1), key(2, 1));
    let (first_id, unknown) = (first.id, KeyId::from_bytes([9; 12]));
    store.create_key(first, at(1)).await.unwrap();
    store.create_key(second, at(1)).await.unwrap();

    assert!(store.revoke_key(first_id, at(2)).await.unwrap());
    assert_eq!(
        store.find_account_by_key(&[1; 32], at(9)).await.unwrap(),
        None
    );
    assert!(
        store
            .find_account_by_key(&[2; 32], at(9))
            .await
            .unwrap()
            .is_some()
    );

    assert!(!store.revoke_key(first_id, at(3)).await.unwrap());
    assert!(!store.revoke_key(unknown, at(3)).await.unwrap());
    let keys = store.list_keys(account_id(1)).await.unwrap();
    assert_eq!(keys[0].revoked_at, Some(at(2)));
}

pub(super) async fn keys_are_listed_oldest_first(store: &dyn Store) {
    make_accounts(store).await;
    for (number, account, second) in [(1, 1, 30), (2, 1, 10), (3, 2, 20), (4, 1, 20)] {
        store
            .create_key(key(number, account), at(second))
            .await
            .unwrap();
    }
    store
        .revoke_key(KeyId::from_bytes([4; 12]), at(40))
        .await
        .unwrap();

    let keys = store.list_keys(account_id(1)).await.unwrap();
    let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["key 2", "key 4", "key 1"]);
    assert_eq!(keys[0].account, account_id(1));
    assert_eq!(keys[0].prefix, "try_2");
    assert_eq!((keys[0].created_at, keys[0].revoked_at), (at(10), None));
    assert_eq!(keys[1].revoked_at, Some(at(40)));
}

pub(super) async fn a_key_needs_an_account(store: &dyn Store) {
    let refused = store.create_key(key(1, 9), at(1)).await;
    assert!(matches!(refused, Err(StoreError::NoSuchAccount(id)) if id == account_id(9)));

    make_accounts(store).await;
    store.create_key(key(1, 1), at(1)).await.unwrap();
    let same_secret = NewKey {
        hash: [1; 32],
        ..key(2, 2)
    };
    let refused = store.create_key(same_secret, at(2)).await;
    assert!(matches!(refused, Err(StoreError::Database(_))));
}

pub(super) async fn an_expired_key_opens_nothing(store: &dyn Store) {
    make_accounts(store).await;
    let brief = NewKey {
        expires_at: Some(at(10)),
        ..key(1, 1)
    };
    store.create_key(brief, at(1)).await.unwrap();
    store.create_key(key(2, 1), at(1)).await.unwrap();
    let opens = async |hash: u8, now| {
        let found = store.find_account_by_key(&[hash; 32], now).await;
        found.unwrap().is_some()
    };
    assert!(opens(1, at(9)).await);
    assert!(!opens(1, at(10)).await);
    assert!(opens(2, at(1_000_000)).await);
    let keys = store.list_keys(account_id(1)).await.unwrap();
    assert_eq!(
        (keys[0].expires_at, keys[1].expires_at),
        (Some(at(10)), None)
    );
    assert!(store.revoke_key(keys[0].id, at(11)).await.unwrap());
}

pub(super) async fn a_key_is_for_what_it_was_made_for(store: &dyn Store) {
    make_accounts(store).await;
    let some = [Scope::Submit, Scope::Status].into_iter().collect();
    let none = [].into_iter().collect();
    let kinds: [Scopes; 3] = [Scopes::ALL, some, none];
    for (number, scopes) in (1..).zip(kinds) {
        let key = NewKey {
            scopes,
            ..key(number, 1)
        };
        store.create_key(key, at(number.into())).await.unwrap();
        let found = store.find_account_by_key(&[number; 32], at(9)).await;
        assert_eq!(found.unwrap().unwrap().scopes, scopes);
    }
    let keys = store.list_keys(account_id(1)).await.unwrap();
    assert_eq!(keys.iter().map(|key| key.scopes).collect::<Vec<_>>(), kinds);
}
