//! The small languages inside configuration strings and command-line arguments: addresses, peers, prefixes, durations
//! and names.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use crate::time::span::{self, SpanError};
use crate::wire::name::{Name, NameError, NameRef};
use crate::wire::prefix::{Prefix, PrefixError};

/// The port of DNS (RFC 1035 4.2).
pub const DNS_PORT: u16 = 53;
/// The port of DNS over TLS (RFC 7858 3.1).
pub const TLS_PORT: u16 = 853;
/// The port at which metrics of a DNS server are usually found.
pub const HTTP_PORT: u16 = 9153;

/// Why a value was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    /// The offending part of the value, in bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl ValueError {
    /// One about this part of the text.
    pub fn new(at: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> ValueError {
        ValueError { at, message: message.into(), help: help.into() }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.help)
    }
}

impl std::error::Error for ValueError {}

/// Reads `ADDR:PORT`, where DNS is answered.
pub fn address(text: &str) -> Result<SocketAddr, ValueError> {
    address_with(text, DNS_PORT)
}

/// The same for DNS over TLS.
pub fn tls_address(text: &str) -> Result<SocketAddr, ValueError> {
    address_with(text, TLS_PORT)
}

/// The same for HTTP.
pub fn http_address(text: &str) -> Result<SocketAddr, ValueError> {
    address_with(text, HTTP_PORT)
}

/// Reads `ADDR:PORT`; `usual` is the port to be advised.
fn address_with(text: &str, usual: u16) -> Result<SocketAddr, ValueError> {
    text.parse().map_err(|_| {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let help = match bracketed.unwrap_or(text).parse::<IpAddr>() {
            Ok(addr) => format!("add the port: `{}`", SocketAddr::new(addr, usual)),
            Err(_) => format!("write ADDR:PORT, for example `127.0.0.1:{usual}` or `[::1]:{usual}`"),
        };
        ValueError::new(0..text.len(), format!("`{text}` is not an address and port"), help)
    })
}

/// Reads a server to talk to: `ADDR` or `ADDR:PORT`, port 53 by default. What may follow in later versions (`key NAME`,
/// `tls NAME`) is refused by its name.
pub fn peer(text: &str) -> Result<SocketAddr, ValueError> {
    let mut words = words(text);
    let Some((at, word)) = words.next() else {
        return Err(ValueError::new(0..text.len(), "empty address", "write ADDR or ADDR:PORT"));
    };
    let bracketed = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let addr = match bracketed {
        Some(inner) => inner.parse().ok().filter(IpAddr::is_ipv6),
        None => word.parse().ok(),
    };
    let socket = match addr {
        Some(addr) => SocketAddr::new(addr, DNS_PORT),
        None => word.parse().map_err(|_| {
            ValueError::new(
                at.clone(),
                format!("`{word}` is not an address"),
                "write ADDR or ADDR:PORT, for example `192.0.2.1`, `192.0.2.1:5300` or `[2001:db8::1]:5300`",
            )
        })?,
    };
    if socket.port() == 0 {
        let help = format!("write the port of the server, or `{}` for port {DNS_PORT}", socket.ip());
        return Err(ValueError::new(at, format!("`{word}` has port 0, where no server is"), help));
    }
    match words.next() {
        None => Ok(socket),
        Some((at, "key")) => Err(ValueError::new(
            at.start..text.len(),
            "TSIG keys are not supported yet",
            "remove `key NAME`; without it, messages to and from this server are not signed",
        )),
        Some((at, "tls")) => Err(ValueError::new(
            at.start..text.len(),
            "DNS over TLS is not supported yet",
            "remove `tls NAME` and name a server that answers plain DNS",
        )),
        Some((at, word)) => Err(ValueError::new(
            at,
            format!("unexpected `{word}` after the address"),
            "one string holds one server: write ADDR or ADDR:PORT",
        )),
    }
}

/// Reads who may do something: `ADDR` or `ADDR/LENGTH`. `key NAME` is refused by its name.
pub fn prefix(text: &str) -> Result<Prefix, ValueError> {
    if let Some((at, "key")) = words(text).next() {
        return Err(ValueError::new(
            at.start..text.len(),
            "TSIG keys are not supported yet",
            "allow the address of the other side instead, for example `192.0.2.1`",
        ));
    }
    text.parse().map_err(|error| {
        let slash = text.find('/').unwrap_or(text.len());
        let (at, help) = match error {
            PrefixError::BadAddress => {
                (0..slash, "write ADDR or ADDR/LENGTH, for example `127.0.0.0/8`".into())
            }
            PrefixError::BadLength(bits) => {
                (slash + 1..text.len(), format!("for one address, write `/{bits}`"))
            }
            PrefixError::HostBits(prefix) => {
                let message = format!("`{text}` has bits set beyond the prefix length");
                return ValueError::new(0..text.len(), message, format!("write `{prefix}`"));
            }
        };
        let message = match error {
            PrefixError::BadAddress => format!("`{}` is not an IP address", &text[..slash]),
            other => other.to_string(),
        };
        ValueError::new(at, message, help)
    })
}

