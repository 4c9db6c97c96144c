//! Files that were to be read and that somebody has open for writing: what is in them may be half of what it is to be. They are read
//! once they are closed, as after any edit, and whoever has asked for them waits for that, but not for long.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::wire::name::NameRef;

use super::asked::{Asker, Awaited, File, Refused, What};
use super::lease::is_open_for_writing;
use super::load::LoadError;
use super::read::Haste;
use super::settle::{Batch, Changes};
use super::watch::{Changed, Watch};

/// How long whoever has files read waits for one to be closed: most that is written is written within that.
const PATIENCE: Duration = Duration::from_secs(5);

impl<R: Fn(Changed)> Watch<R> {
    /// What was to be read could not be, because this file is open for writing.
    pub(super) fn await_writer(&mut self, what: What, open: PathBuf, askers: &[Rc<Asker>]) {
        // What is included for the first time is not watched yet.
        if let What::Zone(name) = &what
            && let Some((path, _)) = self.file_of(name)
            && *path != *open
            && !self.ways.files(name).contains(&open)
        {
            self.ways.begin(name, &path);
            let files = [self.ways.files(name), std::slice::from_ref(&open)].concat();
            self.ways.set_files(name, &files);
            self.retrace(name);
        }
        // It may have been closed before that could be seen.
        if !self.is_open(&open) {
            return self.read_awaited(what, askers);
        }
        let now = Instant::now();
        // Nothing else is to wait before anything is served, unless it is worth nothing without this.
        let is_told = self.haste == Haste::Start && !self.is_strict;
        let place = open.canonicalize().unwrap_or_else(|_| open.clone());
        self.settling.open(now, place.clone(), is_told || !askers.is_empty());
        if is_told {
            return self.tell_open(what, open, askers);
        }
        let known = self.awaited.iter_mut().find(|awaited| match &what {
            What::Zone(name) => awaited.is_of_zone(name),
            What::File(file) => awaited.is_of_file(&file.path),
        });
        match known {
            Some(known) => {
                (known.open, known.place) = (open, place);
                known.askers.extend_from_slice(askers);
            }
            None if askers.is_empty() => {}
            None => {
                let (until, askers) = (now + PATIENCE, askers.to_vec());
                self.awaited.push(Awaited { what, open, place, until, askers });
            }
        }
    }

    /// Tells those that have waited for long enough, and reads for others what was closed and is no zone's yet.
    pub(super) fn end_waits(&mut self, batch: &Batch, now: Instant) {
        let settling = &self.settling;
        let is_over = |awaited: &mut Awaited| {
            let is_change = matches!(awaited.what, What::File(_)) && batch.paths.contains(&awaited.place);
            awaited.until <= now || (is_change && !is_open(settling, &awaited.open))
        };
        let over: Vec<Awaited> = self.awaited.extract_if(.., is_over).collect();
        for Awaited { what, open, askers, .. } in over {
            if self.is_open(&open) {
                self.tell_open(what, open, &askers);
            } else {
                self.read_awaited(what, &askers);
            }
        }
    }

    fn is_open(&self, path: &Path) -> bool {
        is_open(&self.settling, path)
    }

    /// A zone's file was read, or is its file no more; who waited for that.
    pub(super) fn waited_for_zone(&mut self, zone: &NameRef) -> Vec<Rc<Asker>> {
        self.awaited
            .extract_if(.., |awaited| awaited.is_of_zone(zone))
            .flat_map(|awaited| awaited.askers)
            .collect()
    }

    /// A file was read; who waited for that.
    pub(super) fn waited_for_file(&mut self, path: &Path) -> Vec<Rc<Asker>> {
        self.awaited
            .extract_if(.., |awaited| awaited.is_of_file(path))
            .flat_map(|awaited| awaited.askers)
            .collect()
    }

