//! Reloads: the configuration is read again, then the files of its zones, and whoever asked is answered once all that they held is
//! published.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::panic::catch;
use crate::wire::name::Name;

use super::super::files::watch::Refused;
use super::super::log;
use super::super::settings::{Settings, takes_restart};
use super::super::unread::{self, Content, Source, Unread, lacks_folder};
use super::refused::{NotReloaded, Refusal, wait_until_readable};
use super::turnover::Turnover;
use super::{Command, Control, Reloaded};

/// Who is told what became of a reload.
pub type Answer = oneshot::Sender<Result<Reloaded, String>>;

/// Reads the configuration again, for `reload` and SIGHUP.
pub type Reread = Arc<dyn Fn() -> Result<Settings, Refusal> + Send + Sync>;

/// A reload under way.
pub struct Reload {
    /// Which zones were asked for; none for all.
    zones: Vec<Name>,
    /// Where it is noted which zones come and go, if the configuration was read again.
    turnover: Option<u64>,
    /// Files that hold no zone to be served.
    refused: Vec<Refused>,
    /// Folders that could not be read before.
    found: Vec<Source>,
    needs_restart: Vec<&'static str>,
    /// Whether what the journal held of zones that are not configured by its end is let go of. Those in a folder that cannot be read yet
    /// go on from their former lives when it can be.
    forgets: bool,
    answer: Option<Answer>,
}

impl Reload {
    /// One of all zones, whose settings are all in force.
    pub fn new(answer: Option<Answer>, forgets: bool) -> Reload {
        let (zones, refused, found, needs_restart) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Reload { zones, turnover: None, refused, found, needs_restart, forgets, answer }
    }

    /// The same, which reads these folders for the first time since they could not be read.
    pub(super) fn of(self, found: Vec<Source>) -> Reload {
        Reload { found, ..self }
    }
}

/// Reloads under way.
pub struct Reloads {
    /// Has the configuration read again. Whoever asked waits, and so they are never many.
    asked: mpsc::UnboundedSender<Rereading>,
    /// Who waits for files that have been read to be published.
    pub(super) settling: Vec<Settling>,
    /// The number of the last one that read the configuration again.
    last: u64,
    /// What has changed since, for each of these by its number.
    pub(super) turnovers: BTreeMap<u64, Turnover>,
}

/// A reload whose files have all been read.
pub(super) struct Settling {
    /// How many changes had been submitted by then.
    pub(super) through: u64,
    pub(super) reload: Reload,
}

/// A reload of everything, while the configuration is read.
pub struct Rereading {
    answer: Option<Answer>,
    /// What could not be read when it was asked for.
    unread: Vec<Unread>,
}

impl Rereading {
    /// A folder of zones that cannot be read as it went away while the others were read. What is in it would be taken for gone.
    fn lost<'u>(&self, unread: &'u [Unread], settings: &Settings) -> Option<&'u Unread> {
        let is_new = |it: &&Unread| self.unread.iter().all(|known| known.source != it.source);
        let is_named = |it: &&Unread| settings.sources.contains(&it.source);
        unread.iter().filter(is_new).find(is_named)
    }
}

impl Reloads {
    /// None yet. The configuration is read by the runtime that this is called on.
    pub fn new(
        reread: Reread,
        refused: watch::Receiver<Option<NotReloaded>>,
        commands: mpsc::Sender<Command>,
    ) -> Reloads {
        let (asked, asking) = mpsc::unbounded_channel();
        tokio::spawn(wait_until_readable(refused, commands.clone()));
        tokio::spawn(read_again(reread, asking, commands));
        Reloads { asked, settling: Vec::new(), last: 0, turnovers: BTreeMap::new() }
    }
}

/// Reads the configuration for one reload after the other; the control thread takes in what was read.
async fn read_again(
    reread: Reread,
    mut asked: mpsc::UnboundedReceiver<Rereading>,
    commands: mpsc::Sender<Command>,
) {
    while let Some(rereading) = asked.recv().await {
        let reread = Arc::clone(&reread);
        // It names folders and files that may be on a disk that does not answer.
        let read = move || catch(&*reread).unwrap_or_else(|error| Err(format!("the reading {error}").into()));
        let Ok(read) = tokio::task::spawn_blocking(read).await else { return };
        // Without a control thread the node is stopping.
        if commands.send(Command::Reread(rereading, read.map(Box::new))).await.is_err() {
            return;
        }
    }
}

