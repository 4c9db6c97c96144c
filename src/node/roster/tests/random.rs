//! What must hold whatever the order of reports.

use super::*;

/// Files come, go and change at random and are read in any order, in groups that overlap, while the configuration changes now and
/// then. Once all was read, the zones are those that the configuration and the files name, each with one holder that names it.
#[test]
fn whatever_the_order_zones_are_those_that_somebody_names() {
    (0..300).for_each(|seed| Random::new(seed).play(60));
}

const FILES: [File; 5] = ["a", "b", "c", "d", "e"];
const ZONES: [&str; 4] = ["w.", "x.", "y.", "z."];

struct Random {
    seed: u64,
    rng: StdRng,
    site: Site,
    /// What each file holds; `None` for what says nothing, and no entry for one that is not there.
    files: BTreeMap<File, Option<Report>>,
    /// Files that have changed since they were read.
    unread: BTreeSet<File>,
    /// Groups under way, with what they are still to read.
    open: Vec<(u64, Vec<File>)>,
    configured: BTreeSet<Name>,
}

impl Random {
    fn new(seed: u64) -> Random {
        let mut site = Site::default();
        let group = site.configure(Vec::new());
        Random {
            seed,
            rng: StdRng::seed_from_u64(seed),
            site,
            files: BTreeMap::new(),
            unread: BTreeSet::new(),
            open: vec![(group, Vec::new())],
            configured: BTreeSet::new(),
        }
    }

    fn play(mut self, steps: u32) {
        for _ in 0..steps {
            match self.rng.random_range(0..10) {
                0..4 => self.edit(),
                4..6 => self.begin(),
                6..9 => self.go_on(),
                _ => self.configure(),
            }
        }
        while !(self.unread.is_empty() && self.open.is_empty()) {
            if !self.unread.is_empty() {
                self.begin();
            }
            self.go_on();
        }
        self.check();
    }

    fn edit(&mut self) {
        let file = FILES[self.rng.random_range(0..FILES.len())];
        let zone = ZONES[self.rng.random_range(0..ZONES.len())];
        let serial = self.rng.random_range(1..9);
        match self.rng.random_range(0..5) {
            0 => drop(self.files.remove(file)),
            1 => drop(self.files.insert(file, None)),
            2 => {
                let guess = Report { is_certain: false, ..says(zone, serial, serial as u8).unwrap() };
                self.files.insert(file, Some(guess));
            }
            _ => {
                let standings = [Standing::Namesake, Standing::Alone, Standing::Behind];
                let standing = standings[self.rng.random_range(0..standings.len())];
                let report = says(zone, serial, serial as u8).map(|report| Report { standing, ..report });
                self.files.insert(file, report);
            }
        }
        self.unread.insert(file);
        if self.rng.random() {
            self.site.published.insert(name(zone), digest(serial as u8));
        }
    }

    /// Begins to read what has changed.
    fn begin(&mut self) {
        let group = self.site.roster.begin();
        let mut files: Vec<File> = std::mem::take(&mut self.unread).into_iter().collect();
        files.shuffle(&mut self.rng);
        // What is read elsewhere is read here.
        self.open.iter_mut().for_each(|(_, reads)| reads.retain(|file| !files.contains(file)));
        self.open.push((group, files));
    }

    /// Reads one file of a group, or ends it.
    fn go_on(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.open.len());
        let group = self.open[at].0;
        match self.open[at].1.pop() {
            Some(file) if self.files.contains_key(file) => {
                let report = self.files[file].clone();
                self.site.report(group, file, report);
            }
            Some(file) => drop(self.site.roster.gone(group, file)),
            None => {
                self.open.remove(at);
                self.end(group);
            }
        }
    }

    fn end(&mut self, group: u64) {
        for file in self.site.roster.contested(group) {
            if !self.files.contains_key(file) {
                self.site.roster.gone(group, file);
            }
        }
        if let Some(Next { group, files }) = self.site.conclude(group).next {
            let files: Vec<File> = files.into_iter().map(|(file, _)| file).collect();
            self.open.iter_mut().for_each(|(_, reads)| reads.retain(|file| !files.contains(file)));
            self.open.push((group, files));
        }
    }

    fn configure(&mut self) {
        let zones: Vec<&str> = ZONES.into_iter().filter(|_| self.rng.random_range(0..4) == 0).collect();
        self.configured = zones.iter().map(|zone| name(zone)).collect();
        let group = self.site.configure(zones.into_iter().map(secondary).collect());
        let mut files: Vec<File> = self.files.keys().copied().collect();
        files.iter().for_each(|file| drop(self.site.keep(file)));
        files.shuffle(&mut self.rng);
        self.unread.clear();
        self.open = vec![(group, files)];
    }

    fn check(&self) {
        let (seed, roster) = (self.seed, &self.site.roster);
        let mut wanted = self.configured.clone();
        for (file, report) in &self.files {
            let held = roster.held_by(file);
            match (held, report) {
                (Some(held), Some(report)) if report.is_certain => {
                    assert_eq!(*held, report.zone, "{file}, seed {seed}")
                }
                (None, Some(report)) => {
                    assert!(roster.source(&report.zone).is_some(), "{file} could hold its zone, seed {seed}");
                }
                _ => {}
            }
            wanted.extend(held.or(report.as_ref().map(|report| &report.zone)).cloned());
        }
        let held: BTreeSet<Name> = roster.zones().map(|(zone, _)| zone.clone()).collect();
        assert_eq!((&held, &self.site.zones), (&wanted, &wanted), "seed {seed}");
        for (zone, source) in roster.zones() {
            match source.file() {
                None => assert!(self.configured.contains(zone), "{zone}, seed {seed}"),
                Some((file, _)) => {
                    assert!(self.files.contains_key(file), "{file} has gone, seed {seed}");
                    assert_eq!(roster.held_by(file), Some(zone), "seed {seed}");
                }
            }
        }
        let is_in_files = |zone: &NameRef| roster.source(zone).is_some_and(|source| source.file().is_some());
        let left_out = roster.claims.iter().filter(|(zone, _)| is_in_files(zone));
        let left_out: BTreeMap<Name, BTreeSet<File>> = left_out
            .map(|(zone, claims)| (zone.clone(), claims.iter().map(|claim| claim.file).collect()))
            .collect();
        assert_eq!(self.site.left_out, left_out, "what is told of files that are left out, seed {seed}");
        assert_eq!(roster.zones.len(), held.len(), "none is free for ever, seed {seed}");
        assert!(roster.groups.is_empty(), "seed {seed}");
        assert!(roster.claimed.keys().all(|file| self.files.contains_key(file)), "seed {seed}");
    }
}
