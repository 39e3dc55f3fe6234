use tryon_core::{error::JobErrorCode, id::AttemptId, task::Provider::Preview};
use tryon_store::{Node, NodeSpec, NodeState, Registered, Registration, Store, SweptNodes};

use crate::fixture::{
    at, attempt_of, dispatch, dispatch_one, error, output, prepare, ready_nodes, rich_account,
    set_ready, spec,
};

/// When a registration at this second ends.
const LEASE: i64 = 30;

async fn register(store: &dyn Store, node: &NodeSpec, second: i64) -> Registered {
    let (until, now) = (at(second + LEASE), at(second));
    store.register_node(node, until, now).await.unwrap()
}

async fn joined(store: &dyn Store, name: &str, second: i64) {
    assert_eq!(
        register(store, &spec(name), second).await,
        Registered::Joined
    );
    set_ready(store, name, &[Preview]).await;
}

async fn find(store: &dyn Store, name: &str) -> Option<Node> {
    store.find_node(name).await.unwrap()
}

fn moved(name: &str) -> NodeSpec {
    NodeSpec {
        url: "http://elsewhere:9000".to_owned(),
        ..spec(name)
    }
}

/// Gives the only due sample to the node, which registered.
async fn at_work(store: &dyn Store, name: &str) -> AttemptId {
    rich_account(store, 10).await;
    joined(store, name, 0).await;
    prepare(store, 1, 1).await;
    dispatch_one(store, 1).await
}

pub(super) async fn a_registered_node_is_given_work_until_its_lease_ends(store: &dyn Store) {
    rich_account(store, 10).await;
    prepare(store, 1, 1).await;
    joined(store, "a", 0).await;
    let registration = Registration {
        seen_at: at(0),
        until: at(30),
    };
    let found = find(store, "a").await.unwrap();
    assert_eq!(found.registration, Some(registration));
    assert!(!found.is_lost(at(29)) && found.is_lost(at(30)));
    assert_eq!(dispatch(store, 30).await, []);
    // It is heard of again: what it can do now is not known.
    assert_eq!(register(store, &spec("a"), 40).await, Registered::Joined);
    let found = find(store, "a").await.unwrap();
    assert_eq!(
        (found.state, found.providers),
        (NodeState::Unknown, Vec::new())
    );
    set_ready(store, "a", &[Preview]).await;
    assert_eq!(register(store, &spec("a"), 50).await, Registered::Renewed);
    let found = find(store, "a").await.unwrap();
    assert_eq!(found.state, NodeState::Ready);
    assert_eq!(found.registration.unwrap().seen_at, at(50));
    assert_eq!(dispatch(store, 79).await[0].node, "a");
}

pub(super) async fn a_name_is_its_nodes_until_that_is_gone(store: &dyn Store) {
    joined(store, "a", 0).await;
    let taken = Registered::Taken { url: spec("a").url };
    assert_eq!(register(store, &moved("a"), 29).await, taken);
    assert_eq!(find(store, "a").await.unwrap().url, spec("a").url);
    assert_eq!(register(store, &moved("a"), 30).await, Registered::Joined);
    let found = find(store, "a").await.unwrap();
    assert_eq!(
        (found.url, found.state),
        (moved("a").url, NodeState::Unknown)
    );
    let taken = Registered::Taken {
        url: moved("a").url,
    };
    assert_eq!(register(store, &spec("a"), 31).await, taken);
}

pub(super) async fn a_configured_name_is_never_given_away(store: &dyn Store) {
    ready_nodes(store, &["a"]).await;
    assert_eq!(register(store, &spec("a"), 0).await, Registered::Listed);
    let taken = Registered::Taken { url: spec("a").url };
    assert_eq!(register(store, &moved("a"), 1_000_000).await, taken);
    assert!(!store.leave_node("a", None, at(2)).await.unwrap());
    let swept = store.sweep_nodes(at(9), at(8)).await.unwrap();
    assert_eq!(swept, SweptNodes::default());
    let found = find(store, "a").await.unwrap();
    assert_eq!((found.state, found.registration), (NodeState::Ready, None));
}

