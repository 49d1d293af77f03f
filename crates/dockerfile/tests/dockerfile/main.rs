//! Tests of the crate from outside: golden folders, properties, and BuildKit's own frontend.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod comparison;
mod corpus;
mod differential;
mod generator;
mod golden;
mod messages;
mod oracle;
mod properties;
