//! What is known of the servers asked, and how it is shown.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::table::{BAD, Cell, Column, DIM, GOOD, Table, WARN};
use crate::lag::{Interval, Ledger};
use crate::node::seen_servers::sighting;
use crate::probe::observation::{Observation, Reason};
use crate::probe::observe::Event;
use crate::time::Now;
use crate::time::remote::Offset;
use crate::wire::name::{Name, NameRef};
use crate::zone::serial::Serial;

/// Pairs of head and laggard that are remembered as asked about, per zone; beyond that they are asked about again.
const MAX_ASKED: usize = 1_024;

/// Zones, and what their servers showed.
#[derive(Debug, Default)]
pub struct Picture {
    zones: BTreeMap<Name, Zone>,
}

#[derive(Debug, Default)]
struct Zone {
    ledger: Ledger,
    servers: BTreeMap<SocketAddr, Server>,
    /// Head and older serial: a server at the head was asked what follows the older one.
    asked: BTreeSet<(u32, u32)>,
    /// The head that [`Picture::new_heads`] gave last.
    announced: Option<Serial>,
}

#[derive(Debug, Default)]
struct Server {
    heard: bool,
    answered: bool,
    last: Option<Observation>,
    problem: Option<String>,
    /// What the last line about it said.
    told: Option<Told>,
}

type Told = (Option<Serial>, Option<String>, bool);

/// What an age by EXPIRE may hide of a server that is as current as can be.
const ROUNDED: Duration = Duration::from_secs(4);

/// Clocks further apart than this are spoken of.
const CLOCKS_APART: Duration = Duration::from_millis(100);

/// One server of one zone, ready to be shown.
struct Row<'a> {
    server: SocketAddr,
    seen: Option<&'a Observation>,
    serial: Option<Serial>,
    behind: Option<usize>,
    stale: Option<Interval>,
    problem: Option<Cow<'a, str>>,
}

impl Picture {
    /// A server that will be heard of.
    pub fn expect(&mut self, zone: &NameRef, server: SocketAddr) {
        self.zones.entry(zone.to_name()).or_default().servers.entry(server).or_default();
    }

    /// Whether a server has not been heard of in any way.
    pub fn is_waiting(&self) -> bool {
        self.zones.values().any(|zone| zone.servers.values().any(|server| !server.heard))
    }

    /// Whether any server has ever answered (or there was none to ask).
    pub fn is_anybody_there(&self) -> bool {
        let mut servers = self.zones.values().flat_map(|zone| zone.servers.values()).peekable();
        servers.peek().is_none() || servers.any(|server| server.answered)
    }

    /// The servers that are not known to lack nothing for longer than this, each with why not and what to do.
    pub fn late(&self, most: Duration, now: Now) -> Vec<String> {
        let zone = |(name, zone): (&Name, &Zone)| {
            let late =
                |row: Row<'_>| Some(format!("{name} at {}: {}", row.server, row.late(most, name, now)?));
            zone.rows(now).filter_map(late).collect::<Vec<_>>()
        };
        self.zones.iter().flat_map(zone).collect()
    }

    /// Takes in what a server showed.
    pub fn take(&mut self, event: &Event) {
        let (zone, addr) = match event {
            Event::Seen(seen) => (&seen.zone, seen.server),
            Event::Failed { zone, server, .. } | Event::Silent { zone, server, .. } => (zone, *server),
        };
        let Some(zone) = self.zones.get_mut(zone) else { return };
        let Some(server) = zone.servers.get_mut(&addr) else { return };
        server.heard = true;
        match event {
            Event::Seen(seen) => {
                (server.answered, server.problem) = (true, None);
                server.last = Some(seen.clone());
                let Some(sighting) = sighting(seen) else { return };
                zone.ledger.observe(&sighting);
                if let Some(asked) = sighting.asked {
                    if zone.asked.len() >= MAX_ASKED {
                        zone.asked.clear();
                    }
                    zone.asked.insert((sighting.serial.0, asked.0));
                }
            }
            Event::Failed { .. } | Event::Silent { .. } => {
                server.answered |= !event.is_silence();
                (server.last, server.problem) = (None, event.fault().map(|fault| fault.to_string()));
            }
        }
    }

