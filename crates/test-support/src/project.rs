//! A project folder of a test.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A temporary folder with files, removed when dropped.
#[derive(Debug)]
pub struct Project {
    folder: TempDir,
}

impl Default for Project {
    fn default() -> Self {
        Self::new()
    }
}

impl Project {
    /// Makes an empty project.
    ///
    /// # Panics
    /// Where no temporary folder can be made.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self { folder }
    }

    /// Makes a project whose only file is a Dockerfile.
    #[must_use]
    pub fn dockerfile(text: &str) -> Self {
        Self::new().file("Dockerfile", text)
    }

    /// Adds a file, or replaces it, with the folders above it.
    ///
    /// # Panics
    /// Where it cannot be written.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(path, content);
        self
    }

    /// Adds a program: a file with mode 755.
    ///
    /// # Panics
    /// Where it cannot be written.
    #[must_use]
    pub fn program(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.write(path, content);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
            .expect("a file of our own");
        self
    }

    /// Writes a file, or replaces it, and returns its path.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(path);
        let parent = path.parent().expect("a file has a folder");
        std::fs::create_dir_all(parent).expect("a temporary folder can be written");
        std::fs::write(&path, content).expect("a temporary folder can be written");
        path
    }

    /// Returns the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
