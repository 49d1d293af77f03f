//! Verification, collection, and counting.

use std::fs;
use std::time::Duration;

use sealift_content::{Collected, Error, Repair, Store};
use sealift_oci::Digest;

use crate::fixture::{image, noise, put, put_named, ready, reference, store, tmp_files};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_sound_store_is_found_sound() {
    let (_folder, store) = store();
    let named = image(1);
    put_named(&store, &named, "a:1");
    let loose = put(&store, &image(2));
    let mut seen = 0;
    let verified = store.verify(Repair::Report, |bytes| seen += bytes).unwrap();
    assert!(verified.is_sound(), "{verified:?}");
    assert_eq!(verified.blobs, 2 * named.all().count() as u64);
    assert_eq!(verified.bytes, seen);
    assert!(verified.unnamed.contains(&loose.digest));
    assert_eq!(verified.unnamed.len(), named.all().count());
}

#[test]
fn a_flipped_bit_is_found_and_moved_aside_only_when_asked() {
    let (_folder, store) = store();
    let image = image(1);
    let (name, root) = put_named(&store, &image, "a:1");
    let layer = image.blobs.last().unwrap();
    let digest = &layer.descriptor.digest;
    let path = store.blob_path(digest);
    let mut bytes = layer.bytes.to_vec();
    bytes[100] ^= 4;
    fs::write(&path, &bytes).unwrap();
    fs::write(path.with_file_name("notes.txt"), "mine").unwrap();

    let verified = store.verify(Repair::Report, |_| {}).unwrap();
    assert!(!verified.is_sound());
    assert_eq!(verified.corrupt[0].digest, *digest);
    assert_eq!(verified.corrupt[0].actual, Digest::sha256(&bytes));
    assert_eq!(verified.strange, vec![path.with_file_name("notes.txt")]);
    assert!(verified.missing.is_empty());
    assert!(path.exists());

    let verified = store.verify(Repair::MoveAside, |_| {}).unwrap();
    assert!(!path.exists());
    assert_eq!(fs::read(&verified.corrupt[0].path).unwrap(), bytes);
    assert_eq!(verified.missing[0].reference.as_ref(), Some(&name));
    assert_eq!(verified.missing[0].digest, *digest);

    let verified = store.verify(Repair::MoveAside, |_| {}).unwrap();
    assert!(verified.corrupt.is_empty());
    assert_eq!(verified.missing.len(), 1);
    assert_eq!(store.gc(HOUR).unwrap().quarantined, 0);
    assert_eq!(store.gc(Duration::ZERO).unwrap().quarantined, 1);
    put(&store, &image);
    assert!(store.verify(Repair::Report, |_| {}).unwrap().is_sound());
    assert_eq!(store.resolve(&name).unwrap(), Some(root));
}

#[test]
fn a_corrupt_manifest_is_told_as_such() {
    let (_folder, store) = store();
    let image = image(1);
    put_named(&store, &image, "a:1");
    let manifest = &image.children[0].descriptor.digest;
    fs::write(store.blob_path(manifest), "{}").unwrap();
    let verified = store.verify(Repair::Report, |_| {}).unwrap();
    assert_eq!(verified.corrupt.len(), 1);
    assert!(matches!(verified.unreadable[0], Error::Corrupt { .. }));
    // What is below it can't be known, so it counts as unnamed.
    assert!(!verified.unnamed.is_empty());
}

#[test]
fn a_collection_removes_what_no_name_needs() {
    let (_folder, store) = store();
    let (kept, loose) = (image(1), image(2));
    let (name, root) = put_named(&store, &kept, "a:1");
    put(&store, &loose);
    let count = loose.all().count() as u64;
    let spared = store.gc(HOUR).unwrap();
    assert_eq!(
        spared,
        Collected {
            spared: count,
            ..Collected::default()
        }
    );
    let collected = store.gc(Duration::ZERO).unwrap();
    assert_eq!(collected.blobs, count);
    assert!(collected.bytes >= loose.size());
    assert_eq!(store.usage().unwrap().blobs, kept.all().count() as u64);
    assert!(store.verify(Repair::Report, |_| {}).unwrap().is_sound());
    assert_eq!(store.closure(&root).unwrap().len(), kept.all().count());
    store.remove_names(&[name]).unwrap();
    store.gc(Duration::ZERO).unwrap();
    assert_eq!(store.usage().unwrap().blobs, 0);
}

#[test]
fn nothing_is_collected_while_somebody_has_a_lease() {
    let (_folder, store) = store();
    let root = put(&store, &image(1));
    let other = Store::open(store.root()).unwrap();
    let (mine, theirs) = (store.lease().unwrap(), other.lease().unwrap());
    assert!(matches!(
        store.gc(Duration::ZERO).unwrap_err(),
        Error::InUse { .. }
    ));
    drop(mine);
    assert!(store.gc(Duration::ZERO).is_err());
    // A lease does not hinder those who name and read.
    other.set_names(&[(reference("a:1"), root)]).unwrap();
    assert!(store.verify(Repair::Report, |_| {}).unwrap().is_sound());
    drop(theirs);
    assert_eq!(store.gc(Duration::ZERO).unwrap().blobs, 0);
}

#[test]
fn old_partials_go_and_those_that_are_written_stay() {
    let (_folder, store) = store();
    let bytes = noise(1, 600_000);
    let (left, held) = (Digest::sha256(b"left"), Digest::sha256(b"held"));
    ready(&store, &left, Some(600_000))
        .append(&bytes[..500_000])
        .unwrap();
    let held = ready(&store, &held, Some(600_000));
    held.append(&bytes[..1_000]).unwrap();
    let usage = store.usage().unwrap();
    assert_eq!(usage.partials, 2);
    assert!(usage.partial_bytes >= 501_000);
    assert_eq!(store.gc(HOUR).unwrap(), Collected::default());
    let collected = store.gc(Duration::ZERO).unwrap();
    assert_eq!(collected.partials, 1);
    assert!(collected.bytes >= 500_000, "{collected:?}");
    assert_eq!(tmp_files(&store).len(), 2);
    assert_eq!(ready(&store, &left, Some(600_000)).resumed(), 0);
    held.append(&bytes[1_000..2_000]).unwrap();
    assert_eq!(held.written(), 2_000);
}

#[test]
fn nameless_files_of_a_killed_process_go_after_a_while() {
    let (_folder, store) = store();
    let young = store.root().join("tmp/new-young");
    let old = store.root().join("tmp/new-old");
    for path in [&young, &old] {
        fs::write(path, "left over").unwrap();
    }
    let then = std::time::SystemTime::now() - HOUR;
    let file = fs::File::options().write(true).open(&old).unwrap();
    file.set_modified(then).unwrap();
    assert_eq!(store.gc(Duration::ZERO).unwrap().partials, 1);
    assert!(young.exists() && !old.exists());
}
