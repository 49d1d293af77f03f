//! The store: blobs by digest.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealift_oci::{Descriptor, Digest, Hasher};

use crate::ingest::{Ingest, Ingestion};
use crate::layout::Layout;
use crate::lock::{self, Lease};
use crate::settle::Settled;
use crate::{Error, Result};

/// A content store in a folder. Cheap to clone; all clones, and all processes, share the folder.
#[derive(Debug, Clone)]
pub struct Store {
    layout: Arc<Layout>,
}

impl Store {
    /// Opens the store in a folder, making it if it is not there. The first time after a start of the
    /// machine this reads again what a crash may have damaged; [`Store::open_telling`] says what.
    ///
    /// # Errors
    /// [`Error::Layout`] where the folder holds an image layout of an unknown version,
    /// [`Error::Io`], [`Error::DiskFull`].
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        Self::open_telling(root).map(|(store, _)| store)
    }

    /// Does as [`Store::open`], and says what was read again.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_telling(root: impl AsRef<Path>) -> Result<(Self, Settled)> {
        let layout = Arc::new(Layout::open(root.as_ref())?);
        let store = Self { layout };
        let settled = store.recover()?;
        Ok((store, settled))
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the folder, which is the image layout that other tools read.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    /// Tells whether a blob is there.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.layout.blob(digest).is_file()
    }

    /// Returns a blob's size in bytes, nothing where it is not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        blob_size(&self.layout, digest)
    }

    /// Returns where a blob is, or would be.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.layout.blob(digest)
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Io`].
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.layout.blob(digest);
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound {
                digest: digest.clone(),
            },
            _ => Error::io("open", &path)(error),
        })
    }

    /// Reads a small blob whole and checks its digest once more.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::TooLarge`] where it has more than `limit` bytes,
    /// [`Error::Corrupt`], [`Error::Io`].
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let file = self.open_blob(digest)?;
        let path = self.layout.blob(digest);
        let size = file.metadata().map_err(Error::io("read", &path))?.len();
        if size > limit {
            return Err(Error::TooLarge {
                digest: digest.clone(),
                size,
                limit,
            });
        }
        let mut bytes = Vec::with_capacity(size as usize);
        file.take(limit)
            .read_to_end(&mut bytes)
            .map_err(Error::io("read", &path))?;
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        let actual = hasher.finish();
        if actual == *digest {
            Ok(bytes)
        } else {
            Err(Error::Corrupt {
                digest: digest.clone(),
                actual,
            })
        }
    }

    /// Puts bytes at hand into the store.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Io`].
    pub fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        let descriptor = Descriptor::of(media_type, bytes);
        // No ingest: whoever has the bytes at hand need not wait for a download of the same blob,
        // and a name that is given twice stands for the same content.
        if !self.contains(&descriptor.digest) {
            self.layout.write_blob(&descriptor.digest, bytes)?;
        }
        Ok(descriptor)
    }

    /// Begins to bring a blob in, or goes on where an earlier ingest ended. Never waits for others.
    ///
    /// # Errors
    /// [`Error::Size`] where the blob is there with another size, [`Error::DiskFull`] where its size
    /// is known and does not fit, [`Error::Io`].
    pub fn ingest(&self, digest: &Digest, size: Option<u64>) -> Result<Ingestion> {
        Ingest::begin(&self.layout, digest, size, false)
    }

    /// Does as [`Store::ingest`], but waits until nobody else is bringing the blob in: it never
    /// gives [`Ingestion::Busy`].
    ///
    /// # Errors
    /// As [`Store::ingest`].
    pub fn ingest_waiting(&self, digest: &Digest, size: Option<u64>) -> Result<Ingestion> {
        Ingest::begin(&self.layout, digest, size, true)
    }

    /// Waits for a shared hold on the store: while it lives, no command removes anything.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn lease(&self) -> Result<Lease> {
        lock::lease(&self.layout)
    }
}

pub(crate) fn blob_size(layout: &Layout, digest: &Digest) -> Result<Option<u64>> {
    let path = layout.blob(digest);
    match fs::metadata(&path) {
        Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}
