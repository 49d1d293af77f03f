//! What the store has of the images that are needed, and how what was fetched gets its name there.
//!
//! A name points to an index of the platforms that we have, never to an upstream index of which
//! parts are missing; the annotation [`ORIGIN`] keeps the digest that the registry gave.

use sealift_content::{DOCUMENT_LIMIT, Store};
use sealift_oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Reference};

use crate::error::{Error, Kind, Result};

/// Annotation of a named index: the digest of the index or manifest at the registry.
pub const ORIGIN: &str = "io.sealift.origin.digest";

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

/// Selects a platform's manifest under an index or a manifest of the store.
///
/// # Errors
/// [`Kind::Local`] where the store can't be read.
pub fn select(store: &Store, root: &Descriptor, platform: &Platform) -> Result<Option<Descriptor>> {
    if !store.contains(&root.digest) {
        return Ok(None);
    }
    if root.media_type.is_index() {
        return Ok(index(store, root)?.select(platform).cloned());
    }
    let fits = match &root.platform {
        Some(own) => platform.rank(own).is_some(),
        None => platform.rank(&config(store, root)?.platform()).is_some(),
    };
    Ok(fits.then(|| root.clone()))
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

/// Tells whether a manifest's configuration and layers are all there.
fn is_whole(store: &Store, manifest: &Descriptor) -> Result<bool> {
    if !store.contains(&manifest.digest) {
        return Ok(false);
    }
    let bytes = store.read_blob(&manifest.digest, DOCUMENT_LIMIT)?;
    let parsed = Manifest::parse(&bytes).map_err(|error| malformed(manifest, error))?;
    Ok(parsed.blobs().all(|blob| store.contains(&blob.digest)))
}

/// Returns the digest that a registry gave for a name, if the name came from one.
///
/// # Errors
/// As [`index`].
pub fn origin(store: &Store, name: &Reference) -> Result<Option<Digest>> {
    let Some(root) = store.resolve(name)? else {
        return Ok(None);
    };
    if !root.media_type.is_index() || !store.contains(&root.digest) {
        return Ok(None);
    }
    let index = index(store, &root)?;
    Ok(index
        .annotations
        .get(ORIGIN)
        .and_then(|text| Digest::parse(text).ok()))
}

/// Names what was fetched. Platforms of the same original that were fetched before stay.
///
/// # Errors
/// [`Kind::Local`] or [`Kind::Disk`] where the store can't be written.
pub fn record(
    store: &Store,
    name: &Reference,
    of: &Digest,
    manifests: &[(Platform, Descriptor)],
) -> Result<()> {
    let mut entries: Vec<Descriptor> = Vec::new();
    for (platform, manifest) in manifests {
        let mut entry = manifest.clone();
        // A single manifest has no platform of its own in its descriptor.
        entry.platform.get_or_insert_with(|| platform.clone());
        push_new(&mut entries, entry);
    }
    if origin(store, name)?.as_ref() == Some(of)
        && let Some(root) = store.resolve(name)?
    {
        for known in index(store, &root)?.manifests {
            if is_whole(store, &known)? {
                push_new(&mut entries, known);
            }
        }
    }
    entries.sort_by(|a, b| {
        a.platform
            .cmp(&b.platform)
            .then_with(|| a.digest.cmp(&b.digest))
    });
    let mut index = Index::new(entries);
    index.annotations.insert(ORIGIN.to_owned(), of.to_string());
    let root = put_index(store, &index)?;
    Ok(store.set_names(&[(name.clone(), root)])?)
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
    Ok(store.put(sealift_oci::MediaType::OCI_INDEX, &bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealift_oci::MediaType;

    fn image(store: &Store, platform: &str) -> (Platform, Descriptor) {
        let platform = Platform::parse(platform).unwrap();
        let config = serde_json::json!({
            "os": platform.os, "architecture": platform.architecture,
            "rootfs": {"type": "layers", "diff_ids": []},
        });
        let config = store
            .put(MediaType::OCI_CONFIG, config.to_string().as_bytes())
            .unwrap();
        let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": []});
        let manifest = store
            .put(MediaType::OCI_MANIFEST, manifest.to_string().as_bytes())
            .unwrap();
        (platform, manifest)
    }

    #[test]
    fn platforms_of_one_original_come_together_and_of_another_replace() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let name = Reference::parse("busybox:1").unwrap();
        let [first, second] = [b"first", b"secnd"].map(|bytes| Digest::sha256(bytes));
        let (amd64, arm64) = (image(&store, "linux/amd64"), image(&store, "linux/arm64"));
        let found = |platform: &Platform| find(&store, &name, platform).unwrap().is_some();
        record(&store, &name, &first, std::slice::from_ref(&amd64)).unwrap();
        assert!(found(&amd64.0) && !found(&arm64.0));
        record(&store, &name, &first, std::slice::from_ref(&arm64)).unwrap();
        assert!(found(&amd64.0) && found(&arm64.0));
        assert_eq!(origin(&store, &name).unwrap(), Some(first));
        record(&store, &name, &second, std::slice::from_ref(&arm64)).unwrap();
        assert!(!found(&amd64.0) && found(&arm64.0));
        assert_eq!(origin(&store, &name).unwrap(), Some(second));
    }

    #[test]
    fn an_image_with_a_missing_blob_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let name = Reference::parse("busybox:1").unwrap();
        let (platform, manifest) = image(&store, "linux/amd64");
        record(
            &store,
            &name,
            &manifest.digest.clone(),
            &[(platform.clone(), manifest)],
        )
        .unwrap();
        let config = find(&store, &name, &platform).unwrap().unwrap();
        let bytes = store.read_blob(&config.digest, 1 << 20).unwrap();
        let parsed = Manifest::parse(&bytes).unwrap();
        std::fs::remove_file(store.blob_path(&parsed.config.digest)).unwrap();
        assert_eq!(find(&store, &name, &platform).unwrap(), None);
    }
}
