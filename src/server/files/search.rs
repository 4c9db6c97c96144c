//! Files in which zones are looked for: those of the configuration and of folders, at the start and whenever files come, go or change
//! in a folder. What they hold is reported to the [roster](crate::node::roster), which decides what zone is served from which.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use crate::node::roster::claim::Standing;
use crate::node::roster::{Changes, Conclusion, Next, Removal, Report, Verdict, ZoneSource};
use crate::publish::store::ZoneStore;
use crate::wire::name::{Name, NameRef};
use crate::zone::digest::Digest;

use super::asked::{Asker, File, Refused, What};
use super::copies;
use super::folder::{contested, left_out, tell_empty};
use super::load::{Identity, LoadError, Loaded, Opened, is_namesake, name_of};
use super::turns::{HeldBack, Search, Turn};
use super::watch::{Changed, Watch};

impl<R: Fn(Changed)> Watch<R> {
    /// Begins a search; files are added by [`Watch::begin`].
    pub(super) fn search(&mut self) -> u64 {
        self.search_for(&[])
    }

    /// The same; these wait for its end.
    pub(super) fn search_for(&mut self, askers: &[Rc<Asker>]) -> u64 {
        let id = self.roster.begin();
        self.searches.insert(id, Search { askers: askers.to_vec(), ..Search::default() });
        id
    }

    /// A file of the search is being read.
    pub(super) fn one_more(&mut self, search: Option<u64>, ticket: u64) {
        let Some(search) = search.and_then(|id| self.searches.get_mut(&id)) else { return };
        search.waiting += 1;
        if let Some(turns) = &mut search.turns {
            turns.order.insert(ticket);
        }
    }

    /// It is no longer.
    pub(super) fn one_less(&mut self, search: Option<u64>) {
        if let Some(search) = search.and_then(|id| self.searches.get_mut(&id)) {
            search.waiting -= 1;
        }
    }

    /// Nothing will come of this file; others may have waited for their turn behind it.
    pub(super) fn skip(&mut self, ticket: u64, search: Option<u64>) {
        let Some(id) = search else { return };
        let turns = self.searches.get_mut(&id).and_then(|search| search.turns.as_mut());
        if turns.is_some_and(|turns| turns.order.remove(&ticket)) {
            self.take_turns(id);
        }
    }

    /// Takes in what was read from a file, when it is its turn.
    pub(super) fn opened(
        &mut self,
        ticket: u64,
        file: File,
        opened: Result<Option<Opened>, LoadError>,
        search: Option<u64>,
        askers: &[Rc<Asker>],
    ) {
        let Some(id) = search else { return };
        let turn = Turn { ticket, file, opened, askers: askers.to_vec() };
        match self.searches.get_mut(&id).map(|search| &mut search.turns) {
            None => {}
            Some(None) => self.take_in(id, turn),
            Some(Some(turns)) => {
                turns.early.insert(ticket, turn);
                self.take_turns(id);
            }
        }
    }

    /// Takes in what was read and waited for its turn, as far as that has come.
    fn take_turns(&mut self, id: u64) {
        let next = |watch: &mut Self| watch.searches.get_mut(&id)?.turns.as_mut()?.next();
        while let Some(turn) = next(self) {
            self.take_in(id, turn);
        }
    }

    fn take_in(&mut self, id: u64, Turn { ticket, file, opened, mut askers }: Turn) {
        let held = file.dir.and_then(|_| self.roster.held_by(&*file.path).cloned());
        let reading = held.as_ref().and_then(|name| self.reading.get(name)?.ticket);
        if reading.is_some_and(|newer| newer != ticket) {
            return;
        }
        let mut opened = opened.transpose();
        let is_held = held.is_some() || file.dir.is_none() && self.roster.named_before(&*file.path).is_some();
        if !is_held && opened.as_ref().is_some_and(|opened| self.seems_copy(&file, opened)) {
            opened = None;
        }
        if !is_held && opened.as_ref().is_some_and(|opened| self.says_nothing_yet(&file, opened)) {
            let path = file.path.to_path_buf();
            return self.await_writer(What::File(file), path, &askers);
        }
        let waited = self.waited_for_file(&file.path);
        if let Some(search) = self.searches.get_mut(&id) {
            search.askers.extend_from_slice(&waited);
        }
        askers.extend(waited);
        let again = held.clone().filter(|name| self.finished(name));
        let Some(opened) = opened else {
            return match again {
                Some(name) => self.read_changed(&name, &askers),
                None => self.is_copy(id, &file),
            };
        };
        let (report, loaded) = self.report(id, &file, is_held, opened);
        let is_same = |report: &Report| report.is_certain && Some(&report.zone) == held.as_ref();
        if let Some(name) = again.as_ref().filter(|_| !report.as_ref().is_some_and(is_same)) {
            // It may be open for writing, say: whoever asked waits for what comes of it.
            return self.read_changed(name, &askers);
        }
        let (path, dir) = (Arc::clone(&file.path), file.dir);
        let published = |zone: &NameRef| published(&self.store, zone);
        let verdict = self.roster.report(id, (path, dir), report, published, &mut self.changed.zones);
        self.carry_out(id, verdict, HeldBack { file, loaded }, &askers);
        again.into_iter().for_each(|name| self.read_changed(&name, &[]));
    }

