//! What the TOML reader and serde say about a file, in plainer words and with the key or value that was probably meant.

use std::path::Path;
use std::sync::Arc;

use crate::config::error::Error;
use crate::text::edit_distance::edit_distance;

/// Keys that are read only to be refused with the reason, and so are not offered.
const REFUSED: [&str; 3] = ["allow-update", "root-hints", "trust-anchors"];

const SERVER: &str = "[server]";
const TLS: &str = "[server.tls]";
const ZONE: &str = "[[zone]]";
const RESOLVER: &str = "[resolver]";
const CACHE: &str = "[resolver.cache]";
const FORWARD: &str = "[[resolver.forward]]";
const STUB: &str = "[[resolver.stub]]";

/// What others call what is configured here, with its key and the section of that; without a key it is the section. In BIND, Knot, NSD,
/// PowerDNS and Unbound.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("access-control", "allow", RESOLVER),
    ("acl", "allow-transfer", ZONE),
    ("acl", "allow", RESOLVER),
    ("address", "listen", SERVER),
    ("allow-axfr-ips", "allow-transfer", ZONE),
    ("allow-from", "allow", RESOLVER),
    ("allow-query", "allow", RESOLVER),
    ("allow-recursion", "allow", RESOLVER),
    ("also-notify", "notify", ZONE),
    ("cache", "", CACHE),
    ("cache-max-ttl", "max-ttl", CACHE),
    ("cache-size", "max-entries", CACHE),
    ("cert", "certificate", TLS),
    ("cert-file", "certificate", TLS),
    ("certificate-file", "certificate", TLS),
    ("control-interface", "control", SERVER),
    ("directory", "data-dir", SERVER),
    ("domain", "name", ZONE),
    ("forward-addr", "servers", FORWARD),
    ("forward-zone", "", FORWARD),
    ("forward-zones", "", FORWARD),
    ("forwarders", "servers", FORWARD),
    ("identity", "nsid", SERVER),
    ("interface", "listen", SERVER),
    ("ip-address", "listen", SERVER),
    ("key-file", "key", TLS),
    ("listen-on", "listen", SERVER),
    ("listen-on-v6", "listen", SERVER),
    ("local-address", "listen", SERVER),
    ("masters", "primaries", ZONE),
    ("master", "primaries", ZONE),
    ("max-cache-size", "max-entries", CACHE),
    ("max-cache-ttl", "max-ttl", CACHE),
    ("max-stale-ttl", "serve-stale", CACHE),
    ("name", "name", ZONE),
    ("name", "zone", FORWARD),
    ("num-threads", "workers", SERVER),
    ("options", "", SERVER),
    ("provide-xfr", "allow-transfer", ZONE),
    ("recursion", "", RESOLVER),
    ("request-xfr", "primaries", ZONE),
    ("serial-policy", "serial", ZONE),
    ("serial-update-method", "serial", ZONE),
    ("serve-expired", "serve-stale", CACHE),
    ("serve-expired-ttl", "serve-stale", CACHE),
    ("server-count", "workers", SERVER),
    ("server-id", "nsid", SERVER),
    ("setuid", "user", SERVER),
    ("stale-answer-enable", "serve-stale", CACHE),
    ("statistics-channels", "http", SERVER),
    ("storage", "data-dir", SERVER),
    ("stub-addr", "servers", STUB),
    ("stub-zone", "", STUB),
    ("threads", "workers", SERVER),
    ("tls-service-pem", "certificate", TLS),
    ("udp-workers", "workers", SERVER),
    ("username", "user", SERVER),
    ("webserver-address", "http", SERVER),
    ("zone-file", "file", ZONE),
    ("zonefile", "file", ZONE),
];

/// Words of others for what is no key here, and what there is instead.
const ADVICE: &[(&[&str], &str)] = &[
    (&["allow-query"], "zones are answered to everybody; who may use the cache is `allow` in `[resolver]`"),
    (
        &["dnssec-policy", "dnssec-signing", "inline-signing"],
        "zones are not signed here yet: what is signed elsewhere is served as it is",
    ),
    (&["logging"], "how much is logged says TIDEMARK_LOG in the environment: warn, info or debug"),
    (
        &["port", "local-port"],
        "the port stands behind an address, as in `listen = [\"192.0.2.1:5353\"]` in `[server]`",
    ),
    (
        &["remote"],
        "servers are named by their addresses where they are used: `primaries` and `notify` in `[[zone]]`",
    ),
    (&["secondary"], "a secondary is a `[[zone]]` with `primaries`"),
    (
        &["secondaries", "slaves"],
        "who is told of changes is in `notify` in `[[zone]]`, and who may fetch them in `allow-transfer`",
    ),
    (&["tsig", "key"], "keys for TSIG are not supported yet: who may transfer a zone is told by address"),
    (&["update-policy"], "dynamic updates are not supported yet: edit the zone's file"),
    (
        &["zonesdir"],
        "`file` in `[[zone]]` is relative to the folder of this file; a folder of zone files is `path` in `[[zone-dir]]`",
    ),
];
/// What others have to tell primaries from secondaries.
const ROLES: [&str; 3] = ["type", "role", "kind"];

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
                .replace(", expected i64", ", expected a number")
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
    let theirs = if kind == "key" { elsewhere(&folded(word), &known) } else { None };
    let label = theirs.or_else(|| closest(word, &known).map(|meant| format!("did you mean `{meant}`?")));
    let (label, help) = (label.unwrap_or_default(), format!("what may stand here: {}", known.join(", ")));
    (format!("unknown {kind} `{word}`"), label, help)
}

