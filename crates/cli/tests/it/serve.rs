//! `tryon serve`: first start, restart, being told to stop.

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{Service, example, fail, http, run, tryon};

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
    let said = fail(folder.path(), &["serve", "--port", &port]);
    assert!(said.contains("\nhint: "), "{said}");
    drop(taken);
    let mut service = serve(folder.path());
    let url = service.read("serves on ");
    let key = service.read("key ");
    assert_eq!(credits(&url, &key)["credits"]["on_demand"], 1000);
}

#[test]
fn an_account_of_the_operators_own_is_given_nothing() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["account", "create", "shop"]);
    let mut service = serve(folder.path());
    service.read("serves on ");
    service.read("not a generative model");
    let listed = run(folder.path(), &["account", "list"]);
    assert!(listed.contains("shop  credits 0 "), "{listed}");
    service.signal(Signal::TERM);
    assert!(!service.read_to_end().contains("tryon_"));
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
    assert!(said.contains("\nhint: "), "{said}");
}
