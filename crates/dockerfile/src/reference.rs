//! Image references as a Dockerfile names them.

use sealift_oci::{Error, Reference};

use crate::error::{Cause, Result};

/// Parses a reference; a name on Docker Hub may leave out the registry and `library/`.
pub(crate) fn parse(text: &str) -> Result<Reference> {
    Reference::parse(text).map_err(|error| {
        let reason = match error {
            _ if text.contains("{{") => {
                "it holds a placeholder of a template, which has to be rendered first"
            }
            Error::Reference { reason, .. } => reason,
            _ => "it does not follow the grammar",
        };
        Cause::Reference {
            text: text.to_owned(),
            written: text.to_owned(),
            reason,
            unset: String::new(),
        }
        .into()
    })
}
