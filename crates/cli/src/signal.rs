//! Being told to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C or SIGTERM. A second one ends the process at once.
pub(crate) async fn wait_for_stop() {
    next_stop().await;
    eprintln!("stopping: what runs may end; once more stops at once");
    tokio::spawn(async {
        next_stop().await;
        std::process::exit(130);
    });
}

async fn next_stop() {
    let handler = "BUG: a handler for SIGINT and SIGTERM can be had";
    let mut interrupt = signal(SignalKind::interrupt()).expect(handler);
    let mut terminate = signal(SignalKind::terminate()).expect(handler);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
