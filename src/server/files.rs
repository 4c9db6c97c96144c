//! Watches zone files: an edit is loaded without being told to, a broken one is told of, and files that come and go in a
//! `[[zone-dir]]` become zones and stop being zones.
//!
//! One thread owns the watch. Changes are gathered until nothing more happened for a moment, because editors write a file
//! in several steps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::wire::name::Name;

use super::settings::{Settings, Source, Zone, ZoneDir};
use super::watched::{Batch, Changes, Trail};
use super::zone_file::{Identity, LoadError, Loaded, identify, is_zone_file, load, name_of, zone_files};

/// How long a missing file may be missing: some programs remove a file and then write or rename the new one.
const GRACE: Duration = Duration::from_millis(250);

/// What became of a zone file.
pub enum FileEvent {
    /// A zone file was read, well or badly.
    Read(Name, Result<Loaded, LoadError>),
    /// These are all the zones there are now, from the configuration and from folders.
    Zones(Vec<Zone>),
    /// A folder of zones now holds this zone too, to be configured like so.
    Appeared(Zone),
    /// A zone's file has gone from its folder.
    Vanished(Name),
}

/// What the thread is asked to do besides watching.
enum Request {
    Changed(notify::Event),
    Reload(Option<Name>, Box<dyn FnOnce() + Send>),
    Configure(Box<Settings>, Box<dyn FnOnce() + Send>),
}

/// The way to the watching thread.
#[derive(Clone)]
pub struct Files {
    requests: mpsc::Sender<Request>,
}

impl Files {
    /// Starts to watch; `report` is called from the thread.
    pub fn start(report: impl Fn(FileEvent) + Send + 'static) -> notify::Result<Files> {
        let (requests, queue) = mpsc::channel();
        let changes = requests.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
            Ok(event) if !matches!(event.kind, EventKind::Access(_)) || is_close(&event.kind) => {
                // Without a thread that listens the node is stopping.
                let _ = changes.send(Request::Changed(event));
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("watching zone files: {error}"),
        })?;
        let watch = Watch {
            watcher,
            folders: BTreeSet::new(),
            places: BTreeSet::new(),
            zones: BTreeMap::new(),
            others: BTreeSet::new(),
            missing: BTreeMap::new(),
            told: BTreeSet::new(),
            dirs: Vec::new(),
            report,
        };
        thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || watch.run(&queue))
            .map_err(notify::Error::io)?;
        Ok(Files { requests })
    }

    /// Finds all zones that these settings name, watches their files, and reads every one; `done` is called behind the last
    /// report.
    pub fn configure(&self, settings: &Settings, done: impl FnOnce() + Send + 'static) {
        let _ = self.requests.send(Request::Configure(Box::new(settings.clone()), Box::new(done)));
    }

    /// Reads one zone's file again, or all; `done` is called behind the last report.
    pub fn reload(&self, zone: Option<Name>, done: impl FnOnce() + Send + 'static) {
        let _ = self.requests.send(Request::Reload(zone, Box::new(done)));
    }
}

fn is_close(kind: &EventKind) -> bool {
    use notify::event::{AccessKind, AccessMode};
    matches!(kind, EventKind::Access(AccessKind::Close(AccessMode::Write)))
}

struct Watch<R> {
    watcher: RecommendedWatcher,
    /// Folders watched, free of links: those of all files, because a file that is replaced takes a watch on itself along.
    folders: BTreeSet<PathBuf>,
    /// What events may matter for: all places of all zones and folders of zones, and some that once were.
    places: BTreeSet<PathBuf>,
    zones: BTreeMap<Name, Watched>,
    /// Zones from elsewhere than a file, which a file may not claim.
    others: BTreeSet<Name>,
    /// Zones whose file is missing, and when that is told.
    missing: BTreeMap<Name, Instant>,
    /// Files that have been told to be empty.
    told: BTreeSet<PathBuf>,
    dirs: Vec<Dir>,
    report: R,
}

struct Watched {
    path: PathBuf,
    /// The file and what it includes, as far as known from the last time it could be read.
    files: Vec<PathBuf>,
    /// The places on the way to any of the files.
    places: BTreeSet<PathBuf>,
    /// The index of the folder it was found in.
    dir: Option<usize>,
}

