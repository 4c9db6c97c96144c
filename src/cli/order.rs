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
    let verb = if args.force { "pulling whole, whatever the serial," } else { "asking for" };
    let plain = |answer: &Value| format!("{verb} {}", names(&answer["zones"]).join(" "));
    shown(args.json, give(&args.node, "refresh", &about), json!({ "zones": [] }), plain)
}

/// Has the cache forget.
pub fn flush(args: &FlushArgs) -> Result<Exit, Failure> {
    let about: Vec<(&str, String)> = args.names.iter().map(|name| ("name", name.to_string())).collect();
    let plain = |answer: &Value| {
        format!("forgot {}", exit::counted(answer["flushed"].as_u64().unwrap_or(0), "answer"))
    };
    shown(args.json, give(&args.node, "flush", &about), json!({ "flushed": 0 }), plain)
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

/// Ends an order: with the node's answer, or with `nothing` where there is none.
fn shown(
    is_json: bool,
    answer: Result<Result<Value, ControlError>, Failure>,
    nothing: Value,
    plain: impl FnOnce(&Value) -> String,
) -> Result<Exit, Failure> {
    let answer = answer.and_then(|answer| Ok(answer?));
    if is_json {
        let (answer, result) = match answer {
            Ok(answer) => (answer, Ok(Exit::Done)),
            Err(failure) => (nothing, Err(failure)),
        };
        return as_json(answer, result);
    }
    exit::say(&format!("{}\n", plain(&answer?)))
}

/// Writes what an order came to, with the `error` where it failed, behind what the node complained of: who reads JSON reads nothing else.
pub fn as_json(mut answer: Value, result: Result<Exit, Failure>) -> Result<Exit, Failure> {
    if let Err(failure) = &result {
        let told = answer["error"].as_str().map(|told| format!("{told}; {}", failure.message()));
        answer["error"] = told.unwrap_or_else(|| failure.message()).into();
    }
    let said = exit::say(&format!("{answer}\n"));
    result.and_then(|exit| said.map(|_| exit))
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|zone| zone["zone"].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_fails_keeps_its_exit_status() {
        let failure = |exit| Failure::Told(exit, "no".to_owned());
        for exit in [Exit::Failed, Exit::Unreachable] {
            assert_eq!(as_json(json!({ "zones": [] }), Err(failure(exit))).unwrap_err().exit(), exit);
            let plain = |_: &Value| unreachable!("there is no answer");
            assert_eq!(shown(false, Err(failure(exit)), Value::Null, plain).unwrap_err().exit(), exit);
        }
        assert_eq!(as_json(json!({}), Ok(Exit::Done)).unwrap(), Exit::Done);
    }

    #[test]
    fn zones_are_told_by_name() {
        let zones = json!([{ "zone": "a.", "serial": 7 }, { "zone": "b.", "serial": null }]);
        assert_eq!(names(&zones), ["a.", "b."]);
    }
}
