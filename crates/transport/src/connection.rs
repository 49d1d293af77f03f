//! One HTTP connection, driven by whoever uses it.
//!
//! hyper's low-level client is used instead of a ready one (reqwest): dialing, proxies and time-outs
//! are then steps of our own with typed failures, downloads get connections that nobody shares and
//! large reads, and an HTTP/1 connection is polled by the task that reads its body. No task
//! runs on its own, so dropping a request's future closes its connection, and no byte wakes a
//! second task on its way to the disk.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;

use crate::dial::Dialed;
use crate::payload::Outgoing;

/// From this rate of one connection on, in bytes a second, it is the line or the machine that is full,
/// not the connection: another one only costs, as do the server's work for each range and reading
/// back what did not come in order.
pub(crate) const FAST: f64 = 100e6;
/// How much is read at once from a connection for large bodies, in bytes: there may be many.
pub(crate) const BULK_READ: usize = 256 << 10;
/// The same where few connections bring all that the line or the machine can take.
pub(crate) const FAST_READ: usize = 1 << 20;

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// An HTTP/1 connection with nothing in flight, or one request.
pub(crate) struct Http1 {
    sender: http1::SendRequest<Outgoing>,
    driver: Driver,
    over: bool,
    pub(crate) since: Instant,
}

impl Http1 {
    async fn open(dialed: Dialed, read: Option<usize>) -> hyper::Result<Self> {
        let mut builder = http1::Builder::new();
        if read.is_some() {
            builder.read_buf_exact_size(read);
        }
        let (sender, driver) = builder.handshake(TokioIo::new(dialed.stream)).await?;
        Ok(Self {
            sender,
            driver: Box::pin(driver),
            over: false,
            since: Instant::now(),
        })
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.over && self.driver.as_mut().poll(cx).is_ready() {
            self.over = true;
        }
    }

    async fn send(&mut self, request: Request<Outgoing>) -> hyper::Result<Response<Incoming>> {
        let mut response = pin!(self.sender.send_request(request));
        poll_fn(|cx| {
            if !self.over && self.driver.as_mut().poll(cx).is_ready() {
                self.over = true;
            }
            response.as_mut().poll(cx)
        })
        .await
    }

    /// Says whether the connection can take a request; a server's close is noticed here.
    pub(crate) async fn usable(&mut self) -> bool {
        poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(!self.over && self.sender.is_ready())
        })
        .await
    }
}

/// An HTTP/2 connection, shared by many requests.
#[derive(Clone)]
pub(crate) struct Http2 {
    sender: http2::SendRequest<Outgoing>,
    _owner: Arc<EndTasks>,
}

impl Http2 {
    async fn open(dialed: Dialed) -> hyper::Result<Self> {
        let tasks = Tasks::default();
        let mut builder = http2::Builder::new(tasks.clone());
        builder
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .keep_alive_interval(Duration::from_secs(15))
            .keep_alive_timeout(Duration::from_secs(10));
        let (sender, driver) = builder.handshake(TokioIo::new(dialed.stream)).await?;
        hyper::rt::Executor::execute(&tasks, driver);
        Ok(Self {
            sender,
            _owner: Arc::new(EndTasks(tasks)),
        })
    }

    pub(crate) fn usable(&self) -> bool {
        self.sender.is_ready()
    }
}

/// Owns the tasks of an HTTP/2 connection.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            future.await;
        });
    }
}

/// Ends a connection's tasks when the last user of the connection is gone. The tasks hold
/// [`Tasks`] themselves, so counting its owners would never reach none.
struct EndTasks(Tasks);

impl Drop for EndTasks {
    fn drop(&mut self) {
        let mut tasks = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
    }
}

/// A connection that can take a request.
pub(crate) enum Connection {
    /// Its only user.
    Http1(Box<Http1>),
    /// One of its users.
    Http2(Http2),
}

impl Connection {
    /// Starts HTTP on a fresh byte stream, which is read in pieces of a given size where one is given.
    pub(crate) async fn open(dialed: Dialed, read: Option<usize>) -> hyper::Result<Self> {
        if dialed.http2 {
            return Ok(Self::Http2(Http2::open(dialed).await?));
        }
        Ok(Self::Http1(Box::new(Http1::open(dialed, read).await?)))
    }

    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Sends a request and waits for its response's head.
    pub(crate) async fn send(
        mut self,
        request: Request<Outgoing>,
    ) -> hyper::Result<Response<Body>> {
        let response = match &mut self {
            Self::Http1(http1) => http1.send(request).await?,
            Self::Http2(http2) => http2.sender.send_request(request).await?,
        };
        Ok(response.map(|incoming| Body {
            incoming,
            connection: self,
        }))
    }
}

/// A response's body, with the connection that it comes through.
pub(crate) struct Body {
    incoming: Incoming,
    connection: Connection,
}

impl Body {
    /// Returns the next piece, `None` at the end. Trailers are skipped.
    pub(crate) async fn next(&mut self) -> Option<hyper::Result<Bytes>> {
        loop {
            match poll_fn(|cx| self.poll(cx)).await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let mut incoming = Pin::new(&mut self.incoming);
        let first = incoming.as_mut().poll_frame(cx);
        let Connection::Http1(http1) = &mut self.connection else {
            return first;
        };
        if first.is_ready() {
            return first;
        }
        // The first poll has told the connection that a piece is wanted; now it can read one.
        http1.drive(cx);
        incoming.poll_frame(cx)
    }

    /// The length that the response promises, where it does.
    pub(crate) fn promised(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    /// Gives the connection back for the next request, where the body was read to its end.
    pub(crate) async fn finish(self) -> Option<Connection> {
        if !self.incoming.is_end_stream() {
            return None;
        }
        match self.connection {
            Connection::Http1(mut http1) => {
                http1.usable().await.then_some(Connection::Http1(http1))
            }
            shared @ Connection::Http2(_) => Some(shared),
        }
    }
}
