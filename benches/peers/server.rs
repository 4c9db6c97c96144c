//! One of the servers side by side: started, awaited, told to reload.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::config::{self, Setup, Zones};
use super::content::Content;
use super::dns;
use super::process::Session;
use super::support::ports;

/// How long any server may take to start with any of the zones.
const START_LIMIT: Duration = Duration::from_secs(90);
/// How long it may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How often a starting server is asked.
const POLL: Duration = Duration::from_millis(2);
/// How long one answer may take while a server starts.
const ANSWER: Duration = Duration::from_millis(50);
/// How many of the small zones are asked for until all answer ...
const SAMPLE: usize = 200;
/// ... so many at a time.
const AT_ONCE: usize = 20;

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    /// This project's.
    Tidemark,
    /// NLnet Labs'.
    Nsd,
    /// CZ.NIC's.
    Knot,
    /// ISC's.
    Bind,
    /// NLnet Labs', a cache.
    Unbound,
    /// PowerDNS', a cache of packets.
    Dnsdist,
    /// No server: the floor of the socket path.
    Echo,
}

impl Make {
    /// The four that serve zones.
    pub(crate) const SERVERS: [Make; 4] = [Make::Tidemark, Make::Nsd, Make::Knot, Make::Bind];
    /// The three that are compared as caches.
    pub(crate) const CACHES: [Make; 3] = [Make::Tidemark, Make::Unbound, Make::Dnsdist];
    /// The columns of most rows.
    pub(crate) const ALL: [Make; 5] = [Make::Tidemark, Make::Nsd, Make::Knot, Make::Bind, Make::Echo];

    /// As the table calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Make::Tidemark => "tidemark",
            Make::Nsd => "NSD",
            Make::Knot => "Knot",
            Make::Bind => "BIND",
            Make::Unbound => "Unbound",
            Make::Dnsdist => "dnsdist",
            Make::Echo => "echo",
        }
    }
}

/// How a server is to be started.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// What it serves.
    pub(crate) zones: Zones<'a>,
    /// The cores it is pinned to.
    pub(crate) cores: &'a [usize],
    /// Threads or processes that answer.
    pub(crate) workers: usize,
}

/// A running server in a folder of its own.
pub(crate) struct Server {
    /// Whose.
    pub(crate) make: Make,
    /// Where it answers.
    pub(crate) addr: SocketAddr,
    /// Where it takes orders, or says how it is.
    pub(crate) control: SocketAddr,
    /// Its processes.
    pub(crate) session: Session,
    /// When it was started.
    pub(crate) started: Instant,
    /// What starts it.
    command: Vec<OsString>,
    /// The command that makes it read a zone again, whose name follows; none for one that watches its files.
    reload: Option<Vec<OsString>>,
    cores: Vec<usize>,
    dir: PathBuf,
}

impl Server {
    /// Starts a server in a new folder within `root`; it does not answer yet.
    pub(crate) fn start(make: Make, plan: Plan, root: &Path) -> Server {
        let (addr, control) = (ports::reserve(), ports::reserve());
        let dir = root.join(format!("{}-{}", make.name(), addr.port()));
        fs::create_dir(&dir).unwrap();
        let setup = Setup {
            addr,
            control,
            dir: &dir,
            zones: plan.zones,
            workers: plan.workers,
            cores: plan.cores.len(),
        };
        let (command, reload) = commands(make, &setup);
        let started = Instant::now();
        let session = Session::start(launch(&command, &dir), plan.cores, &dir.join("log"));
        Server { make, addr, control, session, started, command, reload, cores: plan.cores.to_vec(), dir }
    }

    /// Stops the server and starts it again in the same folder.
    pub(crate) fn restart(&mut self) {
        self.session.stop(STOP_LIMIT);
        self.started = Instant::now();
        self.session = Session::start(launch(&self.command, &self.dir), &self.cores, &self.dir.join("log"));
    }

    /// The file of `example.` in a folder for this make alone, to be edited.
    pub(crate) fn own_file(root: &Path, make: Make, text: &str) -> PathBuf {
        let folder = root.join(format!("{}-zones", make.name()));
        fs::create_dir(&folder).unwrap();
        let file = folder.join("example.zone");
        fs::write(&file, text).unwrap();
        file
    }

    /// Waits until every zone answers; returns the time since the start.
    pub(crate) fn await_zones(&mut self, zones: &[&str]) -> Duration {
        for zone in zones {
            while !dns::serves(self.addr, zone, ANSWER) {
                self.pause();
            }
        }
        self.started.elapsed()
    }

    /// Waits until a cache answers for a zone, which it does without authority.
    pub(crate) fn await_cache(&mut self, zone: &str) {
        let mut question = dns::query(1, zone, dns::SOA, false);
        // RD: a cache need not answer others (RFC 1035 4.1.1).
        question[2] |= 1;
        let knows = |addr| dns::ask(addr, &question, ANSWER).and_then(|reply| dns::gist(&reply));
        while knows(self.addr).is_none_or(|gist| gist.rcode != 0 || gist.answers != 1) {
            self.pause();
        }
    }

    /// Waits until all small zones answer; returns the time since the start, or `None` when `limit` has passed.
    pub(crate) fn await_small_zones(&mut self, count: usize, limit: Duration) -> Option<Duration> {
        let mut missing: Vec<usize> =
            (0..SAMPLE.min(count)).map(|at| at * (count - 1) / (SAMPLE - 1)).collect();
        loop {
            while !missing.is_empty() {
                let asked: Vec<usize> = missing.drain(..AT_ONCE.min(missing.len())).collect();
                let silent = unserved(self.addr, &asked);
                if !silent.is_empty() {
                    if self.started.elapsed() > limit {
                        return None;
                    }
                    missing.extend(silent);
                    self.pause();
                }
            }
            let took = self.started.elapsed();
            // The sample answers; so should all the others.
            let all: Vec<usize> = (0..count).collect();
            missing = all.chunks(AT_ONCE).flat_map(|some| unserved(self.addr, some)).collect();
            if missing.is_empty() {
                return Some(took);
            }
        }
    }

