//! Bringing blobs in: order, resumption, wrong content, several writers.

use std::fs;
use std::sync::Arc;
use std::thread;

use sealift_content::{Error, Ingestion, Store};
use sealift_oci::Digest;

use crate::fixture::{noise, ready, store, tmp_files};

#[test]
fn a_blob_gets_its_name_at_commit_and_leaves_nothing_else() {
    let (_folder, store) = store();
    let bytes = noise(1, 300_000);
    let digest = Digest::sha256(&bytes);
    let ingest = ready(&store, &digest, Some(300_000));
    for piece in bytes.chunks(7_000) {
        assert!(!store.contains(&digest));
        ingest.append(piece).unwrap();
    }
    ingest.commit().unwrap();
    ingest.commit().unwrap();
    assert_eq!(store.size(&digest).unwrap(), Some(300_000));
    assert_eq!(store.read_blob(&digest, 1 << 20).unwrap(), bytes);
    assert_eq!(tmp_files(&store), Vec::<String>::new());
    assert!(matches!(
        store.ingest(&digest, None).unwrap(),
        Ingestion::Present
    ));
}

#[test]
fn pieces_in_any_order_from_several_threads_make_the_blob() {
    let (_folder, store) = store();
    let bytes = Arc::new(noise(2, 3_000_017));
    let digest = Digest::sha256(&bytes);
    let ingest = Arc::new(ready(&store, &digest, Some(bytes.len() as u64)));
    let mut offsets: Vec<usize> = (0..bytes.len()).step_by(10_007).collect();
    fastrand::Rng::with_seed(3).shuffle(&mut offsets);
    thread::scope(|scope| {
        for mine in offsets.chunks(offsets.len().div_ceil(4)) {
            let (ingest, bytes) = (Arc::clone(&ingest), Arc::clone(&bytes));
            scope.spawn(move || {
                for &at in mine {
                    // Pieces overlap their neighbours: what is there is not written twice.
                    let end = (at + 15_000).min(bytes.len());
                    ingest.write_at(at as u64, &bytes[at..end]).unwrap();
                }
            });
        }
    });
    assert_eq!(ingest.missing(), Vec::new());
    ingest.commit().unwrap();
    assert_eq!(store.read_blob(&digest, 1 << 23).unwrap(), *bytes);
}

#[test]
fn what_was_written_is_resumed_after_a_drop() {
    let (_folder, store) = store();
    let bytes = noise(4, 100_000);
    let digest = Digest::sha256(&bytes);
    let ingest = ready(&store, &digest, Some(100_000));
    ingest.write_at(0, &bytes[..10_000]).unwrap();
    ingest.write_at(50_000, &bytes[50_000..60_000]).unwrap();
    ingest.discard(5_000..10_000).unwrap();
    drop(ingest);
    let ingest = ready(&store, &digest, Some(100_000));
    assert_eq!(ingest.missing(), vec![5_000..50_000, 60_000..100_000]);
    assert_eq!(ingest.resumed(), 15_000);
    assert_eq!(ingest.position(), 5_000);
    for gap in ingest.missing() {
        let slice = &bytes[gap.start as usize..gap.end as usize];
        ingest.write_at(gap.start, slice).unwrap();
    }
    ingest.commit().unwrap();
    assert_eq!(store.read_blob(&digest, 1 << 20).unwrap(), bytes);
}

#[test]
fn an_unknown_size_ends_where_the_writer_ends() {
    let (_folder, store) = store();
    let bytes = noise(5, 70_000);
    let digest = Digest::sha256(&bytes);
    let ingest = ready(&store, &digest, None);
    assert_eq!(ingest.missing(), vec![0..u64::MAX]);
    ingest.append(&bytes[..60_000]).unwrap();
    drop(ingest);
    let ingest = ready(&store, &digest, None);
    assert_eq!(ingest.missing(), vec![60_000..u64::MAX]);
    ingest.append(&bytes[60_000..]).unwrap();
    ingest.commit().unwrap();
    assert_eq!(store.size(&digest).unwrap(), Some(70_000));
}

