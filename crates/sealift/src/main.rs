//! The `sealift` command.

fn main() {}
