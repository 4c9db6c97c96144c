//! CPU per query, throughput and memory: all servers run at once with both zones, and are asked in turn.

use std::path::Path;
use std::time::Duration;

use super::super::bench::{Bench, say};
use super::super::config::Zones;
use super::super::content::Query;
use super::super::dns::{self, Gist};
use super::super::figures::{Figure, Goal, median};
use super::super::load::{self, Count, LIKE_RESOLVERS, Load};
use super::super::options::Part;
use super::super::process::Cpu;
use super::super::server::{Make, Plan, Server};
use super::super::streams::{CONNECTIONS, Streams};

/// Sockets of dnsperf.
pub(crate) const CLIENTS: u32 = 8;
/// Queries on their way at a time.
pub(crate) const WINDOW: u32 = 200;
/// How many queries of each kind all servers have to answer alike before any time is taken.
const COMPARED: usize = 300;
/// How long one of these may take.
const ANSWER: Duration = Duration::from_secs(2);
/// The share of queries that may stay unanswered under full load before it is told.
const LOST: f64 = 0.01;

/// One run of dnsperf, with what the server used meanwhile.
pub(crate) struct Run {
    /// Microseconds a query in user space.
    pub(crate) user: f64,
    /// Microseconds a query in the kernel.
    pub(crate) system: f64,
    /// Unanswered queries for each one answered.
    lost: f64,
    /// Thousands of queries a second.
    pub(crate) rate: f64,
}

/// The rows of these parts, as far as they are asked for.
pub(crate) fn measure(bench: &Bench) -> Vec<Figure> {
    let wants = |part| bench.options.wants(part);
    let mut figures = Vec::new();
    if ![Part::Flat, Part::Registry, Part::Signed, Part::Tcp, Part::Memory].into_iter().any(wants) {
        return figures;
    }
    say("starting all servers with both zones");
    let mut servers = start_all(bench);
    agree(&servers, "flat.", &bench.flat_list);
    agree(&servers, "example.", &bench.registry_list);
    servers.iter().for_each(|server| server.session.settle());
    if wants(Part::Memory) {
        let mut row = Figure::new("memory, both zones loaded (PSS, MB)")
            .goals(&[Goal::Times(0.8, Make::Nsd), Goal::Times(0.8, Make::Knot)]);
        for server in &servers {
            row.put(server.make, server.session.memory() as f64 / 1e6);
        }
        figures.push(row);
    }
    let echo = Plan { zones: Zones::Files(&[]), cores: &bench.server_core, workers: 1 };
    servers.push(Server::start(Make::Echo, echo, &bench.root));
    let (nsd, knot) = (Goal::Times(0.8, Make::Nsd), Goal::Times(0.7, Make::Knot));
    let user = [Goal::Times(0.4, Make::Nsd)];
    if wants(Part::Flat) {
        let goals = [nsd, knot, Goal::Times(1.2, Make::Echo)];
        figures.extend(rounds(bench, &servers, "flat", Way::Udp(&bench.flat_queries), &goals, &user));
    }
    if wants(Part::Registry) {
        let way = Way::Udp(&bench.registry_queries);
        figures.extend(rounds(bench, &servers, "registry", way, &[nsd, knot], &user));
    }
    if wants(Part::Signed) {
        // What resolvers ask these zones, which are not signed.
        let goals = [Goal::Times(0.7, Make::Nsd), Goal::Times(0.65, Make::Knot)];
        figures.extend(rounds(bench, &servers, "flat", Way::Resolvers(&bench.flat_queries), &goals, &[]));
        figures.extend(rounds(
            bench,
            &servers,
            "registry",
            Way::Resolvers(&bench.registry_queries),
            &goals,
            &[],
        ));
    }
    // The floor has no connections.
    servers.pop();
    if wants(Part::Tcp) {
        let goals = [Goal::Times(0.85, Make::Knot)];
        for (zone, way) in [
            ("flat", Way::Tcp(&bench.flat_queries)),
            ("registry", Way::Tcp(&bench.registry_queries)),
            ("registry", Way::Streams(&bench.registry_list)),
        ] {
            figures.extend(rounds(bench, &servers, zone, way, &goals, &[]));
        }
        // Most of the time each query comes alone: what is saved by taking several at once is not saved here.
        let (way, goals) = (Way::Paced(&bench.flat_list), [Goal::Times(1.0, Make::Knot)]);
        figures.extend(rounds(bench, &servers, "flat", way, &goals, &[]));
    }
    figures
}

/// One run of dnsperf against a server, and what it cost the server.
pub(crate) fn run(server: &Server, load: Load, folder: &Path) -> Run {
    cost(server, || load::run(server.addr, load, folder))
}

/// What answering a load cost a server.
pub(crate) fn cost(server: &Server, load: impl FnOnce() -> Count) -> Run {
    let before = server.session.cpu();
    let count = load();
    let used = server.session.cpu().since(before);
    complain(server.make, &count);
    let each = |seconds: f64| seconds * 1e6 / count.answered.max(1) as f64;
    let Cpu { user, system } = used;
    Run {
        user: each(user),
        system: each(system),
        lost: count.lost as f64 / count.answered.max(1) as f64,
        rate: count.per_second / 1e3,
    }
}

fn complain(make: Make, count: &Count) {
    if count.lost as f64 > LOST * count.answered as f64 {
        say(&format!("note: {} left {} of {} queries unanswered", make.name(), count.lost, count.answered));
    }
    assert!(count.answered > 0 && count.valid > 0.999, "{} gave errors: {count:?}", make.name());
}

