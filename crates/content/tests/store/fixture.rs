//! What the tests have in common: stores, noise, and images made of it.

use std::fs;

use sealift_content::{Ingest, Ingestion, Store};
use sealift_oci::Digest;
use tempfile::TempDir;

/// Makes an empty store that goes with its folder.
pub(crate) fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

/// Makes bytes that are the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

/// Begins an ingest that must be ours.
pub(crate) fn ready(store: &Store, digest: &Digest, size: Option<u64>) -> Ingest {
    match store.ingest(digest, size).unwrap() {
        Ingestion::Ready(ingest) => ingest,
        other => panic!("{other:?}"),
    }
}

/// Lists the store's temporary files.
pub(crate) fn tmp_files(store: &Store) -> Vec<String> {
    let entries = fs::read_dir(store.root().join("tmp")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
