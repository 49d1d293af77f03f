//! Damage in the store: met, said, fetched again, and never a reason to refuse the rest.

use sealift_oci::Digest;
use sealift_test_support::{Image, random_image};

use crate::harbor::Harbor;

const PULL: &str = "--platform linux/amd64 --progress plain";

impl Harbor {
    fn blob(&self, digest: &Digest) -> std::path::PathBuf {
        let blobs = self.sealift.store_home().join("store/blobs/sha256");
        blobs.join(digest.hex())
    }

    /// Changes a bit of a blob, or cuts it.
    fn damage(&self, digest: &Digest, cut: bool) {
        let path = self.blob(digest);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes.truncate(if cut { middle } else { bytes.len() });
        std::fs::write(path, bytes).unwrap();
    }
}

fn layer(image: &Image) -> &Digest {
    &image.blobs.last().unwrap().descriptor.digest
}

#[test]
fn what_is_damaged_is_said_and_fetched_again() {
    let harbor = Harbor::open();
    let image = random_image(1, &["linux/amd64"], &[3000]);
    let name = harbor.publish(&image, "a/b:1");
    let project = harbor.sealift.home().join("project");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("Dockerfile"), format!("FROM {name}\n")).unwrap();
    let line = format!("prefetch project {PULL}");
    harbor.run(&line).success();
    let manifest = image.manifests()[0].descriptor.digest.clone();
    for (digest, cut) in [(layer(&image), true), (&manifest, false), (&manifest, true)] {
        harbor.damage(digest, cut);
        let again = harbor.run(&line).success();
        let quarantine = harbor.sealift.store_home().join("store/quarantine");
        let said = format!(
            "{digest} was damaged on disk and moved to {}; it is fetched again",
            quarantine.display()
        );
        assert!(again.stderr.contains(&said), "{}", again.stderr);
        harbor.verify();
    }
    assert!(!harbor.run(&line).success().stderr.contains("damaged"));
}

#[test]
fn a_damaged_layer_is_not_pushed() {
    let harbor = Harbor::open();
    let image = random_image(1, &["linux/amd64"], &[3000]);
    let name = harbor.publish(&image, "a/b:1");
    harbor.run(&format!("pull {name} {PULL}")).success();
    let copy = harbor.name("elsewhere/b:1");
    harbor.damage(layer(&image), false);
    // The registry has the blob, but under another repository.
    let pushed = harbor.run(&format!("push {name} {copy}")).failure();
    assert_eq!(pushed.code, Some(15), "{}", pushed.stderr);
    let said = format!("blob {} is corrupt on disk", layer(&image));
    assert!(pushed.stderr.contains(&said), "{}", pushed.stderr);
    harbor.run(&format!("pull {name} {PULL}")).success();
    harbor.run(&format!("push {name} {copy}")).success();
}

#[test]
fn an_incomplete_image_has_a_row_and_keeps_what_may_be_its() {
    let harbor = Harbor::open();
    let (broken, whole) = (1, 2);
    let [broken, whole] = [broken, whole].map(|seed| random_image(seed, &["linux/amd64"], &[3000]));
    let names = [
        harbor.publish(&broken, "a/broken:1"),
        harbor.publish(&whole, "a/whole:1"),
    ];
    for name in &names {
        harbor.run(&format!("pull {name} {PULL}")).success();
    }
    std::fs::remove_file(harbor.blob(broken.digest())).unwrap();
    let listed = harbor.run("store ls").success().stdout;
    let [_, first, second] = listed.lines().collect::<Vec<_>>()[..] else {
        panic!("{listed}");
    };
    assert!(first.contains(&names[0]) && first.contains("incomplete: pull it again"));
    assert!(second.contains(&names[1]) && second.contains("linux/amd64"));

    let collected = harbor.run("store gc --grace 0s").success().stdout;
    let said = format!(
        "{} is incomplete, so nothing that may belong to it was removed",
        names[0]
    );
    assert!(collected.contains(&said), "{collected}");
    assert!(harbor.blob(layer(&broken)).exists());
    harbor.run(&format!("pull {} {PULL}", names[0])).success();
    harbor.verify();
    let collected = harbor.run("store gc --grace 0s").success().stdout;
    assert!(!collected.contains("incomplete"), "{collected}");
}

#[test]
fn a_read_only_store_can_be_listed_verified_and_planned_from() {
    let harbor = Harbor::open();
    harbor.disk_of(16);
    let image = random_image(1, &["linux/amd64"], &[3000]);
    let name = harbor.publish(&image, "a/b:1");
    let project = harbor.sealift.home().join("project");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("Dockerfile"), format!("FROM {name}\n")).unwrap();
    harbor.run(&format!("prefetch project {PULL}")).success();
    harbor.remount("ro");
    let listed = harbor.run("store ls").success().stdout;
    assert!(listed.contains(&name), "{listed}");
    harbor.verify();
    let again = harbor.run(&format!("prefetch project {PULL}")).success();
    assert!(again.stderr.contains("(cached)"), "{}", again.stderr);
    // What cannot be done says why.
    let removed = harbor.run(&format!("store rm {name}")).failure();
    assert_eq!(removed.code, Some(3), "{}", removed.stderr);
    assert!(
        removed.stderr.contains("Read-only file system"),
        "{}",
        removed.stderr
    );
    harbor.remount("rw");
}

#[test]
fn images_are_removed_from_a_full_disk() {
    let harbor = Harbor::open();
    harbor.disk_of(32);
    let image = random_image(1, &["linux/amd64"], &[3000]);
    let name = harbor.publish(&image, "a/b:1");
    harbor.run(&format!("pull {name} {PULL}")).success();
    let store = harbor.sealift.store_home().join("store");
    // As after a start of the machine.
    std::fs::write(store.join("boot"), "0123456789abcdef\n").unwrap();
    let filler = harbor.sealift.store_home().join("filler");
    std::fs::write(&filler, vec![0; 64 << 20]).unwrap_err();
    harbor.run("store ls").success();
    harbor.run(&format!("store rm {name}")).success();
    let collected = harbor.run("store gc --grace 0s").success().stdout;
    assert!(collected.starts_with("removed 4 blobs"), "{collected}");
}
