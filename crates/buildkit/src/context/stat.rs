//! The description of a file that the daemon gets: fsutil's `Stat`, whose mode is Go's `os.FileMode`.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{lgetxattr, llistxattr};
use rustix::io::Errno;

use super::Trouble;
use crate::name;
use crate::proto::fsutil::Stat;

const DIR: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const NAMED_PIPE: u32 = 1 << 25;
const SETUID: u32 = 1 << 23;
const SETGID: u32 = 1 << 22;
const CHAR_DEVICE: u32 = 1 << 21;
const STICKY: u32 = 1 << 20;
/// All bits that make something other than a regular file.
const TYPE: u32 = DIR | SYMLINK | DEVICE | NAMED_PIPE | 1 << 24 | CHAR_DEVICE | 1 << 19;

/// Returns whether a mode is of a file with content.
pub(crate) const fn is_regular(mode: u32) -> bool {
    mode & TYPE == 0
}

/// Returns whether a mode is of a symbolic link.
pub(crate) const fn is_symlink(mode: u32) -> bool {
    mode & SYMLINK != 0
}

/// Remembers files with several names, to describe the second one as a link to the first.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<(u64, u64), String>);

impl Links {
    /// Describes a file. `relative` is its path in the context.
    ///
    /// Owners are left out: files of a context belong to root, whoever runs the build.
    pub(super) fn stat(
        &mut self,
        path: &Path,
        relative: &str,
        metadata: &Metadata,
    ) -> Result<Stat, Trouble> {
        let kind = metadata.file_type();
        let mut stat = Stat {
            path: name::bytes(relative),
            mode: mode(metadata),
            mod_time: metadata
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(metadata.mtime_nsec()),
            xattrs: xattrs(path)?,
            ..Stat::default()
        };
        if kind.is_dir() {
            return Ok(stat);
        }
        stat.size = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(Trouble::io(path))?;
            stat.linkname = target.into_os_string().into_vec();
            return Ok(stat);
        }
        if kind.is_block_device() || kind.is_char_device() {
            let device = metadata.rdev();
            stat.devmajor = i64::from(rustix::fs::major(device));
            stat.devminor = i64::from(rustix::fs::minor(device));
        }
        if metadata.nlink() > 1 {
            let inode = (metadata.dev(), metadata.ino());
            match self.0.get(&inode) {
                Some(first) => stat.linkname = name::bytes(first),
                None => {
                    self.0.insert(inode, relative.to_owned());
                }
            }
        }
        Ok(stat)
    }
}

/// Writes a mode as Go does. A socket becomes a regular file, as in fsutil: it has no content.
fn mode(metadata: &Metadata) -> u32 {
    let unix = metadata.mode();
    let kind = metadata.file_type();
    let mut mode = unix & 0o777;
    for (unix_bit, bit) in [(0o4000, SETUID), (0o2000, SETGID), (0o1000, STICKY)] {
        if unix & unix_bit != 0 {
            mode |= bit;
        }
    }
    mode | if kind.is_dir() {
        DIR
    } else if kind.is_symlink() {
        SYMLINK
    } else if kind.is_fifo() {
        NAMED_PIPE
    } else if kind.is_char_device() {
        DEVICE | CHAR_DEVICE
    } else if kind.is_block_device() {
        DEVICE
    } else {
        0
    }
}

/// Reads the extended attributes, those of macOS left out.
fn xattrs(path: &Path) -> Result<HashMap<String, Vec<u8>>, Trouble> {
    let failed = |error: Errno| Trouble::io(path)(error.into());
    let mut names = vec![0_u8; 1024];
    let length = loop {
        match llistxattr(path, names.as_mut_slice()) {
            Ok(length) => break length,
            Err(Errno::RANGE) if names.len() < 1 << 20 => names.resize(names.len() * 4, 0),
            Err(Errno::NOTSUP) => return Ok(HashMap::new()),
            Err(error) => return Err(failed(error)),
        }
    };
    let mut attributes = HashMap::new();
    for name in names[..length].split(|byte| *byte == 0) {
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        if name.is_empty() || name.starts_with("com.apple.") {
            continue;
        }
        let mut value = vec![0_u8; 64 << 10];
        // One that cannot be read, or has gone, is left out.
        if let Ok(length) = lgetxattr(path, name, value.as_mut_slice()) {
            value.truncate(length);
            attributes.insert(name.to_owned(), value);
        }
    }
    Ok(attributes)
}
