//! What a large zone costs: reading it, keeping it, answering from it, and publishing one change into it.
//!
//! ```text
//! cargo bench --bench zone            # 300,000 delegations: some 800,000 records
//! cargo bench --bench zone -- 30000   # another number of delegations
//! ```
//!
//! Each figure is the median of several runs in this process. They say what share of the work is whose, and how a change
//! compares with a load; comparing servers takes the servers.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on may end")]

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemark::answer::context::{Client, Served};
use tidemark::answer::door::{self, Asked, GROUP};
use tidemark::answer::reply::Reply;
use tidemark::answer::respond::answer;
use tidemark::publish::access::Access;
use tidemark::publish::journal::entry::Entry;
use tidemark::publish::journal::log::LogError;
use tidemark::publish::messages::Messages;
use tidemark::publish::proposal::Proposal;
use tidemark::publish::store::ZoneStore;
use tidemark::publish::transferred::Transferred;
use tidemark::text::file::read::read;
use tidemark::time::{Mono, Now, Utc};
use tidemark::wire::cookie::{Secret, Secrets};
use tidemark::wire::message::{RecordRef, flags};
use tidemark::wire::name::Name;
use tidemark::wire::rtype::Rtype;
use tidemark::wire::via::Via;
use tidemark::wire::writer::{Section, Writer};
use tidemark::zone::builder::Builder;
use tidemark::zone::delta::Delta;
use tidemark::zone::diff::between;
use tidemark::zone::serial::{Policy, Serial};
use tidemark::zone::snapshot::Snapshot;

/// Runs of each measurement.
const RUNS: usize = 5;
/// Questions per run.
const QUESTIONS: usize = 100_000;

/// A journal that keeps nothing, so that the disk is no part of the figure.
struct NoDisk(Vec<u8>);

impl NoDisk {
    fn append(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        self.0.clear();
        entries.iter().for_each(|entry| entry.encode(&mut self.0));
        Ok(())
    }
}

/// A zone like a registry's: delegations, a third with glue, a third with DS.
fn registry(delegations: usize) -> String {
    let mut text =
        "$ORIGIN example.\n$TTL 3600\n@ SOA ns1 h 1 7200 900 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n"
            .to_owned();
    let digest = "ab".repeat(32);
    for number in 0..delegations {
        let _ = writeln!(text, "d{number} NS ns1.d{number}\nd{number} NS ns.o{}.test.", number % 1_000);
        let _ = match number % 3 {
            0 => writeln!(text, "ns1.d{number} A 192.0.2.{}", number % 250),
            1 => writeln!(text, "d{number} DS 12345 13 2 {digest}"),
            _ => Ok(()),
        };
    }
    text
}

fn load(text: &str) -> Snapshot {
    let mut builder = Builder::new(name("example."));
    let mut none = |_: &str, _: &str| Err("no includes".to_owned());
    let outcome = read("zone", text.as_bytes(), None, &mut none, &mut |entry| {
        builder.add(entry.owner, entry.rtype, entry.ttl, entry.rdata);
    });
    assert!(outcome.is_ok());
    builder.finish().unwrap().0
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// One host more.
fn one_change(old: &Snapshot) -> Delta {
    let mut delta = between(old, &old.with_serial(old.serial().next())).unwrap();
    let owner = name(&format!("new{}.example.", old.serial()));
    delta.added.push(&owner, Rtype::A, 60, &[192, 0, 2, (old.serial().0 % 250) as u8]);
    delta
}

/// Another address for every fourth that there is.
fn every_fourth(old: &Snapshot) -> Delta {
    let mut delta = between(old, &old.with_serial(old.serial().next())).unwrap();
    let records = old.owners().flat_map(|owner| owner.records()).filter(|record| record.rtype == Rtype::A);
    for record in records.step_by(4) {
        delta.added.push(&record.owner, record.rtype, record.ttl, &old.serial().0.to_be_bytes());
        delta.removed.extend([record]);
    }
    delta
}

/// The messages of an IXFR.
fn transferred(delta: &Delta) -> Transferred {
    let owned = |record: RecordRef<'_>| record.owned().unwrap();
    let soa = delta.added.first().map(owned).unwrap();
    let parts = delta.records().map(owned);
    let all: Vec<_> = std::iter::once(soa.clone()).chain(parts).chain([soa.clone()]).collect();
    let mut messages = Messages::default();
    for part in all.chunks(200) {
        let mut message = Vec::new();
        let mut writer = Writer::new(&mut message, 65_535, 1, flags::QR);
        part.iter().for_each(|record| writer.push(Section::Answer, record).unwrap());
        writer.finish();
        messages.keep(message);
    }
    Transferred { soa, records: delta.len() as u64, steps: 1, messages, most: u64::MAX }
}

fn now() -> Now {
    Now { mono: Mono(1_000_000), utc: Utc(1_700_000_000_000_000) }
}

/// The median time of a step, each run on fresh input.
fn median<I>(mut input: impl FnMut() -> I, mut step: impl FnMut(I)) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let given = input();
            let begun = Instant::now();
            step(given);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[RUNS / 2]
}