/// What is said of a word of other servers.
fn elsewhere(word: &str, known: &[&str]) -> Option<String> {
    let meant = || ELSEWHERE.iter().filter(|(theirs, ..)| *theirs == word);
    if let Some((_, key, _)) = meant().find(|(_, key, _)| known.contains(key)) {
        return Some(format!("that is `{key}` here"));
    }
    if ROLES.contains(&word) && (known.contains(&"primaries") || known.contains(&"path")) {
        return Some("a zone with `file` is a primary, and one with `primaries` a secondary".to_owned());
    }
    if let Some((_, instead)) = ADVICE.iter().find(|(theirs, _)| theirs.contains(&word)) {
        return Some((*instead).to_owned());
    }
    let places = meant().map(|(_, key, section)| match *key {
        "" => format!("`{section}`"),
        key => format!("`{key}` in `{section}`"),
    });
    let places: Vec<String> = places.collect();
    (!places.is_empty()).then(|| format!("that is {}", places.join(" or ")))
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
        // Where it has no place, that is told.
        let server = "`listen`, `data-dir`, `workers`";
        assert_eq!(told("masters", server), "that is `primaries` in `[[zone]]`");
        assert_eq!(told("Num_Threads", server), "that is `workers` here");
        assert_eq!(told("cache-size", server), "that is `max-entries` in `[resolver.cache]`");
        let top = "`server`, `zone`, `zone-dir`, `resolver`";
        assert_eq!(told("acl", top), "that is `allow-transfer` in `[[zone]]` or `allow` in `[resolver]`");
        assert_eq!(told("acl", zone), "that is `allow-transfer` here");
        assert_eq!(told("acl", "`mode`, `allow`"), "that is `allow` here");
        assert_eq!(told("stub-zone", top), "that is `[[resolver.stub]]`");
        assert_eq!(told("forwarders", "`mode`, `allow`"), "that is `servers` in `[[resolver.forward]]`");
        assert_eq!(told("role", "`path`, `notify`"), told("type", zone));
        assert_eq!(told("type", server), "");
        assert!(told("local-port", server).contains("`listen = [\"192.0.2.1:5353\"]` in `[server]`"));
        for word in ["slaves", "remote", "zonesdir"] {
            assert!(told(word, top).contains("in `[["), "{word}");
        }
        let tls = "`listen`, `certificate`, `key`";
        for word in ["cert", "cert-file", "certificate-file"] {
            assert_eq!(told(word, tls), "that is `certificate` here");
        }
        assert_eq!(told("key-file", tls), "that is `key` here");
        assert_eq!(told("address", server), "that is `listen` here");
        assert_eq!(told("recursion", server), "that is `[resolver]`");
        assert_eq!(told("name", "`zone`, `servers`"), "that is `zone` here");
        assert_eq!(told("name", server), "that is `name` in `[[zone]]` or `zone` in `[[resolver.forward]]`");
        assert_eq!(told("cache", top), "that is `[resolver.cache]`");
        assert_eq!(told("secondary", top), "a secondary is a `[[zone]]` with `primaries`");
        assert!(told("logging", top).contains("TIDEMARK_LOG"));
        for word in ["tsig", "key", "dnssec-policy", "update-policy"] {
            assert!(told(word, zone).contains(" yet: "), "{word}");
        }
        // They are words for keys.
        assert_eq!(did_you_mean("value", "masters", server).1, "");
    }

    #[test]
    fn what_is_suggested_is_documented() {
        let reference = crate::config::load::REFERENCE;
        for (theirs, key, section) in ELSEWHERE {
            let header = format!("\n{section}");
            let below = reference.split(&header).skip(1).map(|rest| rest.split("\n[").next().unwrap());
            let mut keys = below.flat_map(str::lines).filter_map(|line| line.split_whitespace().next());
            assert!(reference.contains(&header), "{section}");
            assert!(key.is_empty() || keys.any(|known| known == *key), "{theirs}: {key} in {section}");
        }
        let told = ADVICE.iter().flat_map(|(_, told)| told.split('`').skip(1).step_by(2));
        for word in told.map(|word| word.split(' ').next().unwrap()) {
            assert!(reference.contains(word), "{word}");
        }
    }
}
