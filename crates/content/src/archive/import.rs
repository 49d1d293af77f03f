//! Reading an OCI archive into the store.

use std::io::Read;

use sealift_oci::{ANNOTATION_REF_NAME, Descriptor, Digest, Index, Reference};

use super::oci::CONTAINERD_NAME;
use crate::ingest::Ingestion;
use crate::names::{Name, name_of};
use crate::store::Store;
use crate::walk::DOCUMENT_LIMIT;
use crate::{Error, Result};

const BUFFER: usize = 256 * 1024;

/// What an archive held.
#[derive(Debug, Default)]
pub struct Imported {
    /// The images that are now named, as the archive names them.
    pub names: Vec<Name>,
    /// Entries of its index that have no full reference as their name: they are in the store, unnamed.
    pub unnamed: Vec<Descriptor>,
    /// Blobs that were not in the store before.
    pub blobs: u64,
}

/// Reads an uncompressed OCI archive, verifying every blob, and names its images, all or none.
///
/// Entries are taken by what they are and never by where they say they belong: nothing is written
/// outside the store.
///
/// # Errors
/// [`Error::Archive`] where there is no readable `index.json`, [`Error::Mismatch`] where a blob is
/// not what its name says, [`Error::IncompleteImage`] where a part of an image is in neither archive
/// nor store, [`Error::Stream`] where the archive can't be read, [`Error::DiskFull`], [`Error::Io`].
pub fn import_oci(store: &Store, archive: impl Read) -> Result<Imported> {
    let _lease = store.lease()?;
    let mut imported = Imported::default();
    let mut index = None;
    let mut tar = tar::Archive::new(archive);
    for entry in tar.entries().map_err(read_error)? {
        let mut entry = entry.map_err(read_error)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path_bytes().into_owned();
        let path = path.strip_prefix(b"./").unwrap_or(&path);
        if path == b"index.json" {
            index = Some(read_index(&mut entry)?);
        } else if let Some(digest) = blob_of(path) {
            let size = entry.size();
            imported.blobs += u64::from(read_blob(store, &digest, size, &mut entry)?);
        }
    }
    let index = index.ok_or_else(|| Error::Archive {
        reason: "there is no index.json in it".to_owned(),
    })?;
    for mut descriptor in index.manifests {
        match name_of(&descriptor).or_else(|| containerd_name(&descriptor)) {
            Some(name) => {
                for key in [ANNOTATION_REF_NAME, CONTAINERD_NAME] {
                    descriptor.annotations.remove(key);
                }
                imported.names.push((name, descriptor));
            }
            None => imported.unnamed.push(descriptor),
        }
    }
    store.set_names(&imported.names)?;
    Ok(imported)
}

/// Returns the name that docker and BuildKit give, which write the tag alone where we look first.
fn containerd_name(descriptor: &Descriptor) -> Option<Reference> {
    Reference::parse(descriptor.annotations.get(CONTAINERD_NAME)?).ok()
}

fn read_index(entry: &mut impl Read) -> Result<Index> {
    let mut bytes = Vec::new();
    entry
        .take(DOCUMENT_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(read_error)?;
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(Error::Archive {
            reason: format!("its index.json has more than {DOCUMENT_LIMIT} bytes"),
        });
    }
    Index::parse(&bytes).map_err(|error| Error::Archive {
        reason: error.to_string(),
    })
}

/// Reads `blobs/ALGORITHM/HEX` as a digest; anything else is no blob.
fn blob_of(path: &[u8]) -> Option<Digest> {
    let text = std::str::from_utf8(path).ok()?.strip_prefix("blobs/")?;
    let (algorithm, hex) = text.split_once('/')?;
    Digest::parse(&format!("{algorithm}:{hex}")).ok()
}

/// Brings one blob in; tells whether it was missing.
fn read_blob(store: &Store, digest: &Digest, size: u64, entry: &mut impl Read) -> Result<bool> {
    let Ingestion::Ready(ingest) = store.ingest_waiting(digest, Some(size))? else {
        return Ok(false);
    };
    // What an earlier ingest left may be wrong, and the archive has everything.
    ingest.discard(0..u64::MAX)?;
    let mut buffer = vec![0; BUFFER];
    let mut at = 0;
    loop {
        let read = entry.read(&mut buffer).map_err(read_error)?;
        if read == 0 {
            break;
        }
        ingest.write_at(at, &buffer[..read])?;
        at += read as u64;
    }
    ingest.commit()?;
    Ok(true)
}

fn read_error(source: std::io::Error) -> Error {
    Error::Stream {
        action: "read",
        source,
    }
}