fn start_all(bench: &Bench) -> Vec<Server> {
    let (flat, registry) = (bench.flat_file(), bench.registry_file());
    let files: [(&str, &Path); 2] = [("flat.", &flat), ("example.", &registry)];
    let plan = Plan { zones: Zones::Files(&files), cores: &bench.server_core, workers: 1 };
    let start = |make| {
        let mut server = Server::start(make, plan, &bench.root);
        server.await_zones(&["flat.", "example."]);
        server
    };
    Make::SERVERS.map(start).into()
}

/// All servers have to say the same before it is measured how fast they say it.
pub(crate) fn agree(servers: &[Server], zone: &str, queries: &[Query]) {
    for (name, rtype) in &queries[..COMPARED] {
        let mut question = dns::query(1, name, *rtype, true);
        // DO: of a signed zone the proofs have to be alike too.
        *question.iter_mut().nth_back(3).unwrap() |= 0x80;
        let gists: Vec<Option<Gist>> = servers
            .iter()
            .map(|server| dns::ask(server.addr, &question, ANSWER).and_then(|reply| dns::gist(&reply)))
            .collect();
        let same = gists.windows(2).all(|pair| pair[0].is_some() && pair[0] == pair[1]);
        assert!(same, "{zone}: the servers answer {name} {rtype} differently: {gists:#?}");
    }
}

/// A run over TCP in which this share of the queries stayed unanswered had connections that were half open: it is done again ...
const HALF_OPEN: f64 = 0.01;
/// ... so often at most.
const TRIES: u32 = 3;

/// How often one that has time to spare is asked.
const PACE: Duration = Duration::from_micros(100);

/// How a server is asked.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// By dnsperf, with the queries in this file.
    Udp(&'a Path),
    /// The same with what resolvers add to them.
    Resolvers(&'a Path),
    /// The same over connections that stay.
    Tcp(&'a Path),
    /// Over connections that stay, faster than the server can answer.
    Streams(&'a [Query]),
    /// The same at [`PACE`].
    Paced(&'a [Query]),
}

impl Way<'_> {
    fn name(self) -> String {
        match self {
            Way::Udp(_) => "UDP".to_owned(),
            Way::Resolvers(_) => "UDP, DO and cookie".to_owned(),
            Way::Tcp(_) => format!("TCP, {CONNECTIONS} connections"),
            Way::Streams(_) => "TCP, server saturated".to_owned(),
            Way::Paced(_) => format!("TCP, {CONNECTIONS} connections, one query in {PACE:?}"),
        }
    }

    fn run(self, bench: &Bench, server: &Server, seconds: u32) -> Run {
        match self {
            Way::Udp(queries) | Way::Resolvers(queries) | Way::Tcp(queries) => {
                let tcp = matches!(self, Way::Tcp(_));
                let extra = if matches!(self, Way::Resolvers(_)) { &LIKE_RESOLVERS[..] } else { &[] };
                let clients = if tcp { CONNECTIONS as u32 } else { CLIENTS };
                let cores = &bench.load_core;
                let load = Load { queries, tcp, clients, window: WINDOW, cores, seconds, extra };
                let mut best = run(server, load, &bench.load_folder);
                for _ in 1..TRIES {
                    if tcp && best.lost > HALF_OPEN {
                        best = run(server, load, &bench.load_folder);
                    }
                }
                best
            }
            Way::Streams(queries) | Way::Paced(queries) => {
                let pause = if matches!(self, Way::Paced(_)) { PACE } else { Duration::ZERO };
                let mut streams = Streams::open(server.addr, queries);
                cost(server, || streams.run(Duration::from_secs(seconds.into()), pause))
            }
        }
    }
}

/// Rows for one zone and transport: the servers in turn, several times over, and the median of each.
pub(crate) fn rounds(
    bench: &Bench,
    servers: &[Server],
    zone: &str,
    way: Way,
    goals: &[Goal],
    user_goals: &[Goal],
) -> Vec<Figure> {
    say(&format!("CPU per query, {zone}, {}", way.name()));
    let mut runs: Vec<Vec<Run>> = servers.iter().map(|_| Vec::new()).collect();
    // To warm up.
    for server in servers {
        way.run(bench, server, 1);
    }
    let udp = matches!(way, Way::Udp(_));
    let count = if udp { bench.options.rounds } else { bench.options.fewer_rounds() };
    for _ in 0..count {
        for (server, runs) in servers.iter().zip(&mut runs) {
            runs.push(way.run(bench, server, bench.options.seconds));
        }
    }
    let row = |what: &str, goals: &[Goal], value: fn(&Run) -> f64| {
        let mut row = Figure::new(format!("{zone}, {}: {what}", way.name())).goals(goals);
        for (server, runs) in servers.iter().zip(&runs) {
            row.put(server.make, median(runs.iter().map(value).collect()));
        }
        row
    };
    let mut rows = vec![
        row("CPU us/query", goals, |run| run.user + run.system),
        row("user us/query", user_goals, |run| run.user),
        row("kernel us/query", &[], |run| run.system),
    ];
    // Over TCP dnsperf is the slower one: how much it got through says nothing of the server.
    if !matches!(way, Way::Tcp(_) | Way::Paced(_)) {
        rows.push(row("answered kq/s", &[], |run| run.rate));
    }
    rows
}
