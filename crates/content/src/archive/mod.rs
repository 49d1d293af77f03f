//! Images as archives: tar files that other tools read and write.

mod docker;
mod oci;
mod writer;

pub use docker::write_docker;
pub use oci::write_oci;
