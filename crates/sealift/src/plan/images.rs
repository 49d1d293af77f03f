//! The images that a unit needs: the Dockerfile crate's answer in the names of the image
//! specification, and its errors with the file's lines.

use std::collections::BTreeMap;

use sealift_dockerfile::{self as dockerfile, ImageNeed, Query, Via};
use sealift_oci::{Platform, Reference};
use serde::Serialize;

use super::Input;
use crate::error::{Error, Kind, Result};
use crate::project::{ContextSource, Dockerfile};

/// ONBUILD triggers of images whose configuration is known.
pub type Triggers = BTreeMap<(Reference, Platform), Vec<String>>;

/// An image that a unit needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// The full reference.
    pub reference: Reference,
    /// The platform that it is needed for.
    #[serde(serialize_with = "as_text")]
    pub platform: Platform,
    /// Why.
    #[serde(serialize_with = "as_text")]
    pub via: Via,
    /// The line that asks for it, 0 where no line of the file does.
    pub line: usize,
    /// The named context that it stands behind, where it does.
    #[serde(skip)]
    pub context: Option<String>,
}

fn as_text<S: serde::Serializer>(
    value: &impl std::fmt::Display,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Need {
    /// Says where it is asked for: `Dockerfile:3`.
    #[must_use]
    pub fn place(&self, shown: &str) -> String {
        if self.line == 0 {
            shown.to_owned()
        } else {
            format!("{shown}:{}", self.line)
        }
    }

    /// Returns whether it is the frontend that reads the Dockerfile.
    #[must_use]
    pub fn is_frontend(&self) -> bool {
        self.via == Via::Syntax
    }
}

/// Checks a Dockerfile's grammar, which is the same for every platform and builder.
///
/// # Errors
/// What BuildKit would refuse the Dockerfile for, with its lines.
pub fn check(file: &Dockerfile) -> Result<()> {
    match dockerfile::parse(&file.text) {
        Err(error) if foreign_frontend(&file.text, &Platform::host()).is_none() => {
            Err(refused(&error, &file.shown, &file.text))
        }
        _ => Ok(()),
    }
}

/// Finds the images that a unit needs.
///
/// # Errors
/// What BuildKit would refuse the Dockerfile for, with its lines.
pub fn needs(input: &Input, platform: &Platform, triggers: &Triggers) -> Result<Vec<Need>> {
    let file = &input.component.dockerfile;
    let refused = |error: dockerfile::Error| refused(&error, &file.shown, &file.text);
    let parsed = match dockerfile::parse(&file.text) {
        Ok(parsed) => parsed,
        Err(error) => {
            // A frontend of its own may have a grammar of its own. What it then asks for is denied,
            // fetched, and the build repeated.
            let foreign = foreign_frontend(&file.text, &input.build_platform);
            return foreign.map(|need| vec![need]).ok_or_else(|| refused(error));
        }
    };
    let mut query = Query::new(platform.clone(), input.build_platform.clone());
    query.target.clone_from(&input.target);
    query.build_args = input.build_args.iter().cloned().collect();
    query.contexts = input
        .contexts
        .iter()
        .map(|context| {
            let value = match &context.source {
                ContextSource::Folder(_) => format!("local:{}", context.name),
                ContextSource::Image(reference) => format!("docker-image://{reference}"),
                ContextSource::Remote(url) => url.clone(),
            };
            (context.name.clone(), value)
        })
        .collect();
    query.triggers.clone_from(triggers);
    let found = dockerfile::images(&parsed, &query).map_err(refused)?;
    Ok(found.into_iter().map(Need::from).collect())
}

/// Finds the frontend of a file that names another one than Docker's.
fn foreign_frontend(text: &str, build_platform: &Platform) -> Option<Need> {
    let syntax = dockerfile::syntax(text)?;
    let reference = Reference::parse(&syntax.reference).ok()?;
    let own = [
        "docker.io/docker/dockerfile",
        "docker.io/docker/dockerfile-upstream",
    ];
    if own.contains(&reference.repository().to_string().as_str()) {
        return None;
    }
    Some(Need {
        reference,
        platform: build_platform.clone(),
        via: Via::Syntax,
        line: syntax.line,
        context: None,
    })
}

impl From<ImageNeed> for Need {
    fn from(need: ImageNeed) -> Self {
        Self {
            reference: need.reference,
            platform: need.platform,
            via: need.via,
            line: need.line,
            context: need.context,
        }
    }
}

fn refused(error: &dockerfile::Error, shown: &str, text: &str) -> Error {
    let place = match error.line() {
        Some(line) => format!("{shown}:{line}"),
        None => shown.to_owned(),
    };
    let failed = Error::new(Kind::Build, format!("{place}: {}", error.cause()));
    match error.excerpt(text, 2) {
        Some(excerpt) => failed.excerpt(excerpt.to_string()),
        None => failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_frontend_may_have_a_grammar_of_its_own() {
        let host = Platform::host();
        let need = foreign_frontend("# syntax=ghcr.io/team/front:1 --x\n", &host).unwrap();
        assert_eq!(need.reference.to_string(), "ghcr.io/team/front:1");
        assert!(need.is_frontend() && need.line == 1);
        assert_eq!(
            foreign_frontend("# syntax=docker/dockerfile:1\n", &host),
            None
        );
        assert_eq!(foreign_frontend("FROM a\n", &host), None);
    }
}
