//! A machine that loses power: what was named is right or gone. Needs root, for a file system whose
//! disk can be looked at as a crash would leave it.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use sealift_content::{Repair, Store};
use sealift_oci::Digest;
use tempfile::TempDir;

use crate::fixture::{image, noise, put, put_named, ready, store};

/// A mounted ext4 file system in a file.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("disk");
        File::create(&file).unwrap().set_len(64 << 20).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&file));
        Self::mount(folder)
    }

    fn mount(folder: TempDir) -> Self {
        let disk = Self { folder };
        fs::create_dir_all(disk.path()).unwrap();
        let mut mount = Command::new("mount");
        run(mount.args(["-o", "loop"]).arg(disk.file()).arg(disk.path()));
        disk
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    /// Mounts what is on the disk now: what the system has not written yet is lost.
    fn after_crash(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(self.file(), folder.path().join("disk")).unwrap();
        Self::mount(folder)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(Command::new("umount").arg(self.path()));
    }
}

fn run(command: &mut Command) {
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
}

fn is_settled(store: &Store, digest: &Digest) -> bool {
    let metadata = fs::metadata(store.blob_path(digest)).unwrap();
    metadata.permissions().mode() & 0o222 == 0
}

/// Makes a blob look as if it had been written long ago.
fn age(store: &Store, digest: &Digest) {
    let file = File::options().write(true).open(store.blob_path(digest));
    let then = SystemTime::now() - Duration::from_secs(3600);
    let times = FileTimes::new().set_modified(then);
    file.unwrap().set_times(times).unwrap();
}

/// Makes a store look as if the machine had been started since.
fn restart_machine(root: &Path) {
    fs::write(root.join("boot"), "0123456789abcdef\n").unwrap();
}

#[test]
fn a_crash_takes_young_blobs_and_leaves_no_wrong_one() {
    let disk = Disk::make();
    let root = disk.path().join("store");
    let store = Store::open(&root).unwrap();
    let (old, young) = (image(1), image(2));
    put_named(&store, &old, "old:1");
    for blob in old.all() {
        age(&store, &blob.descriptor.digest);
    }
    assert_eq!(store.settle().unwrap().blobs, old.all().count() as u64);
    // The name is brought to the disk, the content is not.
    put_named(&store, &young, "young:1");

    let crashed = disk.after_crash();
    let root = crashed.path().join("store");
    restart_machine(&root);
    let (store, settled) = Store::open_reporting(&root).unwrap();
    let lost = settled.removed.len();
    assert!(lost > 0, "the test's disk has kept everything: {settled:?}");
    let verified = store.verify(Repair::Report, |_| {}).unwrap();
    assert_eq!(verified.corrupt, vec![]);
    let is_old = |digest: &Digest| old.all().any(|blob| blob.descriptor.digest == *digest);
    assert!(!verified.missing.iter().any(|part| is_old(&part.digest)));
    assert!(
        old.all()
            .all(|blob| store.contains(&blob.descriptor.digest))
    );

    put(&store, &young);
    let verified = store.verify(Repair::Report, |_| {}).unwrap();
    assert!(verified.is_sound(), "{verified:?}");
}

#[test]
fn a_start_of_the_machine_has_young_blobs_read_again() {
    let (_folder, store) = store();
    let blob = |seed| {
        let bytes = noise(seed, 300_000);
        let digest = Digest::sha256(&bytes);
        let ingest = ready(&store, &digest, Some(300_000));
        ingest.append(&bytes).unwrap();
        ingest.commit().unwrap();
        digest
    };
    let (right, wrong, settled) = (blob(1), blob(2), blob(3));
    age(&store, &settled);
    assert_eq!(store.settle().unwrap().blobs, 1);
    assert!(is_settled(&store, &settled) && !is_settled(&store, &right));
    for damaged in [&wrong, &settled] {
        fs::write(store.blob_path(damaged), "damaged").unwrap();
    }

    // Under the same start nothing is read.
    let (_, nothing) = Store::open_reporting(store.root()).unwrap();
    assert_eq!((nothing.blobs, nothing.removed), (0, vec![]));
    restart_machine(store.root());
    let (_, found) = Store::open_reporting(store.root()).unwrap();
    assert_eq!((found.blobs, found.bytes), (1, 300_000));
    assert_eq!(found.removed, std::slice::from_ref(&wrong));
    assert!(!store.contains(&wrong) && is_settled(&store, &right));
    // What was settled is not read again: only a verification finds such damage.
    assert!(store.contains(&settled));
    let (_, nothing) = Store::open_reporting(store.root()).unwrap();
    assert_eq!((nothing.blobs, nothing.removed), (0, vec![]));
}

#[test]
fn a_blob_that_was_just_written_is_not_settled_yet() {
    let (_folder, store) = store();
    let descriptor = store.put("text/plain", b"young").unwrap();
    assert_eq!(store.settle().unwrap().blobs, 0);
    assert!(!is_settled(&store, &descriptor.digest));
}

/// A file whose rights nobody may change, as that of another user is for us.
struct Immutable(PathBuf);

impl Immutable {
    fn make(path: PathBuf) -> Self {
        run(Command::new("chattr").arg("+i").arg(&path));
        Self(path)
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        run(Command::new("chattr").arg("-i").arg(&self.0));
    }
}

#[test]
fn a_blob_that_we_may_not_mark_stays_young_and_keeps_nobody_out() {
    let (_folder, store) = store();
    let descriptor = store.put("text/plain", b"somebody else's").unwrap();
    let digest = &descriptor.digest;
    let _theirs = Immutable::make(store.blob_path(digest));
    for _ in 0..2 {
        restart_machine(store.root());
        let (store, settled) = Store::open_reporting(store.root()).unwrap();
        assert_eq!((settled.blobs, settled.removed), (0, vec![]));
        assert!(store.contains(digest) && !is_settled(&store, digest));
    }
}
