//! The one door: what passes, what does not, and what is left after a crash.

use proptest::prelude::*;

use super::super::journal::entry::{Payload, decode, zone_of};
use super::*;
use crate::publish::transferred::Transferred;
use crate::time::Mono;
use crate::wire::message::Record;
use crate::wire::rtype::Rtype;
use crate::zone::delta::Delta;
use crate::zone::diff::between;
use crate::zone::fixture;
use crate::zone::serial::Policy;
use crate::zone::snapshot::Snapshot;

/// A journal in memory; full on demand.
#[derive(Default)]
struct Memory {
    payloads: Vec<Vec<u8>>,
    full: bool,
}

impl Memory {
    fn append(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        if self.full {
            return Err(LogError("disk full".to_owned()));
        }
        self.payloads.extend(entries.iter().map(payload));
        Ok(())
    }
}

fn payload(entry: &Entry) -> Vec<u8> {
    let mut payload = Vec::new();
    entry.encode(&mut payload);
    payload
}

fn replay(store: &ZoneStore, payloads: &[Vec<u8>]) {
    for payload in payloads {
        let Some(Payload::Whole(happened)) = decode(payload) else { panic!("{payload:?}") };
        store.replay(&zone_of(payload).unwrap().to_name(), happened);
    }
}

fn apex() -> Name {
    "example.".parse().unwrap()
}

fn at(seconds: u64) -> Now {
    Now { mono: Mono(seconds * 1_000_000), utc: Utc(1_700_000_000_000_000 + seconds * 1_000_000) }
}

fn zone(serial: u32, hosts: &[u8]) -> Snapshot {
    Transferred::of(&records(serial, hosts)).content(None).unwrap().0
}

#[test]
fn differences_that_are_more_work_than_the_whole_zone_are_not_worked_off() {
    let content = |serial: u32| {
        let addresses = (0..10_000_u32).map(|number| [10, 0, (number >> 8) as u8, number as u8]);
        let first = [(1, [192, 0, 2, serial as u8])];
        fixture::records("example.", serial, first.into_iter().chain(addresses.map(|address| (1, address))))
    };
    let versions: Vec<Snapshot> =
        (1..=110).map(|serial| Transferred::of(&content(serial)).content(None).unwrap().0).collect();
    let deltas: Vec<Delta> = versions.windows(2).map(|pair| between(&pair[0], &pair[1]).unwrap()).collect();
    let store = ZoneStore::new(7);
    store.configure(&apex(), Access { secondary: true, ..Access::default() });
    let publish = |proposal| store.publish(at(1), proposal, |_| Ok(()));
    publish(Proposal::axfr(Transferred::of(&content(1)), None)).unwrap();
    let differences = |deltas| Proposal::ixfr(Transferred::of_deltas(deltas), Vec::new());
    assert_eq!(publish(differences(&deltas)).unwrap_err(), PublishError::TooMuchWork);
    assert!(publish(differences(&deltas[..40])).unwrap().is_some());
}

fn transferred(serial: u32, hosts: &[u8], told: Option<Stamp>) -> Proposal {
    Proposal::axfr(Transferred::of(&records(serial, hosts)), told)
}

fn records(serial: u32, hosts: &[u8]) -> Vec<Record> {
    fixture::records("example.", serial, hosts.iter().map(|&host| (host.into(), [192, 0, 2, host])))
}

fn store() -> (ZoneStore, Memory) {
    let store = ZoneStore::new(7);
    store.configure(&apex(), Access::default());
    (store, Memory::default())
}

fn file(
    store: &ZoneStore,
    log: &mut Memory,
    now: u64,
    content: Snapshot,
    policy: Policy,
) -> Result<Option<Publication>, PublishError> {
    store.publish(at(now), Proposal::file(content, policy), |entries| log.append(entries))
}

