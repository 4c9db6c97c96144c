//! Knot DNS as primary, secondary, or both.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;

use super::daemon::{self, Daemon, Reload, words};
use super::process::program;
use super::zones::{Source, Zone};

/// Starts `knotd` on `addr` with `zones`.
///
/// As a primary it turns file edits into IXFR; Knot 3.2 sends NOTIFY one second after the change, which cannot be set.
/// As a secondary it accepts NOTIFY from any loopback address.
pub fn start(addr: SocketAddr, zones: &[Zone]) -> Daemon {
    start_with(addr, zones, "", "")
}

/// The same with further lines in the `server` section, and with further sections before the zones.
pub fn start_with(addr: SocketAddr, zones: &[Zone], server: &str, sections: &str) -> Daemon {
    let dir = daemon::prepare(zones);
    // Knot makes the databases in this folder, but not the folder.
    fs::create_dir(dir.path().join("db")).unwrap();
    let config = dir.path().join("knot.conf");
    fs::write(&config, knot_conf(addr, zones, server, sections)).unwrap();
    let socket = dir.path().join("knot.sock");
    let command = words([&program("knotd"), &"-c", &config]);
    // -b: the command ends when the zone is loaded.
    let reload = words([&program("knotc"), &"-s", &socket, &"-b", &"zone-reload"]);
    Daemon::start(dir, addr, zones, command, Reload::Command(reload))
}

fn knot_conf(addr: SocketAddr, zones: &[Zone], server: &str, sections: &str) -> String {
    let mut text = format!(
        r#"server:
    listen: {ip}@{port}
    rundir: "."
    udp-workers: 1
    tcp-workers: 1
    background-workers: 2
{server}control:
    listen: knot.sock
log:
  - target: stderr
    any: info
database:
    storage: "db"
    journal-db-max-size: 100M
acl:
  - id: loopback
    address: 127.0.0.0/8
    action: [transfer, notify]
remote:
"#,
        ip = addr.ip(),
        port = addr.port(),
    );
    // One `remote` per zone and address, named by their numbers.
    for (number, zone) in zones.iter().enumerate() {
        for (kind, addrs) in [("primary", primaries(zone)), ("target", &zone.notify[..])] {
            for (index, to) in addrs.iter().enumerate() {
                writeln!(text, "  - id: {kind}-{number}-{index}").unwrap();
                writeln!(text, "    address: {}@{}\n    via: {}", to.ip(), to.port(), addr.ip()).unwrap();
            }
        }
    }
    text.push_str(sections);
    text.push_str("zone:\n");
    for (number, zone) in zones.iter().enumerate() {
        writeln!(text, "  - domain: {}\n    storage: \".\"\n    file: {}", zone.name, zone.file_name())
            .unwrap();
        writeln!(text, "    acl: loopback\n    semantic-checks: off").unwrap();
        writeln!(text, "    refresh-min-interval: 2\n    retry-min-interval: 1\n    retry-max-interval: 1")
            .unwrap();
        match &zone.source {
            // The file is the truth: compare it with what is served, journal the difference, never write it back.
            Source::File(_) => text.push_str("    zonefile-load: difference\n    zonefile-sync: -1\n"),
            Source::Primaries(_) => list(&mut text, "master", "primary", number, primaries(zone).len()),
        }
        list(&mut text, "notify", "target", number, zone.notify.len());
    }
    text
}

fn primaries(zone: &Zone) -> &[SocketAddr] {
    match &zone.source {
        Source::File(_) => &[],
        Source::Primaries(primaries) => primaries,
    }
}

/// Writes `key: [kind-number-0, kind-number-1]`, or nothing for an empty list.
fn list(text: &mut String, key: &str, kind: &str, number: usize, count: usize) {
    if count > 0 {
        let ids: Vec<String> = (0..count).map(|index| format!("{kind}-{number}-{index}")).collect();
        writeln!(text, "    {key}: [{}]", ids.join(", ")).unwrap();
    }
}
