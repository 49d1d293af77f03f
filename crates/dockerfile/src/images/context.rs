//! Named contexts, which replace stages and images.

use std::collections::BTreeMap;

use sealift_oci::{Platform, Reference};

use crate::error::{Cause, Result};
use crate::platform;

/// The named contexts of a build, under the keys that BuildKit looks for.
pub(super) struct Contexts<'a> {
    entries: BTreeMap<String, Context<'a>>,
}

/// One named context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The name as given.
    pub(super) name: &'a str,
    value: &'a str,
}

impl<'a> Contexts<'a> {
    pub(super) fn new(given: &'a BTreeMap<String, String>) -> Self {
        let entries = given
            .iter()
            .map(|(name, value)| (key(name), Context { name, value }));
        Self {
            entries: entries.collect(),
        }
    }

    /// Finds the context that stands for a reference: the one for its platform first.
    pub(super) fn find(&self, reference: &Reference, platform: &Platform) -> Option<Context<'a>> {
        let key = reference.familiar();
        let specific = format!("{key}::{}", platform.clone().normalized());
        let found = self
            .entries
            .get(&specific)
            .or_else(|| self.entries.get(&key));
        found.copied()
    }
}

/// Brings a name into the form of the keys: familiar, without `:latest`.
fn key(name: &str) -> String {
    let (name, platform) = match name.split_once("::") {
        Some((name, platform)) => (name, Some(platform)),
        None => (name, None),
    };
    let key = match Reference::parse(name) {
        Ok(reference) => reference.familiar(),
        Err(_) => name.to_owned(),
    };
    match platform {
        Some(platform) => match platform::parse(platform, None) {
            Ok(platform) => format!("{key}::{}", platform.normalized()),
            Err(_) => format!("{key}::{platform}"),
        },
        None => key,
    }
}

impl Context<'_> {
    /// Returns the image that the context is, if it is one.
    pub(super) fn image(&self) -> Result<Option<Reference>> {
        let Some(rest) = self.value.strip_prefix("docker-image:") else {
            return Ok(None);
        };
        let text = rest.strip_prefix("//").unwrap_or(rest);
        if text == "scratch" {
            return Ok(None);
        }
        let reference = Reference::parse(text).map_err(|_| Cause::Context {
            name: self.name.to_owned(),
            value: self.value.to_owned(),
            reason: "it is not an image reference",
        })?;
        Ok(Some(reference))
    }
}
