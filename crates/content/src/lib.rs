//! A content store: an OCI image layout on disk (image-spec, image-layout.md) that skopeo, crane
//! and oras can read while we write to it.
//!
//! A blob gets its name only after its digest was checked ([`Ingest`] is the only way in), partial
//! downloads are kept by digest and resumed, and an image is named in `index.json` only when all of
//! it is there. The API blocks; asynchronous callers use it from a blocking task.

mod archive;
mod boot;
mod bounded;
mod disk;
mod error;
mod file;
mod folder;
mod gc;
mod ingest;
mod journal;
mod layout;
mod lock;
mod names;
mod open;
mod partial;
mod private;
mod ranges;
mod room;
mod settle;
mod store;
mod verify;
mod walk;
mod young;

pub use archive::{write_docker, write_oci};
pub use bounded::read_bounded;
pub use error::{Error, Result};
pub use file::{Access, AtomicFile, write_file};
pub use gc::{Collected, Usage};
pub use ingest::{Ingest, Ingestion};
pub use lock::Lease;
pub use names::{Name, Named, Origin};
pub use private::{private_folder, read_private, write_private};
pub use room::Room;
pub use settle::Settled;
pub use store::Store;
pub use verify::{Corrupt, Missing, Repair, Verified};
pub use walk::{DOCUMENT_LIMIT, NESTING_LIMIT};
