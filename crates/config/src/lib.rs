//! Configuration documents whose values know their file, line and key: TOML, JSON and systemd's
//! units. Pure: who uses it says where texts come from ([`Files`]) and what the keys mean.

pub mod json;
mod lines;
pub mod node;
pub mod place;
pub mod problem;
pub mod reader;
mod suggestion;
pub mod toml;
pub mod unit;

pub use node::{Entry, Node, SyntaxError, Value};
pub use place::{Place, Sourced};
pub use problem::{Conflict, Ignored, Problem};
pub use reader::{Files, Reader};
pub use suggestion::nearest;
