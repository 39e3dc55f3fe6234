//! `tryon models` against a hub on loopback that serves a tiny checkpoint.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    hub::{Asked, End, Files, Hub, Reply, commit_of, files_of},
    process::{PATIENCE, errors, tryon},
};

/// Bytes of the classifier's weights that arrive before a connection is cut.
const CUT: usize = 60_000;

const WEIGHTS: &str = "model.safetensors";

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine-qwen/tests/goldens")
}

/// The tiny classifier in the layout of its repository.
fn classifier() -> Files {
    let mut files = files_of(&goldens().join("checkpoint/moderator"));
    files.insert("pytorch_model.bin".to_owned(), b"not needed".to_vec());
    files
}

/// A hub, and an empty working directory.
struct Setting {
    hub: Hub,
    folder: tempfile::TempDir,
}

impl Setting {
    fn new(files: Files) -> Self {
        Self {
            hub: Hub::start(files),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn models(&self, args: &[&str]) -> Command {
        let mut command = tryon(self.folder.path());
        command.arg("models").args(args);
        command.env("HF_ENDPOINT", self.hub.endpoint());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.models(args).output().unwrap()
    }

    /// Runs it; it must succeed. Gives what it printed.
    fn succeed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it; it must fail with what it says on the way out.
    fn fail(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(
            said.contains("error: ") && said.contains("\nhint: "),
            "{said}"
        );
        said
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("data/models").join(name)
    }

    /// Whether a model is installed as these files, with nothing else but its manifest.
    fn assert_installed(&self, model: &str, expected: &Files) {
        let mut files = files_of(&self.path(model));
        let manifest = files.remove("tryon-model.json").unwrap();
        let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&files), names(expected));
        assert!(files == *expected, "the files have another content");
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest["name"], model);
        assert_eq!(
            manifest["files"].as_array().unwrap().len(),
            expected.len(),
            "{manifest}"
        );
        assert!(!self.path(&format!(".{model}.pull")).exists());
    }

    /// Where bytes of the weights are kept until all are there.
    fn part(&self) -> Option<PathBuf> {
        let files = std::fs::read_dir(self.path(".moderator.pull")).ok()?;
        let mut paths = files.map(|file| file.unwrap().path());
        paths.find(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(WEIGHTS) && path.extension().is_some_and(|end| end == "part")
        })
    }
}

fn needed(files: &Files) -> Files {
    let mut files = files.clone();
    files.remove("pytorch_model.bin");
    files
}

fn targets(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.target.as_str()).collect()
}

/// What was asked about the weights' content.
fn for_weights(hub: &Hub) -> Vec<Asked> {
    let mut asked = hub.take_asked();
    asked.retain(|asked| asked.is_for(WEIGHTS));
    asked
}

