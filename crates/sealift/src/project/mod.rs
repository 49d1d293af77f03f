//! What is to be built: components with their build context and Dockerfile. Reads files, nothing
//! else.

pub mod argument;
pub mod component;
pub mod context;
pub mod dockerfile;

pub use component::Component;
pub use context::{ContextSource, NamedContext};
pub use dockerfile::{Dockerfile, Origin, Place};
