//! The images that `index.json` names.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealift_oci::{ANNOTATION_REF_NAME, Descriptor, Digest, Index, Reference};

use crate::store::Store;
use crate::{Error, Result};

/// How the keys of our own annotations begin; they are for this store alone.
const OURS: &str = "io.sealift.origin.";

/// An image and the content that it stands for.
pub type Name = (Reference, Descriptor);

/// What a name stands for, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The content.
    pub content: Descriptor,
    /// Where the name was resolved; nothing for what was made here.
    pub origin: Option<Origin>,
}

/// Where a name was resolved, and to what. Content is the same wherever it comes from, what a tag
/// stands for is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The index, or the manifest, that the name stands for there. The store may have a part of it.
    pub digest: Digest,
    /// The endpoints that were allowed to answer.
    pub endpoints: Vec<String>,
    /// When, to the second.
    pub resolved: SystemTime,
}

impl Store {
    /// Lists the images that are named, in order of their names. Entries that other tools made under
    /// a name that is no full reference are left out, and left alone.
    ///
    /// # Errors
    /// [`Error::Layout`] where `index.json` can't be understood, [`Error::Io`].
    pub fn names(&self) -> Result<Vec<Name>> {
        let entries = self.layout().read_index()?.manifests.into_iter();
        let named =
            entries.filter_map(|entry| Some((name_of(&entry)?, Named::read(entry).content)));
        let mut names: Vec<Name> = named.collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }

    /// Finds what an image name stands for, and where it was resolved.
    ///
    /// # Errors
    /// As [`Store::names`].
    pub fn look_up(&self, reference: &Reference) -> Result<Option<Named>> {
        Ok(find(&self.layout().read_index()?, reference))
    }

    /// Finds what an image name stands for.
    ///
    /// # Errors
    /// As [`Store::names`].
    pub fn resolve(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        Ok(self.look_up(reference)?.map(|named| named.content))
    }

    /// Names images, all of them or none, replacing what the names stood for.
    ///
    /// # Errors
    /// [`Error::IncompleteImage`] where a part of an image is not in the store, [`Error::Document`]
    /// and [`Error::Nesting`] where it can't be walked, [`Error::DiskFull`], [`Error::Io`].
    pub fn set_names(&self, names: &[Name]) -> Result<()> {
        let _lease = self.lease()?;
        for (reference, content) in names {
            self.check_complete(reference, content)?;
        }
        let _lock = self.layout().lock_index()?;
        let mut index = self.layout().read_index()?;
        for (reference, content) in names {
            let (content, origin) = (content.clone(), None);
            set(&mut index, reference, Named { content, origin });
        }
        self.layout().write_index(&index)
    }

    /// Changes what one name stands for, made from what it stands for now. Others who change a name
    /// wait meanwhile, so that no change is lost.
    ///
    /// # Errors
    /// As [`Store::set_names`], and those of `change`.
    pub fn update_name<E: From<Error>>(
        &self,
        reference: &Reference,
        change: impl FnOnce(Option<Named>) -> std::result::Result<Named, E>,
    ) -> std::result::Result<(), E> {
        let _lease = self.lease()?;
        let _lock = self.layout().lock_index()?;
        let mut index = self.layout().read_index()?;
        let named = change(find(&index, reference))?;
        self.check_complete(reference, &named.content)?;
        set(&mut index, reference, named);
        Ok(self.layout().write_index(&index)?)
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

    fn check_complete(&self, reference: &Reference, content: &Descriptor) -> Result<()> {
        let incomplete = |digest| Error::IncompleteImage {
            reference: reference.clone(),
            digest,
        };
        let parts = match self.closure(content) {
            Err(Error::NotFound { digest }) => return Err(incomplete(digest)),
            other => other?,
        };
        for part in parts.iter().filter(|part| !part.media_type.is_foreign()) {
            if !self.has(part)? {
                return Err(incomplete(part.digest.clone()));
            }
        }
        Ok(())
    }
}

impl Named {
    /// Reads an entry of `index.json`.
    fn read(mut entry: Descriptor) -> Self {
        entry.annotations.remove(ANNOTATION_REF_NAME);
        let mut take = |key: &str| entry.annotations.remove(&format!("{OURS}{key}"));
        let (digest, endpoints, time) = (take("digest"), take("endpoints"), take("time"));
        let origin = digest.and_then(|digest| {
            let seconds = time?.parse().ok()?;
            Some(Origin {
                digest: Digest::parse(&digest).ok()?,
                endpoints: endpoints?.split(' ').map(str::to_owned).collect(),
                resolved: UNIX_EPOCH + Duration::from_secs(seconds),
            })
        });
        Self {
            content: entry,
            origin,
        }
    }

    /// Makes an entry of `index.json`.
    fn write(self, reference: &Reference) -> Descriptor {
        let mut entry = self.content;
        let name = (ANNOTATION_REF_NAME.to_owned(), reference.to_string());
        entry.annotations.extend([name]);
        if let Some(origin) = self.origin {
            let time = origin.resolved.duration_since(UNIX_EPOCH);
            let values = [
                ("digest", origin.digest.to_string()),
                ("endpoints", origin.endpoints.join(" ")),
                ("time", time.unwrap_or_default().as_secs().to_string()),
            ];
            let values = values.map(|(key, value)| (format!("{OURS}{key}"), value));
            entry.annotations.extend(values);
        }
        entry
    }
}

fn find(index: &Index, reference: &Reference) -> Option<Named> {
    let mut entries = index.manifests.iter();
    let found = entries.find(|entry| is_named(entry, reference));
    found.cloned().map(Named::read)
}

fn set(index: &mut Index, reference: &Reference, named: Named) {
    index.manifests.retain(|old| !is_named(old, reference));
    index.manifests.push(named.write(reference));
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
