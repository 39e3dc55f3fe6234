//! The HTTP API of a Hugging Face compatible hub.
//!
//! Two routes are all that is needed (docs/adr/0008 says why no published client is):
//!
//! - `/api/models/{repo}/revision/{revision}?blobs=true`: the commit, and each file's name, size
//!   and digest;
//! - `/{repo}/resolve/{commit}/{path}`: a file, mostly by redirection to another host.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use indicatif::HumanDuration;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, LOCATION, RANGE, RETRY_AFTER},
    redirect::Policy,
};
use serde::{Deserialize, de::DeserializeOwned};
use tryon_core::secret::Secret;

use super::file::{Digest, ModelFile};
use crate::failure::{Failure, Problem};

/// The hub that is asked when the environment names no other.
const PUBLIC: &str = "https://huggingface.co";

/// Redirections of one request that are followed.
const MAX_REDIRECTS: usize = 5;

/// How long a connection may take, and how long it may be silent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// The digest of a large file, on the answer that redirects to it.
const LINKED_ETAG: &str = "x-linked-etag";

/// A hub, and who asks it.
pub(crate) struct Hub {
    http: Client,
    endpoint: Url,
    token: Option<Secret>,
}

/// What a repository has.
pub(super) struct Listing {
    /// The commit that was asked for.
    pub(super) commit: String,
    /// Its files.
    pub(super) files: Vec<ModelFile>,
}

/// Why the hub did not give what was asked for.
pub(super) struct Fault {
    pub(super) failure: Failure,
    /// How long to wait at least before the same may be asked again; `None` when that is no use.
    pub(super) retry_after: Option<Duration>,
}

impl Fault {
    /// One that asking again does not mend.
    pub(super) fn last(failure: Failure) -> Self {
        Self {
            failure,
            retry_after: None,
        }
    }

    fn passing(problem: Problem, retry_after: Duration) -> Self {
        Self {
            failure: problem.hint("what arrived is kept: pull again to go on"),
            retry_after: Some(retry_after),
        }
    }
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    #[serde(alias = "oid")]
    sha256: String,
    size: Option<u64>,
}

