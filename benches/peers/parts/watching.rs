//! A primary that watches twenty servers of each of its zones, of which three in ten answer nothing, while zones change all the time; and what
//! a scrape of very many zones costs. No other server does either, so that the goals are plain numbers.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::super::bench::{Bench, say};
use super::super::figures::{Figure, Goal, median};
use super::super::options::Part;
use super::super::process::Session;
use super::super::server::Make;
use super::super::support::metrics::{self, Series};
use super::super::support::tidemark::PROGRAM;
use super::super::support::{http, ports};

const ZONES: usize = 1_000;
const LIVE: u8 = 14;
const SILENT: u8 = 6;
/// Changes of one zone each, and how far apart they are.
const CHANGES: usize = 600;
const APART: Duration = Duration::from_millis(50);
/// How long the watched servers may take to have all zones, and the watcher to have seen them.
const LIMIT: Duration = Duration::from_secs(60);
/// How soon after the last change everything shown has to be right.
const SHOWN: Duration = Duration::from_secs(3);
/// Zones of the node whose scrapes are timed, and how often.
const SCRAPED: usize = 10_000;
const SCRAPES: usize = 9;

/// The rows of this part, if it is asked for.
pub(crate) fn measure(bench: &Bench) -> Vec<Figure> {
    if !bench.options.wants(Part::Watching) {
        return Vec::new();
    }
    let folder = bench.root.join("watching");
    [watching(bench, &folder.join("watch")), vec![scraping(bench, &folder.join("scrape"))]].concat()
}

fn watching(bench: &Bench, folder: &Path) -> Vec<Figure> {
    say("1000 zones watched at 20 servers, 6 of them silent");
    let (addr, at_http, port) = (ports::reserve(), ports::reserve(), ports::reserve().port());
    let live: Vec<SocketAddr> = (10..10 + LIVE).map(|last| ([127, 0, 0, last], port).into()).collect();
    let silent: Vec<UdpSocket> = (40..40 + SILENT)
        .map(|last| UdpSocket::bind(SocketAddr::from(([127, 0, 0, last], port))).unwrap())
        .collect();
    let all: Vec<SocketAddr> =
        live.iter().copied().chain(silent.iter().map(|socket| socket.local_addr().unwrap())).collect();

    let primary = folder.join("primary");
    fs::create_dir_all(&primary).unwrap();
    let mut text = head(&[addr], Some(at_http));
    for number in 0..ZONES {
        write(&primary, number, 0);
        let told = list(&all[..1]);
        let watched = list(&all);
        writeln!(text, "[[zone]]\nname = \"z{number}.test.\"\nfile = \"z{number}.zone\"\nnotify = {told}\nwatch = {watched}\nallow-transfer = [\"127.0.0.0/8\"]").unwrap();
    }
    let secondary = folder.join("secondary");
    fs::create_dir_all(&secondary).unwrap();
    let mut following = head(&live, None);
    for number in 0..ZONES {
        writeln!(following, "[[zone]]\nname = \"z{number}.test.\"\nprimaries = [\"{addr}\"]").unwrap();
    }
    let _watched = start(&secondary, &following, &bench.load_core);
    let watcher = start(&primary, &text, &bench.server_core);
    let begun = Instant::now();
    while wrong(at_http, &live) > 0 || begun.elapsed() < LIMIT / 2 {
        assert!(begun.elapsed() < LIMIT, "not all servers are seen to be up:\n{}", watcher.log_tail());
        thread::sleep(Duration::from_secs(1));
    }

    let (began, before) = (Instant::now(), watcher.exact_cpu());
    for change in 0..CHANGES {
        // Every zone but a few is left alone for the time of this.
        write(&primary, change * 37 % ZONES, change + 1);
        thread::sleep((APART * (change as u32 + 1)).saturating_sub(began.elapsed()));
    }
    let share = (watcher.exact_cpu() - before).as_secs_f64() / began.elapsed().as_secs_f64();
    let memory = watcher.memory() as f64 / 1e6;
    let ended = Instant::now();
    let missing = || CHANGES.abs_diff(published(at_http).saturating_sub(ZONES)) + wrong(at_http, &live);
    while missing() > 0 && ended.elapsed() < SHOWN {
        thread::sleep(Duration::from_millis(100));
    }
    let row = |what: &str, goal: f64, value: f64| {
        let mut row = Figure::new(format!("{ZONES} zones watched at 20 servers, 6 silent: {what}"))
            .goals(&[Goal::AtMost(goal)]);
        row.put(Make::Tidemark, value);
        row
    };
    vec![
        row("CPU, 20 changes/s (% of a core)", 10.0, share * 100.0),
        row("memory (PSS, MB)", 100.0, memory),
        row("changes not published, live ones shown as down or behind, after 3 s", 0.0, missing() as f64),
    ]
}

