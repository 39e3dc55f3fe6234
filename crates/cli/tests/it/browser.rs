//! The pages in a browser.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use thirtyfour::{
    By, CapabilitiesHelper as _, ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver,
    WebElement,
    prelude::{ElementQueryable as _, ElementWaitable as _},
};
use tryon_testkit::oidc::{CLIENT, CLIENT_SECRET, OidcProvider};

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
    /// The password of `admin`, likewise.
    password: String,
}

impl Stage {
    fn start() -> Self {
        Self::start_with(None)
    }

    /// The same with a configuration of its own.
    fn start_with(config: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(config) = config {
            fs::write(folder.path().join("config.yaml"), config).unwrap();
        }
        let mut command = tryon(folder.path());
        command
            .args(["serve", "--port", "0"])
            .env("RUST_LOG", "error");
        let mut service = Service::start(&mut command);
        let url = service.read("serves on ");
        let sign_in = service.read("sign in ");
        let password = sign_in.split_once("as admin, with the password ");
        let password = password.map_or("", |(_, password)| password).to_owned();
        let link = service.read("try it ");
        service.read("not a generative model");
        Self {
            folder,
            _service: service,
            url,
            link,
            password,
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

    /// Waits until the element's text has this in it. The page may become another one meanwhile, and the
    /// element with it.
    async fn wait_for_text(&self, selector: &str, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = match self.driver.find(By::Css(selector)).await {
                Ok(element) => element.text().await,
                Err(error) => Err(error),
            };
            match said {
                Ok(text) if text.contains(part) => return,
                said if Instant::now() > deadline => {
                    panic!("`{selector}` says {said:?}, not `{part}`")
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn open(&self, stage: &Stage, page: &str) {
        let url = format!("{}{page}", stage.url);
        self.driver.goto(url).await.unwrap();
        self.see("h1").await;
    }

    async fn fill(&self, selector: &str, text: &str) {
        let field = self.see(selector).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Signs in as the first user.
    async fn sign_in(&self, stage: &Stage) {
        self.open(stage, "/app/sign-in").await;
        self.fill("#login", "admin").await;
        self.fill("#password", &stage.password).await;
        self.click("form .button").await;
        self.see(".figures").await;
    }

    /// Checks that a page can be used by everybody on a desk and on a phone, and takes pictures of it.
    async fn check_page(&self, stage: &Stage, page: &str, name: &str) {
        for (width, height) in [(1280, 900), (390, 844)] {
            self.resize(width, height).await;
            self.open(stage, page).await;
            let wide = self
                .run("return document.documentElement.scrollWidth")
                .await;
            let room = self
                .run("return document.documentElement.clientWidth")
                .await;
            assert_eq!(wide, room, "{page} is wider than {width}");
            self.check_access(page).await;
            self.check_logs(&stage.url).await;
            self.shoot(&format!("{name}-{width}")).await;
        }
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
        self.check_logs_of(&[origin]).await;
    }

    /// The same, of these origins.
    async fn check_logs_of(&self, origins: &[&str]) {
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
            let inline = ["data:", "blob:"];
            origins.iter().chain(&inline).any(|it| url.starts_with(it))
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
        ("/app/sign-in", "sign-in"),
    ] {
        browser.check_page(&stage, page, name).await;
    }
    browser.end().await;
}

/// What a shop's developer does first, from signing in to a key that opens nothing any more.
#[tokio::test]
async fn a_key_is_made_used_and_revoked() {
    let stage = Stage::start();
    let browser = Browser::start().await;
    browser.resize(1280, 1000).await;
    browser.open(&stage, "/app/developer/keys").await;
    browser.fill("#login", "admin").await;
    browser.fill("#password", "another password").await;
    browser.click("form .button").await;
    browser
        .wait_for_text(".error", "nobody with this login")
        .await;
    browser.check_access("a wrong password").await;
    // A refused sign-in is an error to the browser, which says so.
    browser.driver.browser_log().await.unwrap();
    browser.fill("#password", &stage.password).await;
    browser.click("form .button").await;

    browser.fill("#name", "shop").await;
    browser.click("[name=erase]").await;
    browser
        .click(".page form[action='/app/developer/keys'] .button")
        .await;
    let key = browser.text("#secret").await;
    browser.check_access("a new key").await;
    browser.shoot("new-key-1280").await;
    let credits = || {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-w", " %{http_code}", "-H"]);
        curl.arg(format!("Authorization: Bearer {key}"));
        let said = curl.arg(format!("{}/api/v1/credits", stage.url)).output();
        String::from_utf8(said.unwrap().stdout).unwrap()
    };
    let said = credits();
    assert!(
        said.ends_with(" 200") && said.contains("\"on_demand\":1000"),
        "{said}"
    );
    browser.click("[aria-label='Revoke shop']").await;
    browser.wait_for_text("tbody tr", "revoked").await;
    let said = credits();
    assert!(said.ends_with(" 401"), "{said}");
    browser.check_logs(&stage.url).await;

    browser.open(&stage, "/app/developer/password").await;
    browser.fill("#old", &stage.password).await;
    browser.fill("#new", "a password of my own").await;
    browser.click(".page .button").await;
    browser.fill("#login", "admin").await;
    browser.fill("#password", "a password of my own").await;
    browser.click("form .button").await;
    browser.see(".figures").await;
    browser.click(".who .link").await;
    browser.see("#password").await;
    browser.check_logs(&stage.url).await;
    browser.end().await;
}

/// Somebody who never had a password here.
#[tokio::test]
async fn somebody_signs_in_at_a_provider_and_out_here() {
    let provider = OidcProvider::start_thin();
    let issuer = provider.issuer();
    let stage = Stage::start_with(Some(&format!(
        "gateway: {{sign_in: {{passwords: false, oidc: {{issuer: '{issuer}', client_id: {CLIENT}, \
         client_secret: '{CLIENT_SECRET}', name: Example & Co}}}}}}"
    )));
    assert_eq!(stage.password, "", "of none is told where none signs in");
    let own = |args: &[&str]| run(stage.folder.path(), args).trim().to_owned();
    let account = own(&["account", "create", "shop"]);
    let login = "anna@shop.example";
    let made = ["user", "create", login, "--account", &account, "--operator"];
    assert_eq!(own(&[&made[..], &["--no-password"]].concat()), "");

    let browser = Browser::start().await;
    browser
        .check_page(&stage, "/app/sign-in", "sign-in-provider")
        .await;
    browser.resize(1280, 1000).await;
    let there = async || {
        browser
            .wait_for_text("#provider", "Sign in with Example & Co")
            .await;
        browser.click("#provider").await;
    };
    browser.open(&stage, "/admin/accounts").await;
    there().await;
    browser.fill("#who", login).await;
    browser.click("#go").await;
    browser.wait_for_text(".who .note", login).await;
    browser.wait_for_text("h1", "Accounts").await;
    browser.check_access("signed in by a provider").await;
    browser.check_logs_of(&[&stage.url, issuer]).await;

    browser.click(".who .link").await;
    browser.see("#provider").await;
    browser.open(&stage, "/app/developer").await;
    // The provider goes on knowing who it is.
    there().await;
    browser.see(".figures").await;
    browser.check_logs_of(&[&stage.url, issuer]).await;
    own(&["user", "unlink", login]);
    browser.open(&stage, "/app/developer").await;
    browser.see("#provider").await;
    browser.check_logs(&stage.url).await;
    browser.end().await;
}

/// A receiver of webhooks: how many it took.
fn start_receiver() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap() <= 2 {
                    break;
                }
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
        }
    });
    (url, taken)
}

#[tokio::test]
async fn a_webhook_is_replayed_and_a_node_drained() {
    let stage = Stage::start_with(Some("gateway: {fetch: {allow_private: true}}"));
    let (receiver, taken) = start_receiver();
    let browser = Browser::start().await;
    // A picture, with somebody to be told of it.
    let script = format!(
        "const done = arguments[arguments.length - 1];
        (async () => {{
            const picture = async (name) => new Promise(async (read) => {{
                const file = new FileReader();
                file.onload = () => read(file.result);
                file.readAsDataURL(await (await fetch(`/assets/${{name}}.jpg`)).blob());
            }});
            const body = {{model_image: await picture('person'), garment_image: await picture('tee'),
                category: 'tops', webhook_url: '{receiver}'}};
            const answer = await fetch('/api/v1/tryon/clothes', {{method: 'POST',
                headers: {{authorization: 'Bearer {}', 'content-type': 'application/json', prefer: 'wait=60'}},
                body: JSON.stringify(body)}});
            done((await answer.json()).status);
        }})()",
        stage.link.split_once("#key=").unwrap().1
    );
    browser.open(&stage, "/").await;
    let made = browser.driver.execute_async(&script, Vec::new()).await;
    assert_eq!(*made.unwrap().json(), json!("completed"));

    browser.resize(1280, 1000).await;
    browser.sign_in(&stage).await;
    let image = "const image = document.querySelector('.pictures img');
        return image.decode().then(() => image.naturalWidth)";
    assert!(browser.run(image).await.as_u64().unwrap() > 300);
    let told = async |times: usize| {
        let begun = Instant::now();
        while taken.load(Ordering::SeqCst) < times {
            assert!(begun.elapsed() < PATIENCE, "{times} messages arrive");
            tokio::time::sleep(LOOK).await;
        }
    };
    told(1).await;
    browser.open(&stage, "/app/developer/webhooks").await;
    browser.fill("#url", &receiver).await;
    browser.click("form[action$=test] .button").await;
    browser
        .wait_for_text(".notice", "the receiver answered 200")
        .await;
    told(2).await;
    browser.click(".entry .button").await;
    told(3).await;
    // The receiver counts before the gateway hears of it.
    let begun = Instant::now();
    loop {
        browser.open(&stage, "/app/developer/webhooks").await;
        if browser.text(".entry").await.contains("2 tries") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the second try is logged");
    }

    browser.open(&stage, "/admin").await;
    browser.click("[aria-label^=Drain]").await;
    browser.see(".state.drained").await;
    assert!(run(stage.folder.path(), &["nodes", "list"]).contains("drained"));
    browser.shoot("drained-1280").await;
    browser.click("[aria-label^=Resume]").await;
    browser.see("[aria-label^=Drain]").await;
    assert!(!run(stage.folder.path(), &["nodes", "list"]).contains("drained"));

    for (page, name) in [
        ("/app/developer", "overview"),
        ("/app/developer/keys", "keys"),
        ("/app/developer/jobs", "jobs"),
        ("/app/developer/credits", "credits"),
        ("/app/developer/webhooks", "webhooks"),
        ("/app/developer/password", "password"),
        ("/admin", "nodes"),
        ("/admin/accounts", "accounts"),
        ("/admin/log", "log"),
    ] {
        browser.check_page(&stage, page, name).await;
    }
    let accounts = run(stage.folder.path(), &["account", "list"]);
    let account = accounts.split_whitespace().next().unwrap();
    let page = format!("/admin/accounts/{account}");
    browser.check_page(&stage, &page, "account").await;
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
