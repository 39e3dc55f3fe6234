//! What other gateways changed.
//!
//! A transaction that notifies makes every other one that does wait for its commit, so none of
//! ours does. What changed is told afterwards, all that came together at once: under load there are
//! few notifications, however many jobs there are. A gateway that is killed in between tells
//! nobody, and the others find out when they look by themselves.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    time::Duration,
};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::task::JoinHandle;

use crate::change::{Bell, Change, Changes};

const CHANNEL: &str = "tryon";

const TELL: &str = "SELECT pg_notify($1, $2)";

/// The wait after a failure.
const PAUSE: Duration = Duration::from_secs(1);

const EVERYTHING: Change = Change {
    submitted: true,
    due: true,
    ended: true,
    nodes: true,
};

/// The two tasks that tell and hear; they end with this.
#[derive(Debug)]
pub(super) struct News {
    tasks: [JoinHandle<()>; 2],
    /// The one connection that hears.
    ear: PgPool,
}

impl News {
    /// Hears everything that others tell once this has returned.
    pub(super) async fn start(
        options: PgConnectOptions,
        pool: PgPool,
        bell: Bell,
    ) -> sqlx::Result<Self> {
        let ear = PgPoolOptions::new()
            .max_connections(1)
            .connect_with(options);
        let ear = ear.await?;
        let mut listener = PgListener::connect_with(&ear).await?;
        listener.listen(CHANNEL).await?;
        // A server tells everybody, also who told it.
        let name = format!("{:016x}", RandomState::new().build_hasher().finish());
        let telling = tell(pool, bell.changes_to_tell(), name.clone());
        let hearing = hear(listener, bell, name);
        Ok(Self {
            tasks: [tokio::spawn(telling), tokio::spawn(hearing)],
            ear,
        })
    }

    pub(super) async fn close(&self) {
        self.abort();
        self.ear.close().await;
    }

    fn abort(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.abort();
    }
}

async fn tell(pool: PgPool, mut changes: Changes, name: String) {
    while let Some(change) = changes.next().await {
        let news = format!("{name} {}", change.to_words());
        let told = sqlx::query(TELL).bind(CHANNEL).bind(news).execute(&pool);
        if let Err(error) = told.await {
            tracing::warn!(%error, "other gateways are not told what changed");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn hear(mut listener: PgListener, bell: Bell, name: String) {
    loop {
        match listener.try_recv().await {
            Ok(Some(news)) => {
                if let Some((by, words)) = news.payload().split_once(' ')
                    && by != name
                {
                    bell.ring_here(Change::from_words(words));
                }
            }
            // The connection was lost and is there again: anything may have happened.
            Ok(None) => bell.ring_here(EVERYTHING),
            Err(error) => {
                tracing::warn!(%error, "what other gateways change is not heard of");
                tokio::time::sleep(PAUSE).await;
                bell.ring_here(EVERYTHING);
            }
        }
    }
}
