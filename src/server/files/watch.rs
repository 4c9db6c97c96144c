//! Watches zone files: an edit is loaded without being told to, a broken one is told of, and files that come and go in a
//! `[[zone-dir]]` become zones and stop being zones.
//!
//! One thread owns the watch. A file that lies in a folder of zones, is no link and includes nothing is watched with its folder;
//! only for others is the way to them kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::time::Instant;

use crate::node::roster::{Changes, Roster, ZoneSource};
use crate::publish::store::ZoneStore;
use crate::wire::name::{Name, NameRef};

use super::super::settings::{Settings, Zone};
use super::super::threads;
use super::super::unread::Unread;
pub use super::asked::Refused;
use super::asked::{Answer, Asker, Awaited, File, Read, What};
use super::copies::is_marked;
use super::folder::{InFolder, files_in, is_zone_file};
use super::inotify::{Scope, Watcher};
use super::lease::is_open_for_writing;
use super::load::{LoadError, Loaded};
use super::read::{Content, Done, Haste, Readers};
use super::settle::{self, Batch, Seen};
use super::trail::Trail;
use super::turns::Search;
use super::watched::{Dir, Marked, Reading, Ways};

/// Zones reported in one go: what they hold is published with one write.
const TOGETHER: usize = 4_096;
/// Records reported in one go, before anything is served: whoever publishes them works while others are read.
const RECORDS_TOGETHER: u64 = 100_000;

/// What became of zones and their files, to be taken in in this order.
#[derive(Default)]
pub struct Changed {
    /// Zones that go and come.
    pub zones: Changes,
    /// Zones that several files hold, each with what is to be said of that, and zones that only one holds now.
    pub contested: Vec<(Name, Option<String>)>,
    /// Zone files that were read, well or badly.
    pub read: Vec<(Name, Result<Loaded, LoadError>)>,
    /// Folders of zones that went away or are closed now, each with why it cannot be read.
    pub lost: Vec<Unread>,
}

impl Changed {
    fn is_empty(&self) -> bool {
        let Changed { zones, contested, read, lost } = self;
        zones.is_empty() && contested.is_empty() && read.is_empty() && lost.is_empty()
    }
}

/// What the thread is told and asked.
pub(super) enum Request {
    Seen(Seen),
    Read(Vec<Done>),
    Reload(Vec<Name>, Answer),
    Look(PathBuf, Answer),
    Configure(Box<Settings>, Answer),
}

/// The way to the watching thread.
#[derive(Clone)]
pub struct Files {
    requests: mpsc::Sender<Request>,
}

impl Files {
    /// Starts to watch for the zones of `store`; `report` is called from the thread.
    pub fn start(store: Arc<ZoneStore>, report: impl Fn(Changed) + Send + 'static) -> io::Result<Files> {
        let (requests, queue) = mpsc::channel();
        let told = requests.clone();
        let run = move || Watch::new(store, told, report).run(&queue);
        threads::start("files", run)?;
        Ok(Files { requests })
    }

    /// Finds all zones that these settings name, watches their files, and reads every one; `done` is called behind the last
    /// report, with the files that hold no zone to be served.
    pub fn configure(&self, settings: &Settings, done: impl FnOnce(Vec<Refused>) + Send + 'static) {
        let _ = self.requests.send(Request::Configure(Box::new(settings.clone()), Box::new(done)));
    }

    /// Reads the files of these zones again; `done` is called behind the report of the last one.
    pub fn reload(&self, zones: Vec<Name>, done: impl FnOnce() + Send + 'static) {
        let _ = self.requests.send(Request::Reload(zones, Box::new(move |_| done())));
    }

    /// Takes in the files of a folder of zones that could not be read before: where it is mounted, or its mode changes, no event need
    /// tell that. `done` is called behind the report of the last one, and of all else that is being read now.
    pub fn look_at(&self, folder: PathBuf, done: impl FnOnce() + Send + 'static) {
        let _ = self.requests.send(Request::Look(folder, Box::new(move |_| done())));
    }
}

