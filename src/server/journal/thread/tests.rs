//! The journal with its threads, on a real disk.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::thread;

use super::*;
use crate::publish::journal::entry::Replayed;
use crate::publish::journal::frame::FileKind;
use crate::publish::journal::order::GAP;
use crate::publish::store::ZoneStore;
use crate::server::journal::contents::References;
use crate::server::journal::folder::Folder;
use crate::server::journal::open::{Opened, most, read_file};
use crate::time::Utc;
use crate::wire::message::Record;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::delta::Delta;
use crate::zone::diff::between;
use crate::zone::fixture;
use crate::zone::serial::Serial;
use crate::zone::snapshot::Snapshot;
use crate::zone::stamp::Stamp;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

struct Running {
    journal: Journal,
    reports: Receiver<Report>,
}

/// Reads the journal in a folder and puts it in order; what its entries lead to.
fn settle(dir: &Path) -> (Ready, ZoneStore) {
    let store = ZoneStore::new(7);
    let folder = Folder::open(dir, 7).unwrap();
    let opened = Opened::read(folder, |zone, happened| store.replay(&zone, happened)).unwrap();
    (opened.settle(store.checkpoint_bytes(), || store.checkpoint()).unwrap(), store)
}

/// Opens the journal in a folder; what its entries lead to.
fn open(dir: &Path) -> (Running, ZoneStore) {
    let (ready, store) = settle(dir);
    let (sender, reports) = mpsc::channel();
    let journal = Journal::start(ready, || 0, move |report| drop(sender.send(report))).unwrap();
    (Running { journal, reports }, store)
}

impl Running {
    /// Waits until these commits are written.
    fn await_written(&self, last: u64) {
        self.follow(last, |_| ());
    }

    /// The same; `rewrite` hears of it when the journal is to be written anew.
    fn follow(&self, last: u64, rewrite: impl Fn(Mark)) {
        loop {
            match self.reports.recv_timeout(LIMIT).unwrap() {
                Report::Written(commits) => {
                    commits.iter().for_each(|(_, result)| result.clone().unwrap());
                    if commits.iter().any(|(ticket, _)| *ticket == last) {
                        return;
                    }
                }
                Report::Overgrown(mark) => rewrite(mark),
            }
        }
    }

    /// Has the journal written anew from what is in the store.
    fn rewrite(&self, mark: Mark, store: &ZoneStore) {
        let checkpoint = store.checkpoint();
        self.journal.rewrite(mark, move |each| checkpoint.entries(each));
    }
}

fn content(zone: &str, serial: u32, hosts: u32) -> Snapshot {
    let hosts = (0..hosts).map(|host| (host, host.to_be_bytes()));
    fixture::hosts(zone, serial, hosts).finish().unwrap().0
}

fn stamp(content: &Snapshot) -> Stamp {
    Stamp { serial: content.serial(), published: None, digest: content.digest(), writer: 7 }
}

fn full(content: &Snapshot) -> Entry {
    Entry::Full(content.clone(), stamp(content), Utc(u64::from(content.serial().0)))
}

fn change(from: &Snapshot, to: &Snapshot) -> Entry {
    let delta: Delta = between(from, to).unwrap();
    Entry::Change(to.apex().clone(), Arc::new(delta), stamp(to), Utc(u64::from(to.serial().0)))
}

/// The next version of a zone of so many hosts, with so many. Comparing two whole contents would give the same.
fn resized(last: &Snapshot, from: u32, to: u32) -> Delta {
    let host = |host: u32| Record {
        owner: last.apex().child(format!("h{host}").as_bytes()).unwrap(),
        rtype: Rtype::A,
        ttl: 60,
        rdata: host.to_be_bytes().into(),
    };
    let soa = last.soa_record();
    let mut next = soa.clone();
    // Both names before the serial are the root.
    next.rdata[2..6].copy_from_slice(&last.serial().next().0.to_be_bytes());
    Delta {
        removed: std::iter::once(soa).chain((to..from).map(host)).collect(),
        added: std::iter::once(next).chain((from..to).map(host)).collect(),
    }
}

/// What a journal holds of a zone, read by another process.
fn reopened(dir: &Path, zone: &str) -> Option<Serial> {
    let (running, store) = open(dir);
    running.journal.stop();
    serial(&store, zone)
}

