//! Certificates and keys, read once when the configuration is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealift_config::{Place, Reader};
use serde::{Serialize, Serializer};

/// A PEM file with its content. It prints as its path: the content may be a private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    path: PathBuf,
    content: Arc<[u8]>,
}

impl Pem {
    /// Reads the file that a configuration names at `from`, noting that it cannot be read.
    pub(crate) fn read(reader: &mut Reader<'_>, path: &Path, from: &Place) -> Option<Self> {
        let content = reader.bytes(path, from)?;
        Some(Self {
            path: path.to_owned(),
            content: content.into(),
        })
    }

    /// Returns the file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file's content.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Pem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