#[test]
fn a_forgotten_serial_is_never_ignored() {
    let (store, mut log) = store();
    let first = file(&store, &mut log, 1, zone(5, &[1]), Policy::Keep).unwrap().unwrap();
    assert_eq!((first.from, first.stamp.serial, first.stamp.writer), (None, Serial(5), 7));
    assert!(file(&store, &mut log, 2, zone(5, &[1]), Policy::Keep).unwrap().is_none());
    let kept = file(&store, &mut log, 2, zone(5, &[2]), Policy::Keep).unwrap_err();
    assert_eq!(kept, PublishError::SerialKept { file: Serial(5), served: Serial(5) });
    let second = file(&store, &mut log, 3, zone(5, &[2]), Policy::Increment).unwrap().unwrap();
    assert_eq!((second.stamp.serial, second.renumbered), (Serial(6), Some(Serial(5))));
    assert!(second.stamp.published > first.stamp.published);
    // The same file read again is what is served already, though its serial is the lower one.
    assert!(file(&store, &mut log, 4, zone(5, &[2]), Policy::Increment).unwrap().is_none());
    let lower = file(&store, &mut log, 5, zone(1, &[3]), Policy::Increment).unwrap().unwrap();
    assert_eq!(lower.stamp.serial, Serial(7));
    let date = file(&store, &mut log, 6, zone(7, &[4]), Policy::Date).unwrap().unwrap();
    assert_eq!(date.stamp.serial, Serial(2_023_111_400));
    let grown = file(&store, &mut log, 7, zone(2_023_111_401, &[4]), Policy::Keep).unwrap().unwrap();
    assert_eq!((grown.stamp.serial, grown.renumbered), (Serial(2_023_111_401), None));
    assert_eq!(grown.stamp.digest, date.stamp.digest);
}

#[test]
fn a_zone_that_is_transferred_whole_shares_what_did_not_change() {
    let (store, mut log) = store();
    let mut place = |serial, hosts: &[u8]| {
        let proposal = transferred(serial, hosts, None);
        store.publish(at(serial.into()), proposal, |entries| log.append(entries)).unwrap().unwrap();
        let version = store.get(&apex()).unwrap().version().unwrap();
        let place = |host| {
            let owner = version.snapshot.owner(&format!("h{host}.example.").parse::<Name>().unwrap());
            owner.and_then(|owner| owner.rrset(Rtype::A)).map(|set| set.first().as_ptr())
        };
        (Arc::clone(&version), [1, 2, 3].map(place))
    };
    let (_first, [one, two, _]) = place(1, &[1, 2]);
    let (_second, places) = place(2, &[1, 3]);
    assert_eq!((places[0], places[1], places[2].is_some()), (one, None, true));
    assert!(two.is_some());
}

#[test]
fn what_cannot_be_written_down_is_not_served() {
    let (store, mut log) = store();
    file(&store, &mut log, 1, zone(1, &[1]), Policy::Increment).unwrap();
    log.full = true;
    let error = file(&store, &mut log, 2, zone(2, &[2]), Policy::Increment).unwrap_err();
    assert!(matches!(error, PublishError::Log(_)));
    let zone_served = store.get(&apex()).unwrap();
    assert_eq!(zone_served.version().unwrap().stamp.serial, Serial(1));
    assert_eq!(zone_served.history().stamps().count(), 1);
    log.full = false;
    assert!(file(&store, &mut log, 3, zone(2, &[2]), Policy::Increment).unwrap().is_some());
}

#[test]
fn content_that_was_replaced_is_left_when_its_last_reader_lets_go() {
    let (store, mut journal) = store();
    let (to, remains) = mpsc::channel();
    store.leave_remains_to(to);
    file(&store, &mut journal, 1, zone(1, &[1]), Policy::Keep).unwrap();
    let reader = store.get(&apex()).unwrap().version();
    file(&store, &mut journal, 2, zone(2, &[2]), Policy::Keep).unwrap();
    assert!(remains.try_recv().is_err());
    drop(reader);
    assert_eq!(serial_of(remains.try_recv()), 1);
    store.remove(&apex());
    assert_eq!(serial_of(remains.try_recv()), 2);
}

/// The serial of content that is left behind.
fn serial_of(left: Result<Remains, mpsc::TryRecvError>) -> u32 {
    match left {
        Ok(Remains::Content(content)) => content.serial().0,
        other => panic!("no content: {other:?}"),
    }
}

/// A zone of 3,000 hosts, the first `changed` of them at other addresses than at first.
fn large(serial: u32, changed: u32) -> Snapshot {
    let address = |host| [10, u8::from(host < changed), (host >> 8) as u8, host as u8];
    fixture::hosts("example.", serial, (0..3_000).map(|host| (host, address(host)))).finish().unwrap().0
}

