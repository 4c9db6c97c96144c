//! `tidemark reload`: has a node read its configuration and zone files again, and waits for the zones' servers where that is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::args::{ReloadArgs, Scope, WaitArgs};
use crate::cli::control::ControlError;
use crate::cli::drive;
use crate::cli::exit::{self, Exit, Failure};
use crate::cli::order;
use crate::cli::servers::Named;
use crate::cli::wait::{self, Ended, Publisher};
use crate::config::value;
use crate::server::settings::takes_restart;

/// How long a zone is waited for at least, when those before it have used up the time: long enough to ask its servers once.
const LAST: Duration = Duration::from_millis(200);
/// Zones that are waited for at a time.
const TOGETHER: usize = 32;

/// What a node says of a reload.
#[derive(Deserialize)]
struct Reloaded {
    zones: Vec<Read>,
    added: Vec<String>,
    removed: Vec<String>,
    needs_restart: Vec<String>,
}

/// A zone whose file was read.
#[derive(Deserialize)]
struct Read {
    zone: String,
    serial: Option<u32>,
}

/// Has the configuration and zone files read again.
pub fn run(args: &ReloadArgs) -> Result<Exit, Failure> {
    let mut answer =
        json!({ "zones": [], "failed": [], "files": [], "added": [], "removed": [], "needs_restart": [] });
    let result = reload(args, &mut answer);
    if args.json { order::as_json(answer, result) } else { result }
}

/// The same; `answer` is what is to be told in JSON, which is nothing as long as the node has said nothing.
fn reload(args: &ReloadArgs, answer: &mut Value) -> Result<Exit, Failure> {
    let about: Vec<(&str, String)> = args.zones.iter().map(|zone| ("zone", zone.to_string())).collect();
    let complaint;
    (*answer, complaint) = match order::give(&args.node, "reload", &about)? {
        // What could be read is in force.
        Err(ControlError::Refused { message, answer: Some(answer), .. }) if answer["zones"].is_array() => {
            (answer, Some(Failure::new(message)))
        }
        answer => (answer?, None),
    };
    let reloaded: Reloaded = serde_json::from_value(answer.clone()).map_err(|error| {
        Failure::new(format!("the node says of the reload what is not understood: {error}"))
    })?;
    match (&complaint, args.json) {
        (None, false) => drop(exit::say(&format!("{}\n", told(&reloaded)))?),
        // Before the wait: an operator may mend it meanwhile.
        (Some(complaint), _) => complaint.tell(),
        (None, true) => {}
    }
    let waited = if args.wait { servers_have(args, &reloaded.zones)? } else { Vec::new() };
    if args.wait && waited.is_empty() && !reloaded.zones.is_empty() {
        eprintln!("no zone that was read has other servers: name them in `notify`, or in `watch`");
    }
    if args.json && args.wait {
        answer["waited"] = waited.iter().map(|ended| ended.told.clone()).collect();
    }
    for ended in waited.iter().filter(|_| !args.json) {
        let zone = ended.told["zone"].as_str().unwrap_or("?");
        exit::say(&format!("{zone}: {}", ended.report))?;
    }
    // The worst of them has the highest number.
    let exits = waited.iter().map(|ended| ended.exit).chain(complaint.map(|complaint| complaint.exit()));
    Ok(exits.max_by_key(|exit| *exit as u8).unwrap_or(Exit::Done))
}

