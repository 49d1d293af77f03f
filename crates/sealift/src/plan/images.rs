//! The images that a unit needs: the Dockerfile crate's answer in the names of the image
//! specification, and its errors with the file's lines.

use std::collections::BTreeMap;

use sealift_dockerfile::{self as dockerfile, ImageNeed, InstructionKind, Query, Via};
use sealift_oci::{Platform, Reference};
use serde::Serialize;

use super::Input;
use crate::error::{Error, Kind, Result};
use crate::project::{ContextSource, Dockerfile, Place};
use crate::unit::as_text;

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
    /// What asks for it.
    #[serde(flatten)]
    pub place: Place,
    /// The stage that its name looks like a typing mistake of.
    #[serde(skip)]
    pub meant: Option<String>,
    /// The named context that it stands behind, where it does.
    #[serde(skip)]
    pub context: Option<String>,
}

/// Checks a Dockerfile's grammar, which is the same for every platform and builder.
///
/// # Errors
/// What BuildKit would refuse the Dockerfile for, with its lines.
pub fn check(file: &Dockerfile) -> Result<()> {
    match &file.parsed {
        Err(error) if foreign_frontend(file, &Platform::host()).is_none() => {
            Err(refused(error, file))
        }
        _ => Ok(()),
    }
}

/// Returns the build arguments that no ARG of a Dockerfile declares, and that nobody predefines.
#[must_use]
pub fn unused_arguments(input: &Input) -> Vec<&str> {
    let Ok(parsed) = &input.component.dockerfile.parsed else {
        return Vec::new();
    };
    let stages = parsed.stages.iter();
    let all = stages.flat_map(|stage| &stage.instructions);
    let declared = parsed.arguments.iter().chain(all);
    // Triggers hold more instructions, as text.
    let declares = |name: &str| {
        declared.clone().any(|instruction| match &instruction.kind {
            InstructionKind::Arg(arguments) => arguments.iter().any(|one| one.name == name),
            InstructionKind::Onbuild(text) => text.contains(name),
            _ => false,
        })
    };
    let given = input.build_args.iter().map(|(name, _)| name.as_str());
    given
        .filter(|name| !is_predefined(name) && !declares(name))
        .collect()
}

/// Returns whether BuildKit knows an argument without any ARG.
fn is_predefined(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let proxy = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "FTP_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
    ];
    proxy.contains(&upper.as_str()) || name.starts_with("BUILDKIT_") || name == "SOURCE_DATE_EPOCH"
}

/// Finds the images that an input needs for a platform, built on a machine of platform `native`.
///
/// # Errors
/// What BuildKit would refuse the Dockerfile for, with its lines.
pub fn needs(
    input: &Input,
    platform: &Platform,
    native: &Platform,
    triggers: &Triggers,
) -> Result<Vec<Need>> {
    let file = &input.component.dockerfile;
    let parsed = match &file.parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // A frontend of its own may have a grammar of its own. What it then asks for is denied,
            // fetched, and the build repeated.
            let foreign = foreign_frontend(file, native);
            return foreign
                .map(|need| vec![need])
                .ok_or_else(|| refused(error, file));
        }
    };
    let mut query = Query::new(platform.clone(), native.clone());
    query.target.clone_from(&input.target);
    query.build_args = input.build_args.iter().cloned().collect();
    query.contexts = input
        .contexts
        .iter()
        .map(|context| {
            let value = match &context.source {
                ContextSource::Folder(_) => format!("local:{}", context.name),
                ContextSource::Image(reference) => format!("docker-image://{reference}"),
                ContextSource::Scratch => "docker-image://scratch".to_owned(),
                ContextSource::Remote(url) => url.clone(),
            };
            (context.name.clone(), value)
        })
        .collect();
    query.triggers.clone_from(triggers);
    let found = dockerfile::images(parsed, &query).map_err(|error| refused(&error, file))?;
    Ok(found.into_iter().map(|need| typed(need, file)).collect())
}

/// Finds the frontend of a file that names another one than Docker's.
fn foreign_frontend(file: &Dockerfile, native: &Platform) -> Option<Need> {
    let syntax = dockerfile::syntax(&file.text)?;
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
        platform: native.clone(),
        via: Via::Syntax,
        place: file.place(syntax.line),
        meant: None,
        context: None,
    })
}

fn typed(need: ImageNeed, file: &Dockerfile) -> Need {
    Need {
        reference: need.reference,
        platform: need.platform,
        via: need.via,
        place: file.place(need.line),
        meant: need.meant,
        context: need.context,
    }
}

fn refused(error: &dockerfile::Error, file: &Dockerfile) -> Error {
    let place = file.place(error.line().unwrap_or(0));
    let failed = Error::new(Kind::Build, format!("{place}: {}", error.cause()));
    match error.excerpt(&file.text, 2) {
        Some(excerpt) => failed.excerpt(excerpt.to_string()),
        None => failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Origin;

    #[test]
    fn a_foreign_frontend_may_have_a_grammar_of_its_own() {
        let host = Platform::host();
        let foreign = |text: &str| {
            let file = Dockerfile::new("Dockerfile", text.as_bytes(), Origin::Stream(Vec::new()));
            foreign_frontend(&file, &host)
        };
        let need = foreign("# syntax=ghcr.io/team/front:1 --x\n").unwrap();
        assert_eq!(need.reference.to_string(), "ghcr.io/team/front:1");
        assert_eq!((need.via, need.place.line), (Via::Syntax, 1));
        assert_eq!(foreign("# syntax=docker/dockerfile:1\n"), None);
        assert_eq!(foreign("FROM a\n"), None);
    }
}
