//! Where BuildKit is: an address that the user names, or a buildkitd that sealift starts and keeps.

pub mod address;
mod lock;
pub mod process;
pub mod program;
pub mod search;

pub use address::{Builder, Choice};
pub use search::Search;
