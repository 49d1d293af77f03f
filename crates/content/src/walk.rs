//! From an image to everything that it consists of.

use std::collections::HashSet;

use sealift_oci::{Descriptor, Digest, Index, Manifest};

use crate::store::Store;
use crate::{Error, Result};

/// Largest manifest or index that is read, in bytes (distribution-spec: at least 4 MiB).
pub const DOCUMENT_LIMIT: u64 = 4 * 1024 * 1024;
/// How many documents may stand above one another: three indexes and a manifest.
pub const NESTING_LIMIT: usize = 4;
/// How many blobs one image may consist of.
const BLOB_LIMIT: usize = 100_000;

impl Store {
    /// Lists all that a descriptor leads to, itself first: indexes, manifests, configurations,
    /// layers, each once. Only manifests and indexes are read, so other blobs may be missing.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a manifest or index that is not there, [`Error::Corrupt`],
    /// [`Error::Document`], [`Error::TooLarge`], [`Error::Nesting`], [`Error::Io`].
    pub fn closure(&self, root: &Descriptor) -> Result<Vec<Descriptor>> {
        let mut walk = Walk {
            store: self,
            seen: HashSet::new(),
            found: Vec::new(),
            failures: None,
        };
        walk.visit(root, 1)?;
        Ok(walk.found)
    }

    /// Lists what can be reached, and what stood in the way of more.
    pub(crate) fn reachable(&self, root: &Descriptor) -> (Vec<Descriptor>, Vec<Error>) {
        let mut walk = Walk {
            store: self,
            seen: HashSet::new(),
            found: Vec::new(),
            failures: Some(Vec::new()),
        };
        let end = walk.visit(root, 1);
        let mut failures = walk.failures.unwrap_or_default();
        failures.extend(end.err());
        (walk.found, failures)
    }
}

struct Walk<'a> {
    store: &'a Store,
    seen: HashSet<Digest>,
    found: Vec<Descriptor>,
    /// Where there is a list, a document that can't be read goes there and the walk goes on.
    failures: Option<Vec<Error>>,
}

impl Walk<'_> {
    fn visit(&mut self, descriptor: &Descriptor, level: usize) -> Result<()> {
        // A digest that was seen is not entered again, so a cycle ends here.
        if !self.seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        let nesting = |what, limit| Error::Nesting {
            digest: descriptor.digest.clone(),
            what,
            limit,
        };
        if self.found.len() >= BLOB_LIMIT {
            return Err(nesting("blobs", BLOB_LIMIT));
        }
        self.found.push(descriptor.clone());
        let is_document = descriptor.media_type.is_index() || descriptor.media_type.is_manifest();
        if is_document && level > NESTING_LIMIT {
            return Err(nesting("levels of documents", NESTING_LIMIT));
        }
        let children = match self.children(descriptor) {
            Ok(children) => children,
            Err(error) => match &mut self.failures {
                Some(failures) => {
                    failures.push(error);
                    return Ok(());
                }
                None => return Err(error),
            },
        };
        for child in children {
            self.visit(&child, level + 1)?;
        }
        Ok(())
    }

    fn children(&self, descriptor: &Descriptor) -> Result<Vec<Descriptor>> {
        let read = || self.store.read_blob(&descriptor.digest, DOCUMENT_LIMIT);
        let wrong = |source| Error::Document {
            digest: descriptor.digest.clone(),
            source,
        };
        if descriptor.media_type.is_index() {
            Ok(Index::parse(&read()?).map_err(wrong)?.manifests)
        } else if descriptor.media_type.is_manifest() {
            let manifest = Manifest::parse(&read()?).map_err(wrong)?;
            Ok(manifest.blobs().cloned().collect())
        } else {
            Ok(Vec::new())
        }
    }
}
