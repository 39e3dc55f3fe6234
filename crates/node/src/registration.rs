//! Making the node known to its gateways.
//!
//! The node calls a gateway when it starts, and again three times within each lease that it is
//! given, for as long as it lives. Nothing waits for a call: jobs are taken and delivered whether
//! or not any is answered. A node that ends says so, and is given nothing more.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tryon_api::{
    callback::AUTH_HEADER,
    node::{REGISTRATION_PATH, Registered, Registration},
};
use tryon_core::secret::Secret;
use url::Url;

use crate::{config::NodeConfig, delivery::describe};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first and the longest wait after no gateway took a call.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);

/// What is read of a gateway's refusal, in characters.
const LONGEST_REFUSAL: usize = 500;

/// What a node says, and to whom.
pub(crate) struct Registrar {
    client: Client,
    gateways: Vec<Url>,
    token: Option<Secret>,
    registration: Registration,
}

impl Registrar {
    /// `None` for a node that its gateways list.
    pub(crate) fn new(client: Client, config: &NodeConfig) -> Option<Self> {
        let ours = &config.registration;
        let url = ours.advertise_url.clone()?;
        (!ours.gateways.is_empty()).then(|| Self {
            client,
            gateways: ours.gateways.iter().map(nodes_of).collect(),
            token: ours.internal_auth_token.clone(),
            registration: Registration {
                name: config.server.node_id.clone(),
                url,
            },
        })
    }

    /// Registers, and goes on doing so until it is told to stop. Then it says that the node ends.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut known = false;
        let mut failures = 0;
        let mut pause = Duration::ZERO;
        loop {
            let rested = stop.run_until_cancelled(time::sleep(pause)).await;
            if rested.is_none() {
                break;
            }
            // A call that is cut off may have been heard: what follows it is that the node ends.
            let Some(lease) = stop.run_until_cancelled(self.register()).await else {
                break;
            };
            if let Some(lease) = lease {
                if !known {
                    tracing::info!(?lease, "the node is registered");
                }
                failures = 0;
                pause = (lease / 3).max(Duration::from_millis(100));
            } else {
                pause = wait_after(failures, rand::random());
                failures += 1;
            }
            known = lease.is_some();
        }
        self.leave().await;
    }

    /// Calls the gateways, one after the other, until one of them takes it. Returns how long it
    /// takes the node for alive.
    async fn register(&self) -> Option<Duration> {
        for url in &self.gateways {
            let call = self.client.post(url.clone()).json(&self.registration);
            if let Some(answer) = self.call(call, url).await
                && let Ok(Registered { lease }) = answer.json().await
            {
                return Some(lease.duration());
            }
        }
        None
    }

    /// Says that the node ends, to the first gateway that hears it.
    async fn leave(&self) {
        for url in &self.gateways {
            let url = self.own(url);
            if self
                .call(self.client.delete(url.clone()), &url)
                .await
                .is_some()
            {
                return;
            }
        }
    }

    /// The address of this node's registration below that of all.
    fn own(&self, nodes: &Url) -> Url {
        let mut url = nodes.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(&self.registration.name);
        }
        let address = self.registration.url.as_str();
        url.query_pairs_mut().append_pair("url", address);
        url
    }

    /// Why a call came to nothing is logged, each time: an operator has to see it.
    async fn call(&self, call: RequestBuilder, url: &Url) -> Option<Response> {
        let call = match &self.token {
            Some(token) => call.header(AUTH_HEADER, token.expose()),
            None => call,
        };
        match call.timeout(PATIENCE).send().await {
            Ok(answer) if answer.status().is_success() => return Some(answer),
            Ok(answer) => {
                let status = answer.status();
                let said = answer.text().await.unwrap_or_default();
                let said: String = said.chars().take(LONGEST_REFUSAL).collect();
                tracing::warn!(%url, %status, said, "a gateway does not take the registration");
            }
            Err(error) => {
                let error = describe(&error);
                tracing::warn!(%url, error, "a gateway does not hear the registration");
            }
        }
        None
    }
}

/// Where this gateway takes registrations, whether or not its address ends in a slash.
fn nodes_of(gateway: &Url) -> Url {
    let mut url = gateway.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments
            .pop_if_empty()
            .extend(REGISTRATION_PATH.split('/').filter(|it| !it.is_empty()));
    }
    url
}

/// 1, 2, 4 … seconds, spread by a fifth: many nodes that lost one gateway do not come at once.
fn wait_after(failures: u32, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(2u32.saturating_pow(failures));
    doubled.min(LONGEST).mul_f64(0.9 + 0.2 * chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::build_client;

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<_> = (0..6).map(|failures| wait_after(failures, 0.5)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 15, 15].map(Duration::from_secs));
        assert_eq!(wait_after(u32::MAX, 0.0), LONGEST.mul_f64(0.9));
        assert!(wait_after(0, 1.0) > wait_after(0, 0.0));
    }

    #[test]
    fn the_path_is_appended_and_the_name_is_one_part_of_it() {
        let (client, mut config) = (build_client().unwrap(), NodeConfig::default());
        config.server.node_id = "a/b".to_owned();
        config.registration.advertise_url = "http://10.0.0.7:8000".parse().ok();
        assert!(Registrar::new(client.clone(), &config).is_none());
        for (gateway, nodes) in [
            ("http://gw:8081", "http://gw:8081/internal/v1/nodes"),
            ("http://gw/below/", "http://gw/below/internal/v1/nodes"),
        ] {
            config.registration.gateways = vec![gateway.parse().unwrap()];
            let registrar = Registrar::new(client.clone(), &config).unwrap();
            assert_eq!(registrar.gateways[0].as_str(), nodes);
            let own = registrar.own(&registrar.gateways[0]);
            let expected = format!("{nodes}/a%2Fb?url=http%3A%2F%2F10.0.0.7%3A8000%2F");
            assert_eq!(own.as_str(), expected);
        }
    }
}
