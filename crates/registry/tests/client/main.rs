//! The client against real registries, registries behind faults, and hostile ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod auth;
mod endurance;
mod hostile;
mod malice;
mod names;
mod pull;
mod push;
mod push_refusals;
mod quirky_registry;
mod scripted_server;
mod support;
mod token_quirks;
