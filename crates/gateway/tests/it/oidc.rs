//! Signing in at a provider of OpenID Connect.

mod bad_provider;
mod browser;

use std::time::Duration;

use serde_json::{Value, json};
use tryon_core::secret::Secret;
use tryon_gateway::GatewayConfig;
use tryon_store::Before;
use tryon_testkit::oidc::{CLIENT, CLIENT_SECRET, OidcProvider, PUBLIC_CLIENT};

use self::{
    bad_provider::{BadProvider, Lie},
    browser::Browser,
};
use crate::{
    dashboard::{PASSWORD, Visitor, make_user},
    stage::{Answer, GENEROUS, TestApp},
};

/// A gateway whose users may sign in at this provider.
fn trust(config: &mut GatewayConfig, issuer: &str) {
    let oidc = &mut config.sign_in.oidc;
    oidc.issuer = Some(issuer.to_owned());
    CLIENT.clone_into(&mut oidc.client_id);
    oidc.client_secret = Some(Secret::new(CLIENT_SECRET));
    "Example".clone_into(&mut oidc.name);
    oidc.timeout = tryon_core::time::Seconds::new(5);
}

/// The same with the operator anna, and ben.
async fn start(issuer: &str, change: impl FnOnce(&mut GatewayConfig)) -> TestApp {
    let app = TestApp::start_with(|config| {
        trust(config, issuer);
        change(config);
    })
    .await;
    let other = app.customer(5, GENEROUS).await;
    make_user(&app, "anna@shop.example", &app.owner, true).await;
    make_user(&app, "ben@shop.example", &other, false).await;
    app
}

fn person(sub: &str, mail: &str) -> Value {
    json!({"sub": sub, "email": mail, "email_verified": true})
}

#[track_caller]
fn is_refused(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(answer.text.contains("role=\"alert\""), "{}", answer.text);
    assert!(answer.text.contains(reason), "{}", answer.text);
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    let opens = |cookie: &str| cookie.starts_with("tryon=") && !cookie.starts_with("tryon=;");
    let opened = cookies.iter().any(|it| opens(it.to_str().unwrap()));
    assert!(!opened, "{cookies:?}");
}

async fn log(app: &TestApp) -> Vec<(String, String, String)> {
    let actions = app.store.list_actions(Before {
        before: None,
        limit: 50,
    });
    let actions = actions.await.unwrap().into_iter();
    actions.map(|it| (it.actor, it.action, it.detail)).collect()
}

#[tokio::test]
async fn somebody_signs_in_at_a_provider() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |_| {}).await;
    let mut anna = Browser::new(&app);
    let page = anna.get("/app/sign-in?next=/app/developer/keys").await;
    assert!(page.text.contains("Sign in with Example"), "{}", page.text);
    assert!(page.text.contains("id=\"password\""));
    let back = anna
        .go("/app/developer/keys", &person("a-1", "Anna@shop.example"))
        .await;
    assert_eq!(
        (back.status, back.header("location")),
        (303, "/app/developer/keys"),
        "{}",
        back.text
    );
    let page = anna.get("/app/developer/keys").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("anna@shop.example"));
    assert_eq!(anna.get("/admin").await.status, 200, "she is an operator");
    let actions: Vec<_> = log(&app).await.into_iter().map(|it| it.1).collect();
    assert_eq!(actions, ["session.open", "user.link"]);

    // Signing out ends what was begun here.
    let out = anna.sign_out().await;
    assert_eq!(out.status, 303);
    assert_eq!(anna.get("/app/developer").await.status, 303);
    // Her password goes on.
    Visitor::signed_in(&app, "anna@shop.example").await;
}

#[tokio::test]
async fn a_public_client_proves_that_it_asked_before() {
    let provider = OidcProvider::start_thin();
    let app = start(provider.issuer(), |config| {
        config.sign_in.oidc.client_id = PUBLIC_CLIENT.to_owned();
        config.sign_in.oidc.client_secret = None;
    })
    .await;
    let mut ben = Browser::new(&app);
    let back = ben.go("", &person("b-1", "ben@shop.example")).await;
    assert_eq!(back.status, 303, "{}", back.text);
    assert_eq!(ben.get("/app/developer").await.status, 200);
    assert_eq!(ben.get("/admin").await.status, 404);
}

