//! The pages of whoever is signed in, as they are answered.

use std::time::Duration;

use reqwest::{Client, redirect::Policy};
use serde_json::json;
use tryon_core::id::{JobId, UserId};
use tryon_gateway::password::Password;
use tryon_store::{Before, NewUser};
use tryon_testkit::fake_node::Reaction;

use crate::stage::{Answer, Customer, GENEROUS, TestApp, result};

pub(crate) const PASSWORD: &str = "a password of anna";

/// A browser, as far as cookies and forms go.
pub(crate) struct Visitor<'a> {
    pub(crate) app: &'a TestApp,
    http: Client,
    cookie: String,
}

impl<'a> Visitor<'a> {
    pub(crate) fn new(app: &'a TestApp) -> Self {
        let http = Client::builder().no_proxy().redirect(Policy::none());
        Self {
            app,
            http: http.build().unwrap(),
            cookie: String::new(),
        }
    }

    /// Somebody who is signed in.
    pub(crate) async fn signed_in(app: &'a TestApp, login: &str) -> Self {
        let mut visitor = Self::new(app);
        let answer = visitor.sign_in(login, PASSWORD).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        visitor.keep(&answer);
        visitor
    }

    pub(crate) async fn sign_in(&self, login: &str, password: &str) -> Answer {
        let form = [
            ("login", login),
            ("password", password),
            ("next", "/app/developer/keys"),
        ];
        self.send("/app/sign-in", &form).await
    }

    pub(crate) fn keep(&mut self, answer: &Answer) {
        let cookie = answer.header("set-cookie");
        cookie
            .split(';')
            .next()
            .unwrap()
            .clone_into(&mut self.cookie);
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.http.get(self.app.url(path));
        Answer::to(request.header("cookie", &self.cookie)).await
    }

    pub(crate) async fn send(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(self.app.url(path)).form(form);
        Answer::to(request.header("cookie", &self.cookie)).await
    }

