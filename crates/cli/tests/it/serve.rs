//! `tryon serve`: first start, restart, being told to stop.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::process::{PATIENCE, Service, example, fail, http, run, tryon, tryon_service};

fn serve(folder: &std::path::Path) -> Service {
    let mut command = tryon(folder);
    Service::start(
        command
            .args(["serve", "--port", "0"])
            .env("RUST_LOG", "error"),
    )
}

fn credits(url: &str, key: &str) -> Value {
    let request = http().get(format!("{url}/api/v1/credits"));
    request.bearer_auth(key).send().unwrap().json().unwrap()
}

#[test]
fn the_first_start_makes_an_account_and_shows_its_key_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = serve(folder.path());
    let url = service.read("serves on ");
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let key = service.read("key ");
    assert_eq!(credits(&url, &key)["credits"]["on_demand"], 1000);
    service.read("not a generative model");

    service.signal(Signal::TERM);
    assert_eq!(service.wait(), 0);

    let mut again = serve(folder.path());
    let url = again.read("serves on ");
    // Once everything is said, it serves.
    assert_eq!(credits(&url, &key)["credits"]["on_demand"], 1000);
    again.signal(Signal::INT);
    let said = again.read_to_end();
    assert_eq!(again.wait(), 0);
    assert!(!said.contains("tryon_"), "a key was shown again: {said}");
    let kept = std::fs::read_to_string(folder.path().join("data/secrets.json")).unwrap();
    assert!(!kept.contains(&key));
}

#[test]
fn a_start_that_fails_does_not_use_up_the_first_key() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    fail(folder.path(), &["serve", "--port", &port]);
    drop(taken);
    let mut service = serve(folder.path());
    let url = service.read("serves on ");
    let key = service.read("key ");
    assert_eq!(credits(&url, &key)["credits"]["on_demand"], 1000);
}

#[test]
fn a_start_that_was_killed_half_way_does_not_use_up_the_first_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tryon(folder.path());
    command
        .args(["serve", "--port", "0"])
        .env("TRYON_KILL_AT", "serve::after-account");
    let mut killed = Service::start(&mut command);
    assert_eq!(killed.wait(), -Signal::KILL.as_raw());
    let listed = run(folder.path(), &["account", "list"]);
    assert!(listed.contains("default  credits 0 "), "{listed}");
    let mut service = serve(folder.path());
    let url = service.read("serves on ");
    let key = service.read("key ");
    assert_eq!(credits(&url, &key)["credits"]["on_demand"], 1000);
    assert_eq!(run(folder.path(), &["account", "list"]).lines().count(), 1);
}

/// Whatever it is called.
#[test]
fn an_account_of_the_operators_own_is_given_nothing() {
    for name in ["shop", "default"] {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &["account", "create", name]);
        let mut service = serve(folder.path());
        service.read("serves on ");
        service.read("not a generative model");
        let listed = run(folder.path(), &["account", "list"]);
        assert!(listed.contains(&format!("{name}  credits 0 ")), "{listed}");
        service.signal(Signal::TERM);
        assert!(!service.read_to_end().contains("tryon_"), "{name}");
        assert_eq!(service.wait(), 0);
    }
}

/// A model of many gigabytes is loaded for minutes.
#[test]
fn a_platform_whose_engine_still_loads_ends_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "node: {model: {model_type: qwen, prompts: prompts.yaml}}\n";
    std::fs::write(folder.path().join("config.yaml"), settings).unwrap();
    std::fs::create_dir_all(folder.path().join("data/models/qwen-image-edit-2511")).unwrap();
    // Whoever reads it waits for somebody to write.
    let pipe = folder.path().join("prompts.yaml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut service = serve(folder.path());
    service.read("key ");
    let (tell, opened) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(std::fs::OpenOptions::new().write(true).open(pipe)));
    // The engine reads it now, and waits on while it is held open.
    let _held = opened.recv_timeout(PATIENCE).unwrap().unwrap();
    service.signal(Signal::TERM);
    assert_eq!(service.wait(), 0);
}

