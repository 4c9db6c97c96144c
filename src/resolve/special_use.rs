//! Special-use names (RFC 6761) that a cache answers by itself: asked for elsewhere, they would tell strangers what a client looks for, or
//! have strangers say where `localhost` is.

use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rtype;

use super::settings::Config;

/// Seconds that these answers may be kept for. They never change.
pub const TTL: u32 = 10_800;
/// The SOA of each zone below, behind its two names, which are the root: serial 1, an hour, 20 minutes, a week, and [`TTL`].
const SOA: [u8; 22] =
    [0, 0, 0, 0, 0, 1, 0, 0, 0x0e, 0x10, 0, 0, 0x04, 0xb0, 0, 0x09, 0x3a, 0x80, 0, 0, 0x2a, 0x30];

/// What is said of the names of a zone.
#[derive(Clone, Copy)]
enum Kind {
    /// The zone and all below are this machine (RFC 6761 6.3).
    Loopback,
    /// This name is the machine itself, and no other is anything (RFC 6303 4.2, 4.3).
    Reverse(&'static [u8]),
    /// Nothing exists below (RFC 6761 6.4, RFC 7686 2, RFC 6303 4.2).
    Nothing,
    /// The same; it is a site's own servers that know more. That it is delegated without DNSSEC is the parent's to say (RFC 8375 4).
    Site,
    /// All names exist and have no data: no resolver is designated (RFC 9462 4, 6.4).
    NoData,
}

/// `127.in-addr.arpa` and the name of 127.0.0.1 in it.
const IPV4: [&[u8]; 2] = [b"\x03127\x07in-addr\x04arpa\0", b"\x011\x010\x010\x03127\x07in-addr\x04arpa\0"];
/// The name of ::1.
const IPV6: &[u8] = b"\x011\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\x010\
\x010\x010\x010\x010\x010\x010\x010\x010\x03ip6\x04arpa\0";

/// The zones.
const ZONES: [(&[u8], Kind); 9] = [
    (b"\x09localhost\0", Kind::Loopback),
    (IPV4[0], Kind::Reverse(IPV4[1])),
    (IPV6, Kind::Reverse(IPV6)),
    (b"\x010\x07in-addr\x04arpa\0", Kind::Nothing),
    (b"\x03255\x03255\x03255\x03255\x07in-addr\x04arpa\0", Kind::Nothing),
    (b"\x04home\x04arpa\0", Kind::Site),
    (b"\x05onion\0", Kind::Nothing),
    (b"\x07invalid\0", Kind::Nothing),
    (b"\x08resolver\x04arpa\0", Kind::NoData),
];

/// The zone that a name is in.
fn find(name: &NameRef) -> Option<(&'static NameRef, Kind)> {
    let mut zones = ZONES.iter().map(|&(zone, kind)| (NameRef::read_trusted(zone), kind));
    zones.find(|(zone, _)| name.is_in(zone))
}

/// An answer of one of these zones.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// The data of the only record asked for.
    Data(&'static [u8]),
    /// The name exists and has nothing of that type.
    NoData(Negative),
    /// The name does not exist.
    NoName(Negative),
}

/// The SOA record of a negative answer (RFC 2308 2).
#[derive(Debug, PartialEq, Eq)]
pub struct Negative {
    /// Its owner, the zone's name.
    pub zone: &'static NameRef,
    /// Its data.
    pub soa: &'static [u8],
}

/// Which names are kept: not those of zones that the configuration names, nor of any below.
#[derive(Clone, Debug, Default)]
pub struct SpecialUse {
    /// Zones within the special ones for which servers are configured.
    elsewhere: Vec<Name>,
}

impl SpecialUse {
    /// All but what these routes lead to.
    pub fn beside(routes: &Config) -> SpecialUse {
        let zones = routes.forward.iter().chain(&routes.stub).map(|route| &route.zone);
        let is_special = |zone: &&Name| find(zone).is_some();
        SpecialUse { elsewhere: zones.filter(is_special).cloned().collect() }
    }

