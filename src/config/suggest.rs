//! What the TOML reader and serde say about a file, in plainer words and with the key or value that was probably meant.

use std::path::Path;
use std::sync::Arc;

use crate::config::error::Error;
use crate::text::edit_distance::edit_distance;

/// Keys that are read only to be refused with the reason, and so are not offered.
const REFUSED: [&str; 3] = ["allow-update", "root-hints", "trust-anchors"];

/// What others call what is configured here: in BIND, Knot, NSD, PowerDNS and Unbound.
const ELSEWHERE: [(&str, &str); 32] = [
    ("access-control", "allow"),
    ("acl", "allow-transfer"),
    ("allow-axfr-ips", "allow-transfer"),
    ("allow-from", "allow"),
    ("allow-query", "allow"),
    ("allow-recursion", "allow"),
    ("also-notify", "notify"),
    ("cache-max-ttl", "max-ttl"),
    ("cache-size", "max-entries"),
    ("directory", "data-dir"),
    ("domain", "name"),
    ("forward-addr", "servers"),
    ("forward-zone", "resolver"),
    ("forwarders", "servers"),
    ("identity", "nsid"),
    ("interface", "listen"),
    ("ip-address", "listen"),
    ("listen-on", "listen"),
    ("local-address", "listen"),
    ("masters", "primaries"),
    ("master", "primaries"),
    ("max-cache-size", "max-entries"),
    ("max-cache-ttl", "max-ttl"),
    ("options", "server"),
    ("provide-xfr", "allow-transfer"),
    ("request-xfr", "primaries"),
    ("serve-expired", "serve-stale"),
    ("server-id", "nsid"),
    ("stale-answer-enable", "serve-stale"),
    ("storage", "data-dir"),
    ("stub-addr", "servers"),
    ("zonefile", "file"),
];

/// The error with its place, a plain message and, for unknown words, a suggestion.
pub(super) fn explain(path: &Path, text: &Arc<str>, error: &toml::de::Error) -> Error {
    let message = error.message();
    let unknown = |prefix| message.strip_prefix(prefix).and_then(|rest| rest.split_once("`, expected "));
    let (plain, label, help) = match (unknown("unknown field `"), unknown("unknown variant `")) {
        (Some((word, known)), _) => did_you_mean("key", word, known),
        (None, Some((word, known))) => did_you_mean("value", word, known),
        (None, None) => {
            let plain = message
                .replace(
                    "invalid type: map, expected a sequence",
                    "single section where a list of sections belongs",
                )
                .replace(", expected a sequence", ", expected a list such as `[\"...\"]`")
                .replace("invalid type: sequence", "invalid type: list")
                .replace("invalid type: map", "invalid type: section");
            let header = error.span().and_then(|span| text.get(span)).filter(|place| place.starts_with('['));
            let help = match header {
                Some(header) if message.ends_with("expected a sequence") => {
                    format!("there can be several of these sections: write `[{header}]`")
                }
                _ if message.starts_with("duplicate key") => "keep one of the two".to_owned(),
                _ => "see `tidemark serve --help` for an example of a configuration".to_owned(),
            };
            (plain, String::new(), help)
        }
    };
    let refused = Error::new(path, text, plain).help(help);
    match error.span() {
        Some(span) => refused.at(span, label),
        None => refused,
    }
}

/// Message, label and help for a word that is none of the `known` (as serde lists them, in backticks).
fn did_you_mean(kind: &str, word: &str, known: &str) -> (String, String, String) {
    let known = known.split('`').skip(1).step_by(2);
    let known: Vec<&str> = known.filter(|word| !REFUSED.contains(word)).collect();
    let label = match (here(word, &known), closest(word, &known)) {
        (Some(meant), _) => format!("that is `{meant}` here"),
        // As in BIND and PowerDNS.
        _ if word == "type" && known.contains(&"primaries") => {
            "a zone with `file` is a primary, and one with `primaries` a secondary".to_owned()
        }
        (None, Some(meant)) => format!("did you mean `{meant}`?"),
        (None, None) => String::new(),
    };
    (format!("unknown {kind} `{word}`"), label, format!("what may stand here: {}", known.join(", ")))
}

/// The known word for what another server calls `word`.
fn here<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let (_, meant) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == folded(word))?;
    known.iter().find(|known| *known == meant).copied()
}

fn folded(word: &str) -> String {
    word.to_lowercase().replace('_', "-")
}

/// The known word that `word` is probably a slip of: at most a third of it differs.
fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let folded = folded(word);
    let (distance, meant) =
        known.iter().map(|known| (edit_distance(folded.as_bytes(), known.as_bytes()), *known)).min()?;
    (distance <= meant.len().max(3) / 3).then_some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["listen", "http", "data-dir"];
        assert_eq!(closest("lisen", &known), Some("listen"));
        assert_eq!(closest("data_dir", &known), Some("data-dir"));
        assert_eq!(closest("port", &known), None);
    }

    #[test]
    fn the_words_of_other_servers_are_known() {
        let told = |word, known| did_you_mean("key", word, known).1;
        let zone = "`name`, `file`, `primaries`, `notify`, `allow-transfer`";
        assert_eq!(told("masters", zone), "that is `primaries` here");
        assert_eq!(told("also_notify", zone), "that is `notify` here");
        assert_eq!(
            told("type", zone),
            "a zone with `file` is a primary, and one with `primaries` a secondary"
        );
        // Where it has no place, it is not offered.
        assert_eq!(told("masters", "`listen`, `data-dir`"), "");
        let documented: Vec<&str> = ELSEWHERE.iter().map(|(_, meant)| *meant).collect();
        for meant in documented {
            assert!(crate::config::load::REFERENCE.contains(meant), "{meant}");
        }
    }
}
