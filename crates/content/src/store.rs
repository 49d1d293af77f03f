//! The store: blobs by digest.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;
use rustix::io::Errno;
use sealift_oci::{Algorithm, Descriptor, Digest, Hasher};

use crate::folder::{files_in, make_folder, sync_folder};
use crate::ingest::{Ingest, Ingestion};
use crate::layout::Layout;
use crate::lock::Lease;
use crate::young::is_loss;
use crate::{Error, Result};

const BUFFER: usize = 1024 * 1024;

/// A content store in a folder. Cheap to clone; all clones, and all processes, share the folder.
#[derive(Debug, Clone)]
pub struct Store {
    layout: Arc<Layout>,
    damaged: Arc<Mutex<Vec<Digest>>>,
}

impl Store {
    pub(crate) fn new(layout: Layout) -> Self {
        Self {
            layout: Arc::new(layout),
            damaged: Arc::default(),
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the folder, which is the image layout that other tools read.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    /// Returns whether a blob is there.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.size(digest).is_ok_and(|size| size.is_some())
    }

    /// Returns a blob's size in bytes, nothing where it is not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        self.layout.blob_size(digest)
    }

    /// Returns where a blob is, or would be.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.layout.blob(digest)
    }

    /// Opens a blob for reading. Only regular files are blobs: a link is never followed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Io`].
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.layout.blob(digest);
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut options = File::options();
        options.read(true).custom_flags(flags.bits() as i32);
        let missing = || Error::NotFound {
            digest: digest.clone(),
        };
        match options.open(&path) {
            Ok(file) => match file.metadata().map_err(Error::io("read", &path))?.is_file() {
                true => Ok(file),
                false => Err(missing()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing()),
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                Err(missing())
            }
            Err(error) => Err(Error::io("open", &path)(error)),
        }
    }

    /// Returns whether a blob is there with the size that its descriptor names. One that was cut or
    /// grew is moved aside, so that it is fetched again.
    ///
    /// # Errors
    /// [`Error::Size`] where the blob is right and the descriptor is not, [`Error::Io`].
    pub fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        let Descriptor { digest, size, .. } = descriptor;
        match self.size(digest)? {
            None => Ok(false),
            Some(actual) if actual == *size => Ok(true),
            Some(actual) => match self.check(digest) {
                Ok(()) => Err(Error::Size {
                    digest: digest.clone(),
                    expected: *size,
                    actual,
                }),
                Err(Error::Corrupt { .. } | Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(error),
            },
        }
    }

    /// Reads a blob and checks its digest. A damaged one is moved aside, so that it is fetched again.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Io`].
    pub fn check(&self, digest: &Digest) -> Result<()> {
        match self.hash_blob(digest, &mut 0, &mut |_| {}) {
            Ok(Some(actual)) => self.expect(digest, actual),
            Ok(None) => Err(Error::NotFound {
                digest: digest.clone(),
            }),
            Err(error) => {
                if matches!(&error, Error::Io { source, .. } if is_loss(source)) {
                    self.set_aside(digest);
                }
                Err(error)
            }
        }
    }

    /// Opens a blob that is to leave the store, once its digest was checked.
    ///
    /// # Errors
    /// As [`Store::check`].
    pub fn open_checked(&self, digest: &Digest) -> Result<File> {
        self.check(digest)?;
        self.open_blob(digest)
    }

    /// Returns the damaged blobs that were moved aside since this was last asked.
    #[must_use]
    pub fn take_damaged(&self) -> Vec<Digest> {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *damaged)
    }

    fn expect(&self, digest: &Digest, actual: Digest) -> Result<()> {
        if actual == *digest {
            return Ok(());
        }
        self.set_aside(digest);
        let digest = digest.clone();
        Err(Error::Corrupt { digest, actual })
    }

    fn set_aside(&self, digest: &Digest) {
        // Where it cannot be moved it stays, and whoever needs it next finds it damaged again.
        if self.move_aside(digest).is_ok() {
            let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
            damaged.push(digest.clone());
        }
    }

    /// Moves a damaged blob to the folder `quarantine`; returns where it is now.
    pub(crate) fn move_aside(&self, digest: &Digest) -> Result<PathBuf> {
        let folder = self.layout.quarantine();
        make_folder(&folder)?;
        let to = folder.join(format!("{}-{}", digest.algorithm().as_str(), digest.hex()));
        fs::rename(self.blob_path(digest), &to).map_err(Error::io("rename", &to))?;
        sync_folder(&self.layout.blobs(digest.algorithm()))?;
        Ok(to)
    }

    /// Reads a small blob whole and checks its digest once more. A damaged one is moved aside.
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
        self.expect(digest, hasher.finish())?;
        Ok(bytes)
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
        self.layout.lease()
    }

    /// Lists the blobs in the store, in order, and the files between them that are none.
    pub(crate) fn blobs(&self) -> Result<(Vec<Digest>, Vec<PathBuf>)> {
        let mut blobs = Vec::new();
        let mut strange = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let folder = self.layout().blobs(algorithm);
            for path in files_in(&folder)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let digest = Digest::parse(&format!("{}:{name}", algorithm.as_str())).ok();
                match digest.filter(|_| !path.is_symlink()) {
                    Some(digest) => blobs.push(digest),
                    None => strange.push(path),
                }
            }
        }
        Ok((blobs, strange))
    }

    /// Hashes a blob; nothing where it was removed meanwhile.
    pub(crate) fn hash_blob(
        &self,
        digest: &Digest,
        total: &mut u64,
        progress: &mut impl FnMut(u64),
    ) -> Result<Option<Digest>> {
        let mut file = match self.open_blob(digest) {
            Err(Error::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let path = self.blob_path(digest);
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = file.read(&mut buffer).map_err(Error::io("read", &path))?;
            if read == 0 {
                return Ok(Some(hasher.finish()));
            }
            hasher.update(&buffer[..read]);
            *total += read as u64;
            progress(read as u64);
        }
    }
}
