//! What uploads send: bytes, or a part of a file, always with a known length.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The payload of requests without a body.
pub(crate) static NOTHING: Payload = Payload::Empty;

/// How much of a file is read at once.
const PIECE: u64 = 256 << 10;

/// The body of an upload. It is cheap to clone: each attempt sends it anew.
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
}

impl Payload {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { range, .. } => range.end.saturating_sub(range.start),
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A payload on its way: it counts what the connection has taken.
pub(crate) struct Outgoing {
    payload: Payload,
    at: u64,
    taken: Arc<AtomicU64>,
}

impl Outgoing {
    pub(crate) fn new(payload: Payload, taken: Arc<AtomicU64>) -> Self {
        taken.store(0, Ordering::Relaxed);
        Self {
            payload,
            at: 0,
            taken,
        }
    }

    fn left(&self) -> u64 {
        self.payload.len() - self.at
    }

    fn next(&mut self) -> io::Result<Bytes> {
        let length = self.left().min(PIECE);
        let piece = match &self.payload {
            Payload::Empty => Bytes::new(),
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
        };
        self.at += length;
        self.taken.store(self.at, Ordering::Relaxed);
        Ok(piece)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left() == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.next().map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