impl Hub {
    /// The hub that `HF_ENDPOINT` names, asked with the token `HF_TOKEN` if there is one.
    pub(crate) fn from_environment(
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        let set = |name: &str| {
            let text = environment.get(name).map(|text| text.trim());
            text.filter(|text| !text.is_empty())
        };
        let endpoint = parse_endpoint(set("HF_ENDPOINT").unwrap_or(PUBLIC))?;
        // Redirections are followed here: who may see the token is decided at each.
        let http = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(concat!("tryon/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Failure::from_error("no HTTP client can be had", &error).hint(
                    "the system's certificates may be missing (`apt-get install ca-certificates`)",
                )
            })?;
        Ok(Self {
            http,
            endpoint,
            token: set("HF_TOKEN").map(Secret::new),
        })
    }

    /// Where it is.
    pub(super) fn address(&self) -> &str {
        self.endpoint.as_str().trim_end_matches('/')
    }

    /// What `repo` has at `revision`: a branch, a tag or a commit.
    pub(super) async fn list(&self, repo: &str, revision: &str) -> Result<Listing, Fault> {
        let path = ["api", "models"].into_iter().chain(repo.split('/'));
        let mut url = self.url(path.chain(["revision", revision]));
        url.set_query(Some("blobs=true"));
        let subject = format!("`{repo}` at `{revision}`");
        let answer = self.get(url, 0, None).await?;
        let answer = self.accept(answer, &subject)?;
        let revision = self.read(answer).await?;
        self.listing(revision).map_err(Fault::last)
    }

    /// Opens a file of a commit for reading from the byte `start`, if the hub can do that, and from
    /// its first if not.
    pub(super) async fn open(
        &self,
        repo: &str,
        commit: &str,
        file: &ModelFile,
        start: u64,
    ) -> Result<Content, Fault> {
        let path = repo.split('/').chain(["resolve", commit]);
        let url = self.url(path.chain(file.path.as_str().split('/')));
        let mut answer = self.get(url.clone(), start, Some(file)).await?;
        if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            answer = self.get(url, 0, Some(file)).await?;
        }
        let subject = format!("`{}` of `{repo}` at `{commit}`", file.path.as_str());
        let answer = self.accept(answer, &subject)?;
        let start = self.start(&answer, file, start)?;
        let host = host_of(answer.url());
        Ok(Content {
            answer,
            start,
            host,
        })
    }

    fn url<'a>(&self, path: impl Iterator<Item = &'a str>) -> Url {
        let mut url = self.endpoint.clone();
        url.path_segments_mut()
            .expect("BUG: an endpoint is an HTTP URL")
            .pop_if_empty()
            .extend(path);
        url
    }

    /// Asks, and follows redirections. `file` is what the answer has to be about.
    async fn get(
        &self,
        mut url: Url,
        start: u64,
        file: Option<&ModelFile>,
    ) -> Result<Response, Fault> {
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.get_once(&url, start).await?;
            if let Some(file) = file {
                check_tag(&answer, file)?;
            }
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            url = next_url(&url, &answer)?;
        }
        let host = host_of(&url);
        let failure = Failure::new(format!("`{host}` redirects without end"));
        Err(Fault::last(failure.hint("HF_ENDPOINT names another hub")))
    }

    async fn get_once(&self, url: &Url, start: u64) -> Result<Response, Fault> {
        // Compressed, the bytes of a range would be others.
        let mut request = self
            .http
            .get(url.clone())
            .header(ACCEPT_ENCODING, "identity");
        if start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        // Files mostly come from another host, which must not learn the token.
        if let Some(token) = &self.token
            && url.origin() == self.endpoint.origin()
        {
            request = request.bearer_auth(token.expose());
        }
        request
            .send()
            .await
            .map_err(|error| lost(&host_of(url), error))
    }

    /// Refuses an answer that is not what was asked for.
    fn accept(&self, answer: Response, subject: &str) -> Result<Response, Fault> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let host = host_of(answer.url());
        let message = format!("`{host}` answered {status} for {subject}");
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let wait = retry_after(&answer);
            let message = if wait.is_zero() {
                message
            } else {
                format!("{message} and asks to wait {}", HumanDuration(wait))
            };
            return Err(Fault::passing(Failure::new(message), wait));
        }
        Err(Fault::last(Failure::new(message).hint(self.advice(status))))
    }

    fn advice(&self, status: StatusCode) -> &'static str {
        match (status, &self.token) {
            (StatusCode::UNAUTHORIZED, None) => {
                "set HF_TOKEN to a token of an account that may read it"
            }
            (StatusCode::UNAUTHORIZED, Some(_)) => {
                "HF_TOKEN is not a valid token there, or the repository does not exist"
            }
            (StatusCode::FORBIDDEN, _) => {
                "accept the terms on the repository's page, with the account of HF_TOKEN"
            }
            (StatusCode::NOT_FOUND, _) => {
                "`--revision` names a branch, a tag or a commit, and HF_ENDPOINT the hub"
            }
            _ => "is HF_ENDPOINT a hub?",
        }
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, Fault> {
        let host = host_of(answer.url());
        let text = answer.bytes().await;
        let text = text.map_err(|error| lost(&host, error))?;
        serde_json::from_slice(&text).map_err(|error| Fault::last(self.no_hub(&error.to_string())))
    }

    fn no_hub(&self, why: &str) -> Failure {
        let address = self.address();
        Failure::new(format!("`{address}` does not answer like a hub: {why}"))
            .hint("HF_ENDPOINT names the hub, such as `https://huggingface.co`")
    }

    fn listing(&self, revision: Revision) -> Result<Listing, Failure> {
        // It becomes part of URLs.
        let Some(commit) = Digest::git_blob(&revision.sha) else {
            return Err(self.no_hub("it names no commit"));
        };
        let files = revision.siblings.into_iter().map(listed);
        let files = files.collect::<Result<_, _>>();
        Ok(Listing {
            commit: commit.as_str().to_owned(),
            files: files.map_err(|why| self.no_hub(&why))?,
        })
    }

    /// The byte of the file that an answer begins with.
    fn start(&self, answer: &Response, file: &ModelFile, asked: u64) -> Result<u64, Fault> {
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            return Ok(0);
        }
        let range = answer.headers().get(CONTENT_RANGE);
        let range = range.and_then(|range| range.to_str().ok());
        let (last, size) = (file.size.saturating_sub(1), file.size);
        let expected = [
            format!("bytes {asked}-{last}/{size}"),
            format!("bytes {asked}-{last}/*"),
        ];
        if range.is_some_and(|range| expected.iter().any(|expected| expected == range)) {
            return Ok(asked);
        }
        let name = file.path.as_str();
        let why = format!("of `{name}` it sends another part than the one asked for");
        Err(Fault::last(self.no_hub(&why)))
    }
}

