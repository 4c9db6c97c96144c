//! Watches zone files: an edit is loaded without being told to, a broken one is told of, and files that come and go in a
//! `[[zone-dir]]` become zones and stop being zones.
//!
//! One thread owns the watch. Changes are gathered until nothing more happened for a moment, because editors write a file
//! in several steps. A file that lies in a folder of zones, is no link and includes nothing is watched with its folder; only for
//! others is the way to them kept.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::publish::store::ZoneStore;
use crate::wire::name::Name;

use super::reading::{Done, Haste, Job, read_all};
use super::settings::{Settings, Source, Zone, ZoneDir};
use super::watched::{Batch, Changes, Seen, Trail};
use super::watcher::Watcher;
use super::zone_file::{
    Identity, InFolder, LoadError, Loaded, Opened, identify, is_zone_file, name_of, zone_files,
};

mod changes;

/// How long a missing file may be missing: some programs remove a file and then write or rename the new one.
const GRACE: Duration = Duration::from_secs(1);

/// Files reported in one go: what they hold is published with one write.
const TOGETHER: usize = 4_096;

/// What became of zone files.
pub enum FileEvent {
    /// Something changed.
    Changed(Changed),
    /// These are all the zones there are now, from the configuration and from folders; each was in a [`Changed`] before.
    Zones(HashSet<Name>),
}

/// Changes, to be taken in in this order.
#[derive(Default)]
pub struct Changed {
    /// Zones whose file has gone from its folder.
    pub vanished: Vec<Name>,
    /// Zones that are there, to be configured like so.
    pub appeared: Vec<Zone>,
    /// Zone files that were read, well or badly.
    pub read: Vec<(Name, Result<Loaded, LoadError>)>,
}

/// What the thread is asked to do besides watching.
enum Request {
    Changed(Seen),
    Reload(Option<Name>, Box<dyn FnOnce() + Send>),
    Configure(Box<Settings>, Box<dyn FnOnce(usize) + Send>),
}

/// The way to the watching thread.
#[derive(Clone)]
pub struct Files {
    requests: mpsc::Sender<Request>,
}

impl Files {
    /// Starts to watch for the zones of `store`; `report` is called from the thread.
    pub fn start(store: Arc<ZoneStore>, report: impl Fn(FileEvent) + Send + 'static) -> io::Result<Files> {
        let (requests, queue) = mpsc::channel();
        let changes = requests.clone();
        // Without a thread that listens the node is stopping.
        let watcher = Watcher::start(move |seen| drop(changes.send(Request::Changed(seen))))?;
        let watch = Watch {
            watcher,
            store,
            haste: Haste::Start,
            folders: BTreeSet::new(),
            places: BTreeSet::new(),
            zones: HashMap::new(),
            held: HashMap::new(),
            traced: BTreeSet::new(),
            others: BTreeSet::new(),
            changed: Changed::default(),
            missing: BTreeMap::new(),
            told: BTreeSet::new(),
            dirs: Vec::new(),
            report,
        };
        thread::Builder::new().name("files".to_owned()).spawn(move || watch.run(&queue))?;
        Ok(Files { requests })
    }

    /// Finds all zones that these settings name, watches their files, and reads every one; `done` is called behind the last
    /// report, with the number of files that hold no zone to be served.
    pub fn configure(&self, settings: &Settings, done: impl FnOnce(usize) + Send + 'static) {
        let _ = self.requests.send(Request::Configure(Box::new(settings.clone()), Box::new(done)));
    }

    /// Reads one zone's file again, or all; `done` is called behind the last report.
    pub fn reload(&self, zone: Option<Name>, done: impl FnOnce() + Send + 'static) {
        let _ = self.requests.send(Request::Reload(zone, Box::new(done)));
    }
}

struct Watch<R> {
    watcher: Watcher,
    store: Arc<ZoneStore>,
    /// Whether anything is served yet.
    haste: Haste,
    /// Folders watched, free of links: those of all files, because a file that is replaced takes a watch on itself along.
    folders: BTreeSet<PathBuf>,
    /// What events may matter for: all places of traced zones and folders of zones, and some that once were.
    places: BTreeSet<PathBuf>,
    zones: HashMap<Name, Watched>,
    /// Which zone a file in a folder of zones holds.
    held: HashMap<Arc<Path>, Name>,
    /// The zones with a way of their own.
    traced: BTreeSet<Name>,
    /// Zones from elsewhere than a file, which a file may not claim.
    others: BTreeSet<Name>,
    /// What is to be reported.
    changed: Changed,
    /// Zones whose file is missing, and when that is told.
    missing: BTreeMap<Name, Instant>,
    /// Files that have been told to be empty.
    told: BTreeSet<PathBuf>,
    dirs: Vec<Dir>,
    report: R,
}