/// The sum of the serials served: each zone begins with 1, and each change adds one.
fn published(at: SocketAddr) -> usize {
    let page = http::get(at, "/metrics").map(|response| response.body).unwrap_or_default();
    let serials =
        page.lines().filter_map(Series::parse).filter(|series| series.name == "tidemark_zone_serial");
    serials.map(|series| series.value as usize).sum()
}

/// How many series say of a server that answers and has everything that it does not, or are not there.
fn wrong(at: SocketAddr, live: &[SocketAddr]) -> usize {
    let live: BTreeSet<String> = live.iter().map(SocketAddr::to_string).collect();
    // It may not listen yet.
    let page = http::get(at, "/metrics").map(|response| response.body).unwrap_or_default();
    let right = page.lines().filter_map(Series::parse).filter(|series| {
        series.label("server").is_some_and(|server| live.contains(server))
            && match series.name {
                "tidemark_observed_up" => series.value == 1.0,
                "tidemark_observed_staleness_seconds" => series.value == 0.0,
                _ => false,
            }
    });
    (2 * ZONES * live.len()).saturating_sub(right.count())
}

fn scraping(bench: &Bench, folder: &Path) -> Figure {
    say("scrapes of 10000 zones");
    let (addr, at_http) = (ports::reserve(), ports::reserve());
    fs::create_dir_all(folder).unwrap();
    let mut text = head(&[addr], Some(at_http));
    for number in 0..SCRAPED {
        write(folder, number, 0);
        writeln!(text, "[[zone]]\nname = \"z{number}.test.\"\nfile = \"z{number}.zone\"").unwrap();
    }
    let node = start(folder, &text, &bench.server_core);
    let begun = Instant::now();
    let served = || {
        let page = http::get(at_http, "/metrics").map(|response| response.body).unwrap_or_default();
        metrics::value(&page, "tidemark_zones", &[("state", "current")]) == Some(SCRAPED as f64)
    };
    while !served() {
        assert!(begun.elapsed() < LIMIT, "not all zones are served:\n{}", node.log_tail());
        thread::sleep(Duration::from_millis(100));
    }
    node.settle();
    let scrape = |_| {
        let begun = Instant::now();
        assert_eq!(http::get(at_http, "/metrics").unwrap().status, 200);
        begun.elapsed().as_secs_f64() * 1e3
    };
    let mut row = Figure::new(format!("{SCRAPED} zones: /metrics with series of each (ms)"))
        .goals(&[Goal::AtMost(50.0)]);
    row.put(Make::Tidemark, median((0..SCRAPES).map(scrape).collect()));
    row
}

fn head(listen: &[SocketAddr], at_http: Option<SocketAddr>) -> String {
    let http = at_http.map_or(String::new(), |at| format!("http = \"{at}\"\n"));
    format!(
        "metrics-per-zone = true\n[server]\nlisten = {}\n{http}workers = 1\ndata-dir = \"state\"\n",
        list(listen)
    )
}

fn list(addresses: &[SocketAddr]) -> String {
    let quoted: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// Puts a version of a zone's file in place at once.
fn write(folder: &Path, number: usize, version: usize) {
    let (fresh, file) = (folder.join(".fresh"), folder.join(format!("z{number}.zone")));
    let text = format!(
        "$ORIGIN z{number}.test.\n@ 60 SOA ns h 1 3600 600 86400 60\n@ 60 NS ns\nns 60 A 192.0.2.1\nv 60 TXT \"{version}\"\n"
    );
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, file).unwrap();
}

fn start(folder: &Path, config: &str, cores: &[usize]) -> Session {
    fs::write(folder.join("tidemark.toml"), config).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--config", "tidemark.toml"]).current_dir(folder).env("TIDEMARK_LOG", "warn");
    Session::start(command, cores, &folder.join("log"))
}