impl Control {
    pub(super) fn reload(
        &mut self,
        zones: Vec<Name>,
        answer: Option<Answer>,
        commands: &mpsc::Sender<Command>,
    ) {
        if let Some(unknown) = zones.iter().find(|zone| !self.node.is_primary(zone)) {
            return refuse(answer, format!("`{unknown}` is not a primary zone of this node"));
        }
        if zones.is_empty() {
            let rereading = Rereading { answer, unread: self.unread.borrow().clone() };
            // Who reads ends with the node.
            return drop(self.reloads.asked.send(rereading));
        }
        let commands = commands.clone();
        let reload = Reload { zones: zones.clone(), ..Reload::new(answer, false) };
        self.files.reload(zones, move || drop(commands.blocking_send(Command::Settled(reload))));
    }

    /// Brings into force what the configuration says now.
    pub(super) fn reread(
        &mut self,
        rereading: Rereading,
        read: Result<Box<Settings>, Refusal>,
        commands: &mpsc::Sender<Command>,
    ) {
        let read = read.and_then(|settings| match rereading.lost(&self.unread.borrow(), &settings) {
            Some(lost) => Err(Refusal { lacking: vec![lost.source.clone()], ..lost.reason.clone().into() }),
            None => Ok(settings),
        });
        self.metrics.reloaded(read.is_ok());
        let answer = rereading.answer;
        let settings = match read {
            Ok(settings) => settings,
            Err(refusal) => {
                self.refused.send_replace(Some(NotReloaded::now(&refusal)));
                return refuse(answer, refusal.all);
            }
        };
        self.refused.send_replace(None);
        let needs_restart = self.settings.needs_restart(&settings);
        self.needs_restart.send_replace(needs_restart.clone());
        takes_restart(&needs_restart).into_iter().for_each(|hint| tracing::warn!("{hint}"));
        // Where no secret is set, the one in force goes on.
        let cookies = settings.server.cookies.clone().map(Content::Cookies);
        let identity = settings.server.tls.as_ref().and_then(|tls| tls.identity.clone());
        let new = cookies.into_iter().chain(identity.map(Content::Identity));
        new.for_each(|content| self.bring_into_force(content, commands));
        let forgets = lacks_folder(&self.unread.borrow(), None) && !lacks_folder(&settings.unread, None);
        let found = unread::found(&self.unread.borrow(), &settings.sources, &settings.unread);
        let sources = found.iter().map(|unread| unread.source.clone()).collect();
        self.unread.send_replace([settings.unread.clone(), found].concat());
        self.sources.clone_from(&settings.sources);
        self.reloads.last += 1;
        self.reloads.turnovers.insert(self.reloads.last, Turnover::default());
        let turnover = Some(self.reloads.last);
        let reload = Reload { turnover, needs_restart, ..Reload::new(answer, forgets).of(sources) };
        let commands = commands.clone();
        self.files.configure(&settings, move |refused| {
            drop(commands.blocking_send(Command::Settled(Reload { refused, ..reload })));
        });
    }