#[test]
fn a_gateway_that_listens_everywhere_is_told_that_its_links_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let settings = r#"{"secrets": {"link_signing_key": "a key of thirty-two characters...."},
        "callbacks": {"token": "a-callback-token-of-a-test"}}"#;
    std::fs::write(folder.path().join("gateway.yaml"), settings).unwrap();
    // The warning comes before it listens, which fails.
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let commands: [&[&str]; 2] = [&["serve"], &["--config", "gateway.yaml", "gateway"]];
    for command in commands {
        let args = [command, &["--host", "0.0.0.0", "--port", &port]].concat();
        let said = fail(folder.path(), &args);
        let warning = format!("warning: links to outputs start with `http://127.0.0.1:{port}`");
        assert!(said.starts_with(&warning), "{command:?}: {said}");
        let named = [&args[..], &["--public-url", "https://try.example"]].concat();
        let said = fail(folder.path(), &named);
        assert!(!said.contains("warning: "), "{command:?}: {said}");
    }
}

#[test]
fn pictures_come_through_a_running_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = serve(folder.path());
    let url = service.read("serves on ");
    let key = service.read("key ");
    let (person, garment) = (example("person-studio.jpg"), example("garment-tee.jpg"));
    let args = [
        "submit",
        person.to_str().unwrap(),
        garment.to_str().unwrap(),
        "-o",
        "out.png",
        "--url",
        &url,
        "--key",
        &key,
        "--category",
        "clothing",
        "--subcategory",
        "tops",
        "--samples",
        "2",
    ];
    let said = run(folder.path(), &args);
    assert_eq!(said, "out-1.png\nout-2.png\n");
    for name in ["out-1.png", "out-2.png"] {
        image::open(folder.path().join(name)).unwrap();
    }
    assert_eq!(credits(&url, &key)["credits"]["on_demand"], 998);
    assert!(run(folder.path(), &["doctor"]).contains("every credit accounted for"));

    let wrong = [
        "submit", args[1], args[2], "-o", "x.png", "--url", &url, "--key", "tryon_x",
    ];
    let said = fail(folder.path(), &wrong);
    assert!(
        said.starts_with("error: the gateway answered 401 UnauthorizedAccess"),
        "{said}"
    );
}

#[test]
fn a_check_says_what_the_job_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = serve(folder.path());
    let url = service.read("serves on ");
    let key = service.read("key ");
    let ask = |path: &str, body: &Value| -> Value {
        let request = http().post(format!("{url}/api/v1/{path}")).json(body);
        let request = request.bearer_auth(&key).header("prefer", "wait=50");
        request.send().unwrap().json().unwrap()
    };
    let picture = |name| {
        let file = std::fs::read(example(name)).unwrap();
        format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(file))
    };
    let (studio, busy) = (picture("person-studio.jpg"), picture("person-portrait.jpg"));
    let job = json!({"model_image": busy, "garment_image": picture("garment-tee.jpg"),
        "category": "tops"});
    let job = ask("tryon/clothes", &job);
    assert_eq!(job["error"]["name"], "PoseError", "{job}");
    // Whoever made that is ready to be asked.
    let checked = ask("check", &json!({"image": busy, "category": "tops"}));
    assert_eq!(checked["error"], job["error"], "{checked}");
    let checked = ask("check", &json!({"image": studio, "category": "tops"}));
    assert_eq!(checked["masking"], "parsed", "{checked}");
    let share = checked["mask"]["share"].as_f64().unwrap();
    assert!((0.05..0.1).contains(&share), "{share}");
}

/// Published clients send a submission again by themselves after a 500, unless they are told not to.
#[test]
fn a_submission_that_may_have_been_accepted_is_not_to_be_sent_again_unnamed() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tryon_service(folder.path());
    let mut service = Service::start(
        command
            .args(["serve", "--port", "0"])
            .env("RUST_LOG", "off"),
    );
    let url = service.read("serves on ");
    let key = service.read("key ");
    service.read("engine");
    let submit = |name: Option<&str>| {
        let pictures = json!({
            "model_image": "https://example.org/a.jpg", "garment_image": "https://example.org/b.jpg",
        });
        let request = http().post(format!("{url}/api/v1/tryon/clothes"));
        let request = request.bearer_auth(&key).json(&pictures);
        let request = match name {
            Some(name) => request.header("Idempotency-Key", name),
            None => request,
        };
        let answer = request.send().unwrap();
        let retry = answer.headers().get("x-should-retry").cloned();
        (
            answer.status().as_u16(),
            retry.map(|it| it.to_str().unwrap().to_owned()),
        )
    };
    // What is sent along is not written: nothing but the database fails.
    service.limit_files(Some(0));
    assert_eq!(submit(None), (500, Some("false".to_owned())));
    assert_eq!(submit(Some("order-7")), (500, None));
    service.limit_files(None);
    assert_eq!(submit(Some("order-7")), (200, None));
}
