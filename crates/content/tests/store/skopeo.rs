//! Another tool reads the layout while it is written.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sealift_content::Store;
use sealift_test_support::{Image, skopeo};

use crate::fixture::{image, put_named, reference, store};

fn oci(folder: &Path, name: &str) -> String {
    format!("oci:{}:{name}", folder.display())
}

/// Checks that a layout that skopeo wrote has every blob of an image.
fn assert_copied(folder: &Path, image: &Image) {
    for blob in image.all() {
        let digest = &blob.descriptor.digest;
        let path = folder.join("blobs/sha256").join(digest.hex());
        assert_eq!(std::fs::read(path).unwrap(), blob.bytes, "{digest}");
    }
}

#[test]
fn skopeo_inspects_and_copies_an_image_by_its_full_name() {
    let (_folder, store) = store();
    let image = image(1);
    put_named(&store, &image, "busybox:1.36");
    let source = oci(store.root(), "docker.io/library/busybox:1.36");
    let raw = skopeo(&["inspect", "--raw", &source]);
    assert_eq!(raw.as_bytes(), image.root.bytes);
    let answer = skopeo(&[
        "inspect",
        "--override-arch",
        "arm64",
        "--override-os",
        "linux",
        &source,
    ]);
    assert!(answer.contains("\"Architecture\": \"arm64\""), "{answer}");
    let copy = tempfile::tempdir().unwrap();
    skopeo(&["copy", "--all", "--quiet", &source, &oci(copy.path(), "x")]);
    assert_copied(copy.path(), &image);
}

#[test]
fn skopeo_reads_while_names_and_blobs_come_and_go() {
    let (_folder, store) = store();
    let image = image(1);
    put_named(&store, &image, "busybox:1.36");
    let source = oci(store.root(), "docker.io/library/busybox:1.36");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (writer, stop) = (&store, &stop);
        scope.spawn(move || churn(writer, stop));
        for _ in 0..15 {
            assert_eq!(
                skopeo(&["inspect", "--raw", &source]).as_bytes(),
                image.root.bytes
            );
            let copy = tempfile::tempdir().unwrap();
            skopeo(&["copy", "--all", "--quiet", &source, &oci(copy.path(), "x")]);
            assert_copied(copy.path(), &image);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Names images, takes the names away and collects, until told to stop.
fn churn(store: &Store, stop: &AtomicBool) {
    let mut number = 100;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let name = format!("churn:{number}");
        put_named(store, &image(number), &name);
        store.remove_names(&[reference(&name)]).unwrap();
        store.gc(std::time::Duration::ZERO).unwrap();
    }
    assert!(number > 101);
}

#[test]
fn our_store_reads_on_after_skopeo_wrote_into_it() {
    let (_folder, store) = store();
    let (mine, theirs) = (image(1), image(2));
    put_named(&store, &mine, "a:1");
    let other = tempfile::tempdir().unwrap();
    theirs.write_layout(other.path(), "docker.io/library/b:1");
    skopeo(&[
        "copy",
        "--all",
        "--quiet",
        &oci(other.path(), "docker.io/library/b:1"),
        &oci(store.root(), "docker.io/library/b:1"),
    ]);
    let found = store.resolve(&reference("b:1")).unwrap().unwrap();
    assert_eq!(found.digest, *theirs.digest());
    assert_eq!(store.names().unwrap().len(), 2);
    let verified = store
        .verify(sealift_content::Repair::Report, |_| {})
        .unwrap();
    assert!(verified.is_sound(), "{verified:?}");
}
