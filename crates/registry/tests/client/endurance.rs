//! The worst network.
