//! The published clients of the public API, unchanged but for their base URL.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::process::{Service, example, run, tryon};

/// A platform on this machine.
struct Stage {
    folder: tempfile::TempDir,
    _service: Service,
    url: String,
}

impl Stage {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = tryon(folder.path());
        command
            .args(["serve", "--port", "0"])
            .env("RUST_LOG", "off");
        let mut service = Service::start(&mut command);
        let url = service.read("serves on ");
        service.read("engine");
        let noise = image::RgbImage::from_fn(256, 256, |x, y| {
            let mixed = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 13;
            image::Rgb(mixed.to_le_bytes()[..3].try_into().unwrap())
        });
        noise.save(folder.path().join("noise.png")).unwrap();
        Self {
            folder,
            _service: service,
            url,
        }
    }

    /// The key of a fresh account with these credits and limits.
    fn make_key(&self, credits: &str, limits: &[&str]) -> String {
        let own = |args: &[&str]| run(self.folder.path(), args).trim().to_owned();
        let account = own(&["account", "create", "customer"]);
        own(&[&["account", "limits", &account], limits].concat());
        if credits != "0" {
            own(&["credits", "grant", &account, credits]);
        }
        own(&["key", "create", &account])
    }

    /// The keys of accounts for every way of being refused.
    fn make_keys(&self) -> Value {
        json!({
            "main": self.make_key("5", &[]),
            "poor": self.make_key("0", &[]),
            "hasty": self.make_key("5", &["--credits-per-minute", "1"]),
            "crowded": self.make_key("5", &["--concurrent-jobs", "0"]),
        })
    }

    /// Runs the script against one version and gives its lines.
    fn drive(&self, version: &str, part: &str) -> Vec<Value> {
        let mut command = Command::new("python3");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/tryiton_client.py"))
            .args([part, &self.url, &self.make_keys().to_string()])
            .args([example("person-studio.jpg"), example("garment-tee.jpg")])
            .args([
                self.folder.path().join("noise.png"),
                example("tattoo-design.png"),
            ])
            .env("PYTHONPATH", client(&format!("tryiton-{version}")));
        lines(&mut command)
    }

    /// Runs the script against the published clients of the other dialect and gives its lines.
    fn drive_fashn(&self, command: &mut Command, script: &str) -> Vec<Value> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        command
            .arg(scripts.join(script))
            .args([&self.url, &self.make_keys().to_string()])
            .args([example("person-studio.jpg"), example("garment-tee.jpg")])
            .arg(self.folder.path().join("noise.png"));
        lines(command)
    }
}

/// What a script prints, a JSON object a line.
fn lines(command: &mut Command) -> Vec<Value> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.expect("it is installed by ./test.sh");
    assert!(output.status.success(), "{command:?}: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Where the clients are installed, a folder a version.
fn clients() -> PathBuf {
    std::env::var_os("TRYON_TEST_CLIENTS")
        .expect("the published clients are needed: run ./test.sh, which installs them")
        .into()
}

/// Where one is installed.
pub(crate) fn client(name: &str) -> PathBuf {
    let folder = clients().join(name);
    assert!(
        folder.is_dir(),
        "`{}` is needed: run ./test.sh, which installs it",
        folder.display()
    );
    folder
}

fn refusal(case: &str, status: u16) -> Value {
    let name = case.split(' ').next().unwrap();
    json!({"case": case, "status": status, "error_name": name})
}

/// What every version must see.
fn expected(tattoo: bool) -> Vec<Value> {
    let balance = |case: &str, left: i64| json!({"case": case, "credits": [left, 0, left, 0]});
    let ended = |name: &str| json!({"case": name, "status": null, "error_name": name});
    let mut lines = vec![
        balance("credits before", 5),
        json!({"case": "job id", "length": 24, "hex": true}),
        json!({"case": "completed", "outputs": 1, "type": "image/png", "png": true}),
        balance("credits after", 4),
    ];
    if tattoo {
        lines.push(json!({"case": "tattoo", "outputs": 1}));
    }
    lines.extend([
        refusal("UnauthorizedAccess", 401),
        refusal("BadRequest for a wrong mode", 400),
        refusal("BadRequest for a task that nobody offers", 400),
        refusal("NotFound", 404),
        refusal("OutOfCredits", 429),
        refusal("RateLimitExceeded", 429),
        refusal("ConcurrencyLimitExceeded", 429),
        ended("ImageLoadError"),
        ended("PoseError"),
        balance("credits at the end", 4 - i64::from(tattoo)),
    ]);
    lines
}

#[test]
fn every_published_client_works_and_sees_each_error_by_name() {
    let stage = Stage::start();
    for (version, tattoo) in [("0.1.0", false), ("1.1.0", true), ("2.0.0", true)] {
        let lines = stage.drive(version, "working");
        assert_eq!(lines, expected(tattoo), "tryiton {version}");
    }
    // A platform whose disk is gone answers all the same.
    let pictures = stage.folder.path().join("data/pictures");
    std::fs::remove_dir_all(&pictures).unwrap();
    std::fs::write(&pictures, "").unwrap();
    for version in ["0.1.0", "1.1.0", "2.0.0"] {
        let lines = stage.drive(version, "broken");
        assert_eq!(
            lines,
            [refusal("InternalServerError", 500)],
            "tryiton {version}"
        );
    }
}

/// What the published clients of FASHN's API must see.
fn expected_of_fashn() -> Vec<Value> {
    let credits =
        |left: i64| json!({"case": "credits", "total": left, "subscription": 0, "on_demand": left});
    let ended = |case: &str, more: Value| {
        let mut line = json!({"case": case, "enqueued": true, "unknown": []});
        let fields = line.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        line
    };
    let completed =
        json!({"status": "completed", "outputs": 1, "credits_used": 1, "error_name": null});
    let failed = |name: &str| {
        let failed =
            json!({"status": "failed", "outputs": 0, "credits_used": 0, "error_name": name});
        ended(name, failed)
    };
    vec![
        credits(5),
        ended("completed", completed.clone()),
        json!({"case": "linked", "png": true}),
        ended("another", completed),
        json!({"case": "linked", "jpeg": true}),
        credits(3),
        failed("ImageLoadError"),
        failed("PoseError"),
        refusal("UnauthorizedAccess", 401),
        refusal("BadRequest for another model", 400),
        refusal("BadRequest for base64", 400),
        refusal("BadRequest for a wrong mode", 400),
        refusal("NotFound", 404),
        refusal("OutOfCredits", 429),
        refusal("ConcurrencyLimitExceeded", 429),
        credits(3),
    ]
}

#[test]
fn the_published_clients_of_the_other_dialect_work_too() {
    let stage = Stage::start();
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", client("fashn-python-0.9.0"));
    let lines = stage.drive_fashn(&mut python, "fashn_client.py");
    assert_eq!(lines, expected_of_fashn(), "Python");
    let mut node = Command::new("node");
    let package = client("fashn-npm-0.11.1").join("node_modules/fashn");
    node.env("FASHN_CLIENT", package);
    let lines = stage.drive_fashn(&mut node, "fashn_client.mjs");
    assert_eq!(lines, expected_of_fashn(), "JavaScript");
}
