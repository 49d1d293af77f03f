//! Transport against servers that reset, stall, lie and send garbage.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod authority;
mod catalogue;
mod download;
mod fetch;
mod hostile;
mod http2;
mod parts;
mod properties;
mod proxies;
mod ranges;
mod redirects;
mod retries;
mod server;
mod sharing;
mod tls;
mod uploads;