pub(super) struct Watch<R> {
    pub(super) store: Arc<ZoneStore>,
    pub(super) readers: Readers,
    requests: mpsc::Sender<Request>,
    /// Started with the first folder to watch.
    watcher: Option<Watcher>,
    /// Whether it has been told that something cannot be watched.
    is_blind: bool,
    /// Whether anything is served yet.
    pub(super) haste: Haste,
    /// Whether every file must be good for anything to be served.
    pub(super) is_strict: bool,
    /// What has changed and is still to be acted on.
    pub(super) settling: settle::Changes,
    /// Files that are open for writing and that somebody waits for.
    pub(super) awaited: Vec<Awaited>,
    /// Folders watched, free of links, and how: those of all files, because a file that is replaced takes a watch on itself along.
    folders: BTreeMap<PathBuf, Scope>,
    /// What events may matter for: all places of traced zones and folders of zones, and some that once were.
    places: BTreeSet<PathBuf>,
    /// Which zones there are, and which file each is served from.
    pub(super) roster: Roster<Arc<Path>>,
    /// The zones whose content is come by otherwise than by a plain file in a folder of zones.
    pub(super) ways: Ways,
    /// The zones whose files are being read.
    pub(super) reading: HashMap<Name, Reading>,
    /// What is to be reported.
    pub(super) changed: Changed,
    /// How many records are in there.
    records: u64,
    /// Who is told that all is reported, once this is.
    pub(super) leaving: Vec<Rc<Asker>>,
    /// Zones whose file is missing, and when that is told.
    pub(super) missing: BTreeMap<Name, Instant>,
    /// Files that have been told to be empty, or copies.
    pub(super) told: BTreeSet<PathBuf>,
    /// Files in folders that are copies by what lies beside them.
    pub(super) marked: Marked,
    pub(super) dirs: Vec<Dir>,
    /// Files that are being read, by their tickets.
    pub(super) reads: BTreeMap<u64, Read>,
    pub(super) searches: BTreeMap<u64, Search>,
    /// The last number given to a read.
    pub(super) last: u64,
    report: R,
}

impl<R: Fn(Changed)> Watch<R> {
    fn new(store: Arc<ZoneStore>, requests: mpsc::Sender<Request>, report: R) -> Watch<R> {
        let told = requests.clone();
        // Without a thread that listens the node is stopping.
        let readers = Readers::new(&store, move |done| drop(told.send(Request::Read(done))));
        Watch {
            store,
            readers,
            requests,
            watcher: None,
            is_blind: false,
            haste: Haste::Start,
            is_strict: false,
            settling: settle::Changes::default(),
            awaited: Vec::new(),
            folders: BTreeMap::new(),
            places: BTreeSet::new(),
            roster: Roster::default(),
            ways: Ways::default(),
            reading: HashMap::new(),
            changed: Changed::default(),
            records: 0,
            leaving: Vec::new(),
            missing: BTreeMap::new(),
            told: BTreeSet::new(),
            marked: Marked::default(),
            dirs: Vec::new(),
            reads: BTreeMap::new(),
            searches: BTreeMap::new(),
            last: 0,
            report,
        }
    }

