//! BIND as primary, secondary, or both.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::daemon::{self, Daemon, Reload, words};
use super::ports;
use super::process::program;
use super::zones::{Source, Zone};

/// The key of the control channel. It guards nothing: the channel lives on loopback for the length of one test.
const KEY: &str =
    r#"key "rndc" { algorithm hmac-sha256; secret "dGlkZW1hcmsgdGVzdHMgbG9vcGJhY2sgb25seQ=="; };"#;

/// Starts `named` on `addr` with `zones`.
///
/// As a primary it turns file edits into IXFR and sends NOTIFY at once; as a secondary it accepts NOTIFY from any
/// loopback address and, left to itself, tries again every second.
pub fn start(addr: SocketAddr, zones: &[Zone]) -> Daemon {
    start_with(addr, zones, "minimal-responses yes;")
}

/// The same with these statements in the `options` block, instead of minimal responses.
pub fn start_with(addr: SocketAddr, zones: &[Zone], options: &str) -> Daemon {
    start_as(addr, zones, options, "")
}

/// The same with further blocks after all others.
pub fn start_as(addr: SocketAddr, zones: &[Zone], options: &str, blocks: &str) -> Daemon {
    let dir = daemon::prepare(zones);
    let control = ports::reserve();
    let config = dir.path().join("named.conf");
    fs::write(&config, named_conf(addr, control, zones, options) + blocks).unwrap();
    let rndc_conf = dir.path().join("rndc.conf");
    fs::write(&rndc_conf, rndc_conf_text(control)).unwrap();
    // In the foreground, logging to stderr, with one worker: `-g` is `-f` with the log.
    let command = words([&unconfined("named", dir.path()), &"-g", &"-n", &"1", &"-c", &config]);
    let reload = words([&program("rndc"), &"-c", &rndc_conf, &"reload"]);
    Daemon::start(dir, addr, zones, command, Reload::Command(reload))
}

fn named_conf(addr: SocketAddr, control: SocketAddr, zones: &[Zone], options: &str) -> String {
    let (ip, port) = (addr.ip(), addr.port());
    let mut text = format!(
        r#"{KEY}
controls {{ inet {control_ip} port {control_port} allow {{ 127.0.0.0/8; }} keys {{ "rndc"; }}; }};
options {{
    directory "."; pid-file none; session-keyfile none; lock-file none;
    listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }};
    query-source {ip}; notify-source {ip}; transfer-source {ip};
    recursion no; dnssec-validation no; empty-zones-enable no;
    {options}
    allow-query {{ 127.0.0.0/8; }}; allow-transfer {{ 127.0.0.0/8; }}; allow-notify {{ 127.0.0.0/8; }};
    notify explicit; notify-delay 0; notify-rate 1000; startup-notify-rate 1000; serial-query-rate 1000;
    ixfr-from-differences yes; max-ixfr-ratio unlimited; request-expire yes;
    min-refresh-time 1; min-retry-time 1; max-retry-time 1;
    masterfile-format text;
}};
"#,
        control_ip = control.ip(),
        control_port = control.port(),
    );
    for zone in zones {
        let (name, file) = (&zone.name, zone.file_name());
        let role = match &zone.source {
            Source::File(_) => "type primary;".to_owned(),
            Source::Primaries(primaries) => format!("type secondary; primaries {{ {}}};", list(primaries)),
        };
        let notify = list(&zone.notify);
        writeln!(text, r#"zone "{name}" {{ {role} file "{file}"; also-notify {{ {notify}}}; }};"#).unwrap();
    }
    text
}

fn rndc_conf_text(control: SocketAddr) -> String {
    let (ip, port) = (control.ip(), control.port());
    format!(r#"{KEY} options {{ default-key "rndc"; default-server {ip}; default-port {port}; }};"#)
}

fn list(addrs: &[SocketAddr]) -> String {
    addrs.iter().fold(String::new(), |mut text, addr| {
        write!(text, "{} port {}; ", addr.ip(), addr.port()).unwrap();
        text
    })
}

/// The program, or a copy of it where AppArmor is on: Debian's profile for `/usr/sbin/named` forbids it to read
/// temporary folders, and binds the path, not the program.
fn unconfined(name: &str, dir: &Path) -> OsString {
    let original: PathBuf = program(name);
    let apparmor = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    if apparmor.trim() != "Y" {
        return original.into();
    }
    let copy = dir.join(name);
    fs::copy(original, &copy).unwrap();
    copy.into()
}
