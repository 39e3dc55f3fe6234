//! A proxy that harms connections when it is told to.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use tryon_testkit::{proxy::{Harm, Proxy}, receiver::Receiver};
//!
//! let (proxy, receiver) = (Proxy::start().await, Receiver::start().await);
//! proxy.lead_to([receiver.address()]);
//! proxy.harm_next(Harm::Refuse);
//! assert_eq!(proxy.harmed(), 0, "nobody came yet");
//! # });
//! ```

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{self, AsyncReadExt as _, copy, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// It is closed at once.
    Refuse,
    /// It is held up for so long, and overtaken by what comes after it.
    Delay(Duration),
    /// It is closed when the client has sent so many bytes.
    CutRequest(u64),
    /// It is closed when the server has sent so many bytes: with 0 the server did what it was
    /// asked, and the client never hears of it.
    CutAnswer(u64),
}

/// The proxy. It listens on a free port of loopback until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    harmed: AtomicUsize,
    /// Changed when every connection is to be cut.
    cut: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    targets: Vec<SocketAddr>,
    /// Which target is next.
    turn: usize,
    harms: VecDeque<Harm>,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) {
        self.harmed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Proxy {
    /// A proxy that closes every connection until it is told where they lead.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let inner = Arc::new(Inner::default());
        let task = tokio::spawn(listen(listener, Arc::clone(&inner)));
        Self {
            address,
            inner,
            task,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes connections on to these in turn from now on, or to the next that accepts them.
    pub fn lead_to(&self, targets: impl IntoIterator<Item = SocketAddr>) {
        self.inner.lock().targets = targets.into_iter().collect();
    }

    /// Harms one of the next connections: as many as there are harms, in their order.
    pub fn harm_next(&self, harm: Harm) {
        self.inner.lock().harms.push_back(harm);
    }

    /// Harms no more connections.
    pub fn relent(&self) {
        self.inner.lock().harms.clear();
    }

    /// How many connections were harmed so far: one that ended before it was to be cut was not.
    pub fn harmed(&self) -> usize {
        self.inner.harmed.load(Ordering::Relaxed)
    }

    /// Cuts every connection that is open.
    pub fn cut(&self) {
        self.inner.cut.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, inner: Arc<Inner>) {
    while let Ok((client, _)) = listener.accept().await {
        let inner = Arc::clone(&inner);
        let mut cut = inner.cut.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                // How a connection ends is its ends' affair.
                _ = pass(client, &inner) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn pass(mut client: TcpStream, inner: &Inner) -> io::Result<()> {
    let harm = inner.lock().harms.pop_front();
    match harm {
        Some(Harm::Refuse) => {
            inner.count();
            return Ok(());
        }
        Some(Harm::Delay(time)) => {
            inner.count();
            sleep(time).await;
        }
        _ => {}
    }
    let mut server = connect(inner).await?;
    let limits = match harm {
        Some(Harm::CutRequest(bytes)) => (bytes, u64::MAX),
        Some(Harm::CutAnswer(bytes)) => (u64::MAX, bytes),
        _ => return copy_bidirectional(&mut client, &mut server).await.map(drop),
    };
    if pass_until(client, server, limits).await? {
        inner.count();
    }
    Ok(())
}

/// Passes at most so many bytes each way, and then closes the connection both ways. Whether it was
/// that which ended it.
async fn pass_until(
    client: TcpStream,
    server: TcpStream,
    (up, down): (u64, u64),
) -> io::Result<bool> {
    let (from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let mut request = from_client.take(up);
    let upwards = copy(&mut request, &mut to_server);
    if down == 0 {
        // The server does what it was asked to: it is heard, and not passed on.
        return tokio::select! {
            sent = upwards => Ok(sent? == up),
            heard = from_server.readable() => heard.map(|()| true),
        };
    }
    let mut answer = from_server.take(down);
    tokio::select! {
        sent = upwards => Ok(sent? == up),
        answered = copy(&mut answer, &mut to_client) => Ok(answered? == down),
    }
}

async fn connect(inner: &Inner) -> io::Result<TcpStream> {
    let (targets, turn) = {
        let mut state = inner.lock();
        state.turn += 1;
        (state.targets.clone(), state.turn)
    };
    for index in 0..targets.len() {
        let target = targets[(turn + index) % targets.len()];
        if let Ok(server) = TcpStream::connect(target).await {
            return Ok(server);
        }
    }
    Err(io::ErrorKind::ConnectionRefused.into())
}
