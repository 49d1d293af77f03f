//! A disk that is full: one clear error, and a store that still verifies. Needs root, for a small
//! file system of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sealift_content::{Error, Ingestion, Repair, Store};
use sealift_oci::Digest;
use tempfile::TempDir;

use crate::fixture::{image, noise, put, put_named, ready, reference, tmp_files};

/// A file system of four megabytes.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "sealift-test"])
            .arg(folder.path()));
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(self.folder.path()));
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
}

/// Waits until removed files are gone: a process that another test is just starting may still have
/// them open.
fn wait_for_room(store: &Store, bytes: u64) {
    for _ in 0..500 {
        if store.usage().unwrap().available >= bytes {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{:?}", store.usage().unwrap());
}

fn assert_full(error: &Error) {
    assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("no space left") && text.contains("are available"),
        "{text}"
    );
}

#[test]
fn a_blob_that_can_not_fit_is_refused_before_a_byte_is_written() {
    let disk = SmallDisk::mount();
    let store = Store::open(disk.path()).unwrap();
    let digest = Digest::sha256(b"large");
    assert_full(&store.ingest(&digest, Some(8 << 20)).unwrap_err());
    assert_full(&store.ingest(&digest, Some(1 << 60)).unwrap_err());
    assert_eq!(tmp_files(&store), Vec::<String>::new());
}

#[test]
fn room_that_one_ingest_reserved_is_not_promised_to_another() {
    let disk = SmallDisk::mount();
    let store = Store::open(disk.path()).unwrap();
    let _first = ready(&store, &Digest::sha256(b"1"), Some(3 << 20));
    let second = store.ingest(&Digest::sha256(b"2"), Some(2 << 20));
    assert_full(&second.unwrap_err());
}

#[test]
fn a_disk_that_fills_while_writing_leaves_a_store_that_verifies() {
    let disk = SmallDisk::mount();
    let store = Store::open(disk.path()).unwrap();
    let (name, _) = put_named(&store, &image(1), "a:1");
    let bytes = noise(2, 6 << 20);
    let digest = Digest::sha256(&bytes);
    let ingest = ready(&store, &digest, None);
    let error = bytes
        .chunks(64 << 10)
        .find_map(|piece| ingest.append(piece).err())
        .expect("six megabytes do not fit into four");
    assert_full(&error);
    let kept = ingest.written();
    assert!(kept > 2 << 20, "{kept}");
    drop(ingest);

    // While it is full nothing new is named, and nothing old is lost.
    let loose = image(3);
    let mut error = None;
    for blob in loose.all() {
        let put = store.put(blob.descriptor.media_type.as_str(), &blob.bytes);
        error = error.or(put.err());
    }
    assert_full(&error.expect("there is no room for another image"));
    assert!(store.verify(Repair::Report, |_| {}).unwrap().is_sound());
    assert_eq!(store.names().unwrap().len(), 1);
    assert!(store.resolve(&name).unwrap().is_some());

    // Room comes back by a collection, and all goes on.
    let collected = store.gc(Duration::ZERO).unwrap();
    assert!(collected.bytes >= kept, "{collected:?}");
    wait_for_room(&store, 2 << 20);
    put_named(&store, &loose, "b:1");
    assert!(store.verify(Repair::Report, |_| {}).unwrap().is_sound());
}

#[test]
fn a_name_that_can_not_be_written_leaves_the_old_names() {
    let disk = SmallDisk::mount();
    let store = Store::open(disk.path()).unwrap();
    put_named(&store, &image(1), "a:1");
    let root = put(&store, &image(2));
    let filler = disk.path().join("filler");
    let full = std::fs::write(&filler, vec![0; 8 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let name = (reference("b:1"), root);
    assert_full(&store.set_names(std::slice::from_ref(&name)).unwrap_err());
    assert_eq!(store.names().unwrap().len(), 1);
    std::fs::remove_file(&filler).unwrap();
    wait_for_room(&store, 1 << 20);
    store.set_names(&[name]).unwrap();
    assert_eq!(store.names().unwrap().len(), 2);
}

/// Fills the disk to the last byte, as some other program does.
fn fill(disk: &SmallDisk) {
    let mut file = std::fs::File::options()
        .create_new(true)
        .write(true)
        .open(disk.path().join("filler"))
        .unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
}

#[test]
fn images_can_be_removed_from_a_full_disk_after_a_start_of_the_machine() {
    let disk = SmallDisk::mount();
    let grown = ["mount", "-o", "remount,size=32m"];
    run(Command::new(grown[0]).args(&grown[1..]).arg(disk.path()));
    let root = disk.path().join("store");
    let store = Store::open(&root).unwrap();
    let (name, _) = put_named(&store, &image(1), "a:1");
    put_named(&store, &image(2), "b:1");
    std::fs::write(root.join("boot"), "0123456789abcdef\n").unwrap();
    drop(store);
    fill(&disk);
    assert_full(&Store::open(&root).unwrap().put("a/b", b"more").unwrap_err());

    let store = Store::open(&root).unwrap();
    assert_eq!(store.names().unwrap().len(), 2);
    assert_eq!(store.remove_names(&[name]).unwrap(), 1);
    assert_eq!(store.names().unwrap().len(), 1);
    let collected = store.gc(Duration::ZERO).unwrap();
    assert_eq!(collected.blobs, image(1).all().count() as u64);
    assert!(store.verify(Repair::Report, |_| {}).unwrap().is_sound());
}

#[test]
fn inodes_that_ran_out_are_named() {
    let disk = SmallDisk::mount();
    let store = Store::open(disk.path()).unwrap();
    let few = ["mount", "-o", "remount,nr_inodes=20"];
    run(Command::new(few[0]).args(&few[1..]).arg(disk.path()));
    let put = |seed: u8| store.put("text/plain", &[seed]);
    let error = (0..20).find_map(|seed| put(seed).err()).unwrap();
    assert!(matches!(error, Error::NoInodes { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("no inodes left for "), "{text}");
}

#[test]
fn what_was_written_before_the_disk_was_full_is_resumed_when_there_is_room() {
    let disk = SmallDisk::mount();
    let store = Store::open(disk.path()).unwrap();
    let bytes = noise(4, 2 << 20);
    let digest = Digest::sha256(&bytes);
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![0; 3 << 20]).unwrap();
    let ingest = ready(&store, &digest, None);
    let error = bytes
        .chunks(64 << 10)
        .find_map(|piece| ingest.append(piece).err());
    assert_full(&error.expect("one megabyte is left"));
    let kept = ingest.position();
    assert!(kept >= 512 << 10, "{kept}");
    drop(ingest);
    std::fs::remove_file(&filler).unwrap();
    wait_for_room(&store, 3 << 20);
    let Ingestion::Ready(ingest) = store.ingest(&digest, Some(2 << 20)).unwrap() else {
        panic!("nobody else has it");
    };
    assert_eq!(ingest.resumed(), kept);
    ingest.append(&bytes[kept as usize..]).unwrap();
    ingest.commit().unwrap();
    assert!(store.contains(&digest));
}

#[test]
fn what_is_still_to_come_is_compared_with_the_room_that_there_is() {
    let disk = SmallDisk::mount();
    let store = Store::open(disk.path()).unwrap();
    let (one, two) = (Digest::sha256(b"1"), Digest::sha256(b"2"));
    let both = [(&one, 3 << 20), (&two, 2 << 20)];
    let room = store.room_for(both);
    assert_eq!(room.needed, 5 << 20);
    assert!(room.available < 4 << 20 && !room.fits(), "{room:?}");
    assert!(store.room_for([both[0]]).fits());
    assert!(!store.room_for([(&one, u64::MAX), (&two, u64::MAX)]).fits());

    // The disk holds the first one's room once it is begun, and after it was broken off.
    drop(ready(&store, &one, Some(3 << 20)));
    let ingest = ready(&store, &one, Some(3 << 20));
    ingest.append(&noise(1, 1 << 20)).unwrap();
    drop(ingest);
    let room = store.room_for(both);
    assert_eq!(room.needed, 2 << 20);
    assert!(room.available < 1 << 20 && !room.fits(), "{room:?}");
    assert!(store.room_for([both[0]]).fits());

    // What is in the store needs none.
    let bytes = noise(2, 1000);
    let there = store.put("application/octet-stream", &bytes).unwrap();
    assert_eq!(store.room_for([(&there.digest, 1000)]).needed, 0);
}