fn serial(store: &ZoneStore, zone: &str) -> Option<Serial> {
    let zone = zone.parse::<Name>().unwrap();
    store.configure(&zone, Default::default()).version().map(|version| version.snapshot.serial())
}

#[test]
fn many_commits_go_together() {
    let dir = tempfile::tempdir().unwrap();
    let (running, _) = open(dir.path());
    let begun = Instant::now();
    let commits = 1_000;
    for ticket in 1..=commits {
        // At a thousand a second.
        thread::sleep((begun + Duration::from_millis(ticket)).saturating_duration_since(Instant::now()));
        running.journal.commit(ticket, vec![full(&content(&format!("z{ticket}."), 1, 1))], false);
    }
    running.await_written(commits);
    let most = begun.elapsed().as_millis() as u64 / GAP.as_millis() as u64 + 1;
    let syncs = running.journal.syncs();
    eprintln!("{syncs} syncs in {:?}", begun.elapsed());
    assert!(syncs <= most && syncs < commits / 4, "{syncs} syncs in {:?}", begun.elapsed());
    running.journal.stop();
    assert_eq!(reopened(dir.path(), "z1000."), Some(Serial(1)));
}

#[test]
fn a_large_content_keeps_no_small_commit_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let large = content("large.", 1, 300_000);
    let (running, _) = open(dir.path());
    running.journal.commit(1, vec![full(&large)], false);
    let (mut ticket, mut slowest) = (1, Duration::ZERO);
    let mut is_large_written = false;
    while !is_large_written {
        ticket += 1;
        let begun = Instant::now();
        running.journal.commit(ticket, vec![full(&content("small.", ticket as u32, 1))], false);
        let mut is_written = false;
        while !is_written {
            let Report::Written(commits) = running.reports.recv_timeout(LIMIT).unwrap() else { continue };
            is_large_written |= commits.iter().any(|(written, _)| *written == 1);
            is_written = commits.iter().any(|(written, _)| *written == ticket);
        }
        slowest = slowest.max(begun.elapsed());
    }
    eprintln!("slowest of {ticket} small commits: {slowest:?}");
    assert!(ticket > 2, "the large content was written before a small commit could be");
    // Its differences follow what is written by now.
    let next = content("large.", 2, 300_001);
    running.journal.commit(ticket + 1, vec![change(&large, &next)], false);
    running.await_written(ticket + 1);
    running.journal.stop();
    let (_, store) = open(dir.path());
    assert_eq!(serial(&store, "large."), Some(Serial(2)));
    assert_eq!(serial(&store, "small."), Some(Serial(ticket as u32)));
}

#[test]
fn content_that_may_be_later_follows_its_stamp() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (content("large.", 1, 12_000), content("large.", 2, 12_001));
    let (running, _) = open(dir.path());
    running.journal.commit(1, vec![full(&first)], true);
    running.await_written(1);
    running.journal.commit(2, vec![change(&first, &second)], false);
    running.await_written(2);
    let contents = dir.path().join("content");
    let begun = Instant::now();
    while fs::read_dir(&contents).map_or(0, |files| files.flatten().count()) == 0
        || fs::read_dir(&contents)
            .unwrap()
            .flatten()
            .any(|file| file.file_name().to_string_lossy().starts_with("new"))
    {
        assert!(begun.elapsed() < LIMIT);
        thread::yield_now();
    }
    running.journal.stop();
    assert_eq!(reopened(dir.path(), "large."), Some(Serial(2)));
    // Without the content the serial is known all the same.
    fs::remove_dir_all(&contents).unwrap();
    let (running, store) = open(dir.path());
    assert_eq!(serial(&store, "large."), None);
    let zone = store.configure(&"large.".parse::<Name>().unwrap(), Default::default());
    assert_eq!(zone.history().last().map(|stamp| stamp.serial), Some(Serial(2)));
    running.journal.stop();
}