struct Watched {
    path: Arc<Path>,
    /// The index of the folder it was found in.
    dir: Option<usize>,
    /// `None` for a plain file in that folder.
    way: Option<Box<Way>>,
}

/// How a zone's content is come by.
struct Way {
    /// The file and what it includes, as far as known from the last time it could be read.
    files: Vec<PathBuf>,
    /// The places on the way to any of the files.
    places: BTreeSet<PathBuf>,
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
                Ok(Request::Changed(seen)) => {
                    changes.note(Instant::now(), seen, |path| self.matters(path));
                }
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    self.changed(&changes.take(now), now);
                }
                Ok(Request::Reload(zone, done)) => {
                    let is_asked = |name: &&Name| zone.as_ref().is_none_or(|zone| zone == *name);
                    let mut zones: Vec<Name> = self.zones.keys().filter(is_asked).cloned().collect();
                    zones.sort();
                    self.folders.clear();
                    self.look_at_dirs();
                    self.read(zones);
                    self.flush();
                    done();
                }
                Ok(Request::Configure(settings, done)) => {
                    let refused = self.configure(*settings);
                    self.haste = Haste::Gentle;
                    done(refused);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn matters(&self, path: &Path) -> bool {
        self.places.contains(path)
            || is_zone_file(path) && self.dirs.iter().any(|dir| path.parent() == Some(&dir.real))
    }

    /// Takes all zones in anew; how many files hold none that can be served.
    fn configure(&mut self, settings: Settings) -> usize {
        self.zones.clear();
        self.held.clear();
        self.traced.clear();
        self.places.clear();
        self.missing.clear();
        self.told.clear();
        // Every folder is watched anew: a watch may have been lost together with a folder that was replaced.
        self.folders.clear();
        let dir = |settings| Dir { settings, real: PathBuf::new(), places: BTreeSet::new() };
        self.dirs = settings.zone_dirs.into_iter().map(dir).collect();
        self.look_at_dirs();
        let is_elsewhere = |zone: &&Zone| matches!(zone.source, Source::Primaries(_));
        self.others = settings.zones.iter().filter(is_elsewhere).map(|zone| zone.name.clone()).collect();
        let mut known: HashSet<Name> = settings.zones.iter().map(|zone| zone.name.clone()).collect();
        let mut jobs = Vec::new();
        for zone in &settings.zones {
            if let Source::File(path) = &zone.source {
                let dir = self.dirs.iter().position(|dir| path.parent() == Some(&dir.settings.path));
                self.hold(&zone.name, Watched::traced(path, dir));
                self.retrace(&zone.name);
                jobs.push(Job::Of(zone.name.clone(), path.clone()));
            }
        }
        self.changed.appeared = settings.zones;
        self.flush();
        let mut of: HashMap<PathBuf, (Option<usize>, bool)> = HashMap::new();
        for path in settings.zone_files {
            // Watched before it is read, as all are.
            self.watch(&Trail::follow(&path));
            of.insert(path.clone(), (None, true));
            jobs.push(Job::Unknown(path));
        }
        for (index, dir) in self.dirs.iter().enumerate() {
            for InFolder { path, is_link } in zone_files(&dir.settings.path) {
                of.insert(path.clone(), (Some(index), is_link));
                jobs.push(Job::Unknown(path));
            }
        }
        let mut refused = 0;
        read_all(&Arc::clone(&self.store), jobs, self.haste, &mut |done| {
            let (path, opened) = match done {
                Done::Of(name, loaded) => return self.loaded(&name, loaded),
                Done::Unknown(path, opened) => (path, opened),
            };
            let (dir, is_link) = of.remove(&path).unwrap_or((None, true));
            let (name, loaded) = match opened {
                Ok(Opened { identity: Identity::Certain(name) | Identity::Guess(name), loaded }) => {
                    (name, loaded)
                }
                Ok(Opened { identity: Identity::Empty, .. }) if dir.is_some() => return tell_empty(&path),
                Ok(_) => match name_of(&path) {
                    Ok(name) => (name, None),
                    Err(error) => {
                        refused += 1;
                        return tracing::error!("{error}");
                    }
                },
                Err(error) => {
                    refused += 1;
                    return tracing::error!("{error}");
                }
            };
            if !known.insert(name.clone()) {
                refused += 1;
                return tracing::error!(zone = %name, "{} holds a zone that is served already; it is left out", path.display());
            }
            let as_file = ZoneDir::default();
            let settings = dir.map_or(&as_file, |dir| &self.dirs[dir].settings);
            self.changed.appeared.push(settings.zone(name.clone(), &path));
            let plain = dir.is_some() && !is_link;
            self.hold(&name, if plain { Watched::plain(&path, dir) } else { Watched::traced(&path, dir) });
            match loaded {
                Some(loaded) => self.loaded(&name, loaded),
                None => self.read(vec![name]),
            }
        });
        self.flush();
        (self.report)(FileEvent::Zones(known));
        refused
    }

    fn hold(&mut self, name: &Name, watched: Watched) {
        if watched.dir.is_some() {
            self.held.insert(Arc::clone(&watched.path), name.clone());
        }
        if watched.way.is_some() {
            self.traced.insert(name.clone());
        }
        self.zones.insert(name.clone(), watched);
    }

    fn let_go(&mut self, name: &Name) -> Option<(Name, Watched)> {
        self.traced.remove(name);
        let entry = self.zones.remove_entry(name)?;
        if self.held.get(&entry.1.path) == Some(name) {
            self.held.remove(&entry.1.path);
        }
        Some(entry)
    }

    /// Hands on what is to be reported.
    fn flush(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        if !(changed.vanished.is_empty() && changed.appeared.is_empty() && changed.read.is_empty()) {
            (self.report)(FileEvent::Changed(changed));
        }
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
            match self.watcher.watch(folder) {
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
        if zone.way.is_none() {
            if std::fs::symlink_metadata(&zone.path).is_ok_and(|file| !file.is_symlink()) {
                return false;
            }
            self.traced.insert(name.clone());
        }
        let way = zone.way.get_or_insert_with(|| Way::to(&zone.path));
        let mut trail = Trail::default();
        way.files.iter().for_each(|file| trail.extend(Trail::follow(file)));
        way.places.clone_from(&trail.places);
        self.watch(&trail)
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
            self.watcher.unwatch(&folder);
        }
        if batch.all || !batch.paths.is_empty() {
            self.look_at_dirs();
        }
    }

    /// Reads zones' files.
    fn read(&mut self, names: Vec<Name>) {
        let mut jobs = Vec::with_capacity(names.len());
        for name in names {
            self.retrace(&name);
            jobs.extend(self.zones.get(&name).map(|zone| Job::Of(name, zone.path.to_path_buf())));
        }
        read_all(&Arc::clone(&self.store), jobs, Haste::Gentle, &mut |done| {
            if let Done::Of(name, loaded) = done {
                self.loaded(&name, loaded);
            }
        });
    }

    /// Takes in what was read from a zone's file.
    fn loaded(&mut self, name: &Name, mut loaded: Result<Loaded, LoadError>) {
        let Some(zone) = self.zones.get_mut(name) else { return };
        if let Ok(loaded) = &loaded {
            let is_alone = matches!(&loaded.files[..], [only] if **only == *zone.path);
            if !is_alone || zone.way.is_some() {
                self.traced.insert(name.clone());
                zone.way.get_or_insert_with(|| Way::to(&zone.path)).files.clone_from(&loaded.files);
            }
        }
        // What was included may have changed before it was watched.
        if loaded.is_ok()
            && self.retrace(name)
            && let Some(path) = self.zones.get(name).map(|zone| zone.path.to_path_buf())
        {
            read_all(&Arc::clone(&self.store), vec![Job::Of(name.clone(), path)], self.haste, &mut |done| {
                if let Done::Of(_, again) = done {
                    loaded = again;
                }
            });
        }
        self.changed.read.push((name.clone(), loaded));
        if self.changed.read.len() >= TOGETHER {
            self.flush();
        }
    }
}

impl Watched {
    fn plain(path: &Path, dir: Option<usize>) -> Watched {
        Watched { path: path.into(), dir, way: None }
    }

    fn traced(path: &Path, dir: Option<usize>) -> Watched {
        Watched { path: path.into(), dir, way: Some(Way::to(path)) }
    }
}

impl Way {
    fn to(path: &Path) -> Box<Way> {
        Box::new(Way { files: vec![path.to_owned()], places: BTreeSet::new() })
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
        .flat_map(|dir| zone_files(&dir.path).into_iter().map(move |file| (file.path, Some(dir))));
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
