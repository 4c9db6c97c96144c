//! The control plane's thread: it owns the [`Node`], and hears of everything that is not a plain query. It never waits for a disk
//! and never works on a large zone: that is what the journal's thread and the jobs are for.

mod late;
mod refused;
mod reload;
mod reloaded;
mod turnover;
mod warned;

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

use crate::answer::context::Served;
use crate::ask::exchange::{Arrival, Token};
use crate::metrics::registry::Metrics;
use crate::node::board::Overview;
use crate::node::effects::Effects;
use crate::node::event::{Event, Input};
use crate::node::router::Node;
use crate::node::status::{Ask, Page};
use crate::publish::proposal::ZoneFile;
use crate::publish::store::ZoneStore;
use crate::wire::name::Name;
use crate::zone::serial::Serial;

use super::clock;
use super::courtesy::queries_first;
use super::exchange::Exchanges;
use super::files::load::Loaded;
use super::files::watch::{Changed, Files};
use super::jobs::Jobs;
use super::journal::thread::{Journal, Report};
use super::log;
use super::pulse::Pulse;
use super::settings::Settings;
use super::tls::Shown;
use super::unread::{Content, Source, Unread};
pub use late::wait_for;
pub use refused::{NotReloaded, Refusal};
use reload::Settling;
pub use reload::{Answer, Reload, Reloads, Reread, Rereading};
pub use reloaded::Reloaded;
pub use warned::Warned;

/// So many commands go before what arrived, and then that goes before them: taking in a message of a transfer takes as long as many
/// commands, and a change waits for several of these, while neither is to keep the other out for good.
const IN_A_ROW: u32 = 16;
/// Commands that may wait for the node.
pub const QUEUE: usize = 4_096;

/// What the control plane is told and asked.
pub enum Command {
    /// Something for the node.
    Input(Input),
    /// Zones and their files changed.
    Files(Changed),
    /// How are these zones?
    Page(Ask, oneshot::Sender<Page>),
    /// Read these zones' files again, or the configuration and all of them.
    Reload(Vec<Name>, Option<Answer>),
    /// The configuration was read again for a reload, or could not be.
    Reread(Rereading, Result<Box<Settings>, Refusal>),
    /// What a reload was refused for, and nothing else, can be read now.
    Readable(NotReloaded),
    /// Ask the primaries of these secondary zones now, or of all; take what they have whatever the serial, if that is said.
    Refresh(Vec<Name>, bool, oneshot::Sender<Result<Vec<Asked>, String>>),
    /// All files of a reload have been read and reported.
    Settled(Reload),
    /// The journal's thread says something.
    Journal(Report),
    /// What the node started without was tried again: it could be read, or there is another reason why not.
    Late(Source, Result<Content, Unread>),
    /// End the thread.
    Stop,
}

/// A secondary zone whose primaries are asked, and the serial that is served meanwhile.
pub type Asked = (Name, Option<Serial>);

/// The thread's belongings.
pub struct Control {
    /// The machines.
    pub node: Node,
    /// The zones.
    pub store: Arc<ZoneStore>,
    /// The journal.
    pub journal: Journal,
    /// The threads for heavy work.
    pub jobs: Jobs,
    /// Where events are counted.
    pub metrics: Arc<Metrics>,
    /// The watch on zone files.
    pub files: Files,
    /// How all zones are together, for those who ask over HTTP.
    pub overview: watch::Sender<Arc<Overview>>,
    /// Whether this thread is at work.
    pub pulse: Pulse,
    /// What the data plane answers from.
    pub served: Arc<ArcSwap<Served>>,
    /// The settings that the node started with: those that take a restart are in force as they were then, however often the
    /// configuration has been read since.
    pub settings: Settings,
    /// What new connections with TLS are shown.
    pub shown: Option<Arc<Shown>>,
    /// What the configuration names that a node can do without.
    pub sources: Vec<Source>,
    /// What of that it has to do without until it can be read.
    pub unread: watch::Sender<Vec<Unread>>,
    /// Why the configuration was refused when it was read last, if it was: what was in force before is so still.
    pub refused: watch::Sender<Option<NotReloaded>>,
    /// Keys that have changed in the configuration since the start and take effect only after a restart.
    pub needs_restart: watch::Sender<Vec<&'static str>>,
    /// The reloads under way.
    pub reloads: Reloads,
    /// What has been said of zone files.
    pub warned: Warned,
}

/// What the thread takes in.
enum Next {
    /// What it is told; nothing at the end.
    Told(Option<Command>),
    /// What an exchange brought.
    Arrived(Token, Arrival),
}

