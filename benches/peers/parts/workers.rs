//! Two workers on two cores, with the load generator on the same cores where there are no others.

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
    let setups =
        [(1, &bench.server_core[..], &bench.load_core[..]), (2, &bench.both_cores, &bench.both_cores)];
    let mut one = Figure::new("flat, UDP: one worker on one core kq/s");
    let mut two = Figure::new("flat, UDP: two workers on two cores kq/s");
    let mut gain = Figure::new("two workers / one: kq/s").goals(&[Goal::MoreThan(1.0)]);
    let mut dearer = Figure::new("two workers / one: CPU per query").goals(&[Goal::AtMost(NOISE)]);
    for make in Make::SERVERS {
        let servers = setups.map(|(workers, cores, _)| {
            let mut server =
                Server::start(make, Plan { zones: Zones::Files(&files), cores, workers }, &bench.root);
            server.await_zones(&["flat."]);
            server.session.settle();
            server
        });
        let mut runs: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..bench.options.fewer_rounds() {
            for ((server, runs), (workers, _, cores)) in servers.iter().zip(&mut runs).zip(setups) {
                let load = Load {
                    queries: &bench.flat_queries,
                    clients: CLIENTS,
                    threads: workers,
                    cores,
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
