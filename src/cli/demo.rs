//! `tidemark demo`: a real hierarchy on loopback, one process per node, serving zone files that are there to be edited.
//!
//! ```text
//! zones/*.zone -> primary :5301 -> secondary :5302 -> chained secondary :5303 <- cache :5300
//! ```

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::args::DemoArgs;
use crate::cli::drive::{self, Observer};
use crate::cli::exit::{Exit, Failure};
use crate::probe::observation::Ask;
use crate::probe::observe::Event;
use crate::probe::watch::Pace;
use crate::server::files::folder::find_zones;
use crate::server::settings::ZoneDir;
use crate::wire::name::Name;

/// The zones that a checkout has in `zones/`, for where there is none. They are copies, so that nothing has to be built anew when
/// those are edited.
const ZONES: [(&str, &str); 4] = [
    ("example.zone", include_str!("demo/example.zone")),
    ("example.net.zone", include_str!("demo/example.net.zone")),
    ("example.org.zone", include_str!("demo/example.org.zone")),
    ("2.0.192.in-addr.arpa.zone", include_str!("demo/2.0.192.in-addr.arpa.zone")),
];

const PRIMARY: &str = "127.0.0.1:5301";
const SECONDARY: &str = "127.0.0.1:5302";
const CHAINED: &str = "127.0.0.1:5303";
const CACHE: &str = "127.0.0.1:5300";
/// How long the nodes may take to serve every zone: they share a small machine with whatever built them.
const START: Duration = Duration::from_secs(30);

/// Runs the hierarchy until a signal.
pub fn run(_: &DemoArgs) -> Result<Exit, Failure> {
    drive::block_on(async {
        let state = tempfile_dir()?;
        let outcome = demo(&state).await;
        // What is left of a demo is of no use to anyone.
        let _ = fs::remove_dir_all(&state);
        outcome
    })
}

async fn demo(state: &Path) -> Result<Exit, Failure> {
    let zones_dir = zones_dir()?;
    let folder = ZoneDir { path: zones_dir.clone(), ..ZoneDir::default() };
    let zones: Vec<Name> =
        find_zones(&[], &[folder]).zones.into_iter().map(|zone| zone.config.name).collect();
    if zones.is_empty() {
        return Err(Failure::new(format!("there are no *.zone files in {}", zones_dir.display())));
    }
    // What answers there now would be taken for the demo's own nodes.
    for server in [PRIMARY, SECONDARY, CHAINED, CACHE] {
        if let Err(error) = std::net::UdpSocket::bind(address(server)?) {
            return Err(Failure::new(format!("the demo needs {server}: {error}; is another demo running?")));
        }
    }
    let mut nodes = Vec::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| Failure::new(error.to_string()))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Failure::new(error.to_string()))?;
    // Its terminal was closed.
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| Failure::new(error.to_string()))?;
    let configurations = configurations(&zones_dir, &zones);
    let ended = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        _ = hangup.recv() => None,
        ended = hierarchy(&zones_dir, &zones, &configurations, state, &mut nodes) => Some(ended),
    };
    nodes.iter().for_each(Node::stop);
    for node in &mut nodes {
        tokio::select! {
            biased;
            // Told a second time, they end at once.
            _ = interrupt.recv() => drop(node.child.kill().await),
            () = node.ended() => {}
        }
    }
    match ended {
        None => Ok(Exit::Done),
        Some(failure) => Err(failure),
    }
}

/// Starts one node after the other, each when those it pulls from serve, and says what there is to try; returns when something
/// goes wrong.
async fn hierarchy(
    zones_dir: &Path,
    zones: &[Name],
    configurations: &[Configuration],
    state: &Path,
    nodes: &mut Vec<Node>,
) -> Failure {
    for configuration in configurations {
        match Node::start(configuration, state) {
            Ok(node) => nodes.push(node),
            Err(failure) => return failure,
        }
        let Some(server) = configuration.authoritative else { continue };
        let ready = tokio::select! {
            ready = tokio::time::timeout(START, ready(server, zones)) => ready,
            failure = ended(nodes) => return failure,
        };
        match ready {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return failure,
            Err(_) => {
                let (name, seconds) = (configuration.name, START.as_secs());
                return Failure::new(format!(
                    "the {name} does not serve every zone after {seconds} s; see above"
                ));
            }
        }
    }
    anstream::println!("{}", guide(zones_dir, state));
    ended(nodes).await
}

