//! One small HTTP/1.1 server for all tests whose every answer is a script: bytes, pauses, resets.

mod message;
mod places;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

pub use message::{Act, Received, answer, content, head, parts};
pub use places::{Silent, nobody};

fn address(listener: &TcpListener) -> SocketAddr {
    listener
        .local_addr()
        .expect("a bound socket has an address")
}

type Handler = Arc<dyn Fn(&Received) -> Vec<Act> + Send + Sync>;

/// A server whose every answer is a script. It ends when it is dropped.
#[derive(Debug)]
pub struct ScriptedServer {
    /// Its port on loopback.
    pub port: u16,
    requests: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl ScriptedServer {
    /// Starts a server on a port that the kernel chooses.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start(handler: impl Fn(&Received) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::on(0, handler).await
    }

    /// Listens on a certain port; 0 takes a free one.
    ///
    /// # Panics
    /// If the port is taken.
    pub async fn on(
        port: u16,
        handler: impl Fn(&Received) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(port, None, Arc::new(handler)).await
    }

    /// Starts a server that speaks TLS.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn secure(
        config: ServerConfig,
        handler: impl Fn(&Received) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::listen(0, Some(acceptor), Arc::new(handler)).await
    }

    async fn listen(port: u16, acceptor: Option<TlsAcceptor>, handler: Handler) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("sockets can be made");
        socket
            .set_reuseaddr(true)
            .expect("an option of every socket");
        socket
            .bind(([127, 0, 0, 1], port).into())
            .expect("the port is free");
        let listener = socket.listen(1024).expect("a bound socket listens");
        let port = address(&listener).port();
        let requests: Arc<Mutex<Vec<Received>>> = Arc::default();
        let connections = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let (log, count) = (Arc::clone(&requests), Arc::clone(&connections));
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a listener accepts");
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (handler, log) = (Arc::clone(&handler), Arc::clone(&log));
                let acceptor = acceptor.clone();
                open.spawn(async move {
                    match acceptor {
                        None => {
                            let mut stream = stream;
                            if serve(&mut stream, number, &handler, &log).await {
                                reset(stream);
                            }
                        }
                        Some(acceptor) => {
                            if let Ok(mut stream) = acceptor.accept(stream).await
                                && serve(&mut stream, number, &handler, &log).await
                            {
                                reset(stream.into_inner().0);
                            }
                        }
                    }
                });
                while open.try_join_next().is_some() {}
            }
        });
        Self {
            port,
            requests,
            connections,
            _tasks: tasks,
        }
    }

    /// Returns `127.0.0.1:PORT`.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns all requests so far.
    ///
    /// # Panics
    /// If the script panicked.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.requests.lock().expect("no holder panics").clone()
    }

    /// Returns how many connections were opened so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn reset(stream: TcpStream) {
    stream.set_zero_linger().expect("an option of every socket");
}

/// Serves a connection until it ends; `true` asks for a reset.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    connection: usize,
    handler: &Handler,
    log: &Mutex<Vec<Received>>,
) -> bool {
    while let Some(mut request) = read(stream).await {
        request.connection = connection;
        {
            let mut log = log.lock().expect("no holder panics");
            request.number = log.len();
            log.push(request.clone());
        }
        for act in handler(&request) {
            match perform(stream, act).await {
                Some(true) => return true,
                Some(false) => return false,
                None => {}
            }
        }
    }
    false
}

async fn perform<S: AsyncWrite + Unpin>(stream: &mut S, act: Act) -> Option<bool> {
    match act {
        Act::Send(bytes) => {
            if stream.write_all(&bytes).await.is_err() {
                return Some(false);
            }
        }
        Act::Slowly(bytes, rate) => {
            for piece in bytes.chunks(usize::try_from(rate / 50).expect("a rate fits").max(1)) {
                if stream.write_all(piece).await.is_err() {
                    return Some(false);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Act::Count(open) => {
            open.fetch_sub(1, Ordering::SeqCst);
        }
        Act::Pause(time) => tokio::time::sleep(time).await,
        Act::Forever(bytes) => while stream.write_all(&bytes).await.is_ok() {},
        Act::Reset => return Some(true),
        Act::Close => {
            let _ = stream.shutdown().await;
            return Some(false);
        }
        Act::Hang => std::future::pending().await,
    }
    let _ = stream.flush().await;
    None
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |n| n.parse().expect("a length is a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received {
        number: 0,
        connection: 0,
        method,
        target,
        headers,
        body,
    })
}
