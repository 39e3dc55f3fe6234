//! Commands that need no running service.

use std::process::Stdio;

use tryon_testkit::{postgres::PostgresServer, redis::Redis};

use crate::process::{errors, example, fail, run, tryon};

#[test]
fn a_picture_is_made_here() {
    let folder = tempfile::tempdir().unwrap();
    let person = example("person-studio.jpg");
    let garment = example("garment-striped.jpg");
    for name in ["a.png", "b.png", "c.jpg"] {
        let args = [
            "try",
            person.to_str().unwrap(),
            garment.to_str().unwrap(),
            "-o",
            name,
        ];
        assert_eq!(run(folder.path(), &args), format!("{name}\n"));
    }
    let read = |name| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(
        read("a.png"),
        read("b.png"),
        "the same seed gives the same bytes"
    );
    for name in ["a.png", "c.jpg"] {
        let texts = tryon_picture::read_text(&read(name));
        let says = |(_, text): &(String, String)| text.contains("not a generative model");
        assert!(texts.iter().any(says), "{name}: {texts:?}");
    }
}

#[test]
fn what_cannot_be_used_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let person = example("person-studio.jpg").display().to_string();
    let readme = example("README.md").display().to_string();
    let garment = example("garment-tee.jpg").display().to_string();
    let portrait = example("person-portrait.jpg").display().to_string();
    let cases: [(&[&str], &str); 5] = [
        (
            &["try", "missing.png", &garment, "-o", "o.png"],
            "`missing.png` cannot be read",
        ),
        (
            &["try", &person, &readme, "-o", "o.png"],
            "README.md` cannot be used",
        ),
        (
            &["try", &person, &garment, "-o", "no/o.png"],
            "`no/o.png` cannot be written",
        ),
        (&["try", &portrait, &garment, "-o", "o.png"], "mask"),
        (
            &[
                "try",
                &person,
                &garment,
                "-o",
                "o.png",
                "--provider",
                "qwen",
            ],
            "qwen-image-edit-2511` is not installed",
        ),
    ];
    for (args, expected) in cases {
        let said = fail(folder.path(), args);
        assert!(
            said.starts_with("error: ") && said.contains(expected) && said.contains("\nhint: "),
            "{args:?}: {said}"
        );
    }
    assert!(!folder.path().join("o.png").exists());
}

#[test]
fn a_command_that_is_not_understood_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["tyr"][..], &["try"], &["serve", "--port", "x"]] {
        assert_eq!(
            tryon(folder.path())
                .args(args)
                .output()
                .unwrap()
                .status
                .code(),
            Some(2)
        );
    }
}

#[test]
fn accounts_keys_and_credits_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let settings = r#"{"server": {}, "default_limits": {"concurrent_jobs": 2}}"#;
    std::fs::write(folder.path().join("gateway.yaml"), settings).unwrap();
    let config = ["--config", "gateway.yaml", "account"];
    let made = run(folder.path(), &[&config[..], &["create", "small"]].concat());
    let listed = run(folder.path(), &[&config[..], &["list"]].concat());
    assert!(
        listed.contains(made.trim()) && listed.contains("jobs 0/2"),
        "{listed}"
    );
    let account = run(folder.path(), &["account", "create", "shop"]);
    let account = account.trim();
    let shown = run(
        folder.path(),
        &["credits", "grant", account, "5", "--pool", "subscription"],
    );
    assert_eq!(
        shown,
        "available 5\nsubscription 5, purchased 0, reserved 0\n"
    );
    let key = run(folder.path(), &["key", "create", account, "--name", "web"]);
    assert!(key.starts_with("tryon_") && key.trim().len() == 49, "{key}");
    let keys = run(folder.path(), &["key", "list", account]);
    assert!(keys.contains("web") && !keys.contains(key.trim()), "{keys}");
    let id = keys.split_whitespace().next().unwrap();
    run(folder.path(), &["key", "revoke", id]);
    assert!(run(folder.path(), &["key", "list", account]).contains("(revoked)"));
    fail(folder.path(), &["key", "revoke", id]);
    let some = ["key", "create", account, "--scope", "status,submit"];
    run(folder.path(), &some);
    let keys = run(folder.path(), &["key", "list", account]);
    assert!(keys.contains("[submit status]"), "{keys}");
    run(folder.path(), &["key", "create", account, "--days", "30"]);
    let keys = run(folder.path(), &["key", "list", account]);
    assert!(keys.contains("(expires in 720 hours)"), "{keys}");
    run(
        folder.path(),
        &["account", "limits", account, "--concurrent-jobs", "2"],
    );
    let list = run(folder.path(), &["account", "list"]);
    assert!(list.contains("shop") && list.contains("jobs 0/2"), "{list}");
    let nobody = "0".repeat(24);
    assert!(fail(folder.path(), &["credits", "show", &nobody]).contains("there is no account"));
}

