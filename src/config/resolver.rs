//! The section `[resolver]`: whom a cache asks, for whom, and what it keeps.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use crate::config::convert::{Reading, Told, all};
use crate::config::document::{self, Mode};
use crate::config::value;
use crate::resolve;
use crate::server::settings;
use crate::wire::name::Name;

/// Entries beyond this many would not fit into memory at a hundred bytes each on any machine of today.
const MAX_CACHE_ENTRIES: i64 = 1 << 32;
/// The largest TTL there is (RFC 2181 section 8).
const MAX_MAX_TTL: Duration = Duration::from_secs((1 << 31) - 1);
/// RFC 8767 section 5 suggests one to three days; after a week data is no longer old but wrong.
const MAX_SERVE_STALE: Duration = Duration::from_secs(7 * 86_400);

/// What is known of all upstreams while they are read one by one.
struct Upstreams {
    places: HashMap<Name, Range<usize>>,
    ipv4: bool,
    ipv6: bool,
}

impl Reading<'_> {
    pub(super) fn resolver(&self, resolver: Spanned<document::Resolver>) -> Result<settings::Resolver, Told> {
        let section = resolver.span();
        let resolver = resolver.into_inner();
        let forwards = self.forwards(&section, &resolver);
        let is_alone = resolver.forward.is_empty() && resolver.stub.is_empty();
        let mut upstreams = Upstreams {
            places: HashMap::new(),
            ipv4: resolver.ipv4.is_none_or(Spanned::into_inner),
            ipv6: resolver.ipv6.is_none_or(Spanned::into_inner),
        };
        let forward = self.upstreams("`[[resolver.forward]]`", resolver.forward, &mut upstreams);
        let stub = self.upstreams("`[[resolver.stub]]`", resolver.stub, &mut upstreams);
        let allow = match resolver.allow {
            Some(allow) => self.prefixes(Some(allow)),
            None => Ok(settings::loopback()),
        };
        let cache = self.cache(resolver.cache);
        // Who asks for recursion needs nobody to forward to.
        forwards?;
        if is_alone {
            let help = "add `[[resolver.forward]]` with `zone = \".\"` and `servers = [\"ADDR\"]`";
            return Err(self.missing(&section, "this `[resolver]` has nobody to ask", help));
        }
        Ok(settings::Resolver {
            allow: allow?,
            routes: resolve::settings::Config {
                forward: forward?,
                stub: stub?,
                ipv4: upstreams.ipv4,
                ipv6: upstreams.ipv6,
            },
            cache: cache?,
        })
    }

    /// Refuses what only a recursive resolver could do, unless it asks for what is so anyway.
    fn forwards(&self, section: &Range<usize>, resolver: &document::Resolver) -> Result<(), Told> {
        let help = "write `mode = \"forward\"` and name a resolver in `[[resolver.forward]]`";
        let mode = match &resolver.mode {
            Some(mode) if *mode.as_ref() == Mode::Forward => Ok(()),
            Some(mode) => {
                let fault = "resolver mode \"recursive\" is not supported yet";
                Err(self.tell(self.error(mode.span(), fault).help(help)))
            }
            None => {
                let fault = "`[resolver]` has no `mode`, and \"recursive\" is not supported yet";
                Err(self.missing(section, fault, help))
            }
        };
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
        let refused = found.into_iter().filter_map(|(key, place)| Some((key, place?)));
        refused.fold(mode, |_, (key, place)| {
            let fault = self.error(place, format!("`{key}` is not supported yet"));
            Err(self.tell(fault.help("remove it; the servers in `forward` and `stub` are asked as they are")))
        })
    }

    fn upstreams(
        &self,
        what: &str,
        written: Vec<Spanned<document::Upstream>>,
        seen: &mut Upstreams,
    ) -> Result<Vec<resolve::settings::Zone>, Told> {
        all(written, |upstream| {
            let section = upstream.span();
            let upstream = upstream.into_inner();
            let list = upstream.servers.as_ref().map_or(section.clone(), Spanned::span);
            let help = "give at least one server, for example `servers = [\"192.0.2.53\"]`";
            let name = self.upstream_zone(&section, what, &upstream, seen);
            let servers =
                self.some(section, &format!("this {what}"), "servers", upstream.servers, value::peer, help)?;
            let name = name?;
            if !servers.iter().any(|server| if server.is_ipv4() { seen.ipv4 } else { seen.ipv6 }) {
                let fault = format!("no server for `{name}` may be asked: their family is switched off");
                let help = "add a server of the other family, or remove `ipv4 = false` or `ipv6 = false`";
                return Err(self.tell(self.error(list, fault).help(help)));
            }
            Ok(resolve::settings::Zone { zone: name, servers })
        })
    }

    /// The zone that servers are asked about, which has no others.
    fn upstream_zone(
        &self,
        section: &Range<usize>,
        what: &str,
        upstream: &document::Upstream,
        seen: &mut Upstreams,
    ) -> Result<Name, Told> {
        let help = "add the zone whose names are asked about there, for example `zone = \".\"`";
        let zone = upstream.zone.as_ref();
        let zone = zone.ok_or_else(|| self.missing(section, format!("this {what} has no `zone`"), help))?;
        let name = self.value(zone, value::name)?;
        match seen.places.insert(name.clone(), zone.span()) {
            None => Ok(name),
            Some(first) => Err(self.tell(
                self.error(zone.span(), format!("`{name}` has two sets of servers"))
                    .and(first, "first here")
                    .help("put all servers of a zone into one list"),
            )),
        }
    }

    fn cache(&self, cache: document::Cache) -> Result<resolve::cache::Config, Told> {
        let default = resolve::cache::Config::default();
        let max_entries = self.number("max-entries", cache.max_entries, MAX_CACHE_ENTRIES);
        let max_ttl = cache.max_ttl.map(|written| self.duration("max-ttl", written, MAX_MAX_TTL));
        let serve_stale =
            self.duration_or_off("serve-stale", cache.serve_stale, default.serve_stale, MAX_SERVE_STALE);
        Ok(resolve::cache::Config {
            max_entries: max_entries?.unwrap_or(default.max_entries),
            // Within the limit just checked, it fits.
            max_ttl: max_ttl
                .transpose()?
                .map_or(default.max_ttl, |span| u32::try_from(span.as_secs()).unwrap_or(default.max_ttl)),
            serve_stale: serve_stale?,
        })
    }
}