    /// What the forms of this session carry.
    async fn proof(&self) -> String {
        let page = self.get("/app/developer/keys").await.text;
        let (_, rest) = page.split_once("name=\"proof\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    /// Sends a form of this session's pages.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let proof = self.proof().await;
        let form = [&[("proof", proof.as_str())], fields].concat();
        self.send(path, &form).await
    }
}

/// A refusal that people read.
#[track_caller]
fn refuses(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(answer.text.contains("That was not done"), "{}", answer.text);
}

pub(crate) async fn make_user(app: &TestApp, login: &str, of: &Customer, is_operator: bool) {
    let mut id = [7; 12];
    id[0] = login.as_bytes()[0];
    let user = NewUser {
        id: UserId::from_bytes(id),
        login: login.to_owned(),
        account: of.account,
        is_operator,
        password: Some(Password::parse(PASSWORD).unwrap().hash()),
    };
    let made = app.store.create_user(user, app.now()).await;
    assert!(made.unwrap());
}

/// A platform with an operator, anna, and another account with a user, ben.
async fn start() -> (TestApp, Customer) {
    let app = TestApp::start().await;
    let other = app.customer(5, GENEROUS).await;
    make_user(&app, "anna", &app.owner, true).await;
    make_user(&app, "ben", &other, false).await;
    (app, other)
}

const OWN_PAGES: [&str; 6] = [
    "/app/developer",
    "/app/developer/keys",
    "/app/developer/jobs",
    "/app/developer/credits",
    "/app/developer/webhooks",
    "/app/developer/password",
];
const PLATFORM_PAGES: [&str; 3] = ["/admin", "/admin/accounts", "/admin/log"];

#[tokio::test]
async fn a_page_is_for_who_is_signed_in() {
    let (app, _) = start().await;
    let stranger = Visitor::new(&app);
    for page in OWN_PAGES.iter().chain(&PLATFORM_PAGES) {
        let answer = stranger.get(page).await;
        assert_eq!(answer.status, 303, "{page}");
        assert!(
            answer.header("location").starts_with("/app/sign-in"),
            "{page}"
        );
    }
    let (anna, ben) = (
        Visitor::signed_in(&app, "anna").await,
        Visitor::signed_in(&app, "ben").await,
    );
    for page in OWN_PAGES {
        assert_eq!(ben.get(page).await.status, 200, "{page}");
        let answer = anna.get(page).await;
        assert_eq!(answer.status, 200, "{page}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
    }
    for page in PLATFORM_PAGES {
        assert_eq!(anna.get(page).await.status, 200, "{page}");
        refuses(&ben.get(page).await, 404);
    }
    let account = format!("/admin/accounts/{}", app.owner.account);
    assert_eq!(anna.get(&account).await.status, 200);
    refuses(&ben.get(&account).await, 404);
    let grant = ben
        .post(&format!("{account}/grant"), &[("amount", "5")])
        .await;
    refuses(&grant, 404);
    assert_eq!(app.balance(&app.owner).await.purchased, 100);
}

#[tokio::test]
async fn signing_in_gives_a_cookie_that_no_script_reads() {
    let (app, _) = start().await;
    let mut anna = Visitor::new(&app);
    let answer = anna.sign_in(" Anna", PASSWORD).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/app/developer/keys")
    );
    let cookie = answer.header("set-cookie").to_owned();
    for part in [
        "tryon=",
        "HttpOnly",
        "SameSite=Lax",
        "Path=/",
        "Max-Age=604800",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    anna.keep(&answer);
    assert_eq!(anna.get("/app/developer").await.status, 200);

    app.clock.advance(Duration::from_secs(604_799));
    assert_eq!(anna.get("/app/developer").await.status, 200);
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(anna.get("/app/developer").await.status, 303);
}

#[tokio::test]
async fn with_tls_the_cookie_is_for_it_alone() {
    let app = TestApp::start_with(|config| {
        config.server.public_url = Some("https://tryon.example".parse().unwrap());
    })
    .await;
    make_user(&app, "anna", &app.owner, true).await;
    let anna = Visitor::signed_in(&app, "anna").await;
    assert!(anna.cookie.starts_with("__Host-tryon="), "{}", anna.cookie);
    let again = Visitor::new(&app).sign_in("anna", PASSWORD).await;
    assert!(again.header("set-cookie").contains("; Secure"));
    assert_eq!(anna.get("/app/developer").await.status, 200);
}

#[tokio::test]
async fn a_wrong_password_is_not_guessed() {
    let (app, _) = start().await;
    let stranger = Visitor::new(&app);
    for (login, password) in [
        ("anna", "a password of ben"),
        ("nobody", PASSWORD),
        ("anna", ""),
    ] {
        let answer = stranger.sign_in(login, password).await;
        assert_eq!(answer.status, 403, "{login}");
        assert!(
            answer
                .text
                .contains("There is nobody with this login and this password")
        );
        assert_eq!(answer.header("set-cookie"), "");
    }
    // At once or one after the other.
    let guesses = (3..10).map(|_| stranger.sign_in("anna", "wrong wrong wrong"));
    for guess in futures::future::join_all(guesses).await {
        assert_eq!(guess.status, 403);
    }
    let more = (0..5).map(|_| stranger.sign_in("anna", "wrong wrong wrong"));
    for guess in futures::future::join_all(more).await {
        assert_eq!(guess.status, 429);
    }
    let refused = stranger.sign_in("anna", PASSWORD).await;
    assert_eq!(
        refused.status, 429,
        "also the right one, which a guesser may have found"
    );
    app.clock.advance(Duration::from_secs(6));
    assert_eq!(stranger.sign_in("anna", PASSWORD).await.status, 303);
}

#[tokio::test]
async fn whoever_signed_out_or_was_shut_out_is_out() {
    let (app, _) = start().await;
    let (anna, ben) = (
        Visitor::signed_in(&app, "anna").await,
        Visitor::signed_in(&app, "ben").await,
    );
    let again = Visitor::signed_in(&app, "ben").await;
    let out = ben.post("/app/sign-out", &[]).await;
    assert_eq!(out.status, 303);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(ben.get("/app/developer").await.status, 303);
    assert_eq!(again.get("/app/developer").await.status, 200);

    anna.post("/admin/users/disable", &[("login", "ben")]).await;
    assert_eq!(again.get("/app/developer").await.status, 303);
    assert_eq!(ben.sign_in("ben", PASSWORD).await.status, 403);
    anna.post("/admin/users/enable", &[("login", "ben")]).await;
    assert_eq!(ben.sign_in("ben", PASSWORD).await.status, 303);
    let own = anna
        .post("/admin/users/disable", &[("login", "anna")])
        .await;
    assert_eq!(own.status, 400);
    assert!(own.text.contains("You cannot shut yourself out"));

    let other = Visitor::signed_in(&app, "ben").await;
    let wrong = [("old", "wrong wrong wrong"), ("new", "a longer password")];
    let refused = other.post("/app/developer/password", &wrong).await;
    assert!(refused.status == 400 && refused.text.contains("Old password"));
    let short = [("old", PASSWORD), ("new", "short")];
    let refused = other.post("/app/developer/password", &short).await;
    assert!(refused.status == 400 && refused.text.contains("10 to 128"));
    let changed = [("old", PASSWORD), ("new", "a longer password")];
    let changed = other.post("/app/developer/password", &changed).await;
    assert_eq!(changed.status, 303);
    assert_eq!(other.get("/app/developer").await.status, 303);
    assert_eq!(other.sign_in("ben", PASSWORD).await.status, 403);
    assert_eq!(other.sign_in("ben", "a longer password").await.status, 303);
}

#[tokio::test]
async fn a_form_of_somebody_elses_page_does_nothing() {
    let (app, _) = start().await;
    let anna = Visitor::signed_in(&app, "anna").await;
    let ben = Visitor::signed_in(&app, "ben").await;
    let (own, foreign) = (anna.proof().await, ben.proof().await);
    let make = [("name", "evil"), ("submit", "on")];
    for proof in ["", "0", foreign.as_str()] {
        let form = [&make[..], &[("proof", proof)]].concat();
        refuses(&anna.send("/app/developer/keys", &form).await, 400);
    }
    let form = [&make[..], &[("proof", own.as_str())]].concat();
    let request = app.http.post(app.url("/app/developer/keys")).form(&form);
    let request = request.header("cookie", &anna.cookie);
    let request = request.header("sec-fetch-site", "cross-site");
    refuses(&Answer::to(request).await, 400);
    let sign_in = [("login", "anna"), ("password", PASSWORD)];
    let request = app.http.post(app.url("/app/sign-in")).form(&sign_in);
    let request = request.header("sec-fetch-site", "same-site");
    refuses(&Answer::to(request).await, 400);
    assert_eq!(
        app.store.list_keys(app.owner.account).await.unwrap().len(),
        1
    );
    assert_eq!(anna.send("/app/developer/keys", &form).await.status, 200);
}

#[tokio::test]
async fn a_key_is_made_shown_once_and_revoked() {
    let (app, other) = start().await;
    let ben = Visitor::signed_in(&app, "ben").await;
    for (fields, reason) in [
        (&[("name", ""), ("status", "on")][..], "Name: "),
        (&[("name", "a")], "May: "),
        (&[("name", "a"), ("status", "on"), ("days", "0")], "Days: "),
        (&[("name", "a"), ("status", "on"), ("days", "x")], "Days: "),
    ] {
        let refused = ben.post("/app/developer/keys", fields).await;
        assert_eq!(refused.status, 400);
        assert!(refused.text.contains(reason), "{reason}");
    }
    let fields = [("name", "<b>shop</b>"), ("credits", "on"), ("days", "1")];
    let made = ben.post("/app/developer/keys", &fields).await;
    let (_, rest) = made.text.split_once("id=\"secret\">").unwrap();
    let key = Customer {
        key: rest.split('<').next().unwrap().to_owned(),
        ..other.clone()
    };
    assert!(!made.text.contains("<b>"), "what was typed is text");
    let list = ben.get("/app/developer/keys").await.text;
    assert!(list.contains("&#60;b&#62;shop") && !list.contains(&key.key));
    assert_eq!(app.get_as(&key, "/credits").await.status, 200);
    assert_eq!(app.get_as(&key, "/jobs").await.status, 403);

    let keys = app.store.list_keys(other.account).await.unwrap();
    let id = keys.iter().find(|it| it.name == "<b>shop</b>").unwrap().id;
    let owners = format!("/app/developer/keys/{}/revoke", app.owner.key_id);
    refuses(&ben.post(&owners, &[]).await, 404);
    assert_eq!(app.get_as(&app.owner, "/credits").await.status, 200);
    let revoked = ben
        .post(&format!("/app/developer/keys/{id}/revoke"), &[])
        .await;
    assert_eq!(revoked.status, 303);
    app.get_as(&key, "/credits")
        .await
        .refusal(401, "UnauthorizedAccess");
    let actions = app.store.list_actions(Before {
        before: None,
        limit: 9,
    });
    let actions = actions.await.unwrap();
    let log: Vec<_> = actions.iter().map(|it| (&*it.actor, &*it.action)).collect();
    assert_eq!(log, [("ben", "key.revoke"), ("ben", "key.create")]);
    assert!(!actions.iter().any(|it| it.detail.contains(&key.key)));
}

/// A button that is pressed twice, or a request that a browser sends again.
#[tokio::test]
async fn a_form_that_comes_twice_is_done_once() {
    let (app, other) = start().await;
    let anna = Visitor::signed_in(&app, "anna").await;
    let page = format!("/admin/accounts/{}", other.account);
    let text = anna.get(&page).await.text;
    let (_, rest) = text.split_once("name=\"form\" value=\"").unwrap();
    let grant = [("form", rest.split('"').next().unwrap()), ("amount", "7")];
    let url = format!("{page}/grant");
    let twice = [anna.post(&url, &grant), anna.post(&url, &grant)];
    let mut answers = futures::future::join_all(twice).await;
    answers.sort_by_key(|answer| answer.status);
    assert_eq!(answers[0].status, 303);
    refuses(&answers[1], 400);
    assert_eq!(app.balance(&other).await.purchased, 12);
}

#[tokio::test]
async fn the_database_opens_no_session() {
    let (app, _) = start().await;
    let anna = Visitor::signed_in(&app, "anna").await;
    let secret = anna.cookie.split_once('=').unwrap().1;
    let kept = app.read_database();
    let has = |text: &str| kept.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(has("anna") && !has(secret) && !has(PASSWORD));
}

#[tokio::test]
async fn an_account_is_looked_after() {
    let (app, other) = start().await;
    let anna = Visitor::signed_in(&app, "anna").await;
    let made = anna.post("/admin/accounts", &[("name", "a third")]).await;
    let page = made.header("location").to_owned();
    assert!(anna.get(&page).await.text.contains("a third"));
    let user = anna
        .post(&format!("{page}/users"), &[("login", "Dora@shop.example")])
        .await;
    let (_, rest) = user.text.split_once("class=\"secret\">").unwrap();
    let password = rest.split('<').next().unwrap();
    let dora = Visitor::new(&app);
    assert_eq!(
        dora.sign_in("dora@shop.example", password).await.status,
        303
    );
    let taken = anna
        .post(&format!("{page}/users"), &[("login", "ben")])
        .await;
    assert!(taken.status == 400 && taken.text.contains("is taken"));

    let page = format!("/admin/accounts/{}", other.account);
    let limits = [
        ("tryon_per_minute", "1"),
        ("status_per_minute", "2"),
        ("credits_per_minute", "3"),
        ("concurrent_jobs", "4"),
    ];
    anna.post(&format!("{page}/limits"), &limits).await;
    let grant = [("amount", "7"), ("pool", "subscription")];
    anna.post(&format!("{page}/grant"), &grant).await;
    anna.post(&format!("{page}/retention"), &[("seconds", "60")])
        .await;
    let account = app
        .store
        .find_account(other.account)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        account.limits.to_string(),
        "per minute: tryon 1, status 2, credits 3; jobs 4"
    );
    assert_eq!(
        (account.balance.subscription, account.balance.purchased),
        (7, 5)
    );
    assert_eq!(account.output_retention, Some(Duration::from_mins(1)));
    for (path, fields) in [
        ("limits", &[("tryon_per_minute", "-1")][..]),
        ("grant", &[("amount", "0")]),
        ("retention", &[("seconds", "soon")]),
        ("users", &[("login", "two words")]),
    ] {
        let refused = anna.post(&format!("{page}/{path}"), fields).await;
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.text.contains("role=\"alert\""), "{path}");
    }
    let key = format!("{page}/keys/{}/revoke", other.key_id);
    assert_eq!(anna.post(&key, &[]).await.status, 303);
    app.get_as(&other, "/credits")
        .await
        .refusal(401, "UnauthorizedAccess");
    let log = anna.get("/admin/log").await.text;
    for action in [
        "account.create",
        "user.create",
        "account.limits",
        "credits.grant",
        "key.revoke",
    ] {
        assert!(log.contains(action), "{action}");
    }
}

