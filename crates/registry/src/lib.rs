//! The distribution specification (OCI distribution-spec 1.1), client side: images are resolved,
//! pulled into a content store and pushed from it, over the network that `transport` tames.

pub mod client;
pub mod code;
pub mod credentials;
mod error;
pub mod path;
mod secret;

pub use client::{
    Client, Config, Done, Event, GrantedToken, Pulled, PushRequest, RouteAnswer, Routes, Silent,
    TokenRequest, Want, Watcher, origin,
};
pub use credentials::{Credential, CredentialFile, Credentials};
pub use error::{Error, Result};
pub use secret::Secret;

/// What fuzz targets reach of this crate's inside.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::client::read_untrusted as read;
}
