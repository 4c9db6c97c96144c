//! What a misspelt word was probably meant to be.

use crate::text::edit_distance::edit_distance;
use crate::text::lexer::{Fault, Kind, Span, Token, shown};
use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;

/// The directives of zone files.
pub const DIRECTIVES: [&str; 4] = ["$ORIGIN", "$TTL", "$INCLUDE", "$GENERATE"];

/// Longer words are no misspelt types or directives.
const MAX_WORD: usize = 16;
/// How many candidates are named.
const MAX_SUGGESTIONS: usize = 3;

/// Record types close to an unknown one, as "`A` or `AAAA`".
pub fn rtype(word: &[u8]) -> Option<String> {
    let names: Vec<String> =
        Rtype::named().filter(|rtype| !rtype.is_meta()).map(|rtype| rtype.to_string()).collect();
    closest(word, names.iter().map(String::as_str))
}

/// Directives close to an unknown one.
pub fn directive(word: &[u8]) -> Option<String> {
    closest(word, DIRECTIVES.into_iter())
}

/// The names nearest to `word`: those that differ only in repeated letters, or else those one slip away (two in longer
/// words).
fn closest<'n>(word: &[u8], names: impl Iterator<Item = &'n str>) -> Option<String> {
    if word.len() > MAX_WORD {
        return None;
    }
    let word = word.to_ascii_uppercase();
    let most = if word.len() > 4 { 2 } else { 1 };
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let name_bytes = name.as_bytes();
            let distance =
                if squeezed(name_bytes) == squeezed(&word) { 0 } else { edit_distance(&word, name_bytes) };
            (distance <= most).then_some((distance, name))
        })
        .collect();
    found.sort_by_key(|(distance, _)| *distance);
    let best = found.first()?.0;
    let best: Vec<String> = found
        .iter()
        .take_while(|(distance, _)| *distance == best)
        .take(MAX_SUGGESTIONS)
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    match best.split_last()? {
        (last, []) => Some(last.clone()),
        (last, others) => Some(format!("{} or {last}", others.join(", "))),
    }
}

fn squeezed(word: &[u8]) -> Vec<u8> {
    let mut squeezed = word.to_vec();
    squeezed.dedup();
    squeezed
}

/// Whether a name was written as if it were complete, and lacks the final dot that would make it so.
pub fn looks_complete(token: &Token<'_>) -> bool {
    token.kind == Kind::Word && token.text.contains(&b'.') && !token.text.ends_with(b".")
}

/// A name that was completed with an origin, where that was hardly meant.
#[cold]
pub fn relative(span: Span, name: &NameRef) -> Fault {
    Fault::new(span, format!("this name has no final dot, so it is `{name}`"))
        .expected("a final dot behind it, if it is complete")
}

/// A mailbox with an `@`, which stands for itself in the middle of a name (RFC 1035 8).
#[cold]
pub fn mailbox(span: Span) -> Fault {
    Fault::new(span, "this mailbox has an `@` in it")
        .expected("a dot in its place, as in `hostmaster.example.org.`")
}

/// A name with an `@` in it, in some `part` of a record.
#[cold]
pub fn at_sign(span: Span, name: &[u8], part: &str, rtype: Rtype) -> Fault {
    let message = format!(
        "the {part} `{}` of this {rtype} record has an `@` in it, which stands for the origin only where it is alone",
        shown(name)
    );
    Fault::new(span, message).expected(format!("`{}`", shown(&without_at_sign(name))))
}

/// What was probably meant by a name with an `@` in it: what stands on both sides of it is complete when it looks like that.
fn without_at_sign(name: &[u8]) -> Vec<u8> {
    let parts = name.split(|byte| b"@.".contains(byte)).filter(|part| !part.is_empty());
    let mut meant = parts.collect::<Vec<_>>().join(&b'.');
    let behind = name.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
    if behind.iter().skip_while(|byte| **byte == b'.').any(|byte| *byte == b'.') {
        meant.push(b'.');
    }
    meant
}

/// An SOA's owner that ends in its origin twice: a zone of such a name is hardly meant, and what is below one that is given from outside
/// can be no other zone.
#[cold]
pub fn soa_doubled(span: Span) -> Fault {
    Fault::new(span, "the SOA's owner ends in the zone's name twice").expected("a final dot behind it")
}

/// An `$ORIGIN` before the SOA that ends in the one before it, which the file's name may have given, twice.
#[cold]
pub fn origin_doubled(span: Span) -> Fault {
    Fault::new(span, "this origin ends in the zone's name twice").expected("a final dot behind it")
}

/// An `$ORIGIN` or the owner of an SOA that looks complete and lacks its final dot, where the zone is not known otherwise.
#[cold]
pub fn undotted(span: Span) -> Fault {
    Fault::new(span, "this name of a zone has no final dot").expected("a final dot behind it")
}

/// A `;` right behind a word of a TXT record, as in `v=DKIM1; k=rsa`.
#[cold]
pub fn cut_text(span: Span) -> Fault {
    Fault::new(span, "the text ends here: what follows `;` is a comment")
        .expected("the text in quotes, or a blank before the comment")
}

/// A name that ends in its origin twice.
#[cold]
pub fn doubled(span: Span) -> Fault {
    Fault::new(span, "this name ends in the zone's name twice")
        .expected("a final dot behind it, if it is complete")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_without_their_at_sign() {
        for (name, meant) in [
            ("mail@example.com", "mail.example.com."),
            ("mail@example.com.", "mail.example.com."),
            ("mail@.example.com.", "mail.example.com."),
            ("mail@sub", "mail.sub"),
            ("www@", "www"),
            ("www.@", "www"),
            ("@www", "www"),
            ("@.example.com", "example.com."),
        ] {
            assert_eq!(String::from_utf8(without_at_sign(name.as_bytes())).unwrap(), meant, "{name}");
        }
        // What is too long to be shown is understood all the same.
        let long = "a".repeat(63);
        let meant = without_at_sign(format!("{long}@example").as_bytes());
        assert_eq!(meant, format!("{long}.example").as_bytes());
        let fault = at_sign(Span::default(), format!("{long}.b@example.com").as_bytes(), "target", Rtype::MX);
        assert_eq!(fault.expected, Some(format!("`{}...`", "a".repeat(60))));
    }

    #[test]
    fn slips_are_found() {
        for (word, meant) in [
            ("AAA", Some("`A` or `AAAA`")),
            ("cnmae", Some("`CNAME`")),
            ("TXTT", Some("`TXT`")),
            ("NAPT", Some("`NAPTR`")),
            ("RRSGI", Some("`RRSIG`")),
            ("QQQQQ", None),
            ("mail.example.com.", None),
        ] {
            assert_eq!(rtype(word.as_bytes()).as_deref(), meant, "{word}");
        }
        assert_eq!(directive(b"$ORIGN").as_deref(), Some("`$ORIGIN`"));
        assert_eq!(directive(b"$X"), None);
    }
}
