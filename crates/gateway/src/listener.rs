//! Sockets: connection limits, timeouts, a graceful end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower_http::add_extension::AddExtension;

use crate::{config::LimitConfig, origin::Peer};

/// How long to wait before accepting again when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers the listener's connections until `stop`, then lets the requests under way end.
///
/// HTTP/1.1 only: clients and nodes speak it, and a proxy in front turns other versions into it.
/// A connection that sends no request head within `limits.header_timeout`, or takes nothing of an
/// answer within `limits.write_idle`, is closed; beyond
/// `limits.connections`, new ones wait in the kernel's queue.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &LimitConfig,
    stop: CancellationToken,
) {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout.duration());
    let slots = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Ok((stream, peer, slot)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service = AddExtension::new(router.clone(), Peer(peer.ip()));
        let service = TowerToHyperService::new(service);
        // Who asks and does not read would keep its place for ever.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.write_idle.duration()));
        let connection = protocol.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // A client that goes away is no fault of ours, and nobody is left to be told.
            let _ = connection.await;
            drop(slot);
        });
    }
    drop(listener);
    finish(open, limits.shutdown.duration()).await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await;
    let slot = slot.expect("BUG: the semaphore is never closed");
    let (stream, peer) = listener.accept().await.inspect_err(|error| {
        tracing::warn!(%error, "a connection could not be accepted");
    })?;
    // Answers are small and written whole: there is nothing to be gained by collecting them.
    if let Err(error) = stream.set_nodelay(true) {
        // It was closed meanwhile, which reading from it will tell.
        tracing::debug!(%error, "a connection is slower than it could be");
    }
    Ok((stream, peer, slot))
}

async fn finish(open: GracefulShutdown, within: Duration) {
    if tokio::time::timeout(within, open.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the time to end was over");
    }
}