#[test]
fn a_checkpoint_is_pulled_verified_and_mended() {
    let tiny = files_of(&goldens().join("checkpoint/tiny-2511"));
    let mut published = tiny.clone();
    published.insert("README.md".to_owned(), b"# Qwen".to_vec());
    published.insert("assets/picture.png".to_owned(), b"png".to_vec());
    let setting = Setting::new(published.clone());
    let model = "qwen-image-edit-2511";

    let listed = setting.succeed(&["list"]);
    assert!(listed.lines().all(|line| line.contains("installed: no ")));
    let said = setting.succeed(&["verify"]);
    assert!(said.contains("no model was pulled"), "{said}");
    let said = setting.fail(&["verify", model]);
    assert!(said.contains("was not pulled"), "{said}");

    let printed = setting.succeed(&["pull", model]);
    assert_eq!(printed, format!("./data/models/{model}\n"));
    setting.assert_installed(model, &tiny);
    let commit = commit_of(&published);
    let asked = setting.hub.take_asked();
    let repo = "Qwen/Qwen-Image-Edit-2511";
    let first = format!("/mirror/api/models/{repo}/revision/main?blobs=true");
    let second = format!("/mirror/{repo}/resolve/{commit}/model_index.json");
    assert_eq!(targets(&asked)[..2], [first.as_str(), second.as_str()]);
    assert_eq!(asked.len(), 1 + tiny.len());

    let listed = setting.succeed(&["list"]);
    let line = listed.lines().find(|line| line.starts_with(model)).unwrap();
    assert!(
        line.contains(&format!("installed: at {}", &commit[..7])),
        "{line}"
    );
    let verified = setting.succeed(&["verify", model]);
    assert_eq!(verified.lines().count(), tiny.len());
    assert!(verified.lines().all(|line| line.starts_with("ok ")));

    let folder = setting.path(model);
    let weights = "vae/diffusion_pytorch_model.safetensors";
    let mut damaged = tiny[weights].clone();
    damaged[1000] ^= 1;
    std::fs::write(folder.join(weights), damaged).unwrap();
    std::fs::remove_file(folder.join("scheduler/scheduler_config.json")).unwrap();
    let output = setting.run(&["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let verified = String::from_utf8(output.stdout).unwrap();
    let wrong: Vec<_> = verified
        .lines()
        .filter(|line| !line.starts_with("ok "))
        .collect();
    let expected = [
        format!("missing  {model}/scheduler/scheduler_config.json"),
        format!("damaged  {model}/{weights}"),
    ];
    assert_eq!(wrong, expected);

    setting.succeed(&["pull", model]);
    setting.assert_installed(model, &tiny);
    assert_eq!(setting.hub.take_asked().len(), 3, "only what was wrong");
    setting.succeed(&["verify"]);
}

#[test]
fn a_cut_connection_goes_on_where_it_was() {
    let setting = Setting::new(classifier());
    let mut cuts = 0;
    setting.hub.twist(move |asked, reply| {
        if asked.is_for(WEIGHTS) && cuts < 2 {
            cuts += 1;
            return reply.end(End::Cut(CUT / 2));
        }
        reply
    });
    setting.succeed(&["pull", "moderator"]);
    setting.assert_installed("moderator", &needed(&classifier()));
    let ranges: Vec<_> = for_weights(&setting.hub)
        .into_iter()
        .map(|asked| asked.range)
        .collect();
    let from = |start: usize| Some(format!("bytes={start}-"));
    assert_eq!(ranges, [None, from(CUT / 2), from(CUT)]);
}

#[test]
fn a_pull_that_was_killed_goes_on_where_it_was() {
    let setting = Setting::new(classifier());
    setting.hub.twist(|asked, reply| {
        let end = if asked.is_for(WEIGHTS) {
            End::Stall(CUT)
        } else {
            End::Whole
        };
        reply.end(end)
    });
    let mut command = setting.models(&["pull", "moderator"]);
    let mut pull = command.stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let length = |path: PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
    while setting.part().map_or(0, length) < CUT as u64 {
        assert!(begun.elapsed() < PATIENCE, "nothing arrives");
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = setting.fail(&["pull", "moderator"]);
    assert!(
        said.contains("is being pulled by another process"),
        "{said}"
    );
    pull.kill().unwrap();
    pull.wait().unwrap();
    let listed = setting.succeed(&["list"]);
    let line = listed.lines().find(|line| line.starts_with("moderator"));
    let gathered = CUT + classifier()["config.json"].len();
    let gathered = indicatif::DecimalBytes(gathered as u64);
    let gathered = format!("({gathered} of a pull that was cut short)");
    assert!(line.unwrap().ends_with(&gathered), "{listed} {gathered}");
    assert!(
        !setting.path("moderator").exists(),
        "no node sees half a model"
    );

    setting.hub.mend();
    setting.hub.take_asked();
    setting.succeed(&["pull", "moderator"]);
    let asked = setting.hub.take_asked();
    assert_eq!(asked.len(), 3, "`config.json` had arrived: {asked:?}");
    assert_eq!(asked[1].range, Some(format!("bytes={CUT}-")));
    setting.assert_installed("moderator", &needed(&classifier()));
}

#[test]
fn a_hub_that_cannot_go_on_sends_the_whole_again() {
    let setting = Setting::new(classifier());
    let content = classifier()[WEIGHTS].clone();
    setting.hub.twist(move |asked, reply| {
        let is_first = asked.range.is_none();
        match (asked.is_for(WEIGHTS), is_first) {
            (true, true) => reply.end(End::Cut(CUT)),
            (true, false) => Reply {
                body: content.clone(),
                ..Reply::of(200)
            },
            _ => reply,
        }
    });
    setting.succeed(&["pull", "moderator"]);
    setting.assert_installed("moderator", &needed(&classifier()));
}

#[test]
fn another_part_than_the_one_asked_for_is_refused() {
    let setting = Setting::new(classifier());
    setting.hub.twist(|asked, reply| match &asked.range {
        None if asked.is_for(WEIGHTS) => reply.end(End::Cut(CUT)),
        None => reply,
        Some(_) => Reply {
            headers: vec![("content-range", "bytes 0-99/100".to_owned())],
            ..reply
        },
    });
    let said = setting.fail(&["pull", "moderator"]);
    assert!(said.contains("another part"), "{said}");
}

#[test]
fn wrong_bytes_are_refused_and_removed() {
    let setting = Setting::new(classifier());
    for (longer, why) in [
        (false, "its digest is another one"),
        (true, "it is longer than it should be"),
    ] {
        setting.hub.twist(move |asked, mut reply| {
            if asked.is_for(WEIGHTS) {
                reply.body[CUT] ^= 1;
                reply.body.extend(longer.then_some(0));
            }
            reply
        });
        let said = setting.fail(&["pull", "moderator"]);
        assert!(
            said.contains(WEIGHTS) && said.contains(why) && said.contains("was removed"),
            "{said}"
        );
        assert!(!setting.path("moderator").exists());
        assert_eq!(setting.part(), None);
    }
    setting.hub.mend();
    setting.hub.take_asked();
    setting.succeed(&["pull", "moderator"]);
    let asked = for_weights(&setting.hub);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].range, None);
}

#[test]
fn content_that_changed_since_it_was_listed_is_not_begun() {
    let setting = Setting::new(classifier());
    let digest = "e".repeat(64);
    setting.hub.twist(move |asked, mut reply| {
        if asked.is_for(WEIGHTS) {
            reply.headers = vec![("x-linked-etag", format!("\"{digest}\""))];
        }
        reply
    });
    let said = setting.fail(&["pull", "moderator"]);
    assert!(said.contains("has another `model.safetensors`"), "{said}");
}

#[test]
fn a_model_is_the_old_one_until_the_new_one_is_there() {
    let old = classifier();
    let setting = Setting::new(old.clone());
    setting.succeed(&["pull", "moderator"]);
    let mut new = old.clone();
    new.get_mut(WEIGHTS).unwrap()[CUT] ^= 1;
    new.get_mut("config.json").unwrap().push(b'\n');
    setting.hub.commit(new.clone());
    setting.hub.twist(|asked, reply| {
        if asked.is_for(WEIGHTS) {
            return Reply::of(403);
        }
        reply
    });
    let said = setting.fail(&["pull", "moderator"]);
    assert!(said.contains("accept the terms"), "{said}");
    setting.succeed(&["verify", "moderator"]);
    let read = |name: &str| std::fs::read(setting.path("moderator").join(name)).unwrap();
    assert!(read("config.json") == old["config.json"] && read(WEIGHTS) == old[WEIGHTS]);

    setting.hub.mend();
    setting.hub.take_asked();
    setting.succeed(&["pull", "moderator"]);
    assert_eq!(
        setting.hub.take_asked().len(),
        2,
        "`config.json` was gathered before"
    );
    setting.assert_installed("moderator", &needed(&new));
    let commit = commit_of(&old);
    setting.hub.commit(old.clone());
    setting.succeed(&["pull", "moderator", "--revision", &commit]);
    setting.assert_installed("moderator", &needed(&old));
}

#[test]
fn a_token_is_for_the_hub_alone() {
    let setting = Setting::new(classifier());
    let elsewhere = Hub::start(classifier());
    let (cdn, commit) = (elsewhere.address().to_owned(), commit_of(&classifier()));
    setting.hub.twist(move |asked, reply| {
        if !asked.is_for(WEIGHTS) {
            return reply;
        }
        let location = format!("http://{cdn}/x/resolve/{commit}/{WEIGHTS}?signature=f00dcafe");
        Reply::of(302).header("location", location)
    });
    elsewhere.twist(|_, reply| reply.end(End::Cut(CUT)));
    let mut command = setting.models(&["pull", "moderator"]);
    let output = command.env("HF_TOKEN", "hf_t0ken").output().unwrap();
    let said = errors(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(elsewhere.address()), "a cut is told: {said}");
    assert!(
        !said.contains("t0ken") && !said.contains("f00dcafe"),
        "{said}"
    );
    let asked = setting.hub.take_asked();
    let bearer = Some("Bearer hf_t0ken".to_owned());
    assert!(asked.len() > 3 && asked.iter().all(|asked| asked.authorization == bearer));
    let asked = elsewhere.take_asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|asked| asked.authorization.is_none()));
    assert_eq!(asked[1].range, Some(format!("bytes={CUT}-")));
}

