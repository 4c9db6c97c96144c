//! `tidemark status`: what a running node serves, and how it is.

use std::io::{self, Write};

use serde_json::Value;

use crate::cli::args::StatusArgs;
use crate::cli::control;
use crate::cli::drive;
use crate::cli::exit::{Exit, Failure, counted, written};
use crate::cli::table::{BAD, Cell, Column, DIM, GOOD, Table, WARN};
use crate::server::settings::takes_restart;
use crate::wire::name::Name;

/// Asks the node and prints what it says.
pub fn run(args: &StatusArgs) -> Result<Exit, Failure> {
    let socket = args.node.socket()?;
    let mut status = drive::block_on(async { Ok(control::status(&socket).await?) })?;
    if !args.zones.is_empty() {
        select(&mut status, &args.zones)?;
    }
    match args.json {
        true => written(writeln!(io::stdout(), "{status:#}"))?,
        false => written(print(&status))?,
    };
    let mut lacks: Vec<String> = if args.zones.is_empty() { node_lacks(&status) } else { Vec::new() };
    lacks.extend(each(&status["zones"]).filter(|zone| is_out(zone)).map(why_out));
    match lacks.is_empty() {
        true => Ok(Exit::Done),
        false => Err(Failure::of("not all is served that is to be", &lacks)),
    }
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// What the node as a whole does without. An address that this machine does not have is not among it: it may be another one's turn to have
/// it. One that is closed lacks the certificate, which is.
fn node_lacks(status: &Value) -> Vec<String> {
    let is_out = |one: &&Value| one["state"] != "absent" && one["state"] != "closed";
    let listening = each(&status["not_listening"]).filter(is_out).filter_map(|one| {
        let (address, reason) = (one["address"].as_str()?, one["reason"].as_str()?);
        Some(format!("nothing is served on {address}: {reason}"))
    });
    let read = each(&status["not_read"]).filter_map(|one| Some(one["reason"].as_str()?.to_owned()));
    listening.chain(read).collect()
}

/// Why a zone is not served, as far as it is told.
fn why_out(zone: &Value) -> String {
    let [name, state] = ["zone", "state"].map(|key| zone[key].as_str().unwrap_or("?"));
    match zone["problem"]["what"].as_str() {
        Some(what) => format!("{name} is {state}: {what}"),
        None if state == "failed" => {
            format!("{name} is {state}: nothing has been read or transferred for it yet")
        }
        None => format!("{name} is {state}: no primary has confirmed it in time"),
    }
}

/// Whether a zone of this node is not served. A stub zone is somebody else's: that its servers are down is no fault of the cache that asks
/// them, and starting that anew would not help.
fn is_out(zone: &Value) -> bool {
    zone["role"] != "stub" && (zone["state"] == "failed" || zone["state"] == "expired")
}

/// Leaves only the zones asked for.
fn select(status: &mut Value, wanted: &[Name]) -> Result<(), Failure> {
    let named = |zone: &Value| zone["zone"].as_str().and_then(|name| name.parse::<Name>().ok());
    let Some(zones) = status["zones"].as_array_mut() else { return Ok(()) };
    if let Some(missing) =
        wanted.iter().find(|name| !zones.iter().any(|zone| named(zone).as_ref() == Some(*name)))
    {
        return Err(Failure::new(format!(
            "the node has no zone {missing}; `tidemark status` without a zone lists all"
        )));
    }
    zones.retain(|zone| named(zone).is_some_and(|name| wanted.contains(&name)));
    Ok(())
}

fn print(status: &Value) -> io::Result<()> {
    let listen = |key: &str| {
        let all = status[key].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let missing = status["not_listening"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_served = |addr: &String| !missing.iter().any(|one| one["address"] == **addr);
    let encrypted = listen("listen_tls").into_iter().filter(is_served).map(|addr| format!("{addr} (TLS)"));
    let listen: Vec<String> = listen("listen").into_iter().filter(is_served).chain(encrypted).collect();
    let version = status["version"].as_str().unwrap_or("?");
    anstream::println!("tidemark {version} on {}", listen.join(", "));
    for one in missing {
        if let (Some(addr), Some(reason)) = (one["address"].as_str(), one["reason"].as_str()) {
            anstream::println!("{WARN}not listening on {addr} yet{WARN:#}: {reason}");
        }
    }
    for one in status["not_read"].as_array().into_iter().flatten() {
        if let Some(reason) = one["reason"].as_str() {
            let how = if one["gone"] == true { "gone" } else { "not read yet" };
            anstream::println!("{WARN}{how}{WARN:#}: {reason}");
        }
    }
    let refused = &status["not_reloaded"];
    if let (Some(what), Some(since)) = (refused["what"].as_str(), refused["since"].as_str()) {
        anstream::println!("{WARN}not reloaded{WARN:#} at {since}: {what}");
    }
    let keys: Vec<&str> =
        status["needs_restart"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(hint) = takes_restart(&keys) {
        anstream::println!("{WARN}needs a restart{WARN:#}: {hint}");
    }
    if let Some(entries) = status["cache"]["entries"].as_u64() {
        anstream::println!("cache: {}", counted(entries, "answer"));
    }
    let zones = status["zones"].as_array().map(Vec::as_slice).unwrap_or_default();
    if zones.is_empty() {
        return Ok(());
    }
    let mut table = Table::new([
        Column::left("ZONE"),
        Column::left("ROLE"),
        Column::left("STATE"),
        Column::right("SERIAL"),
        Column::right("RECORDS"),
        Column::left("PUBLISHED"),
        Column::right("STALENESS"),
    ]);
    for zone in zones {
        table.row(row(zone));
        for server in zone["servers"].as_array().into_iter().flatten() {
            table.row(server_row(server));
        }
    }
    table.print()?;
    for zone in zones.iter().filter(|zone| zone["state"] == "expired") {
        if let (Some(name), Some(since)) = (zone["zone"].as_str(), zone["expires"].as_str()) {
            anstream::println!("{BAD}{name}{BAD:#} is not served since {since}: it expired then");
        }
    }
    for zone in zones {
        if let (Some(name), Some(what)) = (zone["zone"].as_str(), zone["problem"]["what"].as_str()) {
            let since = zone["problem"]["since"].as_str().unwrap_or("-");
            anstream::println!("{WARN}{name}{WARN:#} since {since}: {what}");
        }
    }
    Ok(())
}

fn row(zone: &Value) -> [Cell; 7] {
    let state = zone["state"].as_str().unwrap_or("?");
    let style = match state {
        "current" => GOOD,
        "unverified" | "behind" => WARN,
        _ => BAD,
    };
    let published = zone["published"].as_str();
    [
        text(&zone["zone"]),
        text(&zone["role"]),
        Cell::styled(state, style),
        text(&zone["serial"]),
        text(&zone["records"]),
        Cell::styled(published.unwrap_or("-"), DIM),
        Cell::from(match &zone["role"] {
            // Nobody tells of changes there, it is asked from time to time: that nothing newer is known means little.
            role if role == "stub" => bound(&zone["staleness"]),
            _ => staleness(&zone["staleness"]),
        }),
    ]
}

fn server_row(server: &Value) -> [Cell; 7] {
    let answer = match (server["up"].as_bool(), server["fault"].as_str()) {
        (Some(true), None) => Cell::styled("answers", GOOD),
        (Some(true), Some(fault)) => Cell::styled(format!("has {fault}"), BAD),
        _ if server["watched"] == false => Cell::styled("not watched", WARN),
        (_, Some(fault)) if server["answers"] == true => Cell::styled(format!("answers {fault}"), BAD),
        (_, Some(fault)) => Cell::styled(fault, BAD),
        _ => Cell::styled("silent", BAD),
    };
    // One that answers, and not with the zone, does not serve what it showed last.
    let serial = match server["answers"] == true && server["up"] != true {
        true => &Value::Null,
        false => &server["serial"],
    };
    [
        Cell::from(format!("  {}", server["server"].as_str().unwrap_or("?"))),
        Cell::styled(if server["watched"] == false { "server" } else { "watched" }, DIM),
        answer,
        text(serial),
        Cell::from(String::new()),
        Cell::from(String::new()),
        Cell::from(staleness(&server["staleness"])),
    ]
}

fn text(value: &Value) -> Cell {
    Cell::from(match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

/// As [`staleness`], and the bound where nothing newer is known.
fn bound(interval: &Value) -> String {
    match (interval["estimate"].as_f64(), interval["high"].as_f64()) {
        (Some(0.0), Some(high)) => format!("<= {high:.3} s"),
        _ => staleness(interval),
    }
}

/// The best figure, as a bound where it may lack nothing, or else the bounds.
fn staleness(interval: &Value) -> String {
    let [estimate, low, high] = ["estimate", "low", "high"].map(|part| interval[part].as_f64());
    match (estimate, low, high) {
        (Some(estimate), ..) if estimate < 0.000_5 => "0".to_owned(),
        (Some(estimate), Some(low), _) if low <= 0.0 => format!("<= {estimate:.3} s"),
        (Some(estimate), ..) => format!("{estimate:.3} s"),
        (None, Some(low), Some(high)) if low < 0.000_5 => format!("<= {high:.3} s"),
        (None, Some(low), _) if low >= 0.000_5 => format!(">= {low:.3} s"),
        (None, ..) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_says_no_more_of_staleness_than_json() {
        for (low, high, estimate, shown) in [
            (json!(0.0), json!(null), json!(0.0), "0"),
            (json!(0.0), json!(3.0), json!(0.0), "0"),
            (json!(2.0), json!(30.0), json!(12.0), "12.000 s"),
            // It may have followed since.
            (json!(0.0), json!(30.0), json!(12.0), "<= 12.000 s"),
            (json!(0.0), json!(3.0), json!(null), "<= 3.000 s"),
            (json!(2.0), json!(null), json!(null), ">= 2.000 s"),
            (json!(0.0), json!(null), json!(null), "-"),
        ] {
            let interval = json!({"low": low, "high": high, "estimate": estimate});
            assert_eq!(staleness(&interval), shown, "{interval}");
        }
        assert_eq!(bound(&json!({"low": 0.0, "high": 11.6, "estimate": 0.0})), "<= 11.600 s");
        assert_eq!(bound(&json!({"low": 0.0, "high": 30.0, "estimate": 12.0})), "<= 12.000 s");
        assert_eq!(bound(&json!({"low": 0.0, "high": null, "estimate": 0.0})), "0");
        assert_eq!(staleness(&Value::Null), "-");
    }

    #[test]
    fn a_server_that_answers_without_the_zone_shows_no_serial() {
        for (up, answers, fault, shown) in [
            (true, true, json!(null), "7"),
            (true, true, json!("a serial above 6, and takes nothing older"), "7"),
            (false, true, json!("SERVFAIL"), "-"),
            // It may be the way to it that is down.
            (false, false, json!(null), "7"),
        ] {
            let server = json!({"server": "192.0.2.1:53", "watched": true, "up": up, "answers": answers, "fault": fault, "serial": 7});
            assert_eq!(server_row(&server)[3], Cell::from(shown.to_owned()), "{server}");
        }
    }

    #[test]
    fn zones_of_others_do_not_fail_a_health_check() {
        assert_eq!(
            why_out(&json!({"zone": "a.", "state": "failed", "problem": {"what": "a.zone is broken"}})),
            "a. is failed: a.zone is broken"
        );
        for (role, state, expected) in [
            ("primary", "failed", true),
            ("secondary", "expired", true),
            ("secondary", "behind", false),
            ("stub", "failed", false),
            ("stub", "expired", false),
        ] {
            assert_eq!(is_out(&json!({"role": role, "state": state})), expected, "{role} {state}");
        }
    }

    #[test]
    fn what_a_node_does_without_fails_a_health_check_but_an_address_of_another_machine() {
        let address = |state| json!({"address": "192.0.2.1:53", "state": state, "reason": "why"});
        let lacks = |state| node_lacks(&json!({"not_listening": [address(state)], "not_read": []}));
        assert_eq!(lacks("unbound"), ["nothing is served on 192.0.2.1:53: why"]);
        assert_eq!(lacks("lost").len(), 1);
        assert!(lacks("absent").is_empty() && lacks("closed").is_empty());
        let folder =
            json!({"what": "folder", "path": "z", "reason": "cannot read the folder z", "gone": true});
        assert_eq!(node_lacks(&json!({"not_read": [folder]})), ["cannot read the folder z"]);
    }
}
