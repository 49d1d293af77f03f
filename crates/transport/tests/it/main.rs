//! Transport against servers that reset, stall, lie and send garbage.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "helpers of tests may panic, and write files that no other process reads meanwhile"
)]

mod authority;
mod catalogue;
mod certificates;
mod connections;
mod doors;
mod download;
mod fetch;
mod hostile;
mod http2;
mod malice;
mod mirrors;
mod pacing;
mod package_managers;
mod parts;
mod properties;
mod proxies;
mod ranges;
mod redirects;
mod retries;
mod server;
mod sharing;
mod steps;
mod tls;
mod tokens;
mod uploads;