#[test]
fn more_than_the_zone_has_is_no_difference() {
    let (store, mut log) = store();
    let (to, remains) = mpsc::channel();
    store.leave_remains_to(to);
    file(&store, &mut log, 1, large(1, 0), Policy::Keep).unwrap();
    file(&store, &mut log, 2, large(2, 1_900), Policy::Keep).unwrap();
    let deltas = |from: u32, to: u32| {
        let zone = store.get(&apex()).unwrap();
        let deltas = zone.history().deltas(Serial(from), Serial(to));
        deltas.map(|deltas| deltas.len())
    };
    assert_eq!(deltas(1, 2), Some(1));
    assert_eq!(serial_of(remains.try_recv()), 1);
    file(&store, &mut log, 3, large(3, 3_000), Policy::Keep).unwrap();
    assert_eq!((deltas(1, 2), deltas(2, 3)), (None, Some(1)));
    // All hosts have another address: twice as many records as the zone has.
    file(&store, &mut log, 4, large(4, 0), Policy::Keep).unwrap();
    assert_eq!((deltas(2, 3), deltas(3, 4)), (None, None));
    assert_eq!(store.last_stamp(&apex()).unwrap().digest, large(4, 0).digest());
    // Not taken to pieces by whoever published.
    let left: Vec<Remains> = remains.try_iter().collect();
    let dropped = left.iter().filter_map(|left| match left {
        Remains::Deltas(deltas) => Some(deltas.iter().map(|delta| delta.len()).sum::<usize>()),
        Remains::Content(_) | Remains::Messages(_) => None,
    });
    assert_eq!(dropped.sum::<usize>(), 2 * 1_901 + 2 * 1_101);
    let again = ZoneStore::new(7);
    again.configure(&apex(), Access::default());
    replay(&again, &log.payloads);
    let version = again.get(&apex()).unwrap().version().unwrap();
    assert_eq!((version.snapshot.digest(), version.stamp.serial), (large(4, 0).digest(), Serial(4)));
}

#[test]
fn transfers_never_lead_back() {
    let (store, mut log) = store();
    let mut full = |serial, hosts: &[u8]| {
        store.publish(at(1), transferred(serial, hosts, None), |entries| log.append(entries))
    };
    assert!(full(5, &[1]).unwrap().is_some());
    assert!(full(5, &[1]).unwrap().is_none());
    assert_eq!(full(4, &[1]).unwrap_err(), PublishError::NotNewer { served: Serial(5), found: Serial(4) });
    let next = full(6, &[1, 2]).unwrap().unwrap();
    assert_eq!((next.from, next.stamp.published), (Some(Serial(5)), None));
    // A full transfer under a newer serial still becomes a difference for those who pull from here.
    assert!(store.get(&apex()).unwrap().history().deltas(Serial(5), Serial(6)).is_some());
    // The same serial with other content: a repair.
    assert_eq!(full(6, &[9]).unwrap().unwrap().stamp.serial, Serial(6));
}

#[test]
fn transferred_records_that_are_no_zone_are_refused() {
    let (store, mut log) = store();
    let mut meta = records(5, &[1]);
    let no_servers = vec![meta[0].clone()];
    meta.push(Record { rtype: Rtype::ANY, rdata: Default::default(), ..meta[0].clone() });
    for records in [no_servers, meta] {
        let proposal = Proposal::axfr(Transferred::of(&records), None);
        let error = store.publish(at(1), proposal, |entries| log.append(entries)).unwrap_err();
        assert!(matches!(error, PublishError::NoZone(_)), "{error}");
    }
    assert!(log.payloads.is_empty() && store.get(&apex()).unwrap().version().is_none());
}

#[test]
fn a_digest_that_differs_from_the_primarys_is_told() {
    let (store, mut log) = store();
    let content = zone(5, &[1]);
    let wrong = Stamp { serial: Serial(5), published: None, digest: zone(5, &[2]).digest(), writer: 1 };
    let published = store
        .publish(at(1), transferred(5, &[1], Some(wrong)), |entries| log.append(entries))
        .unwrap()
        .unwrap();
    assert_eq!(published.mismatch, Some(wrong.digest));
    assert_eq!(published.stamp.digest, content.digest());
}

#[test]
fn a_zone_that_comes_back_goes_on_where_it_was() {
    let (store, mut log) = store();
    for hosts in [&[1][..], &[2], &[3]] {
        file(&store, &mut log, 1, zone(1, hosts), Policy::Increment).unwrap();
    }
    store.remove(&apex());
    assert!(store.get(&apex()).is_none());
    store.configure(&apex(), Access::default());
    let back = file(&store, &mut log, 2, zone(1, &[9]), Policy::Increment).unwrap().unwrap();
    assert_eq!((back.stamp.serial, back.renumbered), (Serial(4), Some(Serial(1))));
    store.remove(&apex());
    store.configure(&apex(), Access::default());
    // With the content that it had it is the version that it was.
    let same = file(&store, &mut log, 3, zone(1, &[9]), Policy::Increment).unwrap().unwrap();
    assert_eq!((same.stamp, same.renumbered), (back.stamp, None));
    // A former life in which it was not configured remembers as much, through a compaction too.
    let other = ZoneStore::new(7);
    replay(&other, &log.payloads);
    assert!(other.get(&apex()).is_none());
    let mut compacted = Vec::new();
    other.checkpoint().entries(&mut |entry| compacted.push(payload(&entry)));
    let third = ZoneStore::new(7);
    third.configure(&apex(), Access::default());
    replay(&third, &compacted);
    let again = file(&third, &mut log, 4, zone(1, &[7]), Policy::Increment).unwrap().unwrap();
    assert_eq!(again.stamp.serial, Serial(5));
}

