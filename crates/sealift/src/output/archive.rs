//! Archives on disk.

use std::path::Path;

use sealift_content::Store;
use sealift_oci::{Descriptor, Reference};

use crate::error::Result;
use crate::file;

/// Writes an OCI archive of an image under its names.
///
/// # Errors
/// [`crate::error::Kind::Local`] or [`crate::error::Kind::Disk`] if it cannot be written; an older
/// file then stays as it was.
pub fn write_oci(
    store: &Store,
    image: &Descriptor,
    names: &[Reference],
    path: &Path,
) -> Result<()> {
    let named: Vec<_> = names
        .iter()
        .map(|name| (name.clone(), image.clone()))
        .collect();
    file::write(path, |out| {
        sealift_content::write_oci(store, &named, out).map_err(|error| unwritten(path, error))
    })
}

/// Writes an archive that `docker load` reads, of one platform's manifest.
///
/// # Errors
/// As [`write_oci`].
pub fn write_docker(
    store: &Store,
    manifest: &Descriptor,
    names: &[Reference],
    path: &Path,
) -> Result<()> {
    file::write(path, |out| {
        sealift_content::write_docker(store, manifest, names, out)
            .map_err(|error| unwritten(path, error))
    })
}

/// Names the archive where its disk or reader failed; what the store lacks is the store's error.
fn unwritten(path: &Path, error: sealift_content::Error) -> crate::error::Error {
    match error {
        sealift_content::Error::Stream { source, .. } => file::failed("write", path, source),
        other => other.into(),
    }
}