async fn complete_one(app: &TestApp) -> JobId {
    app.node.otherwise(Reaction::Report(result()));
    let job = app.submit(json!({})).await;
    app.wait_for_outputs(job).await;
    job
}

#[tokio::test]
async fn jobs_and_credits_are_shown_while_they_are_kept() {
    let (app, _) = start().await;
    let anna = Visitor::signed_in(&app, "anna").await;
    let job = complete_one(&app).await;
    let page = anna.get("/app/developer/jobs").await.text;
    let (_, rest) = page.split_once("<img src=\"/files/").unwrap();
    let picture = format!(
        "/files/{}",
        rest.split('"').next().unwrap().replace("&#38;", "&")
    );
    assert_eq!(anna.get(&picture).await.status, 200);
    assert!(
        anna.get("/app/developer")
            .await
            .text
            .contains(&job.to_string())
    );
    let csv = anna.get("/app/developer/credits.csv").await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<_> = csv.text.lines().collect();
    assert_eq!(lines.len(), 4, "{}", csv.text);
    assert!(
        lines[1].contains(&format!(",capture,{job},0,-1,-1")),
        "{}",
        lines[1]
    );
    let ben = Visitor::signed_in(&app, "ben").await;
    assert!(
        !ben.get("/app/developer/jobs")
            .await
            .text
            .contains(&job.to_string())
    );
    assert_eq!(
        ben.get("/app/developer/credits.csv")
            .await
            .text
            .lines()
            .count(),
        2
    );
    app.clock
        .advance(app.config.jobs.output_retention.duration());
    let page = anna.get("/app/developer/jobs").await.text;
    assert!(page.contains("expired") && !page.contains("<img src=\"/files/"));
}

/// To show a picture that is kept until it is downloaded would be its download.
#[tokio::test]
async fn a_picture_that_is_downloaded_once_is_not_shown() {
    let (app, _) = start().await;
    let once = app
        .store
        .set_output_retention(app.owner.account, Some(Duration::ZERO));
    once.await.unwrap();
    complete_one(&app).await;
    let anna = Visitor::signed_in(&app, "anna").await;
    let page = anna.get("/app/developer/jobs").await.text;
    assert!(page.contains("kept until downloaded once"));
    assert!(!page.contains("/files/"));
}
