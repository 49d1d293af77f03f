//! What is to be built: components with their build context and Dockerfile. Reads files, nothing
//! else.

pub mod argument;
pub mod component;
pub mod context;

pub use component::{Component, Dockerfile, Origin};
pub use context::{ContextSource, NamedContext};
