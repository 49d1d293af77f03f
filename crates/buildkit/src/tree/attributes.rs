//! What a file has beside its content.

use std::collections::HashMap;
use std::os::fd::AsFd;

use rustix::fs::{Timespec, Timestamps, XattrFlags, fsetxattr};

/// What a file has beside its content.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    /// Permissions, set-id and sticky bits, as in `st_mode`.
    pub(crate) mode: u32,
    /// Time of modification, in nanoseconds since 1970.
    pub(crate) modified: i64,
    /// Extended attributes.
    pub(crate) xattrs: HashMap<String, Vec<u8>>,
}

/// Sets what the file system and our rights allow.
pub(super) fn set_xattrs(file: &impl AsFd, xattrs: &HashMap<String, Vec<u8>>) {
    for (name, value) in xattrs {
        let set = fsetxattr(file, &**name, value, XattrFlags::empty());
        if let Err(error) = set {
            tracing::debug!(name, %error, "an extended attribute is not set");
        }
    }
}

/// Returns a time of modification as system calls take it.
pub(super) fn times(modified: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: modified.div_euclid(1_000_000_000),
        tv_nsec: modified.rem_euclid(1_000_000_000),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
