//! Folders of the store, and removing files from them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::file::folder;
use crate::{Error, Result};

/// Makes a folder, and those above it, so that their names last through a crash.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(Error::io("create folder", path))?;
    sync_folder(folder(path))
}

/// Makes the names in a folder last through a crash.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let sync = || File::open(path)?.sync_all();
    sync().map_err(Error::io("sync", path))
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Lists what is in a folder, in order; nothing where there is no folder.
pub(crate) fn files_in(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io("list", path))?,
    };
    let files: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut files = files.map_err(Error::io("list", path))?;
    files.sort();
    Ok(files)
}
