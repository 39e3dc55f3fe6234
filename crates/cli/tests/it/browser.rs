//! The pages in a browser.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use thirtyfour::{
    By, CapabilitiesHelper as _, ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver,
    WebElement,
    prelude::{ElementQueryable as _, ElementWaitable as _},
};

use crate::{
    clients::client,
    process::{PATIENCE, Service, run, tryon},
};

const LOOK: Duration = Duration::from_millis(100);

/// What keeps a browser at what it is told.
const SWITCHES: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    // What moves by itself is not where it was looked for.
    "--force-prefers-reduced-motion",
];

/// Where pictures of the pages are put, to be looked at.
fn shots() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A platform on this machine.
struct Stage {
    folder: tempfile::TempDir,
    _service: Service,
    url: String,
    /// The link that its first start prints.
    link: String,
}

impl Stage {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = tryon(folder.path());
        command
            .args(["serve", "--port", "0"])
            .env("RUST_LOG", "error");
        let mut service = Service::start(&mut command);
        let url = service.read("serves on ");
        let link = service.read("try it ");
        service.read("not a generative model");
        Self {
            folder,
            _service: service,
            url,
            link,
        }
    }
}

/// A browser, and the program that drives it.
struct Browser {
    driver: WebDriver,
    _process: Driver,
}

struct Driver {
    child: Child,
    /// It ends when nobody listens to it.
    _stdout: BufReader<ChildStdout>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Driver {
    fn start() -> (Self, String) {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("`chromedriver` is needed: run ./test.sh, which installs it");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "it says its port");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim().trim_end_matches('.').to_owned();
            }
        };
        let driver = Self {
            child,
            _stdout: stdout,
        };
        (driver, format!("http://127.0.0.1:{port}"))
    }
}

impl Browser {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (process, server) = Driver::start();
        let mut wanted = DesiredCapabilities::chrome();
        for switch in SWITCHES {
            wanted.add_arg(switch).unwrap();
        }
        let logs = json!({"browser": "ALL", "performance": "ALL"});
        wanted.set("goog:loggingPrefs", logs).unwrap();
        Self {
            driver: WebDriver::new(&server, wanted).await.unwrap(),
            _process: process,
        }
    }

    async fn resize(&self, width: u32, height: u32) {
        // The window has no edges; its size is that of the page.
        self.driver
            .set_window_rect(0, 0, width, height)
            .await
            .unwrap();
    }

    async fn find(&self, selector: &str) -> WebElement {
        let query = self.driver.query(By::Css(selector)).wait(PATIENCE, LOOK);
        query.first().await.unwrap()
    }

    /// The element once it is seen.
    async fn see(&self, selector: &str) -> WebElement {
        let element = self.find(selector).await;
        let seen = element.wait_until().wait(PATIENCE, LOOK).displayed().await;
        seen.unwrap_or_else(|error| panic!("`{selector}` is not seen: {error}"));
        element
    }

    async fn click(&self, selector: &str) {
        let element = self.see(selector).await;
        element.scroll_into_view().await.unwrap();
        element.click().await.unwrap();
    }

    async fn text(&self, selector: &str) -> String {
        self.find(selector).await.text().await.unwrap()
    }

    /// Waits until the element's text has this in it.
    async fn wait_for_text(&self, selector: &str, part: &str) {
        let element = self.find(selector).await;
        let wait = element.wait_until().wait(PATIENCE, LOOK);
        let found = wait.has_text(thirtyfour::stringmatch::StringMatch::new(part).partial());
        let found = found.await.is_ok();
        assert!(
            found,
            "`{selector}` says `{}`, not `{part}`",
            self.text(selector).await
        );
    }

    async fn run(&self, script: &str) -> Value {
        let result = self.driver.execute(script, Vec::new()).await;
        result.unwrap().json().clone()
    }

    async fn shoot(&self, name: &str) {
        let file = shots().join(format!("{name}.png"));
        self.driver.screenshot(&file).await.unwrap();
    }

    /// Checks that since it was asked last nothing went wrong in the browser, and nothing was asked
    /// of anybody but this origin.
    async fn check_logs(&self, origin: &str) {
        let said = self.driver.browser_log().await.unwrap();
        assert!(said.is_empty(), "{said:#?}");
        let events = self.driver.get_log("performance").await.unwrap();
        let events = events
            .iter()
            .map(|entry| serde_json::from_str::<Value>(&entry.message).unwrap()["message"].take());
        let asked: Vec<_> = events
            .filter(|event| event["method"] == "Network.requestWillBeSent")
            .map(|event| {
                let url = &event["params"]["request"]["url"];
                url.as_str().unwrap().to_owned()
            })
            .collect();
        assert!(!asked.is_empty(), "requests are seen");
        let own = |url: &String| {
            [origin, "data:", "blob:"]
                .iter()
                .any(|it| url.starts_with(it))
        };
        let others: Vec<_> = asked.iter().filter(|url| !own(url)).collect();
        assert!(others.is_empty(), "{others:?}");
    }

    /// Checks that the page as it is now can be used by everybody, as far as a program can tell.
    async fn check_access(&self, page: &str) {
        let axe = client("axe-core-4.14.1").join("node_modules/axe-core/axe.min.js");
        self.run(&fs::read_to_string(axe).unwrap()).await;
        let script = "const done = arguments[arguments.length - 1];
            axe.run().then(({violations}) => done(violations.map(({id, impact, nodes}) =>
                ({id, impact, nodes: nodes.map((node) => node.html)}))))";
        let found = self.driver.execute_async(script, Vec::new()).await.unwrap();
        assert_eq!(*found.json(), json!([]), "{page}: {:#}", found.json());
    }

    async fn end(self) {
        self.driver.quit().await.unwrap();
    }
}

