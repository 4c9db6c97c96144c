//! `tidemark reload`, `refresh` and `flush`: orders to a running node over its control socket.

use serde_json::{Value, json};

use crate::cli::args::{ControlArgs, FlushArgs, RefreshArgs, ReloadArgs};
use crate::cli::control;
use crate::cli::drive;
use crate::cli::exit::{Exit, Failure, written};
use crate::server::settings::takes_restart;
use crate::wire::name::Name;

/// Has the configuration and zone files read again.
pub fn reload(args: &ReloadArgs) -> Result<Exit, Failure> {
    order(&args.node, "reload", "zone", &args.zones, args.json, |answer| {
        let hint = takes_restart(&names(&answer["needs-restart"]));
        [zones("reloaded", answer)].into_iter().chain(hint).collect::<Vec<_>>().join("\n")
    })
}

/// Has primaries asked.
pub fn refresh(args: &RefreshArgs) -> Result<Exit, Failure> {
    order(&args.node, "refresh", "zone", &args.zones, args.json, |answer| zones("asking for", answer))
}

/// Has the cache forget.
pub fn flush(args: &FlushArgs) -> Result<Exit, Failure> {
    order(&args.node, "flush", "name", &args.names, args.json, |answer| match &answer["flushed"] {
        Value::Number(count) => format!("forgot {count} answers"),
        _ => "forgot everything".to_owned(),
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

fn zones(verb: &str, answer: &Value) -> String {
    let names = names(&answer["zones"]);
    if names.is_empty() { format!("{verb} no zones") } else { format!("{verb} {}", names.join(" ")) }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
