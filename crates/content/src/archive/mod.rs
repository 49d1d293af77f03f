//! Images as archives: tar files that other tools read and write.

mod docker;
mod import;
mod oci;
mod writer;

pub use docker::write_docker;
pub use import::{Imported, import_oci};
pub use oci::write_oci;
