//! A file of a tree that is being written: it shows up whole or not at all.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, fchmod, futimens, unlinkat};

use super::attributes::{Attributes, set_xattrs, times};
use super::rename;

/// A file that is being written, under a temporary name.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) file: File,
    pub(super) folder: OwnedFd,
    pub(super) temporary: String,
    pub(super) name: OsString,
    pub(super) path: String,
    pub(super) attributes: Attributes,
    pub(super) published: bool,
}

impl Draft {
    /// Returns its path in the tree.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Sets its attributes and renames it.
    pub(super) fn publish(&mut self) -> rustix::io::Result<()> {
        set_xattrs(&self.file, &self.attributes.xattrs);
        fchmod(&self.file, Mode::from_raw_mode(self.attributes.mode))?;
        futimens(&self.file, &times(self.attributes.modified))?;
        rename(&self.folder, &self.temporary, &self.name)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // A left-over with a name like ours does no harm.
            let _ = unlinkat(&self.folder, &*self.temporary, AtFlags::empty());
        }
    }
}
