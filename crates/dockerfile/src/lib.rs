//! The Dockerfile grammar, and the images that a build needs.
//!
//! [`parse`] reads a Dockerfile as BuildKit's frontend does, accepting and refusing the same files
//! at the same lines. [`images`] finds the images that BuildKit would resolve for a target and a
//! platform, each with the platform it is needed for. Text in, values out: nothing here reads
//! files, asks a network, or knows registries.

mod another_format;
mod csv;
mod device;
mod directive;
mod error;
mod flags;
mod heredoc;
mod images;
mod instruction;
mod json;
mod mount;
mod number;
mod parser;
mod platform;
mod reference;
mod shell;
mod source;
mod stage;
mod suggestion;
mod word;

pub use directive::{Directive, Syntax, syntax};
pub use error::{Cause, Error, Result};
pub use heredoc::Heredoc;
pub use images::{ImageNeed, Query, Via, images};
pub use instruction::{
    Add, Argument, Command, Copy, Healthcheck, Instruction, InstructionKind, Pair, Run, Transfer,
};
pub use mount::{Mount, MountType};
pub use source::{Excerpt, ExcerptLine, Span};
pub use stage::{Dockerfile, Stage, parse};
