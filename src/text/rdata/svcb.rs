//! Service parameters of SVCB and HTTPS: RFC 9460, `dohpath` of RFC 9461, `ohttp` of RFC 9540, `docpath` of RFC 9953, and those of
//! IANA's registry whose documents are drafts (`tls-supported-groups` of draft-ietf-tls-key-share-prediction, `pvd` of
//! draft-ietf-intarea-proxy-config, `oots` of draft-johani-dnsop-svcb-oots).

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::encoding::{Base64Reader, write_base64};
use super::mnemonic::number;
use super::strings;
use crate::text::lexer::{Fault, Kind, Lexer, Span, Token, shown};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;
const GROUPS: u16 = 9;
const DOCPATH: u16 = 10;
const PVD: u16 = 11;
const OOTS: u16 = 12;

const NAMES: [&str; 13] = [
    "mandatory",
    "alpn",
    "no-default-alpn",
    "port",
    "ipv4hint",
    "ech",
    "ipv6hint",
    "dohpath",
    "ohttp",
    "tls-supported-groups",
    "docpath",
    "pvd",
    "oots",
];

/// The highest weight of `oots`, in percent.
const MOST: u8 = 100;

/// Appends the parameters up to the end of the record, sorted by key.
pub fn read_params(lexer: &mut Lexer<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut values = Vec::new();
    let mut params: Vec<(u16, Range<usize>, Span)> = Vec::new();
    loop {
        let token = lexer.next_pair()?;
        if token.kind == Kind::End {
            break;
        }
        let start = values.len();
        let key = param(&token, &mut values)?;
        if values.len() > usize::from(u16::MAX) || params.len() > usize::from(u16::MAX) {
            return Err(Fault::new(token.span, "the parameters are longer than RDATA can be"));
        }
        params.push((key, start..values.len(), token.span));
    }
    params.sort_by_key(|(key, ..)| *key);
    for pair in params.windows(2) {
        if pair[0].0 == pair[1].0 {
            let message = format!("`{}` is given twice", key_name(pair[1].0));
            return Err(Fault::new(pair[1].2, message));
        }
    }
    let start = out.len();
    for (key, value, _) in &params {
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(&values[value.clone()]);
    }
    check(&out[start..]).map_err(|(key, message)| {
        let span = params.iter().find(|(other, ..)| *other == key).map(|(.., span)| *span);
        Fault::new(span.unwrap_or_default(), message)
    })
}

/// Appends all parameters, each after a blank; `None` if their values break the rules of their keys.
pub fn write_params(mut rest: &[u8], out: &mut String) -> Option<()> {
    check(rest).ok()?;
    while let Some((key, value)) = next(&mut rest) {
        out.push(' ');
        // Servers of today read the newest keys by their numbers alone.
        match key {
            ..=OHTTP => out.push_str(&key_name(key)),
            _ => write!(out, "key{key}").ok()?,
        }
        if value.is_empty() {
            continue;
        }
        out.push('=');
        match key {
            MANDATORY => {
                list(value.as_chunks::<2>().0, out, |key, out| {
                    out.push_str(&key_name(u16::from_be_bytes(*key)));
                    Some(())
                })?;
            }
            ALPN => {
                let mut items = Vec::new();
                let mut left = value;
                while let Some((item, tail)) = counted(left) {
                    append_item(item, &mut items);
                    left = tail;
                }
                strings::write(&items, out);
            }
            PORT => write!(out, "{}", u16::from_be_bytes(value.try_into().ok()?)).ok()?,
            IPV4HINT => {
                list(value.as_chunks::<4>().0, out, |ip, out| write!(out, "{}", Ipv4Addr::from(*ip)).ok())?
            }
            IPV6HINT => {
                list(value.as_chunks::<16>().0, out, |ip, out| write!(out, "{}", Ipv6Addr::from(*ip)).ok())?
            }
            ECH => write_base64(value, out),
            _ => strings::write(value, out),
        }
    }
    Some(())
}

