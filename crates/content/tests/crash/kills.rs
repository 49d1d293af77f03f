//! A process that is killed at any moment leaves a sound store, and loses next to nothing.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use sealift_content::{Name, Repair, Store};
use sealift_oci::Reference;
use sealift_test_support::random_image;

use crate::worker::{self, PIECE, THREADS};

const KILLS: u64 = 120;
/// How many of them must have hit a blob that was half there.
const HALF_WAY: u64 = 40;

/// Kills a worker 120 times at moments drawn from a fixed seed, checking the store after each, then
/// lets one finish.
pub(crate) fn leave_a_sound_store() {
    let folder = tempfile::tempdir().unwrap();
    let (root, log) = (folder.path().join("store"), folder.path().join("log"));
    let source = source(&folder.path().join("source"));
    let names = source.names().unwrap();
    let store = Store::open(&root).unwrap();
    let mut random = fastrand::Rng::with_seed(2026);
    let (mut killed, mut half_way, mut since) = (0, 0, 0);
    while killed < KILLS || half_way < HALF_WAY {
        let mut child = worker::start("fetch", &root, random.u64(..), &log);
        wait_for_lines(&mut child, &log, random.usize(0..60));
        std::thread::sleep(Duration::from_micros(random.u64(0..3_000)));
        child.kill().unwrap();
        let dead = u64::from(!child.wait().unwrap().success());
        killed += dead;
        since += dead;
        half_way += u64::from(store.usage().unwrap().partials > 0);
        check(&store);
        // All images are there long before the last kill: take them away, so that there is work.
        if store.names().unwrap().len() == names.len() {
            undo(&store, &names, &log);
            since = 0;
        }
    }
    let mut last = worker::start("fetch", &root, 0, &log);
    assert!(last.wait().unwrap().success());
    check(&store);
    assert_eq!(store.names().unwrap(), names);
    assert_eq!(store.usage().unwrap().partials, 0);
    // Of each killed run at most the piece that each thread had in its hands was written twice.
    let needed = source.usage().unwrap().blob_bytes;
    let written = logged(&log);
    let allowed = needed + since * (THREADS * PIECE) as u64;
    assert!(
        (needed..=allowed).contains(&written),
        "{written} bytes written for {needed} after {since} kills"
    );
}

/// Makes the store that the workers fetch from.
fn source(root: &Path) -> Store {
    let store = Store::open(root).unwrap();
    for number in 0..6 {
        let platforms = ["linux/amd64", "linux/arm64"];
        let image = random_image(number, &platforms, &[700_000, 150_000, 20_000]);
        for blob in image.all() {
            let media_type = blob.descriptor.media_type.as_str();
            store.put(media_type, &blob.bytes).unwrap();
        }
        let name = Reference::parse(&format!("image:{number}")).unwrap();
        store.set_names(&[(name, image.root.descriptor)]).unwrap();
    }
    store
}

/// Waits until a worker has begun so many writes, or has ended.
fn wait_for_lines(child: &mut Child, log: &Path, lines: usize) {
    let count = || fs::read_to_string(log).map_or(0, |text| text.lines().count());
    let goal = count() + lines;
    while count() < goal && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Looks at the store as the next command would find it.
fn check(store: &Store) {
    let store = Store::open(store.root()).unwrap();
    let verified = store.verify(Repair::Report, |_| {}).unwrap();
    assert!(verified.is_sound(), "{verified:?}");
}

fn undo(store: &Store, names: &[Name], log: &Path) {
    for (name, _) in names {
        store.remove_names(std::slice::from_ref(name)).unwrap();
    }
    store.gc(Duration::ZERO).unwrap();
    fs::remove_file(log).unwrap();
}

fn logged(log: &Path) -> u64 {
    let text = fs::read_to_string(log).unwrap();
    let size = |line: &str| line.split(' ').nth(1)?.parse::<u64>().ok();
    text.lines().filter_map(size).sum()
}
