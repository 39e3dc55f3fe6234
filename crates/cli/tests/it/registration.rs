//! Nodes that make themselves known to gateways that list none.

use serde_json::{Value, json};
use tryon_testkit::postgres::PostgresServer;

use crate::{
    cluster::{Cluster, assert_readable},
    nodes::wait_for,
};

/// Has the gateways list no node, and the node make itself known.
fn let_nodes_register(cluster: &Cluster) {
    let mut advertised = Value::Null;
    for name in ["gateway.yaml", "second.yaml"] {
        cluster.configure(name, |gateway| {
            advertised = gateway["nodes"][0]["url"].take();
            gateway["nodes"] = json!([]);
            gateway["registration"] = json!({"node_token": "a-node-token-of-a-test", "lease": 3});
        });
    }
    cluster.configure("node.yaml", |node| {
        let balancer = node["load_balancer"]["url"].as_str().unwrap();
        let gateway = balancer.trim_end_matches("/internal/v1").to_owned();
        node["registration"] = json!({
            "gateways": [gateway],
            "advertise_url": advertised,
            "internal_auth_token": "a-callback-token-of-a-test",
        });
    });
}

fn come_and_go(mut cluster: Cluster) {
    let_nodes_register(&cluster);
    cluster.start_gateway(None);
    assert_eq!(cluster.run(&["nodes", "list"]), "");
    let job = cluster.submit().unwrap();
    cluster.start_node(None);
    let status = cluster.wait(&job);
    assert_eq!(status["status"], "completed", "{status}");
    assert_readable(&status);
    wait_for(&cluster, "  ready  idle  [preview]  registered, heard of ");

    // Dropped, it is killed, and nobody is told.
    cluster.node = None;
    wait_for(
        &cluster,
        "  unreachable  is given nothing  []  registered, ",
    );
    cluster.start_node(None);
    wait_for(&cluster, "  ready  idle  [preview]  registered, ");
}

#[test]
fn a_node_that_comes_is_given_work_and_one_that_is_killed_is_not() {
    come_and_go(Cluster::new());
    let database = PostgresServer::shared().create_database().unwrap();
    come_and_go(Cluster::on(database));
}
