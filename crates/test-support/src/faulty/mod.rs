//! A registry on a bad network: a reverse proxy in front of a real docker-registry that demands
//! Bearer tokens, spoils traffic by a fixed seed, slows it down, and counts what it sees.

mod connection;
mod plan;
mod registry;
mod relay;
mod shared;
mod spoiler;
mod tokens;

pub use plan::{Fault, FaultPlan, Kind, Ranges};
pub use registry::FaultyRegistry;
pub use shared::Seen;
pub use tokens::TokenRules;
pub(crate) use tokens::basic_account;
