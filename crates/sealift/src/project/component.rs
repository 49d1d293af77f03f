//! A component: something that has an image name, with the folder and Dockerfile that make it.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// A Dockerfile is a page of text; past this it is a mistake (a layer, a log).
const DOCKERFILE_MAX: u64 = 16 << 20;

/// Something that has an image name.
#[derive(Debug, Clone)]
pub struct Component {
    /// Its name, for people and for logs.
    pub name: String,
    /// The build context.
    pub context: PathBuf,
    /// How to build it.
    pub dockerfile: Dockerfile,
}

/// A Dockerfile as it was read.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// Where it was read from, as messages show it; `<stdin>` for standard input.
    pub shown: String,
    /// Where BuildKit can get it.
    pub origin: Origin,
    /// The whole text. It need not be UTF-8 in comments, so it was read leniently.
    pub text: String,
}

/// Where a Dockerfile came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The file of this path. It is not what a link points to: the ignore file
    /// `NAME.dockerignore` stands beside the name that was given.
    File(PathBuf),
    /// Standard input, which had these bytes.
    StandardInput(Vec<u8>),
}

impl Component {
    /// Finds the component of a build context and, where `-f` names one, a Dockerfile.
    ///
    /// # Errors
    /// [`Kind::Usage`] where the context is no folder of this machine, [`Kind::Absent`] where there
    /// is no Dockerfile, [`Kind::Local`] where one can't be read.
    pub fn find(working_directory: &Path, path: &Path, file: Option<&Path>) -> Result<Self> {
        refuse_remote(path)?;
        let joined = working_directory.join(path);
        let context = joined.canonicalize().map_err(|error| {
            Error::new(
                Kind::Usage,
                format!("the build context {} is not there", path.display()),
            )
            .because(error)
        })?;
        if !context.is_dir() {
            let text = format!("the build context {} is not a folder", path.display());
            return Err(Error::new(Kind::Usage, text).hint(format!(
                "name its folder, and the Dockerfile with -f {}",
                path.display()
            )));
        }
        let dockerfile = match file {
            Some(file) if file == Path::new("-") => Dockerfile::read_from(std::io::stdin().lock())?,
            Some(file) => Dockerfile::read(working_directory, &working_directory.join(file))?,
            None => {
                let lower = context.join("dockerfile");
                let usual = context.join("Dockerfile");
                let chosen = if !usual.exists() && lower.exists() {
                    lower
                } else {
                    usual
                };
                Dockerfile::read(working_directory, &chosen)?
            }
        };
        let name = context
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            name: name.unwrap_or_else(|| "image".to_owned()),
            context,
            dockerfile,
        })
    }
}

fn refuse_remote(path: &Path) -> Result<()> {
    let text = path.to_string_lossy();
    let remote = [
        "http://",
        "https://",
        "git://",
        "ssh://",
        "git@",
        "github.com/",
    ];
    if remote.iter().any(|prefix| text.starts_with(prefix)) && !path.exists() {
        let message = format!("the build context {text} is not on this machine");
        return Err(Error::new(Kind::Usage, message)
            .hint("clone it first: sealift does not let BuildKit fetch contexts"));
    }
    if text == "-" {
        return Err(Error::new(
            Kind::Usage,
            "a build context on standard input is not supported",
        )
        .hint("unpack it into a folder and name that"));
    }
    Ok(())
}

impl Dockerfile {
    fn read(working_directory: &Path, path: &Path) -> Result<Self> {
        let shown = path
            .strip_prefix(working_directory)
            .unwrap_or(path)
            .display()
            .to_string();
        let failed = |error: std::io::Error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                Error::new(Kind::Absent, format!("there is no {shown}"))
                    .hint("name it with -f FILE")
            } else {
                Error::new(Kind::Local, format!("cannot read {shown}")).because(error)
            }
        };
        let metadata = path.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(Error::new(
                Kind::Usage,
                format!("{shown} is a folder, not a Dockerfile"),
            ));
        }
        if metadata.len() > DOCKERFILE_MAX {
            return Err(too_large(&shown));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        Ok(Self {
            shown,
            origin: Origin::File(path.to_owned()),
            text: String::from_utf8_lossy(&bytes).into(),
        })
    }

    fn read_from(reader: impl Read) -> Result<Self> {
        let mut bytes = Vec::new();
        reader
            .take(DOCKERFILE_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| {
                Error::new(
                    Kind::Local,
                    "cannot read the Dockerfile from standard input",
                )
                .because(error)
            })?;
        if bytes.len() as u64 > DOCKERFILE_MAX {
            return Err(too_large("standard input"));
        }
        Ok(Self {
            shown: "<stdin>".to_owned(),
            text: String::from_utf8_lossy(&bytes).into(),
            origin: Origin::StandardInput(bytes),
        })
    }
}

fn too_large(shown: &str) -> Error {
    let limit = crate::size::bytes(DOCKERFILE_MAX);
    Error::new(
        Kind::Usage,
        format!("{shown} is larger than {limit}; that is no Dockerfile"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_dockerfile_as_docker_does() {
        let folder = tempfile::tempdir().unwrap();
        let context = folder.path().join("app");
        std::fs::create_dir(&context).unwrap();
        let find = |file: Option<&str>| {
            Component::find(folder.path(), Path::new("app"), file.map(Path::new))
        };
        let error = find(None).unwrap_err();
        assert_eq!(error.kind(), Kind::Absent);
        assert!(error.message().ends_with("app/Dockerfile"), "{error}");
        std::fs::write(context.join("Dockerfile"), "FROM a").unwrap();
        std::fs::write(folder.path().join("Other"), "FROM b").unwrap();
        let component = find(None).unwrap();
        assert_eq!(
            (component.name.as_str(), component.dockerfile.text.as_str()),
            ("app", "FROM a")
        );
        let component = find(Some("Other")).unwrap();
        assert_eq!(component.dockerfile.text, "FROM b");
        assert_eq!(component.dockerfile.shown, "Other");
        let file = folder.path().join("Other");
        assert_eq!(component.dockerfile.origin, Origin::File(file));
        assert_eq!(find(Some("app")).unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn contexts_elsewhere_are_refused_with_what_to_do() {
        let find = |path: &str| Component::find(Path::new("/"), Path::new(path), None).unwrap_err();
        assert!(find("https://example.com/x.git").hints()[0].contains("clone it first"));
        assert_eq!(find("-").kind(), Kind::Usage);
        assert_eq!(find("/no/such/folder").kind(), Kind::Usage);
    }
}