#[test]
fn a_folder_that_is_removed_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let (first, second) = (content("example.", 5, 1), content("example.", 6, 2));
    let (running, _) = open(&state);
    running.journal.commit(1, vec![full(&first)], false);
    running.await_written(1);
    fs::remove_dir_all(&state).unwrap();
    running.journal.commit(2, vec![change(&first, &second)], false);
    running.await_written(2);
    running.journal.stop();
    assert_eq!(reopened(&state, "example."), Some(Serial(6)));
    // Replaced by another one: that is kept aside.
    let (running, _) = open(&state);
    fs::remove_file(state.join("journal")).unwrap();
    fs::write(state.join("journal"), "a backup").unwrap();
    running.journal.commit(1, vec![full(&content("other.", 1, 1))], false);
    running.await_written(1);
    running.journal.stop();
    assert_eq!(reopened(&state, "example."), Some(Serial(6)));
    assert_eq!(fs::read_to_string(state.join("journal.damaged")).unwrap(), "a backup");
}

#[test]
fn a_journal_of_version_1_is_read_and_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (content("example.", 5, 1), content("example.", 6, 2));
    let mut bytes = Vec::new();
    for entry in [full(&first), change(&first, &second)] {
        let mut payload = Vec::new();
        entry.encode(&mut payload);
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(crc32fast::hash(&payload).to_le_bytes());
        bytes.append(&mut payload);
    }
    fs::write(dir.path().join("node-id"), "0000000000000007\n").unwrap();
    fs::write(dir.path().join("journal"), [&bytes[..], b"torn"].concat()).unwrap();
    let (running, store) = open(dir.path());
    assert_eq!(serial(&store, "example."), Some(Serial(6)));
    running.journal.stop();
    assert!(fs::read(dir.path().join("journal")).unwrap().starts_with(b"tidemark"));
    let (running, store) = open(dir.path());
    assert_eq!(serial(&store, "example."), Some(Serial(6)));
    running.journal.stop();
}

#[test]
fn a_journal_that_got_no_entry_yet_is_added_to() {
    for idle_lives in 1..4 {
        let dir = tempfile::tempdir().unwrap();
        let journal = || read_file(&dir.path().join("journal"), FileKind::Journal, &mut |_, _| {}).unwrap();
        for _ in 0..idle_lives {
            open(dir.path()).0.journal.stop();
            assert!(journal().size > 0 && journal().is_whole(), "after {idle_lives}: {:?}", journal());
        }
        let (running, _) = open(dir.path());
        running.journal.commit(1, vec![full(&content("one.", 4, 1))], false);
        running.await_written(1);
        running.journal.stop();
        assert!(journal().is_whole(), "after {idle_lives}: {:?}", journal());
        assert_eq!(reopened(dir.path(), "one."), Some(Serial(4)));
    }
}

#[test]
fn what_cannot_be_read_is_kept_and_the_rest_read() {
    let dir = tempfile::tempdir().unwrap();
    let (running, _) = open(dir.path());
    for (ticket, zone) in ["one.", "two.", "three."].into_iter().enumerate() {
        running.journal.commit(ticket as u64, vec![full(&content(zone, 4, 1))], false);
    }
    running.await_written(2);
    running.journal.stop();
    let path = dir.path().join("journal");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (running, store) = open(dir.path());
    assert_eq!(serial(&store, "one."), Some(Serial(4)));
    assert_eq!(serial(&store, "two."), None);
    assert_eq!(serial(&store, "three."), Some(Serial(4)));
    let zone = store.configure(&"two.".parse::<Name>().unwrap(), Default::default());
    assert_eq!(zone.history().last().map(|stamp| stamp.serial), Some(Serial(4)));
    running.journal.stop();
    assert_eq!(fs::read(dir.path().join("journal.damaged")).unwrap(), bytes);
    // It was written anew: nothing is damaged any more.
    let (running, store) = open(dir.path());
    assert_eq!(serial(&store, "three."), Some(Serial(4)));
    running.journal.stop();
    assert!(!dir.path().join("journal.damaged.1").exists());
}

