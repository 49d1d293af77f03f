//! Reads small files that somebody else made: a repository may link them to a device without end, or
//! put a pipe there that nobody writes to.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

/// How long a pipe may be without a writer.
const WRITER_WAIT: Duration = Duration::from_secs(5);
const WRITER_POLL: Duration = Duration::from_millis(10);

/// Reads a regular file or a pipe of at most `limit` bytes.
///
/// # Errors
/// What the system answers; [`io::ErrorKind::IsADirectory`], [`io::ErrorKind::InvalidInput`] for
/// devices and sockets, [`io::ErrorKind::FileTooLarge`], and [`io::ErrorKind::TimedOut`] for a pipe
/// that nobody opens to write.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a folder",
        ));
    }
    if !kind.is_file() && !kind.is_fifo() {
        let what = if kind.is_socket() { "socket" } else { "device" };
        let text = format!("it is a {what}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    // To open a pipe would wait for its writer.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)?;
    let mut bytes = Vec::new();
    if kind.is_fifo() {
        bytes = first_bytes(&mut file)?;
        rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    }
    let rest = (limit + 1).saturating_sub(bytes.len() as u64);
    file.take(rest).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let text = format!("it is larger than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// Waits for a pipe's writer and returns the first bytes, if it is quick to write some.
fn first_bytes(file: &mut File) -> io::Result<Vec<u8>> {
    let started = Instant::now();
    let mut piece = vec![0; 4096];
    loop {
        match file.read(&mut piece) {
            // Nobody has it open to write, or has just closed it.
            Ok(0) if started.elapsed() < WRITER_WAIT => std::thread::sleep(WRITER_POLL),
            Ok(0) => {
                let text = "it is a pipe that nobody writes to";
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            Ok(count) => {
                piece.truncate(count);
                return Ok(piece);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;

    use super::*;

    fn refusal(path: &Path) -> (io::ErrorKind, String) {
        let error = read_bounded(path, 10).unwrap_err();
        (error.kind(), error.to_string())
    }

    fn fifo(folder: &Path) -> PathBuf {
        let path = folder.join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        path
    }

    #[test]
    fn refuses_what_is_too_large_or_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        crate::write_file(&path, b"0123456789", crate::Access::Umask).unwrap();
        assert_eq!(read_bounded(&path, 10).unwrap(), b"0123456789");
        assert_eq!(
            read_bounded(&path, 9).unwrap_err().to_string(),
            "it is larger than 9 bytes"
        );
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        let device = (io::ErrorKind::InvalidInput, "it is a device".to_owned());
        assert_eq!(refusal(&link), device);
        let directory = (io::ErrorKind::IsADirectory, "it is a folder".to_owned());
        assert_eq!(refusal(folder.path()), directory);
    }

    #[test]
    fn reads_a_pipe_with_a_writer_and_does_not_wait_for_ever_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        let nobody = "it is a pipe that nobody writes to".to_owned();
        assert_eq!(refusal(&path), (io::ErrorKind::TimedOut, nobody));
        let writer = {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut file = OpenOptions::new().write(true).open(path).unwrap();
                file.write_all(b"01234").unwrap();
                std::thread::sleep(Duration::from_millis(50));
                file.write_all(b"56789").unwrap();
            })
        };
        assert_eq!(read_bounded(&path, 10).unwrap(), b"0123456789");
        writer.join().unwrap();
        let endless = std::thread::spawn({
            let path = path.clone();
            move || {
                let mut file = OpenOptions::new().write(true).open(path).unwrap();
                while file.write_all(b"0123456789").is_ok() {}
            }
        });
        assert_eq!(refusal(&path).0, io::ErrorKind::FileTooLarge);
        endless.join().unwrap();
    }
}
