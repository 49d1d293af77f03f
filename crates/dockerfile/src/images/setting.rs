//! What a resolution is about: the file, the request, and the platforms on both sides.

use sealift_oci::Platform;

use super::Query;
use super::context::Contexts;
use crate::instruction::InstructionKind;
use crate::stage::Dockerfile;

/// A Dockerfile with everything that decides which images it needs.
pub(super) struct Setting<'a> {
    pub(super) dockerfile: &'a Dockerfile,
    pub(super) query: &'a Query,
    pub(super) contexts: Contexts<'a>,
    /// The platform of the machine that builds, normalised.
    pub(super) host: Platform,
    /// The platform that is built for, normalised.
    pub(super) target: Platform,
}

impl Setting<'_> {
    /// Returns the names of the ARGs above the first FROM.
    pub(super) fn declared(&self) -> impl Iterator<Item = &str> {
        let declared = self.dockerfile.arguments.iter();
        let lists = declared.filter_map(|instruction| match &instruction.kind {
            InstructionKind::Arg(arguments) => Some(arguments),
            _ => None,
        });
        lists.flatten().map(|argument| argument.name.as_str())
    }

    /// Returns whether an ARG above the first FROM has this name.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.declared().any(|declared| declared == name)
    }
}
