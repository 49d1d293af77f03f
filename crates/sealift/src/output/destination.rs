//! `-o`, `--push` and `--load` as values.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// One place that a result goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The registries that the names are of.
    Registry,
    /// The docker daemon of this machine.
    Docker,
    /// A tar archive of an OCI image layout, with all platforms.
    OciArchive(PathBuf),
    /// A tar archive that `docker load` reads, with one platform.
    DockerArchive(PathBuf),
    /// The files of the result, one folder a platform where there are several.
    Folder(PathBuf),
}

impl Destination {
    /// Parses one `-o` option, in buildx's form: `type=oci,dest=FILE`, or a folder alone.
    ///
    /// # Errors
    /// [`Kind::Usage`] for types and keys that are not supported, and for a missing `dest`.
    pub fn parse(working_directory: &Path, option: &str) -> Result<Self> {
        let wrong = |text: &str| {
            Error::new(Kind::Usage, format!("-o {option}: {text}")).hint(
                "write type=oci,dest=FILE, type=docker,dest=FILE, type=local,dest=FOLDER, \
                 type=docker, or type=registry",
            )
        };
        if option.is_empty() {
            let text = "-o '': it names no output";
            return Err(Error::new(Kind::Usage, text).hint("-o . writes into the current folder"));
        }
        if option == "-" {
            return Err(wrong("a tar archive on standard output is not supported"));
        }
        if !option.contains('=') {
            return Ok(Self::Folder(working_directory.join(option)));
        }
        let (mut kind, mut dest, mut push) = (None, None, false);
        for field in option.split(',') {
            match field.split_once('=') {
                Some(("type", value)) => kind = Some(value),
                Some(("dest", "-")) => return Err(wrong("standard output is not supported")),
                Some(("dest", value)) => dest = Some(working_directory.join(value)),
                Some(("push", "true")) => push = true,
                Some(("push", "false")) => push = false,
                Some((key, _)) => return Err(wrong(&format!("the key {key} is not supported"))),
                None => return Err(wrong(&format!("{field:?} is not of the form KEY=VALUE"))),
            }
        }
        match (kind, dest) {
            (Some("oci"), Some(dest)) => Ok(Self::OciArchive(dest)),
            (Some("docker"), Some(dest)) => Ok(Self::DockerArchive(dest)),
            (Some("docker"), None) => Ok(Self::Docker),
            (Some("local"), Some(dest)) => Ok(Self::Folder(dest)),
            (Some("registry"), None) => Ok(Self::Registry),
            (Some("image"), None) if push => Ok(Self::Registry),
            (Some("image"), None) => {
                Err(wrong("type=image needs push=true; the store has it anyway"))
            }
            (Some("oci" | "local"), None) => Err(wrong("dest is missing")),
            (Some(kind), _) => Err(wrong(&format!("the type {kind} is not supported"))),
            (None, _) => Err(wrong("type is missing")),
        }
    }

    /// Returns the folder that takes the result's files, where it is one.
    #[must_use]
    pub const fn folder(&self) -> Option<&PathBuf> {
        match self {
            Self::Folder(folder) => Some(folder),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_buildx() {
        let parse = |option: &str| Destination::parse(Path::new("/w"), option);
        for (option, wanted) in [
            (
                "type=oci,dest=a.tar",
                Destination::OciArchive("/w/a.tar".into()),
            ),
            (
                "dest=/x.tar,type=docker",
                Destination::DockerArchive("/x.tar".into()),
            ),
            ("type=docker", Destination::Docker),
            ("type=local,dest=out", Destination::Folder("/w/out".into())),
            ("out", Destination::Folder("/w/out".into())),
            ("type=registry", Destination::Registry),
            ("type=image,push=true", Destination::Registry),
        ] {
            assert_eq!(parse(option).unwrap(), wanted, "{option}");
        }
        for option in [
            "",
            "-",
            "type=oci",
            "type=tar,dest=x",
            "type=image",
            "dest=x",
            "type=oci,x",
            "type=oci,dest=-",
            "type=oci,dest=a,compression=zstd",
        ] {
            assert_eq!(parse(option).unwrap_err().kind(), Kind::Usage, "{option}");
        }
    }
}
