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
/// that say that it is an error, and what it lacks if that is all.
fn settings_again(args: &ServeArgs) -> Result<Settings, Refusal> {
    settings(args, load::load).or_else(|failure| {
        let refusal = refusal(&failure);
        match settings(args, load::load_to_start) {
            // It came between the two looks.
            Ok(settings) if settings.unread.is_empty() => Ok(settings),
            Ok(settings) => {
                let lacking = settings.unread.into_iter().map(|unread| unread.source).collect();
                Err(Refusal { lacking, ..refusal })
            }
            Err(_) => Err(refusal),
        }
    })
}

fn refusal(failure: &Failure) -> Refusal {
    let all = Refusal::from(failure.message());
    let Failure::Config(errors) = failure else { return all };
    let first = errors.first().map(|error| error.message().to_owned()).unwrap_or_default();
    Refusal { first, place: errors.first().map(Error::location), ..all }
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
    use crate::server::unread::Source;

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

    #[test]
    fn what_a_configuration_lacks_is_told_where_nothing_else_is_wrong_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (config, zones) = (folder.path().join("tidemark.toml"), folder.path().join("zones"));
        let text =
            "[server]\nlisten = [\"127.0.0.1:5300\"]\ndata-dir = \"state\"\n[[zone-dir]]\npath = \"zones\"\n";
        let args = ServeArgs { config: Some(config.clone()), listen: None, zone_files: Vec::new() };
        std::fs::write(&config, text).unwrap();
        let refused = settings_again(&args).unwrap_err();
        assert!(refused.all.starts_with("cannot read the folder"), "{refused:?}");
        assert_eq!(refused.lacking, [Source::ZoneDir(zones.clone())]);
        std::fs::write(&config, format!("{text}unknown = 1\n")).unwrap();
        assert_eq!(settings_again(&args).unwrap_err().lacking, []);
        std::fs::write(&config, text).unwrap();
        std::fs::create_dir(&zones).unwrap();
        assert!(settings_again(&args).is_ok());
    }
}
