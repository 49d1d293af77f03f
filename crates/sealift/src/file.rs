//! Files and folders as the command makes them: whole, with the user's modes, and never where
//! another user or a repository would have them.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use sealift_content::{Access, AtomicFile};

use crate::error::{Error, Kind, Result};

/// Size of the pieces in which a file is written, in bytes.
const BUFFER: usize = 1 << 20;
/// The names of this process's standard output.
const OUR_STDOUT: [&str; 3] = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Writes a file as a whole: a reader sees the old content or the new one, and a failure leaves the
/// old one. A link is followed; what is no regular file (a device, a FIFO, `/dev/stdout`) is written
/// to as it is. A new file's mode is the umask's, a replaced file keeps its own.
///
/// # Errors
/// [`Kind::Disk`] or [`Kind::Local`] with the path, and what `fill` returns.
pub fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let failed = |error| failed("write", path, error);
    if OUR_STDOUT.iter().any(|name| path == Path::new(name)) {
        // Opened anew, a file that the shell has redirected to would be written from its beginning.
        let stdout = std::io::stdout().as_fd().try_clone_to_owned();
        let mut out = BufWriter::with_capacity(BUFFER, File::from(stdout.map_err(failed)?));
        fill(&mut out)?;
        return out.flush().map_err(failed);
    }
    let there = fs::metadata(path).ok();
    let streams = ["/dev", "/proc"].iter().any(|root| path.starts_with(root));
    if there
        .as_ref()
        .is_some_and(|there| streams || !there.is_file())
    {
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        let mut out = BufWriter::with_capacity(BUFFER, file);
        fill(&mut out)?;
        return out.flush().map_err(failed);
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let file = AtomicFile::create(&target, Access::Umask).map_err(failed)?;
    let mut out = BufWriter::with_capacity(BUFFER, file.file());
    fill(&mut out)?;
    out.flush().map_err(failed)?;
    drop(out);
    if let Some(there) = there {
        let kept = file.file().set_permissions(there.permissions());
        kept.map_err(failed)?;
    }
    file.commit().map_err(failed)?;
    Ok(())
}

/// Writes a small file as a whole, as [`write`] does.
///
/// # Errors
/// As [`write`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, |out| {
        out.write_all(bytes)
            .map_err(|error| failed("write", path, error))
    })
}

/// Opens a file to append lines to it, and makes it where there is none. Only a regular file that
/// belongs to us is opened, and no link is followed: a repository may have put one there.
///
/// # Errors
/// Says what is there instead.
pub fn append(path: &Path) -> std::io::Result<File> {
    // Opening a FIFO must not wait for its reader.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .create(true)
        .append(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let file = match opened {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(std::io::Error::other("it is a symbolic link"));
        }
        opened => opened?,
    };
    let there = file.metadata()?;
    if !there.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    if there.uid() != us() {
        let owner = there.uid();
        return Err(std::io::Error::other(format!("it belongs to user {owner}")));
    }
    Ok(file)
}

/// Makes a folder that no other user may enter, or checks that it is one: sockets, tokens and what
/// a program is started with lie in it.
///
/// # Errors
/// [`Kind::Local`] if it belongs to somebody else or is no folder.
pub fn private_folder(path: &Path) -> Result<()> {
    sealift_content::private_folder(path).map_err(|error| {
        failed("use", path, error).hint("remove it, or set SEALIFT_HOME to a folder of your own")
    })
}

/// Returns the root of the repository that a folder lies in: the nearest folder, itself or above,
/// that has a `.git` or a `sealift.toml`.
#[must_use]
pub fn repository(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|part| {
        let has = |name: &str| part.join(name).symlink_metadata().is_ok();
        has(".git") || has("sealift.toml")
    })
}

/// Returns whether this is a folder of ours, not a link to one, that no other user may enter.
#[must_use]
pub fn is_private(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|there| there.is_dir() && there.uid() == us() && there.mode() & 0o077 == 0)
}