    /// For each zone that needs it: a server at the head that tells stamps, and the serial whose successor is not known yet.
    pub fn questions(&self) -> Vec<(Name, SocketAddr, Serial)> {
        let zones = self.zones.iter();
        zones
            .filter_map(|(name, zone)| zone.question().map(|(teller, serial)| (name.clone(), teller, serial)))
            .collect()
    }

    /// The zones of which a newer version has been seen since this was last called, with its serial.
    pub fn new_heads(&mut self) -> Vec<(Name, Serial)> {
        let mut heads = Vec::new();
        for (name, zone) in &mut self.zones {
            let head = zone.ledger.head();
            if head != zone.announced {
                zone.announced = head;
                heads.extend(head.map(|head| (name.clone(), head)));
            }
        }
        heads
    }

    /// A table. `bounds`: whether to show lower bounds where nothing better is known.
    pub fn table(&self, now: Now, bounds: bool) -> Table {
        let mut table = Table::new([
            Column::left("ZONE"),
            Column::left("SERVER"),
            Column::right("SERIAL"),
            Column::right("BEHIND"),
            Column::right("STALE"),
            Column::right("EXPIRE"),
            Column::right("VERIFIED"),
            Column::left("NSID"),
        ]);
        for (name, zone) in &self.zones {
            for row in zone.rows(now) {
                let seen = row.seen;
                let unknown = || Cell::styled("-", DIM);
                let span = |span: Option<Duration>| span.map_or_else(unknown, |span| human(span).into());
                let serial = match (row.trouble(), row.serial) {
                    (Some(trouble), _) => Cell::styled(trouble, BAD),
                    (None, Some(serial)) => serial.to_string().into(),
                    (None, None) => unknown(),
                };
                table.row([
                    name.to_string().into(),
                    row.server.to_string().into(),
                    serial,
                    row.behind.map_or_else(unknown, |behind| behind.to_string().into()),
                    stale(row.stale, bounds),
                    span(seen.and_then(|seen| seen.expire).map(|left| Duration::from_secs(left.into()))),
                    span(seen.and_then(Observation::verified_age)),
                    seen.and_then(nsid).unwrap_or_default().into(),
                ]);
            }
        }
        table
    }

    /// What is said below the table: of clocks, and of serials that went back.
    pub fn notes(&self, now: Now) -> String {
        self.clocks(now) + &self.gone_back(now)
    }

    /// A line for each server that publishes a zone, and shows an older serial than others have had for long.
    fn gone_back(&self, now: Now) -> String {
        let line = |(name, zone): (&Name, &Zone), seen: &Observation| {
            let (serial, head) = (seen.serial?, zone.ledger.head()?);
            let publishes = seen.told.as_ref().is_some_and(|told| told.vouches() && told.age.is_zero());
            // It may have published the newer one since it was asked.
            let is_old = zone.ledger.behind_for(serial, now).is_some_and(|age| age > ROUNDED);
            (publishes && is_old).then(|| {
                format!(
                    "{name} {} publishes it and shows serial {serial}, while others have {head}: its serial went back, or it has lost its data \
                     folder; raise the serial there above {head}\n",
                    seen.server
                )
            })
        };
        let zones = self.zones.iter();
        let lines = zones
            .flat_map(|it| it.1.servers.values().filter_map(move |server| line(it, server.last.as_ref()?)));
        lines.collect()
    }

    /// A line for each zone whose publisher has another time than this machine.
    fn clocks(&self, now: Now) -> String {
        let line = |(name, zone): (&Name, &Zone)| {
            let Offset { seconds, error } = zone.ledger.clocks().offset(now)?;
            let apart = Duration::from_secs_f64(seconds.abs());
            let which = if seconds > 0.0 { "ahead of" } else { "behind" };
            (seconds.abs() - error > CLOCKS_APART.as_secs_f64()).then(|| {
                format!(
                    "{name} the clock of the node that publishes it is {} {which} this machine's, give or take {:.1} ms; STALE allows for it\n",
                    human(apart),
                    error * 1e3
                )
            })
        };
        self.zones.iter().filter_map(line).collect()
    }

    /// Everything as JSON; the shape is documented with the command's arguments.
    pub fn json(&self, now: Now) -> Value {
        let zone = |(name, zone): (&Name, &Zone)| {
            let servers: Vec<Value> = zone.rows(now).map(|row| row.json()).collect();
            let offset = zone.ledger.clocks().offset(now);
            json!({ "zone": name.to_string(), "head": zone.ledger.head(), "clock_offset": offset, "servers": servers })
        };
        json!({ "zones": self.zones.iter().map(zone).collect::<Vec<_>>() })
    }

