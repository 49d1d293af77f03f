//! `-o`, `--push` and `--load` as values.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::file::repository;

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

    /// Returns the file or folder that is written, where there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::OciArchive(path) | Self::DockerArchive(path) | Self::Folder(path) => Some(path),
            Self::Registry | Self::Docker => None,
        }
    }
}

/// Checks that no link of the build context, or of the repository that it is a part of, decides where
/// a result is written: it may lead to a file of the user's. What the working directory holds
/// beside the context counts as the repository's too.
///
/// # Errors
/// [`Kind::Usage`] with the link.
pub fn refuse_links<'a>(
    context: &Path,
    working_directory: &Path,
    paths: impl Iterator<Item = &'a Path>,
) -> Result<()> {
    let Ok(context) = context.canonicalize() else {
        return Ok(());
    };
    let here = working_directory.canonicalize().unwrap_or_default();
    let here = Some(&*here).filter(|here| context.starts_with(here));
    let root = repository(&context).or(here).unwrap_or(&context);
    let inside = |folder: &Path| {
        folder
            .canonicalize()
            .is_ok_and(|real| real.starts_with(root))
    };
    for path in paths {
        let mut parts = path.ancestors();
        let link = parts.find(|part| part.is_symlink() && part.parent().is_some_and(inside));
        if let Some(link) = link {
            let (path, link) = (path.display(), link.display());
            let text = format!("cannot write {path}: {link} is a symbolic link of the repository");
            return Err(Error::new(Kind::Usage, text).hint("name the path that it points to"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_context_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (context, mine) = (folder.path().join("context"), folder.path().join("mine"));
        std::fs::create_dir_all(context.join("sub")).unwrap();
        std::fs::create_dir(&mine).unwrap();
        std::os::unix::fs::symlink(&mine, context.join("out")).unwrap();
        std::os::unix::fs::symlink("context", folder.path().join("link")).unwrap();
        let check = |path: &str| {
            let path = folder.path().join(path);
            refuse_links(
                &folder.path().join("link"),
                &context,
                std::iter::once(&*path),
            )
        };
        check("link/a.tar").unwrap();
        check("context/sub/a.tar").unwrap();
        check("mine/a.tar").unwrap();
        for path in ["context/out", "link/out/a.tar", "mine/../context/out/a.tar"] {
            let error = check(path).unwrap_err();
            assert!(
                error
                    .message()
                    .ends_with("out is a symbolic link of the repository")
            );
        }
    }

    #[test]
    fn links_of_the_repository_around_the_context_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let service = folder.path().join("repo/service");
        std::fs::create_dir_all(&service).unwrap();
        let out = folder.path().join("repo/out");
        std::os::unix::fs::symlink(folder.path(), &out).unwrap();
        let check = |here: &Path| refuse_links(&service, here, std::iter::once(&*out));
        check(&service).unwrap();
        check(&folder.path().join("repo")).unwrap_err();
        std::fs::create_dir(folder.path().join("repo/.git")).unwrap();
        check(&service).unwrap_err();
    }

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