/// What comes next of what is told and what arrives.
async fn next(
    told: &mut mpsc::Receiver<Command>,
    exchanges: &mut Exchanges,
    in_a_row: &mut u32,
) -> io::Result<Next> {
    let arrived = |(token, arrival)| Next::Arrived(token, arrival);
    let next = if *in_a_row < IN_A_ROW {
        tokio::select! {
            biased;
            command = told.recv() => Next::Told(command),
            next = exchanges.next() => arrived(next?),
        }
    } else {
        tokio::select! {
            biased;
            next = exchanges.next() => arrived(next?),
            command = told.recv() => Next::Told(command),
        }
    };
    *in_a_row = if matches!(next, Next::Told(_)) { *in_a_row + 1 } else { 0 };
    Ok(next)
}

impl Control {
    /// Runs until [`Command::Stop`]. An error says that no exchange is possible any more.
    pub async fn run(
        mut self,
        commands: mpsc::Sender<Command>,
        mut queue: mpsc::Receiver<Command>,
        mut exchanges: Exchanges,
    ) -> io::Result<()> {
        let mut effects = Effects::default();
        for stub in self.settings.resolver.iter().flat_map(|resolver| &resolver.routes.stub) {
            self.node.watch_stub(clock::now(), &stub.zone, &stub.servers, &mut effects);
        }
        self.carry_out(&mut exchanges, &mut effects);
        let (mut in_a_row, mut is_timers_turn) = (0, false);
        loop {
            let deadline = self.node.next_timeout().into_iter().chain(exchanges.next_timeout()).min();
            // Something to take in waits at all times while a large zone arrives, and a timer is not to wait for that. Very many zones are
            // due together, and what is to be taken in is not to wait for all of them: each has its turn.
            is_timers_turn = !is_timers_turn && deadline.is_some_and(|deadline| deadline <= clock::mono());
            let next = if is_timers_turn {
                None
            } else {
                let next = next(&mut queue, &mut exchanges, &mut in_a_row);
                match deadline {
                    Some(deadline) => tokio::time::timeout_at(clock::until(deadline), next).await.ok(),
                    None => Some(next.await),
                }
            };
            self.pulse.begin();
            match next.transpose()? {
                None => self.handle(Input::Timeout, &mut effects),
                Some(Next::Arrived(token, arrival)) => {
                    // A large transfer is many of these.
                    queries_first();
                    if exchanges.arrived(token, &arrival) {
                        self.handle(Input::Arrival(token, arrival), &mut effects);
                    }
                }
                Some(Next::Told(None | Some(Command::Stop))) => {
                    // Nobody listens to the other threads any more, and so none of them waits to be heard.
                    drop(queue);
                    self.journal.stop();
                    // The process ends; taking very many zones to pieces before that would only take time.
                    std::mem::forget(self.node);
                    return Ok(());
                }
                Some(Next::Told(Some(command))) => self.obey(command, &commands, &mut effects),
            }
            self.carry_out(&mut exchanges, &mut effects);
            self.tidy();
            self.pulse.end();
        }
    }

    /// Has done what the node asks for.
    fn carry_out(&mut self, exchanges: &mut Exchanges, effects: &mut Effects) {
        // What is dated by when a question left may be dated too early, never too late.
        let now = clock::now();
        exchanges.carry_out(now.mono, &mut effects.out);
        for token in exchanges.take_begun() {
            let events = self.node.handle(now, Input::Arrival(token, Arrival::Sent), effects);
            self.record(events);
        }
        effects.jobs.drain(..).for_each(|job| self.jobs.run(job));
        effects.commits.drain(..).for_each(|commit| {
            self.journal.commit(commit.ticket, commit.entries, commit.may_be_later);
        });
        effects.notes.drain(..).for_each(|note| self.journal.note(note));
    }

    fn obey(&mut self, command: Command, commands: &mpsc::Sender<Command>, effects: &mut Effects) {
        match command {
            Command::Input(input) => self.handle(input, effects),
            Command::Files(changed) => self.files(changed, effects),
            Command::Page(ask, answer) => drop(answer.send(self.node.page(clock::now(), ask))),
            Command::Reload(zones, answer) => self.reload(zones, answer, commands),
            Command::Reread(rereading, read) => self.reread(rereading, read, commands),
            Command::Readable(refused) => self.readable(&refused, commands),
            Command::Refresh(zones, is_forced, answer) => {
                drop(answer.send(self.refresh(zones, is_forced, effects)));
            }
            Command::Settled(reload) => {
                self.reloads.settling.push(Settling { through: self.node.submitted(), reload });
            }
            Command::Journal(Report::Written(commits)) => {
                for (ticket, result) in commits {
                    self.handle(Input::Committed { ticket, result }, effects);
                }
            }
            Command::Journal(Report::Overgrown(mark)) => {
                let checkpoint = self.store.checkpoint();
                self.journal.rewrite(mark, move |each| checkpoint.entries(each));
            }
            Command::Late(source, read) => self.late(source, read, commands),
            Command::Stop => {}
        }
    }

