//! The client.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::Deserialize;
use tokio::time::timeout;
use tryon_api::public::{Credits, Progress};
use tryon_core::{
    id::{ErasureId, JobId, UploadId},
    secret::Secret,
};

use crate::{
    answer::{Finished, Status},
    call::Caller,
    error::{Error, InputFault},
    follow::{Events, Follower},
    patience::Patience,
    picture::is_address,
    record::{Checked, Delivery, ListedJob, Page, Paging, Receipt, Upload},
    request::{Check, Clothes, Submission},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest name of a submission.
const LONGEST_NAME: usize = 255;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Talks to a gateway with an account's key. It is cheap to clone, and to be used for many requests.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) caller: Caller,
    pub(crate) terms: Terms,
}

/// How long what is done.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// How long a gateway may not be heard of before a job is waited for no more.
    pub(crate) patience: Duration,
    /// How long a submission of which nobody knows whether it was taken is sent again.
    doubt: Duration,
    /// How long a job is waited for.
    deadline: Duration,
    /// How often a job's status is asked for that takes long.
    pub(crate) poll: Duration,
    /// Whether to ask for the status only.
    pub(crate) poll_only: bool,
    /// The largest picture that is downloaded, in bytes.
    download: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            patience: Duration::from_mins(2),
            doubt: Duration::from_secs(30),
            deadline: Duration::from_hours(1),
            poll: Duration::from_secs(1),
            poll_only: false,
            download: 64 * 1024 * 1024,
        }
    }
}

/// Makes a [`Client`].
#[derive(Debug)]
pub struct ClientBuilder {
    base: String,
    key: Secret,
    http: Option<reqwest::Client>,
    timeout: Option<Duration>,
    terms: Terms,
}

impl ClientBuilder {
    /// Sends requests with this client, which may know of proxies and certificates.
    #[must_use]
    pub fn http(mut self, http: reqwest::Client) -> Self {
        self.http = Some(http);
        self
    }

    /// How long a request may take (default a minute). A stream of events may take longer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long a gateway may not be heard of, or say that it cannot tell, before a job is waited for
    /// no more (default two minutes: longer than a gateway takes to be started again).
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.terms.patience = patience;
        self
    }

    /// How long a submission of which nobody knows whether it was taken is sent again (default 30
    /// seconds).
    #[must_use]
    pub fn doubt(mut self, doubt: Duration) -> Self {
        self.terms.doubt = doubt;
        self
    }

    /// How long a job is waited for (default an hour). A gateway ends jobs sooner than that unless
    /// its operator says otherwise.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.terms.deadline = deadline;
        self
    }

    /// Follows no streams of events: asks for the status, more and more seldom, and no more seldom
    /// than that.
    #[must_use]
    pub fn poll_only(mut self, every: Duration) -> Self {
        self.terms.poll_only = true;
        self.terms.poll = every;
        self
    }

    /// The largest picture that is downloaded, in bytes (default 64 MiB).
    #[must_use]
    pub fn largest_download(mut self, bytes: usize) -> Self {
        self.terms.download = bytes;
        self
    }

    /// The client, if its parts are right.
    pub fn build(self) -> Result<Client, Error> {
        let http = self.http.map_or_else(default_http, Ok)?;
        let mut caller = Caller::new(http, &self.base, &self.key)?;
        caller.timeout = self.timeout.unwrap_or(caller.timeout);
        let terms = self.terms;
        let inner = Arc::new(Inner { caller, terms });
        Ok(Client { inner })
    }
}

fn default_http() -> Result<reqwest::Client, Error> {
    // Fails when the process chose a provider already, which then is the one to use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().connect_timeout(CONNECT);
    builder.build().map_err(Error::NoHttp)
}

#[derive(Deserialize)]
struct Submitted {
    id: JobId,
}

#[derive(Deserialize)]
struct CreditAnswer {
    credits: Credits,
}

#[derive(Deserialize)]
struct SecretAnswer {
    secret: Secret,
}

impl Client {
    /// A client of the gateway at this address, such as `https://tryon.example.com`.
    pub fn new(base: impl Into<String>, key: Secret) -> Result<Self, Error> {
        Self::builder(base, key).build()
    }

