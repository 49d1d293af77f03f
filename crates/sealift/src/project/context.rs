//! Named build contexts (`--build-context NAME=SOURCE`): more folders, or images in the place of
//! names that the Dockerfile uses.

use std::path::{Path, PathBuf};

use sealift_oci::Reference;

use crate::error::{Error, Kind, Result};

/// A named context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedContext {
    /// The name that the Dockerfile uses: a stage's, an image's, or one of its own. It is in the
    /// form that BuildKit looks up: `busybox`, not `docker.io/library/busybox:latest`.
    pub name: String,
    /// What stands behind it.
    pub source: ContextSource,
}

/// What stands behind a named context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextSource {
    /// A folder of this machine.
    Folder(PathBuf),
    /// An image, which is fetched into the store first.
    Image(Reference),
    /// Nothing: the image `scratch`.
    Scratch,
    /// A Git repository or a file that BuildKit fetches itself.
    Remote(String),
}

impl NamedContext {
    /// Parses `NAME=SOURCE`, where SOURCE is a folder, `docker-image://IMAGE`, or a URL.
    ///
    /// # Errors
    /// [`Kind::Usage`] for another form, for a folder that is not there, and for sources that make
    /// no sense outside a bake file or that no build of ours can read.
    pub fn parse(working_directory: &Path, option: &str) -> Result<Self> {
        let wrong = |text: String| Error::new(Kind::Usage, text);
        let (name, source) = option
            .split_once('=')
            .filter(|(name, source)| !name.is_empty() && !source.is_empty())
            .ok_or_else(|| {
                wrong(format!(
                    "--build-context {option:?} is not of the form NAME=SOURCE"
                ))
            })?;
        let name = normalized(name).ok_or_else(|| {
            wrong(format!(
                "--build-context {option:?}: {name:?} cannot be the name of a context"
            ))
            .hint("names are those of images and stages: lower-case letters, digits, . _ - / :")
        })?;
        let source = if source == "docker-image://scratch" {
            ContextSource::Scratch
        } else if let Some(image) = source.strip_prefix("docker-image://") {
            let reference = Reference::parse(image).map_err(|error| {
                wrong(format!("--build-context {name} names no image")).because(error)
            })?;
            ContextSource::Image(reference)
        } else if source.starts_with("oci-layout://") {
            return Err(wrong(format!(
                "--build-context {name}: oci-layout:// is not supported"
            ))
            .hint("copy the layout into the store: skopeo copy oci:DIR oci:STORE:NAME"));
        } else if source.starts_with("target:") {
            return Err(wrong(format!(
                "--build-context {name}: target: belongs in bake files"
            )));
        } else if ["http://", "https://", "git://", "ssh://", "git@"]
            .iter()
            .any(|scheme| source.starts_with(scheme))
        {
            ContextSource::Remote(source.to_owned())
        } else {
            let folder = working_directory.join(source);
            if !folder.is_dir() {
                return Err(wrong(format!(
                    "--build-context {name}: {source} is not a folder"
                )));
            }
            ContextSource::Folder(folder)
        };
        Ok(Self { name, source })
    }
}

/// Brings a context's name into the form that BuildKit looks up, as buildx does: familiar, without
/// `:latest`. A platform behind `::` stays.
fn normalized(name: &str) -> Option<String> {
    let (image, platform) = match name.split_once("::") {
        Some((image, platform)) => (image, Some(platform)),
        None => (name, None),
    };
    let image = Reference::parse(image).ok()?.familiar();
    Some(match platform {
        Some(platform) => format!("{image}::{platform}"),
        None => image,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        let parse = |option: &str| NamedContext::parse(folder.path(), option);
        let source = |option: &str| parse(option).unwrap().source;
        assert_eq!(
            source("a=src"),
            ContextSource::Folder(folder.path().join("src"))
        );
        let image = Reference::parse("alpine:3").unwrap();
        assert_eq!(
            source("a=docker-image://alpine:3"),
            ContextSource::Image(image)
        );
        let url = "https://host/x.git".to_owned();
        assert_eq!(source("a=https://host/x.git"), ContextSource::Remote(url));
        assert_eq!(source("a=docker-image://scratch"), ContextSource::Scratch);
        for (given, name) in [
            ("busybox:latest", "busybox"),
            ("docker.io/library/busybox:latest", "busybox"),
            ("library/busybox", "busybox"),
            ("index.docker.io/library/busybox:1", "busybox:1"),
            ("ghcr.io/x/y:latest", "ghcr.io/x/y"),
            ("base::linux/arm64", "base::linux/arm64"),
        ] {
            assert_eq!(parse(&format!("{given}=src")).unwrap().name, name);
        }
        for option in [
            "Base=src",
            "a",
            "=b",
            "a=",
            "a=gone",
            "a=docker-image://A",
            "a=target:x",
            "a=oci-layout://d",
        ] {
            assert_eq!(parse(option).unwrap_err().kind(), Kind::Usage, "{option}");
        }
    }
}
