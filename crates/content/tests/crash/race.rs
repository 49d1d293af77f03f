//! Several processes that want the same at once.

use std::path::Path;
use std::process::Child;

use sealift_content::{Repair, Store};
use sealift_oci::{Index, Reference};

use crate::worker::{self, contested};

const WORKERS: u64 = 4;

fn run(task: &str, root: &Path, log: &Path) {
    let workers: Vec<Child> = (0..WORKERS)
        .map(|seed| worker::start(task, root, seed, log))
        .collect();
    for mut child in workers {
        assert!(child.wait().unwrap().success());
    }
}

/// Four processes hand one blob to one another until it is whole: no byte is written twice.
pub(crate) fn for_one_digest() {
    let folder = tempfile::tempdir().unwrap();
    let (root, log) = (folder.path().join("store"), folder.path().join("log"));
    run("blob", &root, &log);
    let store = Store::open(&root).unwrap();
    let blob = contested();
    let bytes = store.read_blob(&blob.descriptor.digest, 1 << 22).unwrap();
    assert_eq!(bytes, blob.bytes);
    let text = std::fs::read_to_string(&log).unwrap();
    let written: u64 = text
        .lines()
        .map(|line| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(written, blob.descriptor.size);
    assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 0);
}

/// Four processes set and remove names at once: none is lost, none comes back.
pub(crate) fn for_index_json() {
    let folder = tempfile::tempdir().unwrap();
    let (root, log) = (folder.path().join("store"), folder.path().join("log"));
    run("names", &root, &log);
    let store = Store::open(&root).unwrap();
    assert_eq!(store.names().unwrap().len() as u64, WORKERS * 20);
    assert!(store.verify(Repair::Report, |_| {}).unwrap().is_sound());
}

/// Four processes change one name at once, each from what it stands for: no change is lost.
pub(crate) fn for_one_name() {
    let folder = tempfile::tempdir().unwrap();
    let (root, log) = (folder.path().join("store"), folder.path().join("log"));
    run("name", &root, &log);
    let store = Store::open(&root).unwrap();
    let name = Reference::parse("shared:1").unwrap();
    let content = store.resolve(&name).unwrap().unwrap();
    let bytes = store.read_blob(&content.digest, 1 << 20).unwrap();
    let index = Index::parse(&bytes).unwrap();
    assert_eq!(index.manifests.len(), WORKERS as usize * worker::ROUNDS);
}