    /// A line for each server whose serial, health, or being behind has changed since its last line.
    pub fn changes(&mut self, now: Now, as_json: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, zone) in &mut self.zones {
            let mut told = Vec::new();
            // The figure for those behind is a round trip away.
            let open = zone.question().is_some();
            let head_seen = zone.ledger.head().and_then(|head| zone.ledger.published_by(head));
            for row in zone.rows(now) {
                let before = zone.servers.get(&row.server).and_then(|server| server.told.as_ref());
                let problem = row.problem.as_deref().map(str::to_owned);
                let state: Told = (row.serial, problem, row.serial == zone.ledger.head());
                let unheard = row.seen.is_none() && row.problem.is_none();
                // A server that was not asked since may have followed by now.
                let unsure = open || row.seen.is_some_and(|seen| Some(seen.sent) < head_seen);
                if unheard || before == Some(&state) || (unsure && row.serial.is_some() && !state.2) {
                    continue;
                }
                lines.push(if as_json {
                    let mut line = row.json();
                    line["time"] = now.utc.to_string().into();
                    line["zone"] = name.to_string().into();
                    line["head"] = json!(zone.ledger.head());
                    line.to_string()
                } else {
                    row.line(now, name, before.and_then(|(serial, _, _)| *serial))
                });
                told.push((row.server, state));
            }
            for (server, state) in told {
                if let Some(server) = zone.servers.get_mut(&server) {
                    server.told = Some(state);
                }
            }
        }
        lines
    }
}

impl Zone {
    /// What a laggard lacks, a server at the head tells that keeps stamps: the version that followed, and how many there are.
    fn question(&self) -> Option<(SocketAddr, Serial)> {
        let head = self.ledger.head()?;
        let tells = |seen: &Observation| seen.serial == Some(head) && seen.told.is_some();
        let (&teller, _) = self.servers.iter().find(|(_, server)| server.last.as_ref().is_some_and(tells))?;
        let mut lagging = self.servers.values().filter_map(|server| server.last.as_ref()?.serial);
        let is_open = |serial: &Serial| {
            let is_known =
                self.ledger.successor_of(*serial).is_some() && self.ledger.versions_after(*serial).is_some();
            *serial != head && !is_known && !self.asked.contains(&(head.0, serial.0))
        };
        lagging.find(is_open).map(|serial| (teller, serial))
    }

    /// How stale a server is that shows a serial.
    fn stale(&self, seen: &Observation, serial: Serial, now: Now) -> Interval {
        let mut stale = self.ledger.staleness_at(seen.server, serial, now);
        // Its own word that it lacks nothing holds against no version that was published long before.
        if let Some(known) = self.ledger.behind_for(serial, now) {
            stale.high = stale.high.filter(|high| *high + ROUNDED >= known);
            let estimate = stale.estimate.unwrap_or_default().max(known);
            stale.estimate = Some(stale.high.map_or(estimate, |high| estimate.min(high)));
        }
        let unconfirmed = seen.unconfirmed().filter(|age| *age > ROUNDED);
        // By its own word it has not asked since, and nobody else has shown that there is nothing newer.
        let is_unsure =
            stale.low.is_zero() && unconfirmed.is_some() && stale.high.is_none_or(|high| high > ROUNDED);
        if is_unsure { Interval { estimate: None, ..stale } } else { stale }
    }

    fn rows(&self, now: Now) -> impl Iterator<Item = Row<'_>> {
        self.servers.iter().map(move |(&addr, server)| {
            let seen = server.last.as_ref();
            let serial = seen.and_then(|seen| seen.serial);
            Row {
                server: addr,
                seen,
                serial,
                behind: serial.and_then(|serial| self.ledger.versions_after(serial)),
                stale: seen.zip(serial).map(|(seen, serial)| self.stale(seen, serial, now)),
                problem: match (&server.problem, serial) {
                    (Some(problem), _) => Some(problem.as_str().into()),
                    (None, Some(_)) if self.ledger.differs(addr) => {
                        Some(Reason::OtherContent.to_string().into())
                    }
                    _ => None,
                },
            }
        })
    }
}