#[test]
fn what_expired_stays_expired_through_compactions() {
    let (store, mut log) = store();
    store.publish(at(1), transferred(5, &[1], None), |entries| log.append(entries)).unwrap().unwrap();
    let ended = at(9).utc;
    assert!(store.expire(&apex(), ended));
    let again = |payloads: &[Vec<u8>]| {
        let again = ZoneStore::new(7);
        again.configure(&apex(), Access::default());
        replay(&again, payloads);
        again
    };
    let compacted = |store: &ZoneStore| {
        let mut compacted = Vec::new();
        store.checkpoint().entries(&mut |entry| compacted.push(payload(&entry)));
        compacted
    };
    let restarted = again(&compacted(&store));
    for store in [&store, &restarted, &again(&compacted(&restarted))] {
        let zone = store.get(&apex()).unwrap();
        assert!(zone.version().is_none());
        assert_eq!((zone.expired_at(), zone.history().last().unwrap().serial), (Some(ended), Serial(5)));
    }
    // What comes after that has not expired.
    let mut log = Memory { payloads: compacted(&store), ..Memory::default() };
    let back = transferred(6, &[1], None);
    restarted.publish(at(10), back, |entries| log.append(entries)).unwrap().unwrap();
    for store in [&restarted, &again(&log.payloads), &again(&compacted(&restarted))] {
        let zone = store.get(&apex()).unwrap();
        assert_eq!((zone.expired_at(), zone.version().unwrap().stamp.serial), (None, Serial(6)));
    }
}

#[test]
fn a_damaged_entry_never_brings_an_old_version_back() {
    let (store, mut log) = store();
    let mut ends = Vec::new();
    for hosts in [&[1][..], &[2], &[3]] {
        file(&store, &mut log, 1, zone(1, hosts), Policy::Increment).unwrap();
        ends.push(log.payloads.len());
    }
    let without_second = [&log.payloads[..ends[0]], &log.payloads[ends[1]..]].concat();
    let replayed = replayed(&without_second, without_second.len());
    assert!(replayed.get(&apex()).unwrap().version().is_none());
    let mut log = Memory::default();
    let same = file(&replayed, &mut log, 2, zone(1, &[3]), Policy::Increment).unwrap().unwrap();
    assert_eq!(same.stamp.serial, Serial(3));
}

/// Replays a journal, from its beginning to so many entries, into a fresh store.
fn replayed(payloads: &[Vec<u8>], end: usize) -> ZoneStore {
    let (store, _) = store();
    replay(&store, &payloads[..end]);
    store
}

fn serials(store: &ZoneStore) -> Vec<u32> {
    store.get(&apex()).unwrap().history().stamps().map(|stamp| stamp.serial.0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever part of the journal a crash leaves, it holds a version that was published, with all that came before it; and
    /// a compacted journal holds the same as the long one.
    #[test]
    fn every_prefix_of_the_journal_is_a_version_that_was(
        edits in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 1..12),
        cut in 0.0..1.0f64,
    ) {
        let (store, mut log) = store();
        let mut published = Vec::new();
        for (index, hosts) in edits.iter().enumerate() {
            if let Some(done) = file(&store, &mut log, index as u64, zone(1, hosts), Policy::Increment).unwrap() {
                published.push((done.stamp, log.payloads.len()));
            }
        }
        let end = (log.payloads.len() as f64 * cut) as usize;
        let after_crash = replayed(&log.payloads, end);
        let last = published.iter().rev().find(|(_, length)| *length <= end).map(|(stamp, _)| *stamp);
        let version = after_crash.get(&apex()).unwrap().version();
        prop_assert_eq!(version.as_ref().map(|version| version.stamp), last);
        if let Some(version) = version {
            prop_assert_eq!(version.snapshot.digest(), version.stamp.digest);
        }
        let mut compacted = Vec::new();
        store.get(&apex()).unwrap().checkpoint(&mut |entry| compacted.push(payload(&entry)));
        let (long, short) = (replayed(&log.payloads, log.payloads.len()), replayed(&compacted, compacted.len()));
        prop_assert_eq!(serials(&long), serials(&short));
        let deltas = |store: &ZoneStore| {
            let (first, last) = (published[0].0.serial, published[published.len() - 1].0.serial);
            store.get(&apex()).unwrap().history().deltas(first, last).map(|deltas| deltas.len())
        };
        prop_assert_eq!(deltas(&long), deltas(&short));
    }
}

