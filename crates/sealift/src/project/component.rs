//! A component: something that has an image name, with the folder and Dockerfile that make it.

use std::path::{Path, PathBuf};

use super::dockerfile::Dockerfile;
use crate::error::{Error, Kind, Result};

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
                format!("the build context {} does not exist", path.display()),
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
            Some(file) if file == Path::new("-") => Dockerfile::read_standard_input()?,
            Some(file) => Dockerfile::read(working_directory, &working_directory.join(file))?,
            None => {
                let [usual, lower] = ["Dockerfile", "dockerfile"].map(|name| context.join(name));
                match (usual.exists(), lower.exists()) {
                    (false, true) => Dockerfile::read(working_directory, &lower)?,
                    (false, false) if usual.symlink_metadata().is_err() => {
                        let text = format!("there is no Dockerfile in {}", path.display());
                        return Err(Error::new(Kind::Absent, text).hint("name it with -f FILE"));
                    }
                    _ => Dockerfile::read(working_directory, &usual)?,
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Origin;

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
        assert_eq!(error.message(), "there is no Dockerfile in app");
        std::fs::write(context.join("Dockerfile"), "FROM a").unwrap();
        std::fs::write(folder.path().join("Other"), "FROM b").unwrap();
        let component = find(None).unwrap();
        assert_eq!(
            (component.name.as_str(), component.dockerfile.text.as_str()),
            ("app", "FROM a")
        );
        let component = find(Some("Other")).unwrap();
        assert_eq!(component.dockerfile.text, "FROM b");
        assert_eq!(&*component.dockerfile.shown, "Other");
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
