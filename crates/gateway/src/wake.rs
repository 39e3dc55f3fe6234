//! Telling a loop that there is work for it.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tryon_store::Change;

use crate::app::App;

/// One bell for each loop. They only save waiting: each loop also looks by itself, so that a lost
/// ring delays work and never loses it.
#[derive(Debug, Default)]
pub struct Wake {
    /// A job was accepted: its inputs can be prepared.
    pub prepare: Notify,
    /// A sample is due, or a node is idle.
    pub dispatch: Notify,
    /// A job ended: there is something to erase.
    pub sweep: Notify,
    /// A job ended, or its webhook is to be sent anew.
    pub webhook: Notify,
    /// There are other nodes than before.
    pub nodes: Notify,
}

impl Wake {
    fn ring(&self, change: Change, following: &Notify) {
        let Change {
            submitted,
            due,
            ended,
            nodes,
        } = change;
        let bells = [
            (submitted, &self.prepare),
            (due, &self.dispatch),
            (ended, &self.sweep),
            (ended, &self.webhook),
            (due || ended, following),
            (nodes, &self.nodes),
        ];
        for (_, bell) in bells.iter().filter(|(rings, _)| *rings) {
            bell.notify_one();
        }
    }
}

/// Rings for what changes in the store, through this gateway or another, until it is told to stop.
pub(crate) async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut changes = app.store.changes();
    while let Some(Some(change)) = stop.run_until_cancelled(changes.next()).await {
        app.wake.ring(change, &app.following.bell);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tryon_blob::Blobs;
    use tryon_store::{NodeSpec, NodeState, SqliteStore, Store as _};

    use super::*;
    use crate::GatewayConfig;

    #[tokio::test]
    async fn an_idle_node_wakes_the_dispatcher_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(":memory:").await.unwrap());
        let blobs = Blobs::disk(folder.path()).unwrap();
        let app = App::new(GatewayConfig::default(), Arc::clone(&store) as _, blobs);
        let (app, stop) = (Arc::new(app), CancellationToken::new());
        let ringing = tokio::spawn(run(Arc::clone(&app), stop.clone()));
        // It listens once it has been polled.
        tokio::task::yield_now().await;
        let node = NodeSpec {
            name: "a".to_owned(),
            url: "http://a".to_owned(),
        };
        store.sync_nodes(&[node]).await.unwrap();
        store
            .set_node_state("a", NodeState::Ready, &[])
            .await
            .unwrap();
        let patience = Duration::from_secs(30);
        let rung = tokio::time::timeout(patience, app.wake.dispatch.notified());
        assert!(rung.await.is_ok(), "the dispatcher was not told");
        for bell in [&app.wake.prepare, &app.wake.sweep, &app.wake.webhook] {
            let silent = tokio::time::timeout(Duration::ZERO, bell.notified());
            assert!(silent.await.is_err(), "one was told that has nothing to do");
        }
        stop.cancel();
        ringing.await.unwrap();
    }
}
