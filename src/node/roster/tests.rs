//! Transitions one by one, then what must hold whatever the order of reports, by the rules played on what the files say at the end.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::node::settings::Role;
use crate::zone::serial::Serial;

type File = &'static str;

/// A node and what its files say.
#[derive(Default)]
struct Site {
    roster: Roster<File>,
    /// The zones that the node has, as told.
    zones: BTreeSet<Name>,
    published: BTreeMap<Name, Digest>,
}

fn name(zone: &str) -> Name {
    zone.parse().unwrap()
}

fn digest(content: u8) -> Digest {
    Digest::from_bytes([content; 32])
}

/// What a file says for certain: its zone, serial and content.
fn says(zone: &str, serial: u32, content: u8) -> Option<Report> {
    Some(Report { zone: name(zone), is_certain: true, content: Some((Serial(serial), digest(content))) })
}

fn secondary(zone: &str) -> (ZoneConfig, ZoneSource<File>) {
    let role = Role::Secondary(vec!["192.0.2.1:53".parse().unwrap()]);
    (ZoneConfig::new(name(zone), ZoneOptions { role, ..ZoneOptions::default() }), ZoneSource::Primaries)
}

/// The options of zones in the second folder, unlike those of the first.
fn in_second_folder() -> ZoneOptions {
    ZoneOptions { watch: vec!["192.0.2.2:53".parse().unwrap()], ..ZoneOptions::default() }
}

fn holds(zone: &str) -> Verdict<File> {
    Verdict::Holds(name(zone))
}

impl Site {
    fn take_in(&mut self, changes: Changes) {
        assert_eq!(changes.removed, []);
        self.zones.extend(changes.added.into_iter().map(|config| config.name));
    }

    fn configure(&mut self, zones: Vec<(ZoneConfig, ZoneSource<File>)>) -> u64 {
        let mut changes = Changes::default();
        let folders = vec![Arc::default(), Arc::new(in_second_folder())];
        let group = self.roster.configure(zones, folders, &mut changes);
        self.take_in(changes);
        group
    }

    /// A file in the first folder was read.
    fn report(&mut self, group: u64, file: File, report: Option<Report>) -> Verdict<File> {
        let mut changes = Changes::default();
        let published = |zone: &NameRef| self.published.get(zone).copied();
        let verdict = self.roster.report(group, (file, Some(0)), report, published, &mut changes);
        self.take_in(changes);
        verdict
    }

    fn conclude(&mut self, group: u64) -> Conclusion<File> {
        let mut changes = Changes::default();
        let published = |zone: &NameRef| self.published.get(zone).copied();
        let conclusion = self.roster.conclude(group, published, &mut changes);
        for (zone, _) in &conclusion.removed {
            assert!(self.zones.remove(zone), "{zone} goes, and was never there");
        }
        self.take_in(changes);
        conclusion
    }

    /// The verdicts at the end of a group that no other follows.
    fn end(&mut self, group: u64) -> Vec<(File, Verdict<File>)> {
        let Conclusion { verdicts, next, .. } = self.conclude(group);
        assert_eq!(next, None);
        verdicts
    }

    fn keep(&mut self, file: File) -> Option<Name> {
        let mut changes = Changes::default();
        let kept = self.roster.keep(file, 0, &mut changes);
        self.take_in(changes);
        kept
    }

    fn file(&self, zone: &str) -> Option<File> {
        Some(*self.roster.source(&name(zone))?.file()?.0)
    }

    fn has(&self, zone: &str) -> bool {
        self.zones.contains(&name(zone))
    }
}

/// A site where `a` holds the zone `x.` and `b` waits for it.
fn one_waits() -> Site {
    let mut site = Site::default();
    let group = site.configure(Vec::new());
    assert_eq!(site.report(group, "a", says("x.", 1, 1)), holds("x."));
    assert_eq!(site.report(group, "b", says("x.", 9, 9)), Verdict::Waits);
    assert_eq!(site.end(group), [("b", Verdict::IsHeld(name("x."), ZoneSource::Found("a", 0)))]);
    site
}