    fn handle(&mut self, input: Input, effects: &mut Effects) {
        let events = self.node.handle(clock::now(), input, effects);
        self.record(events);
    }

    fn record(&mut self, events: Vec<Event>) {
        log::events(&events);
        let now = clock::now().utc;
        for event in &events {
            self.metrics.record(now, event);
            self.reloads.turnovers.values_mut().for_each(|turnover| turnover.note(event));
            if let Event::Removed(removal) = event {
                self.warned.forget(&removal.zone);
            }
        }
    }

    fn files(&mut self, Changed { zones, contested, read, lost }: Changed, effects: &mut Effects) {
        lost.into_iter().for_each(|lost| self.lost(lost));
        if !read.is_empty() {
            self.try_folders();
        }
        self.handle(Input::Zones(zones), effects);
        if !contested.is_empty() {
            self.handle(Input::Contested(contested), effects);
        }
        let mut files = Vec::with_capacity(read.len());
        for (zone, loaded) in read {
            match loaded {
                Ok(loaded) => {
                    if self.warned.is_news(&zone, &loaded.warnings) {
                        log::warnings(&zone, &loaded.warnings);
                    }
                    let Loaded { snapshot: content, edited, .. } = loaded;
                    files.push((zone, Ok(ZoneFile { content, edited })));
                }
                Err(error) => {
                    log::diagnostics(&zone, error.diagnostics());
                    files.push((zone, Err(error.to_string())));
                }
            }
        }
        self.handle(Input::Files(files), effects);
    }

    fn refresh(
        &mut self,
        zones: Vec<Name>,
        is_forced: bool,
        effects: &mut Effects,
    ) -> Result<Vec<Asked>, String> {
        if is_forced && zones.is_empty() {
            return Err("taking a zone whatever its serial is for zones that are named; name them".to_owned());
        }
        let zones = to_refresh(zones, self.node.secondaries())?;
        for zone in &zones {
            if is_forced {
                tracing::warn!(%zone, "its primaries' content is to be taken whatever its serial, by order");
            }
            self.handle(Input::Refresh { zone: zone.clone(), is_forced }, effects);
        }
        let asked = zones.into_iter().map(|zone| {
            let version = self.store.get(&zone).and_then(|zone| zone.version());
            (zone, version.map(|version| version.stamp.serial))
        });
        Ok(asked.collect())
    }

    /// Does what a command may have made possible.
    fn tidy(&mut self) {
        let (node, settling) = (&self.node, &mut self.reloads.settling);
        let settled: Vec<Settling> =
            settling.extract_if(.., |settling| node.is_settled(settling.through)).collect();
        for settling in settled {
            self.settled(settling.reload);
        }
        if self.overview.borrow().change != self.node.change() {
            self.overview.send_replace(Arc::new(self.node.overview()));
        }
    }
}

/// The zones whose primaries are to be asked: those that are named, or all secondary zones.
fn to_refresh(named: Vec<Name>, secondaries: Vec<Name>) -> Result<Vec<Name>, String> {
    if let Some(unknown) = named.iter().find(|zone| !secondaries.contains(zone)) {
        return Err(format!("`{unknown}` is not a secondary zone of this node"));
    }
    match (named.is_empty(), secondaries.is_empty()) {
        (true, true) => {
            Err("this node has no secondary zones; ask one that has `primaries` in a `[[zone]]`, \
             or use `tidemark reload` to read zone files"
                .to_owned())
        }
        (true, false) => Ok(secondaries),
        (false, _) => Ok(named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<const N: usize>(zones: [&str; N]) -> [Name; N] {
        zones.map(|zone| zone.parse().unwrap())
    }

    #[test]
    fn a_refresh_is_refused_where_there_is_nothing_to_refresh() {
        let [one, two] = names(["one.", "two."]);
        let both = vec![one.clone(), two.clone()];
        assert_eq!(to_refresh(Vec::new(), both.clone()), Ok(both.clone()));
        assert_eq!(to_refresh(vec![two.clone()], both), Ok(vec![two.clone()]));
        assert!(to_refresh(vec![two], vec![one]).unwrap_err().contains("`two.` is not a secondary zone"));
        let refused = to_refresh(Vec::new(), Vec::new()).unwrap_err();
        assert!(refused.starts_with("this node has no secondary zones; ask one that has"), "{refused}");
    }
}
