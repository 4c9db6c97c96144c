//! Caches side by side: what an answer from the cache costs, plainly asked and as resolvers ask, and what one costs that an
//! authoritative server has to be asked for.

use std::path::Path;

use super::super::bench::{Bench, say};
use super::super::config::Zones;
use super::super::figures::{Figure, Goal, median};
use super::super::load::{LIKE_RESOLVERS, Load};
use super::super::options::Part;
use super::super::server::{Make, Plan, Server};
use super::queries::{self, CLIENTS, Run, WINDOW};

/// Each query once.
const ONCE: [&str; 2] = ["-n", "1"];
/// How long asking each name once may take, in seconds.
const ALL_NAMES: u32 = 60;

/// The rows of this part, if it is asked for.
pub(crate) fn measure(bench: &Bench) -> Vec<Figure> {
    if !bench.options.wants(Part::Cache) {
        return Vec::new();
    }
    let file = bench.flat_file();
    let files: [(&str, &Path); 1] = [("flat.", &file)];
    // None of those measured, and beside the load: what it uses counts for nobody.
    let plan = Plan { zones: Zones::Files(&files), cores: &bench.load_core, workers: 1 };
    let mut authority = Server::start(Make::Nsd, plan, &bench.root);
    authority.await_zones(&["flat."]);
    let start = |make| {
        let zones = Zones::Stub(authority.addr);
        let plan = Plan { zones, cores: &bench.server_core, workers: 1 };
        let mut server = Server::start(make, plan, &bench.root);
        server.await_cache("flat.");
        server.session.settle();
        server
    };
    let run = |server: &Server, queries: &Path, seconds, extra: &[&str]| {
        let cores = &bench.load_core;
        let load = Load { queries, tcp: false, clients: CLIENTS, window: WINDOW, cores, seconds, extra };
        queries::run(server, load, &bench.load_folder)
    };
    let mut figures = Vec::new();
    let caches = Make::CACHES.map(start);
    for (what, extra) in [("plain", &[][..]), ("DO and cookie", &LIKE_RESOLVERS[..])] {
        say(&format!("CPU per query, cache, hit, {what}"));
        for server in &caches {
            run(server, &bench.few_queries, ALL_NAMES, &[extra, &ONCE].concat());
        }
        let mut runs: [Vec<Run>; 3] = Default::default();
        for _ in 0..bench.options.rounds {
            for (server, runs) in caches.iter().zip(&mut runs) {
                runs.push(run(server, &bench.few_queries, bench.options.seconds, extra));
            }
        }
        let goals = [Goal::Times(0.6, Make::Unbound), Goal::Times(0.6, Make::Dnsdist)];
        figures.extend(rows(&format!("cache, hit, {what}"), &runs, &goals));
    }
    drop(caches);
    say("CPU per query, cache, each name once");
    let mut runs: [Vec<Run>; 3] = Default::default();
    for _ in 0..bench.options.fewer_rounds() {
        for (make, runs) in Make::CACHES.into_iter().zip(&mut runs) {
            runs.push(run(&start(make), &bench.each_name, ALL_NAMES, &ONCE));
        }
    }
    figures.extend(rows("cache, miss, one server to ask", &runs, &[Goal::Times(0.8, Make::Unbound)]));
    figures
}

fn rows(what: &str, runs: &[Vec<Run>; 3], goals: &[Goal]) -> Vec<Figure> {
    let row = |unit: &str, goals: &[Goal], value: fn(&Run) -> f64| {
        let mut row = Figure::of(&Make::CACHES, format!("{what}: {unit}")).goals(goals);
        for (make, runs) in Make::CACHES.into_iter().zip(runs) {
            row.put(make, median(runs.iter().map(value).collect()));
        }
        row
    };
    vec![
        row("CPU us/query", goals, |run| run.user + run.system),
        row("user us/query", &[], |run| run.user),
        row("kernel us/query", &[], |run| run.system),
    ]
}
