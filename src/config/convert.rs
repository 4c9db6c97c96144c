//! From the file as written to settings: what serde cannot check, with the place of whatever fails.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use crate::config::document::{self, Document, Mode, Text, Texts};
use crate::config::error::Error;
use crate::config::suggest;
use crate::config::value::{self, ValueError};
use crate::node::settings::{Role, ZoneConfig, ZoneOptions};
use crate::resolve;
use crate::server::settings::{self, Settings};
use crate::wire::name::Name;
use crate::wire::prefix::Prefix;

/// Entries beyond this many would not fit into memory at a hundred bytes each on any machine of today.
const MAX_CACHE_ENTRIES: i64 = 1 << 32;
/// The largest TTL there is (RFC 2181 section 8).
const MAX_MAX_TTL: Duration = Duration::from_secs((1 << 31) - 1);
/// RFC 8767 section 5 suggests one to three days; after a week data is no longer old but wrong.
const MAX_SERVE_STALE: Duration = Duration::from_secs(7 * 86_400);

/// The settings in `text`, the content of the file at `path`.
pub(super) fn settings(path: &Path, text: &str) -> Result<Settings, Error> {
    let (reading, document) = Reading::of(path, text)?;
    reading.settings(document)
}

/// The control socket in `text`, whatever the sections other than `[server]` say.
pub(super) fn control(path: &Path, text: &str) -> Result<PathBuf, Error> {
    let (reading, document) = Reading::of(path, text)?;
    Ok(reading.server(document.server)?.control)
}

/// What is known of all upstreams while they are read one by one.
struct Upstreams {
    places: HashMap<Name, Range<usize>>,
    ipv4: bool,
    ipv6: bool,
}

/// The file being read, for messages and for paths relative to it.
pub(super) struct Reading<'a> {
    path: &'a Path,
    text: &'a str,
    pub(super) folder: &'a Path,
}

impl<'a> Reading<'a> {
    fn of(path: &'a Path, text: &'a str) -> Result<(Reading<'a>, Document), Error> {
        let document = toml::from_str(text).map_err(|error| suggest::explain(path, text, &error))?;
        Ok((Reading { path, text, folder: path.parent().unwrap_or(Path::new("")) }, document))
    }

    fn settings(&self, document: Document) -> Result<Settings, Error> {
        let server = self.server(document.server)?;
        if let Some(key) = document.key.first() {
            return Err(self
                .error(key.span(), "TSIG keys are not supported yet")
                .help("remove `[[key]]` and every `key NAME`; allow addresses instead"));
        }
        Ok(Settings {
            server,
            zones: self.zones(document.zone)?,
            zone_files: Vec::new(),
            zone_dirs: document
                .zone_dir
                .into_iter()
                .map(|dir| self.zone_dir(dir))
                .collect::<Result<_, _>>()?,
            resolver: document.resolver.map(|resolver| self.resolver(resolver)).transpose()?,
            metrics_per_zone: document.metrics_per_zone.unwrap_or(false),
        })
    }

    fn zones(&self, written: Vec<Spanned<document::Zone>>) -> Result<Vec<settings::Zone>, Error> {
        let mut places: HashMap<Name, Range<usize>> = HashMap::new();
        let mut zones = Vec::with_capacity(written.len());
        for zone in written {
            let (zone, place) = self.zone(zone)?;
            if let Some(first) = places.insert(zone.config.name.clone(), place.clone()) {
                return Err(self
                    .error(place, format!("zone `{}` is configured twice", zone.config.name))
                    .and(first, "first here")
                    .help("remove one of the two"));
            }
            zones.push(zone);
        }
        Ok(zones)
    }

