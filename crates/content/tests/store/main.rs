//! The store as others use it: in this process, in several at once, and through skopeo.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by a panic, and plants broken files"
)]

mod archive;
mod damage;
mod fixture;
mod full_disk;
mod ingest;
mod machine_crash;
mod maintenance;
mod model;
mod names;
mod skopeo;
mod walk;
