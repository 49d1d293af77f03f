//! The journal of a partial blob: which of its bytes were written.
//!
//! One checksummed entry a write, appended after the write was done, so that a killed process loses
//! nothing that it has recorded. A crash of the whole machine can lose data that was recorded but
//! never reached the disk: entries made before the machine was started last count only up to the
//! last checkpoint, which is made after a sync of the data.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::boot::boot;
use crate::file::{Access, AtomicFile, folder};
use crate::folder::sync_folder;
use crate::ranges::RangeSet;
use crate::{Error, Result, disk};

const ENTRY: usize = 32;
const HEADER: u64 = 0x5345_414c_4946_5431;
const WRITTEN: u64 = 1;
const DISCARDED: u64 = 2;
const CHECKPOINT: u64 = 3;

/// The journal of a partial blob.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    /// Entries after the header.
    entries: u64,
}

impl Journal {
    /// Makes a journal that begins with these ranges, which are on the disk.
    pub(crate) fn create(path: &Path, written: &RangeSet) -> Result<Self> {
        let mut bytes = entry(HEADER, boot(), 0).to_vec();
        let mut entries = 0;
        for range in written.iter() {
            bytes.extend(entry(WRITTEN, range.start, range.end));
            entries += 1;
        }
        if entries > 0 {
            bytes.extend(entry(CHECKPOINT, entries, 0));
            entries += 1;
        }
        let write = || {
            let mut file = AtomicFile::create(path, Access::Umask)?;
            file.write_all(&bytes)?;
            if entries > 0 {
                file.file().sync_data()?;
            }
            file.commit()
        };
        let file = write().map_err(disk::write_error(path, bytes.len() as u64))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            entries,
        })
    }

    /// Notes a range that was written.
    pub(crate) fn written(&mut self, range: &Range<u64>) -> Result<()> {
        self.append(WRITTEN, range.start, range.end)
    }

    /// Notes a range that was given up.
    pub(crate) fn discarded(&mut self, range: &Range<u64>) -> Result<()> {
        self.append(DISCARDED, range.start, range.end)
    }

    /// Begins a checkpoint of all entries up to now. Others may be added while the data is synced.
    pub(crate) fn begin_checkpoint(&mut self) -> Result<Checkpoint> {
        let file = self
            .file
            .try_clone()
            .map_err(Error::io("open", &self.path))?;
        let covered = self.entries;
        // Its place is taken at once: an entry is found only if all before it are there.
        self.append(CHECKPOINT, 0, 0)?;
        Ok(Checkpoint {
            file,
            path: self.path.clone(),
            covered,
        })
    }

    fn append(&mut self, kind: u64, start: u64, end: u64) -> Result<()> {
        // By position, so that an entry cut short by a full disk is overwritten by the next.
        self.file
            .write_all_at(&entry(kind, start, end), place(self.entries))
            .map_err(disk::write_error(&self.path, ENTRY as u64))?;
        self.entries += 1;
        Ok(())
    }
}

/// A checkpoint whose entry says nothing yet.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    file: File,
    path: PathBuf,
    /// How many entries it covers; its own is the next.
    covered: u64,
}

impl Checkpoint {
    /// Ends the checkpoint, once the data is on the disk.
    pub(crate) fn finish(self) -> Result<()> {
        let entry = entry(CHECKPOINT, self.covered, 0);
        self.file
            .write_all_at(&entry, place(self.covered))
            .and_then(|()| self.file.sync_data())
            .map_err(disk::write_error(&self.path, ENTRY as u64))?;
        sync_folder(folder(&self.path))
    }
}

/// Returns where an entry is in the file, after the header.
fn place(entry: u64) -> u64 {
    (entry + 1) * ENTRY as u64
}

fn entry(kind: u64, start: u64, end: u64) -> [u8; ENTRY] {
    let mut bytes = [0; ENTRY];
    for (slot, word) in bytes.chunks_exact_mut(8).zip([kind, start, end]) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    let check = checksum(&bytes[..24]);
    bytes[24..].copy_from_slice(&check.to_le_bytes());
    bytes
}

/// Computes FNV-1a of 64 bits: it finds entries that were cut or never written.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Reads which bytes a journal says were written.
pub(crate) fn read(path: &Path) -> RangeSet {
    let mut bytes = Vec::new();
    // No journal, or one that can't be read, means that nothing is known to be written.
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => replay(&bytes, boot()),
        Err(_) => RangeSet::default(),
    }
}

