//! Marking the blobs that have come to the disk, so that nobody reads them again after a crash.

use std::fs;
use std::time::{Duration, SystemTime};

use sealift_oci::Digest;

use crate::folder::remove;
use crate::store::Store;
use crate::young::{is_loss, is_young, settle};
use crate::{Error, Result};

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
        for (digest, written) in self.young()? {
            let age = SystemTime::now().duration_since(written);
            if age.is_ok_and(|age| age < QUIET) {
                continue;
            }
            let Ok(file) = self.open_blob(&digest) else {
                continue;
            };
            match settle(&file) {
                Ok(size) => {
                    settled.blobs += 1;
                    settled.bytes += size;
                }
                Err(error) if is_loss(&error) => self.drop_damaged(digest, &mut settled)?,
                // Removed meanwhile, or somebody else's: it stays as it is.
                Err(_) => {}
            }
        }
        Ok(settled)
    }

    /// Lists the young blobs, and when each was last written.
    pub(crate) fn young(&self) -> Result<Vec<(Digest, SystemTime)>> {
        let mut young = Vec::new();
        for digest in self.blobs()?.0 {
            let path = self.blob_path(&digest);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if is_young(&metadata) => {
                    let written = metadata.modified().map_err(Error::io("read", &path))?;
                    young.push((digest, written));
                }
                _ => {}
            }
        }
        Ok(young)
    }

    pub(crate) fn drop_damaged(&self, digest: Digest, settled: &mut Settled) -> Result<()> {
        remove(&self.blob_path(&digest))?;
        settled.removed.push(digest);
        Ok(())
    }
}
