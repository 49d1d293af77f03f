//! Where the result of a solve goes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sealift_content::Store;

/// Where the result of a solve goes.
#[derive(Debug, Clone, Default)]
pub enum Output {
    /// Nowhere: it stays in the daemon's cache.
    #[default]
    None,
    /// An image into a content store: blobs that are there are not sent.
    Store(Store),
    /// The file system of the target into a folder, which keeps what else it has.
    Folder(PathBuf),
}

impl Output {
    /// Returns the daemon's name of the exporter and the attributes that this output needs.
    pub(crate) fn exporter(&self) -> Option<(&'static str, BTreeMap<String, String>)> {
        match self {
            Self::None => None,
            Self::Store(_) => Some(("oci", BTreeMap::from([("tar".into(), "false".into())]))),
            Self::Folder(_) => Some(("local", BTreeMap::new())),
        }
    }
}
