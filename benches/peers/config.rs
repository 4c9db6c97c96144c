//! The configuration of each server: what it serves, from where, with how many workers; warnings are logged, no more.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::content::Content;

/// What a server is to serve.
#[derive(Clone, Copy)]
pub(crate) enum Zones<'a> {
    /// These as primary, each with its file.
    Files(&'a [(&'a str, &'a Path)]),
    /// This zone as secondary of this server.
    Secondary(&'a str, SocketAddr),
    /// So many small zones as secondary of this server.
    SmallSecondary(usize, SocketAddr),
    /// So many small zones, their files in this folder.
    Small(usize, &'a Path),
    /// None of its own: a cache of what this server says of `flat.`
    Stub(SocketAddr),
}

/// What a configuration needs to know.
pub(crate) struct Setup<'a> {
    /// Where to answer.
    pub(crate) addr: SocketAddr,
    /// Where to take orders, for BIND; where to say how it is, for tidemark with small zones.
    pub(crate) control: SocketAddr,
    /// The server's own folder.
    pub(crate) dir: &'a Path,
    /// What it serves.
    pub(crate) zones: Zones<'a>,
    /// Threads or processes that answer.
    pub(crate) workers: usize,
    /// Cores it may use.
    pub(crate) cores: usize,
}

/// `tidemark.toml`.
pub(crate) fn tidemark(setup: &Setup) -> String {
    let dir = setup.dir.display();
    let mut text = format!(
        "[server]\nlisten = [\"{}\"]\ndata-dir = \"{dir}/state\"\nworkers = {}\n",
        setup.addr, setup.workers
    );
    match setup.zones {
        Zones::Files(files) => files.iter().for_each(|(name, file)| {
            let _ = writeln!(
                text,
                "[[zone]]\nname = \"{name}\"\nfile = \"{}\"\nallow-transfer = [\"127.0.0.0/8\"]",
                file.display()
            );
        }),
        Zones::Secondary(zone, primary) => {
            let _ = writeln!(text, "[[zone]]\nname = \"{zone}\"\nprimaries = [\"{primary}\"]");
        }
        Zones::SmallSecondary(count, primary) => (0..count).for_each(|number| {
            let zone = Content::small_zone(number);
            let _ = writeln!(text, "[[zone]]\nname = \"{zone}\"\nprimaries = [\"{primary}\"]");
        }),
        Zones::Small(_, folder) => {
            let (http, folder) = (setup.control, folder.display());
            let _ = writeln!(text, "http = \"{http}\"\n[[zone-dir]]\npath = \"{folder}\"");
        }
        Zones::Stub(server) => {
            let _ = writeln!(
                text,
                "[resolver]\nmode = \"forward\"\n[[resolver.stub]]\nzone = \"flat.\"\nservers = [\"{server}\"]"
            );
        }
    }
    text
}

/// `nsd.conf`. `xfrd-reload-timeout: 0`: a transfer is served at once.
pub(crate) fn nsd(setup: &Setup) -> String {
    let (ip, port, dir, workers) = (setup.addr.ip(), setup.addr.port(), setup.dir.display(), setup.workers);
    // What it has received it keeps over a restart only in zone files.
    let write = u8::from(matches!(setup.zones, Zones::SmallSecondary(..)));
    let mut text = format!(
        r#"server:
    ip-address: {ip}@{port}
    server-count: {workers}
    reuseport: yes
    minimal-responses: yes
    tcp-count: 1000
    username: ""
    zonesdir: "{dir}"
    database: ""
    pidfile: ""
    xfrdfile: "{dir}/xfrd.state"
    xfrdir: "{dir}"
    zonelistfile: "{dir}/zone.list"
    xfrd-reload-timeout: 0
    zonefiles-write: {write}
    rrl-ratelimit: 0
remote-control:
    control-enable: yes
    control-interface: "{dir}/nsd.sock"
"#
    );
    match setup.zones {
        Zones::Files(files) => files.iter().for_each(|(name, file)| {
            let _ = writeln!(
                text,
                "zone:\n    name: \"{name}\"\n    zonefile: \"{}\"\n    provide-xfr: 127.0.0.0/8 NOKEY",
                file.display()
            );
        }),
        Zones::Secondary(zone, primary) => {
            let _ = writeln!(
                text,
                "zone:\n    name: \"{zone}\"\n    zonefile: \"{zone}zone\"\n    request-xfr: {}@{} NOKEY\n    allow-notify: 127.0.0.0/8 NOKEY",
                primary.ip(),
                primary.port()
            );
        }
        Zones::Small(count, _) | Zones::SmallSecondary(count, _) => {
            // One pattern, and a zone of it in each line.
            let (folder, source) = match setup.zones {
                Zones::Small(_, folder) => (folder, "provide-xfr: 127.0.0.0/8 NOKEY".to_owned()),
                Zones::SmallSecondary(_, primary) => {
                    (setup.dir, format!("request-xfr: {}@{} NOKEY", primary.ip(), primary.port()))
                }
                _ => unreachable!("one of these two"),
            };
            let _ = writeln!(
                text,
                "pattern:\n    name: \"small\"\n    zonefile: \"{}/%s.zone\"\n    {source}",
                folder.display()
            );
            (0..count).for_each(|number| {
                let _ = writeln!(
                    text,
                    "zone:\n    name: \"{}\"\n    include-pattern: \"small\"",
                    Content::small_zone(number).trim_end_matches('.')
                );
            });
        }
        // No cache.
        Zones::Stub(_) => {}
    }
    text
}

/// `knot.conf`. With `zonefile-load: difference` an edit becomes an incremental change, as it does in tidemark.
pub(crate) fn knot(setup: &Setup) -> String {
    let (ip, port, dir, workers) = (setup.addr.ip(), setup.addr.port(), setup.dir.display(), setup.workers);
    let background = setup.cores;
    let mut text = format!(
        r#"server:
    listen: {ip}@{port}
    rundir: "{dir}"
    udp-workers: {workers}
    tcp-workers: {workers}
    background-workers: {background}
control:
    listen: "{dir}/knot.sock"
log:
  - target: stderr
    any: warning
database:
    storage: "{dir}/db"
acl:
  - id: loopback
    address: 127.0.0.0/8
    action: [transfer, notify]
"#
    );
    if let Zones::Secondary(_, primary) | Zones::SmallSecondary(_, primary) = setup.zones {
        let (ip, port) = (primary.ip(), primary.port());
        let _ = writeln!(text, "remote:\n  - id: primary\n    address: {ip}@{port}");
    }
    let load = if let Zones::Small(..) = setup.zones { "whole" } else { "difference" };
    let folder = if let Zones::Small(_, folder) = setup.zones { folder } else { setup.dir };
    let _ = writeln!(
        text,
        "template:\n  - id: default\n    storage: \"{}\"\n    file: \"%s.zone\"\n    acl: loopback\n    semantic-checks: off",
        folder.display()
    );
    match setup.zones {
        Zones::Files(files) => {
            let _ = writeln!(text, "    zonefile-load: {load}\n    zonefile-sync: -1\nzone:");
            files.iter().for_each(|(name, file)| {
                let _ = writeln!(text, "  - domain: {name}\n    file: \"{}\"", file.display());
            });
        }
        Zones::Secondary(zone, _) => {
            let _ = writeln!(text, "zone:\n  - domain: {zone}\n    master: primary");
        }
        Zones::SmallSecondary(count, _) => {
            text.push_str("    master: primary\nzone:\n");
            (0..count).for_each(|number| {
                let _ = writeln!(text, "  - domain: {}", Content::small_zone(number));
            });
        }
        Zones::Small(count, _) => {
            let _ = writeln!(text, "    zonefile-load: {load}\n    zonefile-sync: -1\nzone:");
            (0..count).for_each(|number| {
                let _ = writeln!(text, "  - domain: {}", Content::small_zone(number));
            });
        }
        // No cache.
        Zones::Stub(_) => {}
    }
    text
}

/// `unbound.conf`. Without validation, which none of the others does, and with room for all names.
pub(crate) fn unbound(setup: &Setup) -> String {
    let (ip, port, dir, workers) = (setup.addr.ip(), setup.addr.port(), setup.dir.display(), setup.workers);
    let mut text = format!(
        r#"server:
    interface: {ip}@{port}
    port: {port}
    num-threads: {workers}
    username: ""
    chroot: ""
    directory: "{dir}"
    pidfile: ""
    use-syslog: no
    verbosity: 0
    do-not-query-localhost: no
    module-config: "iterator"
    access-control: 127.0.0.0/8 allow
    so-rcvbuf: 4m
    outgoing-range: 4096
    num-queries-per-thread: 2048
    msg-cache-size: 256m
    rrset-cache-size: 512m
remote-control:
    control-enable: no
"#
    );
    if let Zones::Stub(server) = setup.zones {
        let (ip, port) = (server.ip(), server.port());
        let _ = writeln!(text, "stub-zone:\n    name: \"flat.\"\n    stub-addr: {ip}@{port}");
    }
    text
}

/// `dnsdist.conf`, with a cache of packets.
pub(crate) fn dnsdist(setup: &Setup) -> String {
    let mut text = format!(
        "setLocal(\"{}\")\nsetACL(\"127.0.0.0/8\")\nsetMaxUDPOutstanding(65535)\n\
         getPool(\"\"):setCache(newPacketCache(1000000))\n",
        setup.addr
    );
    if let Zones::Stub(server) = setup.zones {
        let _ = writeln!(text, "newServer({{address=\"{server}\"}})");
    }
    text
}

/// The key of BIND's control channel. It guards nothing: the channel lives on loopback for the length of a run.
const KEY: &str =
    r#"key "rndc" { algorithm hmac-sha256; secret "dGlkZW1hcmsgdGVzdHMgbG9vcGJhY2sgb25seQ=="; };"#;

/// `named.conf`.
pub(crate) fn bind(setup: &Setup) -> String {
    let (ip, port, dir) = (setup.addr.ip(), setup.addr.port(), setup.dir.display());
    let (control_ip, control_port) = (setup.control.ip(), setup.control.port());
    let mut text = format!(
        r#"{KEY}
controls {{ inet {control_ip} port {control_port} allow {{ 127.0.0.0/8; }} keys {{ "rndc"; }}; }};
logging {{ channel err {{ stderr; severity warning; }}; category default {{ err; }}; }};
options {{
    directory "{dir}"; pid-file none; session-keyfile none; lock-file none;
    listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }};
    recursion no; dnssec-validation no; empty-zones-enable no; minimal-responses yes;
    allow-query {{ 127.0.0.0/8; }}; allow-transfer {{ 127.0.0.0/8; }}; allow-notify {{ 127.0.0.0/8; }};
    notify no; tcp-clients 1000; tcp-listen-queue 1000; max-ixfr-ratio unlimited; masterfile-format text;
}};
"#
    );
    match setup.zones {
        Zones::Files(files) => files.iter().for_each(|(name, file)| {
            let _ = writeln!(
                text,
                r#"zone "{name}" {{ type primary; file "{}"; ixfr-from-differences yes; }};"#,
                file.display()
            );
        }),
        Zones::Secondary(zone, primary) => {
            let (ip, port) = (primary.ip(), primary.port());
            let _ = writeln!(
                text,
                r#"zone "{zone}" {{ type secondary; file "{zone}zone"; primaries {{ {ip} port {port}; }}; }};"#
            );
        }
        Zones::SmallSecondary(count, primary) => (0..count).for_each(|number| {
            let (zone, ip, port) = (Content::small_zone(number), primary.ip(), primary.port());
            let _ = writeln!(
                text,
                r#"zone "{zone}" {{ type secondary; file "{zone}zone"; primaries {{ {ip} port {port}; }}; }};"#
            );
        }),
        Zones::Small(count, folder) => (0..count).for_each(|number| {
            let zone = Content::small_zone(number);
            let file = folder.join(format!("{zone}zone"));
            let _ = writeln!(text, r#"zone "{zone}" {{ type primary; file "{}"; }};"#, file.display());
        }),
        // Not measured as a cache.
        Zones::Stub(_) => {}
    }
    text
}

/// `rndc.conf`.
pub(crate) fn rndc(setup: &Setup) -> String {
    let (ip, port) = (setup.control.ip(), setup.control.port());
    format!(r#"{KEY} options {{ default-key "rndc"; default-server {ip}; default-port {port}; }};"#)
}