/// Returns whether nobody but us and root can have put this file there: neither it nor a folder
/// above it may be written by others. A group counts as others, except root's and the user's own.
#[must_use]
pub fn is_trusted(path: &Path) -> bool {
    let Ok(path) = fs::canonicalize(path) else {
        return false;
    };
    path.ancestors().all(|part| {
        fs::symlink_metadata(part).is_ok_and(|there| {
            let (owner, group, mode) = (there.uid(), there.gid(), there.mode());
            let own_group = group == 0 || group == owner;
            // In a sticky folder, nobody can replace what another one has.
            let sticky = there.is_dir() && mode & 0o1000 != 0;
            let closed = mode & 0o002 == 0 && (mode & 0o020 == 0 || own_group);
            [0, us()].contains(&owner) && (closed || sticky)
        })
    })
}

/// Returns the user that we act as.
#[must_use]
pub fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Makes the error of a file or folder that cannot be used.
#[must_use]
pub fn failed(action: &str, path: &Path, error: std::io::Error) -> Error {
    let full = matches!(
        error.kind(),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
    );
    let kind = if full { Kind::Disk } else { Kind::Local };
    Error::new(kind, format!("cannot {action} {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn a_file_is_replaced_where_it_is_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write_bytes(&file, b"new").unwrap();
        let umask = fs::metadata(&file).unwrap().mode() & 0o777;
        let plain = folder.path().join("plain");
        File::create(&plain).unwrap();
        assert_eq!(umask, fs::metadata(&plain).unwrap().mode() & 0o777);

        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        write_bytes(&link, b"newer").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"newer");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

        let failed = write(&file, |_| Err(Error::new(Kind::Local, "no")));
        assert_eq!(failed.unwrap_err().message(), "no");
        assert_eq!(fs::read(&file).unwrap(), b"newer");
    }

    #[test]
    fn a_fifo_and_a_device_are_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let reader = {
            let fifo = fifo.clone();
            std::thread::spawn(move || fs::read(fifo).unwrap())
        };
        write_bytes(&fifo, b"text").unwrap();
        assert_eq!(reader.join().unwrap(), b"text");

        let null = folder.path().join("null");
        symlink("/dev/null", &null).unwrap();
        write_bytes(&null, b"text").unwrap();
        assert!(fs::symlink_metadata(&null).unwrap().is_symlink());
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn lines_go_only_to_a_regular_file_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        append(&path("log")).unwrap().write_all(b"a\n").unwrap();
        append(&path("log")).unwrap().write_all(b"b\n").unwrap();
        assert_eq!(fs::read(path("log")).unwrap(), b"a\nb\n");
        let why = |name: &str| append(&path(name)).unwrap_err().to_string();
        symlink("log", path("link")).unwrap();
        assert_eq!(why("link"), "it is a symbolic link");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), fifo, mode, 0).unwrap();
        let _reader = File::options().read(true).write(true).open(path("fifo"));
        assert_eq!(why("fifo"), "it is not a regular file");
        // Only root can give a file away; others cannot be attacked by this test either.
        if us() == 0 {
            std::os::unix::fs::chown(path("log"), Some(12345), None).unwrap();
            assert_eq!(why("log"), "it belongs to user 12345");
        }
    }

    #[test]
    fn a_program_that_others_could_replace_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let tools = folder.path().join("tools");
        fs::create_dir(&tools).unwrap();
        let program = tools.join("program");
        File::create(&program).unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&program, 0o755);
        mode(&tools, 0o755);
        assert!(is_trusted(&program));
        mode(&tools, 0o777);
        assert!(!is_trusted(&program));
        mode(&tools, 0o755);
        mode(&program, 0o757);
        assert!(!is_trusted(&program));
        mode(&program, 0o755);
        let link = folder.path().join("link");
        symlink(&program, &link).unwrap();
        assert!(is_trusted(&link));
        if us() == 0 {
            std::os::unix::fs::chown(&tools, Some(12345), None).unwrap();
            assert!(!is_trusted(&link));
        }
        assert!(!is_trusted(&folder.path().join("none")));
    }

    #[test]
    fn a_private_folder_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let private = folder.path().join("a/b");
        private_folder(&private).unwrap();
        assert_eq!(fs::metadata(&private).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&private, fs::Permissions::from_mode(0o777)).unwrap();
        private_folder(&private).unwrap();
        assert_eq!(fs::metadata(&private).unwrap().mode() & 0o777, 0o700);
        if us() == 0 {
            std::os::unix::fs::chown(&private, Some(12345), None).unwrap();
            let error = private_folder(&private).unwrap_err();
            assert!(error.line().ends_with("/a/b: it belongs to user 12345"));
        }
    }
}
