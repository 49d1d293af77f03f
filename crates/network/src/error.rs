//! Why there is no network configuration.

use sealift_config::{Place, Problem};

/// Why there is no network configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files, variables or options that cannot be understood. All of them are named at once.
    #[error("the network configuration has {} mistake{}:{}", .problems.len(), if .problems.len() == 1 { "" } else { "s" }, list(.problems))]
    Malformed {
        /// The mistakes, in the order in which the sources are read.
        problems: Vec<Problem>,
    },
    /// A registry whose name is no host.
    #[error("{registry} is not a registry's host")]
    Host {
        /// The name.
        registry: String,
    },
    /// An image that registries.conf forbids.
    #[error("{reference} is blocked by {at}")]
    Blocked {
        /// The image.
        reference: String,
        /// The entry with `blocked = true`.
        at: Place,
    },
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect()
}