    /// Writes the next version of a zone's file, not yet where the server looks for it.
    pub(crate) fn prepare_edit(&self, text: &str) -> PathBuf {
        let fresh = self.dir.join("fresh");
        fs::write(&fresh, text).unwrap();
        fresh
    }

    /// Puts the prepared file in place of the zone's in one step and tells the server, if it has to be told, by a command on
    /// this core. Returns without waiting, with the time of the step.
    pub(crate) fn edit(&self, fresh: &Path, file: &Path, core: usize) -> Instant {
        self.edit_zone("example.", fresh, file, core)
    }

    /// The same for another zone than `example.`.
    pub(crate) fn edit_zone(&self, zone: &str, fresh: &Path, file: &Path, core: usize) -> Instant {
        // A server may compare the file's time with that of its last load.
        fs::File::open(fresh).unwrap().set_modified(SystemTime::now()).unwrap();
        let begun = Instant::now();
        fs::rename(fresh, file).unwrap();
        if let Some(words) = &self.reload {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).arg(zone);
            let log = self.dir.join("reload.log");
            thread::spawn(move || {
                super::process::pin(&[core]);
                let out = fs::File::create(log).unwrap();
                command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
                let _ = command.status();
            });
        }
        begun
    }

    fn pause(&mut self) {
        self.session.must_run();
        assert!(
            self.started.elapsed() < START_LIMIT,
            "{} does not answer within {START_LIMIT:?}:\n{}",
            self.make.name(),
            self.session.log_tail()
        );
        thread::sleep(POLL);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("---- end of the log of {}\n{}", self.make.name(), self.session.log_tail());
        }
    }
}

/// Those of the small zones that do not answer.
fn unserved(server: SocketAddr, zones: &[usize]) -> Vec<usize> {
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.set_read_timeout(Some(ANSWER)).unwrap();
    socket.connect(server).unwrap();
    for (id, &zone) in zones.iter().enumerate() {
        // A refusal shows as silence.
        let _ = socket.send(&dns::query(id as u16, &Content::small_zone(zone), dns::SOA, false));
    }
    let mut silent: Vec<Option<usize>> = zones.iter().copied().map(Some).collect();
    let mut reply = [0; 1_024];
    for _ in zones {
        let Ok(length) = socket.recv(&mut reply) else { break };
        let gist = dns::gist(&reply[..length]);
        if gist.is_some_and(|gist| gist.rcode == 0 && gist.authoritative && gist.answers == 1) {
            silent[usize::from(dns::number(&reply, 0))] = None;
        }
    }
    silent.into_iter().flatten().collect()
}

fn launch(words: &[OsString], dir: &Path) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(dir).env("TIDEMARK_LOG", "warn");
    command
}

/// The command that starts a server, and the one that makes it reload a zone whose name follows.
fn commands(make: Make, setup: &Setup) -> (Vec<OsString>, Option<Vec<OsString>>) {
    let path = |name: &str| setup.dir.join(name).into_os_string();
    let write = |name: &str, text: String| {
        fs::write(setup.dir.join(name), text).unwrap();
        path(name)
    };
    let program = |name: &str| super::machine::program(name).unwrap_or_default().into_os_string();
    let (words, reload): (Vec<OsString>, Option<Vec<OsString>>) = match make {
        Make::Tidemark => {
            let config = write("tidemark.toml", config::tidemark(setup));
            (vec![env!("CARGO_BIN_EXE_tidemark").into(), "serve".into(), "--config".into(), config], None)
        }
        Make::Nsd => {
            let config = write("nsd.conf", config::nsd(setup));
            let reload = vec![program("nsd-control"), "-c".into(), config.clone(), "reload".into()];
            (vec![program("nsd"), "-d".into(), "-c".into(), config], Some(reload))
        }
        Make::Knot => {
            fs::create_dir(setup.dir.join("db")).unwrap();
            let config = write("knot.conf", config::knot(setup));
            let socket = path("knot.sock");
            let reload = vec![program("knotc"), "-s".into(), socket, "zone-reload".into()];
            (vec![program("knotd"), "-c".into(), config], Some(reload))
        }
        Make::Bind => {
            let config = write("named.conf", config::bind(setup));
            let rndc = write("rndc.conf", config::rndc(setup));
            let reload = vec![program("rndc"), "-c".into(), rndc, "reload".into()];
            let workers = setup.workers.to_string().into();
            let named = super::machine::unconfined_named(setup.dir).into_os_string();
            (vec![named, "-f".into(), "-n".into(), workers, "-c".into(), config], Some(reload))
        }
        Make::Unbound => {
            let config = write("unbound.conf", config::unbound(setup));
            (vec![program("unbound"), "-d".into(), "-c".into(), config], None)
        }
        Make::Dnsdist => {
            let config = write("dnsdist.conf", config::dnsdist(setup));
            (
                vec![
                    program("dnsdist"),
                    "--supervised".into(),
                    "--disable-syslog".into(),
                    "-C".into(),
                    config,
                ],
                None,
            )
        }
        Make::Echo => {
            let itself = std::env::current_exe().unwrap().into_os_string();
            (vec![itself, super::ECHO.into(), setup.addr.to_string().into()], None)
        }
    };
    (words, reload)
}
