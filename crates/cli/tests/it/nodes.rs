//! `tryon nodes` beside gateways that are at work.

use std::time::{Duration, Instant};

use tryon_testkit::postgres::PostgresServer;

use crate::{cluster::Cluster, process::PATIENCE};

/// Waits until the gateways know what the node is.
pub(crate) fn wait_for(cluster: &Cluster, part: &str) {
    let begun = Instant::now();
    while !cluster.run(&["nodes", "list"]).contains(part) {
        assert!(
            begun.elapsed() < PATIENCE,
            "`{part}` is not in {}",
            cluster.run(&["nodes", "list"])
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn drain_and_resume(mut cluster: Cluster) {
    cluster.start_node(None);
    cluster.start_gateway(None);
    wait_for(&cluster, "  ready  idle  [preview]");
    let drained = cluster.run(&["nodes", "drain", "node", "--wait"]);
    assert!(drained.starts_with("node  http://127.0.0.1:"), "{drained}");
    assert!(drained.contains("ready, drained  idle"), "{drained}");

    let job = cluster.submit().unwrap();
    // Long enough to be given out, were there anybody to take it.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(cluster.status(&job)["status"], "processing");
    // It stays so when a gateway is started anew.
    cluster.gateway = None;
    cluster.start_gateway(None);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(cluster.status(&job)["status"], "processing");

    let resumed = cluster.run(&["nodes", "resume", "node"]);
    assert!(!resumed.contains("drained"), "{resumed}");
    assert_eq!(cluster.wait(&job)["status"], "completed");
    let said = cluster.fail(&["nodes", "drain", "ghost"]);
    assert!(said.contains("there is no node `ghost`"), "{said}");
}

#[test]
fn a_drained_node_is_given_nothing_until_it_is_resumed() {
    drain_and_resume(Cluster::new());
    let database = PostgresServer::shared().create_database().unwrap();
    drain_and_resume(Cluster::on(database));
}
