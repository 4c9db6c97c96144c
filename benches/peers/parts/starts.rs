//! From the start of a server to its answers: both zones on one core and on two, and many small zones.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::bench::{Bench, say};
use super::super::config::Zones;
use super::super::figures::{Figure, Goal, median};
use super::super::options::Part;
use super::super::server::{Make, Plan, Server};

/// How long the small zones may take: what is slower has no figure.
const SMALL_LIMIT: Duration = Duration::from_secs(60);

/// What says how a server is, and how often each is asked.
const PAGES: [&str; 2] = ["/health", "/ready"];
const REQUESTS: usize = 1_000;

/// The rows of these parts, as far as they are asked for.
pub(crate) fn measure(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    if bench.options.wants(Part::Load) {
        figures.push(load(bench, "one core", &bench.server_core));
        figures.push(load(bench, "two cores", &bench.both_cores));
    }
    if bench.options.wants(Part::Zones) {
        figures.extend(small_zones(bench));
    }
    figures
}

fn load(bench: &Bench, on: &str, cores: &[usize]) -> Figure {
    say(&format!("load of both zones, {on}"));
    let (flat, registry) = (bench.flat_file(), bench.registry_file());
    let files: [(&str, &Path); 2] = [("flat.", &flat), ("example.", &registry)];
    let plan = Plan { zones: Zones::Files(&files), cores, workers: 1 };
    let mut times = Make::SERVERS.map(|make| (make, Vec::new()));
    for _ in 0..bench.options.rounds {
        for (make, times) in &mut times {
            let mut server = Server::start(*make, plan, &bench.root);
            times.push(server.await_zones(&["flat.", "example."]).as_secs_f64());
        }
    }
    let mut row = Figure::new(format!("load of both zones, {on} (s)")).goals(&[Goal::Times(0.8, Make::Knot)]);
    times.into_iter().for_each(|(make, times)| row.put(make, median(times)));
    row
}

fn small_zones(bench: &Bench) -> Vec<Figure> {
    let count = bench.content.small_zones;
    say(&format!("{count} small zones"));
    let folder = bench.root.join("small");
    bench.content.write_small_zones(&folder);
    let plan = Plan { zones: Zones::Small(count, &folder), cores: &bench.server_core, workers: 1 };
    let mut ready =
        Figure::new(format!("{count} zones: all answer (s)")).goals(&[Goal::Times(1.5, Make::Nsd)]);
    let mut cpu = Figure::new(format!("{count} zones: CPU until then (s)"));
    let mut memory =
        Figure::new(format!("{count} zones: memory (PSS, MB)")).goals(&[Goal::Times(1.0, Make::Knot)]);
    let mut health = PAGES.map(|page| {
        Figure::new(format!("{count} zones: {page}, 99 of 100 within (ms)")).goals(&[Goal::AtMost(1.0)])
    });
    for make in Make::SERVERS {
        let mut server = Server::start(make, plan, &bench.root);
        let Some(took) = server.await_small_zones(count, SMALL_LIMIT) else {
            say(&format!("{} has not loaded {count} zones within {SMALL_LIMIT:?}", make.name()));
            for row in [&mut ready, &mut cpu, &mut memory] {
                row.put(make, f64::INFINITY);
            }
            continue;
        };
        ready.put(make, took.as_secs_f64());
        cpu.put(make, server.session.cpu().total());
        server.session.settle();
        memory.put(make, server.session.memory() as f64 / 1e6);
        if make == Make::Tidemark {
            for (row, page) in health.iter_mut().zip(PAGES) {
                row.put(make, page_time(server.control, page).as_secs_f64() * 1e3);
            }
        }
    }
    [ready, cpu, memory].into_iter().chain(health).collect()
}

/// How long 99 of 100 requests for a page take, one after the other over one connection.
fn page_time(server: SocketAddr, page: &str) -> Duration {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(SMALL_LIMIT)).unwrap();
    let request = format!("GET {page} HTTP/1.1\r\nHost: {server}\r\n\r\n");
    let mut times: Vec<Duration> = (0..REQUESTS)
        .map(|_| {
            let begun = Instant::now();
            stream.write_all(request.as_bytes()).unwrap();
            let mut reply = [0; 4_096];
            let length = stream.read(&mut reply).unwrap();
            assert!(reply[..length].starts_with(b"HTTP/1.1 200"), "{page} is refused");
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[REQUESTS * 99 / 100]
}
