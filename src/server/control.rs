//! The control plane's thread: it owns the [`Node`] and the journal, and hears of everything that is not a plain query.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use crate::answer::context::Served;
use crate::ask::exchange::{Arrival, Outbox, Token};
use crate::metrics::registry::Metrics;
use crate::node::event::{Event, Input};
use crate::node::router::Node;
use crate::node::status::Status;
use crate::node::zone::{Role, ZoneConfig};
use crate::publish::journal::entry::Entry;
use crate::publish::store::ZoneStore;
use crate::publish::zone::Version;
use crate::time::Mono;
use crate::wire::name::Name;

use super::clock;
use super::disk::{Disk, DiskError, Rewritten};
use super::exchange::Exchanges;
use super::files::{Changed, FileEvent, Files};
use super::log;
use super::priority;
use super::settings::{Settings, Source, Zone};
use super::tls::Shown;

/// Commands that may wait for the node.
pub const QUEUE: usize = 4_096;
/// A zone file whose content could not be written down is tried again after so long.
const RETRY: Duration = Duration::from_secs(5);

/// How often it is looked whether a version is still read.
const PAUSE: Duration = Duration::from_millis(20);

/// What the control plane is told and asked.
pub enum Command {
    /// Something for the node.
    Input(Input),
    /// An exchange brought something.
    Arrival(Token, Arrival),
    /// A zone file was read.
    File(FileEvent),
    /// How is everything?
    Status(oneshot::Sender<Status>),
    /// Read these zones' files again, or the configuration and all of them.
    Reload(Vec<Name>, Option<oneshot::Sender<Result<Vec<Name>, String>>>),
    /// Ask the primaries of these secondary zones now, or of all.
    Refresh(Vec<Name>, oneshot::Sender<Result<Vec<Name>, String>>),
    /// All files asked for have been read and reported.
    Settled(Vec<Name>, Option<oneshot::Sender<Result<Vec<Name>, String>>>),
    /// A new journal is written, but for what the old one got since.
    Rewritten(Result<Rewritten, DiskError>),
    /// End the thread.
    Stop,
}

/// Reads the configuration again, for `reload` and SIGHUP.
pub type Reread = Box<dyn Fn() -> Result<Settings, String> + Send>;

/// The thread's belongings.
pub struct Control {
    /// The machines.
    pub node: Node,
    /// The zones.
    pub store: Arc<ZoneStore>,
    /// The journal.
    pub disk: Disk,
    /// Where events are counted.
    pub metrics: Arc<Metrics>,
    /// The watch on zone files.
    pub files: Files,
    /// What the data plane answers from.
    pub served: Arc<ArcSwap<Served>>,
    /// The settings in force.
    pub settings: Settings,
    /// What new connections with TLS are shown.
    pub shown: Option<Arc<Shown>>,
    /// Where new settings come from.
    pub reread: Reread,
    /// Zones of which a file's content waits to be read and published again, and when.
    pub retries: BTreeMap<Name, Mono>,
    /// Whether a new journal is being written.
    pub rewriting: bool,
}

impl Control {
    /// Runs until [`Command::Stop`].
    pub async fn run(mut self, commands: mpsc::Sender<Command>, mut queue: mpsc::Receiver<Command>) {
        let mut exchanges = Exchanges::new(commands.clone(), Command::Arrival);
        let mut outbox = Outbox::default();
        for stub in self.settings.resolver.iter().flat_map(|resolver| &resolver.routes.stub) {
            self.node.watch_stub(clock::now(), &stub.zone, &stub.servers, &mut outbox);
        }
        exchanges.carry_out(&mut outbox);
        loop {
            let timers = self.node.next_timeout().into_iter().chain(self.retries.values().copied());
            let rewrite = self.disk.due(|| self.store.records()).filter(|_| !self.rewriting);
            let deadline = timers.chain(rewrite).min();
            let command = match deadline {
                Some(deadline) => tokio::time::timeout_at(clock::until(deadline), queue.recv()).await.ok(),
                None => Some(queue.recv().await),
            };
            match command {
                None => {
                    self.retry();
                    self.handle(Input::Timeout, &mut outbox);
                }
                Some(None | Some(Command::Stop)) => {
                    // The process ends; taking very many zones to pieces before that would only take time.
                    std::mem::forget(self.node);
                    return;
                }
                Some(Some(command)) => self.obey(command, &commands, &mut exchanges, &mut outbox),
            }
            exchanges.carry_out(&mut outbox);
            self.tidy(&commands);
        }
    }