    /// Whether a file is still being written and may say that it holds any zone. One that was published before is served under that
    /// name meanwhile.
    fn says_nothing_yet(&self, file: &File, opened: &Result<Opened, LoadError>) -> bool {
        let (error, zone) = match opened {
            Err(error) => (error, None),
            Ok(Opened { identity: Identity::Guess(zone), loaded: Some(Err(error)) }) => (error, Some(zone)),
            Ok(_) => return false,
        };
        matches!(error, LoadError::Open { path } if **path == *file.path)
            && zone.is_none_or(|zone| published(&self.store, zone).is_none())
    }

    /// Whether a file that cannot be read now is a copy by its name and what lies beside it. One whose zone was published before is none.
    fn seems_copy(&self, file: &File, opened: &Result<Opened, LoadError>) -> bool {
        let Ok(Opened { identity: Identity::Guess(zone), loaded: Some(Err(error)) }) = opened else {
            return false;
        };
        let is_unread = match error {
            LoadError::Open { path } | LoadError::Unreadable { path, .. } => **path == *file.path,
            LoadError::Faulty(_) => false,
        };
        let is_like = is_namesake(&file.path, zone);
        let is_beside = || copies::has_original(&file.path) && published(&self.store, zone).is_none();
        is_unread && file.dir.is_some() && copies::is_marked(&file.path) && (!is_like || is_beside())
    }

    /// What a file says it holds; what is wrong with it is told, unless a zone is served from it: then that is read by its name.
    fn report(
        &mut self,
        id: u64,
        file: &File,
        is_held: bool,
        opened: Result<Opened, LoadError>,
    ) -> (Option<Report>, Option<Result<Loaded, LoadError>>) {
        let (identity, loaded) = match opened {
            Ok(Opened { identity, loaded }) => (identity, loaded),
            Err(error) => {
                if !is_held {
                    self.refuse(id, &file.path, None, error.to_string());
                }
                return (None, None);
            }
        };
        let is_certain = matches!(identity, Identity::Certain(_));
        let zone = match identity {
            Identity::Certain(zone) | Identity::Guess(zone) => zone,
            Identity::Empty if file.dir.is_some() => {
                if !is_held && self.told.insert(file.path.to_path_buf()) {
                    tell_empty(&file.path);
                }
                return (None, None);
            }
            Identity::Empty => match name_of(&file.path) {
                Ok(zone) => zone,
                Err(_) if is_held => return (None, None),
                Err(error) => {
                    self.refuse(id, &file.path, None, error.to_string());
                    return (None, None);
                }
            },
        };
        let read = loaded.as_ref().and_then(|loaded| loaded.as_ref().ok());
        let content = read.map(|loaded| (loaded.snapshot.serial(), loaded.snapshot.digest()));
        let standing = self.standing(file, &zone);
        (Some(Report { zone, is_certain, standing, content }), loaded)
    }

    /// How a file's name stands to that of the zone it holds.
    fn standing(&self, file: &File, zone: &NameRef) -> Standing {
        if file.dir.is_none() || is_namesake(&file.path, zone) {
            return Standing::Namesake;
        }
        let namesake = format!("{zone}zone");
        match self.dirs.iter().any(|dir| dir.path.join(&namesake).is_file()) {
            true => Standing::Behind,
            false => Standing::Alone,
        }
    }

    /// No zone is served from this file, unless the configuration names it: whoever does that means it.
    fn is_copy(&mut self, search: u64, file: &File) {
        let Some(place) =
            file.dir.and_then(|dir| Some(self.dirs.get(dir)?.real.join(file.path.file_name()?)))
        else {
            return;
        };
        let is_named =
            |zone: &Name| self.file_of(zone).is_some_and(|(path, dir)| dir.is_none() && path == file.path);
        if self.ways.through(&place).any(is_named) {
            return;
        }
        self.gone(search, &file.path);
        if self.told.insert(file.path.to_path_buf()) {
            tracing::warn!("{}", copies::told(&file.path));
        }
    }

