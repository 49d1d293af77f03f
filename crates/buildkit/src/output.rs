//! Where the result of a solve goes, and what is known of it afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sealift_content::Store;
use sealift_oci::{Descriptor, Digest};

use crate::session::Traffic;
use crate::{Error, Result};

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
    /// One archive to a writer.
    Archive(Archive, Sink),
}

/// The kinds of archive that the daemon makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// An OCI image layout in a tar archive.
    Oci,
    /// What `docker load` reads.
    Docker,
    /// The file system of the target as a tar archive.
    Tar,
}

/// A writer that an archive goes to.
#[derive(Clone)]
pub struct Sink(pub(crate) Arc<Mutex<dyn Write + Send>>);

impl Sink {
    /// Wraps a writer; it is flushed at the end.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

impl Output {
    /// Returns the daemon's name of the exporter and the attributes that this output needs.
    pub(crate) fn exporter(&self) -> Option<(&'static str, BTreeMap<String, String>)> {
        let none = BTreeMap::new();
        Some(match self {
            Self::None => return None,
            Self::Store(_) => {
                let tar = BTreeMap::from([("tar".to_owned(), "false".to_owned())]);
                ("oci", tar)
            }
            Self::Folder(_) => ("local", none),
            Self::Archive(Archive::Oci, _) => ("oci", none),
            Self::Archive(Archive::Docker, _) => ("docker", none),
            Self::Archive(Archive::Tar, _) => ("tar", none),
        })
    }
}

/// What a solve made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solved {
    /// All that the exporter says, by BuildKit's keys.
    pub response: BTreeMap<String, String>,
    /// The image's manifest or index, where an image was made.
    pub image: Option<Descriptor>,
    /// What the daemon asked of us meanwhile.
    pub traffic: Traffic,
}

impl Solved {
    pub(crate) fn new(response: BTreeMap<String, String>, traffic: Traffic) -> Result<Self> {
        let image = response
            .get("containerimage.descriptor")
            .map(|text| descriptor(text))
            .transpose()?;
        Ok(Self {
            response,
            image,
            traffic,
        })
    }

    /// Returns the digest of the image's configuration, which docker calls the image's id.
    #[must_use]
    pub fn config_digest(&self) -> Option<Digest> {
        let text = self.response.get("containerimage.config.digest")?;
        Digest::parse(text).ok()
    }
}

fn descriptor(text: &str) -> Result<Descriptor> {
    use base64::Engine as _;
    let wrong = |reason: String| Error::Answer {
        call: "Solve",
        reason: format!("the image's descriptor: {reason}"),
    };
    let engine = base64::engine::general_purpose::STANDARD;
    let json = engine
        .decode(text)
        .map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| wrong(error.to_string()))
}