/// Waits until a server serves all zones.
async fn ready(server: &str, zones: &[Name]) -> Result<(), Failure> {
    let server = address(server)?;
    let mut observer = Observer::new(Pace { interval: Duration::from_millis(50), ..Pace::default() })?;
    let mut missing: Vec<Name> = zones.to_vec();
    for zone in zones {
        observer.insert(Ask::soa(server, zone.clone()))?;
    }
    while !missing.is_empty() {
        for event in observer.next(None).await? {
            if let Event::Seen(seen) = event {
                missing.retain(|zone| *zone != seen.zone);
            }
        }
    }
    Ok(())
}

async fn ended(nodes: &mut [Node]) -> Failure {
    let all = nodes.iter_mut().map(|node| {
        Box::pin(async move {
            let status =
                node.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
            format!("the {} has ended ({status}); what it said stands above", node.name)
        })
    });
    let mut all: Vec<_> = all.collect();
    let first = std::future::poll_fn(|context| {
        let done = all.iter_mut().find_map(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready(said) => Some(said),
            std::task::Poll::Pending => None,
        });
        done.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
    });
    Failure::new(first.await)
}

/// The folder with the zones: that of the checkout, else a copy that says where it is.
fn zones_dir() -> Result<PathBuf, Failure> {
    let here = Path::new("zones");
    if here.join("example.zone").is_file() {
        return Ok(here.canonicalize().unwrap_or_else(|_| here.to_owned()));
    }
    let copy = std::env::temp_dir().join(format!("tidemark-demo-zones-{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&copy)?;
        ZONES.iter().try_for_each(|(name, text)| fs::write(copy.join(name), text))
    };
    write().map_err(|error| {
        Failure::new(format!("cannot write the demo's zones to {}: {error}", copy.display()))
    })?;
    Ok(copy)
}

fn tempfile_dir() -> Result<PathBuf, Failure> {
    let path = std::env::temp_dir().join(format!("tidemark-demo-{}", std::process::id()));
    fs::create_dir_all(&path)
        .map_err(|error| Failure::new(format!("cannot make {}: {error}", path.display())))?;
    Ok(path)
}

/// What one node of the demo is told.
struct Configuration {
    name: &'static str,
    toml: String,
    /// Where it serves all zones; `None` for the cache.
    authoritative: Option<&'static str>,
}

/// All nodes, in the order in which they start.
fn configurations(zones_dir: &Path, zones: &[Name]) -> [Configuration; 4] {
    let node = |name, authoritative, toml| Configuration { name, toml, authoritative };
    let server = |listen: &str, http: u16, name: &str| {
        format!(
            "[server]\nlisten = [\"{listen}\"]\nhttp = \"127.0.0.1:{http}\"\ndata-dir = \"{name}\"\nnsid = \"{name}\"\n"
        )
    };
    let secondary = |from: &str, notify: &[&str]| -> String {
        let zone = |zone: &Name| {
            format!(
                "\n[[zone]]\nname = {:?}\nprimaries = [\"{from}\"]\nnotify = {notify:?}\nallow-transfer = [\"127.0.0.0/8\"]\n",
                zone.to_string()
            )
        };
        zones.iter().map(zone).collect()
    };
    let stubs: String = zones
        .iter()
        .map(|zone| {
            format!("\n[[resolver.stub]]\nzone = {:?}\nservers = [\"{CHAINED}\"]\n", zone.to_string())
        })
        .collect();
    let dir = format!(
        "\n[[zone-dir]]\npath = {:?}\nnotify = [\"{SECONDARY}\"]\nwatch = [\"{CHAINED}\"]\nallow-transfer = [\"127.0.0.0/8\"]\n",
        zones_dir.display().to_string()
    );
    [
        node("primary", Some(PRIMARY), server(PRIMARY, 9301, "primary") + &dir),
        node(
            "secondary",
            Some(SECONDARY),
            server(SECONDARY, 9302, "secondary") + &secondary(PRIMARY, &[CHAINED]),
        ),
        node("chained", Some(CHAINED), server(CHAINED, 9303, "chained") + &secondary(SECONDARY, &[])),
        node("cache", None, server(CACHE, 9300, "cache") + "\n[resolver]\nmode = \"forward\"\n" + &stubs),
    ]
}

fn guide(zones_dir: &Path, state: &Path) -> String {
    let file = zones_dir.join("example.zone");
    format!(
        "
A hierarchy is running; Ctrl-C stops all of it.

  primary    dig @127.0.0.1 -p 5301 www.example.     http://127.0.0.1:9301/
  secondary  dig @127.0.0.1 -p 5302 www.example.     http://127.0.0.1:9302/
  chained    dig @127.0.0.1 -p 5303 www.example.     http://127.0.0.1:9303/
  cache      dig @127.0.0.1 -p 5300 www.example.     http://127.0.0.1:9300/

Try, in another terminal:

  edit {file}     (change the address of www; the serial may stay as it is)
  tidemark lag example. --at 127.0.0.1:5301 127.0.0.1:5302 127.0.0.1:5303 --watch
  tidemark wait example. --file {file} --at 127.0.0.1:5301 127.0.0.1:5302 127.0.0.1:5303
  tidemark status --config {state}/primary.toml
  curl -s http://127.0.0.1:9303/metrics | grep tidemark_zone
  kill -STOP $(cat {state}/secondary.pid)     (it falls behind; kill -CONT lets it go on)
",
        file = file.display(),
        state = state.display()
    )
}

fn address(text: &str) -> Result<SocketAddr, Failure> {
    text.parse().map_err(|_| Failure::new(format!("{text} is not an address")))
}

/// A demo that is killed cannot stop its nodes, which would go on and hold the ports: the kernel stops them then.
#[cfg(target_os = "linux")]
fn end_with_parent(command: &mut Command) {
    // The signal comes with the end of the thread that starts the node: that is the main thread, on which the demo runs whole.
    // SAFETY: takes integers, touches no memory.
    let ask = || match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe and touches no memory of ours.
    unsafe { command.pre_exec(ask) };
}

/// One process of the demo.
struct Node {
    name: &'static str,
    child: Child,
}

impl Node {
    fn start(configuration: &Configuration, state: &Path) -> Result<Node, Failure> {
        let Configuration { name, toml, .. } = configuration;
        let path = state.join(format!("{name}.toml"));
        let start = || -> std::io::Result<Child> {
            fs::write(&path, toml)?;
            let mut command = Command::new(std::env::current_exe()?);
            #[cfg(target_os = "linux")]
            end_with_parent(&mut command);
            let child = command
                .args(["serve", "--config"])
                .arg(&path)
                .env("TIDEMARK_LOG", std::env::var("TIDEMARK_LOG").unwrap_or_else(|_| "warn".to_owned()))
                .stdin(Stdio::null())
                // Signals of the terminal go to the demo, which stops its nodes in order.
                .process_group(0)
                .kill_on_drop(true)
                .spawn()?;
            if let Some(pid) = child.id() {
                fs::write(state.join(format!("{name}.pid")), format!("{pid}\n"))?;
            }
            Ok(child)
        };
        start()
            .map(|child| Node { name, child })
            .map_err(|error| Failure::new(format!("cannot start the {name}: {error}")))
    }

    /// Tells it to end; one that was stopped goes on for that.
    fn stop(&self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            for signal in [libc::SIGTERM, libc::SIGCONT] {
                // SAFETY: the process is our own child and not yet waited for, so the number is still its.
                unsafe { libc::kill(pid, signal) };
            }
        }
    }

    async fn ended(&mut self) {
        if tokio::time::timeout(START, self.child.wait()).await.is_err() {
            // It had its chance to end well.
            let _ = self.child.kill().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// But for what a checkout's user is asked to edit, and its serial.
    #[test]
    fn copies_say_what_the_zones_of_the_checkout_say() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
        let lines = |text: &str| -> Vec<String> {
            let is_edited = |line: &&str| line.contains("EDIT ME") || line.to_lowercase().contains("serial");
            text.lines().filter(|line| !is_edited(line)).map(str::to_owned).collect()
        };
        for (name, text) in ZONES {
            let original = fs::read_to_string(folder.join(name)).unwrap();
            assert_eq!(lines(text), lines(&original), "{name}");
        }
        assert_eq!(fs::read_dir(folder).unwrap().count(), ZONES.len());
    }
}
