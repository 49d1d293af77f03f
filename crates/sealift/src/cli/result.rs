//! The options that say what becomes of a build's result.

use std::path::PathBuf;

use clap::Args;
use sealift_oci::Reference;

use super::once;
use crate::error::{Error, Kind, Result};
use crate::output::Destination;
use crate::settings::Settings;

/// Options that say what becomes of the result.
#[derive(Debug, Clone, Args)]
pub struct ResultArgs {
    /// Names the image [default: localhost/FOLDER:latest]
    #[arg(short, long, value_name = "NAME:TAG")]
    tag: Vec<String>,
    /// Adds a label to the image
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// Pushes the image under its names
    #[arg(long)]
    push: bool,
    /// Loads the image of this machine's platform into docker
    #[arg(long)]
    load: bool,
    /// Writes the result: type=oci,dest=FILE, type=docker,dest=FILE or type=local,dest=FOLDER
    #[arg(short, long, value_name = "OUTPUT")]
    output: Vec<String>,
    /// Writes what was built, from which images, as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
}

impl ResultArgs {
    /// Reads where the result goes; publishing comes last.
    ///
    /// # Errors
    /// [`Kind::Usage`] for outputs that are not supported.
    pub fn destinations(&self, settings: &Settings) -> Result<Vec<Destination>> {
        let here = &settings.working_directory;
        let mut all = Vec::new();
        for option in &self.output {
            all.push(Destination::parse(here, option)?);
        }
        all.extend(self.load.then_some(Destination::Docker));
        // Publishing comes last: what could fail on this machine has not.
        all.retain(|destination| *destination != Destination::Registry || !self.push);
        all.extend(self.push.then_some(Destination::Registry));
        Ok(all)
    }

    /// Reads the image's names; without one it is named after its folder.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is no name, and where a push has none.
    pub fn names(&self, component: &str, destinations: &[Destination]) -> Result<Vec<Reference>> {
        let parse = |text: &String| {
            let wrong = |error| {
                Error::new(Kind::Usage, format!("-t {text}: not a valid image name")).because(error)
            };
            let name = Reference::parse(text).map_err(wrong)?;
            if name.digest().is_some() {
                let text = format!("-t {text}: a digest is the result of a build, not its name");
                return Err(Error::new(Kind::Usage, text));
            }
            Ok(name)
        };
        let names: Vec<Reference> = self.tag.iter().map(parse).collect::<Result<_>>()?;
        if !names.is_empty() {
            return Ok(once(names));
        }
        if destinations.contains(&Destination::Registry) {
            return Err(Error::new(Kind::Usage, "--push needs a name to push to")
                .hint("name it: -t registry.example/team/image:tag"));
        }
        Ok(vec![default_name(component)?])
    }
}

/// Returns the folder of the certificates for docker, where its own programs would use them.
#[must_use]
pub fn docker_certificates(settings: &Settings) -> Option<PathBuf> {
    settings.variable("DOCKER_TLS_VERIFY")?;
    match settings.variable("DOCKER_CERT_PATH") {
        Some(folder) => Some(settings.working_directory.join(folder)),
        None => Some(PathBuf::from(settings.variable("HOME")?).join(".docker")),
    }
}

/// Names an image after its folder: `localhost/FOLDER:latest`, with what names cannot have left
/// out.
///
/// # Errors
/// [`Kind::Usage`] where nothing of the folder's name is left.
pub fn default_name(folder: &str) -> Result<Reference> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    let mut name = String::new();
    for c in folder.chars().map(|c| {
        if allowed(c) {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    }) {
        let separator = !c.is_ascii_alphanumeric();
        if !(separator && name.ends_with(|last: char| !last.is_ascii_alphanumeric())) {
            name.push(c);
        }
    }
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    Reference::parse(&format!("localhost/{name}:latest")).map_err(|error| {
        Error::new(Kind::Usage, "the folder's name is not a valid image name")
            .because(error)
            .hint("name the image: -t NAME:TAG")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_after_folders() {
        let name = |folder: &str| default_name(folder).unwrap().to_string();
        assert_eq!(name("hello"), "localhost/hello:latest");
        assert_eq!(name(".tmpAB_12"), "localhost/tmpab_12:latest");
        assert_eq!(name("My App (2)"), "localhost/my-app-2:latest");
        assert!(default_name("日本").is_err());
    }
}
