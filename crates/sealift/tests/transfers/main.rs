//! The program moving images over a bad network and into a small disk: what it says, what it keeps,
//! and how it ends.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests write files that nobody else reads, and read the path of the program"
)]

mod budgets;
mod chaos;
mod damage;
mod endings;
mod harbor;
mod names;
mod requests;
mod room;
