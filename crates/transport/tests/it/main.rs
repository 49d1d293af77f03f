//! Transport against servers that reset, stall, lie and send garbage.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod catalogue;
mod download;
mod hostile;
mod http2;
mod parts;
mod properties;
mod proxies;
mod redirects;
mod retries;
mod server;
mod uploads;
