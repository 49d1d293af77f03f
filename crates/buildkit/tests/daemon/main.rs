//! Solves on a real buildkitd: sealed images, contexts, outputs, secrets, agents and errors.
//!
//! The runtimes have several threads: a daemon that ends waits for its clients to hear of it, and
//! the thread that waits for the daemon cannot tell them.

#![allow(
    clippy::disallowed_methods,
    reason = "tests write files that no other process reads meanwhile"
)]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, which fail by panicking"
)]

mod connections;
mod contexts;
mod failures;
mod outputs;
mod relay;
mod sealed;
mod services;
mod site;
mod sources;
