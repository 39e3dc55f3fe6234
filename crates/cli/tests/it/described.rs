//! Whether the API is as it is described.

use std::process::Command;

use serde_json::json;

use crate::{
    clients::client,
    cluster::Cluster,
    process::{Service, run, tryon},
};

/// What a description promises: nothing fails on our side, and no answer is one that it does not have.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// A program that reads the description asks for whatever it allows and for what it does not, each
/// route by itself and one after the other.
#[test]
fn the_api_is_as_it_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tryon(folder.path());
    let command = command.args(["serve", "--port", "0"]);
    let mut service = Service::start(command.env("RUST_LOG", "off"));
    let url = service.read("serves on ");
    let account = service.read("account  ");
    let account = account.split(',').next().unwrap();
    let key = service.read("key      ");
    service.read("not a generative model");
    run(folder.path(), &["credits", "grant", account, "1000000"]);
    let limits = [
        "--tryon-per-minute=100000",
        "--status-per-minute=100000",
        "--credits-per-minute=100000",
        "--concurrent-jobs=10000",
    ];
    let set = [&["account", "limits", account][..], &limits].concat();
    run(folder.path(), &set);
    // Of a stream the description has what is in each event, for which it has no word.
    let header = format!("Authorization: Bearer {key}");
    let apart = ["--exclude-path-regex", "/events$"];
    assert_described(&url, &header, &apart, "Selected: 25/26");
}

/// What a node answers, and what a gateway's internal listener does, is described likewise.
#[test]
fn what_is_between_gateways_and_nodes_is_as_it_is_described() {
    let mut cluster = Cluster::new();
    cluster.configure("gateway.yaml", |config| {
        config["registration"] = json!({"node_token": "a-node-token-of-a-test"});
    });
    cluster.start_gateway(None);
    cluster.start_node(None);
    let [internal, node] = cluster.inner_urls();
    let token = "X-Internal-Auth: a-node-token-of-a-test";
    assert_described(&node, token, &[], "Selected: 9/9");
    let token = "X-Internal-Auth: a-callback-token-of-a-test";
    assert_described(&internal, token, &[], "Selected: 5/5");
}

/// Asks what is at `url` for everything that its description allows, and for more. `selected` is how
/// the program says which of the operations it asks for: all but the description's own.
fn assert_described(url: &str, header: &str, apart: &[&str], selected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Command::new("python3");
    program
        .args(["-m", "schemathesis.cli", "run"])
        .arg(format!("{url}/openapi.json"))
        .args(["--header", header, "--checks", CHECKS])
        .args(apart)
        .args(["--max-examples", "15", "--seed", "1", "--no-color"])
        .env("PYTHONPATH", client("schemathesis-4.32.5"))
        .current_dir(folder.path());
    let said = program.output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(
        said.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&said.stderr)
    );
    let count = selected.trim_start_matches("Selected: ");
    let count = count.split('/').next().unwrap();
    let tested = format!("Tested: {count}");
    assert!(text.contains(selected) && text.contains(&tested), "{text}");
}