    /// A zone and the place of its name.
    fn zone(&self, zone: Spanned<document::Zone>) -> Result<(settings::Zone, Range<usize>), Error> {
        let section = zone.span();
        let zone = zone.into_inner();
        let Some(name) = &zone.name else {
            return Err(self
                .error(section, "this `[[zone]]` has no `name`")
                .help("add the name of the zone's apex, for example `name = \"example.org.\"`"));
        };
        let (role, file) = match (&zone.file, zone.primaries) {
            (Some(file), None) => {
                let policy = zone.serial.map(Spanned::into_inner).unwrap_or_default();
                (Role::Primary(policy), Some(self.relative(file)?))
            }
            (None, primaries @ Some(_)) => {
                let help = "give at least one server to pull from, or `file` to make this a primary";
                let primaries =
                    self.some(section, "this `[[zone]]`", "primaries", primaries, value::peer, help)?;
                if let Some(serial) = &zone.serial {
                    return Err(self
                        .error(serial.span(), "`serial` has no meaning for a secondary")
                        .help("remove it: a secondary takes the serial of its primary"));
                }
                (Role::Secondary(primaries), None)
            }
            (Some(file), Some(primaries)) => {
                return Err(self
                    .error(file.span(), "a zone has either `file` or `primaries`, not both")
                    .and(primaries.span(), "pulled from elsewhere")
                    .help("keep `file` to make this a primary, or `primaries` to make it a secondary"));
            }
            (None, None) => {
                return Err(self
                    .error(section, "this `[[zone]]` has no data: neither `file` nor `primaries`")
                    .help(
                        "add `file = \"PATH\"` for a primary or `primaries = [\"ADDR\"]` for a secondary",
                    ));
            }
        };
        self.no_update(&zone.allow_update)?;
        let place = name.span();
        let name = self.value(name, value::name)?;
        let options = self.options(role, zone.notify, zone.allow_transfer, zone.watch)?;
        Ok((settings::Zone { config: ZoneConfig::new(name, options), file }, place))
    }

    fn options(
        &self,
        role: Role,
        notify: Texts,
        allow_transfer: Texts,
        watch: Texts,
    ) -> Result<ZoneOptions, Error> {
        Ok(ZoneOptions {
            role,
            notify: self.list("notify", notify, value::peer)?,
            allow_transfer: self.prefixes(allow_transfer)?,
            watch: self.list("watch", watch, value::peer)?,
        })
    }

    fn zone_dir(&self, dir: Spanned<document::ZoneDir>) -> Result<settings::ZoneDir, Error> {
        let section = dir.span();
        let dir = dir.into_inner();
        let Some(path) = &dir.path else {
            return Err(self
                .error(section, "this `[[zone-dir]]` has no `path`")
                .help("add the folder that holds the zone files, for example `path = \"zones.d\"`"));
        };
        self.no_update(&dir.allow_update)?;
        let folder = self.relative(path)?;
        std::fs::read_dir(&folder).map_err(|error| {
            self.error(path.span(), format!("cannot read the folder {}: {error}", folder.display()))
                .help("create it, or correct the path; paths are relative to the folder of this file")
        })?;
        let role = Role::Primary(dir.serial.unwrap_or_default());
        let options = self.options(role, dir.notify, dir.allow_transfer, dir.watch)?;
        Ok(settings::ZoneDir { path: folder, options: Arc::new(options) })
    }

    fn resolver(&self, resolver: Spanned<document::Resolver>) -> Result<settings::Resolver, Error> {
        let section = resolver.span();
        let resolver = resolver.into_inner();
        let (mode, fault) = match &resolver.mode {
            Some(mode) if *mode.as_ref() == Mode::Forward => (None, ""),
            Some(mode) => (Some(mode.span()), "resolver mode \"recursive\" is not supported yet"),
            None => {
                (Some(section.clone()), "`[resolver]` has no `mode`, and \"recursive\" is not supported yet")
            }
        };
        if let Some(place) = mode {
            return Err(self
                .error(place, fault)
                .help("write `mode = \"forward\"` and name a resolver in `[[resolver.forward]]`"));
        }
        self.only_forwarding(&resolver)?;
        if resolver.forward.is_empty() && resolver.stub.is_empty() {
            return Err(self
                .error(section, "this `[resolver]` has nobody to ask")
                .help("add `[[resolver.forward]]` with `zone = \".\"` and `servers = [\"ADDR\"]`"));
        }
        let mut upstreams = Upstreams {
            places: HashMap::new(),
            ipv4: resolver.ipv4.is_none_or(Spanned::into_inner),
            ipv6: resolver.ipv6.is_none_or(Spanned::into_inner),
        };
        let forward = self.upstreams("`[[resolver.forward]]`", resolver.forward, &mut upstreams)?;
        let stub = self.upstreams("`[[resolver.stub]]`", resolver.stub, &mut upstreams)?;
        Ok(settings::Resolver {
            allow: match resolver.allow {
                Some(allow) => self.prefixes(Some(allow))?,
                None => settings::loopback(),
            },
            routes: resolve::settings::Config { forward, stub, ipv4: upstreams.ipv4, ipv6: upstreams.ipv6 },
            cache: self.cache(resolver.cache)?,
        })
    }

