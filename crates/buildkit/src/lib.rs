//! A client of buildkitd.
//!
//! [`Client::connect`] dials an [`Address`]; [`Client::solve`] runs a [`Solve`], reports
//! [`Event`]s and returns what was [`Solved`], or an [`Error`] whose [`Failure`] says what failed
//! and in which lines of the Dockerfile. While a solve runs, the daemon calls back for files,
//! images, secrets, ssh agents and tokens over a session that this crate serves.
//!
//! Which images a build needs, where they come from and what is done with the result is left to
//! others.

mod address;
mod authority;
mod client;
mod connect;
mod context;
mod error;
mod event;
mod excerpt;
mod failure;
mod job;
mod name;
mod output;
mod policy;
mod proto;
mod request;
mod session;
mod solve;
mod solved;
mod source;
mod steps;
mod text;
mod tree;

pub use address::Address;
pub use authority::{Account, Authority, Refusal, Token, TokenRequest};
pub use client::{CacheRecord, Client, Prune, Worker};
pub use error::{Error, Result};
pub use event::{Event, Log, Progress, State, Stream, Vertex, Warning};
pub use excerpt::{Excerpt, Range};
pub use failure::{FailedStep, Failure, Kind};
pub use output::Output;
pub use policy::Policy;
pub use session::{Session, Traffic};
pub use solve::{Context, Entitlement, Secret, Solve};
pub use solved::Solved;
pub use source::{Decision, Source, SourceAuthority};

/// What fuzz targets reach of this crate's inside.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::session::receive_untrusted as receive;
}
