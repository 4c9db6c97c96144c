//! The file as written: every key of the format, with the place of every value that is checked further, for an error points at it.
//! Settings are not read directly for that reason: serde knows places only of values that are asked for as [`Spanned`]. Keys of what
//! does not exist yet are here too, so that they are refused by name.

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use crate::zone::serial;

pub(super) type Text = Spanned<String>;
pub(super) type Texts = Option<Spanned<Vec<Text>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Document {
    pub(super) metrics_per_zone: Option<bool>,
    pub(super) server: Option<Spanned<Server>>,
    #[serde(default)]
    pub(super) key: Vec<Spanned<IgnoredAny>>,
    #[serde(default)]
    pub(super) zone: Vec<Spanned<Zone>>,
    #[serde(default)]
    pub(super) zone_dir: Vec<Spanned<ZoneDir>>,
    pub(super) resolver: Option<Spanned<Resolver>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Server {
    pub(super) listen: Texts,
    pub(super) tls: Option<Spanned<Tls>>,
    pub(super) http: Option<Text>,
    pub(super) data_dir: Option<Text>,
    pub(super) control: Option<Text>,
    pub(super) workers: Option<Spanned<i64>>,
    pub(super) nsid: Option<Text>,
    /// A text, or a list of them.
    pub(super) cookie_secret: Option<Spanned<toml::Value>>,
    pub(super) cookie_secret_file: Option<Text>,
    pub(super) user: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Tls {
    #[serde(default)]
    pub(super) listen: Texts,
    pub(super) certificate: Option<Text>,
    pub(super) key: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Zone {
    pub(super) name: Option<Text>,
    pub(super) file: Option<Text>,
    pub(super) primaries: Texts,
    pub(super) notify: Texts,
    pub(super) allow_transfer: Texts,
    pub(super) allow_update: Texts,
    pub(super) serial: Option<Spanned<serial::Policy>>,
    pub(super) watch: Texts,
    /// Seconds as a number, or a text with units, or `off`.
    pub(super) lease: Option<Spanned<toml::Value>>,
    pub(super) from_secondaries: Option<Spanned<bool>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ZoneDir {
    pub(super) path: Option<Text>,
    pub(super) notify: Texts,
    pub(super) allow_transfer: Texts,
    pub(super) allow_update: Texts,
    pub(super) serial: Option<serial::Policy>,
    pub(super) watch: Texts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Resolver {
    pub(super) mode: Option<Spanned<Mode>>,
    pub(super) allow: Texts,
    pub(super) root_hints: Option<Spanned<IgnoredAny>>,
    pub(super) validate: Option<Spanned<bool>>,
    pub(super) trust_anchors: Option<Spanned<IgnoredAny>>,
    pub(super) negative_trust_anchors: Texts,
    pub(super) qname_minimisation: Option<Spanned<bool>>,
    pub(super) ipv4: Option<Spanned<bool>>,
    pub(super) ipv6: Option<Spanned<bool>>,
    #[serde(default)]
    pub(super) forward: Vec<Spanned<Upstream>>,
    #[serde(default)]
    pub(super) stub: Vec<Spanned<Upstream>>,
    #[serde(default)]
    pub(super) cache: Cache,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    Forward,
    Recursive,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Upstream {
    pub(super) zone: Option<Text>,
    pub(super) servers: Texts,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Cache {
    pub(super) max_entries: Option<Spanned<i64>>,
    /// Seconds as a number, or a text with units.
    pub(super) max_ttl: Option<Spanned<toml::Value>>,
    /// The same, or `off`.
    pub(super) serve_stale: Option<Spanned<toml::Value>>,
}
