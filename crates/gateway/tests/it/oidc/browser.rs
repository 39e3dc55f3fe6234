//! A browser that goes from the gateway to a provider and back.

use std::collections::BTreeMap;

use reqwest::{Client, RequestBuilder, Url, redirect::Policy};
use serde_json::Value;

use crate::stage::{Answer, TestApp};

/// Cookies of one host, by name.
pub(super) type Cookies = BTreeMap<String, String>;

pub(super) struct Browser<'a> {
    app: &'a TestApp,
    http: Client,
    /// What the gateway had it keep.
    own: Cookies,
}

/// What an address asks for under this name.
pub(super) fn query(address: &str, name: &str) -> String {
    let url = Url::parse(address).unwrap();
    let mut pairs = url.query_pairs();
    let found = pairs.find(|(key, _)| key == name);
    found.expect(name).1.into_owned()
}

fn keep(cookies: &mut Cookies, answer: &Answer) {
    for cookie in answer.headers.get_all("set-cookie") {
        let cookie = cookie.to_str().unwrap();
        let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
        if value.is_empty() {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

async fn send(request: RequestBuilder, cookies: &mut Cookies) -> Answer {
    let pairs = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let header = pairs.collect::<Vec<_>>().join("; ");
    let answer = Answer::to(request.header("cookie", header)).await;
    keep(cookies, &answer);
    answer
}

impl<'a> Browser<'a> {
    pub(super) fn new(app: &'a TestApp) -> Self {
        let http = Client::builder().no_proxy().redirect(Policy::none());
        Self {
            app,
            http: http.build().unwrap(),
            own: Cookies::new(),
        }
    }

    pub(super) fn keep(&mut self, answer: &Answer) {
        keep(&mut self.own, answer);
    }

    pub(super) fn cookies(&self) -> Cookies {
        self.own.clone()
    }

    pub(super) fn set_cookies(&mut self, cookies: Cookies) {
        self.own = cookies;
    }

    pub(super) fn session(&self) -> String {
        self.own["tryon"].clone()
    }

    pub(super) fn set_session(&mut self, session: &str) {
        self.own.insert("tryon".to_owned(), session.to_owned());
    }

    /// A page of the gateway's, or of another one.
    pub(super) async fn get(&mut self, page: &str) -> Answer {
        let url = match page.strip_prefix('/') {
            Some(_) => self.app.url(page),
            None => page.to_owned(),
        };
        send(self.http.get(url), &mut self.own).await
    }

    /// Leaves for the provider, and says where that leads.
    pub(super) async fn begin(&mut self, next: &str) -> String {
        let left = self.get(&format!("/app/sign-in/leave?next={next}")).await;
        assert_eq!(left.status, 303, "{}", left.text);
        left.header("location").to_owned()
    }

    /// Signs in there as this person, and says which page of the gateway's that leads back to.
    pub(super) async fn pass(&self, address: &str, person: &Value) -> String {
        let mut address = Url::parse(address).unwrap();
        let mut pairs = address.query_pairs_mut();
        pairs.append_pair("login_hint", &person.to_string());
        drop(pairs);
        self.follow(address.as_str(), &mut Cookies::new()).await
    }

    /// Says no there.
    pub(super) async fn decline(&self, address: &str) -> String {
        let mut cookies = Cookies::new();
        let asked = send(self.http.get(address), &mut cookies).await;
        let form = Url::parse(address)
            .unwrap()
            .join(asked.header("location"))
            .unwrap();
        let no = self.http.post(form.clone()).form(&[("no", "on")]);
        let answer = send(no, &mut cookies).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let next = form.join(answer.header("location")).unwrap();
        self.follow(next.as_str(), &mut cookies).await
    }

    async fn follow(&self, address: &str, cookies: &mut Cookies) -> String {
        let mut url = Url::parse(address).unwrap();
        for _ in 0..5 {
            let answer = send(self.http.get(url.clone()), cookies).await;
            assert_eq!(answer.status, 303, "{url}: {}", answer.text);
            url = url.join(answer.header("location")).unwrap();
            if url.path() == "/app/sign-in/callback" {
                return format!("{}?{}", url.path(), url.query().unwrap_or_default());
            }
        }
        panic!("the provider leads nowhere: {url}");
    }

    /// All the way: what the gateway answers in the end.
    pub(super) async fn go(&mut self, next: &str, person: &Value) -> Answer {
        let address = self.begin(next).await;
        let back = self.pass(&address, person).await;
        self.get(&back).await
    }

    /// Sends a form of this session's pages.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.get("/app/developer/keys").await.text;
        let (_, rest) = page.split_once("name=\"proof\" value=\"").unwrap();
        let proof = rest.split('"').next().unwrap();
        let form = [&[("proof", proof)], fields].concat();
        let request = self.http.post(self.app.url(path)).form(&form);
        send(request, &mut self.own).await
    }

    pub(super) async fn sign_out(&mut self) -> Answer {
        self.post("/app/sign-out", &[]).await
    }
}
