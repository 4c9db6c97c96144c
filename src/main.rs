//! The program: arguments in, exit status out.

use std::process::ExitCode;

use clap::Parser;

use tidemark::cli::args::{Cli, Command};
use tidemark::cli::{check, completions, demo, exit, lag, man, order, reload, serve, status, wait};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    cli.colour.choose();
    exit::report(match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Refresh(args) => order::refresh(&args),
        Command::Flush(args) => order::flush(&args),
        Command::Lag(args) => lag::run(&args),
        Command::Wait(args) => wait::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    })
}
