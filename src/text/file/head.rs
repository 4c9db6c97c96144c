//! What stands before a record's data: TTL, class and type.

use std::net::IpAddr;

use super::suggest;
use crate::text::lexer::{Fault, Kind, Lexer, Span, Token, shown};
use crate::text::rdata::duration::read_seconds;
use crate::text::rdata::mnemonic::{self, number};
use crate::wire::rtype::Rtype;

/// The largest TTL in seconds (RFC 2181 section 8).
pub const MAX_TTL: u32 = i32::MAX as u32;

/// Reads TTL and class, in either order, both optional, and the type; `token` is the first of them.
pub fn read<'t>(mut token: Token<'t>, lexer: &mut Lexer<'t>) -> Result<(Option<u32>, Rtype), Fault> {
    let mut stated_ttl = None;
    let mut class = false;
    loop {
        if token.kind != Kind::Word {
            return Err(token.instead_of("a record type such as `A` or `MX`"));
        }
        if let Some(rtype) = mnemonic::rtype(token.text) {
            return if is_data(rtype) { Ok((stated_ttl, rtype)) } else { Err(no_data(&token, rtype)) };
        }
        if token.text[0].is_ascii_digit() && stated_ttl.is_none() {
            stated_ttl = Some(ttl(&token)?);
        } else {
            match class_of(token.text) {
                Some(1) if !class => class = true,
                Some(1) => {
                    return Err(Fault::new(token.span, "the class is given twice").expected("a record type"));
                }
                Some(_) => {
                    let message = format!("zones of class {} are not served", shown(token.text));
                    return Err(Fault::new(token.span, message).expected("class IN, or none"));
                }
                None => return Err(unknown_type(&token)),
            }
        }
        token = lexer.next()?;
    }
}

/// Whether records of the type stand in zone files: not those of messages, not type 0 (RFC 6895 3.1), and not MD and MF,
/// which are to be rejected (RFC 1035 3.3.4 and 3.3.5).
fn is_data(rtype: Rtype) -> bool {
    !rtype.is_meta() && !matches!(rtype, Rtype(0) | Rtype::MD | Rtype::MF)
}

#[cold]
fn no_data(token: &Token<'_>, rtype: Rtype) -> Fault {
    match rtype {
        Rtype::MD | Rtype::MF => {
            Fault::new(token.span, format!("{rtype} is obsolete")).expected("an MX record (RFC 1035 3.3.9)")
        }
        _ => {
            let message = format!("{rtype} is a type for messages and cannot stand in a zone");
            Fault::new(token.span, message).expected("a type of data")
        }
    }
}

/// A TTL, with or without units. One of 32 bits may be larger than [`MAX_TTL`]: [`bounded`] says what it means.
pub fn ttl(token: &Token<'_>) -> Result<u32, Fault> {
    match read_seconds(token.text) {
        Some(ttl) => Ok(ttl),
        None if !token.text.iter().all(u8::is_ascii_alphanumeric) => Err(unknown_type(token)),
        None => Err(token.instead_of("a TTL such as 3600 or 1h30m, or a record type")),
    }
}

/// The TTL that a stated one means: one with the highest bit set is taken for 0 (RFC 2181 section 8), with a warning.
pub fn bounded(ttl: u32, span: Span, warnings: &mut Vec<Fault>) -> u32 {
    if ttl <= MAX_TTL {
        return ttl;
    }
    let message = format!("the TTL {ttl} is larger than {MAX_TTL} and so means 0 (RFC 2181 section 8)");
    warnings.push(Fault::new(span, message).expected(format!("a TTL of at most {MAX_TTL} seconds")));
    0
}

/// The number of a class, by name or as `CLASS123` (RFC 3597 section 5).
fn class_of(text: &[u8]) -> Option<u16> {
    const CLASSES: [(&str, u16); 6] =
        [("IN", 1), ("CS", 2), ("CH", 3), ("HS", 4), ("NONE", 254), ("ANY", 255)];
    let known = CLASSES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text));
    known.map(|(_, class)| *class).or_else(|| {
        let (prefix, digits) = text.split_at_checked(5)?;
        prefix.eq_ignore_ascii_case(b"CLASS").then(|| number(digits))?
    })
}

/// The fault of a record whose line begins with a blank, and with `first` behind that: where this looks like an owner, as what is `behind` it
/// does like what follows one, that is told too.
#[cold]
pub fn behind_blank(fault: Fault, first: &Token<'_>, mut behind: Lexer<'_>) -> Fault {
    let is_unknown = fault.span == first.span;
    let is_head = |text: &[u8]| {
        mnemonic::rtype(text).is_some()
            || class_of(text).is_some()
            || (is_unknown && read_seconds(text).is_some())
    };
    let is_followed = behind.next().is_ok_and(|next| next.kind == Kind::Word && is_head(next.text))
        && behind.next().is_ok_and(|next| next.kind != Kind::End);
    if first.kind != Kind::Word || !is_followed {
        return fault;
    }
    let or = fault.expected.as_ref().map_or(String::new(), |expected| format!("{expected}, or "));
    let expected = format!(
        "{or}`{}` at the start of the line, if it is the owner name: behind a blank a record has the owner of the line before",
        shown(first.text)
    );
    fault.expected(expected)
}

#[cold]
fn unknown_type(token: &Token<'_>) -> Fault {
    let found = shown(token.text);
    if let Ok(address) = found.parse::<IpAddr>() {
        let rtype = if address.is_ipv4() { "A" } else { "AAAA" };
        return Fault::new(token.span, format!("no record type stands before `{found}`"))
            .expected(format!("`{rtype}` before the address"));
    }
    let expected = match suggest::rtype(token.text) {
        Some(meant) => meant,
        None => "a record type such as `A` or `MX`, or `TYPE123` for one without a name".to_owned(),
    };
    Fault::new(token.span, format!("`{found}` is no record type")).expected(expected)
}

#[cfg(test)]
mod tests {
    use super::super::read;

    #[test]
    fn an_owner_behind_a_blank_is_told_as_what_it_may_be() {
        let at_start = |name| {
            format!(
                "`{name}` at the start of the line, if it is the owner name: behind a blank a record has the owner of the line before"
            )
        };
        let unknown = "a record type such as `A` or `MX`, or `TYPE123` for one without a name";
        for (line, expected) in [
            (" c CNAME ghost", format!("`A`, or {}", at_start("c"))),
            (" www 300 A 1.2.3.4", format!("{unknown}, or {}", at_start("www"))),
            (" ns IN A 1.2.3.4", format!("the end of the line, or {}", at_start("ns"))),
            (" CNMAE b", "`CNAME`".to_owned()),
            (" MX A", "preference: a number from 0 to 65535".to_owned()),
            ("c CNMAE b", "`CNAME`".to_owned()),
        ] {
            let text = format!("$ORIGIN x.\na 60 A 192.0.2.1\n{line}\n");
            let include = &mut |_: &str, _: &str| Err(String::new());
            let outcome = read::read("x.zone", text.as_bytes(), None, include, &mut |_| {});
            let found: Vec<Option<&str>> =
                outcome.diagnostics.iter().map(|found| found.expected.as_deref()).collect();
            assert_eq!(found, [Some(&*expected)], "{line}");
        }
    }
}
