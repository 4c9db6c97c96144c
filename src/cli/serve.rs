//! `tidemark serve`: a node in the foreground.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::args::ServeArgs;
use crate::cli::exit::{Exit, Failure};
use crate::config::load;
use crate::server::run;
use crate::server::settings::Settings;

/// The environment variable that says how much is logged, such as `debug` or `tidemark::server=debug,info`.
const LOG: &str = "TIDEMARK_LOG";

/// Runs until SIGTERM or SIGINT.
pub fn run(args: ServeArgs) -> Result<Exit, Failure> {
    log_to_stderr();
    let settings = settings(&args)?;
    let reread = move || settings_again(&args);
    run::run(settings, Box::new(reread)).map_err(|error| Failure::new(error.to_string()))?;
    Ok(Exit::Done)
}

fn settings(args: &ServeArgs) -> Result<Settings, Failure> {
    match (&args.config, args.listen) {
        (Some(config), _) => Ok(load::load(config)?),
        (None, Some(listen)) => Ok(Settings::for_files(listen, &args.zone_files)),
        (None, None) => {
            Err(Failure::new("say what to serve: `--config FILE`, or `--listen ADDR:PORT ZONEFILE`"))
        }
    }
}

fn settings_again(args: &ServeArgs) -> Result<Settings, String> {
    settings(args).map_err(|failure| failure.to_string())
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env(LOG).unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
}