    /// What is answered to a question for a special name; `None` where somebody else is to be asked.
    pub fn answer(&self, name: &NameRef, rtype: Rtype) -> Option<Kept> {
        let (zone, kind) = find(name)?;
        if self.elsewhere.iter().any(|elsewhere| name.is_in(elsewhere)) {
            return None;
        }
        let negative = Negative { zone, soa: &SOA };
        let is_apex = *name == *zone;
        Some(match (kind, rtype) {
            (Kind::Site, Rtype::DS) if is_apex => return None,
            (_, Rtype::SOA) if is_apex => Kept::Data(&SOA),
            (Kind::Loopback, Rtype::A) => Kept::Data(&[127, 0, 0, 1]),
            (Kind::Loopback, Rtype::AAAA) => Kept::Data(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            (Kind::Reverse(own), _) => {
                let own = NameRef::read_trusted(own);
                match rtype {
                    Rtype::PTR if name == own => Kept::Data(b"\x09localhost\0"),
                    _ if own.is_in(name) => Kept::NoData(negative),
                    _ => Kept::NoName(negative),
                }
            }
            (Kind::Nothing | Kind::Site, _) if !is_apex => Kept::NoName(negative),
            _ => Kept::NoData(negative),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Zone;
    use super::*;

    fn answer(name: &str, rtype: Rtype) -> Option<Kept> {
        SpecialUse::default().answer(&name.parse::<Name>().unwrap(), rtype)
    }

    #[test]
    fn loopback_is_this_machine() {
        for name in ["localhost.", "LocalHost.", "a.b.localhost."] {
            assert_eq!(answer(name, Rtype::A), Some(Kept::Data(&[127, 0, 0, 1])), "{name}");
            assert!(matches!(answer(name, Rtype::MX), Some(Kept::NoData(_))), "{name}");
        }
        let ipv6 = answer("localhost.", Rtype::AAAA);
        let Some(Kept::Data(ipv6)) = ipv6 else { panic!("no address") };
        assert_eq!(ipv6, std::net::Ipv6Addr::LOCALHOST.octets());
        for name in ["nolocalhost.", "localhost.example.", "."] {
            assert_eq!(answer(name, Rtype::A), None, "{name}");
        }
    }

    #[test]
    fn the_names_of_its_addresses() {
        let ipv6 = format!("1.{}ip6.arpa.", "0.".repeat(31));
        for name in ["1.0.0.127.in-addr.arpa.", &ipv6] {
            assert_eq!(answer(name, Rtype::PTR), Some(Kept::Data(b"\x09localhost\0")), "{name}");
            assert!(matches!(answer(name, Rtype::A), Some(Kept::NoData(_))), "{name}");
        }
        for name in ["127.in-addr.arpa.", "0.127.in-addr.arpa.", "0.0.127.in-addr.arpa."] {
            assert!(matches!(answer(name, Rtype::PTR), Some(Kept::NoData(_))), "{name}");
        }
        for name in ["2.0.0.127.in-addr.arpa.", "x.1.0.0.127.in-addr.arpa.", &format!("x.{ipv6}")] {
            assert!(matches!(answer(name, Rtype::PTR), Some(Kept::NoName(_))), "{name}");
        }
        assert_eq!(answer("1.1.168.192.in-addr.arpa.", Rtype::PTR), None, "somebody may know that");
        assert_eq!(answer("2.0.ip6.arpa.", Rtype::PTR), None);
    }

    #[test]
    fn what_does_not_exist_and_what_has_no_data() {
        for zone in ["onion.", "invalid.", "home.arpa.", "0.in-addr.arpa.", "255.255.255.255.in-addr.arpa."] {
            assert!(matches!(answer(&format!("x.{zone}"), Rtype::A), Some(Kept::NoName(_))), "{zone}");
            assert!(matches!(answer(zone, Rtype::A), Some(Kept::NoData(_))), "{zone}");
            assert_eq!(answer(zone, Rtype::SOA), Some(Kept::Data(&SOA)), "{zone}");
        }
        for name in ["_dns.resolver.arpa.", "resolver.arpa.", "x.resolver.arpa."] {
            let Some(Kept::NoData(negative)) = answer(name, Rtype::SVCB) else { panic!("{name}") };
            assert_eq!(negative.zone.to_string(), "resolver.arpa.");
        }
        assert_eq!(crate::zone::negative::ttl(TTL, &SOA), TTL);
        // Who validates has to see that names below need no signatures.
        assert_eq!(answer("home.arpa.", Rtype::DS), None);
        assert!(matches!(answer("x.home.arpa.", Rtype::DS), Some(Kept::NoName(_))));
        for name in ["255.255.255.in-addr.arpa.", "1.255.255.255.in-addr.arpa.", "10.in-addr.arpa.", "arpa."]
        {
            assert_eq!(answer(name, Rtype::PTR), None, "{name}");
        }
    }

    #[test]
    fn a_zone_of_the_configuration_goes_first() {
        let route = |zone: &str| Zone { zone: zone.parse().unwrap(), servers: Vec::new() };
        let routes = Config {
            forward: vec![route("."), route("onion."), route("home.arpa.")],
            stub: vec![route("lab.invalid.")],
            ..Config::default()
        };
        let special = SpecialUse::beside(&routes);
        let is_kept = |name: &str| special.answer(&name.parse::<Name>().unwrap(), Rtype::A).is_some();
        for (name, expected) in [
            ("x.onion.", false),
            ("x.home.arpa.", false),
            ("home.arpa.", false),
            ("0.in-addr.arpa.", true),
            ("x.lab.invalid.", false),
            ("x.invalid.", true),
            ("lab.invalid.", false),
            ("localhost.", true),
        ] {
            assert_eq!(is_kept(name), expected, "{name}");
        }
    }
}
