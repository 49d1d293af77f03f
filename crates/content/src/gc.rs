//! Removing what no named image needs, and counting what there is.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sealift_oci::{ANNOTATION_REF_NAME, Digest};

use crate::folder::{files_in, remove, sync_folder};
use crate::layout::{DATA, RANGES};
use crate::store::Store;
use crate::{Error, Result, disk};

/// How old a nameless file is at least when it is removed.
const NAMELESS: Duration = Duration::from_secs(600);

/// What a collection removed and what it left.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Collected {
    /// Blobs removed.
    pub blobs: u64,
    /// Partial downloads and nameless files removed.
    pub partials: u64,
    /// Corrupt blobs removed that a verification had moved aside.
    pub quarantined: u64,
    /// Bytes that this gave back.
    pub bytes: u64,
    /// Blobs that no image is known to need, but which are younger than the grace time or may belong to
    /// an incomplete image.
    pub spared: u64,
    /// Named images of which a manifest is missing or damaged. What they consist of is not known, so
    /// no blob is removed while there are any.
    pub incomplete: Vec<String>,
}

/// How much is in the store.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Named images.
    pub names: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes in blobs.
    pub blob_bytes: u64,
    /// Partial downloads.
    pub partials: u64,
    /// Bytes that partial downloads take on disk.
    pub partial_bytes: u64,
    /// Bytes that the file system has left for us.
    pub available: u64,
}

impl Store {
    /// Removes blobs that no entry of `index.json` leads to, partial downloads that nobody works on,
    /// corrupt blobs that were moved aside, and left-over temporary files, each only where it was last written longer than `grace` ago.
    ///
    /// # Errors
    /// [`Error::InUse`] while any lease is held, [`Error::Layout`] where `index.json` can't be
    /// understood (then nothing is removed), [`Error::Io`].
    pub fn gc(&self, grace: Duration) -> Result<Collected> {
        let _use = self.layout().exclusive_use()?;
        let _index = self.layout().lock_index()?;
        let mut collected = Collected::default();
        let needed = self.needed(&mut collected)?;
        let before = SystemTime::now().checked_sub(grace);
        let old = |modified: SystemTime| before.is_some_and(|before| modified <= before);
        let mut folders = HashSet::new();
        for digest in self.blobs()?.0 {
            if needed.contains(&digest) {
                continue;
            }
            let path = self.blob_path(&digest);
            let Some((size, modified)) = stat(&path)? else {
                continue;
            };
            if !old(modified) || !collected.incomplete.is_empty() {
                collected.spared += 1;
                continue;
            }
            remove(&path)?;
            collected.blobs += 1;
            collected.bytes += size;
            folders.insert(self.layout().blobs(digest.algorithm()));
        }
        for folder in folders {
            sync_folder(&folder)?;
        }
        self.collect_partials(&old, &mut collected)?;
        self.collect_quarantined(&old, &mut collected)?;
        Ok(collected)
    }

    fn collect_quarantined(
        &self,
        old: &impl Fn(SystemTime) -> bool,
        collected: &mut Collected,
    ) -> Result<()> {
        for path in files_in(&self.layout().quarantine())? {
            if let Some((size, _)) = stat(&path)?.filter(|(_, modified)| old(*modified)) {
                remove(&path)?;
                collected.quarantined += 1;
                collected.bytes += size;
            }
        }
        Ok(())
    }

    fn needed(&self, collected: &mut Collected) -> Result<HashSet<Digest>> {
        let mut needed = HashSet::new();
        for entry in self.layout().read_index()?.manifests {
            let (parts, failures) = self.reachable(&entry);
            if !failures.is_empty() {
                let name = entry.annotations.get(ANNOTATION_REF_NAME);
                let name = name.unwrap_or(&entry.digest.to_string()).clone();
                collected.incomplete.push(name);
            }
            needed.extend(parts.into_iter().map(|part| part.digest));
        }
        Ok(needed)
    }

    fn collect_partials(
        &self,
        old: &impl Fn(SystemTime) -> bool,
        collected: &mut Collected,
    ) -> Result<()> {
        for path in self.temporary_files()? {
            let Some((size, modified)) = stat(&path)? else {
                continue;
            };
            let is_journal = has_suffix(&path, RANGES);
            let is_data = has_suffix(&path, DATA);
            // A journal goes with its data, or on its own once that is gone.
            if !old(modified) || (is_journal && data_of(&path).exists()) {
                continue;
            }
            // Nameless files are in use for seconds, but nothing tells by whom.
            if !is_data && !is_journal && modified.elapsed().unwrap_or_default() < NAMELESS {
                continue;
            }
            let Some(_hold) = hold(&path)? else {
                continue;
            };
            if is_data {
                remove(&journal_of(&path))?;
            }
            remove(&path)?;
            collected.partials += u64::from(!is_journal);
            collected.bytes += size;
        }
        Ok(())
    }

    /// Counts what is in the store.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Layout`].
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = Usage {
            names: self.names()?.len() as u64,
            available: disk::available(self.root()),
            ..Usage::default()
        };
        for digest in self.blobs()?.0 {
            if let Some(size) = self.size(&digest)? {
                usage.blobs += 1;
                usage.blob_bytes += size;
            }
        }
        for path in self.temporary_files()? {
            if let Some((size, _)) = stat(&path)?.filter(|_| has_suffix(&path, DATA)) {
                usage.partials += 1;
                usage.partial_bytes += size;
            }
        }
        Ok(usage)
    }

    fn temporary_files(&self) -> Result<Vec<PathBuf>> {
        files_in(&self.layout().tmp())
    }
}

/// Returns what a file takes on disk, in bytes, and when it was written; nothing where it is gone.
fn stat(path: &Path) -> Result<Option<(u64, SystemTime)>> {
    use std::os::unix::fs::MetadataExt as _;
    match fs::metadata(path) {
        Ok(metadata) => {
            let modified = metadata.modified().map_err(Error::io("read", path))?;
            Ok(Some((metadata.blocks() * 512, modified)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Takes hold of a temporary file, unless somebody is writing it or it is gone.
fn hold(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(file.try_lock().is_ok().then_some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("open", path)(error)),
    }
}

fn has_suffix(path: &Path, suffix: &str) -> bool {
    path.to_str().is_some_and(|path| path.ends_with(suffix))
}

fn data_of(journal: &Path) -> PathBuf {
    journal.with_extension(DATA.trim_start_matches('.'))
}

fn journal_of(data: &Path) -> PathBuf {
    data.with_extension(RANGES.trim_start_matches('.'))
}
