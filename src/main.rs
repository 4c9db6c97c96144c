//! The program: arguments in, exit status out.

use std::process::ExitCode;

use clap::Parser;

use tidemark::cli::args::{Cli, Command};
use tidemark::cli::{completions, exit, lag, man, wait};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    cli.colour.choose();
    exit::report(match cli.command {
        Command::Lag(args) => lag::run(&args),
        Command::Wait(args) => wait::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    })
}
