//! `tidemark wait`: until a change is visible everywhere asked for.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::cli::args::{Scope, WaitArgs};
use crate::cli::diagnostics;
use crate::cli::drive::{self, Observer};
use crate::cli::exit::{self, Exit, Failure};
use crate::cli::servers;
use crate::probe::observation::Ask;
use crate::probe::watch::Pace;
use crate::server::files::load::{self as zone_file, LoadError};
use crate::time::Mono;
use crate::wire::rtype::Rtype;
use crate::zone::serial::Serial;

mod file;
pub mod goal;
mod history;
pub mod progress;
mod publisher;

use file::File;
use goal::{Goal, Wanted};
use progress::{Progress, State, whole};
use publisher::Asking;
pub use publisher::Publisher;

/// Between two questions to a server: the end is noticed within this and a round trip.
const INTERVAL: Duration = Duration::from_millis(20);
/// The same once [`BACK_OFF_AFTER`] has passed. With a round trip on top it still keeps the promise of a tenth of a second.
const INTERVAL_LATER: Duration = Duration::from_millis(80);
/// Most changes are everywhere long before; who waits longer does not ask 50 times a second.
const BACK_OFF_AFTER: Duration = Duration::from_secs(10);
/// Two seconds in steps of [`INTERVAL`]: a server is asked as often whether its answers come or not, for one of its own packets may have
/// been lost.
const PATIENCE: &[Duration] = &[INTERVAL; 100];
/// The same in steps of [`INTERVAL_LATER`].
const PATIENCE_LATER: &[Duration] = &[INTERVAL_LATER; 25];
/// How often the display is drawn when nothing happens.
const TICK: Duration = Duration::from_millis(250);

const CANNOT_TELL: &str = "\
none of these servers tells a digest of what it serves, so what a file holds cannot be told from what was there before; name a \
tidemark node that has the zone in --at too, or wait for a serial (`--serial N`) or a record (`--record`)";

const NO_GOAL: &str = "\
waiting until all servers show the newest serial that one of them has now; a change that none of them has yet is not waited for: for \
that give --file ZONEFILE, --serial N or --record, or begin with --next before the edit";

/// Waits, and says what happened.
pub fn run(args: &WaitArgs) -> Result<Exit, Failure> {
    let Ended { exit, told, report } = of(args, None, true)?;
    let text = if args.json { format!("{told}\n") } else { report };
    exit::say(&text)?;
    if exit == Exit::Unreachable {
        let waited = args.timeout.as_secs_f64();
        let told =
            format!("no server answered within {waited} s; look at the addresses and ports given with --at");
        return Err(Failure::Told(exit, told));
    }
    Ok(exit)
}

/// What a wait came to.
pub struct Ended {
    /// The exit status.
    pub exit: Exit,
    /// For programs; the shape is documented with the command's arguments.
    pub told: Value,
    /// For people, line by line.
    pub report: String,
}

/// Waits; shows how far it has come if that is wanted. With a publisher of the zone what that has never served counts for nobody.
pub fn of(args: &WaitArgs, publisher: Option<&Publisher>, is_shown: bool) -> Result<Ended, Failure> {
    if args.old_ttl.is_some() && args.scope != Scope::WorstCase {
        return Err(Failure::new(
            "--old-ttl says for how long caches may hold the old data: give --scope worst-case too",
        ));
    }
    let goal = match (&args.record, &args.file, args.serial) {
        (Some(text), ..) => Some(Goal::Record(Wanted::parse(text, &args.zone)?)),
        (None, Some(path), _) => Some(Goal::File(content(path, args)?)),
        (None, None, None) if args.next => Some(Goal::Next(None)),
        (None, None, serial) => serial.map(Goal::serial),
    };
    if goal.is_none() && is_shown && !args.json {
        anstream::eprintln!("{NO_GOAL}");
    }
    drive::block_on(wait(args, goal, publisher, is_shown))
}

/// What a zone file holds now.
fn content(path: &Path, args: &WaitArgs) -> Result<File, Failure> {
    let zone = match zone_file::load(path, &args.zone) {
        Ok(loaded) => loaded.snapshot,
        Err(LoadError::Faulty(found)) => {
            let shown = diagnostics::render(&found, false);
            return Err(Failure::new(format!("{} will not be served as it is:\n{shown}", path.display())));
        }
        Err(error) => return Err(Failure::new(error.to_string())),
    };
    let path = path.display().to_string();
    Ok(File::new(path, zone.serial(), zone.digest()))
}

