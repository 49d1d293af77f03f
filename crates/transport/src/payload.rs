//! What uploads send: bytes, a part of a file, or a stream that can be sent only once.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use http_body::{Body, Frame, SizeHint};

/// The payload of requests without a body.
pub(crate) static NOTHING: Payload = Payload::Empty;

/// How much of a file is read at once.
const PIECE: u64 = 256 << 10;

/// The body of an upload. It is cheap to clone: each attempt sends it anew, but a stream, which only
/// one attempt can send.
#[derive(Debug, Clone)]
pub enum Payload {
    /// No body; `Content-Length: 0` is sent where the method has one.
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// A range of an open file.
    File {
        /// The file.
        file: Arc<File>,
        /// The part of it, in bytes.
        range: Range<u64>,
    },
    /// What another connection brings.
    Stream(Streamed),
}

/// A body that is sent as it comes.
#[derive(Clone)]
pub struct Streamed {
    length: Option<u64>,
    source: Arc<Mutex<Option<Source>>>,
}

type Source = BoxStream<'static, io::Result<Bytes>>;

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Payload {
    /// Makes a payload of a stream. One whose length is unknown is sent in chunks.
    #[must_use]
    pub fn stream<S>(length: Option<u64>, source: S) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let source: Source = Box::pin(source);
        Self::Stream(Streamed {
            length,
            source: Arc::new(Mutex::new(Some(source))),
        })
    }

    /// Returns its length in bytes, where that is known before it is sent.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::File { range, .. } => Some(range.end.saturating_sub(range.start)),
            Self::Stream(streamed) => streamed.length,
        }
    }

    /// Returns whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length() == Some(0)
    }

    /// Returns whether an attempt has begun to send what can be sent only once.
    pub(crate) fn is_spent(&self) -> bool {
        match self {
            Self::Stream(streamed) => streamed.lock().is_none(),
            _ => false,
        }
    }
}

impl Streamed {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Source>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far one attempt has come with its payload.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    bytes: AtomicU64,
    is_complete: AtomicBool,
    /// Whether the connection waits for the payload, not the payload for the connection.
    is_starved: AtomicBool,
}

impl Sending {
    /// Returns how many bytes the connection has taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Relaxed)
    }

    pub(crate) fn is_starved(&self) -> bool {
        self.is_starved.load(Ordering::Relaxed)
    }
}

/// A payload on its way: it counts what the connection has taken.
pub(crate) struct Outgoing {
    payload: Payload,
    source: Option<Source>,
    at: u64,
    sending: Arc<Sending>,
}

impl Outgoing {
    pub(crate) fn new(payload: Payload, sending: Arc<Sending>) -> Self {
        sending.bytes.store(0, Ordering::Relaxed);
        let done = payload.is_empty();
        sending.is_complete.store(done, Ordering::Relaxed);
        Self {
            payload,
            source: None,
            at: 0,
            sending,
        }
    }

    fn left(&self) -> Option<u64> {
        Some(self.payload.length()?.saturating_sub(self.at))
    }

    fn next(&mut self) -> io::Result<Bytes> {
        let length = self.left().unwrap_or_default().min(PIECE);
        Ok(match &self.payload {
            Payload::Empty | Payload::Stream(_) => Bytes::new(),
            Payload::Bytes(bytes) => {
                let start = usize::try_from(self.at).unwrap_or(usize::MAX);
                bytes.slice(start..start + usize::try_from(length).unwrap_or(0))
            }
            // A blocking read: the file is local and as a rule in the page cache, and a quarter of
            // a megabyte costs less than a hop to another thread and back.
            Payload::File { file, range } => {
                let mut piece = vec![0; usize::try_from(length).unwrap_or(0)];
                file.read_exact_at(&mut piece, range.start + self.at)?;
                Bytes::from(piece)
            }
        })
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Payload::Stream(streamed) = &self.payload else {
            let more = self.left() != Some(0);
            return Poll::Ready(more.then(|| self.next()));
        };
        if self.source.is_none() && self.at == 0 {
            self.source = streamed.lock().take();
        }
        match &mut self.source {
            Some(source) => source.as_mut().poll_next(cx),
            None => Poll::Ready(Some(Err(io::Error::other("the stream was sent before")))),
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = self.poll_next(cx);
        let sending = Arc::clone(&self.sending);
        sending
            .is_starved
            .store(next.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Some(Ok(piece))) = &next {
            self.at += piece.len() as u64;
            sending.bytes.store(self.at, Ordering::Relaxed);
        }
        if matches!(next, Poll::Ready(None)) || self.left() == Some(0) {
            sending.is_complete.store(true, Ordering::Relaxed);
        }
        next.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left().map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
