//! The client against real registries, registries behind faults, and hostile ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod auth;
mod depot;
mod endurance;
mod hostile;
mod malice;
mod pull;
mod push;
mod support;
mod villain;
