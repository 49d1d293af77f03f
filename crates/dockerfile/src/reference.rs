//! Image references as a Dockerfile names them.

use sealift_oci::{Error, Reference};

use crate::error::{Cause, Result};

/// Parses a reference; a name on Docker Hub may leave out the registry and `library/`.
pub(crate) fn parse(text: &str) -> Result<Reference> {
    Reference::parse(text).map_err(|error| {
        let reason = match error {
            Error::Reference { reason, .. } => reason,
            _ => "it does not follow the grammar",
        };
        Cause::Reference {
            text: text.to_owned(),
            written: text.to_owned(),
            reason,
        }
        .into()
    })
}
