//! Opening a store: what is missing of the layout is made, and after a start of the machine the blobs
//! that a crash may have damaged are read again.
//!
//! Young blobs are trusted while the machine runs. `boot` in the store's folder says under which start
//! of the machine that is; whoever opens the store under another one first reads all young blobs again
//! and removes those that the crash has damaged. A disk that is full or read-only is no reason to
//! refuse a store that is there: it can be read, and content removed from it.

use std::fs;
use std::path::Path;

use rustix::fs::{Access, access};
use sealift_oci::{Algorithm, Index};

use crate::boot::boot;
use crate::folder::make_folder;
use crate::layout::{Layout, layout_file};
use crate::settle::Settled;
use crate::store::Store;
use crate::young::{is_loss, settle};
use crate::{Error, Result, disk};

impl Store {
    /// Opens the store in a folder, making it if it is not there. The first time after a start of the
    /// machine this reads again what a crash may have damaged; [`Store::open_reporting`] says what.
    ///
    /// # Errors
    /// [`Error::Layout`] where the folder holds an image layout of an unknown version,
    /// [`Error::Io`] and [`Error::DiskFull`] where there is no store and none can be made.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        Self::open_reporting(root).map(|(store, _)| store)
    }

    /// Does as [`Store::open`], and returns what was read again.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_reporting(root: impl AsRef<Path>) -> Result<(Self, Settled)> {
        let store = Self::new(Layout::new(root.as_ref()));
        let layout = store.layout();
        match prepare(layout) {
            Err(Error::Io { .. } | Error::DiskFull { .. } | Error::NoInodes { .. })
                if layout.index_path().exists() => {}
            other => other?,
        }
        check_version(layout)?;
        let settled = store.recover()?;
        Ok((store, settled))
    }

    /// Reads young blobs again where the machine was started anew since they were written.
    fn recover(&self) -> Result<Settled> {
        let mut settled = Settled::default();
        let id = boot();
        if self.is_of_boot(id) || access(self.root(), Access::WRITE_OK).is_err() {
            return Ok(settled);
        }
        let _lock = self.layout().lock_index()?;
        if self.is_of_boot(id) {
            return Ok(settled);
        }
        for (digest, _) in self.young()? {
            match self.hash_blob(&digest, &mut 0, &mut |_| {}) {
                Ok(Some(actual)) if actual == digest => {
                    // What cannot be marked is right all the same: it is read again the next time.
                    if let Ok(Ok(size)) = self.open_blob(&digest).map(|file| settle(&file)) {
                        settled.blobs += 1;
                        settled.bytes += size;
                    }
                }
                Ok(None) => {}
                Ok(Some(_)) => self.drop_damaged(digest, &mut settled)?,
                Err(Error::Io { source, .. }) if is_loss(&source) => {
                    self.drop_damaged(digest, &mut settled)?;
                }
                Err(error) => return Err(error),
            }
        }
        if id != 0 {
            let text = format!("{id:016x}\n");
            match self
                .layout()
                .replace(&self.layout().boot(), text.as_bytes())
            {
                // The next command reads the blobs again that could not be marked.
                Err(Error::DiskFull { .. } | Error::NoInodes { .. }) => {}
                other => other?,
            }
        }
        Ok(settled)
    }

    fn is_of_boot(&self, id: u64) -> bool {
        let text = fs::read_to_string(self.layout().boot()).unwrap_or_default();
        id != 0 && u64::from_str_radix(text.trim_end(), 16) == Ok(id)
    }
}

/// Makes what is missing of a layout.
fn prepare(layout: &Layout) -> Result<()> {
    for folder in [
        layout.blobs(Algorithm::Sha256),
        layout.tmp(),
        layout.locks(),
    ] {
        make_folder(&folder)?;
    }
    let _lock = layout.lock_index()?;
    if !layout.version_path().exists() {
        layout.replace(&layout.version_path(), layout_file().as_bytes())?;
    }
    if !layout.index_path().exists() {
        layout.write_index(&Index::new(Vec::new()))?;
    }
    // Only where there is plenty: it must not be what fills the disk.
    if !layout.spare().exists() && disk::available(layout.root()) > 64 * disk::RESERVE {
        layout.replace(&layout.spare(), &[0; disk::RESERVE as usize])?;
    }
    Ok(())
}

fn check_version(layout: &Layout) -> Result<()> {
    let path = layout.version_path();
    let text = fs::read(&path).map_err(Error::io("read", &path))?;
    let version = serde_json::from_slice::<serde_json::Value>(&text)
        .ok()
        .and_then(|value| Some(value.get("imageLayoutVersion")?.as_str()?.to_owned()));
    let reason = match version {
        Some(version) if version.starts_with("1.") => return Ok(()),
        Some(version) => format!("image layout version {version}, only 1 is known"),
        None => "no imageLayoutVersion in it".to_owned(),
    };
    Err(Error::Layout { path, reason })
}
