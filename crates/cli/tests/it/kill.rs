//! `kill -9` of either process at its worst moments: the job ends, once, and the credits balance.

use tryon_testkit::postgres::PostgresServer;

use crate::cluster::{Cluster, assert_readable, wait_killed};

/// Everything that must hold of the one job there is.
fn assert_completed_once(cluster: &Cluster, job: &str) {
    let status = cluster.wait(job);
    assert_eq!(status["status"], "completed", "{status}");
    assert_readable(&status);
    assert_eq!(cluster.jobs(), [job]);
    assert_eq!(cluster.credits(), (9, 0), "one credit for one picture");
    cluster.assert_clean();
}

/// Kills the gateway at `point`, starts it again, and gives what the client had been told.
fn survive_gateway(point: &str) -> (Cluster, Option<String>) {
    let mut cluster = Cluster::new();
    cluster.start_node(None);
    cluster.start_gateway(Some(point));
    let answered = cluster.submit();
    wait_killed(&mut cluster.gateway);
    cluster.start_gateway(None);
    (cluster, answered)
}

/// Kills the node at `point` and starts it again.
fn survive_node(point: &str) {
    let mut cluster = Cluster::new();
    cluster.start_node(Some(point));
    cluster.start_gateway(None);
    let job = cluster.submit().unwrap();
    wait_killed(&mut cluster.node);
    cluster.start_node(None);
    assert_completed_once(&cluster, &job);
}

#[test]
fn a_gateway_killed_before_the_commit_has_charged_nothing_and_keeps_nothing() {
    let (cluster, answered) = survive_gateway("gateway::after-blob");
    assert_eq!(answered, None);
    assert_eq!(cluster.jobs(), [""; 0]);
    assert_eq!(cluster.credits(), (10, 0));
    cluster.assert_clean();
}

#[test]
fn a_gateway_killed_after_the_commit_does_the_job_that_is_then_asked_for_again() {
    let (cluster, answered) = survive_gateway("gateway::after-commit");
    assert_eq!(answered, None);
    // The client sends it again, and has the job that it had paid for.
    let job = cluster.submit().unwrap();
    assert_completed_once(&cluster, &job);
}

#[test]
fn a_gateway_killed_after_the_nodes_202_ends_the_job_once() {
    let (cluster, answered) = survive_gateway("gateway::after-202");
    assert_completed_once(&cluster, &answered.unwrap());
}

#[test]
fn a_gateway_killed_during_the_callback_ends_the_job_once() {
    let (cluster, answered) = survive_gateway("gateway::during-callback");
    assert_completed_once(&cluster, &answered.unwrap());
}

#[test]
fn a_gateway_killed_after_settling_ends_the_job_once() {
    let (cluster, answered) = survive_gateway("gateway::after-settlement");
    assert_completed_once(&cluster, &answered.unwrap());
}

#[test]
fn a_node_killed_after_its_202_is_asked_again() {
    survive_node("node::after-202");
}

#[test]
fn a_node_killed_after_inference_is_asked_again() {
    survive_node("node::after-inference");
}

#[test]
fn a_node_killed_after_spooling_delivers() {
    survive_node("node::after-spool");
}

#[test]
fn a_node_killed_during_the_callback_delivers() {
    survive_node("node::during-callback");
}

#[test]
fn a_node_killed_after_the_callback_is_not_paid_twice() {
    survive_node("node::after-callback");
}

#[test]
fn a_result_outlives_a_dead_gateway_and_a_restart_of_its_node() {
    let mut cluster = Cluster::new();
    cluster.start_node(None);
    cluster.start_gateway(Some("gateway::during-callback"));
    let job = cluster.submit().unwrap();
    wait_killed(&mut cluster.gateway);
    // Nobody receives; the node ends as well, and comes back first.
    cluster.node = None;
    cluster.start_node(None);
    cluster.start_gateway(None);
    assert_completed_once(&cluster, &job);
}

// ── two gateways on a PostgreSQL ────────────────────────────────────────────────────────────────

/// Two gateways, of which connections come to the second; it is killed at `point` and stays dead.
fn lose_second(point: &str) -> (Cluster, Option<String>) {
    let database = PostgresServer::shared().create_database().unwrap();
    let mut cluster = Cluster::on(database);
    cluster.start_node(None);
    cluster.start_gateway(None);
    cluster.start_second(Some(point));
    let answered = cluster.submit();
    wait_killed(&mut cluster.second);
    (cluster, answered)
}

#[test]
fn what_a_gateway_had_not_charged_when_it_was_killed_the_other_erases() {
    let (cluster, answered) = lose_second("gateway::after-blob");
    assert_eq!((answered, cluster.credits()), (None, (10, 0)));
    cluster.assert_clean();
}

#[test]
fn what_a_gateway_took_before_it_was_killed_the_other_does() {
    let (cluster, answered) = lose_second("gateway::after-commit");
    assert_eq!(answered, None);
    // The client sends it again, and has the job that it had paid for.
    let job = cluster.submit().unwrap();
    assert_completed_once(&cluster, &job);
}

#[test]
fn what_a_gateway_gave_out_before_it_was_killed_the_other_settles() {
    let database = PostgresServer::shared().create_database().unwrap();
    let mut cluster = Cluster::on(database);
    cluster.start_node(None);
    cluster.start_gateway(Some("gateway::after-202"));
    let answered = cluster.submit();
    wait_killed(&mut cluster.gateway);
    cluster.start_second(None);
    assert_completed_once(&cluster, &answered.unwrap());
}

#[test]
fn a_result_that_a_gateway_died_of_goes_to_the_other() {
    let (cluster, answered) = lose_second("gateway::during-callback");
    assert_completed_once(&cluster, &answered.unwrap());
}

#[test]
fn a_result_that_a_gateway_settled_before_it_was_killed_is_not_paid_twice() {
    let (cluster, answered) = lose_second("gateway::after-settlement");
    assert_completed_once(&cluster, &answered.unwrap());
}
