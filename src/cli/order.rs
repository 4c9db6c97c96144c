//! `tidemark refresh` and `flush`, and what they have in common with `reload`: orders to a running node over its control socket.

use serde_json::{Value, json};

use crate::cli::args::{ControlArgs, FlushArgs, RefreshArgs};
use crate::cli::control::{self, ControlError};
use crate::cli::drive;
use crate::cli::exit::{self, Exit, Failure};

/// Has primaries asked.
pub fn refresh(args: &RefreshArgs) -> Result<Exit, Failure> {
    let mut about: Vec<(&str, String)> = args.zones.iter().map(|zone| ("zone", zone.to_string())).collect();
    about.extend(args.force.then(|| ("force", "true".to_owned())));
    let answer = give(&args.node, "refresh", &about)??;
    let verb = if args.force { "pulling whole, whatever the serial," } else { "asking for" };
    shown(args.json, &answer, || format!("{verb} {}", names(&answer["zones"]).join(" ")))
}

/// Has the cache forget.
pub fn flush(args: &FlushArgs) -> Result<Exit, Failure> {
    let about: Vec<(&str, String)> = args.names.iter().map(|name| ("name", name.to_string())).collect();
    let answer = give(&args.node, "flush", &about)??;
    shown(args.json, &answer, || format!("forgot {} answers", answer["flushed"]))
}

/// Has a node do something, with what this is about by their keys; its answer.
pub fn give(
    node: &ControlArgs,
    what: &str,
    about: &[(&str, String)],
) -> Result<Result<Value, ControlError>, Failure> {
    let socket = node.socket()?;
    let mut uri = format!("/api/v1/{what}");
    for (number, (key, value)) in about.iter().enumerate() {
        let separator = if number == 0 { '?' } else { '&' };
        uri.push_str(&format!("{separator}{key}={}", control::in_query(value)));
    }
    drive::block_on(async { Ok(control::post(&socket, &uri, &json!({})).await) })
}

fn shown(as_json: bool, answer: &Value, plain: impl FnOnce() -> String) -> Result<Exit, Failure> {
    let text = if as_json { answer.to_string() } else { plain() };
    exit::say(&format!("{text}\n"))
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