#[tokio::test]
async fn who_it_is_stays_whatever_their_address_of_mail_becomes() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |_| {}).await;
    let mut ben = Browser::new(&app);
    let back = ben.go("", &person("b-1", "ben@shop.example")).await;
    assert_eq!(back.status, 303, "{}", back.text);
    // He has another address, and one that is somebody else's login.
    for mail in ["benjamin@shop.example", "anna@shop.example"] {
        let mut again = Browser::new(&app);
        assert_eq!(again.go("", &person("b-1", mail)).await.status, 303);
        let page = again.get("/app/developer").await;
        assert!(page.text.contains("ben@shop.example"), "{mail}");
    }
    // Whoever has his address now is not him.
    let mut heir = Browser::new(&app);
    let back = heir.go("", &person("b-2", "ben@shop.example")).await;
    is_refused(&back, 403, "is somebody else");
    // Until who looks after the platform parts them.
    let user = app.store.find_user("ben@shop.example").await.unwrap();
    app.store.unlink_identities(user.unwrap().id).await.unwrap();
    assert_eq!(ben.get("/app/developer").await.status, 303);
    let back = heir.go("", &person("b-2", "ben@shop.example")).await;
    assert_eq!(back.status, 303, "{}", back.text);
}

#[tokio::test]
async fn an_address_of_mail_that_is_not_certain_lets_nobody_in() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |config| {
        let oidc = &mut config.sign_in.oidc;
        oidc.create_in = Some(tryon_core::id::AccountId::from_bytes([1; 12]));
        oidc.create_domains = vec!["*".to_owned()];
    })
    .await;
    for who in [
        json!({"sub": "e-1", "email": "anna@shop.example", "email_verified": false}),
        json!({"sub": "e-2", "email": "anna@shop.example"}),
        json!({"sub": "e-3"}),
    ] {
        let back = Browser::new(&app).go("", &who).await;
        is_refused(&back, 403, "is yours for certain");
    }
    let back = Browser::new(&app).go("", &person("e-4", "anna")).await;
    is_refused(&back, 403, "cannot be a login");
    assert_eq!(log(&app).await, []);
}

#[tokio::test]
async fn a_login_is_made_where_the_operator_says_so() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |_| {}).await;
    let back = Browser::new(&app)
        .go("", &person("c-1", "cleo@shop.example"))
        .await;
    is_refused(&back, 403, "There is no login for your address");
    assert_eq!(app.store.list_users().await.unwrap().len(), 2);

    let app = start(provider.issuer(), |config| {
        let oidc = &mut config.sign_in.oidc;
        oidc.create_in = Some(tryon_core::id::AccountId::from_bytes([2; 12]));
        oidc.create_domains = vec!["shop.example".to_owned()];
    })
    .await;
    let mut cleo = Browser::new(&app);
    let back = cleo.go("", &person("c-1", "cleo@shop.example")).await;
    assert_eq!(back.status, 303, "{}", back.text);
    let user = app.store.find_user("cleo@shop.example").await.unwrap();
    let user = user.unwrap();
    assert_eq!(user.account, tryon_core::id::AccountId::from_bytes([2; 12]));
    assert!(!user.is_operator && user.password.is_none());
    let page = cleo.get("/app/developer").await.text;
    assert!(!page.contains("/app/developer/password"));
    assert_eq!(cleo.get("/app/developer/password").await.status, 404);
    let by_password = Visitor::new(&app).sign_in("cleo@shop.example", "").await;
    assert_eq!(by_password.status, 403);
    let actions: Vec<_> = log(&app).await.into_iter().map(|it| it.1).collect();
    assert_eq!(actions, ["session.open", "user.link", "user.create"]);

    let back = Browser::new(&app)
        .go("", &person("x-1", "anna@evil.example"))
        .await;
    is_refused(&back, 403, "There is no login for your address");
    assert_eq!(app.store.list_users().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_claim_says_who_is_an_operator() {
    for provider in [OidcProvider::start(), OidcProvider::start_thin()] {
        let app = start(provider.issuer(), |config| {
            let oidc = &mut config.sign_in.oidc;
            oidc.scopes.push("groups".to_owned());
            oidc.operator_claim = Some("groups".to_owned());
            oidc.operator_value = Some("tryon-operators".to_owned());
        })
        .await;
        for (groups, is_operator) in [
            (json!(["staff", "tryon-operators"]), true),
            (json!(["staff", "tryon-operators-not"]), false),
            (json!("tryon-operators"), true),
            (json!(null), false),
        ] {
            let mut ben = Browser::new(&app);
            let mut who = person("b-1", "ben@shop.example");
            who["groups"] = groups.clone();
            assert_eq!(ben.go("", &who).await.status, 303, "{groups}");
            let page = ben.get("/admin").await.status;
            assert_eq!(page, if is_operator { 200 } else { 404 }, "{groups}");
        }
        let changed = log(&app).await;
        let changed = changed.iter().filter(|it| it.1 == "user.operator").count();
        assert_eq!(changed, 4, "each of them changes it");
    }
}

#[tokio::test]
async fn who_is_shut_out_is_so_by_a_provider_too() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |_| {}).await;
    let mut ben = Browser::new(&app);
    assert_eq!(
        ben.go("", &person("b-1", "ben@shop.example")).await.status,
        303
    );
    let user = app
        .store
        .find_user("ben@shop.example")
        .await
        .unwrap()
        .unwrap();
    let since = Some(app.now());
    app.store.set_user_disabled(user.id, since).await.unwrap();
    assert_eq!(ben.get("/app/developer").await.status, 303);
    for (sub, mail) in [("b-1", "ben@shop.example"), ("b-2", "ben@shop.example")] {
        let back = Browser::new(&app).go("", &person(sub, mail)).await;
        is_refused(&back, 403, "You may not sign in any more");
    }
}

