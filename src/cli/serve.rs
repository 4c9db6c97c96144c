//! `tidemark serve`: a node in the foreground.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::args::ServeArgs;
use crate::cli::exit::{Exit, Failure};
use crate::config::error::{Error, Errors};
use crate::config::load;
use crate::server::control::Refusal;
use crate::server::run;
use crate::server::settings::Settings;

/// The environment variable that says how much is logged, such as `debug` or `tidemark::server=debug,info`.
const LOG: &str = "TIDEMARK_LOG";

/// Runs until SIGTERM or SIGINT.
pub fn run(args: ServeArgs) -> Result<Exit, Failure> {
    log_to_stderr()?;
    let settings = settings(&args, load::load_to_start)?;
    let reread = move || settings_again(&args);
    run::run(settings, Arc::new(reread)).map_err(|error| Failure::new(error.to_string()))?;
    Ok(Exit::Done)
}

fn settings(
    args: &ServeArgs,
    load: impl FnOnce(&Path) -> Result<Settings, Errors>,
) -> Result<Settings, Failure> {
    match (&args.config, args.listen) {
        (Some(config), _) => Ok(load(config)?),
        (None, Some(listen)) => Ok(Settings::for_files(listen, &args.zone_files)),
        (None, None) => {
            Err(Failure::new("say what to serve: `--config FILE`, or `--listen ADDR:PORT ZONEFILE`"))
        }
    }
}

/// The settings once more, of which everything has to be right: what is in force goes on otherwise. What is wrong is told behind words
/// that say that it is an error.
fn settings_again(args: &ServeArgs) -> Result<Settings, Refusal> {
    settings(args, load::load).map_err(|failure| {
        let all = failure.message();
        match &failure {
            Failure::Config(errors) => Refusal {
                first: errors.first().map(|error| error.message().to_owned()).unwrap_or_default(),
                place: errors.first().map(Error::location),
                all,
            },
            _ => all.into(),
        }
    })
}

fn log_to_stderr() -> Result<(), Failure> {
    let wanted = std::env::var(LOG).ok().filter(|wanted| !wanted.is_empty());
    let wanted = wanted.as_deref().unwrap_or("info");
    // A word that is no level is taken for the name of a module, and then nothing at all is logged.
    let is_known = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    let filter = wanted.parse::<Targets>().ok().filter(|_| wanted.split(',').all(is_known));
    let filter = filter.ok_or_else(|| {
        Failure::new(format!(
            "`{LOG}={wanted}` is no level of logging: write error, warn, info, debug or trace"
        ))
    })?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(colour).with_target(false).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_configuration_read_again_is_not_called_an_error_twice() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("tidemark.toml");
        std::fs::write(&config, "[server]\nlissten = []\n").unwrap();
        let place = format!("{}:2:1", config.display());
        let args = ServeArgs { config: Some(config), listen: None, zone_files: Vec::new() };
        let refused = settings_again(&args).unwrap_err();
        assert!(refused.all.starts_with("unknown key `lissten`\n"), "{refused:?}");
        assert_eq!((&*refused.first, refused.place), ("unknown key `lissten`", Some(place)));
    }
}
