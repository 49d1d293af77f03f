//! Units built: each one a sealed solve, repeated where its failure says that it may help.

pub mod authority;
pub mod failure;
pub mod order;
pub mod orders;
pub mod progress;
pub mod queue;
pub mod run;
pub mod silence;

pub use order::{Order, Product, Seal, StepNetwork, StepOptions};
pub use orders::{Orders, Products};
pub use queue::{Bounds, OnFailure, Outcome};
pub use run::{Built, build_all};
