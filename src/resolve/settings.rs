//! The settings of the `[resolver]` section, and what is wrong with them beyond their types.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde::Deserialize;

use crate::wire::name::Name;

use super::cache;
use super::upstream::Zone;

/// The settings of `[resolver]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Where names go that no forward or stub zone holds.
    pub mode: Mode,
    /// Who may ask; read by the answerer, not here.
    pub allow: Vec<String>,
    /// A file of root servers; without effect until there is recursion.
    pub root_hints: Option<String>,
    /// Whether DNSSEC is validated; without effect until there is validation.
    pub validate: Option<bool>,
    /// A file of DS or DNSKEY records; without effect until there is validation.
    pub trust_anchors: Option<String>,
    /// Names below which nothing is validated; without effect until there is validation.
    pub negative_trust_anchors: Vec<Name>,
    /// Whether servers only hear as much of a name as they need (RFC 9156); without effect until there is recursion.
    pub qname_minimisation: Option<bool>,
    /// Whether servers are asked over IPv4.
    pub ipv4: bool,
    /// Whether servers are asked over IPv6.
    pub ipv6: bool,
    /// Zones whose names recursive servers are asked for.
    pub forward: Vec<Zone>,
    /// Zones whose names authoritative servers are asked for.
    pub stub: Vec<Zone>,
    /// The cache.
    pub cache: cache::Config,
}

/// What is done with names that no forward or stub zone holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They are resolved from the root.
    #[default]
    Recursive,
    /// They fail.
    Forward,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            mode: Mode::default(),
            allow: vec!["127.0.0.0/8".to_owned(), "::1".to_owned()],
            root_hints: None,
            validate: None,
            trust_anchors: None,
            negative_trust_anchors: Vec::new(),
            qname_minimisation: None,
            ipv4: true,
            ipv6: true,
            forward: Vec::new(),
            stub: Vec::new(),
            cache: cache::Config::default(),
        }
    }
}

/// Settings that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There is no recursion.
    #[error(
        "`resolver.mode = \"recursive\"`: recursion from the root is not there yet; name recursive servers for the \
         zone `.` under `[[resolver.forward]]`, or set `mode = \"forward\"`"
    )]
    NoRecursion,
    /// A zone that is named twice.
    #[error(
        "`[[resolver.forward]]` and `[[resolver.stub]]`: zone `{0}` stands there twice; keep one of them"
    )]
    Twice(Name),
    /// A zone that nobody can be asked about.
    #[error(
        "`resolver`: zone `{0}` has no server that may be asked; add one to `servers`, or allow its family with \
         `ipv4` or `ipv6`"
    )]
    NoServers(Name),
}

impl Config {
    /// Finds what the types alone do not: zones that clash or lead nowhere.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut zones = BTreeSet::new();
        for zone in self.stub.iter().chain(&self.forward) {
            if !zones.insert(&zone.zone) {
                return Err(ConfigError::Twice(zone.zone.clone()));
            }
            if !zone.servers.iter().any(|server| self.usable(&server.0)) {
                return Err(ConfigError::NoServers(zone.zone.clone()));
            }
        }
        if self.mode == Mode::Recursive && !zones.contains(&Name::root()) {
            return Err(ConfigError::NoRecursion);
        }
        Ok(())
    }

    /// Keys that are set but change nothing yet, for a warning at the start.
    pub fn without_effect(&self) -> Vec<&'static str> {
        let keys = [
            ("root-hints", self.root_hints.is_some()),
            ("validate", self.validate == Some(true)),
            ("trust-anchors", self.trust_anchors.is_some()),
            ("negative-trust-anchors", !self.negative_trust_anchors.is_empty()),
            ("qname-minimisation", self.qname_minimisation == Some(true)),
        ];
        keys.into_iter().filter(|&(_, set)| set).map(|(key, _)| key).collect()
    }

    /// Whether a server's family is allowed.
    pub fn usable(&self, server: &SocketAddr) -> bool {
        if server.is_ipv4() { self.ipv4 } else { self.ipv6 }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The `[resolver]` section of the reference, less what cannot be done yet.
    const FULL: &str = r#"
        mode = "recursive"
        allow = ["127.0.0.0/8", "::1"]
        root-hints = "root.hints"
        validate = true
        trust-anchors = "root.key"
        negative-trust-anchors = ["broken.example."]
        qname-minimisation = true
        ipv4 = true
        ipv6 = true
        [[forward]]
        zone = "."
        servers = ["192.0.2.53", "[2001:db8::53]:5353", "2001:db8::54"]
        [[stub]]
        zone = "example."
        servers = ["127.0.0.1:5301"]
        [cache]
        max-entries = 1_000_000
        max-ttl = 86400
        serve-stale = "1d"
    "#;

    fn refusal(text: &str) -> String {
        toml::from_str::<Config>(text).unwrap_err().to_string()
    }

    #[test]
    fn every_key_is_read() {
        let config: Config = toml::from_str(FULL).unwrap();
        let servers: Vec<_> = config.forward[0].servers.iter().map(|server| server.0.to_string()).collect();
        assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:5353", "[2001:db8::54]:53"]);
        assert_eq!(config.stub[0].zone.to_string(), "example.");
        assert_eq!(config.cache, cache::Config::default());
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.without_effect().len(), 5);
    }

    #[test]
    fn defaults_ask_nobody() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.check(), Err(ConfigError::NoRecursion));
        assert!(config.without_effect().is_empty());
    }

    #[test]
    fn spans_of_serve_stale() {
        let span = |text: &str| toml::from_str::<cache::Config>(text).map(|config| config.serve_stale);
        assert_eq!(span("serve-stale = 'off'"), Ok(None));
        assert_eq!(span("serve-stale = 0"), Ok(None));
        assert_eq!(span("serve-stale = 90"), Ok(Some(Duration::from_secs(90))));
        assert_eq!(span("serve-stale = '1h30m'"), Ok(Some(Duration::from_secs(5_400))));
        for bad in ["'2w'", "'1'", "'1y'", "''", "-1", "'99999999999999999999d'", "true"] {
            let error = span(&format!("serve-stale = {bad}")).unwrap_err().to_string();
            assert!(error.contains("at most a week"), "{error}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert!(refusal("modes = 'forward'").contains("expected one of `mode`"));
        assert!(
            refusal("[[forward]]\nzone = '.'\nservers = ['192.0.2.1:853 tls a.example']").contains("TLS")
        );
        assert!(refusal("[[stub]]\nzone = '.'\nservers = ['ns1.example.']").contains("a server like"));
        assert!(refusal("[[stub]]\nzone = 'a..b'\nservers = []").contains("empty label"));
        let check = |text: &str| toml::from_str::<Config>(text).unwrap().check().unwrap_err();
        let twice = "[[stub]]\nzone = 'a'\nservers = ['192.0.2.1']\n[[forward]]\nzone = 'A.'\nservers = ['192.0.2.1']";
        assert_eq!(check(twice), ConfigError::Twice("a.".parse().unwrap()));
        let none = "ipv6 = false\n[[stub]]\nzone = 'a'\nservers = ['::1']";
        assert_eq!(check(none), ConfigError::NoServers("a.".parse().unwrap()));
    }
}
