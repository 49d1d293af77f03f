//! A small HTTP/1.1 server whose every answer is a script: bytes, pauses, resets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    /// Its number at this server, from 0.
    pub number: usize,
    /// The number of its connection, from 0.
    pub connection: usize,
    pub method: String,
    pub target: String,
    /// Headers by lower-case name.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Hit {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The range asked for, its end exclusive, `None` where it is open.
    pub(crate) fn range(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self
            .header("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        Some((
            first.parse().unwrap(),
            last.parse::<u64>().ok().map(|last| last + 1),
        ))
    }
}

/// A step of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Send(Vec<u8>),
    /// Sends bytes at a number of bytes a second.
    Slowly(Vec<u8>, u64),
    Pause(Duration),
    /// Takes one off a count of requests in work.
    Count(Arc<AtomicUsize>),
    /// Sends the same bytes until the client goes away.
    Forever(Vec<u8>),
    /// Ends the connection by RST.
    Reset,
    /// Ends the connection in order.
    Close,
    /// Keeps the connection open without a word.
    Hang,
}

type Handler = Arc<dyn Fn(&Hit) -> Vec<Act> + Send + Sync>;

/// A running server. It ends when it is dropped.
pub(crate) struct Server {
    pub port: u16,
    hits: Arc<Mutex<Vec<Hit>>>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(handler: impl Fn(&Hit) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::on(0, handler).await
    }

    /// Listens at a certain port; 0 takes a free one.
    pub(crate) async fn on(
        port: u16,
        handler: impl Fn(&Hit) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(port, None, Arc::new(handler)).await
    }

    pub(crate) async fn secure(
        config: ServerConfig,
        handler: impl Fn(&Hit) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::listen(0, Some(acceptor), Arc::new(handler)).await
    }

    async fn listen(port: u16, acceptor: Option<TlsAcceptor>, handler: Handler) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], port).into()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let port = listener.local_addr().unwrap().port();
        let hits: Arc<Mutex<Vec<Hit>>> = Arc::default();
        let connections = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let (log, count) = (Arc::clone(&hits), Arc::clone(&connections));
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
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
            hits,
            connections,
            _tasks: tasks,
        }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// All requests so far.
    pub(crate) fn hits(&self) -> Vec<Hit> {
        self.hits.lock().unwrap().clone()
    }

    /// How many connections were opened so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

/// Serves a connection until it ends; `true` asks for a reset.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    connection: usize,
    handler: &Handler,
    log: &Mutex<Vec<Hit>>,
) -> bool {
    while let Some(mut hit) = read(stream).await {
        hit.connection = connection;
        {
            let mut log = log.lock().unwrap();
            hit.number = log.len();
            log.push(hit.clone());
        }
        for act in handler(&hit) {
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
            for piece in bytes.chunks(usize::try_from(rate / 50).unwrap().max(1)) {
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

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Hit> {
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
        .map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Hit {
        number: 0,
        connection: 0,
        method,
        target,
        headers,
        body,
    })
}

/// A whole answer with a body and its length.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<Act> {
    let mut bytes = head(status, headers, Some(body.len() as u64));
    bytes.extend(body);
    vec![Act::Send(bytes)]
}

/// An answer's head.
pub(crate) fn head(status: u16, headers: &[(&str, &str)], length: Option<u64>) -> Vec<u8> {
    let known = http::StatusCode::from_u16(status).ok();
    let reason = known.and_then(|status| status.canonical_reason());
    let mut text = format!("HTTP/1.1 {status} {}\r\n", reason.unwrap_or("Status"));
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = length {
        text.push_str(&format!("Content-Length: {length}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// What a good server answers for content: 206 to ranges, 200 else.
pub(crate) fn content(hit: &Hit, data: &[u8]) -> Vec<Act> {
    let (head, body) = parts(hit, data);
    vec![Act::Send(head), Act::Send(body)]
}

/// The head and the body of a good server's answer.
pub(crate) fn parts(hit: &Hit, data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let size = data.len() as u64;
    match hit.range() {
        None => (
            head(200, &[("Accept-Ranges", "bytes")], Some(size)),
            data.to_vec(),
        ),
        Some((first, _)) if first >= size => {
            let range = format!("bytes */{size}");
            (head(416, &[("Content-Range", &range)], Some(0)), Vec::new())
        }
        Some((first, end)) => {
            let end = end.unwrap_or(size).min(size);
            let range = format!("bytes {first}-{}/{size}", end - 1);
            let body =
                data[usize::try_from(first).unwrap()..usize::try_from(end).unwrap()].to_vec();
            (
                head(206, &[("Content-Range", &range)], Some(body.len() as u64)),
                body,
            )
        }
    }
}

/// A place where nothing listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A listener whose queue is full: connecting to it hangs, as to a host behind a silent firewall.
pub(crate) struct Silent {
    pub authority: String,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Silent {
    pub(crate) async fn start() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        loop {
            let connect = TcpStream::connect(address);
            match tokio::time::timeout(Duration::from_millis(200), connect).await {
                Ok(stream) => queued.push(stream.unwrap()),
                Err(_) => break,
            }
        }
        Self {
            authority: address.to_string(),
            _listener: listener,
            _queued: queued,
        }
    }
}
