//! What each crate may name: the table of docs/architecture.md, as far as `cargo deny` cannot see.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

/// What engines, and what they are made of, may name: nothing of HTTP, SQL or async. Other crates
/// are not held to a list.
const PURE: [(&str, &[&str]); 5] = [
    ("tryon-core", &["serde", "thiserror"]),
    (
        "tryon-picture",
        &[
            "fast_image_resize",
            "image",
            "imageproc",
            "moxcms",
            "png",
            "thiserror",
            "tryon-core",
        ],
    ),
    (
        "tryon-engine",
        &[
            "image",
            "rustix",
            "serde",
            "serde_json",
            "thiserror",
            "tracing",
            "tryon-core",
            "tryon-picture",
        ],
    ),
    (
        "tryon-engine-preview",
        &[
            "image",
            "thiserror",
            "tryon-core",
            "tryon-engine",
            "tryon-picture",
        ],
    ),
    (
        "tryon-engine-qwen",
        &[
            "candle-core",
            "cudarc",
            "float8",
            "gemm",
            "half",
            "image",
            "imageproc",
            "libloading",
            "libm",
            "memmap2",
            "pulp",
            "rayon",
            "rustix",
            "safetensors",
            "serde",
            "serde-saphyr",
            "serde_json",
            "serde_path_to_error",
            "sha2",
            "thiserror",
            "tokenizers",
            "tryon-core",
            "tryon-engine",
            "tryon-picture",
        ],
    ),
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
    for (name, allowed) in PURE {
        let package = packages.iter().find(|(package, _)| package == name);
        let (_, dependencies) = package.expect("the crates have other names: mend `PURE`");
        for dependency in dependencies {
            assert!(
                allowed.contains(&dependency.as_str()),
                "`{name}` names `{dependency}`: does that know HTTP, SQL or async? If not, list it"
            );
        }
    }
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