    /// Answers who asked for a reload, once what every file held is published.
    pub(super) fn settled(
        &mut self,
        Reload { zones, turnover, mut refused, found, needs_restart, forgets, answer }: Reload,
    ) {
        self.have_been_read(&found);
        if forgets && !lacks_folder(&self.unread.borrow(), None) {
            self.store.forget_unconfigured();
        }
        let was_asked_for = !zones.is_empty() || turnover.is_some();
        let asked = |zone: &Name| zones.is_empty() || zones.contains(zone);
        let (mut reloaded, mut failed) = (BTreeMap::new(), BTreeMap::new());
        for (zone, serial, problem) in self.node.primaries().filter(|(zone, ..)| asked(zone)) {
            match problem {
                Some(problem) => drop(failed.insert(zone.clone(), problem.what.clone())),
                None => drop(reloaded.insert(zone.clone(), serial)),
            }
        }
        // A primary zone that other files hold too is told with the zone, for as long as they do.
        let is_told = |zone: &Name| failed.contains_key(zone) || reloaded.contains_key(zone);
        refused.retain(|file| !file.zone.as_ref().is_some_and(is_told));
        let turnover = turnover.and_then(|number| self.reloads.turnovers.remove(&number));
        let Turnover { added, removed } = turnover.unwrap_or_default();
        if was_asked_for {
            let refused: Vec<String> = refused.iter().map(|file| file.why.clone()).collect();
            log::reloaded([added.len(), removed.len()], &failed, &refused, failed.len() + reloaded.len());
        }
        let [added, removed] = [added, removed].map(|zones| zones.into_iter().collect());
        let reloaded = Reloaded { zones: reloaded, failed, added, removed, refused, needs_restart };
        if let Some(answer) = answer {
            drop(answer.send(Ok(reloaded)));
        }
    }
}

fn refuse(answer: Option<Answer>, error: String) {
    tracing::error!("not reloaded: {error}");
    answer.into_iter().for_each(|answer| drop(answer.send(Err(error.clone()))));
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc as blocking;
    use std::time::Duration;

    use super::super::super::unread::Source;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn settings() -> Settings {
        Settings::for_files("127.0.0.1:53".parse().unwrap(), &[])
    }

    fn folder(path: &str) -> Unread {
        let lost = Source::ZoneDir(path.into()).read().unwrap_err();
        Source::ZoneDir(path.into()).unread(lost)
    }

    /// What a reading came to; each is asked for with another number of things that cannot be read.
    async fn next(told: &mut mpsc::Receiver<Command>) -> (usize, Result<Box<Settings>, Refusal>) {
        match tokio::time::timeout(LIMIT, told.recv()).await.unwrap() {
            Some(Command::Reread(rereading, read)) => (rereading.unread.len(), read),
            _ => panic!("nothing was read"),
        }
    }

    #[tokio::test]
    async fn a_reading_that_hangs_keeps_nobody_but_those_behind_it() {
        let (disk, answers) = blocking::channel::<Result<Settings, Refusal>>();
        let answers = Mutex::new(answers);
        let reread: Reread = Arc::new(move || answers.lock().unwrap().recv_timeout(LIMIT).unwrap());
        let (commands, mut told) = mpsc::channel(4);
        let reloads = Reloads::new(reread, watch::channel(None).1, commands.clone());
        let ask = |unread: usize| {
            let unread = vec![folder("/none"); unread];
            assert!(reloads.asked.send(Rereading { answer: None, unread }).is_ok());
        };
        ask(0);
        ask(1);
        // Others are heard while the disk does not answer.
        commands.send(Command::Stop).await.unwrap();
        assert!(matches!(told.recv().await, Some(Command::Stop)));
        let broken = || Refusal::from("broken".to_owned());
        disk.send(Err(broken())).unwrap();
        assert_eq!(next(&mut told).await, (0, Err(broken())));
        ask(2);
        disk.send(Ok(settings())).unwrap();
        disk.send(Err(broken())).unwrap();
        assert_eq!(next(&mut told).await, (1, Ok(Box::new(settings()))));
        assert_eq!(next(&mut told).await, (2, Err(broken())));
        // A fault of this program costs one reload.
        drop(disk);
        ask(3);
        let (number, faulty) = next(&mut told).await;
        assert!(number == 3 && faulty.unwrap_err().first.contains("fault of this program"));
    }

    #[test]
    fn a_folder_that_goes_while_others_are_read_is_not_taken_for_empty() {
        let [known, lost, other] = ["/none/known", "/none/lost", "/none/other"].map(folder);
        let rereading = Rereading { answer: None, unread: vec![known.clone()] };
        let sources = vec![known.source.clone(), lost.source.clone()];
        let settings = Settings { sources, ..settings() };
        assert_eq!(rereading.lost(&[known.clone(), other.clone()], &settings), None);
        assert_eq!(rereading.lost(&[known, other, lost.clone()], &settings), Some(&lost));
    }
}
