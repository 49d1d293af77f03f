//! The program with real parts around it: buildkitd with runc and qemu, docker-registry behind a
//! proxy that issues tokens and fails as told, dockerd, skopeo, an ssh agent.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests write files that nobody else reads, and read the path of the program"
)]

#[path = "../../../dockerfile/tests/dockerfile/corpus.rs"]
mod corpus;

mod build;
mod damage;
mod deliver;
mod discovery;
mod engine;
mod engine_steps;
mod failing;
mod interrupted;
mod managed;
mod missed;
mod mounts;
mod network;
mod scene;
mod screen;