    /// The same, of which some things are to be otherwise.
    pub fn builder(base: impl Into<String>, key: Secret) -> ClientBuilder {
        ClientBuilder {
            base: base.into(),
            key,
            http: None,
            timeout: None,
            terms: Terms::default(),
        }
    }

    /// Submits a job and waits for its end.
    pub async fn run(&self, request: impl Into<Submission>) -> Result<Finished, Error> {
        let job = self.submit(request).await?;
        self.wait(job).await
    }

    /// Submits a job. A submission that may have been taken is sent again under the same name, which
    /// makes no second job; one that surely was not is an error at once.
    pub async fn submit(&self, request: impl Into<Submission>) -> Result<JobId, Error> {
        let submission = request.into();
        let name = submission.name.clone().unwrap_or_else(draw_name);
        let name = header_value(&name).ok_or(InputFault::Name)?;
        let mut patience = Patience::new(self.inner.terms.doubt);
        let mut uncertain = false;
        loop {
            let error = match self.send(&submission, name.clone()).await {
                Ok(Submitted { id }) => return Ok(id),
                Err(error) => error,
            };
            uncertain |= error.is_uncertain();
            if !uncertain {
                return Err(error);
            }
            patience.bear(error).await?;
        }
    }

    async fn send(&self, submission: &Submission, name: HeaderValue) -> Result<Submitted, Error> {
        let caller = &self.inner.caller;
        let path = ["tryon", submission.task.as_str()];
        let request = caller
            .request(Method::POST, &path)
            .header(IDEMPOTENCY_KEY, name)
            .header(CONTENT_TYPE, "application/json")
            .body(submission.body.clone());
        caller.ask(request).await
    }

    /// How a job stands.
    pub async fn status(&self, job: JobId) -> Result<Status, Error> {
        let path = ["status", &job.to_string()];
        self.inner.caller.get(&path).await
    }

    /// Follows a job until it has ended: each event says how it stands then, the last its end. An
    /// error is the last thing that the stream gives. Where there is no stream to be had, events come
    /// of asking for the status, without progress.
    pub fn follow(&self, job: JobId) -> Events {
        Follower::new(self.clone(), job).events()
    }

    /// Waits until a job has ended.
    pub async fn wait(&self, job: JobId) -> Result<Finished, Error> {
        self.wait_telling(job, |_| {}).await
    }

    /// The same, and tells on the way how far it is, where the gateway says so.
    pub async fn wait_telling(
        &self,
        job: JobId,
        tell: impl FnMut(&Progress),
    ) -> Result<Finished, Error> {
        let limit = self.inner.terms.deadline;
        let end = Follower::new(self.clone(), job).find_end(tell);
        let end = timeout(limit, end).await;
        let end = end.map_err(|_| Error::TimedOut { job, limit })?;
        let end = end.map_err(|cause| Error::Lost {
            job,
            cause: Box::new(cause),
        })?;
        let outputs = end.map_err(|failure| Error::JobFailed { job, failure })?;
        Ok(Finished { job, outputs })
    }

    /// Downloads an output of a job. A download that is cut off is begun again.
    pub async fn download(&self, link: &str) -> Result<Vec<u8>, Error> {
        if !is_address(link) {
            return Err(InputFault::Link.into());
        }
        let terms = &self.inner.terms;
        let mut patience = Patience::new(terms.doubt);
        loop {
            match self.inner.caller.download(link, terms.download).await {
                Ok(picture) => return Ok(picture),
                Err(error) => patience.bear(error).await?,
            }
        }
    }

    /// Uploads a PNG, JPEG or WebP file ahead of the jobs that use it, so that it is sent once for all
    /// of them. What comes of one that is sent again is another upload.
    pub async fn upload(&self, file: impl Into<Vec<u8>>) -> Result<Upload, Error> {
        let caller = &self.inner.caller;
        let request = caller.request(Method::POST, &["uploads"]);
        let request = request.header(CONTENT_TYPE, "application/octet-stream");
        caller.ask(request.body(file.into())).await
    }