#[tokio::test]
async fn every_page_is_sound_on_a_desk_and_on_a_phone() {
    let stage = Stage::start();
    let browser = Browser::start().await;
    for (page, name) in [
        ("/", "home"),
        ("/playground", "playground"),
        ("/docs", "guide"),
        ("/docs/api", "reference"),
    ] {
        for (width, height) in [(1280, 900), (390, 844)] {
            browser.resize(width, height).await;
            browser
                .driver
                .goto(format!("{}{page}", stage.url))
                .await
                .unwrap();
            browser.see("h1").await;
            let wide = browser
                .run("return document.documentElement.scrollWidth")
                .await;
            let room = browser
                .run("return document.documentElement.clientWidth")
                .await;
            assert_eq!(wide, room, "{page} is wider than {width}");
            browser.check_access(page).await;
            browser.check_logs(&stage.url).await;
            browser.shoot(&format!("{name}-{width}")).await;
        }
    }
    browser.end().await;
}

#[tokio::test]
async fn the_printed_link_leads_to_a_picture() {
    let stage = Stage::start();
    let browser = Browser::start().await;
    browser.resize(1280, 1300).await;
    browser.driver.goto(&stage.link).await.unwrap();
    browser.wait_for_text("#balance", "1,000 credits").await;
    let address = browser.driver.current_url().await.unwrap();
    assert_eq!(
        address.fragment(),
        None,
        "the key is not left in the address"
    );

    browser.click(".sample").await;
    browser.see("#zone-person.full img").await;
    browser.see("#zone-garment.full img").await;
    browser.click("#submit").await;
    browser.see("#pictures").await;
    let drawn = "const image = document.getElementById('after'); return image.decode().then(() => image.naturalWidth)";
    assert!(browser.run(drawn).await.as_u64().unwrap() > 300);
    browser.wait_for_text("#balance", "999 credits").await;
    let slide = "const slider = document.getElementById('slider');
        slider.value = 50; slider.dispatchEvent(new Event('input', {bubbles: true}));
        return getComputedStyle(document.getElementById('before')).clipPath";
    assert_eq!(browser.run(slide).await, "inset(0px 50% 0px 0px)");
    let download = browser
        .find("#download")
        .await
        .attr("download")
        .await
        .unwrap();
    assert_eq!(download.as_deref(), Some("tryon-1.png"));
    browser.check_access("a result").await;
    browser.run("scrollTo(0, 0)").await;
    browser.shoot("result-1280").await;

    for (tab, part) in [
        ("python", "requests.post("),
        ("javascript", "await fetch("),
        ("curl", "curl -s"),
    ] {
        browser.click(&format!("#tab-{tab}")).await;
        let code = browser.text("#code").await;
        assert!(code.contains(part) && code.contains("tee.jpg"), "{code}");
        assert!(!code.contains("tryon_"), "a key is shown: {code}");
    }
    browser.check_logs(&stage.url).await;
    browser.resize(390, 844).await;
    browser
        .run("document.querySelector('.result').scrollIntoView({behavior: 'instant'})")
        .await;
    browser.shoot("result-390").await;
    browser.end().await;
}

