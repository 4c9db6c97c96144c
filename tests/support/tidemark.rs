//! tidemark itself, the built program, with a configuration file as a user would write it.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::daemon::{self, Daemon, Reload, words};
use super::zones::{Source, Zone};
use super::{http, metrics, ports};

/// The built program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tidemark");

/// A running node.
pub struct Tidemark {
    /// The server: address, kill, restart, publish.
    pub daemon: Daemon,
    /// Where it answers HTTP.
    pub http: SocketAddr,
}

/// Starts a node on `addr` with `zones`.
pub fn start(addr: SocketAddr, zones: &[Zone]) -> Tidemark {
    start_with(addr, zones, "")
}

/// Starts a cache on `addr` that forwards the names under each zone to the servers beside it.
pub fn start_cache(addr: SocketAddr, stubs: &[(&str, &[SocketAddr])]) -> Tidemark {
    let mut text = String::from("[resolver]\nmode = \"forward\"\nallow = [\"127.0.0.0/8\"]\n");
    for (zone, servers) in stubs {
        writeln!(text, "[[resolver.stub]]\nzone = \"{zone}\"\nservers = {}", list(servers)).unwrap();
    }
    start_with(addr, &[], &text)
}

/// Starts a node with `zones` and further configuration (whole TOML tables) after them.
pub fn start_with(addr: SocketAddr, zones: &[Zone], more: &str) -> Tidemark {
    start_as(addr, zones, "", more)
}

/// The same with further keys in `[server]`.
pub fn start_as(addr: SocketAddr, zones: &[Zone], server: &str, more: &str) -> Tidemark {
    let mut node = prepare(addr, zones, server, more);
    node.daemon.restart();
    node
}

/// Starts a node with `zones` whose clock is so many seconds ahead, by libfaketime. Its monotonic clock is as it is.
pub fn start_ahead(addr: SocketAddr, zones: &[Zone], seconds: u32) -> Tidemark {
    let library = fs::read_dir("/usr/lib").unwrap().flatten();
    let library =
        library.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|path| path.exists());
    let library = library.expect("libfaketime is installed; tests/run installs it");
    let preload = format!("LD_PRELOAD={}", library.display());
    let offset = format!("FAKETIME=+{seconds}s");
    let more = words([&"env", &preload, &offset, &"FAKETIME_DONT_FAKE_MONOTONIC=1"]);
    start_under(addr, zones, more)
}

/// Starts a node with `zones` by another program: by these words and then its own.
pub fn start_under(addr: SocketAddr, zones: &[Zone], words: Vec<OsString>) -> Tidemark {
    let mut node = prepare(addr, zones, "", "");
    node.daemon.precede(words);
    node.daemon.restart();
    node
}

/// Starts a node without waiting for its first answer.
pub fn launch(addr: SocketAddr, zones: &[Zone]) -> Tidemark {
    let mut node = prepare(addr, zones, "", "");
    node.daemon.launch();
    node
}

fn prepare(addr: SocketAddr, zones: &[Zone], server: &str, more: &str) -> Tidemark {
    let dir = daemon::prepare(zones);
    let http = ports::reserve();
    let config = dir.path().join("tidemark.toml");
    fs::write(&config, format!("{}{more}", tidemark_toml(addr, http, zones, server))).unwrap();
    let command = words([&PROGRAM, &"serve", &"--config", &config]);
    Tidemark { daemon: Daemon::new(dir, addr, zones, command, Reload::Watches), http }
}

impl Tidemark {
    /// `/metrics` as text.
    pub fn metrics(&self) -> String {
        let response = http::get(self.http, "/metrics").unwrap();
        assert_eq!(response.status, 200, "/metrics of {}: {}", self.http, response.body);
        response.body
    }

    /// The value of one series, e.g. `metric("tidemark_zone_serial", &[("zone", "example.")])`.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        metrics::value(&self.metrics(), name, labels)
    }

    /// The folder with journals and copies.
    pub fn data_dir(&self) -> PathBuf {
        self.daemon.dir().join("state")
    }

    /// The control socket.
    pub fn control(&self) -> PathBuf {
        self.data_dir().join("tidemark.sock")
    }
}

/// A command of tidemark's, ready for arguments: `command().args(["lag", "example."])`.
pub fn command() -> Command {
    Command::new(PROGRAM)
}

fn tidemark_toml(addr: SocketAddr, http: SocketAddr, zones: &[Zone], server: &str) -> String {
    let mut text = format!(
        "[server]\nlisten = [\"{addr}\"]\nhttp = \"{http}\"\ndata-dir = \"state\"\ncontrol = \"state/tidemark.sock\"\n{server}"
    );
    for zone in zones {
        writeln!(text, "\n[[zone]]\nname = \"{}\"", zone.name).unwrap();
        match &zone.source {
            Source::File(_) => writeln!(text, "file = \"{}\"", zone.file_name()).unwrap(),
            Source::Primaries(primaries) => {
                writeln!(text, "primaries = {}\nlease = \"{}\"", list(primaries), zone.lease).unwrap();
                writeln!(text, "from-secondaries = {}", zone.from_secondaries).unwrap();
            }
        }
        writeln!(text, "allow-transfer = [\"127.0.0.0/8\"]\nnotify = {}", list(&zone.notify)).unwrap();
    }
    text
}

fn list(addrs: &[SocketAddr]) -> String {
    let quoted: Vec<String> = addrs.iter().map(|addr| format!("\"{addr}\"")).collect();
    format!("[{}]", quoted.join(", "))
}
