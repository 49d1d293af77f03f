//! The `sealift` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealift::main()
}
