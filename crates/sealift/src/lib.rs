//! Builds multi-architecture container images where the network is bad.

pub mod network;
