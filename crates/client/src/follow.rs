//! Following a job until it has ended, whatever happens on the way.
//!
//! A stream of events is followed for as long as one can be had, and resumed where it broke. After
//! that the status is asked for, which any gateway answers through any proxy.

use std::{collections::VecDeque, time::Duration};

use futures::{StreamExt as _, stream};
use reqwest::{
    Method, Response,
    header::{ACCEPT, CONTENT_TYPE, HeaderName},
};
use tokio::time::{sleep, timeout};
use tryon_api::public::Progress;
use tryon_core::{error::ApiErrorCode, id::JobId};

use crate::{
    answer::{Event, JobFailure, Status},
    call::accept,
    client::Client,
    error::{Error, Refusal},
    patience::{Patience, about},
    sse::{Message, Parser},
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long a stream may take to begin: a gateway tells how the job stands at once, so what comes
/// later is held back on the way.
const BEGINNING: Duration = Duration::from_secs(5);

/// How long a stream that has begun may be silent: a gateway says every 15 seconds that it is there.
const SILENCE: Duration = Duration::from_secs(45);

/// How long a stream may last: `reqwest` wants to be told something.
const LONGEST: Duration = Duration::from_hours(24);

/// How many streams in a row may bring nothing, once one brought something, before none is asked for
/// any more.
const FRUITLESS: u32 = 3;

/// When to ask for a stream anew that broke, where the gateway does not say.
const RETRY: Duration = Duration::from_secs(2);
/// The shortest and the longest of what it may say.
const SHORTEST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// How long to wait before the status is asked for the second time.
const FIRST_POLL: Duration = Duration::from_millis(250);

/// What a followed job does: see [`Client::follow`].
pub type Events = stream::BoxStream<'static, Result<Event, Error>>;

/// Follows a job.
pub(crate) struct Follower {
    client: Client,
    job: JobId,
    patience: Patience,
    way: Way,
    /// Whether anything was told.
    told: bool,
    /// Whether the last was told.
    over: bool,
}

/// How it is found out how the job stands.
enum Way {
    Stream(Line),
    /// By asking, after this pause.
    Poll(Duration),
}

impl Way {
    const fn poll() -> Self {
        Self::Poll(Duration::ZERO)
    }
}

/// Streams, one after the other.
#[derive(Default)]
struct Line {
    open: Option<Box<Connection>>,
    /// The `id` of the event that came last.
    last: Option<String>,
    /// Streams in a row that brought nothing.
    fruitless: u32,
}

impl Follower {
    pub(crate) fn new(client: Client, job: JobId) -> Self {
        let terms = &client.inner.terms;
        let way = if terms.poll_only {
            Way::poll()
        } else {
            Way::Stream(Line::default())
        };
        Self {
            job,
            patience: Patience::new(terms.patience),
            way,
            told: false,
            over: false,
            client,
        }
    }

    /// All that is told until the end, or until there is an error.
    pub(crate) fn events(self) -> Events {
        let step = async |mut follower: Self| {
            if follower.over {
                return None;
            }
            let next = follower.next().await;
            let goes_on = |event: &Event| !event.status.is_terminal();
            follower.over = !next.as_ref().is_ok_and(goes_on);
            Some((next, follower))
        };
        stream::unfold(self, step).boxed()
    }

    /// What came of the job in the end, once that is known; and how far it is until then.
    pub(crate) async fn find_end(
        mut self,
        mut tell: impl FnMut(&Progress),
    ) -> Result<Result<Vec<String>, JobFailure>, Error> {
        loop {
            let Event { status, progress } = self.next().await?;
            progress.iter().for_each(&mut tell);
            if let Some(outcome) = status.into_outcome() {
                return Ok(outcome);
            }
        }
    }

    /// What is told next.
    async fn next(&mut self) -> Result<Event, Error> {
        let event = match self.listen().await? {
            Some(event) => event,
            None => Event {
                status: self.poll().await?,
                progress: None,
            },
        };
        self.told = true;
        Ok(event)
    }

    /// The next event of the stream, or of the one that is asked for where that broke; `None` when
    /// there is none to be had.
    async fn listen(&mut self) -> Result<Option<Event>, Error> {
        while let Way::Stream(line) = &mut self.way {
            let Some(connection) = &mut line.open else {
                self.open().await?;
                continue;
            };
            match connection.next().await {
                Some(message) => {
                    line.last.clone_from(&message.id);
                    self.patience.restore();
                    match serde_json::from_str(&message.data) {
                        Ok(event) => return Ok(Some(event)),
                        // What this gateway tells is understood by newer clients.
                        Err(_) => self.way = Way::poll(),
                    }
                }
                None => self.note_end().await,
            }
        }
        Ok(None)
    }

    /// Asks for a stream, or learns that there is none to be had.
    async fn open(&mut self) -> Result<(), Error> {
        let Way::Stream(line) = &mut self.way else {
            return Ok(());
        };
        match connect(&self.client, self.job, line.last.as_deref()).await {
            Ok(Some(connection)) => line.open = Some(Box::new(connection)),
            Ok(None) => self.way = Way::poll(),
            Err(error) => self.patience.bear(error).await?,
        }
        Ok(())
    }

    /// Notes that a stream has ended before the job, and waits until it may be asked for anew.
    async fn note_end(&mut self) {
        let Way::Stream(line) = &mut self.way else {
            return;
        };
        let Some(ended) = line.open.take() else {
            return;
        };
        line.fruitless += 1;
        if ended.heard {
            line.fruitless = 0;
            self.patience.restore();
        }
        let never = !ended.heard && line.last.is_none();
        if never || line.fruitless == FRUITLESS {
            self.way = Way::poll();
            return;
        }
        let pause = ended.parser.retry.unwrap_or(RETRY);
        sleep(about(pause.clamp(SHORTEST_RETRY, LONGEST_RETRY))).await;
    }

    /// Asks how the job stands until there is something to tell.
    async fn poll(&mut self) -> Result<Status, Error> {
        let longest = self.client.inner.terms.poll;
        loop {
            if let Way::Poll(pause) = &mut self.way {
                sleep(*pause).await;
                *pause = (*pause * 2).max(FIRST_POLL).min(longest);
            }
            match self.client.status(self.job).await {
                Ok(status) if status.is_terminal() || !self.told => return Ok(status),
                Ok(_) => self.patience.restore(),
                Err(error) => self.patience.bear(error).await?,
            }
        }
    }
}

/// A stream.
struct Connection {
    response: Response,
    parser: Parser,
    messages: VecDeque<Message>,
    /// How long it may take until something comes.
    beginning: Duration,
    /// Whether anything came.
    heard: bool,
}

/// Asks for a stream that begins after the event with the `id` in `last`. `None` when there is none to
/// be had here.
async fn connect(
    client: &Client,
    job: JobId,
    last: Option<&str>,
) -> Result<Option<Connection>, Error> {
    let path = ["status", &job.to_string(), "events"];
    let request = client.inner.caller.request(Method::GET, &path);
    let mut request = request.header(ACCEPT, "text/event-stream").timeout(LONGEST);
    if let Some(last) = last {
        request = request.header(LAST_EVENT_ID, last);
    }
    // The head may be held back too.
    let Ok(answer) = timeout(BEGINNING, async { accept(request.send().await).await }).await else {
        return Ok(None);
    };
    match answer {
        Ok(response) if is_stream(&response) => Ok(Some(Connection {
            response,
            parser: Parser::default(),
            messages: VecDeque::new(),
            // What is resumed has nothing to tell at first.
            beginning: if last.is_some() { SILENCE } else { BEGINNING },
            heard: false,
        })),
        // The end was told already (204), or this is no stream.
        Ok(_) => Ok(None),
        Err(Error::Refused(refusal)) if offers_none(&refusal) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// Whether a refusal is of the stream and not of asking: an older gateway has no such route, and one
/// account may not follow too much. That a job is not there is said again when it is asked for.
fn offers_none(refusal: &Refusal) -> bool {
    matches!(refusal.status, 404 | 405 | 406 | 501)
        || refusal.is(ApiErrorCode::ConcurrencyLimitExceeded)
}

impl Connection {
    /// The next event about the job; `None` once the stream ended, broke or fell silent.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Some(message);
            }
            let patience = if self.heard { SILENCE } else { self.beginning };
            let chunk = timeout(patience, self.response.chunk()).await;
            let chunk = chunk.ok()?.ok()??;
            self.heard = true;
            let messages = self.parser.feed(&chunk).ok()?;
            let known = |message: &Message| message.event == "status";
            self.messages.extend(messages.into_iter().filter(known));
        }
    }
}