/// The copied request is run as it is, with what was typed as it was typed.
#[tokio::test]
async fn the_request_that_is_copied_works() {
    let stage = Stage::start();
    let browser = Browser::start().await;
    browser.driver.goto(&stage.link).await.unwrap();
    browser.click(".sample").await;
    browser.see("#zone-garment.full img").await;
    let kind = "a $(touch broken) `touch broken` \\ \"$HOME\" hat";
    browser
        .run("document.getElementById('category').value = 'headwear'; document.getElementById('form').dispatchEvent(new Event('input'))")
        .await;
    browser
        .see("#subcategory")
        .await
        .send_keys(kind)
        .await
        .unwrap();
    let code = browser.text("#code").await;
    let folder = stage.folder.path();
    for (name, example) in [
        ("person.jpg", "person-studio.jpg"),
        ("tee.jpg", "garment-tee.jpg"),
    ] {
        fs::copy(crate::process::example(example), folder.join(name)).unwrap();
    }
    let key = stage.link.split_once("#key=").unwrap().1;
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &code])
        .current_dir(folder)
        .env("TRYON_API_KEY", key);
    let said = shell.output().unwrap();
    let answer: Value = serde_json::from_slice(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    // The preview engine knows no hats, and says so; the request was read.
    let name = &answer["error"]["name"];
    assert!(
        answer["status"] == "completed" || name == "InputValidationError",
        "{answer}"
    );
    assert!(!folder.join("broken").exists(), "{code}");
    browser.end().await;
}

#[tokio::test]
async fn a_job_that_waits_says_so_and_can_be_cancelled() {
    let stage = Stage::start();
    let nodes = run(stage.folder.path(), &["nodes", "list"]);
    let node = nodes.split_whitespace().next().unwrap();
    run(stage.folder.path(), &["nodes", "drain", node]);
    let browser = Browser::start().await;
    browser.driver.goto(&stage.link).await.unwrap();
    browser.click(".sample").await;
    browser.see("#zone-garment.full img").await;
    browser.click("#submit").await;
    browser.wait_for_text("#stage", "In the queue: next").await;
    browser.check_access("a job that waits").await;
    browser.shoot("waiting-1280").await;
    browser.click("#cancel").await;
    browser.wait_for_text("#error", "Cancelled: ").await;
    browser.wait_for_text("#balance", "1,000 credits").await;
    browser.check_logs(&stage.url).await;
    browser.end().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_where_it_is_seen() {
    let stage = Stage::start();
    let browser = Browser::start().await;
    browser
        .driver
        .goto(format!("{}/playground", stage.url))
        .await
        .unwrap();
    browser.click("#submit").await;
    browser
        .wait_for_text("#error", "Give an API key first")
        .await;
    browser
        .find("#key")
        .await
        .send_keys("tryon_nobody")
        .await
        .unwrap();
    browser.click("#submit").await;
    browser
        .wait_for_text("#error", "Choose a picture of the person")
        .await;
    browser
        .wait_for_text("#balance", "This key is not valid")
        .await;
    browser.click(".sample").await;
    browser.see("#zone-garment.full img").await;
    browser.click("#submit").await;
    browser
        .wait_for_text("#error", "UnauthorizedAccess: ")
        .await;
    browser.end().await;
}
