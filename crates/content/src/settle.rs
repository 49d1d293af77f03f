//! What a crash of the machine may take, and how it is found out.
//!
//! Waiting for the disk before each blob gets its name would slow every fetch to the pace of whatever
//! else the machine writes. A blob is therefore named as soon as its digest was checked, and is
//! *young* until it is known to be on the disk: a file that its owner may write to is young, a
//! read-only one is settled. A file is made young, so no crash can leave one settled by mistake.
//!
//! Young blobs are trusted while the machine runs. `boot` in the store's folder says under which start
//! of the machine that is; whoever opens the store under another one first reads all young blobs again
//! and removes those that the crash has damaged.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use sealift_oci::Digest;

use crate::journal::checksum;
use crate::store::Store;
use crate::{Error, Result, lock, partial};

/// The mode of a blob that is on the disk.
const SETTLED: u32 = 0o444;
/// The right that makes a blob a young one.
const OWNER_WRITES: u32 = 0o200;
/// After this time the system itself has written a file out, so that settling it is no work.
const QUIET: Duration = Duration::from_secs(60);

/// What was done for the blobs that a crash of the machine could have damaged.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Blobs that are known to be on the disk now.
    pub blobs: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Blobs that were damaged and are gone; they are fetched again when they are needed.
    pub removed: Vec<Digest>,
}

impl Store {
    /// Marks the blobs that have come to the disk by themselves, so that nobody needs to read them
    /// again after a crash. Meant to be done now and then, beside other work.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn settle(&self) -> Result<Settled> {
        let mut settled = Settled::default();
        for (digest, path, written) in self.young()? {
            let age = SystemTime::now().duration_since(written);
            if age.is_ok_and(|age| age >= QUIET) {
                match File::open(&path).and_then(|file| settle(&file)) {
                    Ok(size) => settled.add(size),
                    Err(error) if is_loss(&error) => settled.remove(digest, &path)?,
                    // Removed meanwhile, or somebody else's: it stays as it is.
                    Err(_) => {}
                }
            }
        }
        Ok(settled)
    }

    /// Reads young blobs again where the machine was started anew since they were written.
    pub(crate) fn recover(&self) -> Result<Settled> {
        let mut settled = Settled::default();
        let id = boot();
        if self.is_of_boot(id) {
            return Ok(settled);
        }
        let _lock = lock::index(self.layout())?;
        if self.is_of_boot(id) {
            return Ok(settled);
        }
        for (digest, path, _) in self.young()? {
            match self.hash_blob(&digest, &mut 0, &mut |_| {}) {
                Ok(None) => {}
                Ok(Some(actual)) if actual == digest => {
                    match File::open(&path).and_then(|file| settle(&file)) {
                        Ok(size) => settled.add(size),
                        // Another user's: it is right, and is read again the next time.
                        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                        Err(error) => return Err(Error::io("sync", &path)(error)),
                    }
                }
                Ok(Some(_)) => settled.remove(digest, &path)?,
                Err(Error::Io { source, .. }) if is_loss(&source) => {
                    settled.remove(digest, &path)?;
                }
                Err(error) => return Err(error),
            }
        }
        if id != 0 {
            let text = format!("{id:016x}\n");
            self.layout()
                .replace(&self.layout().boot(), text.as_bytes())?;
        }
        Ok(settled)
    }

    fn is_of_boot(&self, id: u64) -> bool {
        let text = fs::read_to_string(self.layout().boot()).unwrap_or_default();
        id != 0 && u64::from_str_radix(text.trim_end(), 16) == Ok(id)
    }

    /// Lists the young blobs, and when each was last written.
    fn young(&self) -> Result<Vec<(Digest, PathBuf, SystemTime)>> {
        let mut young = Vec::new();
        for digest in self.blobs()?.0 {
            let path = self.blob_path(&digest);
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            if metadata.permissions().mode() & OWNER_WRITES != 0 {
                let written = metadata.modified().map_err(Error::io("read", &path))?;
                young.push((digest, path, written));
            }
        }
        Ok(young)
    }
}

impl Settled {
    fn add(&mut self, size: u64) {
        self.blobs += 1;
        self.bytes += size;
    }

    fn remove(&mut self, digest: Digest, path: &Path) -> Result<()> {
        partial::remove(path)?;
        self.removed.push(digest);
        Ok(())
    }
}

/// Brings a blob to the disk, and marks it; returns its size in bytes.
pub(crate) fn settle(file: &File) -> io::Result<u64> {
    file.sync_all()?;
    file.set_permissions(Permissions::from_mode(SETTLED))?;
    Ok(file.metadata()?.len())
}

/// Brings a blob to the disk before it has its name, where the system does not tell its starts apart:
/// nobody would know when to read it again.
pub(crate) fn settle_first(file: &File) -> io::Result<()> {
    if boot() == 0 {
        settle(file)?;
    }
    Ok(())
}

/// Tells whether the system has given up bytes that it had taken.
fn is_loss(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::IO | Errno::NOSPC | Errno::DQUOT))
}

/// Returns a number for the time since the machine was started, 0 where the system has none.
pub(crate) fn boot() -> u64 {
    static BOOT: OnceLock<u64> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let id = fs::read("/proc/sys/kernel/random/boot_id");
        id.map_or(0, |text| checksum(&text))
    })
}
