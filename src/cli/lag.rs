//! `tidemark lag`: who serves which serial, and how far behind.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use console::Term;
use serde::Deserialize;

use crate::cli::args::LagArgs;
use crate::cli::control;
use crate::cli::drive::{self, Observer};
use crate::cli::exit::{self, Exit, Failure};
use crate::cli::servers;
use crate::cli::table;
use crate::probe::observation::Ask;
use crate::probe::observe::PATIENCE;
use crate::probe::watch::Pace;
use crate::wire::name::Name;

pub mod picture;

use picture::{Picture, human};

/// Without --watch each server is asked once, and then those that may know what a laggard lacks.
const NEVER: Duration = Duration::from_secs(86_400);
/// How often at most the table is drawn: ages in it have tenths of seconds.
const REDRAW: Duration = Duration::from_millis(500);
/// Questions that one look asks per zone on behalf of laggards, one for each version that one of them lacks.
const MAX_QUESTIONS: usize = 256;

/// Shows the lag.
pub fn run(args: &LagArgs) -> Result<Exit, Failure> {
    drive::block_on(async {
        let zones = if args.at.is_empty() { known_to_node(args).await? } else { named(args).await? };
        if args.watch { watch(args, &zones).await } else { look(args, &zones).await }
    })
}

/// The servers of each zone.
type Zones = BTreeMap<Name, BTreeSet<SocketAddr>>;

/// What a node says of its zones.
#[derive(Debug, Deserialize)]
struct NodeZones {
    /// Where the node itself listens.
    listen: Vec<SocketAddr>,
    /// And where not yet, though it is told to.
    #[serde(default)]
    not_listening: Vec<NotListening>,
    zones: Vec<NodeZone>,
}

#[derive(Debug, Deserialize)]
struct NotListening {
    address: SocketAddr,
}

#[derive(Debug, Deserialize)]
struct NodeZone {
    zone: Name,
    /// What the node is for it; a cache that only asks about it (`stub`) cannot be asked for it like a server.
    role: String,
    /// From where the node pulls it.
    primaries: Vec<SocketAddr>,
    /// Whom the node tells of changes, and whom it watches.
    servers: Vec<NodeServer>,
}

#[derive(Debug, Deserialize)]
struct NodeServer {
    server: SocketAddr,
}

impl NodeZones {
    fn zones(self, only: Option<&Name>) -> Zones {
        let is_served = |addr: &SocketAddr| !self.not_listening.iter().any(|one| one.address == *addr);
        let listen: Vec<SocketAddr> =
            self.listen.into_iter().filter(is_served).map(reachable).take(1).collect();
        let wanted = self.zones.into_iter().filter(|zone| only.is_none_or(|only| zone.zone == *only));
        wanted
            .map(|NodeZone { zone, role, primaries, servers }| {
                let servers = servers.into_iter().map(|known| known.server);
                let own = listen.iter().copied().filter(|_| role != "stub");
                (zone, own.chain(primaries).chain(servers).collect())
            })
            .collect()
    }
}

async fn known_to_node(args: &LagArgs) -> Result<Zones, Failure> {
    let socket = args.node.socket()?;
    let answer = control::status(&socket).await?;
    let node: NodeZones = serde_json::from_value(answer).map_err(|error| {
        Failure::new(format!(
            "the node on {} does not tell its zones as this version expects: {error}; name the servers with --at",
            socket.display()
        ))
    })?;
    let zones = node.zones(args.zone.as_ref());
    match &args.zone {
        Some(zone) if zones.is_empty() => Err(Failure::new(format!(
            "the node on {} has no zone {zone}; name the servers with --at",
            socket.display()
        ))),
        _ => Ok(zones),
    }
}

async fn named(args: &LagArgs) -> Result<Zones, Failure> {
    let servers: BTreeSet<SocketAddr> = servers::addresses(&args.at).await?.into_iter().collect();
    Ok(args.zone.iter().map(|zone| (zone.clone(), servers.clone())).collect())
}

/// A node that listens on all addresses is reached on the loopback one.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn begin(zones: &Zones, pace: Pace) -> Result<(Observer, Picture), Failure> {
    let mut observer = Observer::new(pace)?;
    let mut picture = Picture::default();
    for (zone, servers) in zones {
        for &server in servers {
            observer.insert(Ask::soa(server, zone.clone()))?;
            picture.expect(zone, server);
        }
    }
    Ok((observer, picture))
}