    /// Does what was decided about a file.
    fn carry_out(&mut self, id: u64, verdict: Verdict<Arc<Path>>, read: HeldBack, askers: &[Rc<Asker>]) {
        let HeldBack { file, loaded } = read;
        match verdict {
            Verdict::Holds(name) => {
                self.missing.remove(&name);
                // Whatever it was before.
                self.told.remove(&*file.path);
                if file.is_link {
                    self.ways.begin(&name, &file.path);
                }
                match loaded {
                    Some(loaded) => self.loaded(&name, loaded, askers),
                    None => self.read_zones(vec![name], None, askers),
                }
            }
            // For as long as it is not mended, it is that zone with a fault.
            Verdict::Keeps(name) => {
                if file.is_link {
                    self.ways.begin(&name, &file.path);
                }
                self.read_zones(vec![name], None, askers);
            }
            Verdict::Leaves(name) => {
                self.forget(&name);
                self.hold_back(id, HeldBack { file, loaded });
            }
            Verdict::Waits => self.hold_back(id, HeldBack { file, loaded }),
            Verdict::IsHeld(name, holder) => {
                let first = holder.file().map(|(first, _)| &**first);
                let why = left_out(&file.path, &name, first);
                self.refuse(id, &file.path, Some(name), why);
            }
            Verdict::HoldsNothing => {}
        }
    }

    fn hold_back(&mut self, id: u64, read: HeldBack) {
        if let Some(search) = self.searches.get_mut(&id) {
            search.held_back.insert(Arc::clone(&read.file.path), read);
        }
    }

    fn refuse(&self, id: u64, path: &Path, zone: Option<Name>, why: String) {
        let Some(search) = self.searches.get(&id).filter(|search| !search.is_second) else { return };
        Asker::refuse(&search.askers, &Refused { path: path.to_owned(), zone, why });
    }

    /// The file of a zone is not there any more.
    pub(super) fn gone(&mut self, search: u64, path: &Path) {
        if let Some(name) = self.roster.gone(search, path) {
            self.forget(&name);
        }
    }

    /// How a zone was lost to what became of its file, unless the folder of that is configured no more.
    fn loss(&self, source: &ZoneSource<Arc<Path>>) -> Option<String> {
        let ZoneSource::Found(path, _) = source else { return None };
        let is_configured = self.dirs.iter().any(|dir| path.parent() == Some(&dir.path));
        let shown = path.display();
        is_configured.then(|| match path.exists() {
            false => format!("its file {shown} is gone"),
            true if self.told.contains(&**path) => format!("its file {shown} is a copy of another now"),
            true => format!("its file {shown} holds another zone now"),
        })
    }

    /// Ends the searches of which every file was read.
    pub(super) fn conclude(&mut self) {
        while let Some((&id, _)) = self.searches.iter().find(|(_, search)| search.waiting == 0) {
            for path in self.roster.contested(id).iter().filter(|path| !path.exists()) {
                self.gone(id, path);
            }
            let mut changes = Changes::default();
            let published = |zone: &NameRef| published(&self.store, zone);
            let Conclusion { verdicts, removed, next } = self.roster.conclude(id, published, &mut changes);
            let removal = |(zone, source)| Removal { zone, why: self.loss(&source) };
            changes.removed.extend(removed.into_iter().map(removal));
            if !changes.removed.is_empty() {
                // What was added before is not to be added after this.
                self.flush();
            }
            self.changed.zones.extend(changes);
            let contests = self.roster.contests().into_iter();
            self.changed.contested.extend(contests.map(|contest| contested(&contest)));
            let Some(search) = self.searches.get_mut(&id) else { continue };
            let (mut held_back, askers) = (std::mem::take(&mut search.held_back), search.askers.clone());
            for (path, verdict) in verdicts {
                let read = held_back.remove(&path);
                read.into_iter().for_each(|read| self.carry_out(id, verdict.clone(), read, &askers));
            }
            self.searches.remove(&id);
            if let Some(Next { group, files }) = next {
                let search = Search { is_second: true, askers: askers.clone(), ..Search::default() };
                self.searches.insert(group, search);
                let file = |(path, dir): (Arc<Path>, Option<usize>)| {
                    let is_link = dir.is_none() || path.is_symlink();
                    What::File(File { path, dir, is_link })
                };
                self.begin(files.into_iter().map(file).collect(), Some(group), &askers, false);
            }
            self.leaving.extend(askers);
        }
    }
}