    /// Refuses what only a recursive resolver could do, unless it asks for what is so anyway.
    fn only_forwarding(&self, resolver: &document::Resolver) -> Result<(), Error> {
        let anchors = resolver.negative_trust_anchors.as_ref().filter(|names| !names.as_ref().is_empty());
        let on = |written: &Option<Spanned<bool>>| {
            written.as_ref().filter(|flag| *flag.as_ref()).map(Spanned::span)
        };
        let found = [
            ("root-hints", resolver.root_hints.as_ref().map(Spanned::span)),
            ("validate = true", on(&resolver.validate)),
            ("trust-anchors", resolver.trust_anchors.as_ref().map(Spanned::span)),
            ("negative-trust-anchors", anchors.map(Spanned::span)),
            ("qname-minimisation = true", on(&resolver.qname_minimisation)),
        ];
        match found.into_iter().find_map(|(key, place)| Some((key, place?))) {
            None => Ok(()),
            Some((key, place)) => Err(self
                .error(place, format!("`{key}` is not supported yet"))
                .help("remove it; the servers in `forward` and `stub` are asked as they are")),
        }
    }

    fn upstreams(
        &self,
        what: &str,
        written: Vec<Spanned<document::Upstream>>,
        seen: &mut Upstreams,
    ) -> Result<Vec<resolve::settings::Zone>, Error> {
        let mut upstreams = Vec::with_capacity(written.len());
        for upstream in written {
            let section = upstream.span();
            let upstream = upstream.into_inner();
            let Some(zone) = &upstream.zone else {
                return Err(self
                    .error(section, format!("this {what} has no `zone`"))
                    .help("add the zone whose names are asked about there, for example `zone = \".\"`"));
            };
            let name = self.value(zone, value::name)?;
            if let Some(first) = seen.places.insert(name.clone(), zone.span()) {
                return Err(self
                    .error(zone.span(), format!("`{name}` has two sets of servers"))
                    .and(first, "first here")
                    .help("put all servers of a zone into one list"));
            }
            let list = upstream.servers.as_ref().map_or(section.clone(), Spanned::span);
            let help = "give at least one server, for example `servers = [\"192.0.2.53\"]`";
            let servers =
                self.some(section, &format!("this {what}"), "servers", upstream.servers, value::peer, help)?;
            if !servers.iter().any(|server| if server.is_ipv4() { seen.ipv4 } else { seen.ipv6 }) {
                return Err(self
                    .error(list, format!("no server for `{name}` may be asked: their family is switched off"))
                    .help("add a server of the other family, or remove `ipv4 = false` or `ipv6 = false`"));
            }
            upstreams.push(resolve::settings::Zone { zone: name, servers });
        }
        Ok(upstreams)
    }

    fn cache(&self, cache: document::Cache) -> Result<resolve::cache::Config, Error> {
        let default = resolve::cache::Config::default();
        let off = |written: &Spanned<toml::Value>| written.as_ref().as_str() == Some("off");
        Ok(resolve::cache::Config {
            max_entries: self
                .number("max-entries", cache.max_entries, MAX_CACHE_ENTRIES)?
                .unwrap_or(default.max_entries),
            max_ttl: match cache.max_ttl {
                None => default.max_ttl,
                Some(written) => {
                    let span = self.duration("max-ttl", written, MAX_MAX_TTL)?;
                    // Within the limit just checked, it fits.
                    u32::try_from(span.as_secs()).unwrap_or(default.max_ttl)
                }
            },
            serve_stale: match cache.serve_stale {
                None => default.serve_stale,
                Some(written) if off(&written) => None,
                Some(written) => Some(self.duration("serve-stale", written, MAX_SERVE_STALE)?)
                    .filter(|span| !span.is_zero()),
            },
        })
    }

    fn no_update(&self, allow_update: &Texts) -> Result<(), Error> {
        match allow_update.as_ref().filter(|who| !who.as_ref().is_empty()) {
            None => Ok(()),
            Some(who) => Err(self
                .error(who.span(), "dynamic update (`allow-update`) is not supported yet")
                .help("remove the key and edit the zone file, which is picked up by itself")),
        }
    }

    fn prefixes(&self, written: Texts) -> Result<Vec<Prefix>, Error> {
        written
            .map(Spanned::into_inner)
            .unwrap_or_default()
            .iter()
            .map(|text| self.value(text, value::prefix))
            .collect()
    }

