//! The files of a machine, below one root, so that tests can plant a whole machine.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use sealift_config::Files;

/// Larger files are no configuration, in bytes.
const LIMIT: u64 = 4 << 20;

/// The files below a root, `/` on a real machine.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    root: &'a Path,
}

impl<'a> Machine<'a> {
    pub(crate) const fn new(root: &'a Path) -> Self {
        Self { root }
    }
}

impl Files for Machine<'_> {
    fn locate(&self, path: &Path) -> PathBuf {
        if path.starts_with(self.root) {
            return path.to_owned();
        }
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn read(&self, path: &Path, named: bool) -> io::Result<Vec<u8>> {
        let refused = |kind, why: &str| Err(io::Error::new(kind, why.to_owned()));
        let kind = fs::metadata(path)?.file_type();
        if kind.is_dir() {
            return refused(io::ErrorKind::IsADirectory, "it is a folder");
        }
        // To open a pipe waits for its writer. Somebody who names one has a writer.
        if !named && (kind.is_fifo() || kind.is_socket()) {
            return refused(io::ErrorKind::InvalidInput, "it is not a file");
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LIMIT {
            return refused(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB");
        }
        Ok(bytes)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(path)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }
}
