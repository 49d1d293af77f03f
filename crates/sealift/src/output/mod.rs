//! Where results go, besides the store: archives, folders, docker, registries.

pub mod archive;
pub mod deliver;
pub mod destination;
pub mod docker;
pub mod metadata;
pub mod push;

pub use deliver::Delivery;
pub use destination::{Destination, refuse_links};
