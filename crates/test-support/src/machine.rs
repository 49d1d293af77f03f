//! Where this machine keeps the programs that tests start. `tools/setup` puts them there.

use std::path::{Path, PathBuf};

/// Returns the repository's root.
#[must_use]
pub fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies two folders below the root")
        .to_owned()
}

/// Finds a program in `.tools/bin`, on PATH, or where Debian keeps those of the administrator.
///
/// # Panics
/// Where it is in none of them: tests never skip.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(tools().join("bin"))
        .chain(std::env::split_paths(&path))
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: run tools/setup"))
}

/// Returns Debian's static busybox for an architecture in OCI's words (`amd64`, `arm64`).
///
/// # Panics
/// Where `tools/setup` has not fetched it.
#[must_use]
pub fn busybox_program(architecture: &str) -> PathBuf {
    let path = tools()
        .join("cache/busybox")
        .join(architecture)
        .join("busybox");
    assert!(
        path.is_file(),
        "{} is missing: run tools/setup",
        path.display()
    );
    path
}

/// `.tools` of this checkout; of the main one where this is a linked worktree without its own.
fn tools() -> PathBuf {
    let own = repository_root().join(".tools");
    if own.is_dir() {
        return own;
    }
    linked_checkout()
        .map(|main| main.join(".tools"))
        .filter(|path| path.is_dir())
        .unwrap_or(own)
}

/// The checkout that a linked worktree belongs to: its `.git` is a file that names
/// `MAIN/.git/worktrees/NAME`.
fn linked_checkout() -> Option<PathBuf> {
    let text = std::fs::read_to_string(repository_root().join(".git")).ok()?;
    let folder = Path::new(text.strip_prefix("gitdir:")?.trim());
    folder.ancestors().nth(3).map(Path::to_owned)
}