/// Appends the value of `key` or `key=value` and returns the key.
fn param(token: &Token<'_>, out: &mut Vec<u8>) -> Result<u16, Fault> {
    const EXPECTED: &str = "a parameter such as `alpn=h2`, `port=8443` or `key65000=value`";
    if token.kind != Kind::Word {
        return Err(token.instead_of(EXPECTED));
    }
    let (name, value) = match token.text.iter().position(|&byte| byte == b'=') {
        Some(equals) => (&token.text[..equals], Some(&token.text[equals + 1..])),
        None => (token.text, None),
    };
    let key = key(name).ok_or_else(|| {
        Fault::new(token.span, format!("`{}` is not a service parameter", shown(name))).expected(EXPECTED)
    })?;
    let value = value
        .map(|value| value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value));
    let bad = |expected: &str| {
        Fault::new(token.span, format!("the value of `{}` is wrong", key_name(key))).expected(expected)
    };
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return match key {
            // A path without segments is that of the root (RFC 9953 section 3).
            NO_DEFAULT_ALPN | OHTTP | PVD | DOCPATH => Ok(key),
            _ if !is_named(name) => Ok(key),
            // Keys whose format is not known may be empty; the others have no meaning without a value.
            _ if usize::from(key) >= NAMES.len() => Ok(key),
            _ => Err(bad("a value behind `=`")),
        };
    };
    let text = std::str::from_utf8(value).ok();
    match key {
        // Under its number, a key's value is its wire form, even when the key is a known one (RFC 9460 2.1).
        _ if !is_named(name) => strings::read(token, value, out)?,
        MANDATORY => {
            const EXPECTED: &str = "keys with `,` between them";
            let start = out.len();
            let mut keys = Vec::new();
            for name in value.split(|&byte| byte == b',').take(1 << 16) {
                keys.push(self::key(name).ok_or_else(|| bad(EXPECTED))?);
            }
            keys.sort_unstable();
            keys.iter().for_each(|key| out.extend_from_slice(&key.to_be_bytes()));
            debug_assert!(out.len() > start);
        }
        ALPN | DOCPATH => {
            let expected = match key {
                ALPN => "protocol names of 1 to 255 bytes with `,` between them, such as `h2,h3`",
                _ => "path segments of 1 to 255 bytes with `,` between them",
            };
            for item in items(token, value)?.ok_or_else(|| bad(expected))? {
                append_counted(&item, out).ok_or_else(|| bad(expected))?;
            }
        }
        OOTS => {
            const EXPECTED: &str = "protocols with weights of 0 to 100, such as `do53:100,dot:10`";
            for item in items(token, value)?.ok_or_else(|| bad(EXPECTED))? {
                let colon = item.iter().rposition(|&byte| byte == b':').ok_or_else(|| bad(EXPECTED))?;
                let weight = number::<u8>(&item[colon + 1..]).filter(|weight| *weight <= MOST);
                append_counted(&item[..colon], out).ok_or_else(|| bad(EXPECTED))?;
                out.push(weight.ok_or_else(|| bad(EXPECTED))?);
            }
        }
        GROUPS => {
            for part in value.split(|&byte| byte == b',') {
                let group: u16 =
                    number(part).ok_or_else(|| bad("numbers of groups with `,` between them"))?;
                out.extend_from_slice(&group.to_be_bytes());
            }
        }
        PORT => {
            let port: u16 = number(value).ok_or_else(|| bad("a port, 0 to 65535"))?;
            out.extend_from_slice(&port.to_be_bytes());
        }
        IPV4HINT => {
            for part in text.unwrap_or("").split(',') {
                let address: Ipv4Addr =
                    part.parse().map_err(|_| bad("IPv4 addresses with `,` between them"))?;
                out.extend_from_slice(&address.octets());
            }
        }
        IPV6HINT => {
            for part in text.unwrap_or("").split(',') {
                let address: Ipv6Addr =
                    part.parse().map_err(|_| bad("IPv6 addresses with `,` between them"))?;
                out.extend_from_slice(&address.octets());
            }
        }
        ECH => {
            let mut reader = Base64Reader::default();
            if !(reader.push(value, out) && reader.finish(out)) {
                return Err(bad("base 64"));
            }
        }
        NO_DEFAULT_ALPN | OHTTP | PVD => return Err(bad("no value")),
        _ => strings::read(token, value, out)?,
    }
    Ok(key)
}

