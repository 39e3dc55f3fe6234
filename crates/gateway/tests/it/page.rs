//! The pages, as they are answered. What browsers make of them is tested with one.

use crate::stage::{Answer, TestApp};

const PAGES: [&str; 4] = ["/", "/playground", "/docs", "/docs/api"];

#[tokio::test]
async fn a_page_runs_nothing_and_asks_nobody_but_its_gateway() {
    let app = TestApp::start().await;
    for page in PAGES {
        let answer = Answer::to(app.http.get(app.url(page))).await;
        assert_eq!(answer.status, 200, "{page}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        let inline = ["<script>", " style=", " onclick=", "javascript:"];
        assert!(!inline.iter().any(|it| answer.text.contains(it)), "{page}");
    }
}

#[tokio::test]
async fn a_file_of_a_page_is_sent_again_when_it_changed() {
    let app = TestApp::start().await;
    let url = app.url("/assets/style.css");
    let first = Answer::to(app.http.get(&url)).await;
    assert_eq!(
        (first.status, first.header("content-type")),
        (200, "text/css; charset=utf-8")
    );
    let again = app
        .http
        .get(&url)
        .header("If-None-Match", first.header("etag"));
    assert_eq!(Answer::to(again).await.status, 304);
    let other = app.http.get(&url).header("If-None-Match", "\"other\"");
    assert_eq!(Answer::to(other).await.text, first.text);
    for absent in ["/assets/none.css", "/assets/..%2f..%2fCargo.toml"] {
        let answer = Answer::to(app.http.get(app.url(absent))).await;
        answer.refusal(404, "NotFound");
    }
}

#[tokio::test]
async fn guide_and_reference_are_a_text_too() {
    let app = TestApp::start_with(|config| {
        config.server.public_url = Some("https://tryon.example".parse().unwrap());
    })
    .await;
    let text = Answer::to(app.http.get(app.url("/llms.txt"))).await.text;
    assert!(text.contains("curl -s https://tryon.example/api/v1/tryon/clothes"));
    for path in tryon_gateway::route::path::ALL {
        assert!(text.contains(path), "{path}");
    }
    assert!(!text.contains("{base}") && !text.contains("{haircuts}"));
}