/// The content of a zone that was published last.
fn published(store: &ZoneStore, zone: &NameRef) -> Option<Digest> {
    store.last_stamp(zone).map(|stamp| stamp.digest)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::super::settings::{Settings, ZoneDir};
    use super::super::watch::Files;
    use super::*;

    /// Longer than anything here takes.
    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn a_zone_that_is_lost_with_its_file_is_told_from_one_that_the_configuration_drops() {
        let dir = tempfile::tempdir().unwrap();
        let path = |zone: &str| dir.path().join(format!("{zone}zone"));
        let text = |zone: &str| format!("$ORIGIN {zone}\n$TTL 1\n@ SOA a a 1 2 3 4 5\n@ NS a\n");
        ["a.", "b.", "c."].iter().for_each(|zone| fs::write(path(zone), text(zone)).unwrap());
        let (told, reports) = mpsc::channel();
        let each = move |changed: Changed| drop(told.send(changed.zones.removed));
        let files = Files::start(Arc::new(ZoneStore::new(7)), each).unwrap();
        let configure = |zone_dirs: Vec<ZoneDir>| {
            let (done, ended) = mpsc::channel();
            let settings =
                Settings { zone_dirs, ..Settings::for_files("127.0.0.1:53".parse().unwrap(), &[]) };
            files.configure(&settings, move |_| done.send(()).unwrap());
            ended.recv_timeout(LIMIT).unwrap();
        };
        let folder = ZoneDir { path: dir.path().to_owned(), ..ZoneDir::default() };
        configure(vec![folder.clone()]);
        fs::remove_file(path("a.")).unwrap();
        fs::write(path("b."), text("x.")).unwrap();
        let mut lost = BTreeMap::new();
        while lost.len() < 2 {
            lost.extend(reports.recv_timeout(LIMIT).unwrap().into_iter().map(|gone| (gone.zone, gone.why)));
        }
        let cause = |zone: &str| lost.get(&*zone.parse::<Name>().unwrap()).cloned().flatten();
        assert_eq!(cause("a."), Some(format!("its file {} is gone", path("a.").display())));
        assert_eq!(cause("b."), Some(format!("its file {} holds another zone now", path("b.").display())));
        configure(Vec::new());
        let dropped: Vec<Removal> = reports.try_iter().flatten().collect();
        assert!(dropped.len() == 2 && dropped.iter().all(|gone| gone.why.is_none()), "{dropped:?}");
        // Gone between two looks.
        configure(vec![folder.clone()]);
        fs::remove_file(path("c.")).unwrap();
        configure(vec![folder.clone()]);
        let lost: Vec<Removal> = reports.try_iter().flatten().collect();
        assert!(
            matches!(&lost[..], [Removal { why: Some(why), .. }] if why.ends_with("is gone")),
            "{lost:?}"
        );
        // That it was empty for a while does not matter.
        for text in [String::new(), text("d."), text("y.")] {
            fs::write(path("d."), text).unwrap();
            configure(vec![folder.clone()]);
        }
        let lost: Vec<Removal> = reports.try_iter().flatten().collect();
        assert!(
            matches!(&lost[..], [Removal { why: Some(why), .. }] if why.ends_with("holds another zone now")),
            "{lost:?}"
        );
    }

    #[test]
    fn a_look_at_a_folder_ends_behind_the_report_of_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("z");
        let (told, reports) = mpsc::channel();
        let each = move |changed: Changed| {
            let read = changed.read.into_iter().map(|(zone, _)| zone.to_string());
            drop(told.send(read.collect::<Vec<_>>()));
        };
        let files = Files::start(Arc::new(ZoneStore::new(7)), each).unwrap();
        let (done, ended) = mpsc::channel();
        let settings = Settings {
            zone_dirs: vec![ZoneDir { path: path.clone(), ..ZoneDir::default() }],
            ..Settings::for_files("127.0.0.1:53".parse().unwrap(), &[])
        };
        let configured = done.clone();
        files.configure(&settings, move |_| configured.send(()).unwrap());
        ended.recv_timeout(LIMIT).unwrap();
        fs::create_dir(&path).unwrap();
        for zone in ["a.", "b."] {
            let text = format!("$ORIGIN {zone}\n$TTL 1\n@ SOA a a 1 2 3 4 5\n@ NS a\n");
            fs::write(path.join(format!("{zone}zone")), text).unwrap();
        }
        files.look_at(path, move || done.send(()).unwrap());
        ended.recv_timeout(LIMIT).unwrap();
        let read: BTreeSet<String> = reports.try_iter().flatten().collect();
        assert_eq!(read, ["a.", "b."].map(str::to_owned).into());
    }
}
