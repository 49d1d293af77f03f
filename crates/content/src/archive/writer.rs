//! A tar stream that is the same for the same images: fixed order, times, owners and modes.

use std::io::{self, Read, Write};

use sealift_oci::Digest;

use crate::store::Store;
use crate::{Error, Result};

/// Writes the parts of an archive.
pub(super) struct Writer<'a, W: Write> {
    store: &'a Store,
    tar: tar::Builder<W>,
}

impl<'a, W: Write> Writer<'a, W> {
    pub(super) fn new(store: &'a Store, out: W) -> Self {
        Self {
            store,
            tar: tar::Builder::new(out),
        }
    }

    /// Adds a small file.
    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.entry(path, bytes.len() as u64, bytes)
    }

    /// Adds the folders of an image layout, then blobs, which the caller has sorted.
    pub(super) fn blobs<'d>(&mut self, blobs: impl Iterator<Item = &'d Digest>) -> Result<()> {
        self.folder("blobs/")?;
        let mut algorithm = None;
        for digest in blobs {
            if algorithm != Some(digest.algorithm()) {
                algorithm = Some(digest.algorithm());
                self.folder(&format!("blobs/{}/", digest.algorithm().as_str()))?;
            }
            self.blob(digest)?;
        }
        Ok(())
    }

    fn blob(&mut self, digest: &Digest) -> Result<()> {
        let file = self.store.open_checked(digest)?;
        let path = self.store.blob_path(digest);
        let size = file.metadata().map_err(Error::io("read", &path))?.len();
        self.entry(&blob_path(digest), size, file)
    }

    pub(super) fn finish(self) -> Result<()> {
        self.tar
            .into_inner()
            .and_then(|mut out| out.flush())
            .map_err(write_error)
    }

    fn folder(&mut self, path: &str) -> Result<()> {
        let mut header = header(0, 0o755);
        header.set_entry_type(tar::EntryType::Directory);
        self.tar
            .append_data(&mut header, path, io::empty())
            .map_err(write_error)
    }

    fn entry(&mut self, path: &str, size: u64, data: impl Read) -> Result<()> {
        self.tar
            .append_data(&mut header(size, 0o644), path, data)
            .map_err(write_error)
    }
}

/// Returns where a blob is in an archive, as in a layout.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn write_error(source: io::Error) -> Error {
    Error::Stream { source }
}
