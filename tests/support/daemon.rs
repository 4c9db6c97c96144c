//! A DNS server under test, whatever its make: start, stop, crash, restart with the same state, edit a zone.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::await_until::await_until;
use super::process::{self, Process};
use super::soa;
use super::zones::{self, Source, Zone};

/// How long a server may take from its start to its first answer; seconds only when the machine is busy.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A server in a folder of its own. It dies with this value.
pub struct Daemon {
    /// Where it answers DNS, UDP and TCP.
    pub addr: SocketAddr,
    process: Option<Process>,
    command: Vec<OsString>,
    reload: Reload,
    zones: Vec<Zone>,
    dir: TempDir,
}

/// How a server is told that a zone file changed.
pub enum Reload {
    /// By a command that ends when the server has taken the order; the zone's name is appended.
    Command(Vec<OsString>),
    /// Not at all: it watches the file.
    Watches,
}

impl Daemon {
    /// Starts `command` in `dir` and waits until it answers. `dir` already holds the zone files ([`prepare`]).
    pub fn start(
        dir: TempDir,
        addr: SocketAddr,
        zones: &[Zone],
        command: Vec<OsString>,
        reload: Reload,
    ) -> Daemon {
        let mut daemon = Daemon::new(dir, addr, zones, command, reload);
        daemon.restart();
        daemon
    }

    /// The same, not started yet.
    pub fn new(
        dir: TempDir,
        addr: SocketAddr,
        zones: &[Zone],
        command: Vec<OsString>,
        reload: Reload,
    ) -> Daemon {
        Daemon { addr, process: None, command, reload, zones: zones.to_vec(), dir }
    }

    /// Has the server started by another program from now on: by these words and then its own.
    pub fn precede(&mut self, words: Vec<OsString>) {
        self.command.splice(0..0, words);
    }

    /// Starts the server again with the state it left, after [`stop`](Self::stop) or [`kill`](Self::kill).
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "{} is still running", self.name());
        self.launch();
        await_until(&format!("the first answer of {}", self.name()), START_LIMIT, || {
            let process = self.process.as_mut().unwrap();
            assert!(process.is_running(), "{:?} ended right after its start", self.command);
            soa::answers(self.addr, self.zones.first().map_or(".", |zone| &zone.name))
        });
    }

    /// Starts the server without waiting for it.
    pub fn launch(&mut self) {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).current_dir(self.dir.path());
        self.process = Some(Process::start(command, &self.dir.path().join("log")));
    }

    /// Stops the server with SIGTERM and waits for its end.
    pub fn stop(&mut self) {
        self.process.take().expect("the server is running").stop();
    }

    /// Crashes the server with SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("the server is running").kill();
    }

    /// The process, for its id, a signal, or its end.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server is running")
    }

    /// Replaces the file of a primary zone in one step and tells the server, if it has to be told.
    /// Returns without waiting for the new version to be served.
    pub fn publish(&self, zone: &str, text: &str) {
        zones::write(&self.zone_file(zone), text);
        if let Reload::Command(words) = &self.reload {
            process::run(Command::new(&words[0]).args(&words[1..]).arg(zone));
        }
    }

    /// The file of a zone.
    pub fn zone_file(&self, zone: &str) -> PathBuf {
        self.dir.path().join(zones::file_name(zone))
    }

    /// The server's folder: configuration, zone files, state, log.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Everything the server has logged since its first start.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How many zone transfers a BIND, Knot or NSD has sent as IXFR since its first start, by its log.
    pub fn ixfrs_sent(&self) -> usize {
        let sent = |line: &str| {
            line.contains(": IXFR started")
                || (line.contains("IXFR, outgoing,") && line.contains(" started,"))
                || line.contains("info: ixfr for ")
        };
        self.log().lines().filter(|line| sent(line)).count()
    }

    /// The sizes in bytes of the zone transfers that a BIND, Knot or NSD has received since its first start, by its log.
    pub fn transfers_received(&self) -> Vec<u64> {
        let received = |line: &&str| {
            line.contains("Transfer completed:")
                || (line.contains(", incoming,") && line.contains(" finished,"))
                || line.contains("received update to serial") && line.contains(" bytes in ")
        };
        let bytes = |line: &str| {
            let before = line.split(" bytes").next()?;
            before.rsplit(' ').next()?.parse().ok()
        };
        self.log().lines().filter(received).filter_map(bytes).collect()
    }

    /// Waits until SOA is answered with authority and `serial`, asking over and over.
    pub fn await_serial(&self, zone: &str, serial: u32, limit: Duration) {
        await_until(&format!("serial {serial} of {zone} at {}", self.name()), limit, || {
            soa::serial(self.addr, zone) == Some(serial)
        });
    }

    fn name(&self) -> String {
        format!("{} on {}", Path::new(&self.command[0]).display(), self.addr)
    }
}

/// A new folder with the files of the primary zones in it.
pub fn prepare(zones: &[Zone]) -> TempDir {
    let dir = tempfile::Builder::new().prefix("tidemark-test-").tempdir().unwrap();
    for zone in zones {
        if let Source::File(text) = &zone.source {
            zones::write(&dir.path().join(zone.file_name()), text);
        }
    }
    dir
}

/// The words of a command line.
pub fn words<const N: usize>(words: [&dyn AsRef<std::ffi::OsStr>; N]) -> Vec<OsString> {
    words.iter().map(|word| word.as_ref().to_owned()).collect()
}
