//! A client of buildkitd.
