//! Where followed jobs that wait have their places in the queue.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tryon_core::{
    id::{JobId, SampleId},
    task::Provider,
    time::Timestamp,
};
use tryon_store::{Node, NodeState, Plan, StoreError};

use super::{Place, Standing, estimate, find_waiting};
use crate::{app::App, error::Chain};

/// The time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// How many completed jobs say how long such pictures take: see `Store::list_inferences` for which.
const LATELY: u32 = 50;

/// Jobs that are looked at together.
const BATCH: usize = 100;

/// Looks at them, some after the others: many that wait are looked at less often.
pub(crate) async fn run(app: Arc<App>, stop: CancellationToken) {
    loop {
        match stop.run_until_cancelled(look(&app)).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "places in the queue cannot be told");
            }
        }
        let slept = tokio::time::sleep(PAUSE);
        if stop.run_until_cancelled(slept).await.is_none() {
            return;
        }
    }
}

/// A job that waits.
struct Waiting {
    job: JobId,
    plan: Plan,
    first: SampleId,
    last: SampleId,
}

async fn look(app: &App) -> Result<(), StoreError> {
    let waiting = app.following.collect(|standing| {
        let (first, last) = find_waiting(&standing.job)?;
        Some(Waiting {
            job: standing.job.id,
            plan: standing.job.plan,
            first,
            last,
        })
    });
    if waiting.is_empty() {
        return Ok(());
    }
    let nodes = app.store.list_nodes().await?;
    let lately = app.store.list_inferences(LATELY).await?;
    let now = app.clock.now();
    for waiting in waiting.chunks(BATCH) {
        let samples: BTreeSet<_> = waiting.iter().flat_map(|it| [it.first, it.last]).collect();
        let samples: Vec<_> = samples.into_iter().collect();
        let ahead = app.store.count_ahead(&samples).await?;
        for it in waiting {
            let (Some(first), Some(last)) = (ahead.get(&it.first), ahead.get(&it.last)) else {
                continue;
            };
            let nodes = count_nodes(&nodes, it.plan.provider, now);
            let place = Place {
                ahead: *first,
                remaining: estimate::remaining(&it.plan, *last, nodes, &lately),
            };
            app.following
                .note(it.job, |standing| note(standing, it.first, place));
        }
    }
    Ok(())
}

/// Notes the place of a sample, if that is still the first that waits.
fn note(standing: &mut Standing, first: SampleId, place: Place) -> bool {
    let still = find_waiting(&standing.job).is_some_and(|(it, _)| it == first);
    still && standing.place.replace(place) != Some(place)
}

/// How many work for a provider.
fn count_nodes(nodes: &[Node], provider: Provider, now: Timestamp) -> usize {
    let works = |node: &&Node| {
        node.state == NodeState::Ready
            && !node.drained
            && !node.is_lost(now)
            && node.providers.contains(&provider)
    };
    nodes.iter().filter(works).count()
}
