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
            .env("PYTHONPATH", client(version))
            .stderr(Stdio::inherit());
        let output = command
            .output()
            .expect("python3 is needed: apt-get install python3");
        assert!(
            output.status.success(),
            "tryiton {version}: {}",
            output.status
        );
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Where the clients are installed, a folder a version.
pub(crate) fn clients() -> PathBuf {
    std::env::var_os("TRYON_TEST_CLIENTS")
        .expect("the published clients are needed: run ./test.sh, which installs them")
        .into()
}

/// Where one version is installed.
fn client(version: &str) -> PathBuf {
    let folder = clients().join(version);
    assert!(
        folder.join("tryiton").is_dir(),
        "`tryiton=={version}` is needed in `{}`: run ./test.sh, which installs it",
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