#[test]
fn a_compacted_journal_keeps_what_is_used_up_of_expire() {
    let (store, mut log) = store();
    file(&store, &mut log, 1, zone(1, &[1]), Policy::Increment).unwrap();
    let zone = store.get(&apex()).unwrap();
    zone.confirm(at(100).utc, None, at(200).mono);
    zone.expires(at(200).mono, Some(at(40).utc));
    let kept = |zone: &Arc<Zone>| {
        let mut compacted = Vec::new();
        zone.checkpoint(&mut |entry| compacted.push(payload(&entry)));
        let again = replayed(&compacted, compacted.len()).get(&apex()).unwrap();
        (again.counted_from(), again.verified_at())
    };
    // A primary that says nothing of its age keeps a zone from expiring, and nobody knows when its content was current.
    assert_eq!(kept(&zone), (Some(at(40).utc), None));
    zone.was_current(at(39).utc);
    assert_eq!(kept(&zone), (Some(at(40).utc), Some(at(39).utc)));
}

#[test]
fn when_a_version_was_the_newest_says_nothing_of_an_older_one() {
    let (store, mut log) = store();
    let publish = |serial: u32, log: &mut Memory| {
        let proposal = transferred(serial, &[serial as u8], None).whatever_its_serial();
        store.publish(at(1), proposal, |entries| log.append(entries)).unwrap().unwrap();
    };
    let zone = store.get(&apex()).unwrap();
    let known = |log: &Memory| {
        let again = replayed(&log.payloads, log.payloads.len());
        (zone.fresh_at(), zone.verified_at(), again.get(&apex()).unwrap().verified_at())
    };
    publish(5, &mut log);
    let current = at(2).utc;
    zone.confirm(current, Some(at(2).mono), at(100).mono);
    zone.was_current(current);
    log.append(&[Entry::Verified(apex(), current, Some(current))]).unwrap();
    publish(6, &mut log);
    assert_eq!(known(&log), (Some(at(2).mono), Some(current), Some(current)), "it was no older then");
    publish(3, &mut log);
    assert_eq!(known(&log), (None, None, None));
}

#[test]
fn what_could_not_be_written_down_is_proposed_again_as_it_was_given() {
    let (store, mut log) = store();
    file(&store, &mut log, 1, zone(5, &[1]), Policy::Increment).unwrap();
    let edited = Proposal::file(zone(5, &[1, 2]), Policy::Increment);
    let prepared = prepare(store.base(&apex()).unwrap(), edited, at(2).utc).unwrap().unwrap();
    let again = store.stamp(at(2), prepared).again().unwrap();
    let published = store.publish(at(3), again, |entries| log.append(entries)).unwrap().unwrap();
    // Proposed as it was to be served, it would pass for a file whose serial grew.
    assert_eq!((published.stamp.serial, published.renumbered), (Serial(6), Some(Serial(5))));
}

#[test]
fn a_version_knows_what_its_source_gave() {
    let (store, mut log) = store();
    let source = |store: &ZoneStore| store.get(&apex()).unwrap().version().unwrap().source();
    file(&store, &mut log, 1, zone(5, &[1]), Policy::Increment).unwrap();
    assert_eq!(source(&store).soa_record(), zone(5, &[1]).soa_record());
    let edited = zone(5, &[1, 2]);
    file(&store, &mut log, 2, edited.clone(), Policy::Increment).unwrap();
    let version = store.get(&apex()).unwrap().version().unwrap();
    assert_eq!((version.snapshot.serial(), source(&store).serial()), (Serial(6), Serial(5)));
    assert!(crate::zone::diff::between(&edited, &source(&store)).is_none());
    // A former life tells what was served, and the file what it holds once it is read.
    let (restarted, _) = self::store();
    replay(&restarted, &log.payloads);
    assert_eq!(source(&restarted).serial(), Serial(6));
}
