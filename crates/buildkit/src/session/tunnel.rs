//! A byte stream over the messages of `Control.Session`, on which the daemon is the HTTP/2 client
//! and we are the server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::sync::mpsc;
use tokio_stream::Stream as _;
use tokio_util::sync::PollSender;
use tonic::Streaming;

use crate::proto::control::BytesMessage;

/// How many bytes are gathered before they become a message, in bytes. HTTP/2 writes frames of
/// 16 KiB with a head of 9 bytes each: as one message a frame, the tunnel would double its cost.
const GATHER: usize = 128 << 10;

/// How many messages may wait for the connection.
const QUEUE: usize = 8;

/// Our end of the stream.
pub(crate) struct Tunnel {
    incoming: Streaming<BytesMessage>,
    rest: Vec<u8>,
    taken: usize,
    outgoing: PollSender<BytesMessage>,
    gathered: Vec<u8>,
}

/// Makes the queue of messages to the daemon.
pub(crate) fn queue() -> (mpsc::Sender<BytesMessage>, mpsc::Receiver<BytesMessage>) {
    mpsc::channel(QUEUE)
}

impl Tunnel {
    /// Joins the two directions.
    pub(crate) fn new(
        incoming: Streaming<BytesMessage>,
        outgoing: mpsc::Sender<BytesMessage>,
    ) -> Self {
        Self {
            incoming,
            rest: Vec::new(),
            taken: 0,
            outgoing: PollSender::new(outgoing),
            gathered: Vec::new(),
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.outgoing.poll_reserve(cx)).map_err(closed)?;
        let data = std::mem::take(&mut self.gathered);
        let sent = self.outgoing.send_item(BytesMessage { data });
        Poll::Ready(sent.map_err(closed))
    }
}

impl Read for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.taken == this.rest.len() {
            match ready!(Pin::new(&mut this.incoming).poll_next(cx)) {
                Some(Ok(message)) => (this.rest, this.taken) = (message.data, 0),
                Some(Err(status)) => return Poll::Ready(Err(io::Error::other(status))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let there = &this.rest[this.taken..];
        let count = there.len().min(buffer.remaining());
        buffer.put_slice(&there[..count]);
        this.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= GATHER {
            ready!(self.poll_send(cx))?;
        }
        if self.gathered.capacity() == 0 {
            self.gathered.reserve(GATHER + (32 << 10));
        }
        self.gathered.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        self.outgoing.close();
        Poll::Ready(Ok(()))
    }
}
