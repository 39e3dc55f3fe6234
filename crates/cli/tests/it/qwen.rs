//! The diffusion model behind the real gateway, node and worker: a tiny checkpoint with the
//! published layout, whose pictures mean nothing and whose numbers are the reference's.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::process::{Service, errors, example, http, run, tryon};

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine-qwen/tests/goldens")
}

/// A folder with the tiny models installed, as docs/models.md lays out real ones.
fn installed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path());
    folder
}

fn install(folder: &Path) {
    let models = folder.join("data/models");
    let tiny = goldens().join("checkpoint").canonicalize().unwrap();
    for name in ["lightning-2511", "lightxv-2511-fp8"] {
        std::fs::create_dir_all(models.join(name)).unwrap();
    }
    symlink(tiny.join("tiny-2511"), models.join("qwen-image-edit-2511")).unwrap();
    let adapter = models.join("lightning-2511/adapter.safetensors");
    std::fs::copy(tiny.join("lora.safetensors"), adapter).unwrap();
    let fp8 = models.join("lightxv-2511-fp8/model.safetensors");
    std::fs::copy(tiny.join("fp8.safetensors"), fp8).unwrap();
    symlink(tiny.join("parser"), models.join("person-parser")).unwrap();
}

/// A platform whose every task is served by `provider` in two steps.
fn serve(folder: &Path, provider: &str, mode: &str) -> (Service, String, String) {
    let tasks = ["clothes", "hairstyle", "tattoo"];
    let tasks = tasks.map(|task| json!({"task": task, "provider": provider, "steps": 2}));
    let config = json!({
        "gateway": {"tasks": tasks},
        "node": {"model": {"model_type": provider, "default_mode": mode, "dir": "data/models",
            "default_resolution": "480p"}},
    });
    std::fs::write(folder.join("config.yaml"), config.to_string()).unwrap();
    let mut command = tryon(folder);
    let mut service = Service::start(
        command
            .args(["serve", "--port", "0"])
            .env("RUST_LOG", "warn"),
    );
    let url = service.read("serves on ");
    let key = service.read("key ");
    service.read(&format!("engine   {provider} "));
    (service, url, key)
}

fn submission(url: &str, key: &str, output: &str) -> Vec<String> {
    let (person, garment) = (example("person-portrait.jpg"), example("garment-tee.jpg"));
    let pictures = [person, garment].map(|path| path.to_str().unwrap().to_owned());
    let rest = [
        "-o",
        output,
        "--url",
        url,
        "--key",
        key,
        "--category",
        "tops",
    ];
    let rest = rest.map(str::to_owned);
    ["submit".to_owned()]
        .into_iter()
        .chain(pictures)
        .chain(rest)
        .collect()
}

fn submit(folder: &Path, url: &str, key: &str, output: &str) {
    let args = submission(url, key, output);
    run(folder, &args.iter().map(String::as_str).collect::<Vec<_>>());
}

fn credits(url: &str, key: &str) -> Value {
    let request = http().get(format!("{url}/api/v1/credits")).bearer_auth(key);
    let answer: Value = request.send().unwrap().json().unwrap();
    answer["credits"]["on_demand"].clone()
}

#[test]
fn both_providers_make_pictures_from_end_to_end() {
    for (provider, mode) in [("qwen", "lora"), ("lightxv", "fp8")] {
        let folder = installed();
        let (_service, url, key) = serve(folder.path(), provider, mode);
        submit(folder.path(), &url, &key, "out.png");
        let file = std::fs::read(folder.path().join("out.png")).unwrap();
        let picture = image::load_from_memory(&file).unwrap();
        // 480 is the shorter side of what the node makes when nobody names a size.
        assert_eq!(picture.width().min(picture.height()), 480);
        let texts = tryon_picture::read_text(&file);
        let says = |key: &str| {
            let text = texts.iter().find(|(name, _)| name == key);
            text.map(|(_, text)| text.as_str())
        };
        assert_eq!(says("tryon:model"), Some(provider));
        assert_eq!(says("tryon:steps"), Some("2"));
        assert_eq!(credits(&url, &key), 999);
    }
}

/// The tiny moderator knows nothing of pictures; that it refuses this garment is in its weights.
#[test]
fn what_the_moderator_refuses_is_not_charged() {
    let folder = installed();
    let moderator = goldens()
        .join("checkpoint/moderator")
        .canonicalize()
        .unwrap();
    symlink(moderator, folder.path().join("data/models/moderator")).unwrap();
    let (_service, url, key) = serve(folder.path(), "qwen", "lora");
    let args = submission(&url, &key, "out.png");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let said = crate::process::fail(folder.path(), &args);
    assert!(said.contains("ContentModerationError"), "{said}");
    assert!(said.contains("the garment's picture was refused"), "{said}");
    assert_eq!(credits(&url, &key), 1000);
}

