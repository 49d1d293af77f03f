//! Dialling an address: one HTTP/2 channel over a socket, TLS or a command's standard streams.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::address::{self, Address, Tls};
use crate::{Error, Result};

/// How long dialling may take, a command's start included.
pub(crate) const DIAL: Duration = Duration::from_secs(20);
/// Receive windows: one message of the daemon is up to 16 MiB, and a window that is too small
/// makes a long distance slow.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// The size that the headers or trailers of one message may have, in bytes. A failing solve's error
/// travels in trailers with the whole Dockerfile in it, and the patterns of an ignore file come as
/// headers; HTTP libraries refuse either beyond 16 KiB unless told otherwise.
pub(crate) const HEADER_LIMIT: u32 = 64 << 20;
/// How long to read the error output of a command that failed.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How much of a command's error output is kept, in bytes.
const STDERR_LIMIT: usize = 4 << 10;

/// Dials an address. What a command writes to its standard error is kept beside the channel.
pub(crate) async fn dial(address: &Address) -> Result<(Channel, Stderr)> {
    let stderr = Stderr::default();
    let (uri, tls) = match address.endpoint() {
        address::Endpoint::Tcp { authority, tls } => {
            let scheme = if tls.is_some() { "https" } else { "http" };
            (format!("{scheme}://{authority}"), tls.as_ref())
        }
        _ => ("http://buildkitd".to_owned(), None),
    };
    let mut endpoint = match Endpoint::from_shared(uri) {
        Ok(endpoint) => endpoint,
        Err(error) => return Err(failed(address, &error, &stderr).await),
    };
    endpoint = endpoint
        .connect_timeout(DIAL)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(HEADER_LIMIT)
        .tcp_nodelay(true);
    if let Some(tls) = tls {
        let config = tls_config(tls)?;
        endpoint = match endpoint.tls_config(config) {
            Ok(endpoint) => endpoint,
            Err(error) => return Err(failed(address, &error, &stderr).await),
        };
    }
    let target = address.endpoint().clone();
    let output = stderr.clone();
    let connector = tower::service_fn(move |_| {
        let (target, output) = (target.clone(), output.clone());
        async move { open(&target, output).await.map(TokioIo::new) }
    });
    let dialling = endpoint.connect_with_connector(connector);
    match tokio::time::timeout(DIAL, dialling).await {
        Ok(Ok(channel)) => Ok((channel, stderr)),
        Ok(Err(error)) => Err(failed(address, &error, &stderr).await),
        Err(elapsed) => Err(failed(address, &elapsed, &stderr).await),
    }
}

/// Makes the error of a connection that failed, with a hint where the cause is well known.
pub(crate) async fn failed(
    address: &Address,
    error: &(dyn std::error::Error + Send + Sync + 'static),
    stderr: &Stderr,
) -> Error {
    stderr.settle().await;
    // A status writes its sources as programs do; they follow in words.
    let mut reason = match error.downcast_ref::<tonic::Status>() {
        Some(status) => status.message().to_owned(),
        None => error.to_string(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !reason.contains(&next) {
            reason = format!("{reason}: {next}");
        }
        cause = error.source();
    }
    let said = stderr.text();
    if !said.is_empty() {
        reason = format!("{reason}: {said}");
    }
    Error::Connect {
        address: address.to_string(),
        hint: hint(address, &reason),
        reason,
    }
}

/// Finds what to look at first.
fn hint(address: &Address, reason: &str) -> Option<&'static str> {
    match address.endpoint() {
        address::Endpoint::Tcp { tls: None, .. } => Some(
            "the address names no TLS files; a buildkitd that asks for TLS closes such a \
             connection: add ?ca=F&cert=F&key=F",
        )
        .filter(|_| !reason.contains("refused")),
        address::Endpoint::Tcp { tls: Some(tls), .. } => {
            if tls.ca.is_none() {
                Some("no CA file was given, so no server certificate can be trusted: add ca=F")
            } else if tls.certificate.is_none() || tls.key.is_none() {
                Some(
                    "no client certificate was given; a buildkitd that asks for one closes the \
                     connection without a word: add cert=F&key=F",
                )
            } else {
                None
            }
        }
        address::Endpoint::Unix(_) if reason.contains("Permission denied") => {
            Some("the socket belongs to another user; buildkitd's option --group opens it")
        }
        address::Endpoint::Unix(_) => Some("is buildkitd running?"),
        address::Endpoint::Command(_) => None,
    }
}

fn tls_config(files: &Tls) -> Result<ClientTlsConfig> {
    let mut config = ClientTlsConfig::new();
    if let Some(ca) = &files.ca {
        config = config.ca_certificate(Certificate::from_pem(read(ca)?));
    }
    if let (Some(certificate), Some(key)) = (&files.certificate, &files.key) {
        config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    if let Some(name) = &files.server_name {
        config = config.domain_name(name);
    }
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::TlsFile {
        path: path.to_owned(),
        source,
    })
}

/// Returns the process that listens at an address, where it is a socket of this machine.
pub(crate) async fn process(address: &Address) -> Option<i32> {
    let address::Endpoint::Unix(path) = address.endpoint() else {
        return None;
    };
    let stream = UnixStream::connect(path).await.ok()?;
    stream.peer_cred().ok()?.pid()
}

/// A byte stream to a daemon.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

async fn open(endpoint: &address::Endpoint, stderr: Stderr) -> io::Result<Box<dyn Duplex>> {
    Ok(match endpoint {
        address::Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
        address::Endpoint::Tcp { authority, .. } => {
            let stream = TcpStream::connect(authority).await?;
            stream.set_nodelay(true)?;
            keep_alive(&stream)?;
            Box::new(stream)
        }
        address::Endpoint::Command(words) => Box::new(Process::start(words, stderr).await?),
    })
}

/// Has the kernel probe a silent peer, and give up one that takes nothing, so that a vanished
/// daemon ends the connection.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(sockopt::set_tcp_user_timeout(stream, 60_000)?)
}

/// The last that a command wrote to its standard error.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stderr {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// The task that reads it. It outlives the connection, whose end it explains.
    reader: Arc<tokio::sync::Mutex<JoinSet<()>>>,
}

impl Stderr {
    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    /// Waits until all that a command wrote before its end has been read.
    async fn settle(&self) {
        let read = async {
            let mut reader = self.reader.lock().await;
            while reader.join_next().await.is_some() {}
        };
        // A command that lives on has said what it had to say.
        drop(tokio::time::timeout(LAST_WORDS, read).await);
    }

    async fn follow(&self, mut errors: ChildStderr) {
        let stderr = self.clone();
        self.reader.lock().await.spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = errors.read(&mut buffer).await {
                stderr.push(&buffer[..count]);
            }
        });
    }

    fn push(&self, more: &[u8]) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(more);
        let excess = bytes.len().saturating_sub(STDERR_LIMIT);
        bytes.drain(..excess);
    }
}

/// A command whose standard input and output are the connection; it is killed with it.
struct Process {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _child: Child,
}

impl Process {
    async fn start(words: &[String], stderr: Stderr) -> io::Result<Self> {
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        stderr
            .follow(child.stderr.take().ok_or_else(missing)?)
            .await;
        Ok(Self {
            stdin,
            stdout,
            _child: child,
        })
    }
}

impl AsyncRead for Process {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for Process {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}