pub(super) async fn a_list_leaves_registered_nodes_alone(store: &dyn Store) {
    joined(store, "a", 0).await;
    joined(store, "b", 0).await;
    // Two gateways that list different nodes.
    store.sync_nodes(&[spec("c")]).await.unwrap();
    store.sync_nodes(&[spec("d")]).await.unwrap();
    let nodes = store.list_nodes().await.unwrap();
    let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "d"]);
    assert_eq!(nodes[0].state, NodeState::Ready);
    // Whoever is listed is configured from then on.
    store.sync_nodes(&[spec("a"), moved("b")]).await.unwrap();
    let (a, b) = (find(store, "a").await, find(store, "b").await);
    let told = [a, b].map(|node| node.map(|node| (node.url, node.state, node.registration)));
    let expected = [
        (spec("a").url, NodeState::Ready, None),
        (moved("b").url, NodeState::Unknown, None),
    ];
    assert_eq!(told, expected.map(Some));
    store.sync_nodes(&[]).await.unwrap();
    assert_eq!(store.list_nodes().await.unwrap(), []);
}

pub(super) async fn a_node_that_leaves_frees_its_name_and_ends_its_work(store: &dyn Store) {
    let attempt = at_work(store, "a").await;
    let (here, elsewhere) = (spec("a").url, moved("a").url);
    let other = store.leave_node("a", Some(&elsewhere), at(2));
    assert!(!other.await.unwrap());
    assert!(!store.leave_node("ghost", None, at(2)).await.unwrap());
    assert!(store.leave_node("a", Some(&here), at(2)).await.unwrap());
    let again = store.leave_node("a", None, at(2));
    assert!(!again.await.unwrap(), "it is gone");
    assert_eq!(
        find(store, "a").await.unwrap().state,
        NodeState::Unreachable
    );

    prepare(store, 2, 1).await;
    let delivered = store.complete_sample(attempt, output("x"), at(3)).await;
    delivered.unwrap();
    assert_eq!(attempt_of(store, "a").await, None);
    assert_eq!(dispatch(store, 4).await, []);
    assert_eq!(register(store, &moved("a"), 5).await, Registered::Joined);
}

pub(super) async fn a_lost_node_is_forgotten_once_it_works_on_nothing(store: &dyn Store) {
    let attempt = at_work(store, "a").await;
    joined(store, "b", 20).await;
    joined(store, "idle", 0).await;
    let early = store.sweep_nodes(at(29), at(0)).await.unwrap();
    assert_eq!(early, SweptNodes::default());
    let mut lost = store.sweep_nodes(at(30), at(0)).await.unwrap();
    lost.lost.sort();
    assert_eq!(
        (lost.lost.join(" "), lost.forgotten),
        ("a idle".to_owned(), vec![])
    );
    assert_eq!(
        find(store, "a").await.unwrap().state,
        NodeState::Unreachable
    );
    let swept = store.sweep_nodes(at(31), at(30)).await.unwrap();
    assert_eq!(swept.forgotten, ["idle"], "the other works on something");

    let lost = error(JobErrorCode::PipelineError);
    store
        .lose_attempt(attempt, at(32), 9, lost, at(32))
        .await
        .unwrap();
    let swept = store.sweep_nodes(at(33), at(30)).await.unwrap();
    assert_eq!(
        (swept.lost, swept.forgotten),
        (vec![], vec!["a".to_owned()])
    );
    assert_eq!(find(store, "a").await, None);
    assert_eq!(find(store, "b").await.unwrap().state, NodeState::Ready);
}

pub(super) async fn a_node_is_found_by_its_name_and_by_its_work(store: &dyn Store) {
    let attempt = at_work(store, "a").await;
    joined(store, "b", 0).await;
    let found = store.find_node_at_work(attempt).await.unwrap();
    assert_eq!(found, find(store, "a").await);
    assert_eq!(found.unwrap().attempt, Some(attempt));
    let next = attempt.sample.attempt(attempt.number + 1);
    assert_eq!(store.find_node_at_work(next).await.unwrap(), None);
    assert_eq!(find(store, "ghost").await, None);
}
