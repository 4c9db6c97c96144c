//! tidemark, NSD, Knot and BIND side by side, on this machine, in one run; as a cache, tidemark, Unbound and dnsdist.
//!
//! ```text
//! cargo bench --bench peers                                   # everything, about twenty minutes
//! cargo bench --bench peers -- --only flat,registry --rounds 5
//! cargo bench --bench peers -- --help
//! ```
//!
//! A server is pinned to one core, with one worker; dnsperf and this program run on another. CPU per query is the time that
//! all processes of the server used during a run, from `/proc/PID/stat`, over the queries answered; the servers take turns, and
//! the median of the rounds counts. Memory is the proportional set size. `echo` is a loop of recvmmsg and sendmmsg that
//! answers without looking: the floor. Machines differ, and so do hours: what counts is the ratio within one run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot go on may end")]

mod bench;
mod config;
mod content;
mod datagrams;
mod dns;
mod echo;
mod figures;
mod load;
mod machine;
mod options;
mod parts;
mod primary;
mod process;
mod report;
mod server;
mod streams;
#[path = "../../tests/support/mod.rs"]
mod support;
mod verdict;
mod watch;

use std::time::Instant;

use clap::Parser as _;

use bench::{Bench, say};
use figures::Figure;
use options::Options;

/// The first argument of the process that is the floor, before its address.
const ECHO: &str = "echo-server";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, addr] = &arguments[..]
        && word == ECHO
    {
        echo::serve(addr.parse().unwrap());
    }
    let options = Options::parse();
    let cores = process::cores();
    if let Some(missing) = machine::missing(&cores) {
        eprintln!("error: {missing}");
        std::process::exit(2);
    }
    if options.nice != 0 {
        process::set_nice(options.nice);
    }
    let begun = Instant::now();
    let folder = tempfile::Builder::new().prefix("tidemark-bench-").tempdir().unwrap();
    process::clean_up_when_interrupted(folder.path());
    // Everything but the servers stays off the servers' core.
    process::pin(&cores[1..2]);
    say("generating the zones");
    let bench = Bench::new(options, &cores, folder.path());
    let steps = [
        parts::queries::measure,
        parts::signed::measure,
        parts::cache::measure,
        parts::starts::measure,
        parts::changes::measure,
        parts::sizes::measure,
        parts::transfers::measure,
        parts::watching::measure,
        parts::workers::measure,
    ];
    // What has been measured is shown at once: a later part may fail.
    let shown = |figures: Vec<Figure>| {
        if !figures.is_empty() {
            say(&format!("so far:\n{}", figures::table(&figures)));
        }
        figures
    };
    let figures: Vec<Figure> = steps.iter().flat_map(|measure| shown(measure(&bench))).collect();
    let profile = parts::profile::measure(&bench);
    report::report(&bench, &cores, &figures, &profile, begun.elapsed());
}