/// Asks each server once.
async fn look(args: &LagArgs, zones: &Zones) -> Result<Exit, Failure> {
    let pace = Pace { interval: NEVER, patience: PATIENCE, ..Pace::default() };
    let (mut observer, mut picture) = begin(zones, pace)?;
    while picture.is_waiting() {
        for event in observer.next(None).await? {
            picture.take(&event);
        }
    }
    for _ in 0..MAX_QUESTIONS {
        let questions = picture.questions();
        let mut open = questions.len();
        for (zone, server, have) in questions {
            observer.insert(Ask { have: Some(have), ..Ask::soa(server, zone) })?;
        }
        if open == 0 {
            break;
        }
        while open > 0 {
            let events = observer.next(None).await?;
            open = open.saturating_sub(events.len());
            events.iter().for_each(|event| picture.take(event));
        }
    }
    let now = observer.now();
    if args.json {
        let mut out = io::stdout().lock();
        exit::written(writeln!(out, "{}", picture.json(now)))?;
    } else {
        exit::written(picture.table(now, false).print())?;
        exit::written(anstream::stdout().write_all(picture.notes(now).as_bytes()))?;
    }
    if !picture.is_anybody_there() {
        let told = "none of these servers answers; are their addresses right, and does anything on the way drop DNS?";
        return Err(Failure::Told(Exit::Unreachable, told.to_owned()));
    }
    let late = args.max_stale.map_or(Vec::new(), |most| picture.late(most, now));
    match (args.max_stale, late.is_empty()) {
        (Some(most), false) => Err(Failure::of(
            &format!("not all are known to lack nothing for longer than {}", human(most)),
            &late,
        )),
        _ => Ok(Exit::Done),
    }
}

/// Goes on asking, and shows changes, until it is interrupted or nobody reads on.
async fn watch(args: &LagArgs, zones: &Zones) -> Result<Exit, Failure> {
    let pace = Pace { interval: args.interval.max(Duration::from_millis(20)), ..Pace::default() };
    let (mut observer, mut picture) = begin(zones, pace)?;
    let screen = (!args.json && io::stdout().is_terminal()).then(Term::stdout);
    let mut asked = Vec::new();
    let mut drawn = 0;
    let mut redraw = observer.now().mono;
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let until = screen.as_ref().map_or(observer.now().mono + NEVER, |_| redraw);
        let events = tokio::select! {
            events = observer.next(Some(until)) => events?,
            _ = &mut interrupted => return Ok(Exit::Done),
        };
        for event in &events {
            picture.take(event);
        }
        let questions = picture.questions();
        for question in questions.iter().filter(|question| !asked.contains(*question)) {
            let (zone, server, have) = question.clone();
            observer.insert(Ask { have: Some(have), ..Ask::soa(server, zone) })?;
        }
        asked = questions;
        for (zone, head) in picture.new_heads() {
            observer.published(&zone, head);
        }
        let now = observer.now();
        if let Some(screen) = &screen {
            if redraw <= now.mono {
                redraw = now.mono + REDRAW;
                let width = table::terminal_width();
                let notes = picture.notes(now);
                let cut = |line: &str| {
                    line.chars().take(width.unwrap_or(usize::MAX)).chain(['\n']).collect::<String>()
                };
                let text =
                    picture.table(now, true).render(width) + &notes.lines().map(cut).collect::<String>();
                let cleared = screen.clear_last_lines(drawn);
                drawn = text.lines().count();
                exit::written(cleared.and_then(|()| anstream::stdout().write_all(text.as_bytes())))?;
            }
            continue;
        }
        let mut out = io::stdout().lock();
        for line in picture.changes(now, args.json) {
            match writeln!(out, "{line}").and_then(|()| out.flush()) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Done),
                other => drop(exit::written(other)?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_tells_its_zones() {
        let node: NodeZones = serde_json::from_str(
            r#"{"listen":["0.0.0.0:5301","[::]:5301"],"more":1,
                "zones":[{"zone":"example.","role":"primary","primaries":[],"servers":[{"server":"192.0.2.2:53","up":true}]},
                         {"zone":"stub.","role":"stub","primaries":[],"servers":[{"server":"192.0.2.2:53","up":true}]},
                         {"zone":"other.","role":"secondary","primaries":["192.0.2.1:53"],"servers":[]}]}"#,
        )
        .unwrap();
        let all = node.zones(None);
        let own: SocketAddr = "127.0.0.1:5301".parse().unwrap();
        assert_eq!(all[&"example.".parse::<Name>().unwrap()], [own, "192.0.2.2:53".parse().unwrap()].into());
        assert_eq!(all[&"stub.".parse::<Name>().unwrap()], ["192.0.2.2:53".parse().unwrap()].into());
        assert_eq!(all[&"other.".parse::<Name>().unwrap()], [own, "192.0.2.1:53".parse().unwrap()].into());
    }

    #[test]
    fn a_node_is_asked_where_it_answers() {
        let node: NodeZones = serde_json::from_str(
            r#"{"listen":["192.0.2.77:53","127.0.0.1:53"],"not_listening":[{"address":"192.0.2.77:53","reason":"absent"}],
                "zones":[{"zone":"example.","role":"primary","primaries":[],"servers":[]}]}"#,
        )
        .unwrap();
        let all = node.zones(None);
        assert_eq!(all[&"example.".parse::<Name>().unwrap()], ["127.0.0.1:53".parse().unwrap()].into());
    }
}
