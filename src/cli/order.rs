//! `tidemark reload`, `refresh` and `flush`: orders to a running node over its control socket.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::cli::args::{ControlArgs, FlushArgs, RefreshArgs, ReloadArgs};
use crate::cli::control;
use crate::cli::drive;
use crate::cli::exit::{Exit, Failure, written};
use crate::server::settings::takes_restart;
use crate::wire::name::Name;

/// Has the configuration and zone files read again.
pub fn reload(args: &ReloadArgs) -> Result<Exit, Failure> {
    order(&args.node, "reload", "zone", &args.zones, args.json, reloaded)
}

/// Has primaries asked.
pub fn refresh(args: &RefreshArgs) -> Result<Exit, Failure> {
    order(&args.node, "refresh", "zone", &args.zones, args.json, |answer| {
        format!("asking for {}", names(&answer["zones"]).join(" "))
    })
}

/// Has the cache forget.
pub fn flush(args: &FlushArgs) -> Result<Exit, Failure> {
    order(&args.node, "flush", "name", &args.names, args.json, |answer| {
        format!("forgot {} answers", answer["flushed"])
    })
}

fn order(
    node: &ControlArgs,
    what: &str,
    key: &str,
    names: &[Name],
    as_json: bool,
    plain: impl Fn(&Value) -> String,
) -> Result<Exit, Failure> {
    let socket = node.socket()?;
    let mut uri = format!("/api/v1/{what}");
    for (index, name) in names.iter().enumerate() {
        let separator = if index == 0 { '?' } else { '&' };
        uri.push(separator);
        uri.push_str(key);
        uri.push('=');
        uri.push_str(&control::in_query(&name.to_string()));
    }
    let answer = drive::block_on(async { Ok(control::post(&socket, &uri, &json!({})).await?) })?;
    let text = if as_json { answer.to_string() } else { plain(&answer) };
    written(std::io::Write::write_all(&mut std::io::stdout(), format!("{text}\n").as_bytes()))
}

/// What a reload came to. A zone that is new has been read too, which need not be said.
fn reloaded(answer: &Value) -> String {
    let (added, removed) = (names(&answer["added"]), names(&answer["removed"]));
    let new: HashSet<&str> = added.iter().copied().collect();
    let read = names(&answer["zones"]).into_iter().filter(|zone| !new.contains(zone)).collect();
    let told = [("reloaded", read), ("added", added), ("removed", removed)];
    let told = told.into_iter().filter(|(_, zones)| !zones.is_empty());
    let told: Vec<String> = told.map(|(verb, zones)| format!("{verb} {}", zones.join(" "))).collect();
    let told = if told.is_empty() {
        "the configuration was read again; this node is primary for no zone".to_owned()
    } else {
        told.join("; ")
    };
    let hint = takes_restart(&names(&answer["needs-restart"]));
    [told].into_iter().chain(hint).collect::<Vec<_>>().join("\n")
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_tells_what_came_and_what_went() {
        let told = |zones: &[&str], added: &[&str], removed: &[&str], restart: &[&str]| {
            reloaded(&json!({ "zones": zones, "added": added, "removed": removed, "needs-restart": restart }))
        };
        assert_eq!(
            told(&[], &["gamma.test."], &["beta.test."], &[]),
            "added gamma.test.; removed beta.test."
        );
        assert_eq!(told(&["a.", "b."], &["b."], &[], &[]), "reloaded a.; added b.");
        assert_eq!(told(&["a."], &[], &[], &[]), "reloaded a.");
        assert_eq!(
            told(&[], &[], &[], &[]),
            "the configuration was read again; this node is primary for no zone"
        );
        assert!(told(&[], &[], &["x."], &["nsid"]).starts_with("removed x.\nchanged, but only a restart"));
    }
}
