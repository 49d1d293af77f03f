//! The client against real registries, registries behind faults, and hostile ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod auth;
mod endurance;
mod hostile;
mod hostile_documents;
mod hostile_realms;
mod malice;
mod names;
mod pull;
mod push;
mod push_refusals;
mod quirky_registry;
mod realms;
mod remembered_auth;
mod scripted_server;
mod shared_layers;
mod support;
mod token_quirks;
