//! Being told to stop, or to try an engine again.

use std::io::IsTerminal as _;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tryon_engine::supervisor::Supervisor;

/// Starts the engine's worker anew at each SIGHUP, also one that was given up: what an operator
/// sends after they mended what kept it from loading. Not where this runs in a terminal: there the
/// signal says that the terminal is gone.
pub(crate) fn restart_on_hangup(engine: Supervisor) {
    if std::io::stderr().is_terminal() {
        return;
    }
    let hangup = signal(SignalKind::hangup());
    let mut hangup = hangup.expect("BUG: a handler for SIGHUP can be had");
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            eprintln!("the engine is started anew, as SIGHUP asks");
            engine.restart();
        }
    });
}

/// Waits for Ctrl-C or SIGTERM, which are noticed from this call on, before the first poll too. A
/// second one ends the process at once.
pub(crate) fn wait_for_stop() -> impl Future<Output = ()> {
    let mut stops = Stops::listen();
    async move {
        stops.next().await;
        eprintln!("stopping: what runs may end; once more stops at once");
        tokio::spawn(async move {
            stops.next().await;
            std::process::exit(130);
        });
    }
}

/// The signals that ask for an end.
struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    fn listen() -> Self {
        let handler = "BUG: a handler for SIGINT and SIGTERM can be had";
        Self {
            interrupt: signal(SignalKind::interrupt()).expect(handler),
            terminate: signal(SignalKind::terminate()).expect(handler),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
