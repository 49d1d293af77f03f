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

    pub(crate) fn file(&self) -> &File {
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

/// A file that the user named as an output.
///
/// Where the path leads to a device, a FIFO, or through a symbolic link (`/dev/stdout`), that is
/// written to. Otherwise the file appears whole or not at all.
#[derive(Debug)]
pub enum OutputFile {
    /// A regular file, new or replaced.
    Atomic(AtomicFile),
    /// What was there.
    InPlace(File),
}

impl OutputFile {
    /// Opens an output, making its folder if it is not there.
    ///
    /// # Errors
    /// What the system answers.
    pub fn create(path: &Path) -> io::Result<Self> {
        let existing = fs::symlink_metadata(path).map(|metadata| metadata.file_type());
        if existing.is_ok_and(|kind| !kind.is_file()) {
            let mut options = File::options();
            let file = options.write(true).create(true).truncate(true).open(path)?;
            return Ok(Self::InPlace(file));
        }
        AtomicFile::create(path, Access::Umask).map(Self::Atomic)
    }

    /// Ends the output; without this a regular file does not appear.
    ///
    /// # Errors
    /// What the system answers.
    pub fn commit(self) -> io::Result<()> {
        match self {
            Self::Atomic(file) => file.commit().map(drop),
            Self::InPlace(mut file) => file.flush(),
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Atomic(file) => file.write(bytes),
            Self::InPlace(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Atomic(file) => file.flush(),
            Self::InPlace(file) => file.flush(),
        }
    }
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
    fn modes_follow_the_umask() {
        let base = tempfile::tempdir().unwrap();
        let plain = base.path().join("plain");
        File::options()
            .create_new(true)
            .write(true)
            .open(&plain)
            .unwrap();
        let path = base.path().join("out");
        OutputFile::create(&path).unwrap().commit().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
    }

    #[test]
    fn an_output_goes_to_what_is_there() {
        let base = tempfile::tempdir().unwrap();
        let (target, link) = (base.path().join("target"), base.path().join("link"));
        symlink(&target, &link).unwrap();
        for text in ["longer", "short"] {
            let mut output = OutputFile::create(&link).unwrap();
            output.write_all(text.as_bytes()).unwrap();
            output.commit().unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        // A file that is not meant as an output replaces the link.
        write_file(&link, b"own", Access::Umask).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "short");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
        OutputFile::create(Path::new("/dev/null"))
            .unwrap()
            .commit()
            .unwrap();
        assert!(!fs::symlink_metadata("/dev/null").unwrap().is_file());
        assert!(OutputFile::create(base.path()).is_err());
    }
}