/// Finds what was written; of entries made under another boot, only what a checkpoint covers.
fn replay(bytes: &[u8], boot: u64) -> RangeSet {
    let mut entries = bytes.chunks_exact(ENTRY).map_while(decode);
    let same_boot = match entries.next() {
        Some([HEADER, id, _]) => boot != 0 && id == boot,
        _ => return RangeSet::default(),
    };
    let entries: Vec<[u64; 3]> = entries.collect();
    let covered = entries
        .iter()
        .filter(|entry| entry[0] == CHECKPOINT)
        .map(|entry| entry[1])
        .max();
    let trusted = if same_boot {
        u64::MAX
    } else {
        covered.unwrap_or(0)
    };
    let mut written = RangeSet::default();
    for (at, [kind, start, end]) in (0u64..).zip(entries) {
        match kind {
            WRITTEN if at < trusted && start <= end => written.insert(start..end),
            DISCARDED => written.remove(start..end),
            _ => {}
        }
    }
    written
}

fn decode(bytes: &[u8]) -> Option<[u64; 3]> {
    let mut words = [0; 4];
    for (word, slot) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(slot.try_into().ok()?);
    }
    let [kind, start, end, check] = words;
    (check == checksum(&bytes[..24])).then_some([kind, start, end])
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn journal(boot: u64, entries: &[(u64, u64, u64)]) -> Vec<u8> {
        let mut bytes = entry(HEADER, boot, 0).to_vec();
        for &(kind, start, end) in entries {
            bytes.extend(entry(kind, start, end));
        }
        bytes
    }

    fn ranges(set: &RangeSet) -> Vec<Range<u64>> {
        set.iter().collect()
    }

    #[test]
    fn another_boot_counts_only_what_a_checkpoint_covers() {
        let bytes = journal(
            7,
            &[
                (WRITTEN, 0, 10),
                (WRITTEN, 20, 30),
                (CHECKPOINT, 1, 0),
                (WRITTEN, 10, 20),
                (DISCARDED, 5, 10),
            ],
        );
        assert_eq!(ranges(&replay(&bytes, 7)), vec![0..5, 10..30]);
        assert_eq!(ranges(&replay(&bytes, 8)), vec![0..5]);
        assert_eq!(ranges(&replay(&bytes, 0)), vec![0..5]);
    }

    #[test]
    fn a_checkpoint_covers_what_was_noted_before_it_began() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ranges");
        let mut journal = Journal::create(&path, &RangeSet::default()).unwrap();
        journal.written(&(0..10)).unwrap();
        let checkpoint = journal.begin_checkpoint().unwrap();
        journal.written(&(10..20)).unwrap();
        let read = |boot| ranges(&replay(&std::fs::read(&path).unwrap(), boot));
        assert_eq!(read(boot()), vec![0..20]);
        assert_eq!(read(!boot()), vec![]);
        checkpoint.finish().unwrap();
        assert_eq!(read(boot()), vec![0..20]);
        assert_eq!(read(!boot()), vec![0..10]);
        journal.written(&(30..40)).unwrap();
        assert_eq!(read(boot()), vec![0..20, 30..40]);
        // The shortest form is a checkpoint itself.
        let known = self::read(&path);
        Journal::create(&path, &known).unwrap();
        assert_eq!(read(!boot()), vec![0..20, 30..40]);
    }

    proptest! {
        /// A journal that is cut anywhere says no more than the entries that are whole in it.
        #[test]
        fn a_cut_journal_is_a_shorter_journal(steps in vec((any::<bool>(), 0u64..1000, 0u64..200), 0..40), cut in any::<usize>()) {
            let entries: Vec<_> = steps
                .iter()
                .map(|&(add, start, len)| (if add { WRITTEN } else { DISCARDED }, start, start + len))
                .collect();
            let bytes = journal(1, &entries);
            let cut = cut % (bytes.len() + 1);
            let whole = (cut / ENTRY).saturating_sub(1);
            let expected = replay(&journal(1, &entries[..whole]), 1);
            prop_assert_eq!(replay(&bytes[..cut], 1), expected);
        }

        /// A changed byte ends what is believed; it never adds to it.
        #[test]
        fn a_damaged_journal_adds_nothing(lens in vec(1u64..50, 1..30), at in any::<usize>(), flip in 1u8..) {
            let mut start = 0;
            let entries: Vec<_> = lens
                .iter()
                .map(|len| { start += len; (WRITTEN, start - len, start) })
                .collect();
            let mut bytes = journal(1, &entries);
            let at = at % bytes.len();
            bytes[at] ^= flip;
            let damaged = replay(&bytes, 1);
            let whole = (at / ENTRY).saturating_sub(1);
            let before = entries[..whole].last().map_or(0, |entry| entry.2);
            prop_assert!(damaged.end() <= before);
            prop_assert_eq!(damaged.run_from(0), damaged.end());
        }

        /// Any bytes at all are read without a panic.
        #[test]
        fn noise_is_nothing(bytes in vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(replay(&bytes, 1).len(), 0);
        }
    }
}
