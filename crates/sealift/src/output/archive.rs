//! Archives on disk, written beside their final name and renamed when they are whole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use sealift_content::Store;
use sealift_oci::{Descriptor, Reference};

use crate::error::{Error, Kind, Result};

/// Writes an OCI archive of an image under its names.
///
/// # Errors
/// [`Kind::Local`] or [`Kind::Disk`] where it can't be written; an older file then stays as it was.
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
    whole(path, |file| sealift_content::write_oci(store, &named, file))
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
    whole(path, |file| {
        sealift_content::write_docker(store, manifest, names, file)
    })
}

fn whole(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> sealift_content::Result<()>,
) -> Result<()> {
    let failed = |error: std::io::Error| {
        let full = error.kind() == std::io::ErrorKind::StorageFull;
        let kind = if full { Kind::Disk } else { Kind::Local };
        Error::new(kind, format!("cannot write {}", path.display())).because(error)
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file.as_file());
    fill(&mut writer).map_err(|error| {
        Error::new(Kind::Local, format!("cannot write {}", path.display())).because(error)
    })?;
    writer.flush().map_err(failed)?;
    drop(writer);
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
