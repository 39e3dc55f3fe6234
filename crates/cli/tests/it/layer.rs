//! What each crate may name: the table of docs/architecture.md, as far as `cargo deny` cannot see.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

/// Crates of this workspace that know nothing of HTTP, SQL or async: engines and what they are
/// made of.
const PURE: [&str; 5] = [
    "tryon-core",
    "tryon-picture",
    "tryon-engine",
    "tryon-engine-preview",
    "tryon-engine-qwen",
];

/// What would be a sign of HTTP, SQL or async.
const FOREIGN: [&str; 12] = [
    "async-trait",
    "axum",
    "futures",
    "http",
    "hyper",
    "hyper-util",
    "object_store",
    "reqwest",
    "sqlx",
    "tokio",
    "tokio-util",
    "tower-http",
];

/// What the crates of this workspace name outside of their tests: name and dependencies.
fn packages() -> Vec<(String, BTreeSet<String>)> {
    let cargo = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let named = packages.map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let built = dependencies.filter(|dependency| dependency["kind"] != "dev");
        let names = built.map(|dependency| text(&dependency["name"])).collect();
        (text(&package["name"]), names)
    });
    named.collect()
}

#[test]
fn engines_and_what_they_are_made_of_know_no_http_sql_or_async() {
    let packages = packages();
    let pure = packages
        .iter()
        .filter(|(name, _)| PURE.contains(&name.as_str()));
    let mut seen = 0;
    for (name, dependencies) in pure {
        seen += 1;
        for foreign in FOREIGN {
            assert!(
                !dependencies.contains(foreign),
                "`{name}` names `{foreign}`"
            );
        }
    }
    assert!(seen >= 4, "the crates have other names: mend `PURE`");
}

#[test]
fn test_doubles_are_for_tests_alone() {
    for (name, dependencies) in packages() {
        assert!(
            !dependencies.contains("tryon-testkit"),
            "`{name}` is built with test doubles"
        );
    }
}