    fn run(mut self, queue: &mpsc::Receiver<Request>) {
        let mut is_configured = false;
        loop {
            match self.next(queue) {
                Ok(Request::Seen(seen)) => self.seen(seen),
                Ok(Request::Read(done)) => done.into_iter().for_each(|done| self.read(done)),
                Ok(Request::Reload(zones, done)) => self.reload(zones, Asker::new(done)),
                Ok(Request::Look(folder, done)) => self.look_at(&folder, &Asker::new(done)),
                Ok(Request::Configure(settings, done)) => {
                    self.configure(*settings, Asker::new(done));
                    is_configured = true;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    let mut batch = self.settling.take(now, is_open_for_writing);
                    self.changed(&mut batch, now);
                    self.end_waits(&batch, now);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.conclude();
            if is_configured && self.reads.is_empty() && self.searches.is_empty() {
                self.haste = Haste::Gentle;
            }
        }
    }

    /// What comes next. What is due is done however much arrives, and what was read is reported when nothing more is there.
    fn next(&mut self, queue: &mpsc::Receiver<Request>) -> Result<Request, RecvTimeoutError> {
        let waits = self.awaited.iter().map(|awaited| awaited.until);
        let deadline =
            self.settling.deadline().into_iter().chain(self.missing.values().copied()).chain(waits).min();
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            if self.haste == Haste::Gentle {
                self.flush();
            }
            return Err(RecvTimeoutError::Timeout);
        }
        match queue.try_recv() {
            Ok(request) => return Ok(request),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        if self.haste == Haste::Gentle || self.reads.is_empty() {
            self.flush();
        }
        match deadline {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(deadline) => queue.recv_timeout(deadline - now),
        }
    }

    fn seen(&mut self, seen: Seen) {
        let (places, dirs) = (&self.places, &self.dirs);
        let matters = |path: &Path| {
            places.contains(path)
                || is_zone_file(path) && dirs.iter().any(|dir| path.parent() == Some(&dir.real))
        };
        self.settling.note(Instant::now(), seen, matters);
    }

    fn reload(&mut self, mut zones: Vec<Name>, asker: Rc<Asker>) {
        zones.retain(|zone| self.file_of(zone).is_some());
        zones.sort();
        zones.dedup();
        self.folders.clear();
        self.look_at_dirs();
        self.read_zones(zones, None, &[asker]);
    }

    fn look_at(&mut self, folder: &Path, asker: &Rc<Asker>) {
        self.look_at_dirs();
        let dirs = self.dirs.iter().filter(|dir| dir.path == *folder);
        let paths = dirs.map(|dir| dir.real.clone()).collect();
        self.changed(&mut Batch { paths, ..Batch::default() }, Instant::now());
        let waiting = self.reads.values_mut().map(|read| &mut read.askers);
        let waiting = waiting.chain(self.awaited.iter_mut().map(|awaited| &mut awaited.askers));
        let waiting = waiting.chain(self.searches.values_mut().map(|search| &mut search.askers));
        waiting.for_each(|askers| askers.push(Rc::clone(asker)));
        // What was read before is reported first.
        self.leaving.push(Rc::clone(asker));
    }

    /// Takes all zones in anew.
    fn configure(&mut self, settings: Settings, asker: Rc<Asker>) {
        let mut askers = self.give_up();
        askers.push(asker);
        self.ways = Ways::default();
        self.reading.clear();
        self.places.clear();
        self.missing.clear();
        self.marked = Marked::default();
        self.is_blind = false;
        self.is_strict = !settings.zone_files.is_empty();
        // Every folder is watched anew: a watch may have been lost together with a folder that was replaced.
        self.folders.clear();
        let (paths, options): (Vec<_>, Vec<_>) =
            settings.zone_dirs.into_iter().map(|dir| (dir.path, dir.options)).unzip();
        self.dirs = paths.into_iter().map(Dir::new).collect();
        self.look_at_dirs();
        let (mut zones, mut named) = (Vec::with_capacity(settings.zones.len()), Vec::new());
        for Zone { config, file } in settings.zones {
            let source = file.map_or(ZoneSource::Primaries, |path| {
                self.ways.begin(&config.name, &path);
                named.push(config.name.clone());
                match self.dirs.iter().position(|dir| path.parent() == Some(&dir.path)) {
                    Some(dir) if !is_marked(&path) => ZoneSource::Found(path.into(), dir),
                    // It stays a zone's file however it is named.
                    Some(_) | None => ZoneSource::Named(path.into()),
                }
            });
            zones.push((config, source));
        }
        let search = self.roster.configure(zones, options, &mut self.changed.zones);
        self.searches.insert(search, Search::of_everything(self.haste, &askers));
        self.flush();
        self.read_zones(named, None, &askers);
        let (known, files) = self.listed(settings.zone_files);
        known.iter().for_each(|zone| self.read_file_of(zone, Some(search), &askers, false));
        self.begin(files, Some(search), &askers, false);
    }

    /// The zones of files that held one until now and are still there, and all other files in which zones may be.
    fn listed(&mut self, named: Vec<PathBuf>) -> (Vec<Name>, Vec<What>) {
        let (mut known, mut files) = (Vec::new(), Vec::new());
        for path in named {
            // Watched before it is read, as all are.
            self.watch(&Trail::follow(&path));
            files.push(What::File(File { path: path.into(), dir: None, is_link: true }));
        }
        for index in 0..self.dirs.len() {
            // Where a folder cannot be read, a start has told it, and a reload has been refused.
            for InFolder { path, is_link } in files_in(&self.dirs[index].path).unwrap_or_default() {
                if self.roster.held_by(path.as_path()).is_some() {
                    continue;
                }
                let Some(zone) = self.roster.keep(path.as_path(), index, &mut self.changed.zones) else {
                    files.push(What::File(File { path: path.into(), dir: Some(index), is_link }));
                    continue;
                };
                if is_link {
                    self.ways.begin(&zone, &path);
                }
                known.push(zone);
            }
        }
        (known, files)
    }

    /// The file of a zone, and the index of the folder it was found in.
    pub(super) fn file_of(&self, zone: &NameRef) -> Option<(Arc<Path>, Option<usize>)> {
        self.roster.source(zone)?.file().map(|(path, dir)| (Arc::clone(path), dir))
    }

    /// The file of a zone is its file no more.
    pub(super) fn forget(&mut self, zone: &NameRef) {
        self.missing.remove(zone);
        self.ways.remove(zone);
        self.reading.remove(zone);
        let waited = self.waited_for_zone(zone);
        self.leaving.extend(waited);
    }

    /// Takes in what was read.
    fn read(&mut self, Done { ticket, content }: Done) {
        let Some(Read { what, search, askers, .. }) = self.reads.remove(&ticket) else { return };
        match (what, content) {
            // Unless the zone has come from another file since.
            (What::Zone(name), Content::Zone(loaded))
                if self.reading.get(&name).is_some_and(|reading| reading.ticket == Some(ticket)) =>
            {
                let again = self.finished(&name);
                self.loaded(&name, loaded, &askers);
                if again {
                    self.read_changed(&name, &[]);
                }
            }
            (What::File(file), Content::File(opened)) => {
                self.opened(ticket, file, opened, search, &askers);
            }
            // What is asked for by name is read by name, and the other way round.
            (What::Zone(_) | What::File(_), _) => {}
        }
        self.leaving.extend(askers);
        self.one_less(search);
    }

    /// Takes in what was read from a zone's file.
    pub(super) fn loaded(&mut self, name: &Name, loaded: Result<Loaded, LoadError>, askers: &[Rc<Asker>]) {
        let Some((path, _)) = self.file_of(name) else { return };
        if let Err(LoadError::Open { path }) = loaded {
            return self.await_writer(What::Zone(name.clone()), path, askers);
        }
        let askers = [askers, &self.waited_for_zone(name)].concat();
        if let Ok(loaded) = &loaded {
            let is_alone = matches!(&loaded.files[..], [only] if **only == *path);
            if !is_alone || self.ways.has(name) {
                self.ways.set_files(name, &loaded.files);
            }
        }
        // What was included may have changed before it was watched. A plain file was watched with its folder before it was read.
        if self.ways.has(name) && loaded.is_ok() && self.retrace(name) {
            return self.read_zones(vec![name.clone()], None, &askers);
        }
        self.leaving.extend(askers);
        self.records += loaded.as_ref().map_or(0, |loaded| loaded.snapshot.records());
        self.changed.read.push((name.clone(), loaded));
        if self.changed.read.len() >= TOGETHER || self.records >= RECORDS_TOGETHER {
            self.flush();
        }
    }

    /// Hands on what is to be reported.
    pub(super) fn flush(&mut self) {
        self.records = 0;
        let changed = std::mem::take(&mut self.changed);
        if !changed.is_empty() {
            (self.report)(changed);
        }
        self.leaving.clear();
    }

    /// Follows the ways to the folders of zones.
    fn look_at_dirs(&mut self) {
        for index in 0..self.dirs.len() {
            let path = self.dirs[index].path.clone();
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            // What lies beside it and beside links to it is written to for other reasons, and perhaps all the time.
            let mut trail = Trail::follow(&path).of_names();
            // One that cannot be read cannot be watched either.
            if real.read_dir().is_ok() {
                trail.folders.insert(real.clone());
            }
            self.watch(&trail);
            self.dirs[index].real = real;
            self.dirs[index].places = trail.places;
        }
    }

    /// Watches along a trail; whether that is more than was watched.
    fn watch(&mut self, trail: &Trail) -> bool {
        let mut is_more = false;
        let folders = trail.folders.iter().map(|folder| (folder, Scope::Files));
        for (folder, scope) in folders.chain(trail.above.iter().map(|folder| (folder, Scope::Names))) {
            if self.folders.get(folder).is_some_and(|known| *known >= scope) {
                continue;
            }
            self.folders.insert(folder.clone(), scope);
            is_more = true;
            match self.watch_folder(folder, scope) {
                // The folder above may be closed to us; it matters only should this one be replaced.
                Err(error) if trail.folders.contains(folder) && !self.is_blind => {
                    self.is_blind = error.kind() != io::ErrorKind::NotFound;
                    tell_unwatched(folder, &error);
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.places.extend(trail.places.iter().cloned());
        is_more
    }

    fn watch_folder(&mut self, folder: &Path, scope: Scope) -> io::Result<()> {
        if self.watcher.is_none() {
            let told = self.requests.clone();
            // Without a thread that listens the node is stopping.
            self.watcher = Some(Watcher::start(move |seen| drop(told.send(Request::Seen(seen))))?);
        }
        self.watcher.as_mut().map_or(Ok(()), |watcher| watcher.watch(folder, scope))
    }

    /// Follows the ways to the files of a zone again; whether that led to folders that were not watched.
    pub(super) fn retrace(&mut self, name: &Name) -> bool {
        let Some((path, _)) = self.file_of(name) else { return false };
        if !self.ways.has(name) && std::fs::symlink_metadata(&path).is_ok_and(|file| !file.is_symlink()) {
            return false;
        }
        self.ways.begin(name, &path);
        let mut trail = Trail::default();
        self.ways.files(name).iter().for_each(|file| trail.extend(Trail::follow(file)));
        self.ways.set_places(name, &trail.places);
        self.watch(&trail)
    }

    /// Sets up watches anew where they may have been lost: a folder that is replaced takes them along.
    pub(super) fn watch_again(&mut self, batch: &Batch) {
        if batch.all {
            self.folders.clear();
        }
        let is_stale = |folder: &PathBuf| folder.ancestors().any(|folder| batch.paths.contains(folder));
        let stale: Vec<PathBuf> = self.folders.keys().filter(|folder| is_stale(folder)).cloned().collect();
        for folder in stale {
            self.folders.remove(&folder);
            self.watcher.iter_mut().for_each(|watcher| watcher.unwatch(&folder));
        }
        if batch.all || !batch.paths.is_empty() {
            self.look_at_dirs();
        }
    }
}

/// Says why edits are not seen, and what is to be done.
fn tell_unwatched(folder: &Path, error: &io::Error) {
    let limit = match error.raw_os_error() {
        Some(libc::EMFILE) => "; raise fs.inotify.max_user_instances (sysctl) and reload to have edits seen",
        Some(libc::ENOSPC) => "; raise fs.inotify.max_user_watches (sysctl) and reload to have edits seen",
        _ => "",
    };
    tracing::warn!(
        folder = %folder.display(),
        "cannot watch for edits ({error}): use `tidemark reload` after an edit{limit}"
    );
}

#[cfg(test)]
mod tests;
