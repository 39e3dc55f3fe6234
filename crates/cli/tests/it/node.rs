//! A node as an operator starts it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{Service, errors, http, tryon};

const CONFIG: &str = "
server: {node_id: from-the-file, port: 0}
security: {require_auth: false}
logging: {level: 'off'}
";

/// A folder as that of a release: the script, and a configuration beside it.
fn release() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../start_server.sh");
    fs::copy(script, folder.path().join("start_server.sh")).unwrap();
    fs::write(folder.path().join("config.yaml"), CONFIG).unwrap();
    folder
}

/// Puts the binary under `name` into the folder.
fn place(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(env!("CARGO_BIN_EXE_tryon"), &path).unwrap();
    path
}

/// The script, run from elsewhere.
fn script(folder: &Path, path: &str) -> Command {
    let mut command = Command::new(folder.join("start_server.sh"));
    command.env_clear().env("PATH", path).current_dir("/");
    command
}

/// The node's id, as it says it itself to somebody without a token.
fn node_id(url: &str) -> String {
    let answer = http().get(format!("{url}/gpu/status")).send().unwrap();
    let status: Value = answer.error_for_status().unwrap().json().unwrap();
    status["node_id"].as_str().unwrap().to_owned()
}

#[test]
fn the_script_leaves_to_the_file_what_no_variable_says() {
    let folder = release();
    place(folder.path(), "bin/tryon");
    let path = format!("{}/bin:/usr/bin:/bin", folder.path().display());
    let mut node = Service::start(&mut script(folder.path(), &path));
    assert_eq!(node_id(&node.read("node on ")), "from-the-file");
    // It is the node that the signal reaches.
    node.signal(Signal::TERM);
    assert_eq!(node.wait(), 0);

    let mut command = script(folder.path(), &path);
    let mut node = Service::start(command.env("GPU_NODE_ID", "from-a-variable"));
    assert_eq!(node_id(&node.read("node on ")), "from-a-variable");
}

#[test]
fn the_script_hands_its_arguments_to_the_binary_that_was_built_beside_it() {
    let folder = release();
    place(folder.path(), "target/release/tryon");
    let mut command = script(folder.path(), "/usr/bin:/bin");
    let mut node = Service::start(command.args(["--node-id", "from-a-flag"]));
    assert_eq!(node_id(&node.read("node on ")), "from-a-flag");
}

#[test]
fn a_log_level_that_is_none_is_refused_wherever_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["node", "gateway", "serve", "demo"] {
        let output = tryon(folder.path())
            .arg(command)
            .env("RUST_LOG", "inof")
            .output()
            .unwrap();
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        let expected = "error: `inof` is not a log level\nhint: ";
        assert!(said.contains(expected), "{command}: {said}");
    }
}