#[test]
fn the_configuration_comes_before_folders() {
    let mut site = Site::default();
    let named = (ZoneConfig::new(name("n."), ZoneOptions::default()), ZoneSource::Named("elsewhere"));
    let group = site.configure(vec![secondary("s."), named]);
    for (file, zone) in [("a", "s."), ("b", "n.")] {
        assert_eq!(site.report(group, file, says(zone, 1, 1)), Verdict::Waits);
    }
    assert_eq!(
        site.roster.contested(group),
        Vec::<File>::new(),
        "whoever names a file means that one, there or not"
    );
    let expected = [
        ("b", Verdict::IsHeld(name("n."), ZoneSource::Named("elsewhere"))),
        ("a", Verdict::IsHeld(name("s."), ZoneSource::Primaries)),
    ];
    assert_eq!(site.end(group), expected);
    // Once it is configured no more, the file has the zone.
    let group = site.configure(Vec::new());
    assert_eq!(site.keep("a"), None);
    assert_eq!(site.report(group, "a", says("s.", 1, 1)), Verdict::Waits);
    assert_eq!(site.end(group), [("a", holds("s."))]);
    assert!(site.has("s.") && !site.has("n."));
}

#[test]
fn a_file_that_waits_takes_the_place_of_one_that_goes() {
    let mut site = one_waits();
    let group = site.roster.begin();
    assert_eq!(site.roster.gone(group, "a"), Some(name("x.")));
    let next = site.conclude(group).next.unwrap();
    assert_eq!(next.files, [("b", Some(0))]);
    assert!(site.has("x."), "it is served all the while");
    assert_eq!(site.report(next.group, "b", says("x.", 9, 9)), Verdict::Waits);
    assert_eq!(site.end(next.group), [("b", holds("x."))]);
    assert!(site.has("x."));
}

#[test]
fn a_file_that_waits_and_has_gone_itself_keeps_no_zone() {
    for says_nothing in [true, false] {
        let mut site = one_waits();
        let group = site.roster.begin();
        site.roster.gone(group, "a");
        if says_nothing {
            let next = site.conclude(group).next.unwrap();
            assert_eq!(site.report(next.group, "b", None), Verdict::HoldsNothing);
            site.end(next.group);
        } else {
            assert_eq!(site.roster.gone(group, "b"), None);
            site.end(group);
        }
        assert!(!site.has("x."));
    }
}

#[test]
fn a_file_that_is_renamed_takes_its_zone_along() {
    let mut site = one_waits();
    let group = site.roster.begin();
    assert_eq!(site.report(group, "c", says("x.", 1, 1)), Verdict::Waits);
    assert_eq!(site.roster.contested(group), ["a"]);
    site.roster.gone(group, "a");
    assert_eq!(site.end(group), [("c", holds("x."))]);
    assert_eq!(site.file("x."), Some("c"));
}

#[test]
fn a_zone_that_moves_to_another_folder_is_never_away() {
    let mut site = one_waits();
    let group = site.roster.begin();
    let mut changes = Changes::default();
    let moved = ("c", Some(1));
    assert_eq!(site.roster.report(group, moved, says("x.", 1, 1), |_| None, &mut changes), Verdict::Waits);
    site.roster.gone(group, "a");
    let Conclusion { verdicts, removed, .. } = site.roster.conclude(group, |_| None, &mut changes);
    assert_eq!(verdicts, [("c", holds("x."))]);
    // With what holds for zones of that folder.
    assert_eq!(changes.added, [ZoneConfig::new(name("x."), in_second_folder())]);
    assert_eq!(removed, []);
}

#[test]
fn two_files_swap_their_zones() {
    let mut site = Site::default();
    let group = site.configure(Vec::new());
    site.report(group, "a", says("x.", 1, 1));
    site.report(group, "b", says("y.", 1, 2));
    site.end(group);
    let group = site.roster.begin();
    assert_eq!(site.report(group, "a", says("y.", 1, 2)), Verdict::Leaves(name("x.")));
    assert_eq!(site.report(group, "b", says("x.", 1, 1)), Verdict::Leaves(name("y.")));
    assert_eq!(site.end(group), [("b", holds("x.")), ("a", holds("y."))]);
    assert_eq!((site.file("x."), site.file("y.")), (Some("b"), Some("a")));
}

