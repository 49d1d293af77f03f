//! The network model: every case below `cases/` is a machine with its configuration files, a
//! `case.toml` with environment, options and images, and `expected.txt` with the model and all of
//! its sinks. `SEALIFT_BLESS=1` writes `expected.txt` anew; read the difference before you commit.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read the environment and write files that nobody else reads"
)]

mod case;
mod golden;
mod page;
mod spoilt;
mod toml_grammar;
mod trust;