/// Whether the values hold together (RFC 9460 sections 7 and 8); the error names the key at fault.
fn check(params: &[u8]) -> Result<(), (u16, &'static str)> {
    let has = |wanted: u16| {
        let mut rest = params;
        std::iter::from_fn(move || next(&mut rest)).any(|(key, _)| key == wanted)
    };
    let mut rest = params;
    while let Some((key, value)) = next(&mut rest) {
        let whole = |size: usize| !value.is_empty() && value.len().is_multiple_of(size);
        match key {
            MANDATORY => {
                let (keys, _) = value.as_chunks::<2>();
                if !whole(2) || !keys.is_sorted_by(|a, b| a < b) {
                    return Err((key, "`mandatory` names a key twice"));
                }
                // Both lists ascend, so one walk along the parameters finds all of them.
                let mut all = params;
                let mut given = std::iter::from_fn(|| next(&mut all)).skip(1);
                if !keys.iter().all(|&key| given.any(|(other, _)| other == u16::from_be_bytes(key))) {
                    return Err((key, "`mandatory` names a key that is not given"));
                }
            }
            ALPN | DOCPATH => {
                let mut left = value;
                while let Some((_, tail)) = counted(left) {
                    left = tail;
                }
                if !left.is_empty() {
                    return Err((key, "a list that is malformed"));
                }
                if key == ALPN && value.is_empty() {
                    return Err((key, "`alpn` is empty"));
                }
            }
            GROUPS => {
                let mut groups = value.as_chunks::<2>().0.to_vec();
                groups.sort_unstable();
                if !whole(2) || groups.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Err((key, "`tls-supported-groups` names no group, or one twice"));
                }
            }
            OOTS if !is_oots(value) => {
                return Err((key, "`oots` names no protocol, one twice, or one without a weight"));
            }
            NO_DEFAULT_ALPN if !has(ALPN) => return Err((key, "`no-default-alpn` stands without `alpn`")),
            NO_DEFAULT_ALPN | OHTTP | PVD if !value.is_empty() => {
                return Err((key, "a value where there is none"));
            }
            PORT if value.len() != 2 => return Err((key, "`port` is malformed")),
            IPV4HINT if !whole(4) => return Err((key, "`ipv4hint` is malformed")),
            IPV6HINT if !whole(16) => return Err((key, "`ipv6hint` is malformed")),
            ECH if value.is_empty() => return Err((key, "an empty value")),
            DOHPATH if !is_doh_path(value) => {
                return Err((key, "`dohpath` is no path with a `dns` variable, such as `/dns-query{?dns}`"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether this is a URI template of an absolute path with the variable `dns` (RFC 9461 section 5, RFC 6570).
fn is_doh_path(value: &[u8]) -> bool {
    let Ok(template) = std::str::from_utf8(value) else { return false };
    let (mut rest, mut has_dns) = (template, false);
    // RFC 6570 2: braces stand around expressions alone, and not within them.
    while let Some((literals, tail)) = rest.split_once('{') {
        let Some((inside, behind)) = tail.split_once('}') else { return false };
        if literals.contains('}') || inside.contains('{') {
            return false;
        }
        let mut variables = inside.trim_start_matches(['+', '#', '.', '/', ';', '?', '&']).split(',');
        has_dns |= variables.any(|name| name.split([':', '*']).next() == Some("dns"));
        rest = behind;
    }
    template.starts_with('/') && has_dns && !rest.contains('}')
}

/// Whether this is a list of different protocols, each with its weight.
fn is_oots(mut left: &[u8]) -> bool {
    let mut protocols = Vec::new();
    while let Some((protocol, [weight, tail @ ..])) = counted(left)
        && *weight <= MOST
    {
        protocols.push(protocol);
        left = tail;
    }
    protocols.sort_unstable();
    left.is_empty() && !protocols.is_empty() && protocols.windows(2).all(|pair| pair[0] != pair[1])
}

/// The first item of a list in which each has its length before it, and what stands behind it; none may be empty.
fn counted(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = list.split_first()?;
    rest.split_at_checked(usize::from(length)).filter(|_| length > 0)
}

/// Appends an item with its length; `None` if it is empty or too long.
fn append_counted(item: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.push(u8::try_from(item.len()).ok().filter(|length| *length > 0)?);
    out.extend_from_slice(item);
    Some(())
}

/// The items of a list in text (RFC 9460 appendix A.1): it has escapes of its own below those of strings. `None` where it ends within
/// one.
fn items(token: &Token<'_>, value: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Fault> {
    let mut list = Vec::new();
    strings::read(token, value, &mut list)?;
    let mut items = vec![Vec::new()];
    let mut bytes = list.into_iter();
    while let Some(byte) = bytes.next() {
        let Some(item) = items.last_mut() else { break };
        match byte {
            b',' => items.push(Vec::new()),
            b'\\' => match bytes.next() {
                Some(byte) => item.push(byte),
                None => return Ok(None),
            },
            byte => item.push(byte),
        }
    }
    Ok(Some(items))
}

/// Appends an item to such a list.
fn append_item(item: &[u8], list: &mut Vec<u8>) {
    if !list.is_empty() {
        list.push(b',');
    }
    for &byte in item {
        if matches!(byte, b',' | b'\\') {
            list.push(b'\\');
        }
        list.push(byte);
    }
}

/// The first parameter of `rest`, which then begins behind it.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let (&[k0, k1, l0, l1], tail) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let value = tail.get(..length)?;
    *rest = &tail[length..];
    Some((u16::from_be_bytes([k0, k1]), value))
}

/// A key by its name, which is in lower case, or as `key123` without leading zeros (RFC 9460 2.1).
fn key(name: &[u8]) -> Option<u16> {
    if let Some(known) = NAMES.iter().position(|known| known.as_bytes() == name) {
        return Some(known as u16);
    }
    let (prefix, digits) = name.split_at_checked(3)?;
    if digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    (prefix == b"key").then(|| number(digits))?
}

/// Whether a key is given by its name and not by its number.
fn is_named(name: &[u8]) -> bool {
    NAMES.iter().any(|known| known.as_bytes() == name)
}

fn key_name(key: u16) -> String {
    NAMES.get(usize::from(key)).map_or_else(|| format!("key{key}"), |name| (*name).to_owned())
}

fn list<T>(items: &[T], out: &mut String, each: impl Fn(&T, &mut String) -> Option<()>) -> Option<()> {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        each(item, out)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doh_path_is_a_template_with_whole_expressions() {
        for path in ["/dns-query{?dns}", "/{dns}", "/q{?a,dns*}{&b}", "/{+dns:3}/x"] {
            assert!(is_doh_path(path.as_bytes()), "{path}");
        }
        for path in [
            "/q",
            "q{?dns}",
            "/q{?dnsx}",
            "/q{?dns}{",
            "/q{?dns",
            "/q}{?dns}",
            "/q{?dns}}",
            "/q{{?dns}",
            "/q{?a{dns}",
        ] {
            assert!(!is_doh_path(path.as_bytes()), "{path}");
        }
        assert!(!is_doh_path(b"/\xff{?dns}"));
    }
}