fn row(what: &str, took: Duration, per: usize) {
    let each = took.as_secs_f64() * 1e6 / per as f64;
    println!("{what:<52} {:>12.3} ms {:>12.3} us each", took.as_secs_f64() * 1e3, each);
}

fn main() {
    let delegations = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(300_000);
    let text = registry(delegations);
    let zone = load(&text);
    let records = zone.records() as usize;
    println!("{records} records, {} names, {} MB of text\n", zone.names(), text.len() / 1_000_000);
    row(
        "read the zone file and build the snapshot",
        median(|| (), |()| drop(black_box(load(&text)))),
        records,
    );

    let store = Arc::new(ZoneStore::new(1));
    store.configure(zone.apex(), Access::default());
    let mut log = NoDisk(Vec::new());
    store
        .publish(now(), Proposal::file(zone.clone(), Policy::Increment), |entries| log.append(entries))
        .unwrap();
    drop(zone);
    let current = || store.get(&name("example.")).unwrap().version().unwrap().snapshot.clone();
    let publish = |delta: Transferred, log: &mut NoDisk| {
        let proposal = Proposal::ixfr(delta, Vec::new());
        store.publish(now(), proposal, |entries| log.append(entries)).unwrap();
    };
    row(
        "publish one change (journal in memory)",
        median(|| transferred(&one_change(&current())), |delta| publish(delta, &mut log)),
        1,
    );
    let changes = every_fourth(&current()).len();
    row(
        "publish a change of every fourth address",
        median(|| transferred(&every_fourth(&current())), |delta| publish(delta, &mut log)),
        changes,
    );
    let (old, edited) =
        (current(), load(&text.replacen("192.0.2.1\n", "192.0.2.9\n", 1)).with_serial(Serial(1_000)));
    row(
        "find one change between two loaded files",
        median(|| (), |()| drop(black_box(between(&old, &edited)))),
        1,
    );

    let cookies = Arc::new(Secrets::new(Secret::new([0; 16]), Vec::new()));
    let served = Served { store: Arc::clone(&store), recursion: None, nsid: None, cookies };
    let source = Client { addr: "127.0.0.1:53".parse().unwrap(), via: Via::Udp };
    for (what, prefix) in [("answer: referrals", "www.d"), ("answer: names that do not exist", "x")] {
        let questions: Vec<Vec<u8>> = (0..QUESTIONS)
            .map(|number| {
                let asked = number * 7_919 % delegations.max(1);
                Writer::query(7, 0, &name(&format!("{prefix}{asked}.example.")), Rtype::A, &[])
            })
            .collect();
        let mut reply = Vec::with_capacity(2_048);
        let took = median(
            || (),
            |()| {
                for question in &questions {
                    reply.clear();
                    black_box(answer(&served, now(), question, source, &mut reply));
                }
            },
        );
        row(what, took, QUESTIONS);
        let mut replies: Vec<Reply> = (0..GROUP).map(|_| Reply::default()).collect();
        for side_by_side in [1, GROUP] {
            let took = median(
                || (),
                |()| {
                    for questions in questions.chunks(side_by_side) {
                        let mut asked = [None; GROUP];
                        for (asked, bytes) in asked.iter_mut().zip(questions) {
                            *asked = Some(Asked { bytes, from: source });
                        }
                        door::answer::<GROUP>(&served, now(), &asked, &mut replies, |_, outcome, _| {
                            black_box(outcome);
                        });
                    }
                },
            );
            row(&format!("  at the door, {side_by_side} side by side"), took, QUESTIONS);
        }
    }
}