#[test]
fn wrong_content_never_gets_a_name_and_is_dropped() {
    let (_folder, store) = store();
    let bytes = noise(6, 50_000);
    let digest = Digest::sha256(b"something else");
    let ingest = ready(&store, &digest, Some(50_000));
    ingest.append(&bytes[..20_000]).unwrap();
    drop(ingest);
    let ingest = ready(&store, &digest, Some(50_000));
    ingest.append(&bytes[20_000..]).unwrap();
    match ingest.commit().unwrap_err() {
        Error::Mismatch {
            expected,
            actual,
            resumed,
        } => {
            assert_eq!(expected, digest);
            assert_eq!(actual, Digest::sha256(&bytes));
            assert_eq!(resumed, 20_000);
        }
        other => panic!("{other}"),
    }
    for again in [ingest.check(), ingest.commit()] {
        assert!(matches!(again.unwrap_err(), Error::NotFound { .. }));
    }
    drop(ingest);
    assert!(!store.contains(&digest));
    assert_eq!(tmp_files(&store), Vec::<String>::new());
    assert_eq!(ready(&store, &digest, Some(50_000)).resumed(), 0);
}

#[test]
fn bytes_that_were_discarded_are_replaced_even_after_they_were_hashed() {
    let (_folder, store) = store();
    let bytes = noise(7, 200_000);
    let digest = Digest::sha256(&bytes);
    let ingest = ready(&store, &digest, Some(200_000));
    ingest.write_at(0, &bytes[..50_000]).unwrap();
    ingest.write_at(50_000, &noise(8, 100_000)).unwrap();
    ingest.discard(50_000..150_000).unwrap();
    assert_eq!(ingest.missing(), vec![50_000..200_000]);
    ingest.write_at(50_000, &bytes[50_000..]).unwrap();
    ingest.commit().unwrap();
    assert_eq!(store.read_blob(&digest, 1 << 20).unwrap(), bytes);
}

#[test]
fn a_check_leaves_what_is_wrong_to_be_written_again() {
    let (_folder, store) = store();
    let bytes = noise(12, 100_000);
    let digest = Digest::sha256(&bytes);
    let ingest = ready(&store, &digest, Some(100_000));
    ingest.write_at(0, &bytes[..60_000]).unwrap();
    ingest.write_at(60_000, &noise(13, 40_000)).unwrap();
    for _ in 0..2 {
        assert!(matches!(
            ingest.check().unwrap_err(),
            Error::Mismatch { resumed: 0, .. }
        ));
    }
    ingest.discard(60_000..100_000).unwrap();
    assert!(matches!(
        ingest.check().unwrap_err(),
        Error::Incomplete {
            missing: 40_000,
            ..
        }
    ));
    ingest.write_at(60_000, &bytes[60_000..]).unwrap();
    ingest.check().unwrap();
    ingest.commit().unwrap();
    // It is too late to take anything back or to write anything else.
    ingest.discard(0..100_000).unwrap();
    ingest.write_at(0, &noise(14, 1_000)).unwrap();
    ingest.commit().unwrap();
    assert_eq!(store.read_blob(&digest, 1 << 20).unwrap(), bytes);
}

#[test]
fn a_write_past_the_end_and_an_early_commit_are_refused() {
    let (_folder, store) = store();
    let bytes = noise(9, 1_000);
    let digest = Digest::sha256(&bytes);
    let ingest = ready(&store, &digest, Some(1_000));
    assert!(matches!(
        ingest.write_at(500, &bytes[..501]).unwrap_err(),
        Error::Overrun {
            end: 1_001,
            size: 1_000,
            ..
        }
    ));
    assert!(matches!(
        ingest.write_at(u64::MAX, &bytes).unwrap_err(),
        Error::Overrun { .. }
    ));
    ingest.write_at(200, &bytes[200..300]).unwrap();
    assert!(matches!(
        ingest.commit().unwrap_err(),
        Error::Incomplete { missing: 900, .. }
    ));
    ingest.write_at(0, &bytes).unwrap();
    ingest.commit().unwrap();
    assert!(matches!(
        store.ingest(&digest, Some(999)).unwrap_err(),
        Error::Size {
            expected: 999,
            actual: 1_000,
            ..
        }
    ));
}

