//! The network model as the command uses it: accounts, mirrors and proxies found on a machine, and
//! real registries and proxies behind them.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read the environment and write files that nobody else reads"
)]

mod accounts;
mod end_to_end;
mod site;
mod trust;
