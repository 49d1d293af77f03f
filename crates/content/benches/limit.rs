//! What this machine can do at best, and how near the store comes to it: hashing alone, writing
//! alone, both at once, and blobs going through an ingest. No network takes part.
//!
//! `cargo bench -p sealift-content --bench limit -- [MEGABYTES [RUNS]]` prints a Markdown table.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement stops where it can't go on, prints its table and writes plain files"
)]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use sealift_content::{Ingest, Ingestion, Store};
use sealift_oci::Digest;

/// What a network read brings at once, in bytes.
const PIECE: usize = 256 * 1024;

type Run = fn(&Load, &Path);

/// The two halves of what is measured, as the layers of an image of two platforms.
struct Load {
    blobs: [Vec<u8>; 2],
    digests: [Digest; 2],
}

fn main() {
    let mut numbers = std::env::args().filter_map(|text| text.parse::<usize>().ok());
    let megabytes = numbers.next().unwrap_or(600);
    let runs = numbers.next().unwrap_or(5);
    let load = Load::new(megabytes * 1_000_000 / 2);
    println!("| {megabytes} MB in two blobs, median of {runs} | seconds | MB/s |\n|---|---|---|");
    let rows: [(&str, Run); 8] = [
        ("hash, one core", hash_in_turn),
        ("hash, a core a blob", hash_at_once),
        ("write", write),
        ("write and sync", write_and_sync),
        ("**limit**: write and hash at once", limit),
        ("ingest, one blob after the other", ingest_in_turn),
        ("ingest, both at once", ingest_at_once),
        ("ingest, both at once, four writers each", ingest_in_ranges),
    ];
    for (name, run) in rows {
        let seconds = median(runs, |folder| run(&load, folder)).as_secs_f64();
        let rate = megabytes as f64 / seconds;
        println!("| {name} | {seconds:.2} | {rate:.0} |");
    }
}

impl Load {
    fn new(size: usize) -> Self {
        let blobs = [1, 2].map(|seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut bytes = vec![0; size];
            random.fill(&mut bytes);
            bytes
        });
        let digests = [0, 1].map(|at: usize| Digest::sha256(&blobs[at]));
        Self { blobs, digests }
    }

    fn parts(&self) -> impl Iterator<Item = (&[u8], &Digest)> {
        self.blobs.iter().map(Vec::as_slice).zip(&self.digests)
    }
}

/// Takes the median time; each run has an empty folder in the current one, so the disk is the
/// project's and no file system in memory.
fn median(runs: usize, mut run: impl FnMut(&Path)) -> Duration {
    let mut times: Vec<Duration> = (0..runs.max(1))
        .map(|_| {
            let folder = tempfile::tempdir_in(".").unwrap();
            let start = Instant::now();
            run(folder.path());
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn hash_in_turn(load: &Load, _: &Path) {
    for (bytes, digest) in load.parts() {
        assert_eq!(Digest::sha256(bytes), *digest);
    }
}

fn hash_at_once(load: &Load, _: &Path) {
    thread::scope(|scope| {
        for (bytes, digest) in load.parts() {
            scope.spawn(move || assert_eq!(Digest::sha256(bytes), *digest));
        }
    });
}

fn write(load: &Load, folder: &Path) {
    for (bytes, digest) in load.parts() {
        write_one(bytes, &folder.join(digest.hex()));
    }
}

fn write_and_sync(load: &Load, folder: &Path) {
    for (bytes, digest) in load.parts() {
        let file = write_one(bytes, &folder.join(digest.hex()));
        file.sync_all().unwrap();
    }
}

fn write_one(bytes: &[u8], path: &Path) -> File {
    let mut file = File::create(path).unwrap();
    for piece in bytes.chunks(PIECE) {
        file.write_all(piece).unwrap();
    }
    fs::rename(path, path.with_extension("done")).unwrap();
    file
}

fn limit(load: &Load, folder: &Path) {
    thread::scope(|scope| {
        for (bytes, digest) in load.parts() {
            scope.spawn(move || {
                write_one(bytes, &folder.join(digest.hex()));
                assert_eq!(Digest::sha256(bytes), *digest);
            });
        }
    });
}

fn ingest_in_turn(load: &Load, folder: &Path) {
    let store = Store::open(folder).unwrap();
    for (bytes, digest) in load.parts() {
        ingest_one(&store, bytes, digest);
    }
}

fn ingest_at_once(load: &Load, folder: &Path) {
    let store = Store::open(folder).unwrap();
    thread::scope(|scope| {
        for (bytes, digest) in load.parts() {
            let store = &store;
            scope.spawn(move || ingest_one(store, bytes, digest));
        }
    });
}

fn ingest_one(store: &Store, bytes: &[u8], digest: &Digest) {
    let ingest = begin(store, bytes, digest);
    for piece in bytes.chunks(PIECE) {
        ingest.append(piece).unwrap();
    }
    ingest.commit().unwrap();
}

fn ingest_in_ranges(load: &Load, folder: &Path) {
    let store = Store::open(folder).unwrap();
    thread::scope(|scope| {
        for (bytes, digest) in load.parts() {
            let store = &store;
            scope.spawn(move || {
                let ingest = begin(store, bytes, digest);
                let share = bytes.len().div_ceil(4);
                thread::scope(|scope| {
                    for (number, range) in bytes.chunks(share).enumerate() {
                        let ingest = &ingest;
                        scope.spawn(move || write_range(ingest, number * share, range));
                    }
                });
                ingest.commit().unwrap();
            });
        }
    });
}

fn write_range(ingest: &Ingest, mut at: usize, range: &[u8]) {
    for piece in range.chunks(PIECE) {
        ingest.write_at(at as u64, piece).unwrap();
        at += piece.len();
    }
}

fn begin(store: &Store, bytes: &[u8], digest: &Digest) -> Ingest {
    match store.ingest(digest, Some(bytes.len() as u64)).unwrap() {
        Ingestion::Ready(ingest) => ingest,
        other => panic!("{other:?}"),
    }
}