#[test]
fn one_digest_has_one_writer() {
    let (_folder, store) = store();
    let other = Store::open(store.root()).unwrap();
    let bytes = noise(10, 1_000);
    let digest = Digest::sha256(&bytes);
    let ingest = ready(&store, &digest, Some(1_000));
    assert!(matches!(
        other.ingest(&digest, Some(1_000)).unwrap(),
        Ingestion::Busy
    ));
    let waiting = thread::spawn({
        let digest = digest.clone();
        move || other.ingest_waiting(&digest, Some(1_000)).unwrap()
    });
    ingest.append(&bytes).unwrap();
    ingest.commit().unwrap();
    drop(ingest);
    assert!(matches!(waiting.join().unwrap(), Ingestion::Present));
    assert_eq!(tmp_files(&store), Vec::<String>::new());
}

#[test]
fn an_empty_blob_and_sha512_are_blobs_too() {
    let (_folder, store) = store();
    let digest = Digest::sha256(b"");
    ready(&store, &digest, Some(0)).commit().unwrap();
    assert_eq!(store.size(&digest).unwrap(), Some(0));
    let mut hasher = sealift_oci::Hasher::new(sealift_oci::Algorithm::Sha512);
    hasher.update(b"abc");
    let digest = hasher.finish();
    let ingest = ready(&store, &digest, None);
    ingest.append(b"abc").unwrap();
    ingest.commit().unwrap();
    assert_eq!(store.read_blob(&digest, 10).unwrap(), b"abc");
}

#[test]
fn a_journal_without_its_data_is_not_believed() {
    let (_folder, store) = store();
    let bytes = noise(11, 90_000);
    let digest = Digest::sha256(&bytes);
    let ingest = ready(&store, &digest, Some(90_000));
    ingest.append(&bytes[..80_000]).unwrap();
    drop(ingest);
    let data = store
        .root()
        .join(format!("tmp/sha256-{}.partial", digest.hex()));
    fs::OpenOptions::new()
        .write(true)
        .open(&data)
        .unwrap()
        .set_len(30_000)
        .unwrap();
    let ingest = ready(&store, &digest, Some(90_000));
    assert_eq!(ingest.missing(), vec![30_000..90_000]);
    drop(ingest);
    fs::remove_file(&data).unwrap();
    let ingest = ready(&store, &digest, Some(90_000));
    assert_eq!(ingest.missing(), vec![0..90_000]);
    ingest.append(&bytes).unwrap();
    ingest.commit().unwrap();
}

#[test]
fn a_corrupt_blob_is_not_read_as_good() {
    let (_folder, store) = store();
    let digest = store.put("text/plain", b"hello").unwrap().digest;
    assert!(matches!(
        store.read_blob(&digest, 4).unwrap_err(),
        Error::TooLarge {
            size: 5,
            limit: 4,
            ..
        }
    ));
    fs::write(store.blob_path(&digest), b"jello").unwrap();
    assert!(matches!(
        store.read_blob(&digest, 10).unwrap_err(),
        Error::Corrupt { .. }
    ));
    let absent = Digest::sha256(b"absent");
    assert!(matches!(
        store.read_blob(&absent, 10).unwrap_err(),
        Error::NotFound { .. }
    ));
}

#[test]
fn a_large_blob_is_brought_to_the_disk_while_it_is_written() {
    let (_folder, store) = store();
    let piece = noise(15, 1 << 20);
    let mut hasher = sealift_oci::Hasher::new(sealift_oci::Algorithm::Sha256);
    (0..90).for_each(|_| hasher.update(&piece));
    let digest = hasher.finish();
    let size = 90 << 20;
    let ingest = ready(&store, &digest, Some(size));
    for at in (0..75).rev() {
        ingest.write_at(at << 20, &piece).unwrap();
    }
    drop(ingest);
    let ingest = ready(&store, &digest, Some(size));
    assert_eq!(ingest.resumed(), 75 << 20);
    for at in 75..90 {
        ingest.write_at(at << 20, &piece).unwrap();
    }
    ingest.commit().unwrap();
    assert_eq!(store.size(&digest).unwrap(), Some(size));
    assert_eq!(tmp_files(&store), Vec::<String>::new());
}
