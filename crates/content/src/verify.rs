//! Reading everything again: is what the store says still so?

use std::collections::HashSet;
use std::path::PathBuf;

use sealift_oci::{Digest, Reference};

use crate::names::name_of;
use crate::store::Store;
use crate::{Error, Result};

/// What to do with a blob whose content is not what its name promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Report it and leave it.
    Report,
    /// Move it to the folder `quarantine`, so that it is fetched again when it is needed.
    MoveAside,
}

/// A blob whose content is not what its name promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corrupt {
    /// The name.
    pub digest: Digest,
    /// The digest of the content.
    pub actual: Digest,
    /// Where it is now.
    pub path: PathBuf,
}

/// A part of a named image that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The image; nothing for an entry that has no full reference as its name.
    pub reference: Option<Reference>,
    /// The blob.
    pub digest: Digest,
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verified {
    /// How many blobs were read.
    pub blobs: u64,
    /// How many bytes were read.
    pub bytes: u64,
    /// Blobs with wrong content.
    pub corrupt: Vec<Corrupt>,
    /// Parts of named images that are not there; those moved aside are among them.
    pub missing: Vec<Missing>,
    /// Manifests and indexes of named images that can't be read, with the reason.
    pub unreadable: Vec<Error>,
    /// Blobs that no named image needs: not wrong, and removed by a collection.
    pub unnamed: Vec<Digest>,
    /// Files in the blob folders whose names are no digests.
    pub strange: Vec<PathBuf>,
}

impl Verified {
    /// Returns whether every named image is there, whole and right.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.corrupt.is_empty() && self.missing.is_empty() && self.unreadable.is_empty()
    }
}

impl Store {
    /// Reads and hashes every blob, and looks for every part of every named image.
    ///
    /// `progress` is told the bytes of each piece that was read.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Layout`]; what is found wrong is no error but part of the answer.
    pub fn verify(&self, repair: Repair, mut progress: impl FnMut(u64)) -> Result<Verified> {
        let _lease = self.lease()?;
        let mut verified = Verified::default();
        let (blobs, strange) = self.blobs()?;
        verified.strange = strange;
        for digest in &blobs {
            let Some(actual) = self.hash_blob(digest, &mut verified.bytes, &mut progress)? else {
                continue;
            };
            verified.blobs += 1;
            if actual != *digest {
                let path = match repair {
                    Repair::Report => self.blob_path(digest),
                    Repair::MoveAside => self.move_aside(digest)?,
                };
                let digest = digest.clone();
                verified.corrupt.push(Corrupt {
                    digest,
                    actual,
                    path,
                });
            }
        }
        let named = self.check_names(&mut verified)?;
        verified.unnamed = blobs
            .into_iter()
            .filter(|digest| !named.contains(digest))
            .collect();
        Ok(verified)
    }

    /// Walks all entries of `index.json`; gives what they need.
    fn check_names(&self, verified: &mut Verified) -> Result<HashSet<Digest>> {
        let mut named = HashSet::new();
        for entry in self.layout().read_index()?.manifests {
            let (parts, failures) = self.reachable(&entry);
            // A missing document is told with the other missing parts below.
            let told = failures
                .into_iter()
                .filter(|error| !matches!(error, Error::NotFound { .. }));
            verified.unreadable.extend(told);
            for part in parts {
                if !part.media_type.is_foreign() && !self.contains(&part.digest) {
                    verified.missing.push(Missing {
                        reference: name_of(&entry),
                        digest: part.digest.clone(),
                    });
                }
                named.insert(part.digest);
            }
        }
        Ok(named)
    }
}
