//! Keys that are for some things alone.

use reqwest::Method;
use serde_json::json;
use tryon_core::scope::{Scope, Scopes};

use tryon_testkit::fake_node::Reaction;

use crate::stage::{Answer, Customer, TestApp, clothes, result};

const UNKNOWN: &str = "64b7f1a9d9a3b8e5c7f9a123";

/// Every route that needs a key, and the scope that opens it.
fn routes() -> [(Method, String, Scope); 23] {
    let get = |path: &str, scope| (Method::GET, format!("/api/v1{path}"), scope);
    let post = |path: &str, scope| (Method::POST, format!("/api/v1{path}"), scope);
    let delete = |path: &str, scope| (Method::DELETE, format!("/api/v1{path}"), scope);
    let job = |path: &str| format!("{path}{UNKNOWN}");
    let fashn = |method, path: &str, scope| (method, format!("/v1{path}"), scope);
    [
        fashn(Method::POST, "/run", Scope::Submit),
        fashn(Method::GET, &job("/status/"), Scope::Status),
        fashn(Method::GET, "/credits", Scope::Credits),
        post("/tryon/clothes", Scope::Submit),
        post("/tryon/fashion", Scope::Submit),
        post("/tryon/hairstyle", Scope::Submit),
        post("/tryon/hairstyles", Scope::Submit),
        post("/tryon/tattoo", Scope::Submit),
        post("/uploads", Scope::Submit),
        delete(&job("/uploads/"), Scope::Submit),
        post("/check", Scope::Submit),
        get(&job("/status/"), Scope::Status),
        get(&format!("{}/events", job("/status/")), Scope::Status),
        get("/jobs", Scope::Status),
        post(&format!("{}/cancel", job("/jobs/")), Scope::Submit),
        get("/credits", Scope::Credits),
        delete(&job("/jobs/"), Scope::Erase),
        delete("/end-users/somebody", Scope::Erase),
        get(&job("/erasures/"), Scope::Erase),
        get("/webhooks/secret", Scope::Webhooks),
        get("/webhooks/deliveries", Scope::Webhooks),
        get(&job("/webhooks/deliveries/"), Scope::Webhooks),
        post(
            &format!("/webhooks/deliveries/{UNKNOWN}/replay"),
            Scope::Webhooks,
        ),
    ]
}

async fn ask(app: &TestApp, who: &Customer, (method, path): (&Method, &str)) -> Answer {
    let request = app.http.request(method.clone(), app.url(path));
    Answer::to(request.bearer_auth(&who.key).json(&json!({}))).await
}

#[tokio::test]
async fn a_key_opens_the_routes_of_its_scopes_and_no_others() {
    let app = TestApp::start().await;
    let described = tryon_gateway::route::document();
    let with_key = described.paths.paths.values().flat_map(|item| {
        let operations = [&item.get, &item.post, &item.delete, &item.put, &item.patch];
        operations.into_iter().flatten()
    });
    let with_key = with_key.filter(|operation| operation.security.is_some());
    assert_eq!(
        with_key.count(),
        routes().len(),
        "a route is not tried here"
    );
    for only in Scope::ALL {
        let key = app.key_for([*only].into_iter().collect()).await;
        for (method, path, scope) in routes() {
            let answer = ask(&app, &key, (&method, &path)).await;
            if scope == *only {
                assert!(![401, 403].contains(&answer.status), "{only}: {path}");
            } else {
                let told = answer.refusal(403, "UnauthorizedAccess");
                assert!(told.contains(&format!("`{scope}`")), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn a_shop_submits_with_a_key_that_cannot_erase() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    let key: Scopes = "submit status".parse().unwrap();
    let key = app.key_for(key).await;
    let submitted = app
        .post_as(&key, "/tryon/clothes", &clothes(json!({})))
        .await;
    let job = submitted.job();
    let status = app.get_as(&key, &format!("/status/{job}")).await;
    assert_eq!(status.status, 200, "{}", status.text);
    let path = format!("/api/v1/jobs/{job}");
    let refused = ask(&app, &key, (&Method::DELETE, &path)).await;
    refused.refusal(403, "UnauthorizedAccess");
    app.wait_for_outputs(job).await;
}
