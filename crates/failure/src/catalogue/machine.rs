//! The catalogue's rows for the machine itself: its disk, its memory, its emulators. They hold in
//! every phase and are looked up first.

use super::row::{ALL_BUT_EXEC, ANY, NO_STATUS, Row, rows};
use crate::class::Class;
use crate::phase::Phase;
use crate::verdict::Remedy;

use Phase::{Blob, Exec, Export};

/// The rows, in the order of their look-up.
pub(super) const MACHINE: &[Row] = rows! {
    // The machine itself.
    { &["no space left on device", "disk quota exceeded"], NO_STATUS, ANY } => Disk Never
        "The disk is full: free some space, or move the store with SEALIFT_HOME.";
        (Blob, "write /var/lib/buildkit/x: no space left on device", None),
        (Exec, "tar: ./usr: Cannot write: No space left on device", None),
        (Blob, "Disk quota exceeded (os error 122)", None);
    { &["read-only file system", "input/output error (os error 5)"], NO_STATUS, ALL_BUT_EXEC } => Disk Never
        "The disk refuses writes: look at the kernel's log.";
        (Blob, "write: Read-only file system (os error 30)", None);
    { &["qemu: uncaught target signal"], NO_STATUS, ANY } => Emulation Once
        "The emulator crashed: a native node for this platform does not have this problem.";
        (Exec, "qemu: uncaught target signal 11 (Segmentation fault) - core dumped", None);
    { &["exec format error", ".buildkit_qemu_emulator"], NO_STATUS, ANY } => Emulation Never
        "The builder cannot run programs of this platform: register an emulator (qemu-user-static and binfmt_misc), or add a native node.";
        (Exec, "exec /bin/sh: exec format error", None),
        (Exec, "process \"/dev/.buildkit_qemu_emulator /bin/sh -c true\" did not complete successfully: exit code: 127", None);
    { &["exit code: 137", "signal: killed", "cannot allocate memory", "out of memory", "oom-kill"], NO_STATUS, ANY } => Memory Never
        "Memory ran out: build fewer units in parallel (-j), or give the builder more memory.";
        (Exec, "process \"/bin/sh -c make\" did not complete successfully: exit code: 137", None),
        (Exec, "fork: Cannot allocate memory", None),
        (Export, "runc run failed: signal: killed", None);
};
