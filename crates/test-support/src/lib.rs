//! Real parts and faulty ones for sealift's tests: daemons that each test owns, small real images,
//! proxies that spoil traffic by a fixed seed, and a runner for the `sealift` program.
//!
//! Everything here panics where a part is missing or does not start, with the end of that part's
//! log: a test that cannot run has failed. Daemons listen on loopback ports that the kernel chose,
//! keep their files in a temporary folder of their own, and end when their value is dropped.

#![allow(
    clippy::disallowed_methods,
    reason = "scaffolding: reads PATH, and writes files that no other process reads while it does"
)]

mod buildkitd;
mod docker_archive;
mod docker_registry;
mod dockerd;
mod engine_image;
mod faulty;
mod forward;
mod http;
mod image;
mod machine;
mod oracle;
mod process;
mod project;
mod push;
mod rootfs;
mod scripted;
mod sealift;
mod server;
mod skopeo;
mod ssh_agent;
mod tls;
mod wire;

pub use buildkitd::Buildkitd;
pub use docker_registry::{Access, DockerRegistry, RegistryOptions};
pub use dockerd::Dockerd;
pub use engine_image::buildkit_image;
pub use faulty::{Fault, FaultPlan, FaultyRegistry, Kind, Ranges, Seen, TokenRules};
pub use forward::{ForwardProxy, HttpProxy, SocksProxy, Tunnel};
pub use http::{Http, Response};
pub use image::{Blob, Image, ImageBuilder};
pub use machine::{busybox_program, program, repository_root};
pub use oracle::Oracle;
pub use process::Process;
pub use project::Project;
pub use push::push_image;
pub use rootfs::{busybox, busybox_builder, frontend_image, random_image};
pub use scripted::{Act, Received, ScriptedServer, Silent, answer, content, head, nobody, parts};
pub use sealift::{Outcome, Sealift};
pub use skopeo::skopeo;
pub use ssh_agent::SshAgent;
pub use tls::{Authority, Identity};
