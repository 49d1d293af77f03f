//! The process that writes: it brings images in, a blob at a time from two threads, and names them.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sealift_content::{Ingest, Ingestion, Named, Store};
use sealift_oci::{Digest, Index, MediaType, Reference};
use sealift_test_support::{Blob, random_image};

/// The first argument that makes this program a worker.
pub(crate) const ROLE: &str = "--worker";
/// How much a thread writes at once, in bytes.
pub(crate) const PIECE: usize = 16 * 1024;
/// How often a worker changes the name that all change.
pub(crate) const ROUNDS: usize = 25;
/// How many threads write one blob.
pub(crate) const THREADS: usize = 2;

/// Starts a worker. `seed` decides the order in which it writes; what it fetches is in the store
/// `source` beside its own.
pub(crate) fn start(task: &str, store: &Path, seed: u64, log: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .arg(ROLE)
        .arg(task)
        .arg(store)
        .arg(seed.to_string())
        .arg(log)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

pub(crate) fn run(arguments: &[String]) {
    let [task, store, seed, log] = arguments else {
        panic!("{arguments:?}");
    };
    let store = Store::open(store).unwrap();
    let seed: u64 = seed.parse().unwrap();
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .open(log)
        .unwrap();
    let _lease = store.lease().unwrap();
    match task.as_str() {
        "fetch" => fetch(&store, seed, &log),
        "blob" => blob(&store, seed, &log),
        "names" => names(&store, seed),
        "name" => one_name(&store, seed),
        other => panic!("{other}"),
    }
}

/// The blob that the workers of the race bring in.
pub(crate) fn contested() -> Blob {
    let image = random_image(77, &["linux/amd64"], &[2_000_000]);
    image.blobs.into_iter().next_back().unwrap()
}

fn fetch(store: &Store, seed: u64, log: &File) {
    let mut random = fastrand::Rng::with_seed(seed);
    let source = Store::open(store.root().with_file_name("source")).unwrap();
    for (name, root) in source.names().unwrap() {
        if store.resolve(&name).unwrap().is_some() {
            continue;
        }
        for part in source.closure(&root).unwrap() {
            match store.ingest(&part.digest, Some(part.size)) {
                Ok(Ingestion::Ready(ingest)) => {
                    let bytes = source.read_blob(&part.digest, part.size).unwrap();
                    write(&ingest, &bytes, random.u64(..), log);
                    ingest.commit().unwrap();
                }
                Ok(Ingestion::Present) => {}
                other => panic!("nobody else is here: {other:?}"),
            }
        }
        store.set_names(&[(name, root)]).unwrap();
    }
}

/// Writes what is missing in pieces, in any order, from two threads; notes each in the log first.
fn write(ingest: &Ingest, bytes: &[u8], seed: u64, log: &File) {
    let mut pieces = Vec::new();
    for gap in ingest.missing() {
        let mut at = gap.start as usize;
        while at < gap.end as usize {
            let end = (at + PIECE).min(gap.end as usize);
            pieces.push(at..end);
            at = end;
        }
    }
    fastrand::Rng::with_seed(seed).shuffle(&mut pieces);
    let share = pieces.len().div_ceil(THREADS).max(1);
    std::thread::scope(|scope| {
        for mine in pieces.chunks(share) {
            scope.spawn(move || {
                for piece in mine {
                    let slice = &bytes[piece.clone()];
                    let line = format!("{} {}\n", ingest.digest(), slice.len());
                    let mut log = log;
                    log.write_all(line.as_bytes()).unwrap();
                    ingest.write_at(piece.start as u64, slice).unwrap();
                }
            });
        }
    });
}

/// Brings one blob in that others bring in too; gives up now and then, so that it changes hands.
fn blob(store: &Store, seed: u64, log: &File) {
    let blob = contested();
    let digest: &Digest = &blob.descriptor.digest;
    let mut random = fastrand::Rng::with_seed(seed);
    // A bound, so that a store that forgets fails the test and does not hang it.
    for _ in 0..100_000 {
        match store.ingest(digest, Some(blob.descriptor.size)).unwrap() {
            Ingestion::Present => return,
            Ingestion::Busy => std::thread::sleep(Duration::from_millis(1)),
            Ingestion::Ready(ingest) => {
                let gap = ingest.missing()[0].clone();
                let end = gap.end.min(gap.start + PIECE as u64 * random.u64(1..8));
                let slice = &blob.bytes[gap.start as usize..end as usize];
                write_one(&ingest, gap.start, slice, log);
                if ingest.missing().is_empty() {
                    ingest.commit().unwrap();
                }
            }
        }
    }
    panic!("{digest} was never whole");
}

fn write_one(ingest: &Ingest, at: u64, slice: &[u8], mut log: &File) {
    let line = format!("{} {}\n", ingest.digest(), slice.len());
    log.write_all(line.as_bytes()).unwrap();
    ingest.write_at(at, slice).unwrap();
}

/// Sets 25 names and takes every fifth of them away.
fn names(store: &Store, seed: u64) {
    let image = random_image(5, &["linux/amd64"], &[1_000]);
    for blob in image.all() {
        let media_type = blob.descriptor.media_type.as_str();
        store.put(media_type, &blob.bytes).unwrap();
    }
    for number in 0..25 {
        let name = Reference::parse(&format!("worker{seed}:{number}")).unwrap();
        let named = (name.clone(), image.root.descriptor.clone());
        store.set_names(&[named]).unwrap();
        if number % 5 == 0 {
            assert_eq!(store.remove_names(&[name]).unwrap(), 1);
        }
    }
}

/// Adds to what one name stands for, again and again.
fn one_name(store: &Store, seed: u64) {
    let name = Reference::parse("shared:1").unwrap();
    for round in 0..ROUNDS {
        let content = store.put("text/plain", format!("{seed}-{round}").as_bytes());
        let content = content.unwrap();
        let changed = store.update_name(&name, |now| {
            let known = now.map(|named| store.read_blob(&named.content.digest, 1 << 20));
            let mut index = match known.transpose()? {
                Some(bytes) => Index::parse(&bytes).unwrap(),
                None => Index::new(Vec::new()),
            };
            index.manifests.push(content.clone());
            let bytes = serde_json::to_vec(&index).unwrap();
            let content = store.put(MediaType::OCI_INDEX, &bytes)?;
            let origin = None;
            Ok::<_, sealift_content::Error>(Named { content, origin })
        });
        changed.unwrap();
    }
}