#[test]
fn what_is_not_certain_changes_no_zone() {
    let mut site = one_waits();
    let group = site.roster.begin();
    let guess = Report { is_certain: false, ..says("y.", 2, 2).unwrap() };
    for uncertain in [Some(guess), None] {
        assert_eq!(site.report(group, "a", uncertain), Verdict::Keeps(name("x.")));
    }
    site.end(group);
    assert_eq!(site.file("x."), Some("a"));
}

#[test]
fn a_zone_that_is_free_goes_to_whichever_group_claims_it() {
    let mut site = Site::default();
    let group = site.configure(Vec::new());
    site.report(group, "a", says("x.", 1, 1));
    site.end(group);
    let [frees, claims] = [site.roster.begin(), site.roster.begin()];
    site.roster.gone(frees, "a");
    assert_eq!(site.report(claims, "b", says("x.", 2, 2)), Verdict::Waits);
    assert_eq!(site.end(frees), []);
    assert!(site.has("x."), "the other group has not ended yet");
    assert_eq!(site.end(claims), [("b", holds("x."))]);
    assert!(site.has("x."));
}

#[test]
fn the_last_word_of_a_file_counts() {
    let mut site = Site::default();
    let group = site.configure(vec![secondary("x.")]);
    site.end(group);
    let [first, second] = [site.roster.begin(), site.roster.begin()];
    site.report(first, "a", says("x.", 1, 1));
    assert_eq!(site.report(second, "a", says("y.", 1, 1)), holds("y."));
    assert_eq!((site.end(second), site.end(first)), (Vec::new(), Vec::new()));
    assert_eq!(site.file("y."), Some("a"));
}

#[test]
fn a_new_configuration_keeps_files_and_lets_the_rest_go() {
    let mut site = one_waits();
    let group = site.configure(vec![secondary("s.")]);
    site.end(group);
    assert_eq!(site.zones, BTreeSet::from([name("s.")]));

    let mut site = one_waits();
    // Given up before it ends.
    site.configure(vec![secondary("s.")]);
    let group = site.configure(Vec::new());
    assert_eq!(site.roster.held_by("a"), None);
    assert_eq!(site.keep("a"), Some(name("x.")));
    assert_eq!(site.report(group, "a", says("x.", 1, 1)), holds("x."));
    site.end(group);
    assert_eq!(site.zones, BTreeSet::from([name("x.")]));
}

/// Reports at a start come in the order of files; whichever that is, zones go on with the content that was published last, and else
/// with the newest serial. Where nothing was published, the first file is as good as any.
#[test]
fn at_a_start_the_order_of_reports_decides_only_where_nothing_was_published() {
    const FILES: [File; 6] = ["a", "b", "c", "d", "e", "f"];
    const ZONES: [&str; 3] = ["x.", "y.", "z."];
    for seed in 0..500 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut site = Site::default();
        for zone in ZONES {
            if rng.random() {
                site.published.insert(name(zone), digest(rng.random_range(0..8)));
            }
        }
        let mut said: Vec<(File, &str, u32)> =
            (1..).zip(FILES).map(|(serial, file)| (file, ZONES[rng.random_range(0..3)], serial)).collect();
        said.shuffle(&mut rng);
        let group = site.configure(Vec::new());
        for (file, zone, serial) in &said {
            site.report(group, file, says(zone, *serial, *serial as u8));
        }
        site.end(group);
        for zone in ZONES {
            let claims = || said.iter().filter(|(_, claimed, _)| *claimed == zone);
            let expected = match site.published.get(&name(zone)) {
                None => claims().next(),
                Some(published) => claims()
                    .find(|(.., serial)| digest(*serial as u8) == *published)
                    .or(claims().max_by_key(|(.., serial)| *serial)),
            };
            assert_eq!(site.file(zone), expected.map(|(file, ..)| *file), "{zone} with seed {seed}");
        }
    }
}

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
            _ => drop(self.files.insert(file, says(zone, serial, serial as u8))),
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
        assert_eq!(roster.zones.len(), held.len(), "none is free for ever, seed {seed}");
        assert!(roster.groups.is_empty(), "seed {seed}");
        assert!(roster.claimed.keys().all(|file| self.files.contains_key(file)), "seed {seed}");
    }
}
