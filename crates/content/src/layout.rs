//! Where things are: the paths of the image layout and our own beside it, and how a file gets its
//! name.
//!
//! ```text
//! oci-layout  index.json  blobs/ALGORITHM/HEX     the layout, for everybody
//! tmp/        partial blobs, their records, and files that have no name yet
//! locks/      index, use
//! boot        the start of the machine under which blobs that may not be on the disk are trusted
//! quarantine/ corrupt blobs that were moved aside on request
//! ```

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sealift_oci::{Algorithm, Digest, Index};
use tempfile::NamedTempFile;

use crate::settle::{boot, settle_first};
use crate::{Error, Result, disk};

/// Largest `index.json` that is read, in bytes.
const INDEX_LIMIT: u64 = 64 * 1024 * 1024;
const VERSION: &str = "1.0.0";

/// The paths of one store.
#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Opens the layout of a folder, making what is missing of it.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let layout = Self {
            root: root.to_owned(),
        };
        for folder in [
            layout.blobs(Algorithm::Sha256),
            layout.tmp(),
            layout.locks(),
        ] {
            make_folder(&folder)?;
        }
        let _lock = crate::lock::index(&layout)?;
        layout.check_version()?;
        if !layout.index_path().exists() {
            layout.write_index(&Index::new(Vec::new()))?;
        }
        Ok(layout)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn blobs(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.as_str())
    }

    /// Where a blob is or will be: a digest's parts are safe as file names.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs(digest.algorithm()).join(digest.hex())
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(crate) fn boot(&self) -> PathBuf {
        self.root.join("boot")
    }

    pub(crate) fn index_lock(&self) -> PathBuf {
        self.locks().join("index")
    }

    pub(crate) fn use_lock(&self) -> PathBuf {
        self.locks().join("use")
    }

    fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    fn check_version(&self) -> Result<()> {
        let path = self.root.join("oci-layout");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return self.replace(&path, layout_file().as_bytes());
            }
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let version = serde_json::from_slice::<serde_json::Value>(&text)
            .ok()
            .and_then(|value| Some(value.get("imageLayoutVersion")?.as_str()?.to_owned()));
        match version {
            Some(version) if version.starts_with("1.") => Ok(()),
            Some(version) => Err(Error::Layout {
                path,
                reason: format!("image layout version {version}, only 1 is known"),
            }),
            None => Err(Error::Layout {
                path,
                reason: "no imageLayoutVersion in it".to_owned(),
            }),
        }
    }

    /// Reads `index.json`; a reader needs no lock, because the file is only ever replaced whole.
    pub(crate) fn read_index(&self) -> Result<Index> {
        let path = self.index_path();
        let size = fs::metadata(&path).map_err(Error::io("read", &path))?.len();
        let reason = |reason: String| Error::Layout {
            path: path.clone(),
            reason,
        };
        if size > INDEX_LIMIT {
            return Err(reason(format!(
                "{size} bytes, at most {INDEX_LIMIT} are read"
            )));
        }
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        Index::parse(&bytes).map_err(|error| reason(error.to_string()))
    }

    /// Replaces `index.json`; the caller holds its lock.
    pub(crate) fn write_index(&self, index: &Index) -> Result<()> {
        let bytes = serde_json::to_vec(index).expect("an index has no value that JSON refuses");
        self.replace(&self.index_path(), &bytes)
    }

    /// Makes a file without a name in the store's own temporary folder.
    pub(crate) fn temporary(&self) -> Result<NamedTempFile> {
        let tmp = self.tmp();
        let mut builder = tempfile::Builder::new();
        builder.prefix(NEW).permissions(mode(0o644));
        builder
            .tempfile_in(&tmp)
            .map_err(disk::write_error(&tmp, 0))
    }

    /// Gives a file its content as a whole, so that it lasts through a crash.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let full = || disk::write_error(path, bytes.len() as u64);
        let mut file = self.temporary()?;
        file.write_all(bytes).map_err(full())?;
        file.as_file().sync_all().map_err(full())?;
        file.persist(path).map_err(|error| full()(error.error))?;
        sync_folder(parent(path))
    }

    /// Makes a blob of bytes at hand.
    pub(crate) fn write_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let path = self.blob(digest);
        let full = || disk::write_error(&path, bytes.len() as u64);
        let mut file = self.temporary()?;
        file.write_all(bytes).map_err(full())?;
        let written = file.as_file().try_clone();
        let written = written.map_err(Error::io("open", &path))?;
        let file = file.into_temp_path();
        settle_first(&written).map_err(full())?;
        publish(&file, &path)?;
        // It has its name: nothing is left to remove.
        let _ = file.keep();
        Ok(())
    }
}

/// How names of nameless files begin.
pub(crate) const NEW: &str = "new-";

/// Returns the content of `oci-layout`.
pub(crate) fn layout_file() -> String {
    format!("{{\"imageLayoutVersion\":\"{VERSION}\"}}")
}

/// Makes a folder, and those above it, so that their names last through a crash.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
    sync_folder(parent(folder))
}

/// Gives a blob whose digest was checked its name: a young one, unless [`settle_first`] was needed.
pub(crate) fn publish(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(disk::write_error(to, 0))?;
    if boot() == 0 {
        sync_folder(parent(to))?;
    }
    Ok(())
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .expect("every path of a layout is in a folder")
}

/// Makes the names in a folder last through a crash.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    let sync = || File::open(folder)?.sync_all();
    sync().map_err(Error::io("sync", folder))
}

fn mode(bits: u32) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(bits)
}
