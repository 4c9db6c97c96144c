//! What a change of the registry zone takes, and what it does to the answers meanwhile.

use std::path::Path;
use std::time::Duration;

use super::super::bench::{Bench, say};
use super::super::config::Zones;
use super::super::content::edited_address;
use super::super::dns;
use super::super::figures::{Figure, Goal, median};
use super::super::options::Part;
use super::super::primary::Primary;
use super::super::server::{Make, Plan, Server};
use super::super::support::ports;
use super::super::watch::{Phase, Watch};

/// Edits whose time is taken, without other queries.
const EDITS: u8 = 3;
/// Edits, and transfers, with queries before and meanwhile: what the host does in one of them must not decide.
const DISTURBED: u8 = 3;
/// Queries a second while the zone changes: moderate for each of the servers.
const RATE: u64 = 20_000;
/// How long a server is watched at rest.
const IDLE: Duration = Duration::from_secs(2);
/// How long it is watched after the change is served: the old version has to be put away.
const AFTER: Duration = Duration::from_millis(500);
/// How long a change may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How often NOTIFY is sent until the transfer is served: it might be early, or lost.
const NOTIFY_AGAIN: Duration = Duration::from_secs(5);

/// The rows of these parts, as far as they are asked for.
pub(crate) fn measure(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    if bench.options.wants(Part::Edit) {
        figures.extend(edits(bench));
    }
    if bench.options.wants(Part::Transfer) {
        figures.extend(transfers(bench));
    }
    figures
}

fn edits(bench: &Bench) -> Vec<Figure> {
    say("one record changed in the registry zone's file");
    let mut served =
        Figure::new("one record edited, to being served (s)").goals(&[Goal::Times(0.5, Make::Knot)]);
    let mut disturbed = Disturbed::new("reload");
    for make in Make::SERVERS {
        let file = Server::own_file(&bench.root, make, &bench.registry);
        let files: [(&str, &Path); 1] = [("example.", &file)];
        let plan = Plan { zones: Zones::Files(&files), cores: &bench.server_core, workers: 1 };
        let mut server = Server::start(make, plan, &bench.root);
        server.await_zones(&["example."]);
        let mut times = Vec::new();
        let mut phases = Vec::new();
        for version in 1..=EDITS + DISTURBED {
            let fresh = server.prepare_edit(&bench.content.registry_zone(version));
            server.session.settle();
            let with_queries = version > EDITS;
            let rate = if with_queries { RATE } else { 0 };
            let mut watch = Watch::new(server.addr, &bench.registry_list, rate, None);
            if with_queries {
                watch.run(IDLE);
                watch.next_phase();
            }
            let begun = server.edit(&fresh, &file, bench.server_core[0]);
            let seen = watch.until_seen(edited_address(version), LIMIT);
            let seen =
                seen.unwrap_or_else(|| panic!("{} does not serve an edit within {LIMIT:?}", make.name()));
            if with_queries {
                watch.run(AFTER);
                phases.extend(watch.finish());
            } else {
                times.push(seen.duration_since(begun).as_secs_f64());
            }
        }
        served.put(make, median(times));
        disturbed.put(make, &phases);
    }
    [vec![served], disturbed.rows()].concat()
}

fn transfers(bench: &Bench) -> Vec<Figure> {
    say("the registry zone transferred in");
    let recorded = record(bench);
    let mut served = Figure::new("whole zone transferred in, to being served (s)");
    let mut disturbed = Disturbed::new("transfer in");
    for make in Make::SERVERS {
        let mut primary = Primary::new(ports::reserve(), recorded.clone());
        let plan =
            Plan { zones: Zones::Secondary("example.", primary.addr), cores: &bench.server_core, workers: 1 };
        let server = Server::start(make, plan, &bench.root);
        let mut empty = Watch::new(server.addr, &bench.registry_list, 0, Some(&mut primary));
        let filled = empty.until_seen(edited_address(0), LIMIT);
        assert!(
            filled.is_some(),
            "{} as secondary gets no zone:\n{}",
            make.name(),
            server.session.log_tail()
        );
        drop(empty);
        let mut times = Vec::new();
        let mut phases = Vec::new();
        for version in 1..=DISTURBED {
            server.session.settle();
            let mut watch = Watch::new(server.addr, &bench.registry_list, RATE, Some(&mut primary));
            watch.next_version();
            watch.run(IDLE);
            watch.next_phase();
            let begun = std::time::Instant::now();
            let seen = loop {
                watch.notify(server.addr);
                if let Some(seen) = watch.until_seen(edited_address(version), NOTIFY_AGAIN) {
                    break seen;
                }
                assert!(
                    begun.elapsed() < LIMIT,
                    "{} does not transfer the zone within {LIMIT:?}",
                    make.name()
                );
            };
            watch.run(AFTER);
            times.push(seen.duration_since(begun).as_secs_f64());
            phases.extend(watch.finish());
        }
        served.put(make, median(times));
        disturbed.put(make, &phases);
    }
    [vec![served], disturbed.rows()].concat()
}

/// A transfer of the zone as NSD sends it.
fn record(bench: &Bench) -> Vec<u8> {
    let file = bench.registry_file();
    let files: [(&str, &Path); 1] = [("example.", &file)];
    let plan = Plan { zones: Zones::Files(&files), cores: &bench.server_core, workers: 1 };
    let mut server = Server::start(Make::Nsd, plan, &bench.root);
    server.await_zones(&["example."]);
    dns::transfer(server.addr, "example.", LIMIT)
}

/// Answers lost and late while something goes on, beside those at rest.
struct Disturbed {
    lost: Figure,
    idle: Figure,
    busy: Figure,
    times: Figure,
    worst: Figure,
}

impl Disturbed {
    fn new(what: &str) -> Disturbed {
        let rate = RATE / 1_000;
        Disturbed {
            lost: Figure::new(format!("{what} at {rate} kq/s: answers lost")).goals(&[Goal::AtMost(0.0)]),
            idle: Figure::new(format!("{what}: p99 before (us)")),
            busy: Figure::new(format!("{what}: p99 meanwhile (us)")),
            times: Figure::new(format!("{what}: p99 meanwhile / before")).goals(&[Goal::AtMost(2.0)]),
            worst: Figure::new(format!("{what}: slowest answer (us)")),
        }
    }

    /// Takes in what was seen: a phase before and one meanwhile, for each change.
    fn put(&mut self, make: Make, phases: &[Phase]) {
        let of_each = |share: f64, which: usize| -> Vec<f64> {
            phases.iter().skip(which).step_by(2).map(|phase| phase.percentile(share)).collect()
        };
        let (before, meanwhile) = (median(of_each(0.99, 0)), median(of_each(0.99, 1)));
        self.lost.put(make, phases.iter().map(|phase| phase.lost() as f64).sum());
        self.idle.put(make, before);
        self.busy.put(make, meanwhile);
        self.times.put(make, meanwhile / before);
        self.worst.put(make, of_each(1.0, 1).into_iter().fold(0.0, f64::max));
    }

    fn rows(self) -> Vec<Figure> {
        vec![self.lost, self.idle, self.busy, self.times, self.worst]
    }
}
