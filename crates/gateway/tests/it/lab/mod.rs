//! The fault laboratory: everything around the gateways misbehaves while clients are at work, and
//! then the books are checked.
//!
//! Two gateways on one PostgreSQL, one Redis and one bucket, eight nodes, and a proxy on the ways
//! between clients, gateways, nodes and bucket. Gateways are killed between any two steps of any
//! task and started again; the servers are killed; both stand still and go on; the disks of
//! bucket and database are full; connections are refused, cut in the middle of a request or an answer, held up and
//! overtaken; clocks jump; nodes vanish with their jobs, report late, twice or nothing, flap and
//! fail; receivers of webhooks do what they want.
//!
//! `./test.sh faults [N]` injects N faults. `TRYON_TEST_SEED` chooses the same ones again; when each
//! meets which request is another matter.

mod client;
mod clock;
mod fault;
mod ledger;
mod world;

use std::{env, time::Instant};

use self::world::World;

/// Faults where nobody says how many.
const FAULTS: usize = 300;

fn variable(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("`{name}` is `{value}`, not a number")))
}

/// Nothing is lost, nothing is paid twice, nothing outlives its deadline.
#[test]
fn whatever_fails_the_books_are_right() {
    let seed = variable("TRYON_TEST_SEED").unwrap_or_else(rand::random);
    let faults = variable("TRYON_TEST_FAULTS").map_or(FAULTS, |count| count.try_into().unwrap());
    println!("TRYON_TEST_SEED={seed} TRYON_TEST_FAULTS={faults}");
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::start(seed).await;
        let jobs = world.live(faults).await;
        let report = ledger::check(&world, &jobs).await;
        println!("{report} in {:.0?}", began.elapsed());
    });
}