async fn wait(
    args: &WaitArgs,
    goal: Option<Goal>,
    publisher: Option<&Publisher>,
    is_shown: bool,
) -> Result<Ended, Failure> {
    let mut pace = Pace {
        interval: args.interval.unwrap_or(INTERVAL).max(INTERVAL),
        patience: PATIENCE,
        ..Pace::default()
    };
    let mut observer = Observer::new(pace)?;
    let (name, rtype) = match &goal {
        Some(Goal::Record(wanted)) => (&wanted.name, wanted.rtype),
        _ => (&args.zone, Rtype::SOA),
    };
    let recursive = args.scope == Scope::Caches;
    let at = servers::addresses(&args.at).await?;
    let mut progress = Progress::new(goal.clone(), &at, args.scope == Scope::WorstCase);
    progress.set_interval(pace.interval);
    if recursive {
        progress.set_caches();
    }
    let published = publisher.and_then(Publisher::has);
    published.into_iter().for_each(|published| progress.set_published(published, observer.now().mono));
    args.old_ttl.iter().for_each(|ttl| progress.set_old_ttl(whole(*ttl) as u32));
    let ask = |server| {
        let ask = Ask::soa(server, args.zone.clone());
        Ask { name: name.clone(), rtype, recursive, ..ask }
    };
    for &server in &at {
        observer.insert(ask(server))?;
    }
    let display = Display::new(args, progress.len(), is_shown);
    let began = observer.now().mono;
    let deadline = began + args.timeout;
    let (mut floor, mut awaited) = (None, None);
    let mut asking = Asking::new(publisher, began);
    let mut is_settling = false;
    let mut back_off = args.interval.is_none().then(|| began + BACK_OFF_AFTER);
    loop {
        let now = observer.now();
        if let Some(published) = asking.heard().await {
            progress.set_published(published, now.mono);
        }
        if back_off.is_some_and(|at| at <= now.mono) {
            back_off = None;
            pace = Pace { interval: INTERVAL_LATER, patience: PATIENCE_LATER, ..pace };
            observer.set_pace(pace);
            progress.set_interval(pace.interval);
        }
        let shown = progress.pass(now.mono);
        display.converged(&progress, &shown, now.mono.since(began))?;
        shown.iter().for_each(|server| observer.remove(&args.zone, *server));
        display.draw(&progress, now.mono);
        let state = progress.state(now.mono);
        let settled = if let State::Settling(until) = state { Some(until) } else { None };
        // Nothing makes caches forget sooner.
        let is_too_long = settled.is_some_and(|until| until > deadline);
        if matches!(state, State::Converged | State::Refuted) || is_too_long || deadline <= now.mono {
            display.clear();
            return Ok(Ended {
                exit: progress.exit(now.mono),
                told: progress.json(&args.zone, began, now.mono),
                report: progress.report(now.mono.since(began), now.mono),
            });
        }
        if settled.is_some() && !is_settling {
            is_settling = true;
            display.settles(&progress, now.mono)?;
        }
        let times = [Some(deadline), Some(now.mono + TICK), back_off, settled, progress.silence()];
        let until = times.into_iter().flatten().min();
        for event in observer.next(until).await? {
            let now = observer.now();
            let shown = progress.take(&event, now);
            display.converged(&progress, &shown, now.mono.since(began))?;
            shown.iter().for_each(|server| observer.remove(&args.zone, *server));
            for server in progress.reopened() {
                observer.insert(ask(server))?;
            }
            if progress.awaits() != awaited {
                awaited = progress.awaits();
                awaited.iter().for_each(|above| display.begins(above));
            }
            if progress.floor() != floor {
                floor = progress.floor();
                at.iter().for_each(|server| observer.set_have(&args.zone, *server, floor));
            }
        }
        if progress.is_to_ask_publisher() && asking.ask(&args.zone, observer.now().mono) {
            progress.ask_publisher();
        }
        if progress.cannot_tell() {
            display.clear();
            return Err(Failure::new(CANNOT_TELL.to_owned()));
        }
    }
}

/// What is said while waiting, and at the end: a bar on a terminal, else a line for each server that has converged.
struct Display {
    bar: Option<ProgressBar>,
    lines: bool,
}

impl Display {
    fn new(args: &WaitArgs, servers: usize, is_shown: bool) -> Display {
        let bar = (is_shown && io::stderr().is_terminal()).then(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(Some(servers as u64), target);
            let style = ProgressStyle::with_template("{spinner} {pos}/{len} {wide_msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Display { lines: is_shown && bar.is_none() && !args.json, bar }
    }

    fn draw(&self, progress: &Progress, now: Mono) {
        if let Some(bar) = &self.bar {
            bar.set_position(progress.converged() as u64);
            bar.set_message(progress.sentence(now));
            bar.tick();
        }
    }

    fn converged(&self, progress: &Progress, servers: &[SocketAddr], after: Duration) -> Result<(), Failure> {
        for server in servers.iter().filter(|_| self.lines) {
            let shows = progress.shows(*server);
            exit::say(&format!("{server} shows {shows} after {:.3} s\n", after.as_secs_f64()))?;
        }
        Ok(())
    }

    /// Says that from here on a change will be noticed: whoever makes it may wait for this line.
    fn begins(&self, above: &Serial) {
        if self.bar.is_none() {
            eprintln!("waiting for a serial newer than {above}");
        }
    }

    /// Says that only caches are waited for from here on.
    fn settles(&self, progress: &Progress, now: Mono) -> Result<(), Failure> {
        if self.lines {
            exit::say(&format!("all {}\n", progress.sentence(now)))?;
        }
        Ok(())
    }

    fn clear(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}
