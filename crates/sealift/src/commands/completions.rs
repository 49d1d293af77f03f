//! `sealift completions`: a completion script for a shell.

use clap::{Args, CommandFactory};

use super::Cli;
use crate::terminal::Terminal;

/// Options of `sealift completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs, terminal: &Terminal) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sealift", &mut script);
    terminal.result(&String::from_utf8_lossy(&script));
}
