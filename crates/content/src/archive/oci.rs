//! The OCI archive: a tar of an image layout that holds the chosen images and no more.

use std::collections::BTreeSet;
use std::io::Write;

use sealift_oci::{ANNOTATION_REF_NAME, Descriptor, Digest, Index};

use super::writer::Writer;
use crate::Result;
use crate::layout::layout_file;
use crate::names::Name;
use crate::store::Store;

/// The name under which containerd, and so a recent Docker, takes an image out of an archive.
pub(super) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Writes an OCI archive of images; the same images give the same bytes.
///
/// # Errors
/// As [`Store::closure`] where an image can't be walked, [`crate::Error::NotFound`] where a part is
/// missing, [`crate::Error::Stream`] where `out` fails.
pub fn write_oci(store: &Store, images: &[Name], out: impl Write) -> Result<()> {
    let mut blobs = BTreeSet::new();
    let mut entries = Vec::new();
    for (reference, descriptor) in images {
        blobs.extend(parts(store, descriptor)?);
        let mut entry = descriptor.clone();
        for key in [ANNOTATION_REF_NAME, CONTAINERD_NAME] {
            entry
                .annotations
                .insert(key.to_owned(), reference.to_string());
        }
        entries.push(entry);
    }
    let mut writer = Writer::new(store, out);
    layout(&mut writer, entries)?;
    writer.blobs(blobs.iter())?;
    writer.finish()
}

/// Writes the two files by which a layout is known.
pub(super) fn layout<W: Write>(writer: &mut Writer<'_, W>, entries: Vec<Descriptor>) -> Result<()> {
    let index =
        serde_json::to_vec(&Index::new(entries)).expect("an index has no value that JSON refuses");
    writer.file("oci-layout", layout_file().as_bytes())?;
    writer.file("index.json", &index)
}

/// Lists the blobs of an image that an archive has to hold.
pub(super) fn parts(store: &Store, descriptor: &Descriptor) -> Result<BTreeSet<Digest>> {
    let mut parts = BTreeSet::new();
    for part in store.closure(descriptor)? {
        if store.has(&part)? || !part.media_type.is_foreign() {
            parts.insert(part.digest);
        }
    }
    Ok(parts)
}