/// The content of a file, as it arrives.
pub(super) struct Content {
    answer: Response,
    /// The byte of the file that it begins with.
    pub(super) start: u64,
    host: String,
}

impl Content {
    /// The next bytes, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let next = self.answer.chunk().await;
        next.map_err(|error| lost(&self.host, error))
    }

    /// That it ended before the file did.
    pub(super) fn too_short(&self, file: &ModelFile, length: u64) -> Fault {
        let (host, name, size) = (&self.host, file.path.as_str(), file.size);
        let message = format!("`{host}` sent {length} of the {size} bytes of `{name}`");
        Fault::passing(Failure::new(message), Duration::ZERO)
    }
}

fn parse_endpoint(text: &str) -> Result<Url, Failure> {
    let refuse = |why: &str| {
        // It is not repeated: it may hold a password.
        Failure::new(format!("HF_ENDPOINT {why}"))
            .hint("it is the URL of a hub, such as `https://huggingface.co`")
    };
    let mut url = Url::parse(text).map_err(|error| refuse(&format!("is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("is not an `http` or `https` URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("has a user in it: a token belongs into HF_TOKEN"));
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

fn listed(sibling: Sibling) -> Result<ModelFile, String> {
    let path = sibling.rfilename.try_into()?;
    let (digest, size) = if let Some(lfs) = &sibling.lfs {
        (Digest::sha256(&lfs.sha256), lfs.size.or(sibling.size))
    } else {
        let id = sibling.blob_id.as_deref();
        (id.and_then(Digest::git_blob), sibling.size)
    };
    match (digest, size) {
        (Some(digest), Some(size)) => Ok(ModelFile { path, size, digest }),
        _ => Err("it lists a file without its size or digest".to_owned()),
    }
}

/// Refuses an answer about another content than the listed one. The host that a hub redirects to
/// has tags of its own, which are no digests: what it sends is known by its digest alone.
fn check_tag(answer: &Response, file: &ModelFile) -> Result<(), Fault> {
    let headers = answer.headers();
    let tag = headers.get(LINKED_ETAG).or_else(|| headers.get(ETAG));
    let tag = tag.and_then(|tag| tag.to_str().ok()).unwrap_or_default();
    let tag = tag.trim_start_matches("W/").trim_matches('"');
    let tag = match &file.digest {
        Digest::Sha256(_) if headers.contains_key(LINKED_ETAG) => Digest::sha256(tag),
        Digest::Sha256(_) => None,
        Digest::GitBlob(_) => Digest::git_blob(tag),
    };
    if tag.is_none_or(|tag| tag == file.digest) {
        return Ok(());
    }
    let name = file.path.as_str();
    let message = format!("the hub has another `{name}` than it lists");
    Err(Fault::last(Failure::new(message).hint("pull again")))
}

/// Where an answer redirects to.
fn next_url(url: &Url, answer: &Response) -> Result<Url, Fault> {
    let location = answer.headers().get(LOCATION);
    let next = location.and_then(|location| url.join(location.to_str().ok()?).ok());
    let is_safe = |next: &Url| match next.scheme() {
        "https" => true,
        "http" => url.scheme() == "http",
        _ => false,
    };
    next.filter(is_safe).ok_or_else(|| {
        let host = host_of(url);
        let message = format!("`{host}` redirects to where no file can be had safely");
        Fault::last(Failure::new(message).hint("HF_ENDPOINT names another hub"))
    })
}

fn retry_after(answer: &Response) -> Duration {
    let said = answer.headers().get(RETRY_AFTER);
    let seconds = said.and_then(|said| said.to_str().ok()?.parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs)
}

/// That a connection failed. URLs of files are not repeated: they may be signed.
fn lost(host: &str, error: reqwest::Error) -> Fault {
    let context = format!("the connection to `{host}` failed");
    let problem = Failure::from_error(&context, &error.without_url());
    Fault::passing(problem, Duration::ZERO)
}

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}"));
    host.to_owned() + &port.unwrap_or_default()
}
