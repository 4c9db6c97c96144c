//! Transitions one by one, and by the rules played on what the files say at the end: what must hold whatever the order of reports.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::contest::Contest;
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
    /// The files that are left out of each zone, as told.
    left_out: BTreeMap<Name, BTreeSet<File>>,
}

fn name(zone: &str) -> Name {
    zone.parse().unwrap()
}

fn digest(content: u8) -> Digest {
    Digest::from_bytes([content; 32])
}

/// What a file that is named otherwise says for certain: its zone, serial and content.
fn says(zone: &str, serial: u32, content: u8) -> Option<Report> {
    let content = Some((Serial(serial), digest(content)));
    Some(Report { zone: name(zone), is_certain: true, standing: Standing::Alone, content })
}

/// The same of a file that is named like the zone.
fn namesake_says(zone: &str, serial: u32, content: u8) -> Option<Report> {
    says(zone, serial, content).map(|report| Report { standing: Standing::Namesake, ..report })
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
            self.left_out.remove(zone);
        }
        self.take_in(changes);
        for Contest { zone, others, .. } in self.roster.contests() {
            match others.is_empty() {
                true => assert!(self.left_out.remove(&zone).is_some(), "{zone} was in order already"),
                false => drop(self.left_out.insert(zone, others.into_iter().collect())),
            }
        }
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

    /// The files that are left out of a zone, as told.
    fn left_out(&self, zone: &str) -> Vec<File> {
        self.left_out.get(&name(zone)).into_iter().flatten().copied().collect()
    }
}

/// A site where `a` holds the zone `x.` and `b` waits for it.
fn one_waits() -> Site {
    let mut site = Site::default();
    let group = site.configure(Vec::new());
    site.end(group);
    let group = site.roster.begin();
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
fn a_zone_is_told_to_be_contested_until_one_file_holds_it() {
    let mut site = one_waits();
    assert_eq!(site.left_out("x."), ["b"]);
    // A third one comes, named like the zone: what is served stays.
    let group = site.roster.begin();
    assert_eq!(site.report(group, "c", namesake_says("x.", 3, 3)), Verdict::Waits);
    site.end(group);
    assert_eq!((site.file("x."), site.left_out("x.")), (Some("a"), vec!["b", "c"]));
    // Another configuration changes nothing of it, and meanwhile nothing else is told.
    let group = site.configure(Vec::new());
    site.keep("a");
    let before = site.roster.begin();
    site.end(before);
    assert_eq!(site.left_out("x."), ["b", "c"]);
    for (file, content) in [("a", 1), ("b", 9), ("c", 3)] {
        site.report(group, file, says("x.", content, content as u8));
    }
    site.end(group);
    assert_eq!((site.file("x."), site.left_out("x.")), (Some("a"), vec!["b", "c"]));
    // One holds another zone now, one has gone.
    let group = site.roster.begin();
    site.report(group, "b", says("y.", 9, 9));
    site.end(group);
    assert_eq!(site.left_out("x."), ["c"]);
    let group = site.roster.begin();
    site.roster.gone(group, "c");
    site.end(group);
    assert_eq!((site.file("x."), site.left_out("x.")), (Some("a"), vec![]));
}

#[test]
fn what_a_secondary_is_called_in_files_is_no_contest() {
    let mut site = one_waits();
    let group = site.configure(vec![secondary("x.")]);
    site.report(group, "a", says("x.", 1, 1));
    site.report(group, "b", says("x.", 9, 9));
    site.end(group);
    assert_eq!(site.left_out("x."), Vec::<File>::new());
}

#[test]
fn at_a_start_the_file_named_like_the_zone_has_it_before_what_was_published() {
    for order in [["copy", "x"], ["x", "copy"]] {
        let mut site = Site::default();
        site.published.insert(name("x."), digest(10));
        let group = site.configure(Vec::new());
        for file in order {
            let behind = says("x.", 10, 10).map(|report| Report { standing: Standing::Behind, ..report });
            let report = if file == "x" { namesake_says("x.", 11, 11) } else { behind };
            site.report(group, file, report);
        }
        site.end(group);
        assert_eq!((site.file("x."), site.left_out("x.")), (Some("x"), vec!["copy"]));
    }
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

/// Reports at a start come in the order of files; whichever that is, zones go on with the file that is named like the zone, else with
/// the content that was published last, and else with the newest serial.
#[test]
fn at_a_start_the_order_of_reports_decides_nothing() {
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
        // One of the zones has such a file.
        let namesake = said[rng.random_range(0..FILES.len())];
        for (file, zone, serial) in &said {
            let standing = match (*file == namesake.0, *zone == namesake.1) {
                (true, _) => Standing::Namesake,
                (_, true) => Standing::Behind,
                (_, false) => Standing::Alone,
            };
            let report = says(zone, *serial, *serial as u8).map(|report| Report { standing, ..report });
            site.report(group, file, report);
        }
        site.end(group);
        for zone in ZONES {
            let claims = || said.iter().filter(|(_, claimed, _)| *claimed == zone);
            let published = site.published.get(&name(zone));
            let expected = claims()
                .find(|(file, ..)| *file == namesake.0)
                .or(claims().find(|(.., serial)| Some(digest(*serial as u8)) == published.copied()))
                .or(claims().max_by_key(|(.., serial)| *serial));
            assert_eq!(site.file(zone), expected.map(|(file, ..)| *file), "{zone} with seed {seed}");
        }
    }
}

mod random;

#[test]
fn a_file_named_by_itself_keeps_its_zone_until_it_says_otherwise_or_is_named_no_more() {
    let mut roster = Roster::<File>::default();
    let mut changes = Changes::default();
    let mut read = |roster: &mut Roster<File>, says: Option<Report>| {
        let group = roster.configure(Vec::new(), Vec::new(), &mut changes);
        let verdict = roster.report(group, ("a", None), says, |_| None, &mut changes);
        (verdict, roster.conclude(group, |_| None, &mut changes).removed)
    };
    assert_eq!(read(&mut roster, namesake_says("x.", 1, 1)), (holds("x."), vec![]));
    let guess = namesake_says("y.", 1, 1).map(|report| Report { is_certain: false, ..report });
    for says in [None, guess] {
        assert_eq!(read(&mut roster, says), (Verdict::Keeps(name("x.")), vec![]));
    }
    let lost = |zone| vec![(name(zone), ZoneSource::Named("a"))];
    assert_eq!(read(&mut roster, namesake_says("y.", 1, 1)), (holds("y."), lost("x.")));

    let mut changes = Changes::default();
    let group = roster.configure(Vec::new(), Vec::new(), &mut changes);
    assert_eq!(roster.named_before("a"), Some(&name("y.")));
    assert_eq!(roster.conclude(group, |_| None, &mut changes).removed, lost("y."));
    assert_eq!(roster.named_before("a"), None);
}