    fn obey(
        &mut self,
        command: Command,
        commands: &mpsc::Sender<Command>,
        exchanges: &mut Exchanges<Command>,
        outbox: &mut Outbox,
    ) {
        match command {
            Command::Input(input) => self.handle(input, outbox),
            Command::Arrival(token, arrival) => {
                if matches!(arrival, Arrival::Failed(_)) {
                    exchanges.ended(token);
                }
                self.handle(Input::Arrival(token, arrival), outbox);
            }
            Command::File(event) => self.file(event, outbox),
            Command::Status(answer) => drop(answer.send(self.node.status(clock::now()))),
            Command::Reload(zones, answer) => self.reload(zones, answer, commands),
            Command::Refresh(zones, answer) => drop(answer.send(self.refresh(zones, outbox))),
            Command::Settled(zones, answer) => {
                // The first time, queries are answered from now on: building a large zone from a transfer must not make them
                // wait for whole time slices.
                priority::small_share();
                self.settled(zones, answer);
            }
            Command::Rewritten(rewritten) => {
                self.rewriting = false;
                if let Err(error) = self.disk.replace(rewritten) {
                    // The old journal is still whole and in use.
                    tracing::error!("journal not rewritten: {error}");
                }
            }
            Command::Stop => {}
        }
    }

    fn handle(&mut self, input: Input, outbox: &mut Outbox) {
        let events = self.node.handle(clock::now(), input, outbox, &mut self.disk);
        self.record(events);
    }

    fn record(&mut self, events: Vec<Event>) {
        log::events(&events);
        for event in &events {
            self.metrics.record(event);
            match event {
                Event::Confirmed { zone, counted_from, .. } => {
                    self.disk.note(&Entry::Verified(zone.clone(), *counted_from))
                }
                Event::Observed { zone, server, serial, .. } if self.node.is_primary(zone) => {
                    let own = self.store.get(zone).and_then(|zone| Some(zone.version()?.snapshot.serial()));
                    if let Some(own) = own.filter(|own| serial.is_newer_than(*own)) {
                        log::ahead(zone, server, *serial, own);
                    }
                }
                Event::NotKept { zone, .. } => {
                    self.retries.insert(zone.clone(), clock::now().mono + RETRY);
                }
                _ => {}
            }
        }
    }

    fn file(&mut self, event: FileEvent, outbox: &mut Outbox) {
        let Changed { vanished, appeared, read } = match event {
            FileEvent::Changed(changed) => changed,
            FileEvent::Zones(zones) => {
                let events = self.node.retain(&zones, outbox);
                return self.record(events);
            }
        };
        let mut events = Vec::new();
        for zone in &vanished {
            events.extend(self.node.remove(zone, outbox));
        }
        let zones = appeared.iter().map(config).collect();
        events.extend(self.node.add_all(clock::now(), zones, outbox, &mut self.disk));
        self.record(events);
        let mut files = Vec::with_capacity(read.len());
        for (zone, loaded) in read {
            match loaded {
                Ok(loaded) => {
                    log::warnings(&zone, &loaded.warnings);
                    self.retries.remove(&zone);
                    files.push((zone, Ok(loaded.snapshot)));
                }
                Err(error) => {
                    log::diagnostics(&zone, error.diagnostics());
                    files.push((zone, Err(error.to_string())));
                }
            }
        }
        self.handle(Input::Files(files), outbox);
    }

    fn retry(&mut self) {
        let now = clock::now().mono;
        let due: Vec<Name> =
            self.retries.iter().filter(|(_, at)| **at <= now).map(|(zone, _)| zone.clone()).collect();
        for zone in due {
            self.retries.remove(&zone);
            self.files.reload(Some(zone), || ());
        }
    }

