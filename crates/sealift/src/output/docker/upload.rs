//! An image on its way into a daemon: the archive is read from the store while it is sent.

use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use sealift_content::Store;
use sealift_oci::{Descriptor, Reference};
use tokio::sync::mpsc;

use super::connection::Body;

/// Size of one piece of the archive on its way, and how many may wait.
const PIECE: usize = 256 * 1024;
const PIECES: usize = 8;

/// Makes a task that writes the archive, and the body that carries it.
pub(super) fn archive(
    store: Store,
    manifest: Descriptor,
    names: Vec<Reference>,
) -> (impl FnOnce() -> sealift_content::Result<()> + Send, Body) {
    let (sender, mut pieces) = mpsc::channel(PIECES);
    let frames = stream::poll_fn(move |context| pieces.poll_recv(context));
    let write = move || {
        let mut out = BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
        let written = sealift_content::write_docker(&store, &manifest, &names, &mut out);
        if written.is_err() {
            // Without this the daemon would take the end of the stream for the end of the archive.
            let broken = io::Error::from(io::ErrorKind::BrokenPipe);
            let _gone = sender.blocking_send(Err(broken));
        }
        // What is left in the buffer was flushed by a good end; after a bad one it is of no use.
        let _ = out.into_parts();
        written
    };
    (write, StreamBody::new(frames).boxed_unsync())
}

/// The end of a channel that is written to.
struct Pieces(mpsc::Sender<io::Result<Frame<Bytes>>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let frame = Frame::data(Bytes::copy_from_slice(bytes));
        self.0
            .blocking_send(Ok(frame))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