impl Row<'_> {
    /// Why it is not known to lack nothing for longer than this, if it is not.
    fn late(&self, most: Duration, zone: &Name, now: Now) -> Option<String> {
        if let Some(trouble) = self.trouble() {
            return Some(format!("{trouble}; its own log and `tidemark status` there may say why"));
        }
        // What bounds it, or where nothing does, the age of the version that it lacks. That nobody shows a newer one bounds nothing: all
        // of them may be cut off.
        let stale = self.stale.unwrap_or_default();
        let missing = stale.estimate.filter(|age| !age.is_zero());
        if stale.high.or(missing).is_some_and(|longest| longest <= most) {
            return None;
        }
        Some(match (stale.high, stale.best()) {
            (_, age) if age > most => {
                format!("it lacks a change that is {} old; its own log should say why it does not follow", human(age))
            }
            (Some(high), _) => format!(
                "it is not verified since {}, {} ago, and may lack what was published since; let it ask its primary (`tidemark refresh \
                 {zone}`, `rndc refresh {zone}`), or allow for the time between its polls",
                now.utc - high,
                human(high)
            ),
            (None, age) if !age.is_zero() => {
                "it lacks a newer version, and nothing tells when that was published; name a tidemark node of the zone too".to_owned()
            }
            (None, _) => "nothing tells since when it is current, neither stamps nor EXPIRE of a server with its serial; name a tidemark \
                          node or the primary of the zone too"
                .to_owned(),
        })
    }

    /// What is wrong, with the serial that it is wrong with.
    fn trouble(&self) -> Option<String> {
        let problem = self.problem.as_deref()?;
        Some(self.serial.map_or_else(|| problem.to_owned(), |serial| format!("{serial}, {problem}")))
    }

    fn json(&self) -> Value {
        let seconds = |span: Duration| span.as_secs_f64();
        json!({
            "server": self.server,
            "serial": self.serial,
            "versions_behind": self.behind,
            "staleness": self.stale,
            "expires_in": self.seen.and_then(|seen| seen.expire),
            "verified_age": self.seen.and_then(Observation::verified_age).map(seconds),
            "digest": self.seen.and_then(Observation::digest),
            "nsid": self.seen.and_then(nsid),
            "fault": self.problem,
        })
    }

    fn line(&self, now: Now, zone: &Name, before: Option<Serial>) -> String {
        let state = match (self.trouble(), self.serial) {
            (Some(trouble), _) => trouble,
            (None, Some(serial)) => match before.filter(|&before| before != serial) {
                Some(before) => format!("serial {before} -> {serial}, stale {}", figure(self.stale, true)),
                None => format!("serial {serial}, stale {}", figure(self.stale, true)),
            },
            (None, None) => "no serial".to_owned(),
        };
        format!("{} {zone} {} {state}", now.utc, self.server)
    }
}

fn stale(stale: Option<Interval>, bounds: bool) -> Cell {
    let text = figure(stale, bounds);
    let style = match text.as_str() {
        "-" => DIM,
        "0s" => GOOD,
        _ => WARN,
    };
    Cell::styled(text, style)
}

fn figure(stale: Option<Interval>, bounds: bool) -> String {
    match stale {
        Some(Interval { estimate: Some(estimate), .. }) => human(estimate),
        // It is not known to be behind, and not known to be current.
        Some(Interval { low, high: Some(high), .. }) if low.is_zero() => format!("<= {}", human(high)),
        Some(Interval { low, .. }) if bounds => format!(">= {}", human(low)),
        _ => "-".into(),
    }
}

/// A span as people read it: `0s`, `0.25s`, `12.3s`, `5m12s`, `3h05m`, `6d23h`.
pub fn human(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        _ if span.as_millis() == 0 => "0s".into(),
        0 => format!("{:.2}s", span.as_secs_f64()).replace("0.00s", "0.01s"),
        1..60 => format!("{:.1}s", (span.as_secs_f64() * 10.0).floor() / 10.0),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The identifier as text where it is some, else in hexadecimal.
fn nsid(seen: &Observation) -> Option<String> {
    let bytes = seen.nsid.as_deref()?;
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control));
    Some(text.map_or_else(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect(), str::to_owned))
}

#[cfg(test)]
mod tests;