#[tokio::test]
async fn a_way_is_gone_by_the_browser_that_began_it_and_once() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |_| {}).await;
    let anna = person("a-1", "anna@shop.example");
    let anew = "begin anew";
    // Somebody else's browser is led back with what this one was given: it is not signed in as anna.
    let mut browser = Browser::new(&app);
    let address = browser.begin("").await;
    let back = browser.pass(&address, &anna).await;
    let mut victim = Browser::new(&app);
    is_refused(&victim.get(&back).await, 403, anew);
    victim.begin("").await;
    is_refused(&victim.get(&back).await, 403, anew);

    let (page, query) = back.split_once('?').unwrap();
    for changed in [
        page.to_owned(),
        format!("{page}?{}", query.replace("state=", "state=x")),
        format!("{page}?{}", query.replace("state=", "no=")),
        format!(
            "{page}?{}",
            query.replace("iss=", "iss=https%3A%2F%2Fevil.example&no=")
        ),
    ] {
        let kept = browser.cookies();
        is_refused(&browser.get(&changed).await, 403, anew);
        browser.set_cookies(kept);
    }
    let kept = browser.cookies();
    let signed_in = browser.get(&back).await;
    assert_eq!(signed_in.status, 303, "{}", signed_in.text);
    // The same again, from a browser that kept everything.
    let mut again = Browser::new(&app);
    again.set_cookies(kept.clone());
    is_refused(&again.get(&back).await, 403, "did not sign you in");
    // The same way with another code.
    let mut again = Browser::new(&app);
    again.set_cookies(kept);
    let other = again.pass(&address, &anna).await;
    is_refused(&again.get(&other).await, 403, anew);
    let opened = log(&app).await;
    assert_eq!(opened.iter().filter(|it| it.1 == "session.open").count(), 1);
}

#[tokio::test]
async fn a_way_is_not_gone_for_ever() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |_| {}).await;
    let mut browser = Browser::new(&app);
    let address = browser.begin("").await;
    let back = browser
        .pass(&address, &person("a-1", "anna@shop.example"))
        .await;
    app.clock.advance(Duration::from_mins(10));
    is_refused(&browser.get(&back).await, 403, "begin anew");
}

#[tokio::test]
async fn nobody_is_led_elsewhere_by_a_provider() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |_| {}).await;
    for next in [
        "https://evil.example",
        "//evil.example",
        "/docs",
        "/admin/../docs",
    ] {
        let mut anna = Browser::new(&app);
        let back = anna.go(next, &person("a-1", "anna@shop.example")).await;
        assert_eq!(
            (back.status, back.header("location")),
            (303, "/app/developer"),
            "{next}"
        );
    }
}

/// A session that somebody else knows the cookie of does not become that of whoever signs in.
#[tokio::test]
async fn a_session_that_was_there_before_is_not_taken_over() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |_| {}).await;
    let mut anna = Browser::new(&app);
    let address = anna.begin("").await;
    let ben = Visitor::new(&app)
        .sign_in("ben@shop.example", PASSWORD)
        .await;
    anna.keep(&ben);
    let planted = anna.session();
    let back = anna
        .pass(&address, &person("a-1", "anna@shop.example"))
        .await;
    assert_eq!(anna.get(&back).await.status, 303);
    assert_ne!(anna.session(), planted);
    let mut stranger = Browser::new(&app);
    stranger.set_session(&planted);
    assert_eq!(
        stranger.get("/app/developer").await.status,
        303,
        "it is over"
    );
}