    /// A list of addresses that may be missing or empty; no address may stand there twice.
    fn list(
        &self,
        key: &str,
        written: Texts,
        read: fn(&str) -> Result<SocketAddr, ValueError>,
    ) -> Result<Vec<SocketAddr>, Error> {
        let mut places = HashMap::new();
        let mut list = Vec::new();
        for text in written.map(Spanned::into_inner).unwrap_or_default() {
            let address = self.value(&text, read)?;
            if let Some(first) = places.insert(address, text.span()) {
                return Err(self
                    .error(text.span(), format!("`{address}` stands twice in `{key}`"))
                    .and(first, "first here")
                    .help("remove one of the two"));
            }
            list.push(address);
        }
        Ok(list)
    }

    /// A list of addresses that must hold at least one.
    pub(super) fn some(
        &self,
        section: Range<usize>,
        what: &str,
        key: &str,
        written: Texts,
        read: fn(&str) -> Result<SocketAddr, ValueError>,
        help: &str,
    ) -> Result<Vec<SocketAddr>, Error> {
        let Some(list) = &written else {
            return Err(self.error(section, format!("{what} has no `{key}`")).help(help));
        };
        if list.as_ref().is_empty() {
            return Err(self.error(list.span(), format!("`{key}` is empty")).help(help));
        }
        self.list(key, written, read)
    }

    pub(super) fn number<T: TryFrom<i64>>(
        &self,
        key: &str,
        written: Option<Spanned<i64>>,
        most: i64,
    ) -> Result<Option<T>, Error> {
        let Some(written) = written else { return Ok(None) };
        match T::try_from(*written.as_ref()) {
            Ok(number) if (1..=most).contains(written.as_ref()) => Ok(Some(number)),
            _ => Err(self
                .error(written.span(), format!("`{key}` is out of range"))
                .help(format!("write a number from 1 to {most}"))),
        }
    }

    /// Seconds, or a text with units; at most `most`.
    fn duration(&self, key: &str, written: Spanned<toml::Value>, most: Duration) -> Result<Duration, Error> {
        let place = written.span();
        let span = match written.into_inner() {
            toml::Value::String(text) => {
                Some(self.value(&Spanned::new(place.clone(), text), value::duration)?)
            }
            toml::Value::Integer(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
            _ => {
                return Err(self
                    .error(place, format!("`{key}` is not a duration"))
                    .help("write seconds as a number, or a text such as \"1d\" or \"30s\""));
            }
        };
        span.filter(|span| *span <= most && span.subsec_nanos() == 0).ok_or_else(|| {
            self.error(place, format!("`{key}` is out of range")).help(format!(
                "write whole seconds from 0 to {}, as a number or with units, as in \"1d\"",
                most.as_secs()
            ))
        })
    }

    /// Reads a string by `read`; an error points at the part of the string that is wrong.
    pub(super) fn value<T>(&self, text: &Text, read: fn(&str) -> Result<T, ValueError>) -> Result<T, Error> {
        read(text.as_ref()).map_err(|error| {
            let span = text.span();
            // Without escapes the value stands in the file byte for byte, between quotes of one byte each.
            let inside = span.start + 1..span.end.saturating_sub(1);
            let place = match self.text.get(inside.clone()) {
                Some(verbatim) if verbatim == text.as_ref() && !error.at.is_empty() => {
                    inside.start + error.at.start..inside.start + error.at.end
                }
                _ => span,
            };
            self.error(place, error.message).help(error.help)
        })
    }

    pub(super) fn readable(&self, text: &Text, what: &str) -> Result<PathBuf, Error> {
        let path = self.relative(text)?;
        let fault = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => "it is a folder".to_owned(),
            // Opening a pipe would wait for a writer.
            Ok(metadata) if !metadata.is_file() => "it is not a regular file".to_owned(),
            Ok(_) => match File::open(&path) {
                Ok(_) => return Ok(path),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        Err(self
            .error(text.span(), format!("cannot read the {what} {}: {fault}", path.display()))
            .help("correct the path or the permissions; paths are relative to the folder of this file"))
    }

    pub(super) fn relative(&self, text: &Text) -> Result<PathBuf, Error> {
        if text.as_ref().is_empty() {
            return Err(self
                .error(text.span(), "empty path")
                .help("write a path relative to the folder of this file"));
        }
        Ok(self.folder.join(text.as_ref()))
    }

    pub(super) fn error(&self, place: Range<usize>, message: impl Into<String>) -> Error {
        self.whole(message).at(place, "")
    }

    pub(super) fn whole(&self, message: impl Into<String>) -> Error {
        Error::new(self.path, self.text, message)
    }
}
