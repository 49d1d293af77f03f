//! What the store has of the images that are needed, and how what was fetched gets its name there.
//!
//! A name points to the registry's own index or manifest where all of it is here. Of an index whose
//! platforms are only here in part, it points to an index of those, of the same family.

use std::time::SystemTime;

use sealift_content::{DOCUMENT_LIMIT, Error as Fault, Named, Origin, Store};
use sealift_oci::{Descriptor, ImageConfig, Index, Manifest, MediaType, Platform, Reference};
use sealift_registry::Pulled;

use crate::error::{Error, Kind, Result};

/// Finds the complete image of a platform under a name.
///
/// # Errors
/// [`Kind::Local`] where the store can't be read.
pub fn find(store: &Store, name: &Reference, platform: &Platform) -> Result<Option<Descriptor>> {
    let Some(root) = store.resolve(name)? else {
        return Ok(None);
    };
    let Some(manifest) = select(store, &root, platform)? else {
        return Ok(None);
    };
    Ok(is_whole(store, &manifest)?.then_some(manifest))
}

/// Returns whether the store has an image for all of these platforms.
///
/// # Errors
/// As [`find`].
pub fn has(store: &Store, name: &Reference, platforms: &[Platform]) -> Result<bool> {
    for platform in platforms {
        if find(store, name, platform)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Selects a platform's manifest under an index or a manifest of the store.
///
/// # Errors
/// [`Kind::Local`] where the store can't be read.
pub fn select(store: &Store, root: &Descriptor, platform: &Platform) -> Result<Option<Descriptor>> {
    match store.check(&root.digest) {
        // A damaged one was moved aside; it can be fetched again.
        Err(Fault::NotFound { .. } | Fault::Corrupt { .. }) => return Ok(None),
        other => other?,
    }
    if root.media_type.is_index() {
        return Ok(index(store, root)?.select(platform).cloned());
    }
    // A single manifest is all that there is, whatever platform it is for.
    Ok(Some(root.clone()))
}

/// Reads an index of the store.
///
/// # Errors
/// [`Kind::Local`] where it can't be read, [`Kind::Corrupt`] where it is none.
pub fn index(store: &Store, descriptor: &Descriptor) -> Result<Index> {
    let bytes = store.read_blob(&descriptor.digest, DOCUMENT_LIMIT)?;
    Index::parse(&bytes).map_err(|error| malformed(descriptor, error))
}

/// Reads the configuration of a manifest of the store.
///
/// # Errors
/// As [`index`].
pub fn config(store: &Store, manifest: &Descriptor) -> Result<ImageConfig> {
    let bytes = store.read_blob(&manifest.digest, DOCUMENT_LIMIT)?;
    let parsed = Manifest::parse(&bytes).map_err(|error| malformed(manifest, error))?;
    let bytes = store.read_blob(&parsed.config.digest, DOCUMENT_LIMIT)?;
    ImageConfig::parse(&bytes).map_err(|error| malformed(&parsed.config, error))
}

fn malformed(descriptor: &Descriptor, error: sealift_oci::Error) -> Error {
    Error::new(
        Kind::Corrupt,
        format!("{} in the store cannot be parsed", descriptor.digest),
    )
    .because(error)
}

/// Returns whether everything is here that a manifest or an index leads to.
fn is_whole(store: &Store, root: &Descriptor) -> Result<bool> {
    let parts = match store.closure(root) {
        // A damaged document was moved aside; it can be fetched again.
        Err(Fault::NotFound { .. } | Fault::Corrupt { .. }) => return Ok(false),
        other => other?,
    };
    for part in parts {
        match store.has(&part) {
            Ok(true) => {}
            Ok(false) | Err(Fault::Size { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Names what was fetched from `endpoints`. Platforms of the same original that were fetched before
/// stay, by another command at the same time too.
///
/// # Errors
/// [`Kind::Local`] or [`Kind::Disk`] where the store can't be written.
pub fn record(
    store: &Store,
    name: &Reference,
    pulled: &Pulled,
    endpoints: Vec<String>,
) -> Result<()> {
    let digest = pulled.origin.digest.clone();
    store.update_name(name, |now| {
        let content = if pulled.origin.media_type.is_index() && !is_whole(store, &pulled.origin)? {
            let same = |named: &Named| named.origin.as_ref().is_some_and(|o| o.digest == digest);
            let known = now.filter(same).map(|named| named.content);
            join(store, pulled, known)?
        } else {
            pulled.origin.clone()
        };
        let origin = Some(Origin {
            digest: digest.clone(),
            endpoints,
            resolved: SystemTime::now(),
        });
        Ok(Named { content, origin })
    })
}

/// Makes an index of the platforms that are here: those that were just fetched, and those of the
/// index that was made before.
fn join(store: &Store, pulled: &Pulled, known: Option<Descriptor>) -> Result<Descriptor> {
    let mut joined = index(store, &pulled.origin)?;
    joined.manifests.clear();
    let entries = &mut joined.manifests;
    for (platform, manifest) in &pulled.manifests {
        let mut entry = manifest.clone();
        entry.platform.get_or_insert_with(|| platform.clone());
        push_new(entries, entry);
    }
    // One that is damaged has nothing to keep.
    let known = known.and_then(|known| index(store, &known).ok());
    for entry in known.into_iter().flat_map(|known| known.manifests) {
        if is_whole(store, &entry)? {
            push_new(entries, entry);
        }
    }
    entries.sort_by(|a, b| {
        a.platform
            .cmp(&b.platform)
            .then_with(|| a.digest.cmp(&b.digest))
    });
    put_index(store, &joined)
}

fn push_new(entries: &mut Vec<Descriptor>, entry: Descriptor) {
    if !entries.iter().any(|known| known.digest == entry.digest) {
        entries.push(entry);
    }
}

/// Puts an index into the store.
///
/// # Errors
/// [`Kind::Local`] or [`Kind::Disk`] where the store can't be written.
pub fn put_index(store: &Store, index: &Index) -> Result<Descriptor> {
    let bytes = serde_json::to_vec_pretty(index)
        .map_err(|error| Error::new(Kind::Local, "cannot write an index").because(error))?;
    let media_type = index.media_type.as_ref();
    let media_type = media_type.map_or(MediaType::OCI_INDEX, MediaType::as_str);
    Ok(store.put(media_type, &bytes)?)
}

#[cfg(test)]
mod tests;