#[tokio::test]
async fn any_gateway_takes_back_whom_another_sent() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |config| {
        config.server.public_url = Some("http://127.0.0.1".parse().unwrap());
    })
    .await;
    let mut anna = Browser::new(&app);
    let address = anna.begin("/app/developer/jobs").await;
    let back = anna
        .pass(&address, &person("a-1", "anna@shop.example"))
        .await;
    let cookies = anna.cookies();
    let other = app.start_beside().await;
    let back = format!("http://{}{back}", other.public_addr());
    let signed_in = anna.get(&back).await;
    assert_eq!(
        (signed_in.status, signed_in.header("location")),
        (303, "/app/developer/jobs"),
        "{}",
        signed_in.text
    );
    assert_eq!(
        anna.get("/app/developer").await.status,
        200,
        "at the first one"
    );
    other.shutdown().await;

    // As a deploy does.
    let mut ben = Browser::new(&app);
    let address = ben.begin("/app/developer/jobs").await;
    let back = ben.pass(&address, &person("b-1", "ben@shop.example")).await;
    let kept = ben.cookies();
    let app = app.restart().await;
    let mut ben = Browser::new(&app);
    ben.set_cookies(kept);
    assert_eq!(ben.get(&back).await.status, 303);
    ben.set_cookies(cookies);
    assert_eq!(ben.get(&back).await.status, 403);
}

#[tokio::test]
async fn a_provider_that_is_away_keeps_nobody_with_a_password_out() {
    let mut provider = OidcProvider::start();
    let app = start(provider.issuer(), |_| {}).await;
    provider.kill();
    let mut browser = Browser::new(&app);
    let left = browser.get("/app/sign-in/leave").await;
    is_refused(&left, 502, "Example does not answer as it should");
    assert!(left.text.contains("id=\"password\""));
    Visitor::signed_in(&app, "anna@shop.example").await;
    provider.restart();
    // It is not asked at once by everybody.
    assert_eq!(browser.get("/app/sign-in/leave").await.status, 502);
    app.clock.advance(Duration::from_secs(5));
    let anna = person("a-1", "anna@shop.example");
    let back = browser.go("", &anna).await;
    assert_eq!(back.status, 303, "{}", back.text);

    // Its keys are others now than when it was asked for them.
    provider.restart();
    let back = Browser::new(&app).go("", &anna).await;
    assert_eq!(back.status, 303, "{}", back.text);

    // It goes away while somebody is there.
    let mut browser = Browser::new(&app);
    let address = browser.begin("").await;
    let back = browser.pass(&address, &anna).await;
    provider.kill();
    is_refused(
        &browser.get(&back).await,
        502,
        "does not answer as it should",
    );
}

#[tokio::test]
async fn whoever_does_not_want_to_is_not_signed_in() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |_| {}).await;
    let mut browser = Browser::new(&app);
    let address = browser.begin("").await;
    let back = browser.decline(&address).await;
    assert!(back.contains("error=access_denied"), "{back}");
    is_refused(
        &browser.get(&back).await,
        403,
        "Example did not sign you in",
    );
}

#[tokio::test]
async fn without_passwords_the_provider_alone_signs_in() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |config| config.sign_in.passwords = false).await;
    let mut anna = Browser::new(&app);
    let page = anna.get("/app/sign-in").await.text;
    assert!(page.contains("Sign in with Example") && !page.contains("id=\"password\""));
    let refused = Visitor::new(&app)
        .sign_in("anna@shop.example", PASSWORD)
        .await;
    is_refused(&refused, 403, "Passwords do not sign in here");
    let back = anna.go("", &person("a-1", "anna@shop.example")).await;
    assert_eq!(back.status, 303, "{}", back.text);
    let page = format!("/admin/accounts/{}", app.owner.account);
    let text = anna.get(&page).await.text;
    assert!(!text.contains("New password") && !text.contains("/app/developer/password"));
    let made = anna
        .post(&format!("{page}/users"), &[("login", "dora@shop.example")])
        .await;
    assert_eq!(made.status, 303, "{}", made.text);
    let dora = app.store.find_user("dora@shop.example").await.unwrap();
    assert_eq!(dora.unwrap().password, None);
    let renewed = anna
        .post("/admin/users/password", &[("login", "ben@shop.example")])
        .await;
    assert_eq!(renewed.status, 400);
    assert_eq!(anna.get("/app/developer/password").await.status, 404);
}

