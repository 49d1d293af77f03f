//! Files that their user alone may read, in folders that nobody else may enter: tokens, and whom the
//! user trusts.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::file::{Access, folder, write_file};

/// Larger files are none of ours, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// Makes a folder that its user alone may enter, whatever the umask, or closes one that is there.
///
/// # Errors
/// What the system answers; `PermissionDenied` for a folder of another user, or one behind his link.
pub fn private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(folder(path))?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let metadata = path.metadata()?;
    if !metadata.is_dir() {
        return Err(refused("it is not a folder"));
    }
    own(&path.symlink_metadata()?)?;
    own(&metadata)?;
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Reads a file that its user alone can read and write; nothing where there is none.
///
/// # Errors
/// What the system answers; `PermissionDenied` for a link, for a file of another user, and for one
/// that others may read.
pub fn read_private(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let metadata = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    if !metadata.is_file() {
        return Err(refused("it is not a file"));
    }
    own(&metadata)?;
    if metadata.mode() & 0o077 != 0 {
        return Err(refused("others may read it"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes a file that its user alone can read, in a folder that is made as [`private_folder`] does.
///
/// # Errors
/// As [`private_folder`] and [`write_file`].
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    private_folder(folder(path))?;
    write_file(path, bytes, Access::Owner)
}

fn own(metadata: &Metadata) -> io::Result<()> {
    let owner = metadata.uid();
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(refused(&format!("it belongs to user {owner}")))
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    #[test]
    fn what_is_not_our_own_or_not_private_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state/tokens");
        let file = folder.join("a");
        assert_eq!(read_private(&file).unwrap(), None);
        write_private(&file, b"secret").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        assert_eq!([mode(&folder), mode(&file)], [0o700, 0o600]);
        assert_eq!(read_private(&file).unwrap().unwrap(), b"secret");
        let refusal = |path: &Path| read_private(path).unwrap_err().to_string();
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        set(&file, 0o640).unwrap();
        assert_eq!(refusal(&file), "others may read it");
        set(&file, 0o600).unwrap();
        symlink(&file, folder.join("link")).unwrap();
        assert_eq!(refusal(&folder.join("link")), "it is not a file");
        chown(&file, Some(12_345), None).unwrap();
        assert_eq!(refusal(&file), "it belongs to user 12345");
        // An open folder of our own is closed; another user's is not used.
        set(&folder, 0o777).unwrap();
        write_private(&file, b"new").unwrap();
        assert_eq!(mode(&folder), 0o700);
        chown(&folder, Some(12_345), None).unwrap();
        let error = write_private(&file, b"newer").unwrap_err();
        assert_eq!(error.to_string(), "it belongs to user 12345");
    }
}