    /// Erases an upload, which expires by itself. One that is not there is as good as erased.
    pub async fn erase_upload(&self, id: UploadId) -> Result<(), Error> {
        let caller = &self.inner.caller;
        let path = ["uploads", &id.to_string()];
        caller.tell(caller.request(Method::DELETE, &path)).await
    }

    /// Says what would become of the person's picture of a request, for nothing.
    pub async fn check_person(&self, request: &Clothes) -> Result<Checked, Error> {
        self.check(&request.person_check()).await
    }

    /// The same of the garment's picture.
    pub async fn check_garment(&self, request: &Clothes) -> Result<Checked, Error> {
        self.check(&request.garment_check()).await
    }

    async fn check(&self, check: &Check<'_>) -> Result<Checked, Error> {
        let caller = &self.inner.caller;
        let request = caller.request(Method::POST, &["check"]);
        caller.ask(request.json(check)).await
    }

    /// Cancels a job. Pictures that were delivered before are kept, and paid. One that has ended stays
    /// as it is.
    pub async fn cancel(&self, job: JobId) -> Result<Status, Error> {
        let caller = &self.inner.caller;
        let path = ["jobs", &job.to_string(), "cancel"];
        caller.ask(caller.request(Method::POST, &path)).await
    }

    /// The account's jobs.
    pub async fn list_jobs(&self, paging: Paging) -> Result<Page<ListedJob>, Error> {
        let caller = &self.inner.caller;
        caller.get_page(&["jobs"], paging).await
    }

    /// What the account holds.
    pub async fn credits(&self) -> Result<Credits, Error> {
        let answer: CreditAnswer = self.inner.caller.get(&["credits"]).await?;
        Ok(answer.credits)
    }

    /// Erases all that is personal of a job, which is cancelled if it has not ended. Asked again, it
    /// gives the same receipt.
    pub async fn erase(&self, job: JobId) -> Result<Receipt, Error> {
        let caller = &self.inner.caller;
        let path = ["jobs", &job.to_string()];
        caller.ask(caller.request(Method::DELETE, &path)).await
    }

    /// Erases every job that was submitted for this end user.
    pub async fn erase_end_user(&self, id: &str) -> Result<Receipt, Error> {
        let caller = &self.inner.caller;
        let request = caller.request(Method::DELETE, &["end-users", id]);
        caller.ask(request).await
    }

    /// The receipt of an erasure, of one under way too.
    pub async fn get_erasure(&self, id: ErasureId) -> Result<Receipt, Error> {
        let path = ["erasures", &id.to_string()];
        self.inner.caller.get(&path).await
    }

    /// What the account's webhooks are signed with: see [`webhook`](crate::webhook).
    pub async fn webhook_secret(&self) -> Result<Secret, Error> {
        let answer: SecretAnswer = self.inner.caller.get(&["webhooks", "secret"]).await?;
        Ok(answer.secret)
    }

    /// How the account's webhooks were delivered.
    pub async fn list_deliveries(&self, paging: Paging) -> Result<Page<Delivery>, Error> {
        let caller = &self.inner.caller;
        caller.get_page(&["webhooks", "deliveries"], paging).await
    }

    /// How a job's webhook was delivered.
    pub async fn get_delivery(&self, job: JobId) -> Result<Delivery, Error> {
        let path = ["webhooks", "deliveries", &job.to_string()];
        self.inner.caller.get(&path).await
    }

    /// Sends a job's webhook anew, however it ended.
    pub async fn replay(&self, job: JobId) -> Result<Delivery, Error> {
        let caller = &self.inner.caller;
        let path = ["webhooks", "deliveries", &job.to_string(), "replay"];
        caller.ask(caller.request(Method::POST, &path)).await
    }
}

/// The name that a submission has for the gateway.
fn draw_name() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

fn header_value(name: &str) -> Option<HeaderValue> {
    let printable = name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let fits = printable && (1..=LONGEST_NAME).contains(&name.len());
    HeaderValue::try_from(name).ok().filter(|_| fits)
}
