//! Where tidemark's time in user space goes: the functions that samples fall into while it answers at full speed.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::super::bench::{Bench, say};
use super::super::config::Zones;
use super::super::load::Load;
use super::super::machine::program;
use super::super::options::Part;
use super::super::process::Session;
use super::super::server::{Make, Plan, Server};
use super::queries;

/// Samples a second: a prime number, so that nothing regular in the server hides between them.
const SAMPLES: &str = "1999";
/// Functions with less than this share of the samples are summed up.
const SHOWN: f64 = 1.0;
/// How long `perf` may take to write its samples.
const WRITING: Duration = Duration::from_secs(20);

/// Text that tells it for both zones; empty when it is not asked for or `perf` is not installed.
pub(crate) fn measure(bench: &Bench) -> String {
    if !bench.options.wants(Part::Profile) {
        return String::new();
    }
    let Some(perf) = program("perf") else {
        say("perf is not installed: where tidemark's time goes is not shown (apt-get install linux-perf)");
        return String::new();
    };
    say("where tidemark's time goes");
    let (flat, registry) = (bench.flat_file(), bench.registry_file());
    let files: [(&str, &Path); 2] = [("flat.", &flat), ("example.", &registry)];
    let plan = Plan { zones: Zones::Files(&files), cores: &bench.server_core, workers: 1 };
    let mut server = Server::start(Make::Tidemark, plan, &bench.root);
    server.await_zones(&["flat.", "example."]);
    server.session.settle();
    let mut text = String::new();
    for (zone, queries) in [("flat", &bench.flat_queries), ("registry", &bench.registry_queries)] {
        let samples = bench.load_folder.join("samples");
        let seconds = bench.options.seconds;
        let load = Load {
            queries,
            tcp: false,
            clients: queries::CLIENTS,
            window: queries::WINDOW,
            cores: &bench.load_core,
            seconds,
            extra: &[],
        };
        let mut record = Command::new(&perf);
        record.args(["record", "-e", "cpu-clock:u", "-F", SAMPLES, "-p", &server.session.id().to_string()]);
        record.arg("-o").arg(&samples).args(["--", "sleep", &seconds.to_string()]);
        let recording = Session::start(record, &bench.load_core, &bench.load_folder.join("perf.log"));
        // dnsperf takes as long as the recording; a moment of either without the other changes no share.
        let run = queries::run(&server, load, &bench.load_folder);
        recording.wait(WRITING);
        let _ = writeln!(text, "{:.2} us/query in user space, {zone}:", run.user);
        text += &functions(&perf, &samples, run.user);
    }
    text
}

fn functions(perf: &Path, samples: &Path, user: f64) -> String {
    let mut report = Command::new(perf);
    // The workers alone: what was read may still be on its way into the journal.
    report.args(["report", "--stdio", "--no-children", "-s", "symbol", "--comms", "udp"]);
    report.args(["--percentage", "relative", "-i"]).arg(samples);
    let output = report.output().unwrap();
    let mut text = String::new();
    let mut rest = 0.0;
    // `    12.34%  [.] tidemark::answer::respond::answer`
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((share, symbol)) = line.trim().split_once('%') else { continue };
        let Ok(share) = share.parse::<f64>() else { continue };
        if share < SHOWN {
            rest += share;
            continue;
        }
        // After the symbol perf may have columns that only some processors fill.
        let symbol = symbol.trim().trim_start_matches("[.]").trim_end_matches([' ', '-']).trim();
        let _ = writeln!(text, "{:8.3} us {share:5.1} %  {symbol}", share / 100.0 * user);
    }
    let _ = writeln!(text, "{:8.3} us {rest:5.1} %  all others", rest / 100.0 * user);
    text
}