#[test]
fn a_journal_does_not_grow_over_restarts_and_changes() {
    let dir = tempfile::tempdir().unwrap();
    let mut hosts = 4_000;
    let mut last = content("example.", 1, hosts);
    let whole = {
        let mut bytes = Vec::new();
        full(&last).encode(&mut bytes);
        bytes.len() as u64
    };
    let journal = dir.path().join("journal");
    let mut lengths = Vec::new();
    for _ in 0..10 {
        let (running, store) = open(dir.path());
        let length = fs::metadata(&journal).unwrap().len();
        let needed = store.checkpoint_bytes();
        assert!(length <= most(needed, &References::default()), "{length} bytes where {needed} are needed");
        lengths.push(length);
        let name: Name = "example.".parse().unwrap();
        let zone = store.configure(&name, Default::default());
        assert_eq!(
            zone.version().map(|version| version.snapshot.serial()).unwrap_or(Serial(1)),
            last.serial()
        );
        let mut ticket = 1;
        running.journal.commit(ticket, vec![full(&last)], false);
        for _ in 0..300 {
            let many = 3_000 + last.serial().0 % 500;
            let delta = resized(&last, hosts, many);
            let next = last.apply(&delta).unwrap();
            hosts = many;
            ticket += 1;
            let entry =
                Entry::Change(name.clone(), Arc::new(delta), stamp(&next), Utc(next.serial().0.into()));
            // What a node serves is what its journal was told.
            if ticket == 2 {
                running.await_written(1);
            }
            let Entry::Change(_, delta, stamp, applied) = &entry else { unreachable!() };
            if zone.version().is_none() {
                store.replay(&name, Replayed::Full(last.clone(), super::tests::stamp(&last), Utc(1)));
            }
            store.replay(&name, Replayed::Change(Delta::clone(delta), *stamp, *applied));
            running.journal.commit(ticket, vec![entry], false);
            last = next;
        }
        // Whether it is written anew is looked at after each group.
        running.follow(ticket, |mark| running.rewrite(mark, &store));
        running.journal.stop();
    }
    let (running, store) = open(dir.path());
    lengths.push(fs::metadata(&journal).unwrap().len());
    assert_eq!(serial(&store, "example."), Some(last.serial()));
    running.journal.stop();
    eprintln!("{lengths:?} bytes at the starts, for a content of {whole} and 3,000 versions");
    // Whatever was written: the content, the stamps of its versions, and as many changes as the content is large.
    assert!(lengths.iter().all(|length| *length < 2 * (2 * whole + 3_000 * 200)), "{lengths:?}");
    assert!(lengths.last() < lengths.iter().max(), "{lengths:?}");
}

#[test]
fn large_changes_do_not_pile_up() {
    const HOSTS: [u32; 2] = [12_000, 100];
    let dir = tempfile::tempdir().unwrap();
    let (running, store) = open(dir.path());
    let name: Name = "example.".parse().unwrap();
    store.configure(&name, Default::default());
    let mut last = content("example.", 1, HOSTS[0]);
    store.replay(&name, Replayed::Full(last.clone(), stamp(&last), Utc(1)));
    running.journal.commit(0, vec![full(&last)], false);
    running.await_written(0);
    let mut bytes = 0;
    for ticket in 1..=40 {
        let turn = ticket as usize % 2;
        let delta = resized(&last, HOSTS[turn ^ 1], HOSTS[turn]);
        last = last.apply(&delta).unwrap();
        store.replay(&name, Replayed::Change(delta.clone(), stamp(&last), Utc(ticket)));
        let entry = Entry::Change(name.clone(), Arc::new(delta), stamp(&last), Utc(ticket));
        running.journal.commit(ticket, vec![entry], false);
        running.follow(ticket, |mark| running.rewrite(mark, &store));
        bytes += 12_000 * 30;
    }
    running.journal.stop();
    let files = fs::read_dir(dir.path().join("content")).unwrap();
    let left: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(left * 3 < bytes, "{left} bytes of contents, for changes of {bytes}");
    assert_eq!(reopened(dir.path(), "example."), Some(last.serial()));
}

#[test]
fn notes_among_commits_keep_their_place_and_hold_nothing_up() {
    const MANY: u64 = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let (running, _) = open(dir.path());
    let entry = |zone: &str, at| Entry::Verified(zone.parse().unwrap(), Utc(at), None);
    // Also behind a commit that waits for its content.
    running.journal.commit(0, vec![full(&content("large.", 1, 12_000))], false);
    for ticket in 1..=MANY {
        running.journal.commit(ticket, vec![entry("small.", ticket)], false);
        running.journal.note(entry("small.", ticket));
        running.journal.note(entry("large.", ticket));
    }
    let mut left = MANY + 1;
    while left > 0 {
        let Report::Written(commits) = running.reports.recv_timeout(LIMIT).unwrap() else { continue };
        left -= commits.into_iter().map(|(_, result)| result.unwrap()).count() as u64;
    }
    running.journal.stop();
    let mut found: HashMap<String, Vec<u64>> = HashMap::new();
    let folder = Folder::open(dir.path(), 7).unwrap();
    let reopened = Opened::read(folder, |zone, happened| {
        let of_zone = found.entry(zone.to_string()).or_default();
        match happened {
            Replayed::Full(..) => of_zone.push(0),
            Replayed::Verified(at, _) => of_zone.push(at.0),
            _ => {}
        }
    });
    assert!(reopened.is_ok() && found.values().all(|of_zone| of_zone.is_sorted()), "{found:?}");
    assert_eq!((found["large."].len() as u64, found["small."].len() as u64), (1 + MANY, 2 * MANY));
}