/// Reads a span of time: numbers with a unit each, such as `30s`, `1h30m` or `1d`.
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    const TOO_LONG: &str = "is more than a hundred years";
    let (at, problem) = match span::read(text) {
        Ok(total) if total <= MAX_DURATION => return Ok(total),
        Ok(_) => (0..text.len(), TOO_LONG),
        Err(SpanError::Empty) => (0..0, "is empty, and not a duration"),
        Err(SpanError::NoNumber(at)) => (at, "is not a duration"),
        Err(SpanError::NoUnit(at)) => (at, "has no unit"),
        Err(SpanError::BadUnit(at)) => (at, "is not a unit of time"),
        Err(SpanError::TooLong(at)) => (at, TOO_LONG),
    };
    let message = format!("`{}` {problem}", &text[at.clone()]);
    let help = "write a number and a unit (ms, s, m, h, d, w), for example `30s` or `1h30m`";
    Err(ValueError::new(at, message, help))
}

/// The longest span that is taken: beyond it a deadline says nothing, and sums of moments could overflow.
pub const MAX_DURATION: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Reads a domain name; a missing final dot is added.
pub fn name(text: &str) -> Result<Name, ValueError> {
    // Only the root's text `.` may be without a label; `@` has a meaning in zone files that it does not have here.
    let read = match Name::parse(text.as_bytes(), None) {
        Err(NameError::Relative) if text != "@" => Name::parse(text.as_bytes(), Some(NameRef::ROOT)),
        other => other,
    };
    read.map_err(|error| {
        let why = if text == "@" {
            "`@` stands for an origin, and there is none here".into()
        } else {
            error.to_string()
        };
        let message = format!("`{text}` is not a domain name: {why}");
        ValueError::new(0..text.len(), message, "write the whole name, for example `example.org.`")
    })
}

/// The words of `text` and where they stand.
fn words(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    text.split_ascii_whitespace().map(|word| {
        // Words are slices of `text`, so the distance of their starts is where they stand.
        let start = word.as_ptr().addr() - text.as_ptr().addr();
        (start..start + word.len(), word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_have_a_default_port() {
        let read = |text| peer(text).map(|peer| peer.to_string());
        assert_eq!(read("192.0.2.1").as_deref(), Ok("192.0.2.1:53"));
        assert_eq!(read("192.0.2.1:5300").as_deref(), Ok("192.0.2.1:5300"));
        assert_eq!(read("2001:db8::1").as_deref(), Ok("[2001:db8::1]:53"));
        assert_eq!(read("[2001:db8::1]").as_deref(), Ok("[2001:db8::1]:53"));
        assert_eq!(read("[2001:db8::1]:5300").as_deref(), Ok("[2001:db8::1]:5300"));
        for bad in ["", "ns1.example.", "192.0.2.1:", "[192.0.2.1]", "[::1", "192.0.2.1:70000"] {
            assert!(peer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_peer_has_a_port() {
        let refused = peer(" 192.0.2.1:0").unwrap_err();
        assert_eq!(refused.at, 1..12);
        assert!(refused.help.ends_with("or `192.0.2.1` for port 53"), "{refused}");
        assert!(peer("[2001:db8::1]:0").is_err());
    }

    #[test]
    fn the_port_that_an_address_lacks_is_advised_as_its_key_has_it() {
        let help = |read: fn(&str) -> _, text| {
            let refused: Result<SocketAddr, ValueError> = read(text);
            refused.unwrap_err().help
        };
        assert_eq!(help(address, "127.0.0.1"), "add the port: `127.0.0.1:53`");
        assert_eq!(help(tls_address, "::1"), "add the port: `[::1]:853`");
        assert_eq!(help(http_address, "127.0.0.1"), "add the port: `127.0.0.1:9153`");
        assert_eq!(help(http_address, "[::1]"), "add the port: `[::1]:9153`");
        assert!(help(http_address, "localhost").ends_with("`127.0.0.1:9153` or `[::1]:9153`"));
    }

    #[test]
    fn what_follows_a_peer_is_pointed_at() {
        assert_eq!(peer("192.0.2.1 key k.").unwrap_err().at, 10..16);
        assert_eq!(peer("192.0.2.1  tls dns.example").unwrap_err().at, 11..26);
        assert_eq!(peer("192.0.2.1 192.0.2.2").unwrap_err().at, 10..19);
    }

    #[test]
    fn durations_are_sums() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        assert_eq!(duration("1s500ms"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for (bad, at) in [("", 0..0), ("60", 0..2), ("soon", 0..4), ("5 m", 1..3), ("1h99999999999w", 2..14)]
        {
            assert_eq!(duration(bad).unwrap_err().at, at, "{bad}");
        }
        assert!(duration("99999999999999999999s").is_err());
        assert!(duration("-1s").is_err());
        assert!(duration("1µ").is_err());
    }

    #[test]
    fn names_are_absolute() {
        assert_eq!(name("example").unwrap(), "example.".parse().unwrap());
        assert!(name(".").unwrap().is_root());
        for bad in ["", "@", "a..b", "\\300"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_point_at_the_bad_half() {
        assert_eq!(prefix("10.0.0.0/40").unwrap_err().at, 9..11);
        assert_eq!(prefix("ten/8").unwrap_err().at, 0..3);
        assert_eq!(prefix("10.0.0.1/8").unwrap_err().help, "write `10.0.0.0/8`");
        assert_eq!(prefix("key k.").unwrap_err().at, 0..6);
    }
}
