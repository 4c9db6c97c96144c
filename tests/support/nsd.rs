//! NSD as primary, secondary, or both.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;

use super::daemon::{self, Daemon, Reload, words};
use super::process::program;
use super::zones::{Source, Zone};

/// Starts `nsd` on `addr` with `zones`.
///
/// As a primary it turns file edits into IXFR (`store-ixfr`, `create-ixfr`); as a secondary it accepts NOTIFY from any
/// loopback address and tries again every second.
pub fn start(addr: SocketAddr, zones: &[Zone]) -> Daemon {
    start_with(addr, zones, "")
}

/// The same with these lines in the `server` clause, each indented by four spaces and with its line end.
pub fn start_with(addr: SocketAddr, zones: &[Zone], options: &str) -> Daemon {
    let dir = daemon::prepare(zones);
    let config = dir.path().join("nsd.conf");
    fs::write(&config, nsd_conf(addr, &dir.path().display().to_string(), zones, options)).unwrap();
    let command = words([&program("nsd"), &"-d", &"-c", &config]);
    let reload = words([&program("nsd-control"), &"-c", &config, &"reload"]);
    Daemon::start(dir, addr, zones, command, Reload::Command(reload))
}

fn nsd_conf(addr: SocketAddr, dir: &str, zones: &[Zone], options: &str) -> String {
    let (ip, port) = (addr.ip(), addr.port());
    let mut text = format!(
        r#"server:
    ip-address: {ip}@{port}
    server-count: 1
    username: ""
    zonesdir: "{dir}"
    database: ""
    pidfile: ""
    xfrdfile: "{dir}/xfrd.state"
    xfrdir: "{dir}"
    zonelistfile: "{dir}/zone.list"
    verbosity: 2
    xfrd-reload-timeout: 0
    rrl-ratelimit: 0
{options}remote-control:
    control-enable: yes
    control-interface: "{dir}/nsd.sock"
"#
    );
    for zone in zones {
        writeln!(text, "zone:\n    name: \"{}\"\n    zonefile: \"{}\"", zone.name, zone.file_name()).unwrap();
        writeln!(text, "    provide-xfr: 127.0.0.0/8 NOKEY\n    outgoing-interface: {ip}").unwrap();
        writeln!(text, "    store-ixfr: yes").unwrap();
        match &zone.source {
            Source::File(_) => text.push_str("    create-ixfr: yes\n"),
            Source::Primaries(primaries) => {
                writeln!(text, "    allow-notify: 127.0.0.0/8 NOKEY").unwrap();
                writeln!(text, "    min-refresh-time: 1\n    min-retry-time: 1\n    max-retry-time: 1")
                    .unwrap();
                for primary in primaries {
                    writeln!(text, "    request-xfr: {}@{} NOKEY", primary.ip(), primary.port()).unwrap();
                }
            }
        }
        for target in &zone.notify {
            writeln!(text, "    notify: {}@{} NOKEY", target.ip(), target.port()).unwrap();
        }
    }
    text
}
