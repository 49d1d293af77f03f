//! One file a source of the network configuration. Each reads its own format and nothing else, and
//! returns what it found as [`Findings`](super::findings::Findings).

pub mod containerd;
pub mod containers;
pub mod daemon;
pub mod docker_certs;
pub mod docker_config;
pub mod environment;
pub mod flags;
pub mod registries;
pub mod sealift;
pub mod systemd;