#[test]
fn a_published_client_is_served_by_the_diffusion_model() {
    let folder = installed();
    let (_service, url, key) = serve(folder.path(), "qwen", "lora");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/tryiton_client.py");
    let unused = example("tattoo-design.png");
    let output = Command::new("python3")
        .arg(script)
        .args(["once", &url, &json!({"main": key}).to_string()])
        .args([example("person-portrait.jpg"), example("garment-tee.jpg")])
        .args([&unused, &unused])
        .env("PYTHONPATH", crate::clients::client("tryiton-2.0.0"))
        .output()
        .expect("python3 is needed: apt-get install python3");
    assert!(output.status.success(), "{}", errors(&output));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said, json!({"case": "once", "outputs": 1, "png": true}));
}

#[test]
fn a_model_that_is_not_installed_is_said_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (person, garment) = (example("person-studio.jpg"), example("garment-tee.jpg"));
    let args = ["try", person.to_str().unwrap(), garment.to_str().unwrap()];
    let said = crate::process::fail(
        folder.path(),
        &[&args[..], &["-o", "out.png", "--provider", "qwen"]].concat(),
    );
    assert!(
        said.contains("qwen-image-edit-2511") && said.contains("\nhint: "),
        "{said}"
    );
    assert!(!folder.path().join("out.png").exists());
}

#[test]
fn the_same_seed_makes_the_same_bytes() {
    let folder = installed();
    let (person, garment) = (example("person-studio.jpg"), example("garment-tee.jpg"));
    let make = |output: &str, more: &[&str]| {
        let args = [
            "try",
            person.to_str().unwrap(),
            garment.to_str().unwrap(),
            "-o",
            output,
        ];
        let model = ["--provider", "lightxv", "--steps", "1", "--size", "64x96"];
        run(folder.path(), &[&args[..], &model, more].concat());
        std::fs::read(folder.path().join(output)).unwrap()
    };
    let first = make("a.png", &[]);
    assert_eq!(first, make("b.png", &[]));
    assert_ne!(first, make("c.png", &["--seed", "43"]));
    let picture = image::load_from_memory(&first).unwrap();
    assert_eq!((picture.width(), picture.height()), (64, 96));
}

fn verify(goldens: &str, more: &[&str]) -> std::process::Output {
    let folder = crate::qwen::goldens();
    Command::new(env!("CARGO_BIN_EXE_tryon"))
        .current_dir(&folder)
        .args([
            "verify-model",
            "--checkpoint",
            "checkpoint/tiny-2511",
            "--goldens",
            goldens,
        ])
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn an_installed_model_is_held_to_its_reference() {
    for (goldens, more) in [
        ("edit2511_4step.safetensors", &["--json"][..]),
        ("edit2511_cfg4_2step.safetensors", &["--json"]),
        (
            "edit2511_lora_4step.safetensors",
            &["--json", "--lora", "checkpoint/lora.safetensors"],
        ),
        (
            "edit2511_fp8_4step.safetensors",
            &["--json", "--fp8", "checkpoint/fp8.safetensors"],
        ),
        (
            "edit2511_fp8_4step.safetensors",
            &[
                "--json",
                "--fp8",
                "checkpoint/fp8.safetensors",
                "--weight-only",
            ],
        ),
        (
            "edit2509_4step.safetensors",
            &[
                "--json",
                "--transformer-config",
                "checkpoint/tiny-2509/transformer/config.json",
            ],
        ),
    ] {
        let output = verify(goldens, more);
        assert!(output.status.success(), "{goldens}: {}", errors(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|it| serde_json::from_str(it).unwrap())
            .collect();
        assert!(lines.len() > 10, "{text}");
        assert!(lines.iter().all(|line| line["holds"] == true), "{text}");
    }
    // A model that computes something else.
    let other = verify("edit2509_4step.safetensors", &[]);
    assert_eq!(other.status.code(), Some(1));
    let said = errors(&other);
    assert!(
        said.contains("beyond their gates") && said.contains("\nhint: "),
        "{said}"
    );
}

#[test]
fn a_node_that_gave_its_model_up_loads_it_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tryon(folder.path());
    command
        .args(["node", "--port", "0", "--model-type", "lightxv"])
        .env("REQUIRE_AUTH", "false")
        .env("RUST_LOG", "off");
    let mut node = Service::start(&mut command);
    let url = node.read("node on ");
    let wait_for = |status: &str| {
        let begun = std::time::Instant::now();
        loop {
            let report: Value = http()
                .get(format!("{url}/test"))
                .send()
                .unwrap()
                .json()
                .unwrap();
            if report["status"] == status {
                return report;
            }
            assert!(begun.elapsed() < crate::process::PATIENCE, "{report}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    let report = wait_for("failed");
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains("is not installed"), "{reason}");
    install(folder.path());
    node.signal(rustix::process::Signal::HUP);
    assert_eq!(wait_for("hot")["model_type"], "lightxv");
    let version = http().get(format!("{url}/version")).send().unwrap();
    let version: Value = version.json().unwrap();
    let notice = version["notice"].as_str().unwrap();
    assert!(notice.contains("no moderator is installed"), "{notice}");
}