#[test]
fn a_journal_that_cannot_be_written_anew_goes_on_whole_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, new) = (dir.path().join("journal"), dir.path().join("journal.new"));
    let contents = || fs::read_dir(dir.path().join("content")).map_or(0, Iterator::count);
    let (ready, _) = settle(dir.path());
    let (own, queue) = mpsc::channel();
    let mut worker = Worker::new(ready, Arc::default(), own, || 0).unwrap();
    let (reported, reports) = mpsc::channel();
    let report = move |report| drop(reported.send(report));
    let example = full(&content("example.", 5, 1));
    worker.accept(1, vec![example.clone()], false);
    worker.group(&report);
    assert!(matches!(reports.try_recv(), Ok(Report::Written(written)) if written[0].1.is_ok()));
    while fs::metadata(&journal).unwrap().len() < 1 << 20 {
        worker.note(full(&content("example.", 5, 5_000)));
    }
    let rewrite = |worker: &mut Worker, checkpoint: Checkpoint| {
        worker.look(&report);
        let Ok(Report::Overgrown(mark)) = reports.try_recv() else { panic!("nothing is written anew") };
        worker.take(Request::Rewrite(Box::new((mark, checkpoint))), &report);
        worker.take(queue.recv_timeout(LIMIT).unwrap(), &report);
    };
    let large = full(&content("large.", 1, 12_000));
    for (failures, fault) in ["the program", "the disk"].into_iter().enumerate() {
        let before = fs::read(&journal).unwrap();
        let large = large.clone();
        match fault {
            "the disk" => {
                // In the way of the file that is to be written.
                fs::create_dir(&new).unwrap();
                rewrite(&mut worker, Box::new(|_| ()));
                fs::remove_dir(&new).unwrap();
            }
            _ => rewrite(
                &mut worker,
                Box::new(move |each| {
                    each(large);
                    panic!("a fault of this program");
                }),
            ),
        }
        assert_eq!(fs::read(&journal).unwrap(), before, "a fault of {fault}");
        assert!(!new.exists() && contents() == 0, "a fault of {fault} leaves something behind");
        // Not at once.
        worker.look(&report);
        assert!(reports.try_recv().is_err(), "after a fault of {fault}");
        assert_eq!(worker.rewriting.failures, 1 + failures as u32);
        let wait = worker.rewriting.not_before.unwrap() - Instant::now();
        assert!(wait <= AGAIN * (1 << failures) && wait > AGAIN * (1 << failures) / 2, "{wait:?}");
        worker.rewriting.not_before = Some(Instant::now());
    }
    rewrite(&mut worker, Box::new(move |each| each(example)));
    assert!(worker.rewriting.may_begin(Instant::now()));
    assert!(fs::metadata(&journal).unwrap().len() < 1 << 10);
    drop(worker);
    assert_eq!(reopened(dir.path(), "example."), Some(Serial(5)));
}

#[test]
fn a_folder_in_the_place_of_a_file_is_told_with_what_to_do() {
    for name in ["lock", "node-id", "journal", "floors", "floors.copy", "journal.new", "floors.new"] {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(name)).unwrap();
        let opened = Folder::open(dir.path(), 7).and_then(|folder| Opened::read(folder, |_, _| ()));
        let error =
            opened.and_then(|opened| opened.settle(0, || ZoneStore::new(7).checkpoint())).err().unwrap();
        let place = format!(" {}: ", dir.path().join(name).display());
        assert!(error.to_string().contains(&place), "{error}");
        assert!(error.to_string().ends_with("; move that folder away: a file belongs there"), "{error}");
    }
}
