//! Whether the API is as it is described.

use std::process::Command;

use crate::{
    clients::client,
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
    let mut program = Command::new("python3");
    program
        .args(["-m", "schemathesis.cli", "run"])
        .arg(format!("{url}/openapi.json"))
        .arg("--header")
        .arg(format!("Authorization: Bearer {key}"))
        .args(["--checks", CHECKS])
        // Of a stream the description has what is in each event, for which it has no word.
        .args(["--exclude-path-regex", "/events$"])
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
    // Every operation but the stream.
    assert!(
        text.contains("Selected: 22/23") && text.contains("Tested: 22"),
        "{text}"
    );
}