#[test]
fn every_fault_of_a_configuration_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "server: {prot: 1}\njobs: {lease: soon}\n";
    std::fs::write(folder.path().join("config.yaml"), yaml).unwrap();
    let said = fail(folder.path(), &["gateway"]);
    assert!(
        said.starts_with("error: the configuration has 2 fault(s)"),
        "{said}"
    );
    assert!(
        said.contains("did you mean `port`?") && said.contains("`jobs.lease`"),
        "{said}"
    );
    let said = fail(folder.path(), &["node", "--config", "/dev/null"]);
    assert!(said.contains("INCOMING_AUTH_TOKEN"), "{said}");
}

#[test]
fn a_bucket_that_cannot_be_reached_is_told_at_start_with_what_was_tried() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["serve", "doctor"] {
        let output = tryon(folder.path())
            .args([command])
            .env("TRYON_STORAGE_URL", "s3://shop/pictures")
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "s3cret")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + errors(&output).as_str();
        for part in [
            "`s3://shop/pictures` cannot be written to",
            "http://127.0.0.1:1",
            "hint: ",
        ] {
            assert!(said.contains(part), "{command}: {said}");
        }
        assert!(!said.contains("s3cret"), "{command}: {said}");
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_told_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 3] = [&["serve"], &["doctor"], &["account", "list"]];
    for (url, named) in [
        ("mysql://me:hunter2@10.0.0.1/tryon", "is of `mysql`, not "),
        (
            "postgres://me:hunter2@127.0.0.1:1/tryon",
            "`postgres://me:***@127.0.0.1:1/tryon`",
        ),
    ] {
        for command in commands {
            let output = tryon(folder.path())
                .args(command)
                .env("TRYON_DATABASE_URL", url)
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(1), "{command:?}");
            let said =
                String::from_utf8_lossy(&output.stdout).into_owned() + errors(&output).as_str();
            assert!(!said.contains("timed out"), "{command:?}: {said}");
            // `serve` makes its secrets by itself: there is nothing wrong with those.
            assert!(!said.contains("link_signing_key"), "{command:?}: {said}");
            for part in [named, "hint: "] {
                assert!(said.contains(part), "{command:?}: {said}");
            }
            assert!(!said.contains("hunter2"), "{command:?}: {said}");
        }
    }
}

/// It may be looking at what a gateway of another version is at work on.
#[test]
fn the_doctor_leaves_a_databases_schema_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("data/tryon.db");
    std::fs::create_dir(folder.path().join("data")).unwrap();
    // What SQLite takes for a database that no migration has seen.
    std::fs::write(&database, "").unwrap();
    let said = run(folder.path(), &["doctor"]);
    assert!(said.contains("is empty until the first start"), "{said}");
    assert_eq!(std::fs::read(&database).unwrap(), b"");
    assert_eq!(
        std::fs::read_dir(folder.path().join("data"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn the_doctor_tries_what_counts_requests() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let absent = "redis://me:hunter2@127.0.0.1:1".to_owned();
    for (url, found) in [(redis.url(), "ok     rates "), (absent, "wrong  rates ")] {
        let mut doctor = tryon(folder.path());
        let output = doctor.arg("doctor").env("TRYON_RATES_URL", url);
        let said = String::from_utf8(output.output().unwrap().stdout).unwrap();
        assert!(said.contains(found) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn the_doctor_leaves_a_servers_database_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let url = PostgresServer::shared().create_database().unwrap();
    let said = || {
        let mut doctor = tryon(folder.path());
        let output = doctor.arg("doctor").env("TRYON_DATABASE_URL", &url);
        String::from_utf8(output.output().unwrap().stdout).unwrap()
    };
    for _ in 0..2 {
        assert!(
            said().contains("is empty until the first start"),
            "{}",
            said()
        );
    }
}

#[test]
fn the_doctor_notes_links_that_no_other_machine_can_follow() {
    let folder = tempfile::tempdir().unwrap();
    let noted = |server: &str| {
        let settings = format!("gateway: {{server: {{{server}}}}}\n");
        std::fs::write(folder.path().join("config.yaml"), settings).unwrap();
        run(folder.path(), &["doctor"]).contains("--public-url")
    };
    assert!(noted("host: 0.0.0.0"));
    assert!(!noted("host: 0.0.0.0, public_url: 'https://try.example'"));
    assert!(!noted("port: 8090"));
}

#[test]
fn the_doctor_says_what_runs_here_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["doctor"]);
    for expected in [
        "preview",
        "not a generative model",
        "CUDA",
        "moderation_level",
        "clothes by",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    std::fs::write(
        folder.path().join("config.yaml"),
        "model: {model_type: qwen}\n",
    )
    .unwrap();
    let output = tryon(folder.path()).arg("doctor").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("qwen-image-edit-2511` is not installed"),
        "{said}"
    );
}

/// As of `tryon doctor | head -1`, where `head` is even gone before the first line.
#[test]
fn a_reader_that_has_seen_enough_changes_nothing_of_what_a_command_does() {
    let folder = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 4] = [
        &["doctor"],
        &["reference"],
        &["completions", "bash"],
        &["account", "create", "shop"],
    ];
    for args in commands {
        let mut child = tryon(folder.path())
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(errors(&output), "", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
    }
    let accounts = run(folder.path(), &["account", "list"]);
    assert!(accounts.contains("shop"), "{accounts}");
}
