//! The one way to write a file: it appears at its path whole or not at all.
//!
//! Every crate that may use this one writes its files here, so that none is ever left half written
//! and the modes are the same everywhere.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever the umask lets read it.
    Umask,
    /// Its owner alone, whatever the umask.
    Owner,
}

/// A file that is written under a temporary name and appears at its path when it is committed.
/// Dropped before that, it leaves nothing.
#[derive(Debug)]
pub struct AtomicFile {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Starts a file beside its path, making the folder if it is not there.
    ///
    /// # Errors
    /// What the system answers.
    pub fn create(path: &Path, access: Access) -> io::Result<Self> {
        fs::create_dir_all(folder(path))?;
        Self::create_in(folder(path), path, access)
    }

    /// Starts a file in another folder of the same file system.
    pub(crate) fn create_in(folder: &Path, path: &Path, access: Access) -> io::Result<Self> {
        let mode = match access {
            Access::Umask => 0o666,
            Access::Owner => 0o600,
        };
        let mut builder = tempfile::Builder::new();
        builder.permissions(Permissions::from_mode(mode));
        Ok(Self {
            temporary: builder.tempfile_in(folder)?,
            path: path.to_owned(),
        })
    }

    /// Returns the open file.
    #[must_use]
    pub fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Gives the file its path, replacing what is there: a symbolic link is replaced, not followed.
    ///
    /// # Errors
    /// What the system answers; what was at the path stays.
    pub fn commit(self) -> io::Result<File> {
        Ok(self.temporary.persist(self.path)?)
    }

    /// Does as [`AtomicFile::commit`], and returns only when a crash of the machine can undo neither
    /// the content nor the name.
    pub(crate) fn commit_durably(self) -> io::Result<File> {
        self.file().sync_all()?;
        let folder = folder(&self.path).to_owned();
        let file = self.commit()?;
        File::open(folder)?.sync_all()?;
        Ok(file)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.flush()
    }
}

/// Writes a small file whole, replacing what is there.
///
/// # Errors
/// As [`AtomicFile::create`] and [`AtomicFile::commit`].
pub fn write_file(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut file = AtomicFile::create(path, access)?;
    file.write_all(bytes)?;
    file.commit().map(drop)
}

/// Returns the folder that a path is in; the working folder where it names none.
pub(crate) fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|path| !path.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b");
        write_file(&path, b"old", Access::Owner).unwrap();
        let mut file = AtomicFile::create(&path, Access::Umask).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(base.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let (target, link) = (base.path().join("target"), base.path().join("link"));
        write_file(&target, b"theirs", Access::Umask).unwrap();
        symlink(&target, &link).unwrap();
        write_file(&link, b"ours", Access::Umask).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "theirs");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
        let plain = base.path().join("plain");
        File::options()
            .create_new(true)
            .write(true)
            .open(&plain)
            .unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&link), mode(&plain));
    }
}
