//! Units built: each one a sealed solve, repeated where its failure says that it may help.

pub mod all;
pub mod authority;
pub mod failure;
pub mod order;
pub mod progress;
pub mod run;

pub use all::build_all;
pub use order::{NamedImage, Order, Product, Seal, Surroundings};
pub use run::Built;
