//! What goes wrong.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;
use tryon_core::error::JobErrorCode;
use tryon_testkit::{
    fake_node::{FakeNode, Outcome, Reaction},
    proxy::Harm,
};

use super::world::World;
use crate::stage::result;

/// How far a clock jumps, either way, in milliseconds.
const JUMP: i64 = 4000;

/// How long something stands still, at most, in milliseconds: longer than a lease of the
/// laboratory's time.
const STANDSTILL: u64 = 2000;

/// How many pages of each file the database may write when its disk is full: enough for the small
/// ones without which it does not start, and not for a whole file of its log, which has 128.
const ROOM: Range<u64> = 8..108;

/// Has every node react to its offers as chance has it, until there is peace.
pub(super) fn unleash(world: &World) {
    for node in &world.nodes {
        let mut random = StdRng::seed_from_u64(world.draw(u64::MAX));
        let (faults, peace) = (Arc::clone(&world.faults), Arc::clone(&world.peace));
        node.choose(move || {
            let peaceful = peace.load(Ordering::Relaxed);
            match misbehave(&mut random).filter(|_| !peaceful) {
                None => Reaction::Report(result()),
                Some(fault) => {
                    faults.fetch_add(1, Ordering::Relaxed);
                    fault
                }
            }
        });
    }
}

/// What a node does wrong with an offer; often nothing.
fn misbehave(random: &mut StdRng) -> Option<Reaction> {
    let after = Duration::from_millis(random.random_range(0..200));
    let persist = |outcome, reports, forgets| Reaction::Persist {
        outcome,
        after,
        reports,
        forgets,
    };
    Some(match random.random_range(0..100) {
        // It works for a while, reports twice, or reports although it says that it knows nothing.
        0..10 => persist(result(), 1, false),
        10..17 => persist(result(), 3, false),
        17..22 => persist(result(), 1, true),
        22..26 => persist(result(), 2, true),
        26..28 => Reaction::ReportFirst(result()),
        // It accepts and vanishes.
        28..31 => Reaction::Vanish,
        31..34 => Reaction::DropAtHead,
        34..37 => Reaction::DropAfterBody { taken: false },
        // It is busy with somebody else's job, or loads its model.
        37..43 => Reaction::busy(1),
        43..46 => Reaction::loading(),
        46..48 => Reaction::refuse(500, "out of memory"),
        // The job cannot be done: the node says so, once or twice, and may be asked again or not.
        48..50 => persist(
            Outcome::error(JobErrorCode::PoseError, "nobody", false),
            2,
            false,
        ),
        50..52 => persist(
            Outcome::error(JobErrorCode::PipelineError, "hiccup", true),
            1,
            false,
        ),
        52..53 => Reaction::Report(Outcome::PlainError("CUDA error".to_owned())),
        _ => return None,
    })
}

/// Waits a moment and does one harm.
pub(super) async fn inject(world: &World) {
    sleep(Duration::from_millis(world.draw(50))).await;
    match world.draw(210) {
        0..150 => harm_way(world),
        150..165 => {
            let ways = world.ways.all();
            ways[pick(world, ways.len())].cut();
            world.faults.fetch_add(1, Ordering::Relaxed);
        }
        165..175 => {
            let status = [200, 200, 200, 500, 503, 410, 302][pick(world, 7)];
            world.receiver.answer(status);
            world.faults.fetch_add(1, Ordering::Relaxed);
        }
        175..185 => {
            let machines = world.machines.lock().await;
            let jump = i64::try_from(world.draw(2 * JUMP.unsigned_abs())).unwrap() - JUMP;
            machines[pick(world, machines.len())].clock.jump(jump);
            world.faults.fetch_add(1, Ordering::Relaxed);
        }
        185..194 => reboot(world).await,
        194..197 => restart_redis(world).await,
        197..200 => restart_database(world).await,
        200..202 => freeze(world).await,
        202..204 => pause_database(world).await,
        204..206 => pause_redis(world).await,
        206..208 => fill_bucket(world).await,
        _ => fill_database(world).await,
    }
    // What they remember of a long life is of no use to anybody.
    world
        .nodes
        .iter()
        .for_each(|node| FakeNode::forget_history(node));
    world.receiver.forget_history();
}

fn pick(world: &World, count: usize) -> usize {
    usize::try_from(world.draw(count as u64)).unwrap()
}

/// It counts once a connection meets it.
fn harm_way(world: &World) {
    let ways = world.ways.all();
    let harm = match world.draw(4) {
        0 => Harm::Refuse,
        1 => Harm::Delay(Duration::from_millis(world.draw(500))),
        2 => Harm::CutRequest(world.draw(4000)),
        _ => Harm::CutAnswer(world.draw(3) * world.draw(200)),
    };
    ways[pick(world, ways.len())].harm_next(harm);
}

async fn reboot(world: &World) {
    let (index, pause) = (pick(world, 2), world.draw(300));
    world.reboot(index, Duration::from_millis(pause)).await;
    world.faults.fetch_add(1, Ordering::Relaxed);
}

async fn restart_redis(world: &World) {
    world.redis.lock().unwrap().kill();
    sleep(Duration::from_millis(world.draw(300))).await;
    world.redis.lock().unwrap().restart();
    world.faults.fetch_add(1, Ordering::Relaxed);
}

async fn restart_database(world: &World) {
    world.database.kill();
    sleep(Duration::from_millis(world.draw(300))).await;
    world.database.restart().unwrap();
    world.faults.fetch_add(1, Ordering::Relaxed);
}

async fn freeze(world: &World) {
    let (index, pause) = (pick(world, 2), world.draw(STANDSTILL));
    let machines = world.machines.lock().await;
    machines[index].freeze(Duration::from_millis(pause));
    world.faults.fetch_add(1, Ordering::Relaxed);
}

async fn pause_database(world: &World) {
    world.database.pause();
    sleep(Duration::from_millis(world.draw(STANDSTILL))).await;
    world.database.resume();
    world.faults.fetch_add(1, Ordering::Relaxed);
}

async fn pause_redis(world: &World) {
    world.redis.lock().unwrap().pause();
    sleep(Duration::from_millis(world.draw(STANDSTILL))).await;
    world.redis.lock().unwrap().resume();
    world.faults.fetch_add(1, Ordering::Relaxed);
}

async fn fill_bucket(world: &World) {
    world.bucket.set_full(true);
    sleep(Duration::from_millis(world.draw(STANDSTILL))).await;
    world.bucket.set_full(false);
    world.faults.fetch_add(1, Ordering::Relaxed);
}

async fn fill_database(world: &World) {
    let more = world.draw(ROOM.end - ROOM.start);
    world.database.fill_disk(ROOM.start + more);
    sleep(Duration::from_millis(world.draw(STANDSTILL))).await;
    world.database.empty_disk().unwrap();
    world.faults.fetch_add(1, Ordering::Relaxed);
}
