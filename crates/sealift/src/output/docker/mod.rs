//! Loading an image into a Docker daemon.
//!
//! The image is sent as a Docker archive while it is read from the store; nothing is written to a
//! temporary file. Afterwards the daemon is asked for what it should have now: it answers a load
//! before it has begun.

use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use sealift_content::Store;
use sealift_oci::{Descriptor, Manifest, Reference};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::engine::{Body, Engine};
use crate::error::{Error, Kind, Result};

/// Size of one piece of the archive under way, and how many may wait.
const PIECE: usize = 256 * 1024;
const PIECES: usize = 8;

/// Sends the image of one platform to a daemon under some names and checks that they are there.
///
/// # Errors
/// [`Kind::Config`] if nobody answers at the endpoint, [`Kind::Disk`] if the daemon's disk is full,
/// [`Kind::Local`] if it refuses the image or has another one under a name afterwards, and the
/// store's error if the image cannot be read.
pub async fn load(
    engine: &Engine,
    store: &Store,
    manifest: &Descriptor,
    names: &[Reference],
) -> Result<()> {
    let image = read(store, manifest)?;
    let (archive, body) = archive(store.clone(), manifest.clone(), names.to_vec());
    let mut writer = JoinSet::new();
    writer.spawn_blocking(archive);
    let sent = engine.load_images(body).await;
    // The connection has ended, so the writer, if it still writes, ends too.
    let written = writer.join_next().await.and_then(std::result::Result::ok);
    match written {
        // Where the stream broke, the other end knows why.
        None | Some(Ok(()) | Err(sealift_content::Error::Stream { .. })) => {
            sent.map_err(|error| explained(error, &image))?;
        }
        Some(Err(error)) => return Err(error.into()),
    }
    // Daemons give an image its configuration's digest as id, or with containerd as their store its
    // manifest's.
    let ids = [image.config.digest.to_string(), manifest.digest.to_string()];
    confirm(engine, names, &ids).await
}

/// Says what may be wrong where an older daemon meets newer layers.
fn explained(error: Error, image: &Manifest) -> Error {
    let zstd = |layer: &Descriptor| layer.media_type.as_str().ends_with("+zstd");
    if image.layers.iter().any(zstd) {
        return error
            .hint("its layers are compressed with zstd, which docker reads since version 23");
    }
    error
}

fn read(store: &Store, manifest: &Descriptor) -> Result<Manifest> {
    let limit = sealift_content::DOCUMENT_LIMIT;
    let bytes = store.read_blob(&manifest.digest, limit)?;
    Manifest::parse(&bytes).map_err(|error| {
        let what = format!("cannot load {} into docker", manifest.digest);
        Error::new(Kind::Local, what).because(error)
    })
}

/// Makes a task that writes the archive, and the body that carries it.
fn archive(
    store: Store,
    manifest: Descriptor,
    names: Vec<Reference>,
) -> (
    impl FnOnce() -> sealift_content::Result<()> + Send + 'static,
    Body,
) {
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

/// Asks for each name, or for the image itself where it has none.
async fn confirm(engine: &Engine, names: &[Reference], ids: &[String; 2]) -> Result<()> {
    let lost = |what: &str| {
        let text = format!("docker at {} {what}", engine.endpoint());
        Error::new(Kind::Local, text)
    };
    let tagged: Vec<String> = names
        .iter()
        .filter(|name| name.tag().is_some())
        .map(tagged)
        .collect();
    for name in &tagged {
        match engine.inspect_image(name).await? {
            Some(image) if ids.contains(&image.id) => {}
            Some(image) => {
                let id = image.id;
                return Err(lost(&format!("has another image as {name}: {id}")));
            }
            None => return Err(lost(&format!("has not kept the name {name}"))),
        }
    }
    if !tagged.is_empty() {
        return Ok(());
    }
    for id in ids {
        if engine.inspect_image(id).await?.is_some() {
            return Ok(());
        }
    }
    Err(lost("has not kept the image"))
}

/// Returns a name as docker writes it, always with its tag.
fn tagged(name: &Reference) -> String {
    let familiar = name.familiar();
    let bare = familiar.split('@').next().unwrap_or_default();
    match name.tag() {
        Some("latest") if name.digest().is_none() => format!("{bare}:latest"),
        _ => bare.to_owned(),
    }
}

#[cfg(test)]
mod tests;
