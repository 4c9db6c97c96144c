//! dnsperf: as many queries as a server answers.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::machine::program;
use super::process::Session;

/// How long after its end a run of dnsperf may go on: it waits for late answers.
const GRACE: Duration = Duration::from_secs(15);

/// What makes dnsperf ask as resolvers do, which are the clients of most servers: DO and a cookie (RFC 7873) beside the buffer
/// size that all queries have.
pub(crate) const LIKE_RESOLVERS: [&str; 3] = ["-D", "-E", "10:0102030405060708"];

/// How the queries go out.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    /// The queries.
    pub(crate) queries: &'a Path,
    /// Over TCP rather than UDP.
    pub(crate) tcp: bool,
    /// Sockets or connections.
    pub(crate) clients: u32,
    /// Queries on their way at a time.
    pub(crate) window: u32,
    /// Where dnsperf runs.
    pub(crate) cores: &'a [usize],
    /// For how long.
    pub(crate) seconds: u32,
    /// Further arguments of dnsperf.
    pub(crate) extra: &'a [&'a str],
}

/// What a load generator counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    /// Queries answered.
    pub(crate) answered: u64,
    /// Queries that were not.
    pub(crate) lost: u64,
    /// Answers a second.
    pub(crate) per_second: f64,
    /// The share of NOERROR and NXDOMAIN among the answers.
    pub(crate) valid: f64,
}

/// Runs dnsperf to its end, with its output in `folder`.
pub(crate) fn run(server: SocketAddr, load: Load, folder: &Path) -> Count {
    let log = folder.join("dnsperf.log");
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new(program("dnsperf").unwrap_or_default());
    command.arg("-d").arg(load.queries);
    command.args(["-s", &server.ip().to_string(), "-p", &server.port().to_string(), "-e"]);
    command.args(["-q", &load.window.to_string()]);
    command.args(["-c", &load.clients.to_string(), "-T", "1"]);
    command.args(["-l", &load.seconds.to_string(), "-t", "2"]);
    command.args(load.extra);
    if load.tcp {
        command.args(["-m", "tcp"]);
    }
    Session::start(command, load.cores, &log).wait(Duration::from_secs(load.seconds.into()) + GRACE);
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    parse(&text).unwrap_or_else(|| panic!("dnsperf said:\n{text}"))
}

fn parse(text: &str) -> Option<Count> {
    let after = |key: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let answered = after("Queries completed:")? as u64;
    // Response codes:       NOERROR 700 (70.00%), NXDOMAIN 300 (30.00%)
    let codes = text.lines().find_map(|line| line.trim().strip_prefix("Response codes:"))?;
    let valid: u64 = codes
        .split(',')
        .filter_map(|code| {
            let mut words = code.split_whitespace();
            matches!(words.next()?, "NOERROR" | "NXDOMAIN").then(|| words.next()?.parse::<u64>().ok())?
        })
        .sum();
    Some(Count {
        answered,
        lost: after("Queries lost:")? as u64,
        per_second: after("Queries per second:")?,
        valid: valid as f64 / answered.max(1) as f64,
    })
}