/// A folder of zones.
struct Dir {
    settings: ZoneDir,
    /// Its path free of links, as of the last look.
    real: PathBuf,
    places: BTreeSet<PathBuf>,
}

impl<R: Fn(FileEvent)> Watch<R> {
    fn run(mut self, queue: &mpsc::Receiver<Request>) {
        let mut changes = Changes::default();
        loop {
            let deadline = changes.deadline().into_iter().chain(self.missing.values().copied()).min();
            let now = Instant::now();
            let request = match deadline {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                // However much arrives, what is due is done.
                Some(deadline) if deadline <= now => Err(RecvTimeoutError::Timeout),
                Some(deadline) => queue.recv_timeout(deadline - now),
            };
            match request {
                Ok(Request::Changed(event)) => {
                    changes.note(Instant::now(), event, |path| self.matters(path));
                }
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    self.changed(&changes.take(now), now);
                }
                Ok(Request::Reload(zone, done)) => {
                    let is_asked = |name: &&Name| zone.as_ref().is_none_or(|zone| zone == *name);
                    let zones: Vec<Name> = self.zones.keys().filter(is_asked).cloned().collect();
                    self.folders.clear();
                    self.look_at_dirs();
                    zones.iter().for_each(|name| self.read(name));
                    done();
                }
                Ok(Request::Configure(settings, done)) => {
                    self.configure(*settings);
                    done();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn matters(&self, path: &Path) -> bool {
        self.places.contains(path)
            || is_zone_file(path) && self.dirs.iter().any(|dir| path.parent() == Some(&dir.real))
    }

    fn configure(&mut self, settings: Settings) {
        let zones = find_zones(&settings);
        self.zones.clear();
        self.places.clear();
        self.missing.clear();
        self.told.clear();
        // Every folder is watched anew: a watch may have been lost together with a folder that was replaced.
        self.folders.clear();
        let dir = |settings| Dir { settings, real: PathBuf::new(), places: BTreeSet::new() };
        self.dirs = settings.zone_dirs.into_iter().map(dir).collect();
        self.look_at_dirs();
        let is_elsewhere = |zone: &&Zone| matches!(zone.source, Source::Primaries(_));
        self.others = zones.iter().filter(is_elsewhere).map(|zone| zone.name.clone()).collect();
        for zone in &zones {
            if let Source::File(path) = &zone.source {
                let dir = self.dirs.iter().position(|dir| path.parent() == Some(&dir.settings.path));
                self.zones.insert(zone.name.clone(), Watched::new(path, dir));
            }
        }
        (self.report)(FileEvent::Zones(zones));
        let names: Vec<Name> = self.zones.keys().cloned().collect();
        names.iter().for_each(|name| self.read(name));
    }

    /// Follows the ways to the folders of zones.
    fn look_at_dirs(&mut self) {
        for index in 0..self.dirs.len() {
            let path = self.dirs[index].settings.path.clone();
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            let mut trail = Trail::follow(&path);
            if real.is_dir() {
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
        for folder in trail.folders.iter().chain(&trail.above) {
            if !self.folders.insert(folder.clone()) {
                continue;
            }
            is_more = true;
            match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                Err(error) if trail.folders.contains(folder) => tracing::warn!(
                    folder = %folder.display(),
                    "cannot watch for edits ({error}); use `tidemark reload` after an edit"
                ),
                // The folder above may be closed to us; it matters only should this one be replaced.
                Ok(()) | Err(_) => {}
            }
        }
        self.places.extend(trail.places.iter().cloned());
        is_more
    }

    /// Follows the ways to the files of a zone again; whether that led to folders that were not watched.
    fn retrace(&mut self, name: &Name) -> bool {
        let Some(zone) = self.zones.get_mut(name) else { return false };
        let mut trail = Trail::default();
        zone.files.iter().for_each(|file| trail.extend(Trail::follow(file)));
        zone.places.clone_from(&trail.places);
        self.watch(&trail)
    }

    fn changed(&mut self, batch: &Batch, now: Instant) {
        self.watch_again(batch);
        let is_open = |places: &BTreeSet<PathBuf>| !places.is_disjoint(&batch.open);
        let is_overdue = |name: &Name| self.missing.get(name).is_some_and(|due| *due <= now);
        let touched: Vec<(Name, bool)> = self
            .zones
            .iter()
            .filter(|(_, zone)| !is_open(&zone.places))
            .map(|(name, zone)| (name, zone, is_overdue(name)))
            .filter(|(_, zone, overdue)| *overdue || batch.all || !zone.places.is_disjoint(&batch.paths))
            .map(|(name, _, overdue)| (name.clone(), overdue))
            .collect();
        self.missing.retain(|_, due| *due > now);
        let mut freed: BTreeMap<Name, Watched> = BTreeMap::new();
        let mut found: Vec<(PathBuf, usize, Name)> = Vec::new();
        let mut to_read: BTreeSet<Name> = BTreeSet::new();
        for (name, overdue) in touched {
            self.retrace(&name);
            let Some(zone) = self.zones.get(&name) else { continue };
            let (path, dir) = (zone.path.clone(), zone.dir);
            match dir {
                _ if !path.exists() && !overdue => {
                    self.missing.entry(name).or_insert(now + GRACE);
                    continue;
                }
                Some(_) if !path.exists() => {}
                Some(index) => match identify(&path) {
                    Ok(Identity::Certain(new)) if new != name => found.push((path, index, new)),
                    _ => {
                        to_read.insert(name);
                        continue;
                    }
                },
                None => {
                    to_read.insert(name);
                    continue;
                }
            }
            self.missing.remove(&name);
            freed.extend(self.zones.remove_entry(&name));
        }
        to_read.iter().filter(|name| self.zones.get(*name).is_some_and(|zone| zone.path.exists())).for_each(
            |name| {
                self.missing.remove(name);
            },
        );
        for (path, index) in self.unheld() {
            let is_changed = |dir: &Dir| {
                path.file_name().is_some_and(|file| batch.paths.contains(&dir.real.join(file)))
                    || !dir.places.is_disjoint(&batch.paths)
            };
            let is_new = !found.iter().any(|(known, ..)| *known == path);
            if is_new
                && (batch.all || is_changed(&self.dirs[index]))
                && !is_open(&Trail::follow(&path).places)
            {
                found.extend(self.name_of_new(&path).map(|name| (path, index, name)));
            }
        }
        for (path, index, name) in found {
            if self.adopt(&path, index, &name, &mut freed) {
                to_read.insert(name);
            }
        }
        // A file that was left out may hold what another one held until now.
        let left_out = if freed.is_empty() { Vec::new() } else { self.unheld() };
        for (path, index) in left_out {
            if let Ok(Identity::Certain(name) | Identity::Guess(name)) = identify(&path)
                && freed.contains_key(&name)
                && self.adopt(&path, index, &name, &mut freed)
            {
                to_read.insert(name);
            }
        }
        freed.into_keys().for_each(|name| (self.report)(FileEvent::Vanished(name)));
        to_read.iter().for_each(|name| self.read(name));
    }

    /// Sets up watches anew where they may have been lost: a folder that is replaced takes them along.
    fn watch_again(&mut self, batch: &Batch) {
        if batch.all {
            self.folders.clear();
        }
        let is_stale = |folder: &PathBuf| folder.ancestors().any(|folder| batch.paths.contains(folder));
        let stale: Vec<PathBuf> = self.folders.iter().filter(|folder| is_stale(folder)).cloned().collect();
        for folder in stale {
            self.folders.remove(&folder);
            // An error says that the watch is gone already.
            let _ = self.watcher.unwatch(&folder);
        }
        if batch.all || !batch.paths.is_empty() {
            self.look_at_dirs();
        }
    }

    /// The files in folders of zones from which no zone is served, with the index of the folder.
    fn unheld(&self) -> Vec<(PathBuf, usize)> {
        let held: BTreeSet<&Path> = self.zones.values().map(|zone| zone.path.as_path()).collect();
        let of = |(index, dir): (usize, &Dir)| {
            zone_files(&dir.settings.path).into_iter().map(move |path| (path, index))
        };
        let all = self.dirs.iter().enumerate().flat_map(of);
        all.filter(|(path, _)| !held.contains(path.as_path())).collect()
    }

    fn name_of_new(&mut self, path: &Path) -> Option<Name> {
        match identify(path) {
            Ok(Identity::Certain(name) | Identity::Guess(name)) => return Some(name),
            Ok(Identity::Empty) if self.told.insert(path.to_owned()) => tell_empty(path),
            Ok(Identity::Empty) => {}
            Err(error) => tracing::error!("{error}"),
        }
        None
    }

    /// Takes in a file found in a folder of zones; `false` when it is no new zone. It may hold one of the zones that have
    /// just lost their file.
    fn adopt(&mut self, path: &Path, index: usize, name: &Name, freed: &mut BTreeMap<Name, Watched>) -> bool {
        if self.others.contains(name) {
            tracing::error!(zone = %name, "{} holds a zone that is served already; it is left out", path.display());
            return false;
        }
        if let Some(other) = self.zones.get(name) {
            if other.dir.is_none() || other.path.exists() {
                tracing::error!(zone = %name, "{} and {} both hold this zone; the second is left out", other.path.display(), path.display());
                return false;
            }
            self.missing.remove(name);
            freed.extend(self.zones.remove_entry(name));
        }
        match freed.remove(name) {
            // The zone goes on, from another file.
            Some(old) if old.dir == Some(index) => {}
            old => {
                old.into_iter().for_each(|_| (self.report)(FileEvent::Vanished(name.clone())));
                (self.report)(FileEvent::Appeared(self.dirs[index].settings.zone(name.clone(), path)));
            }
        }
        self.zones.insert(name.clone(), Watched::new(path, Some(index)));
        true
    }

    fn read(&mut self, name: &Name) {
        self.retrace(name);
        let Some(mut loaded) = self.load(name) else { return };
        // What was included may have changed before it was watched.
        if loaded.is_ok() && self.retrace(name) {
            let Some(again) = self.load(name) else { return };
            loaded = again;
        }
        (self.report)(FileEvent::Read(name.clone(), loaded));
    }

    fn load(&mut self, name: &Name) -> Option<Result<Loaded, LoadError>> {
        let zone = self.zones.get_mut(name)?;
        let loaded = load(&zone.path, name);
        if let Ok(loaded) = &loaded {
            zone.files.clone_from(&loaded.files);
        }
        Some(loaded)
    }
}

impl Watched {
    fn new(path: &Path, dir: Option<usize>) -> Watched {
        Watched { path: path.to_owned(), files: vec![path.to_owned()], places: BTreeSet::new(), dir }
    }
}

/// All zones that the settings name: one by one, as files, and by the folder. What cannot be made out, or is there twice, is
/// told and left out.
pub fn find_zones(settings: &Settings) -> Vec<Zone> {
    let mut zones = settings.zones.clone();
    let mut known: BTreeSet<Name> = zones.iter().map(|zone| zone.name.clone()).collect();
    let files = settings.zone_files.iter().map(|path| (path.clone(), None));
    let in_dirs = settings
        .zone_dirs
        .iter()
        .flat_map(|dir| zone_files(&dir.path).into_iter().map(move |path| (path, Some(dir))));
    for (path, dir) in files.chain(in_dirs) {
        let name = match identify(&path) {
            Ok(Identity::Empty) if dir.is_some() => {
                tell_empty(&path);
                continue;
            }
            Ok(Identity::Certain(name) | Identity::Guess(name)) => Ok(name),
            Ok(Identity::Empty) | Err(_) => name_of(&path),
        };
        match name {
            Ok(name) if known.insert(name.clone()) => {
                let dir = dir.cloned().unwrap_or_default();
                zones.push(dir.zone(name, &path));
            }
            Ok(name) => {
                tracing::error!(zone = %name, "{} holds a zone that is served already; it is left out", path.display())
            }
            Err(error) => tracing::error!("{error}"),
        }
    }
    zones
}

fn tell_empty(path: &Path) {
    tracing::info!("{} is empty; it becomes a zone when it has content", path.display());
}