/// Waits until the servers of the zones have what is served now; what each zone's wait came to, in their order.
fn servers_have(args: &ReloadArgs, zones: &[Read]) -> Result<Vec<Ended>, Failure> {
    let socket = args.node.socket()?;
    let end = Instant::now() + args.timeout;
    let mut waits = Vec::new();
    // The node may stop while its servers are waited for.
    for Read { zone, serial } in zones {
        let page = drive::block_on(async { Ok(Publisher::ask(&socket, zone).await?) })?;
        let at = servers(&page);
        let (Some(serial), false) = (*serial, at.is_empty()) else { continue };
        let wait = WaitArgs {
            zone: value::name(zone).map_err(|error| Failure::new(error.to_string()))?,
            serial: Some(serial),
            next: false,
            file: None,
            record: None,
            at: at.into_iter().map(Named::Address).collect(),
            scope: Scope::Authoritative,
            old_ttl: None,
            timeout: args.timeout,
            interval: None,
            json: true,
        };
        waits.push((wait, Publisher::new(&socket, &page)));
    }
    let next = AtomicUsize::new(0);
    let wait = || {
        let mut ended = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((wait, publisher)) = waits.get(number) else { return ended };
            let timeout = end.saturating_duration_since(Instant::now()).max(LAST);
            let wait = WaitArgs { timeout, ..wait.clone() };
            ended.push((number, wait::of(&wait, Some(publisher), false)));
        }
    };
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..TOGETHER.min(waits.len())).map(|_| scope.spawn(wait)).collect();
        // A wait that panicked has not come to anything: that is no success.
        let ended =
            waiting.into_iter().flat_map(|waiting| waiting.join().unwrap_or_else(|it| resume_unwind(it)));
        let in_order: BTreeMap<usize, Result<Ended, Failure>> = ended.collect();
        in_order.into_values().collect()
    })
}

/// Whom the node tells of changes of a zone, or watches.
fn servers(page: &Value) -> BTreeSet<SocketAddr> {
    let servers = page["zones"].as_array().into_iter().flatten().flat_map(|zone| zone["servers"].as_array());
    servers.flatten().filter_map(|server| server["server"].as_str()?.parse().ok()).collect()
}

/// What a reload came to. A zone that is new has been read too, which need not be said.
fn told(reloaded: &Reloaded) -> String {
    let shown = |Read { zone, serial }: &Read| match serial {
        Some(serial) => format!("{zone} (serial {serial})"),
        None => zone.clone(),
    };
    let (new, old): (Vec<&Read>, Vec<&Read>) =
        reloaded.zones.iter().partition(|read| reloaded.added.contains(&read.zone));
    let pulled = reloaded.added.iter().filter(|zone| new.iter().all(|read| read.zone != **zone));
    let added = new.iter().map(|read| shown(read)).chain(pulled.cloned()).collect();
    let told = [
        ("reloaded", old.into_iter().map(shown).collect::<Vec<_>>()),
        ("added", added),
        ("removed", reloaded.removed.clone()),
    ];
    let told = told.into_iter().filter(|(_, zones)| !zones.is_empty());
    let told: Vec<String> = told.map(|(verb, zones)| format!("{verb} {}", zones.join(" "))).collect();
    let told = if told.is_empty() {
        "the configuration was read again; this node is primary for no zone".to_owned()
    } else {
        told.join("; ")
    };
    let keys: Vec<&str> = reloaded.needs_restart.iter().map(String::as_str).collect();
    [told].into_iter().chain(takes_restart(&keys)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_tells_what_came_and_what_went() {
        let told = |zones: &[(&str, u32)], added: &[&str], removed: &[&str], restart: &[&str]| {
            let zones: Vec<Value> =
                zones.iter().map(|(zone, serial)| json!({ "zone": zone, "serial": serial })).collect();
            let answer =
                json!({ "zones": zones, "added": added, "removed": removed, "needs_restart": restart });
            told(&serde_json::from_value(answer).unwrap())
        };
        assert_eq!(
            told(&[], &["gamma.test."], &["beta.test."], &[]),
            "added gamma.test.; removed beta.test."
        );
        assert_eq!(
            told(&[("a.", 7), ("b.", 1)], &["b.", "c."], &[], &[]),
            "reloaded a. (serial 7); added b. (serial 1) c."
        );
        assert_eq!(told(&[("a.", 7)], &[], &[], &[]), "reloaded a. (serial 7)");
        assert_eq!(
            told(&[], &[], &[], &[]),
            "the configuration was read again; this node is primary for no zone"
        );
        assert!(told(&[], &[], &["x."], &["nsid"]).starts_with("removed x.\nchanged, but only a restart"));
    }

    #[test]
    fn servers_of_a_zone_are_those_that_the_node_tells_or_watches() {
        let page = json!({ "zones": [{ "zone": "a.", "servers": [
            { "server": "192.0.2.2:53", "up": true }, { "server": "[2001:db8::1]:5300", "up": false }
        ] }] });
        let found: Vec<String> = servers(&page).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.2:53", "[2001:db8::1]:5300"]);
        assert!(servers(&json!({ "zones": [] })).is_empty());
    }
}