    fn reload(
        &mut self,
        zones: Vec<Name>,
        answer: Option<oneshot::Sender<Result<Vec<Name>, String>>>,
        commands: &mpsc::Sender<Command>,
    ) {
        let refuse = |answer: Option<oneshot::Sender<_>>, error: String| {
            tracing::error!("not reloaded: {error}");
            answer.into_iter().for_each(|answer| drop(answer.send(Err(error.clone()))));
        };
        if let Some(unknown) = zones.iter().find(|zone| !self.node.is_primary(zone)) {
            return refuse(answer, format!("`{unknown}` is not a primary zone of this node"));
        }
        let commands = commands.clone();
        if !zones.is_empty() {
            let last = zones.len() - 1;
            let mut finish = Some((zones.clone(), answer));
            for (index, zone) in zones.into_iter().enumerate() {
                let done = finish.take_if(|_| index == last);
                let commands = commands.clone();
                self.files.reload(Some(zone), move || {
                    done.into_iter().for_each(|(zones, answer)| {
                        drop(commands.blocking_send(Command::Settled(zones, answer)));
                    });
                });
            }
            return;
        }
        let settings = match (self.reread)() {
            Ok(settings) => settings,
            Err(error) => return refuse(answer, error),
        };
        let keys = self.settings.needs_restart(&settings);
        if !keys.is_empty() {
            tracing::warn!(
                "changed in the configuration, but only a restart brings it into force: {}",
                keys.join(", ")
            );
        }
        // Secrets change while all servers of a zone run (RFC 9018 5); where none is set, the one in force goes on.
        if let Some(cookies) = settings.server.cookies.as_ref().map(|new| Arc::new(new.clone())) {
            let served = Served::clone(&self.served.load());
            self.served.store(Arc::new(Served { cookies, ..served }));
        }
        // Certificates are renewed every few weeks.
        if let Some((shown, tls)) = self.shown.as_ref().zip(settings.server.tls.as_ref()) {
            shown.renew(tls.identity.clone());
        }
        self.settings = settings;
        self.files.configure(&self.settings, move |_| {
            drop(commands.blocking_send(Command::Settled(Vec::new(), answer)));
        });
    }

    /// Answers who asked for a reload, once every file has been read: which of the zones could not be brought up to date.
    fn settled(&mut self, zones: Vec<Name>, answer: Option<oneshot::Sender<Result<Vec<Name>, String>>>) {
        let asked = |zone: &Name| zones.is_empty() || zones.contains(zone);
        let (mut reloaded, mut problems) = (Vec::new(), Vec::new());
        for (zone, problem) in self.node.primaries().into_iter().filter(|(zone, _)| asked(zone)) {
            match problem {
                Some(problem) => problems.push(format!("{zone}: {}", problem.what)),
                None => reloaded.push(zone.clone()),
            }
        }
        let outcome = if problems.is_empty() { Ok(reloaded) } else { Err(problems.join("\n")) };
        answer.into_iter().for_each(|answer| drop(answer.send(outcome.clone())));
    }

    fn refresh(&mut self, zones: Vec<Name>, outbox: &mut Outbox) -> Result<Vec<Name>, String> {
        let all = self.node.secondaries();
        if let Some(unknown) = zones.iter().find(|zone| !all.contains(zone)) {
            return Err(format!("`{unknown}` is not a secondary zone of this node"));
        }
        let zones = if zones.is_empty() { all } else { zones };
        zones.iter().for_each(|zone| self.handle(Input::Refresh { zone: zone.clone() }, outbox));
        Ok(zones)
    }

    /// Has done elsewhere what takes long and nobody waits for.
    fn tidy(&mut self, commands: &mpsc::Sender<Command>) {
        let retired = self.store.take_retired();
        if !retired.is_empty() {
            // Without a thread for it, it is done here.
            let _ = thread::Builder::new().name("retire".to_owned()).spawn(move || retire(retired));
        }
        let due = self.disk.due(|| self.store.records());
        if self.rewriting || due.is_none_or(|due| due > clock::now().mono) {
            return;
        }
        let (rewrite, checkpoint, commands) =
            (self.disk.rewrite(), self.store.checkpoint(), commands.clone());
        let write = move || {
            priority::idle();
            let rewritten = rewrite.write(|each| checkpoint.entries(each));
            // A node that stops does without it.
            let _ = commands.blocking_send(Command::Rewritten(rewritten));
        };
        match thread::Builder::new().name("journal".to_owned()).spawn(write) {
            Ok(_) => self.rewriting = true,
            Err(error) => tracing::error!("journal not rewritten: no thread ({error})"),
        }
    }
}

/// Takes versions to pieces that nobody reads any more.
fn retire(mut versions: Vec<Arc<Version>>) {
    priority::idle();
    while !versions.is_empty() {
        // A transfer may go on for minutes, a query is over in no time.
        versions.retain(|version| Arc::strong_count(version) > 1);
        thread::sleep(PAUSE);
    }
    priority::give_back_memory();
}

/// What the node is to do with a configured zone.
pub fn config(zone: &Zone) -> ZoneConfig {
    ZoneConfig {
        name: zone.name.clone(),
        role: match &zone.source {
            Source::File(_) => Role::Primary(zone.serial),
            Source::Primaries(primaries) => Role::Secondary(primaries.clone()),
        },
        notify: zone.notify.clone(),
        transfer: zone.allow_transfer.clone(),
        watch: zone.watch.clone(),
    }
}
