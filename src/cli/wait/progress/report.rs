//! What is said of a wait: while it lasts, and at its end.

use std::cmp::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Progress, Server, State, whole};
use crate::cli::wait::goal::{Goal, data};
use crate::probe::observation::Observation;
use crate::time::Mono;
use crate::wire::name::NameRef;
use crate::wire::rtype::Rcode;

/// Serials that are further apart may stand in another order than as numbers.
const FAR: u32 = 1 << 30;

/// What is to be done about servers that serve what was never published.
const RAISE: &str = "\
a server that shows what was never published takes nothing older: raise the serial in the zone file above that, or have the server take \
what is published (a tidemark node: `refresh --force`)
";

impl Progress {
    /// One line for a display.
    pub fn sentence(&self, now: Mono) -> String {
        match self.state(now) {
            State::Converged => format!("show {}", self.goal_text()),
            State::Settling(until) => {
                format!(
                    "show {}; caches may hold the old data for {} s",
                    self.goal_text(),
                    whole(until.since(now))
                )
            }
            State::Waiting | State::Refuted => {
                let shown = |server: &Server| format!("{} ({})", server.addr, self.account(server, ""));
                let missing: Vec<String> = self.missing().map(shown).collect();
                format!("show {}; missing: {}", self.goal_text(), missing.join(", "))
            }
        }
    }

    /// What is printed at the end, line by line.
    pub fn report(&self, took: Duration, now: Mono) -> String {
        let goal = self.goal_text();
        let (all, took) = (self.servers.len(), format!("{:.3} s", took.as_secs_f64()));
        let servers = if all == 1 { "server" } else { "servers" };
        match self.state(now) {
            State::Converged if !self.worst_case => {
                format!("{all} {servers} showed {goal} within {took}\n{}", self.order())
            }
            State::Converged => {
                let ttl = self.ttl;
                match self.saw_old {
                    true => format!(
                        "{all} {servers} showed {goal}, and no cache can hold the old data any more: {ttl} s have passed since ({took})\n"
                    ),
                    false => format!(
                        "{all} {servers} showed {goal}, and {ttl} s have passed since ({took}), the TTL of the new data: no server showed the \
                         old any more, so how long caches may hold that is not known; name its TTL with --old-ttl where it was longer\n"
                    ),
                }
            }
            State::Settling(until) => format!(
                "given up after {took}: {all} {servers} showed {goal}, but caches may hold the old data for {} s more \
                 (TTL {} s), which is longer than the timeout leaves: give a longer --timeout to wait for it\n",
                whole(until.since(now)),
                self.ttl
            ),
            state @ (State::Waiting | State::Refuted) => {
                let ended = if state == State::Refuted { "given up" } else { "timed out" };
                let mut text = format!(
                    "{ended} after {took}: {} of {all} {servers} did not show {goal}\n",
                    all - self.converged()
                );
                self.missing().for_each(|server| text.push_str(&self.line(server)));
                if self.servers.iter().any(Server::is_refuted) {
                    text.push_str(RAISE);
                }
                text + &self.order() + &self.unraised()
            }
        }
    }

    /// Why what a file holds may never be published. A serial that its primary numbers on from is none of the reasons.
    fn unraised(&self) -> String {
        let Some(Goal::File(file)) = &self.goal else { return String::new() };
        file.unraised().map_or(String::new(), |(file, served)| {
            format!(
                "the file has serial {file}, which is not above {served}, which was there before: with `serial = \"keep\"`, or signed, the \
                 zone is refused until that is raised; `tidemark status` of its primary says so\n"
            )
        })
    }

    /// A line about a server that has not shown the change.
    fn line(&self, server: &Server) -> String {
        if server.is_refuted() {
            return format!("  {} shows {}\n", server.addr, self.account(server, ""));
        }
        let since = server.since.map_or(String::new(), |since| format!(" since {since}"));
        let step = if !server.refuses {
            ""
        } else if self.are_caches {
            " (does it recurse for this host?)"
        } else if self.published.is_some() {
            " (does it serve the zone?)"
        } else {
            " (a cache? give --scope caches; else it does not serve the zone)"
        };
        format!("  {}: {}{step}\n", server.addr, self.account(server, &since))
    }

    /// How the serial stands to one that is shown, where that may surprise.
    fn order(&self) -> String {
        let Some(Goal::Serial(goal)) = self.goal else { return String::new() };
        let mut shown = self.servers.iter().filter_map(|server| server.serial);
        let far = shown.find(|shown| shown.0.abs_diff(goal.0) > FAR);
        far.map_or(String::new(), |shown| {
            let order = match goal.compare(shown) {
                Some(Ordering::Less) => "older than",
                Some(_) => "newer than",
                None => "neither older nor newer than",
            };
            format!("by serial arithmetic (RFC 1982) {goal} is {order} {shown}\n")
        })
    }

    /// The same for programs; its shape is documented with the command's arguments.
    pub fn json(&self, zone: &NameRef, began: Mono, now: Mono) -> Value {
        let servers: Vec<Value> = self
            .servers
            .iter()
            .map(|server| {
                let after = server.converged.map(|at| at.since(began).as_secs_f64());
                json!({
                    "server": server.addr,
                    "converged_after": after,
                    "shows": self.account(server, ""),
                    "since": server.since.map(|since| since.to_string()),
                })
            })
            .collect();
        json!({
            "zone": zone.to_string(),
            "goal": self.goal.as_ref().map(Goal::text),
            "converged": self.state(now) == State::Converged,
            "seconds": now.since(began).as_secs_f64(),
            "ttl": self.worst_case.then_some(self.ttl),
            "ttl_is_of_old_data": self.worst_case.then_some(self.saw_old),
            "servers": servers,
        })
    }

    pub(super) fn missing(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| server.converged.is_none())
    }

    /// What a server shows, with the words about since when, and why that does not count.
    fn account(&self, server: &Server, since: &str) -> String {
        let shows = &server.shows;
        if server.converged.is_some() {
            return format!("{shows}{since}");
        }
        if let Some(rival) = self.rivals(server.addr).next() {
            return format!("{shows} with other content than {rival}{since}");
        }
        let doubt = match self.goal {
            Some(Goal::Serial(goal)) => self.doubt(server, goal),
            _ => None,
        };
        doubt.map_or(format!("{shows}{since}"), |doubt| format!("{shows}{since}{doubt}"))
    }

    fn goal_text(&self) -> String {
        self.goal.as_ref().map_or_else(|| "the newest serial".into(), Goal::text)
    }

    pub(super) fn described(&self, seen: &Observation) -> String {
        let Some(Goal::Record(wanted)) = &self.goal else {
            return seen.serial.map_or_else(|| "no serial".into(), |serial| format!("serial {serial}"));
        };
        if seen.rcode == Rcode::NXDOMAIN {
            return "no such name".into();
        }
        if seen.records.is_empty() {
            return match &seen.alias {
                Some(target) => format!("an alias of {target}, which it says no {} record of", wanted.rtype),
                None => format!("no {} record", wanted.rtype),
            };
        }
        // Servers rotate the records of a set.
        let mut shown: Vec<String> =
            seen.records.iter().map(|record| data(record.rtype, &record.rdata)).collect();
        shown.sort();
        format!("{} {}", wanted.rtype, shown.join(", "))
    }
}
