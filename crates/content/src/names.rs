//! The images that `index.json` names.

use sealift_oci::{ANNOTATION_REF_NAME, Descriptor, Reference};

use crate::store::Store;
use crate::{Error, Result};

/// An image and the content that it stands for.
pub type Name = (Reference, Descriptor);

impl Store {
    /// Lists the images that are named, in order of their names. Entries that other tools made under
    /// a name that is no full reference are left out, and left alone.
    ///
    /// # Errors
    /// [`Error::Layout`] where `index.json` can't be understood, [`Error::Io`].
    pub fn names(&self) -> Result<Vec<Name>> {
        let index = self.layout().read_index()?;
        let mut names: Vec<Name> = index
            .manifests
            .into_iter()
            .filter_map(|mut descriptor| {
                let name = name_of(&descriptor)?;
                descriptor.annotations.remove(ANNOTATION_REF_NAME);
                Some((name, descriptor))
            })
            .collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }

    /// Finds what an image name stands for.
    ///
    /// # Errors
    /// As [`Store::names`].
    pub fn resolve(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let names = self.names()?;
        let found = names.into_iter().find(|(name, _)| name == reference);
        Ok(found.map(|(_, descriptor)| descriptor))
    }

    /// Names images, all of them or none, replacing what the names stood for.
    ///
    /// # Errors
    /// [`Error::IncompleteImage`] where a part of an image is not in the store, [`Error::Document`]
    /// and [`Error::Nesting`] where it can't be walked, [`Error::DiskFull`], [`Error::Io`].
    pub fn set_names(&self, names: &[Name]) -> Result<()> {
        let _lease = self.lease()?;
        for (reference, descriptor) in names {
            self.check_complete(reference, descriptor)?;
        }
        let _lock = self.layout().lock_index()?;
        let mut index = self.layout().read_index()?;
        for (reference, descriptor) in names {
            let mut entry = descriptor.clone();
            let text = reference.to_string();
            entry
                .annotations
                .insert(ANNOTATION_REF_NAME.to_owned(), text);
            index.manifests.retain(|old| !is_named(old, reference));
            index.manifests.push(entry);
        }
        self.layout().write_index(&index)
    }

    /// Takes names away; the content stays until it is collected. Returns how many there were.
    ///
    /// # Errors
    /// As [`Store::names`], and [`Error::DiskFull`].
    pub fn remove_names(&self, names: &[Reference]) -> Result<usize> {
        let _lock = self.layout().lock_index()?;
        let mut index = self.layout().read_index()?;
        let before = index.manifests.len();
        let gone = |old: &Descriptor| names.iter().any(|name| is_named(old, name));
        index.manifests.retain(|old| !gone(old));
        let removed = before - index.manifests.len();
        if removed > 0 {
            self.layout().write_index(&index)?;
        }
        Ok(removed)
    }

    fn check_complete(&self, reference: &Reference, descriptor: &Descriptor) -> Result<()> {
        let incomplete = |digest| Error::IncompleteImage {
            reference: reference.clone(),
            digest,
        };
        let parts = match self.closure(descriptor) {
            Err(Error::NotFound { digest }) => return Err(incomplete(digest)),
            other => other?,
        };
        for part in parts.iter().filter(|part| !part.media_type.is_foreign()) {
            match self.size(&part.digest)? {
                Some(size) if size == part.size => {}
                Some(actual) => {
                    return Err(Error::Size {
                        digest: part.digest.clone(),
                        expected: part.size,
                        actual,
                    });
                }
                None => return Err(incomplete(part.digest.clone())),
            }
        }
        Ok(())
    }
}

pub(crate) fn name_of(descriptor: &Descriptor) -> Option<Reference> {
    let text = descriptor.annotations.get(ANNOTATION_REF_NAME)?;
    // A bare tag, as other tools write it, must not become a name on Docker Hub.
    Reference::parse(text)
        .ok()
        .filter(|name| name.to_string() == *text)
}

fn is_named(descriptor: &Descriptor, reference: &Reference) -> bool {
    name_of(descriptor).is_some_and(|name| name == *reference)
}
