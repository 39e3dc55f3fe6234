//! Sockets: connection limits, timeouts, a graceful end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower_http::add_extension::AddExtension;

use crate::{config::LimitConfig, origin::Peer};

/// How long to wait before accepting again when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers the listener's connections until `stop`, then lets the requests under way end.
///
/// HTTP/1.1 only: clients and nodes speak it, and a proxy in front turns other versions into it.
/// With `tls` it is spoken within TLS alone. A connection that has not agreed on that, or sent a
/// request's head, within `limits.header_timeout`, or takes nothing of an answer within
/// `limits.write_idle`, is closed; beyond `limits.connections`, new ones wait in the kernel's queue.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: &LimitConfig,
    stop: CancellationToken,
) {
    let header_timeout = limits.header_timeout.duration();
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout);
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
        // Who asks and does not read would keep its place for ever.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.write_idle.duration()));
        let stream = Box::pin(stream);
        let conversation = Conversation {
            protocol: protocol.clone(),
            service: AddExtension::new(router.clone(), Peer(peer.ip())),
            watcher: open.watcher(),
        };
        let (tls, stop) = (tls.clone(), stop.clone());
        tokio::spawn(async move {
            match tls {
                None => conversation.hold(stream).await,
                Some(tls) => {
                    let agreed = timeout(header_timeout, tls.accept(stream));
                    match stop.run_until_cancelled(agreed).await {
                        Some(Ok(Ok(stream))) => conversation.hold(stream).await,
                        // Nothing can be said to who does not speak TLS, or not with us.
                        Some(Ok(Err(error))) => tracing::debug!(%error, "no TLS was agreed on"),
                        Some(Err(_)) | None => {}
                    }
                }
            }
            drop(slot);
        });
    }
    drop(listener);
    finish(open, limits.shutdown.duration()).await;
}

/// What is said on a connection.
struct Conversation {
    protocol: http1::Builder,
    service: AddExtension<Router, Peer>,
    /// Ends it between two requests once the listener stops, which waits for that.
    watcher: Watcher,
}

impl Conversation {
    async fn hold(self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let service = TowerToHyperService::new(self.service);
        let connection = self
            .protocol
            .serve_connection(TokioIo::new(stream), service);
        // A client that goes away is no fault of ours, and nobody is left to be told.
        let _ = self.watcher.watch(connection).await;
    }
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
    if timeout(within, open.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the time to end was over");
    }
}
