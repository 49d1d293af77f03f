//! Where things are: the paths of the image layout and of our own files beside it.
//!
//! ```text
//! oci-layout  index.json  blobs/ALGORITHM/HEX     the layout, for everybody
//! tmp/        partial blobs, their records, and files that have no name yet
//! locks/      index, use
//! boot        the start of the machine under which blobs that may not be on the disk are trusted
//! quarantine/ damaged blobs that were moved aside
//! spare       room that is given up where the disk has none left for the index
//! ```

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sealift_oci::{Algorithm, Digest, Index};

use crate::file::{Access, AtomicFile};
use crate::lock::Lease;
use crate::young::{settle_first, settle_name};
use crate::{Error, Result, disk};

/// Largest `index.json` that is read, in bytes.
const INDEX_LIMIT: u64 = 64 * 1024 * 1024;
const VERSION: &str = "1.0.0";
/// How the names of partial blobs end.
pub(crate) const DATA: &str = ".partial";
/// How the names of their journals end.
pub(crate) const RANGES: &str = ".ranges";

/// The paths of one store.
#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn blobs(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.as_str())
    }

    /// Where a blob is or will be: a digest's parts are safe as file names.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs(digest.algorithm()).join(digest.hex())
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(crate) fn boot(&self) -> PathBuf {
        self.root.join("boot")
    }

    /// A file that is given up where the disk has no room left for the index.
    pub(crate) fn spare(&self) -> PathBuf {
        self.root.join("spare")
    }

    pub(crate) fn version_path(&self) -> PathBuf {
        self.root.join("oci-layout")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// Where the data of a blob is that is not complete.
    pub(crate) fn partial(&self, digest: &Digest) -> PathBuf {
        self.temporary(digest, DATA)
    }

    /// Where the journal of a blob is that is not complete.
    pub(crate) fn ranges(&self, digest: &Digest) -> PathBuf {
        self.temporary(digest, RANGES)
    }

    fn temporary(&self, digest: &Digest, suffix: &str) -> PathBuf {
        let name = format!("{}-{}{suffix}", digest.algorithm().as_str(), digest.hex());
        self.tmp().join(name)
    }

    /// Waits for a shared hold on the store.
    pub(crate) fn lease(&self) -> Result<Lease> {
        Lease::shared(&self.locks().join("use"))
    }

    /// Takes the store for removal, unless somebody has a lease.
    pub(crate) fn exclusive_use(&self) -> Result<Lease> {
        Lease::try_exclusive(&self.locks().join("use"))?.ok_or_else(|| Error::InUse {
            root: self.root.clone(),
        })
    }

    /// Waits for the right to change `index.json`; held for the time of one small write.
    pub(crate) fn lock_index(&self) -> Result<Lease> {
        Lease::exclusive(&self.locks().join("index"))
    }

    /// Returns a blob's size in bytes, nothing where it is not there.
    pub(crate) fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        let path = self.blob(digest);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Reads `index.json`; a reader needs no lock, because the file is only ever replaced whole.
    pub(crate) fn read_index(&self) -> Result<Index> {
        let path = self.index_path();
        let size = fs::metadata(&path).map_err(Error::io("read", &path))?.len();
        let reason = |reason: String| Error::Layout {
            path: path.clone(),
            reason,
        };
        if size > INDEX_LIMIT {
            return Err(reason(format!(
                "{size} bytes, at most {INDEX_LIMIT} are read"
            )));
        }
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        Index::parse(&bytes).map_err(|error| reason(error.to_string()))
    }

    /// Replaces `index.json`; the caller holds its lock.
    pub(crate) fn write_index(&self, index: &Index) -> Result<()> {
        let bytes = serde_json::to_vec(index).expect("an index has no value that JSON refuses");
        match self.replace(&self.index_path(), &bytes) {
            // A full disk must not keep anybody from removing images.
            Err(Error::DiskFull { .. } | Error::NoInodes { .. })
                if fs::remove_file(self.spare()).is_ok() =>
            {
                self.replace(&self.index_path(), &bytes)
            }
            other => other,
        }
    }

    /// Gives a file its content as a whole, so that it lasts through a crash.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let write = || {
            let mut file = AtomicFile::create_in(&self.tmp(), path, Access::Umask)?;
            file.write_all(bytes)?;
            file.commit_durably().map(drop)
        };
        write().map_err(disk::write_error(path, bytes.len() as u64))
    }

    /// Makes a blob of bytes at hand.
    pub(crate) fn write_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let path = self.blob(digest);
        let write = || {
            let mut file = AtomicFile::create_in(&self.tmp(), &path, Access::Umask)?;
            file.write_all(bytes)?;
            settle_first(file.file())?;
            file.commit()
        };
        write().map_err(disk::write_error(&path, bytes.len() as u64))?;
        settle_name(&path)
    }
}

/// Returns the content of `oci-layout`.
pub(crate) fn layout_file() -> String {
    format!("{{\"imageLayoutVersion\":\"{VERSION}\"}}")
}
