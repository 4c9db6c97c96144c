//! Two workers on two cores beside one on the same two, with the load generator on these cores too where there are no others: there
//! all share what there is, and the load is one that leaves the servers the most of it.

use std::path::Path;
use std::time::Duration;

use super::super::bench::{Bench, say};
use super::super::config::Zones;
use super::super::datagrams;
use super::super::figures::{Figure, Goal, median};
use super::super::options::Part;
use super::super::process;
use super::super::server::{Make, Plan, Server};
use super::queries::{self, Run};

/// How much dearer a query may get by noise.
const NOISE: f64 = 1.1;

/// The rows of this part, if it is asked for.
pub(crate) fn measure(bench: &Bench) -> Vec<Figure> {
    if !bench.options.wants(Part::Workers) {
        return Vec::new();
    }
    say("two workers on two cores");
    let file = bench.registry_file();
    let files: [(&str, &Path); 1] = [("example.", &file)];
    process::pin(&bench.beside_cores);
    let mut one = Figure::new("registry, UDP, two cores: one worker kq/s");
    let mut two = Figure::new("registry, UDP, two cores: two workers kq/s");
    let mut gain = Figure::new("two workers / one: kq/s").goals(&[Goal::MoreThan(1.0)]);
    let mut dearer = Figure::new("two workers / one: CPU per query").goals(&[Goal::AtMost(NOISE)]);
    for make in Make::SERVERS {
        let servers = [1, 2].map(|workers| {
            let cores = &bench.both_cores;
            let mut server =
                Server::start(make, Plan { zones: Zones::Files(&files), cores, workers }, &bench.root);
            server.await_zones(&["example."]);
            server.session.settle();
            server
        });
        let mut runs: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..bench.options.fewer_rounds() {
            for (server, runs) in servers.iter().zip(&mut runs) {
                let time = Duration::from_secs(bench.options.seconds.into());
                runs.push(queries::cost(server, || datagrams::run(server.addr, &bench.registry_list, time)));
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
    process::pin(&bench.load_core);
    vec![one, two, gain, dearer]
}