#[tokio::test]
async fn without_a_provider_nobody_is_sent_anywhere() {
    let app = TestApp::start().await;
    let mut browser = Browser::new(&app);
    for page in ["/app/sign-in/leave", "/app/sign-in/callback?code=a&state=b"] {
        assert_eq!(browser.get(page).await.status, 404, "{page}");
    }
    assert!(!browser.get("/app/sign-in").await.text.contains("leave"));
}

#[tokio::test]
async fn what_a_provider_says_is_not_believed_unless_it_is_sound() {
    let provider = BadProvider::start().await;
    let app = start(provider.issuer(), |_| {}).await;
    // What the same says without a lie is believed, so that each of these is refused for what it is.
    let mut anna = Browser::new(&app);
    let back = provider.lead_back(&mut anna, Lie::None).await;
    assert_eq!(back.status, 303, "{}", back.text);
    let distrusted = "What Example says cannot be trusted";
    for lie in [
        Lie::OtherNonce,
        Lie::NoNonce,
        Lie::OtherAudience,
        Lie::MoreAudiences,
        Lie::OtherIssuer,
        Lie::Expired,
        Lie::OtherKey,
        Lie::UnknownKey,
        Lie::ChangedClaims,
        Lie::NoSignature,
        Lie::SharedSecret,
        Lie::NoIdToken,
        Lie::LongSubject,
    ] {
        // Each costs a try, as a wrong password does.
        app.clock.advance(Duration::from_mins(1));
        let back = provider.lead_back(&mut Browser::new(&app), lie).await;
        is_refused(&back, 502, distrusted);
    }
    let opened = log(&app).await;
    assert_eq!(opened.iter().filter(|it| it.1 == "session.open").count(), 1);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let provider = BadProvider::start().await;
    let app = start(provider.issuer(), |config| {
        config.sign_in.oidc.timeout = tryon_core::time::Seconds::new(1);
    })
    .await;
    for lie in [Lie::Endless, Lie::Silent, Lie::Elsewhere] {
        let back = provider.lead_back(&mut Browser::new(&app), lie).await;
        is_refused(&back, 502, "does not answer as it should");
    }
    provider.describe_as("https://another.example");
    app.clock.advance(Duration::from_hours(1));
    let left = Browser::new(&app).get("/app/sign-in/leave").await;
    is_refused(&left, 502, "does not answer as it should");
}

#[tokio::test]
async fn who_guesses_codes_is_refused_unasked() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |_| {}).await;
    for tries in 0..12 {
        let mut guesser = Browser::new(&app);
        let address = guesser.begin("").await;
        let state = browser::query(&address, "state");
        let guess = format!("/app/sign-in/callback?code=guess&state={state}");
        let (status, reason) = match tries {
            0..10 => (403, "did not sign you in"),
            _ => (429, "Too many tries to sign in"),
        };
        is_refused(&guesser.get(&guess).await, status, reason);
    }
}

/// What another provider calls the same is somebody else.
#[tokio::test]
async fn a_subject_is_its_issuers() {
    let (one, other) = (OidcProvider::start(), OidcProvider::start());
    let app = start(one.issuer(), |_| {}).await;
    let back = Browser::new(&app)
        .go("", &person("1", "anna@shop.example"))
        .await;
    assert_eq!(back.status, 303, "{}", back.text);
    let mut app = app;
    trust(&mut app.config, other.issuer());
    let app = app.restart().await;
    let mut ben = Browser::new(&app);
    let back = ben.go("", &person("1", "ben@shop.example")).await;
    assert_eq!(back.status, 303, "{}", back.text);
    assert!(
        ben.get("/app/developer")
            .await
            .text
            .contains("ben@shop.example")
    );
}

#[tokio::test]
async fn the_way_is_kept_from_scripts_and_other_hosts() {
    let provider = OidcProvider::start();
    let app = start(provider.issuer(), |config| {
        config.server.public_url = Some("https://tryon.example".parse().unwrap());
    })
    .await;
    let left = Browser::new(&app).get("/app/sign-in/leave").await;
    assert_eq!(left.status, 303);
    assert_eq!(left.header("cache-control"), "no-store");
    let cookie = left.header("set-cookie");
    for part in [
        "__Host-tryon-way=",
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
        "Path=/",
        "Max-Age=600",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let address = left.header("location");
    assert_eq!(
        browser::query(address, "redirect_uri"),
        "https://tryon.example/app/sign-in/callback"
    );
    assert_eq!(browser::query(address, "code_challenge_method"), "S256");
    let secret = cookie.split(['=', ';', '.']).nth(1).unwrap();
    assert!(!address.contains(secret), "{address}");
}