    fn tell_open(&mut self, what: What, open: PathBuf, askers: &[Rc<Asker>]) {
        let error = LoadError::Open { path: open };
        match what {
            What::Zone(name) => self.changed.read.push((name, Err(error))),
            What::File(File { path, .. }) => {
                let refused = Refused { path: path.to_path_buf(), zone: None, why: error.to_string() };
                Asker::refuse(askers, &refused);
            }
        }
        self.leaving.extend_from_slice(askers);
    }

    fn read_awaited(&mut self, what: What, askers: &[Rc<Asker>]) {
        match what {
            What::Zone(name) => self.read_zones(vec![name], None, askers),
            What::File(File { path, .. }) if !path.exists() => self.leaving.extend_from_slice(askers),
            What::File(_) => {
                let search = self.search_for(askers);
                self.begin(vec![what], Some(search), askers, true);
            }
        }
    }
}

/// Whether somebody has a file open for writing. Where that cannot be asked, one that was written to and not closed since.
fn is_open(settling: &Changes, path: &Path) -> bool {
    let is_written = || path.canonicalize().is_ok_and(|place| settling.is_open(&place));
    is_open_for_writing(path).unwrap_or_else(is_written)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::mpsc::{self, Receiver};

    use super::super::super::settings::{Settings, ZoneDir};
    use super::super::watch::Files;
    use super::*;
    use crate::publish::store::ZoneStore;
    use crate::wire::name::Name;

    /// Longer than anything here takes.
    const LIMIT: Duration = Duration::from_secs(60);
    const ZONE: &str = "$TTL 1\n@ SOA a a 1 2 3 4 5\n@ NS a\n";

    /// What is told from the thread.
    #[derive(Debug, PartialEq, Eq)]
    enum Told {
        /// A zone was read: the number of its records, or what is wrong.
        Read(Name, Result<u64, String>),
        /// All that was asked for is reported; with how many files hold no zone.
        Done(usize),
    }

    struct Fixture {
        dir: tempfile::TempDir,
        files: Files,
        tell: mpsc::Sender<Told>,
        told: Receiver<Told>,
    }

    impl Fixture {
        fn new() -> Fixture {
            let dir = tempfile::tempdir().unwrap();
            ["a", "b"]
                .iter()
                .for_each(|zone| fs::write(dir.path().join(format!("{zone}.zone")), ZONE).unwrap());
            let (tell, told) = mpsc::channel();
            let report = tell.clone();
            let each = move |changed: Changed| {
                for (zone, read) in changed.read {
                    let read =
                        read.map(|loaded| loaded.snapshot.records()).map_err(|error| error.to_string());
                    report.send(Told::Read(zone, read)).unwrap();
                }
            };
            let files = Files::start(Arc::new(ZoneStore::new(7)), each).unwrap();
            Fixture { dir, files, tell, told }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn append(&self, name: &str) -> fs::File {
            fs::File::options().create(true).append(true).open(self.path(name)).unwrap()
        }

        /// The two zones, by the folder or by name.
        fn configure(&self, is_by_name: bool) {
            let paths = if is_by_name { vec![self.path("a.zone"), self.path("b.zone")] } else { Vec::new() };
            let mut settings = Settings::for_files("127.0.0.1:53".parse().unwrap(), &paths);
            if !is_by_name {
                settings.zone_dirs.push(ZoneDir { path: self.dir.path().to_owned(), ..ZoneDir::default() });
            }
            let tell = self.tell.clone();
            self.files.configure(&settings, move |refused| tell.send(Told::Done(refused.len())).unwrap());
        }

        fn reload(&self, zone: &str) {
            let tell = self.tell.clone();
            self.files.reload(vec![zone.parse().unwrap()], move || tell.send(Told::Done(0)).unwrap());
        }

        fn next(&self) -> Told {
            self.told.recv_timeout(LIMIT).unwrap()
        }

        /// Whether nothing is told for now.
        fn is_silent(&self) -> bool {
            self.told.recv_timeout(Duration::from_millis(200)).is_err()
        }
    }

    fn read(zone: &str, records: u64) -> Told {
        Told::Read(zone.parse().unwrap(), Ok(records))
    }

    #[test]
    fn a_node_starts_without_a_file_that_is_being_written() {
        let node = Fixture::new();
        let writer = node.append("a.zone");
        let start = Instant::now();
        node.configure(false);
        // Its zone is not known for sure, for there is half a file only.
        assert_eq!([node.next(), node.next()], [read("b.", 2), Told::Done(1)]);
        assert!(start.elapsed() < PATIENCE);
        assert!(node.is_silent());
        drop(writer);
        assert_eq!(node.next(), read("a.", 2));
    }

    #[test]
    fn files_that_must_all_be_good_are_waited_for() {
        let node = Fixture::new();
        let writer = node.append("a.zone");
        node.configure(true);
        assert_eq!(node.next(), read("b.", 2));
        drop(writer);
        assert_eq!([node.next(), node.next()], [read("a.", 2), Told::Done(0)]);
    }

    #[test]
    fn a_reload_waits_for_a_writer_but_not_for_ever() {
        let node = Fixture::new();
        node.configure(false);
        while node.next() != Told::Done(0) {}
        let mut writer = node.append("a.zone");
        writer.write_all(b"w A 192.0.2.1").unwrap();
        node.reload("a.");
        assert!(node.is_silent());
        node.reload("b.");
        assert_eq!([node.next(), node.next()], [read("b.", 2), Told::Done(0)]);
        let Told::Read(_, Err(error)) = node.next() else { panic!("half a file was read") };
        assert!(error.contains("a.zone is still open for writing by another process"), "{error}");
        assert_eq!(node.next(), Told::Done(0));

        node.reload("a.");
        assert!(node.is_silent());
        writer.write_all(b"23\n").unwrap();
        drop(writer);
        assert_eq!([node.next(), node.next()], [read("a.", 3), Told::Done(0)]);
    }

    /// What it holds so far does not say that it is no copy of the file beside it.
    #[test]
    fn a_zone_whose_name_could_be_that_of_a_copy_is_kept_while_its_file_is_written() {
        let node = Fixture::new();
        let path = node.path("a.old.zone");
        let text = format!("$ORIGIN a.old.\n{ZONE}");
        fs::write(&path, &text).unwrap();
        // A copy that is being made is not waited for.
        let mut copy = node.append("a.bak.zone");
        copy.write_all(b"$ORIGIN a.\n").unwrap();
        node.configure(false);
        while node.next() != Told::Done(0) {}
        let mut writer = fs::File::create(&path).unwrap();
        node.configure(false);
        for _ in ["a.", "b."] {
            let told = node.next();
            assert!(matches!(told, Told::Read(_, Ok(2))), "{told:?}");
        }
        assert!(node.is_silent());
        writer.write_all(format!("{text}w A 192.0.2.1\n").as_bytes()).unwrap();
        drop(writer);
        assert_eq!([node.next(), node.next()], [read("a.old.", 3), Told::Done(0)]);
    }

    #[test]
    fn what_a_zone_includes_is_waited_for_too_also_for_the_first_time() {
        let node = Fixture::new();
        node.configure(false);
        while node.next() != Told::Done(0) {}
        let mut part = node.append("part");
        part.write_all(b"w A 192.0.2.1").unwrap();
        fs::write(node.path("a.zone"), format!("{ZONE}$INCLUDE part\n")).unwrap();
        node.reload("a.");
        assert!(node.is_silent());
        part.write_all(b"23\n").unwrap();
        drop(part);
        assert_eq!([node.next(), node.next()], [read("a.", 3), Told::Done(0)]);

        let mut part = node.append("part");
        part.write_all(b"v A 192.0.2.1\n").unwrap();
        node.reload("a.");
        assert!(node.is_silent());
        drop(part);
        assert_eq!([node.next(), node.next()], [read("a.", 4), Told::Done(0)]);
    }
}
