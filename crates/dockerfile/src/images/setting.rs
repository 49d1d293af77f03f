//! What a resolution is about: the file, the request, and the platforms on both sides.

use sealift_oci::Platform;

use super::Query;
use super::context::Contexts;
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
