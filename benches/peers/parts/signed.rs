//! CPU per query of signed zones, asked as resolvers ask: a flat one proved by NSEC, one by NSEC3 with opt-out, and a registry's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::bench::{Bench, say};
use super::super::config::Zones;
use super::super::content::{self, Kind};
use super::super::figures::{Figure, Goal};
use super::super::machine::program;
use super::super::options::Part;
use super::super::server::{Make, Plan, Server};
use super::queries::{self, Way};

/// A zone, whether it is shaped like a registry's, how `dnssec-signzone` is to deny names, and what is asked of it.
const ZONES: [(&str, bool, &[&str], [Kind; 3]); 3] = [
    ("nsec.", false, &[], [Kind::Positive, Kind::NoName, Kind::NoData]),
    ("optout.", false, &OPT_OUT, [Kind::Positive, Kind::NoName, Kind::NoData]),
    ("tld.", true, &OPT_OUT, [Kind::Referral, Kind::NoName, Kind::NoDs]),
];
/// NSEC3 without salt and further rounds (RFC 9276), with opt-out.
const OPT_OUT: [&str; 5] = ["-3", "-", "-H", "0", "-A"];
/// The servers compared: those that are as quick.
const SERVERS: [Make; 3] = [Make::Tidemark, Make::Nsd, Make::Knot];

/// The rows of this part, if it is asked for.
pub(crate) fn measure(bench: &Bench) -> Vec<Figure> {
    if !bench.options.wants(Part::Signed) {
        return Vec::new();
    }
    say("signing zones");
    let folder = bench.root.join("signed");
    fs::create_dir(&folder).unwrap();
    let files = ZONES.map(|(zone, is_registry, options, _)| {
        let text = bench.content.unsigned(zone, is_registry);
        (zone, sign(&folder, zone, &text, options))
    });
    let files = files.each_ref().map(|(zone, file)| (*zone, file.as_path()));
    let plan = Plan { zones: Zones::Files(&files), cores: &bench.server_core, workers: 1 };
    let servers = SERVERS.map(|make| {
        let mut server = Server::start(make, plan, &bench.root);
        server.await_zones(&ZONES.map(|(zone, ..)| zone));
        server.session.settle();
        server
    });
    let goals = [Goal::Times(0.55, Make::Nsd), Goal::Times(0.6, Make::Knot)];
    let user = [Goal::Times(0.6, Make::Knot)];
    let mut figures = Vec::new();
    for (zone, _, _, kinds) in ZONES {
        for kind in kinds {
            let list = bench.content.signed_queries(zone, kind);
            queries::agree(&servers, zone, &list);
            let file = bench.root.join("signed.queries");
            content::write_queries(&file, &list);
            let what = format!("signed, {zone} {kind:?}");
            figures.extend(queries::rounds(bench, &servers, &what, Way::Resolvers(&file), &goals, &user));
        }
    }
    figures
}

/// Signs a zone with a key of its own; returns the file.
fn sign(folder: &Path, zone: &str, text: &str, options: &[&str]) -> PathBuf {
    let (plain, signed) = (folder.join(format!("{zone}plain")), folder.join(format!("{zone}zone")));
    fs::write(&plain, text).unwrap();
    let run = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(program(name).unwrap_or_default());
        command.current_dir(folder).args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run("dnssec-keygen", &["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", zone]);
    let (plain, signed_name) = (plain.to_str().unwrap(), signed.to_str().unwrap());
    // One key for all (-z), no further check of each signature (-P).
    let fixed = ["-q", "-S", "-z", "-P", "-o", zone, "-f", signed_name];
    run("dnssec-signzone", &[&fixed[..], options, &[plain]].concat());
    signed
}
