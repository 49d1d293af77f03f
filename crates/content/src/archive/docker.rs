//! The Docker archive, which `docker load` reads: one image, its layers as they are.
//!
//! The form is that of `docker save` since version 25: an image layout with `manifest.json` beside it,
//! which older daemons read.

use std::io::Write;

use sealift_oci::{ANNOTATION_REF_NAME, Descriptor, Manifest, Reference};
use serde::Serialize;

use super::oci::{CONTAINERD_NAME, layout, parts};
use super::writer::{Writer, blob_path};
use crate::store::Store;
use crate::walk::DOCUMENT_LIMIT;
use crate::{Error, Result};

/// An entry of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// Writes a Docker archive of the image of one platform under some names; the same input gives the
/// same bytes. Names without a tag can't be given to Docker and are left out.
///
/// # Errors
/// [`Error::NotAnImage`] where the descriptor is of an index, as [`Store::closure`] where the image
/// can't be read, [`Error::NotFound`] where a part is missing, [`Error::Stream`] where `out` fails.
pub fn write_docker(
    store: &Store,
    manifest: &Descriptor,
    names: &[Reference],
    out: impl Write,
) -> Result<()> {
    if !manifest.media_type.is_manifest() {
        return Err(Error::NotAnImage {
            digest: manifest.digest.clone(),
            media_type: manifest.media_type.clone(),
        });
    }
    let bytes = store.read_blob(&manifest.digest, DOCUMENT_LIMIT)?;
    let image = Manifest::parse(&bytes).map_err(|source| Error::Document {
        digest: manifest.digest.clone(),
        source,
    })?;
    let mut writer = Writer::new(store, out);
    layout(&mut writer, entries(manifest, names))?;
    writer.file("manifest.json", &json(&[describe(&image, names)]))?;
    writer.blobs(parts(store, manifest)?.iter())?;
    writer.finish()
}

fn describe(image: &Manifest, names: &[Reference]) -> Image {
    Image {
        config: blob_path(&image.config.digest),
        repo_tags: names
            .iter()
            .filter_map(|name| Some(format!("{}:{}", short(name), name.tag()?)))
            .collect(),
        layers: image
            .layers
            .iter()
            .map(|layer| blob_path(&layer.digest))
            .collect(),
    }
}

/// Makes an entry of `index.json` for each name, or one without a name.
fn entries(manifest: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    let mut entries = Vec::new();
    for name in names {
        let mut entry = manifest.clone();
        let tag = name.tag().unwrap_or_default().to_owned();
        let annotations = &mut entry.annotations;
        annotations.insert(CONTAINERD_NAME.to_owned(), name.to_string());
        annotations.insert(ANNOTATION_REF_NAME.to_owned(), tag);
        entries.push(entry);
    }
    if entries.is_empty() {
        entries.push(manifest.clone());
    }
    entries
}

/// Returns the repository as Docker's users write it: `busybox`, not `docker.io/library/busybox`.
fn short(name: &Reference) -> String {
    let familiar = name.familiar();
    let bare = familiar.split('@').next().unwrap_or_default();
    match name.tag() {
        Some(tag) => bare
            .strip_suffix(tag)
            .and_then(|bare| bare.strip_suffix(':'))
            .unwrap_or(bare)
            .to_owned(),
        None => bare.to_owned(),
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("text and lists are never refused by JSON")
}
