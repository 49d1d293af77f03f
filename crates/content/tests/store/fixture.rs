//! What the tests have in common: stores, noise, and images made of it.

use std::fs;

use sealift_content::{Ingest, Ingestion, Store};
use sealift_oci::{Descriptor, Digest, Reference};
use sealift_test_support::{Image, random_image};
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

/// Parses a full reference.
pub(crate) fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

/// Makes a small image of two platforms.
pub(crate) fn image(seed: u64) -> Image {
    random_image(seed, &["linux/amd64", "linux/arm64"], &[20_000, 3_000])
}

/// Puts all of an image into the store, without naming it.
pub(crate) fn put(store: &Store, image: &Image) -> Descriptor {
    for blob in image.all() {
        store
            .put(blob.descriptor.media_type.as_str(), &blob.bytes)
            .unwrap();
    }
    image.root.descriptor.clone()
}

/// Puts an image into the store and names it.
pub(crate) fn put_named(store: &Store, image: &Image, name: &str) -> (Reference, Descriptor) {
    let named = (reference(name), put(store, image));
    store.set_names(std::slice::from_ref(&named)).unwrap();
    named
}
