//! Hints to others that a step or a job ended. Nothing depends on one: failures are logged only.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tryon_api::callback::{AUTH_HEADER, JOB_COMPLETE_PATH, JobComplete, Progress};
use tryon_core::secret::Secret;
use tryon_engine::Step;
use url::{Origin, Url};

use crate::{config::NodeConfig, delivery::describe};

const JOB_COMPLETE_TIMEOUT: Duration = Duration::from_secs(5);
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(2);

/// Who is told what.
pub(crate) struct Notices {
    client: reqwest::Client,
    node_id: String,
    balancer: Option<Address>,
    /// Where the callback's token may be sent: nowhere but to the callback's own origin.
    trusted: Option<(Origin, Secret)>,
    tasks: TaskTracker,
}

#[derive(Clone)]
struct Address {
    url: Url,
    token: Option<Secret>,
    timeout: Duration,
}

/// Takes the steps of one job. Steps that come faster than they can be told are left out.
pub(crate) struct StepTeller(watch::Sender<Option<Step>>);

impl StepTeller {
    /// Tells of a step without waiting.
    pub(crate) fn tell(&self, step: Step) {
        self.0.send_replace(Some(step));
    }
}

impl Notices {
    pub(crate) fn new(client: reqwest::Client, config: &NodeConfig) -> Self {
        let balancer = &config.load_balancer;
        let results = &config.asset_service;
        let origin = results.callback_url.as_ref().map(Url::origin);
        Self {
            client,
            node_id: config.server.node_id.clone(),
            balancer: balancer.url.as_ref().map(|url| Address {
                url: below(url, JOB_COMPLETE_PATH),
                token: balancer.internal_auth_token.clone(),
                timeout: JOB_COMPLETE_TIMEOUT,
            }),
            trusted: origin.zip(results.internal_auth_token.clone()),
            tasks: TaskTracker::new(),
        }
    }

    /// Tells the load balancer that the device is free again.
    pub(crate) fn job_complete(self: &Arc<Self>, job_id: &str) {
        let Some(address) = self.balancer.clone() else {
            return;
        };
        let notice = JobComplete {
            node_id: self.node_id.clone(),
            job_id: job_id.to_owned(),
            metadata: serde_json::Map::new(),
        };
        let notices = Arc::clone(self);
        self.tasks
            .spawn(async move { notices.post(&address, &notice).await });
    }

    /// Tells `url` of the steps of a job, for as long as the teller lives.
    pub(crate) fn follow(self: &Arc<Self>, job_id: &str, url: Url) -> StepTeller {
        let (teller, mut steps) = watch::channel(None);
        let token = self
            .trusted
            .as_ref()
            .filter(|(origin, _)| *origin == url.origin());
        let token = token.map(|(_, token)| token.clone());
        let address = Address {
            url,
            token,
            timeout: PROGRESS_TIMEOUT,
        };
        let (notices, job_id) = (Arc::clone(self), job_id.to_owned());
        self.tasks.spawn(async move {
            while steps.changed().await.is_ok() {
                let Some(Step { done, total }) = *steps.borrow_and_update() else {
                    continue;
                };
                let progress = Progress {
                    job_id: job_id.clone(),
                    step: done,
                    steps: total,
                };
                notices.post(&address, &progress).await;
            }
        });
        StepTeller(teller)
    }

    /// Waits until everything was told.
    pub(crate) async fn stop(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn post(&self, address: &Address, notice: &impl Serialize) {
        let mut request = self
            .client
            .post(address.url.clone())
            .timeout(address.timeout);
        if let Some(token) = &address.token {
            request = request.header(AUTH_HEADER, token.expose());
        }
        match request.json(notice).send().await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => tracing::warn!(status = %answer.status(), "a notice was not taken"),
            Err(error) => tracing::warn!(error = describe(&error), "a notice was not sent"),
        }
    }
}

/// The address of `path` below `url`, whether or not that ends in a slash.
fn below(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    // Only addresses that cannot be posted to have no path.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(path);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_appended() {
        for (url, expected) in [
            ("http://lb", "http://lb/job_complete"),
            ("http://lb/", "http://lb/job_complete"),
            ("http://lb/api", "http://lb/api/job_complete"),
            ("http://lb/api/", "http://lb/api/job_complete"),
        ] {
            assert_eq!(
                below(&url.parse().unwrap(), JOB_COMPLETE_PATH).as_str(),
                expected
            );
        }
    }
}
