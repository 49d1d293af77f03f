//! The failure catalogue: what a failure is, which exit code it has, what can help, and what to tell
//! the user.
//!
//! Pure tables. [`classify`] looks a failure's phase, text and status up; [`classify_text`] and
//! [`classify_step`] also read out of another program's words where it happened. Crates that meet
//! failures themselves keep them typed and name the [`Class`] of each; nothing here does I/O or
//! repeats anything.

mod catalogue;
mod class;
mod phase;
mod step;
mod text;
mod verdict;

pub use catalogue::classify;
pub use class::Class;
pub use phase::Phase;
pub use step::{Step, classify_step};
pub use text::{Classified, classify_text};
pub use verdict::{Remedy, Verdict};
