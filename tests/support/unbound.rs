//! Unbound as a secondary: a local copy of a zone, answered from with authority.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;

use super::daemon::{self, Daemon, Reload, words};
use super::process::program;
use super::zones::{Source, Zone};

/// Starts `unbound` on `addr` with `zones`, which have primaries; it takes NOTIFY from any loopback address.
pub fn start(addr: SocketAddr, zones: &[Zone]) -> Daemon {
    let dir = daemon::prepare(zones);
    let config = dir.path().join("unbound.conf");
    fs::write(&config, unbound_conf(addr, &dir.path().display().to_string(), zones)).unwrap();
    let command = words([&program("unbound"), &"-d", &"-c", &config]);
    Daemon::start(dir, addr, zones, command, Reload::Watches)
}

fn unbound_conf(addr: SocketAddr, dir: &str, zones: &[Zone]) -> String {
    let (ip, port) = (addr.ip(), addr.port());
    let mut text = format!(
        r#"server:
    interface: {ip}
    port: {port}
    directory: "{dir}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    num-threads: 1
    verbosity: 1
    do-not-query-localhost: no
    module-config: "iterator"
    access-control: 127.0.0.0/8 allow
remote-control:
    control-enable: no
"#
    );
    for zone in zones {
        let Source::Primaries(primaries) = &zone.source else { panic!("{} has no primaries", zone.name) };
        writeln!(text, "auth-zone:\n    name: \"{}\"\n    zonefile: \"{}\"", zone.name, zone.file_name())
            .unwrap();
        writeln!(text, "    for-downstream: yes\n    for-upstream: no\n    allow-notify: 127.0.0.0/8")
            .unwrap();
        for primary in primaries {
            writeln!(text, "    primary: {}@{}", primary.ip(), primary.port()).unwrap();
        }
    }
    text
}
