//! HTTP over bad networks (RFC 9110): the one way to the outside.
//!
//! This crate knows endpoints, failures and bytes; it knows no registries. A [`Transport`] asks the
//! endpoints of a [`Route`] for documents and large content, repeats what failed by the class of the
//! failure ([`Class`]), continues at the byte reached at another endpoint, and tells an [`Observer`]
//! what it does. Credentials come in through an [`Authorizer`], content goes out through a [`Sink`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use sealift_transport::{
//!     Anonymous, Endpoint, Phase, Request, Route, Scheme, Settings, Silent, Transport,
//! };
//!
//! let mirror = Endpoint::new(Scheme::Https, "mirror.example")?.with_base("/v2");
//! let origin = Endpoint::new(Scheme::Https, "registry.example")?.with_base("/v2");
//! let route = Route::new([mirror], origin);
//! let transport = Transport::new(Settings::default(), Arc::new(Silent));
//! let request = Request::get("library/busybox/tags/list").of(Phase::Resolve, "busybox");
//! let document = transport.document(&route, &request, 1 << 20, &Anonymous).await?;
//! assert!(document.status.is_success());
//! # Ok(())
//! # }
//! ```

mod address;
mod attempt;
mod authorizer;
mod backoff;
mod body;
mod connection;
mod dial;
mod document;
mod download;
mod endpoint;
mod error;
mod health;
mod hedge;
mod host;
mod observe;
mod pace;
mod patience;
mod payload;
mod pool;
pub mod proxy;
mod redirect;
mod request;
mod response;
mod retry;
mod route;
pub mod settings;
mod shared;
mod sink;
mod slot;
mod term;
mod tls;
mod transport;
mod width;

pub use address::{is_link_local_host, is_local_host};
pub use authorizer::{Anonymous, Authorizer, Challenge};
pub use dial::{Io, Stream};
pub use download::Provenance;
pub use endpoint::{Endpoint, Scheme};
pub use error::{Cause, Error, Result, Stage};
pub use health::{Record, Snapshot};
pub use host::Totals;
pub use observe::{Decision, Event, Observer, Reason, Silent, Subject};
pub use patience::Patience;
pub use payload::{Payload, Streamed};
pub use request::{Check, Document, Refusal, Request, Target};
pub use response::Response;
pub use route::Route;
pub use sealift_failure::{Class, Phase, Remedy, Verdict};
pub use settings::{Settings, Tls};
pub use sink::Sink;
pub use term::{Spent, Term};
pub use tls::install_crypto;
pub use transport::Transport;

/// What fuzz targets reach of this crate's inside.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    /// Reads the headers of an answer as a download does.
    pub fn read(headers: &http::HeaderMap) {
        let _ = crate::pace::retry_after(headers, std::time::SystemTime::UNIX_EPOCH);
        crate::download::judge(headers);
    }
}