#[test]
fn a_file_that_leads_out_of_the_folder_is_refused() {
    for name in ["../x", "vae/../../x", "/x"] {
        let mut files = classifier();
        files.insert(name.to_owned(), b"x".to_vec());
        let setting = Setting::new(files);
        let said = setting.fail(&["pull", "moderator"]);
        assert!(said.contains(&format!("`{name}` is no path")), "{said}");
        assert_eq!(setting.hub.take_asked().len(), 1);
        assert!(!setting.path("x").exists() && !setting.path("moderator").exists());
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let setting = Setting::new(classifier());
    let said = setting.fail(&["pull", "moderator", "--revision", "a/b"]);
    assert!(
        said.contains("404") && said.contains("--revision"),
        "{said}"
    );
    assert!(said.contains("`Falconsai/nsfw_image_detection` at `a/b`"));
    assert!(targets(&setting.hub.take_asked())[0].contains("/revision/a%2Fb?"));
    for (status, advice) in [(401, "set HF_TOKEN"), (403, "accept the terms")] {
        setting.hub.twist(move |_, _| Reply::of(status));
        let said = setting.fail(&["pull", "moderator"]);
        assert!(
            said.contains(&status.to_string()) && said.contains(advice),
            "{said}"
        );
    }
    setting.hub.twist(|_, _| Reply {
        body: b"<html>".to_vec(),
        ..Reply::of(200)
    });
    let said = setting.fail(&["pull", "moderator"]);
    assert!(said.contains("does not answer like a hub"), "{said}");
    for (endpoint, why) in [
        ("huggingface.co", "is no URL"),
        ("ftp://hub", "is not an `http` or `https` URL"),
        ("http://me:t0ken@hub", "belongs into HF_TOKEN"),
    ] {
        let mut command = setting.models(&["pull", "moderator"]);
        let output = command.env("HF_ENDPOINT", endpoint).output().unwrap();
        let said = errors(&output);
        assert!(said.contains(why) && !said.contains("t0ken"), "{said}");
    }
}

#[test]
fn a_hub_that_is_busy_is_asked_again_but_not_for_ever() {
    let setting = Setting::new(classifier());
    let mut asked_before = 0;
    setting.hub.twist(move |_, reply| {
        asked_before += 1;
        match asked_before {
            1 => Reply::of(429).header("retry-after", "1"),
            2 => Reply::of(503),
            3 => reply.end(End::Cut(20)),
            _ => reply,
        }
    });
    let begun = Instant::now();
    let output = setting.run(&["pull", "moderator"]);
    let said = errors(&output);
    assert!(output.status.success(), "{said}");
    assert!(begun.elapsed() >= Duration::from_secs(1), "it asks to wait");
    setting.assert_installed("moderator", &needed(&classifier()));
    for why in ["429", "503", "the connection to"] {
        assert!(said.contains(why), "{why}: {said}");
    }

    for listing in [true, false] {
        setting.hub.commit(classifier());
        std::fs::remove_dir_all(setting.path("moderator")).ok();
        setting.hub.twist(move |asked, reply| {
            if asked.target.contains("/api/models/") == listing {
                return Reply::of(429).header("retry-after", "7200");
            }
            reply
        });
        setting.hub.take_asked();
        let said = setting.fail(&["pull", "moderator"]);
        assert!(
            said.contains("asks to wait 2 hours") && said.contains("pull again"),
            "{said}"
        );
        assert_eq!(setting.hub.take_asked().len(), if listing { 1 } else { 2 });
    }
}

#[test]
fn what_the_hub_lacks_or_the_disk_cannot_take_is_not_begun() {
    let mut files = classifier();
    files.remove("preprocessor_config.json");
    let setting = Setting::new(files);
    let said = setting.fail(&["pull", "moderator"]);
    assert!(said.contains("has no `preprocessor_config.json`"), "{said}");

    setting.hub.commit(classifier());
    setting.hub.twist(|asked, mut reply| {
        if asked.target.contains("/api/models/") {
            let mut listing: Value = serde_json::from_slice(&reply.body).unwrap();
            for sibling in listing["siblings"].as_array_mut().unwrap() {
                sibling["size"] = (1_u64 << 60).into();
            }
            reply.body = listing.to_string().into_bytes();
        }
        reply
    });
    setting.hub.take_asked();
    let said = setting.fail(&["pull", "moderator"]);
    assert!(said.contains("EB more, and its disk has"), "{said}");
    assert_eq!(setting.hub.take_asked().len(), 1);
}

#[test]
fn the_parsers_licence_is_told_and_the_folder_can_be_chosen() {
    let setting = Setting::new(files_of(&goldens().join("checkpoint/parser")));
    let output = setting.run(&["pull", "person-parser", "--dir", "elsewhere"]);
    let said = errors(&output);
    assert!(output.status.success(), "{said}");
    let (note, rest) = said.split_once('\n').unwrap();
    assert!(
        note.contains("nvidia/mit-b2") && note.contains("does not allow commercial use"),
        "{note}"
    );
    assert!(rest.starts_with("pulling "), "{rest}");
    let chosen = setting.folder.path().join("elsewhere/person-parser");
    assert!(chosen.join(WEIGHTS).exists());

    let yaml = "node: {model: {dir: elsewhere}}";
    std::fs::write(setting.folder.path().join("config.yaml"), yaml).unwrap();
    let verified = setting.succeed(&["verify"]);
    assert_eq!(verified.matches("ok       person-parser/").count(), 3);
    let output = setting.run(&["pull", "no-such-model"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("lightxv-2511-fp8"));
}
