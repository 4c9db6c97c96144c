//! Transfers by the size of the zone, and secondaries of very many zones.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::bench::{Bench, say};
use super::super::config::Zones;
use super::super::content::{SERIAL, SIZED};
use super::super::dns;
use super::super::figures::{Figure, Goal, median};
use super::super::options::Part;
use super::super::server::{Make, Plan, Server};

/// Records of the zones; the largest only where it is asked for.
const SIZES: [usize; 4] = [10_000, 100_000, 1_000_000, 5_000_000];
/// Records that are sent in all for one figure, at least.
const SENT: usize = 1_000_000;
/// Differences asked for, for one figure.
const DIFFERENCES: u32 = 200;
/// Records of the zone that only shows what a start costs.
const TINY: usize = 10;
/// Zones of the secondary.
const MANY: usize = 10_000;
/// How long the many zones may take.
const LIMIT: Duration = Duration::from_secs(180);
/// How long one transfer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Those whose figures are goals, and those that differences can be had of.
const MAKES: [Make; 3] = [Make::Tidemark, Make::Nsd, Make::Knot];
const WITH_HISTORY: [Make; 2] = [Make::Tidemark, Make::Knot];

/// The rows of these parts, as far as they are asked for.
pub(crate) fn measure(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    if bench.options.wants(Part::TransferSizes) {
        let largest = if bench.options.large { SIZES.len() } else { SIZES.len() - 1 };
        let sizes = SIZES[..largest].iter().map(|&size| bench.options.scaled(size));
        figures.extend(sizes.flat_map(|size| by_size(bench, size)));
    }
    if bench.options.wants(Part::Secondaries) {
        figures.extend(many_zones(bench));
    }
    figures
}

/// CPU of sending a zone of this size, of taking it in, and of sending one change of it.
fn by_size(bench: &Bench, size: usize) -> Vec<Figure> {
    say(&format!("transfers of a zone of {size} records"));
    let goal = [Goal::Times(1.0, Make::Knot)];
    let row = |what: &str| Figure::new(format!("{size} records: {what}, CPU (ms)")).goals(&goal);
    let mut rows = [row("AXFR out"), row("AXFR in"), row("IXFR out of one change")];
    let taken_in = |make: Make, records: usize| {
        let file = write(bench, "primary", records, 0);
        let files: [(&str, &Path); 1] = [(SIZED, &file)];
        let plan = Plan { zones: Zones::Files(&files), cores: &bench.load_core, workers: 1 };
        let mut primary = Server::start(Make::Knot, plan, &bench.root);
        primary.await_zones(&[SIZED]);
        let zones = Zones::Secondary(SIZED, primary.addr);
        let plan = Plan { zones, cores: &bench.server_core, workers: 1 };
        let mut server = Server::start(make, plan, &bench.root);
        server.await_zones(&[SIZED]);
        server.session.settle();
        server.session.exact_cpu().as_secs_f64() * 1e3
    };
    for make in MAKES {
        rows[0].put(make, sent(bench, make, size));
        let rounds = 0..bench.options.fewer_rounds();
        let took = rounds.map(|_| (taken_in(make, size) - taken_in(make, TINY)).max(0.0)).collect();
        rows[1].put(make, median(took));
    }
    for make in WITH_HISTORY {
        rows[2].put(make, change_sent(bench, make, size));
    }
    rows.into()
}

/// A server at rest that serves a zone of this size from this file.
fn serving(bench: &Bench, make: Make, size: usize) -> (Server, std::path::PathBuf) {
    let file = write(bench, make.name(), size, 0);
    let files: [(&str, &Path); 1] = [(SIZED, &file)];
    let plan = Plan { zones: Zones::Files(&files), cores: &bench.server_core, workers: 1 };
    let mut server = Server::start(make, plan, &bench.root);
    server.await_zones(&[SIZED]);
    server.session.settle();
    (server, file)
}

fn sent(bench: &Bench, make: Make, size: usize) -> f64 {
    let (server, _) = serving(bench, make, size);
    let times = SENT.div_ceil(size);
    let rounds = (0..bench.options.rounds).map(|_| {
        let before = server.session.exact_cpu();
        (0..times).for_each(|_| drop(dns::transfer(server.addr, SIZED, PATIENCE)));
        (server.session.exact_cpu() - before).as_secs_f64() * 1e3 / times as f64
    });
    median(rounds.collect())
}

fn change_sent(bench: &Bench, make: Make, size: usize) -> f64 {
    let (server, file) = serving(bench, make, size);
    let fresh = server.prepare_edit(&bench.content.sized_zone(size, 1));
    server.edit_zone(SIZED, &fresh, &file, bench.server_core[0]);
    let begun = Instant::now();
    while dns::serial(server.addr, SIZED, PATIENCE) != Some(SERIAL + 1) {
        assert!(begun.elapsed() < LIMIT, "{} does not serve the edit", make.name());
    }
    server.session.settle();
    let rounds = (0..bench.options.rounds).map(|_| {
        let before = server.session.exact_cpu();
        for _ in 0..DIFFERENCES {
            let length = dns::differences(server.addr, SIZED, SERIAL, PATIENCE);
            assert!(length < 1_000, "{} sends {length} bytes for one change", make.name());
        }
        (server.session.exact_cpu() - before).as_secs_f64() * 1e3 / f64::from(DIFFERENCES)
    });
    median(rounds.collect())
}

/// A zone file in a folder for this purpose alone.
fn write(bench: &Bench, of: &str, size: usize, version: u8) -> std::path::PathBuf {
    let folder = bench.root.join(format!("sized-{of}-{size}"));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("sized.zone");
    fs::write(&file, bench.content.sized_zone(size, version)).unwrap();
    file
}

/// From a start without any content until every zone answers, and again after a restart.
fn many_zones(bench: &Bench) -> Vec<Figure> {
    let count = bench.options.scaled(MANY);
    say(&format!("secondaries of {count} zones"));
    let folder = bench.root.join("many");
    bench.content.write_zones(&folder, count);
    let plan = Plan { zones: Zones::Small(count, &folder), cores: &bench.load_core, workers: 1 };
    let mut primary = Server::start(Make::Knot, plan, &bench.root);
    primary.await_small_zones(count, LIMIT);
    let goal = [Goal::Times(1.0, Make::Nsd)];
    let mut filled = Figure::new(format!("secondary of {count} zones: empty to all served (s)")).goals(&goal);
    let mut cpu = Figure::new(format!("secondary of {count} zones: CPU until then (s)"));
    let mut again =
        Figure::new(format!("secondary of {count} zones: restarted to all served (s)")).goals(&goal);
    for make in MAKES {
        let zones = Zones::SmallSecondary(count, primary.addr);
        let plan = Plan { zones, cores: &bench.server_core, workers: 1 };
        let mut server = Server::start(make, plan, &bench.root);
        let took = server.await_small_zones(count, LIMIT);
        filled.put(make, took.map_or(f64::INFINITY, |took| took.as_secs_f64()));
        cpu.put(make, server.session.exact_cpu().as_secs_f64());
        server.session.settle();
        server.restart();
        let took = server.await_small_zones(count, LIMIT);
        again.put(make, took.map_or(f64::INFINITY, |took| took.as_secs_f64()));
    }
    vec![filled, cpu, again]
}
