//! Platforms as a Dockerfile names them.

use sealift_oci::{Error, Platform};

use crate::error::{Cause, Result};

/// Reads a platform. What a short form leaves out is taken from the machine that builds, `linux/amd64`
/// where nothing is said of it.
pub(crate) fn parse(text: &str, host: Option<&Platform>) -> Result<Platform> {
    let usual = Platform::new("linux", "amd64");
    Platform::parse_written(text, host.unwrap_or(&usual)).map_err(|error| {
        let reason = match error {
            Error::Platform { reason, .. } => reason,
            _ => "it is none",
        };
        Cause::Platform {
            text: text.to_owned(),
            written: text.to_owned(),
            reason,
        }
        .into()
    })
}
