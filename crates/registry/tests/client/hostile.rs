//! Hostile registries.
