//! A process that is killed at any moment leaves a sound store, and loses next to nothing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sealift_content::{Repair, Store};

use crate::worker::{self, PIECE, THREADS};

const KILLS: u64 = 120;

/// Kills a worker 120 times at moments drawn from a fixed seed, checking the store after each, then
/// lets one finish.
pub(crate) fn leave_a_sound_store() {
    let folder = tempfile::tempdir().unwrap();
    let (root, log) = (folder.path().join("store"), folder.path().join("log"));
    let store = Store::open(&root).unwrap();
    let mut random = fastrand::Rng::with_seed(2026);
    let (mut killed, mut since) = (0, 0);
    while killed < KILLS {
        let mut child = worker::start("fetch", &root, random.u64(..), &log);
        std::thread::sleep(Duration::from_micros(random.u64(3_000..45_000)));
        child.kill().unwrap();
        let dead = u64::from(!child.wait().unwrap().success());
        killed += dead;
        since += dead;
        check(&store);
        // All images are there long before the last kill: take one apart, so that there is work.
        if store.names().unwrap().len() == worker::images().len() {
            undo(&store, &log);
            since = 0;
        }
    }
    assert!(
        worker::start("fetch", &root, 0, &log)
            .wait()
            .unwrap()
            .success()
    );
    check(&store);
    for (name, image) in worker::images() {
        let found = store.resolve(&name).unwrap().unwrap();
        assert_eq!(found.digest, *image.digest());
        for blob in image.all() {
            let digest = &blob.descriptor.digest;
            assert_eq!(store.read_blob(digest, 1 << 22).unwrap(), blob.bytes);
        }
    }
    // Of each killed run at most the piece that each thread had in its hands was written twice.
    let needed: u64 = worker::images().iter().map(|(_, image)| total(image)).sum();
    let written = logged(&log);
    let allowed = needed + since * (THREADS * PIECE) as u64;
    assert!(
        (needed..=allowed).contains(&written),
        "{written} of {needed}"
    );
    assert_eq!(
        fs::read_dir(root.join("tmp"))
            .unwrap()
            .filter(is_partial)
            .count(),
        0
    );
}

fn check(store: &Store) {
    // As the next command would find it.
    let store = Store::open(store.root()).unwrap();
    let verified = store.verify(Repair::Report, |_| {}).unwrap();
    assert!(verified.is_sound(), "{verified:?}");
}

fn undo(store: &Store, log: &Path) {
    for (name, _) in worker::images() {
        store.remove_names(&[name]).unwrap();
    }
    store.gc(Duration::ZERO).unwrap();
    fs::remove_file(log).unwrap();
}

fn total(image: &sealift_test_support::Image) -> u64 {
    image.all().map(|blob| blob.descriptor.size).sum()
}

fn logged(log: &Path) -> u64 {
    let text = fs::read_to_string(log).unwrap();
    let sizes = text
        .lines()
        .filter_map(|line| line.split(' ').nth(1)?.parse::<u64>().ok());
    sizes.sum()
}

fn is_partial(entry: &std::io::Result<fs::DirEntry>) -> bool {
    let name = entry.as_ref().unwrap().file_name();
    !name.to_string_lossy().starts_with("new-")
}
