//! Two workers on two cores beside one on the same two, with the load generator on these cores too where there are no others: there
//! all share what there is.

use std::path::Path;

use super::super::bench::{Bench, say};
use super::super::config::Zones;
use super::super::figures::{Figure, Goal, median};
use super::super::load::Load;
use super::super::options::Part;
use super::super::server::{Make, Plan, Server};
use super::queries::{self, Run};

/// Sockets: enough that the kernel spreads them evenly over two workers.
const CLIENTS: u32 = 64;
/// Queries on their way at a time: enough that no worker has to wait for the other's.
const WINDOW: u32 = 1_000;
/// How much dearer a query may get by noise.
const NOISE: f64 = 1.1;

/// The rows of this part, if it is asked for.
pub(crate) fn measure(bench: &Bench) -> Vec<Figure> {
    if !bench.options.wants(Part::Workers) {
        return Vec::new();
    }
    say("two workers on two cores");
    let file = bench.flat_file();
    let files: [(&str, &Path); 1] = [("flat.", &file)];
    let mut one = Figure::new("flat, UDP, two cores: one worker kq/s");
    let mut two = Figure::new("flat, UDP, two cores: two workers kq/s");
    let mut gain = Figure::new("two workers / one: kq/s").goals(&[Goal::MoreThan(1.0)]);
    let mut dearer = Figure::new("two workers / one: CPU per query").goals(&[Goal::AtMost(NOISE)]);
    for make in Make::SERVERS {
        let servers = [1, 2].map(|workers| {
            let cores = &bench.both_cores;
            let mut server =
                Server::start(make, Plan { zones: Zones::Files(&files), cores, workers }, &bench.root);
            server.await_zones(&["flat."]);
            server.session.settle();
            server
        });
        let mut runs: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..bench.options.fewer_rounds() {
            for (server, runs) in servers.iter().zip(&mut runs) {
                let load = Load {
                    queries: &bench.flat_queries,
                    tcp: false,
                    clients: CLIENTS,
                    window: WINDOW,
                    threads: 2,
                    cores: &bench.beside_cores,
                    seconds: bench.options.seconds,
                };
                runs.push(queries::run(server, load, &bench.load_folder));
            }
        }
        let middle = |runs: &[Run], value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
        let rates = [middle(&runs[0], |run| run.rate), middle(&runs[1], |run| run.rate)];
        let costs =
            [middle(&runs[0], |run| run.user + run.system), middle(&runs[1], |run| run.user + run.system)];
        one.put(make, rates[0]);
        two.put(make, rates[1]);
        gain.put(make, rates[1] / rates[0]);
        dearer.put(make, costs[1] / costs[0]);
    }
    vec![one, two, gain, dearer]
}
