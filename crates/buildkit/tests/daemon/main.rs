//! Solves on a real buildkitd: sealed images, contexts, outputs, secrets, agents and errors.

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
mod sealed;
mod services;
mod site;
