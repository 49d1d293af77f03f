//! A Dockerfile, read and parsed once.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealift_content::read_bounded;
use sealift_dockerfile as dockerfile;
use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::file::repository;

/// A Dockerfile is a page of text; past this it is a mistake (a layer, a log, a device).
const DOCKERFILE_MAX: u64 = 16 << 20;

/// A Dockerfile as it was read.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// Where it was read from, as messages show it; `<stdin>` for standard input.
    pub shown: Arc<str>,
    /// Where BuildKit can get it.
    pub origin: Origin,
    /// The whole text. It need not be UTF-8 in comments, so it was read leniently.
    pub text: String,
    /// The text's instructions, or what is wrong with them.
    pub parsed: std::result::Result<dockerfile::Dockerfile, dockerfile::Error>,
}

/// Where a Dockerfile came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The file of this path. It is not what a link points to: the ignore file
    /// `NAME.dockerignore` stands beside the name that was given.
    File(PathBuf),
    /// Standard input, or a pipe: what can be read only once, and had these bytes.
    Stream(Vec<u8>),
}

/// A line that asks for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file as messages show it, or other words where no file asks.
    pub file: Arc<str>,
    /// The line, 0 where no line of the file asks.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

impl Dockerfile {
    /// Reads a file; its path is shown as seen from the working directory.
    ///
    /// # Errors
    /// [`Kind::Absent`] where there is none, [`Kind::Usage`] for what cannot be a Dockerfile,
    /// [`Kind::Local`] where it cannot be read.
    pub fn read(working_directory: &Path, path: &Path) -> Result<Self> {
        let relative = path.strip_prefix(working_directory).unwrap_or(path);
        let shown = match relative.display().to_string() {
            empty if empty.is_empty() => ".".to_owned(),
            shown => shown,
        };
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::new(
                Kind::Absent,
                format!("the Dockerfile {shown} does not exist"),
            )
            .hint("name it with -f FILE"),
            _ => Error::new(Kind::Local, format!("cannot read {shown}")).because(error),
        };
        let usage = |text: String| Error::new(Kind::Usage, text);
        let bytes = read_bounded(path, DOCKERFILE_MAX).map_err(|error| match error.kind() {
            io::ErrorKind::IsADirectory => {
                let file = relative.join("Dockerfile");
                usage(format!("{shown} is a folder, not a Dockerfile"))
                    .hint(format!("name the file: -f {}", file.display()))
            }
            io::ErrorKind::FileTooLarge => too_large(&shown),
            io::ErrorKind::InvalidInput => {
                let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
                let target = target.display();
                usage(format!(
                    "{shown} is not a regular file: it points to {target}"
                ))
            }
            _ => failed(error),
        })?;
        refuse_outside(&shown, path).map_err(usage)?;
        let metadata = path.metadata().map_err(failed)?;
        Ok(if metadata.is_file() {
            Self::new(&shown, &bytes, Origin::File(path.to_owned()))
        } else {
            Self::new(&shown, &bytes.clone(), Origin::Stream(bytes))
        })
    }

    /// Reads standard input.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_standard_input() -> Result<Self> {
        let failed = |error| {
            let text = "cannot read the Dockerfile from standard input";
            Error::new(Kind::Local, text).because(error)
        };
        let mut bytes = Vec::new();
        let mut input = io::stdin().lock().take(DOCKERFILE_MAX + 1);
        input.read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > DOCKERFILE_MAX {
            return Err(too_large("standard input"));
        }
        Ok(Self::new("<stdin>", &bytes.clone(), Origin::Stream(bytes)))
    }

    /// Parses a Dockerfile's text.
    #[must_use]
    pub fn new(shown: &str, text: &[u8], origin: Origin) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        Self {
            shown: shown.into(),
            parsed: dockerfile::parse(&text),
            origin,
            text,
        }
    }

    /// Names a line of it, or with 0 the file as a whole.
    #[must_use]
    pub fn place(&self, line: usize) -> Place {
        let file = Arc::clone(&self.shown);
        Place { file, line }
    }
}

/// Refuses a link that leads out of its repository: messages would show another file's lines.
fn refuse_outside(shown: &str, path: &Path) -> std::result::Result<(), String> {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let (Some(folder), Ok(target), true) = (folder, path.canonicalize(), path.is_symlink()) else {
        return Ok(());
    };
    let root = repository(&folder).unwrap_or(&folder);
    if target.starts_with(root) {
        return Ok(());
    }
    let (target, root) = (target.display(), root.display());
    Err(format!(
        "{shown} is a symbolic link that leads out of {root}: name {target} itself with -f"
    ))
}

fn too_large(shown: &str) -> Error {
    let limit = crate::size::bytes(DOCKERFILE_MAX);
    let text = format!("{shown} is larger than {limit}, too large for a Dockerfile");
    Error::new(Kind::Usage, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_end_is_no_dockerfile() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("Dockerfile");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        let error = Dockerfile::read(folder.path(), &link).unwrap_err();
        assert_eq!(
            error.render(),
            "error: Dockerfile is not a regular file: it points to /dev/zero\n"
        );
    }

    #[test]
    fn a_link_may_lead_through_its_repository_but_not_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let service = root.join("service");
        std::fs::create_dir(&service).unwrap();
        std::fs::write(root.join("shared"), "FROM scratch\n").unwrap();
        std::os::unix::fs::symlink("../shared", service.join("Dockerfile")).unwrap();
        let read = || Dockerfile::read(&service, &service.join("Dockerfile"));
        let expected = format!(
            "error: Dockerfile is a symbolic link that leads out of {}: name {} itself with -f\n",
            service.display(),
            root.join("shared").display()
        );
        assert_eq!(read().unwrap_err().render(), expected);
        std::fs::create_dir(root.join(".git")).unwrap();
        assert_eq!(read().unwrap().text, "FROM scratch\n");
    }

    #[test]
    fn a_folder_is_named_and_the_file_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let read = |path: &str| {
            let error = Dockerfile::read(folder.path(), &folder.path().join(path)).unwrap_err();
            error.render()
        };
        assert_eq!(
            read(""),
            "error: . is a folder, not a Dockerfile\n  try: name the file: -f Dockerfile\n"
        );
        assert_eq!(
            read("Dockerfile"),
            "error: the Dockerfile Dockerfile does not exist\n  try: name it with -f FILE\n"
        );
    }
}
