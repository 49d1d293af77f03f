//! An ingest held against a plain array of bytes, and against itself from several threads.

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::Config;
use sealift_content::{Error, Ingest};
use sealift_oci::Digest;

use crate::fixture::{noise, ready, store};

const SIZE: usize = 3_000;

#[derive(Debug, Clone)]
enum Step {
    Write { at: usize, len: usize, wrong: bool },
    Discard { at: usize, len: usize },
    Reopen,
    Check,
}

fn step() -> impl Strategy<Value = Step> {
    let write = |(at, len, wrong)| Step::Write { at, len, wrong };
    prop_oneof![
        6 => (0..SIZE, 1..900_usize, proptest::bool::weighted(0.1)).prop_map(write),
        2 => (0..SIZE, 1..900_usize).prop_map(|(at, len)| Step::Discard { at, len }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Check),
    ]
}

/// What the file should hold: nothing where a byte has not been written.
struct Model(Vec<Option<u8>>);

impl Model {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        for (slot, byte) in self.0[at..].iter_mut().zip(bytes) {
            // What is there stays.
            slot.get_or_insert(*byte);
        }
    }

    fn missing(&self) -> u64 {
        self.0.iter().filter(|slot| slot.is_none()).count() as u64
    }

    fn content(&self) -> Option<Vec<u8>> {
        self.0.iter().copied().collect()
    }

    /// Holds an ingest's check against the content.
    fn agrees(&self, ingest: &Ingest) {
        match (ingest.check(), self.content()) {
            (Ok(()), Some(content)) => assert_eq!(Digest::sha256(&content), *ingest.digest()),
            (Err(Error::Incomplete { missing, .. }), None) => assert_eq!(missing, self.missing()),
            (Err(Error::Mismatch { actual, .. }), Some(content)) => {
                // Not only wrong, but wrong in just the way that the content is.
                assert_eq!(actual, Digest::sha256(&content));
                assert_ne!(actual, *ingest.digest());
            }
            (other, _) => panic!("{other:?} with {} bytes missing", self.missing()),
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 80, ..Config::default() })]

    #[test]
    fn an_ingest_is_the_array_that_was_written(steps in vec(step(), 1..40), seed in any::<u64>()) {
        let (_folder, store) = store();
        let (right, wrong) = (noise(seed, SIZE), noise(!seed, SIZE));
        let digest = Digest::sha256(&right);
        let mut model = Model(vec![None; SIZE]);
        let mut ingest = ready(&store, &digest, Some(SIZE as u64));
        for step in steps {
            match step {
                Step::Write { at, len, wrong: is_wrong } => {
                    let source = if is_wrong { &wrong } else { &right };
                    let bytes = &source[at..SIZE.min(at + len)];
                    ingest.write_at(at as u64, bytes).unwrap();
                    model.write(at, bytes);
                }
                Step::Discard { at, len } => {
                    ingest.discard(at as u64..(at + len) as u64).unwrap();
                    model.0[at..SIZE.min(at + len)].fill(None);
                }
                Step::Reopen => {
                    drop(ingest);
                    ingest = ready(&store, &digest, Some(SIZE as u64));
                    prop_assert_eq!(ingest.resumed(), SIZE as u64 - model.missing());
                }
                Step::Check => model.agrees(&ingest),
            }
            let missing: u64 = ingest.missing().iter().map(|gap| gap.end - gap.start).sum();
            prop_assert_eq!(missing, model.missing());
        }
        for gap in ingest.missing() {
            let bytes = &right[gap.start as usize..gap.end as usize];
            ingest.write_at(gap.start, bytes).unwrap();
            model.write(gap.start as usize, bytes);
        }
        model.agrees(&ingest);
        let good = model.content() == Some(right);
        prop_assert_eq!(ingest.commit().is_ok(), good);
        prop_assert_eq!(store.contains(&digest), good);
        drop(ingest);
        prop_assert_eq!(std::fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
    }
}

/// Three threads write, one of them wrong bytes, while a fourth discards what was just written and
/// hashed: whatever the order, the hash that counts is the one of the bytes in the file.
#[test]
fn discards_between_writes_and_hashing_never_spoil_the_digest() {
    for round in 0..50 {
        let (_folder, store) = store();
        let (right, wrong) = (noise(round, SPAN), noise(!round, SPAN));
        let digest = Digest::sha256(&right);
        let ingest = ready(&store, &digest, Some(SPAN as u64));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (ingest, done) = (&ingest, &done);
            let writers =
                [&right, &right, &wrong].map(|bytes| scope.spawn(move || fill(ingest, bytes)));
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    ingest.discard(0..SPAN as u64 / 2).unwrap();
                }
            });
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        ingest.write_at(0, &right).unwrap();
        if let Err(Error::Mismatch { actual, .. }) = ingest.check() {
            let name = format!("tmp/sha256-{}.partial", digest.hex());
            let file = std::fs::read(store.root().join(name)).unwrap();
            assert_eq!(actual, Digest::sha256(&file));
            ingest.discard(0..SPAN as u64).unwrap();
            ingest.write_at(0, &right).unwrap();
        }
        ingest.commit().unwrap();
        assert_eq!(store.read_blob(&digest, 1 << 20).unwrap(), right);
    }
}

const SPAN: usize = 10_000;

fn fill(ingest: &Ingest, bytes: &[u8]) {
    for _ in 0..100 {
        ingest.write_at(0, bytes).unwrap();
    }
}
