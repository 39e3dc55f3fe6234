use tryon_core::task::Provider::{Lightxv, Preview, Qwen};
use tryon_store::{Node, NodeState, Store};

use crate::fixture::{
    at, attempt_of, dispatch, dispatched_job, error, output, prepare, ready_nodes, rich_account,
    set_ready, spec,
};
use tryon_core::{error::JobErrorCode, time::Timestamp};

async fn node(store: &dyn Store, name: &str) -> Node {
    let nodes = store.list_nodes().await.unwrap();
    nodes.into_iter().find(|node| node.name == name).unwrap()
}

pub(super) async fn the_list_follows_the_configuration(store: &dyn Store) {
    store.sync_nodes(&[spec("b"), spec("a")]).await.unwrap();
    let nodes = store.list_nodes().await.unwrap();
    let fresh = Node {
        name: "a".to_owned(),
        url: "http://a:9000".to_owned(),
        state: NodeState::Unknown,
        providers: vec![],
        attempt: None,
        hold_until: Timestamp::from_millis(0),
        faults: 0,
        drained: false,
        registration: None,
    };
    assert_eq!(nodes[0], fresh);
    assert_eq!(nodes[1].name, "b");

    set_ready(store, "a", &[Qwen]).await;
    store.sync_nodes(&[spec("c"), spec("a")]).await.unwrap();
    let names: Vec<_> = store
        .list_nodes()
        .await
        .unwrap()
        .into_iter()
        .map(|n| n.name)
        .collect();
    assert_eq!(names, ["a", "c"]);
    let kept = node(store, "a").await;
    assert_eq!((kept.state, kept.providers), (NodeState::Ready, vec![Qwen]));
    store.sync_nodes(&[]).await.unwrap();
    assert_eq!(store.list_nodes().await.unwrap(), []);
}

pub(super) async fn a_node_that_moved_is_unknown(store: &dyn Store) {
    ready_nodes(store, &["a"]).await;
    let mut moved = spec("a");
    "http://elsewhere:9000".clone_into(&mut moved.url);
    store.sync_nodes(&[moved.clone()]).await.unwrap();
    let found = node(store, "a").await;
    assert_eq!((found.url, found.state), (moved.url, NodeState::Unknown));
}

pub(super) async fn a_probe_is_recorded(store: &dyn Store) {
    store.sync_nodes(&[spec("a"), spec("b")]).await.unwrap();
    for state in NodeState::ALL {
        store
            .set_node_state("a", state, &[Qwen, Lightxv])
            .await
            .unwrap();
        let found = node(store, "a").await;
        assert_eq!((found.state, found.providers), (state, vec![Qwen, Lightxv]));
    }
    assert_eq!(node(store, "b").await.state, NodeState::Unknown);
}

pub(super) async fn faults_are_counted_in_a_row(store: &dyn Store) {
    ready_nodes(store, &["a"]).await;
    assert_eq!(store.count_node_fault("a").await.unwrap(), 1);
    assert_eq!(store.count_node_fault("a").await.unwrap(), 2);
    store
        .set_node_state("a", NodeState::Unreachable, &[])
        .await
        .unwrap();
    assert_eq!(node(store, "a").await.faults, 2);
    set_ready(store, "a", &[Preview]).await;
    assert_eq!(node(store, "a").await.faults, 2, "a probe proves nothing");
    store.clear_node_faults("a").await.unwrap();
    assert_eq!(node(store, "a").await.faults, 0);
    assert_eq!(store.count_node_fault("a").await.unwrap(), 1);
}

pub(super) async fn a_hold_is_replaced(store: &dyn Store) {
    ready_nodes(store, &["a"]).await;
    store.hold_node("a", at(100)).await.unwrap();
    store.hold_node("a", at(5)).await.unwrap();
    assert_eq!(node(store, "a").await.hold_until, at(5));
}

pub(super) async fn an_unconfigured_node_is_passed_over(store: &dyn Store) {
    store
        .set_node_state("ghost", NodeState::Ready, &[Preview])
        .await
        .unwrap();
    store.hold_node("ghost", at(5)).await.unwrap();
    assert_eq!(store.count_node_fault("ghost").await.unwrap(), 0);
    store.clear_node_faults("ghost").await.unwrap();
    assert_eq!(store.list_nodes().await.unwrap(), []);
}

pub(super) async fn a_removed_node_leaves_its_sample_to_the_lease(store: &dyn Store) {
    rich_account(store, 10).await;
    let attempt = dispatched_job(store, 1, "a").await;
    ready_nodes(store, &["b"]).await;
    let expired = store.list_expired_leases(at(61), 9).await.unwrap();
    assert_eq!(
        (expired[0].attempt, expired[0].node.as_str()),
        (attempt, "a")
    );

    let pipeline = error(JobErrorCode::PipelineError);
    store
        .lose_attempt(attempt, at(62), 9, pipeline, at(62))
        .await
        .unwrap();
    let again = dispatch(store, 62).await;
    assert_eq!(again[0].node, "b");
    // What the removed node delivers after all still counts, and frees the other one.
    store
        .complete_sample(attempt, output("x"), at(63))
        .await
        .unwrap();
    assert_eq!(attempt_of(store, "b").await, None);
}

pub(super) async fn a_drained_node_is_given_nothing_more(store: &dyn Store) {
    rich_account(store, 10).await;
    let attempt = dispatched_job(store, 1, "a").await;
    assert!(store.set_node_drained("a", true).await.unwrap());
    assert!(!store.set_node_drained("ghost", true).await.unwrap());
    // It ends what it works on.
    assert_eq!(attempt_of(store, "a").await, Some(attempt));
    let delivered = store.complete_sample(attempt, output("x"), at(2)).await;
    delivered.unwrap();
    prepare(store, 2, 1).await;
    assert_eq!(dispatch(store, 3).await, []);
    // Neither a probe nor a gateway that starts makes it work again.
    ready_nodes(store, &["a"]).await;
    assert!(node(store, "a").await.drained);
    assert_eq!(dispatch(store, 4).await, []);

    assert!(store.set_node_drained("a", false).await.unwrap());
    assert_eq!(dispatch(store, 5).await[0].node, "a");
}
