//! Names in zone files: relative names completed with the origin, straight into wire form, and the way back.

use crate::text::lexer::{Fault, Kind, Span, Token, shown};
use crate::wire::escape::unescape;
use crate::wire::name::{MAX_LABEL, MAX_NAME, NameError, NameRef};

/// What completes names, and what was noticed about them.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// What relative names are below.
    pub origin: Option<&'a NameRef>,
    /// The zone's apex, once its SOA was seen.
    pub apex: Option<&'a NameRef>,
    /// Where a relative name was seen that already ends in the origin or apex: its final dot was forgotten, it seems.
    pub doubled: Option<Span>,
    /// Where an `@` was seen inside a name, as in the form of mail.
    pub at_sign: Option<Span>,
}

impl<'a> Names<'a> {
    /// Names below `origin`.
    pub fn below(origin: Option<&'a NameRef>) -> Names<'a> {
        Names { origin, apex: None, doubled: None, at_sign: None }
    }

    /// Appends the name that `token` holds.
    pub fn read(&mut self, token: &Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        if token.kind != Kind::Word {
            return Err(token.instead_of("a domain name"));
        }
        if has_at_sign(token.text) {
            self.at_sign.get_or_insert(token.span);
        }
        let start = out.len();
        let relative = append(token.text, self.origin, out).map_err(|error| fault(token, error))?;
        if let (true, Some(origin)) = (relative, self.origin) {
            let own = &out[start..out.len() - origin.as_wire().len()];
            if ends_in(own, origin) || self.apex.is_some_and(|apex| ends_in(own, apex)) {
                self.doubled.get_or_insert(token.span);
            }
        }
        Ok(())
    }
}

/// Appends a name to text: presentation form with the final dot, special and unprintable bytes escaped.
pub fn write(name: &NameRef, out: &mut String) {
    if name.is_root() {
        out.push('.');
    }
    for label in name.labels() {
        for &byte in label {
            match byte {
                b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                    out.push('\\');
                    out.push(char::from(byte));
                }
                0x21..=0x7e => out.push(char::from(byte)),
                _ => escape(byte, out),
            }
        }
        out.push('.');
    }
}

/// Appends a byte as `\DDD`.
pub fn escape(byte: u8, out: &mut String) {
    out.push('\\');
    for digit in [byte / 100, byte / 10 % 10, byte % 10] {
        out.push(char::from(b'0' + digit));
    }
}

/// Appends the wire form of `text`, completed with `origin` when it has no final dot, and says whether it had not (`@`
/// counts as complete). On an error, part of the name may have been appended.
fn append(text: &[u8], origin: Option<&NameRef>, out: &mut Vec<u8>) -> Result<bool, NameError> {
    let start = out.len();
    match text {
        b"@" => {
            out.extend_from_slice(origin.ok_or(NameError::Relative)?.as_wire());
            return Ok(false);
        }
        b"." => {
            out.push(0);
            return Ok(false);
        }
        _ => {}
    }
    let mut at = 0;
    let mut relative = true;
    while at < text.len() {
        let label = out.len();
        if label - start >= MAX_NAME {
            return Err(NameError::LongName);
        }
        out.push(0);
        loop {
            let run = text[at..].iter().position(|&byte| byte == b'.' || byte == b'\\');
            let plain = run.unwrap_or(text.len() - at);
            if out.len() - label - 1 + plain > MAX_LABEL {
                return Err(NameError::LongLabel);
            }
            out.extend_from_slice(&text[at..at + plain]);
            at += plain;
            match text.get(at) {
                Some(b'\\') => {
                    let (value, taken) = unescape(&text[at + 1..]).ok_or(NameError::BadEscape)?;
                    out.push(value);
                    at += 1 + taken;
                }
                Some(_) => {
                    at += 1;
                    relative = at < text.len();
                    break;
                }
                None => break,
            }
        }
        match out.len() - label - 1 {
            0 => return Err(NameError::EmptyLabel),
            long if long > MAX_LABEL => return Err(NameError::LongLabel),
            length => out[label] = length as u8,
        }
    }
    if relative {
        out.extend_from_slice(origin.ok_or(NameError::Relative)?.as_wire());
    } else {
        out.push(0);
    }
    if out.len() - start > MAX_NAME { Err(NameError::LongName) } else { Ok(relative) }
}

/// Whether there is an `@` in a name that neither stands alone, for the origin (RFC 1035 5.1), nor for itself by an escape.
fn has_at_sign(text: &[u8]) -> bool {
    let is_plain = |at: usize| text[at] == b'@' && (at == 0 || text[at - 1] != b'\\');
    text.len() > 1 && text.contains(&b'@') && (0..text.len()).any(is_plain)
}

/// Whether the labels `own` (without a root label) end in the labels of `origin`; never for the root.
fn ends_in(own: &[u8], origin: &NameRef) -> bool {
    let tail = &origin.as_wire()[..origin.as_wire().len() - 1];
    let Some(skip) = own.len().checked_sub(tail.len()) else { return false };
    if tail.is_empty() || !own[skip..].eq_ignore_ascii_case(tail) {
        return false;
    }
    let mut at = 0;
    while at < skip {
        at += 1 + usize::from(own[at]);
    }
    at == skip
}

fn fault(token: &Token<'_>, error: NameError) -> Fault {
    let name = shown(token.text);
    match error {
        NameError::Relative => {
            Fault::new(token.span, format!("`{name}` is relative, but no origin is known"))
                .expected("a name with a final dot, or `$ORIGIN` on a line before")
        }
        NameError::EmptyLabel => {
            Fault::new(token.span, format!("`{name}` has an empty label")).expected("a label between dots")
        }
        other => Fault::new(token.span, format!("`{name}`: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::Name;

    #[test]
    fn reads_what_names_read() {
        let origin: Name = "Example.".parse().unwrap();
        let label = "a".repeat(63);
        let long = format!("{label}.{label}.{label}.{label}.");
        for text in [
            ".", "@", "a", "a.b", "a.b.", "a\\.b.c", "\\255.", "a..b", "..", ".a", "\\256", "a\\", &label,
            &long,
        ]
        .into_iter()
        .map(str::to_owned)
        .chain([format!("{label}a"), format!("a.{label}\\000"), "b.".repeat(127), "b.".repeat(128)])
        {
            let mut out = b"before".to_vec();
            let read = append(text.as_bytes(), Some(&origin), &mut out);
            match Name::parse(text.as_bytes(), Some(&origin)) {
                Ok(name) => assert_eq!((read.is_ok(), &out[6..]), (true, name.as_wire()), "{text}"),
                Err(error) => assert_eq!(read, Err(error), "{text}"),
            }
        }
        assert_eq!(append(b"a", None, &mut Vec::new()), Err(NameError::Relative));
    }

    #[test]
    fn an_at_sign_is_noticed_unless_it_stands_alone_or_for_itself() {
        for (text, noticed) in [
            ("@", false),
            ("a.b", false),
            ("a\\@b", false),
            ("a@b", true),
            ("a@", true),
            ("@a", true),
            ("a\\@b@c", true),
        ] {
            assert_eq!(has_at_sign(text.as_bytes()), noticed, "{text}");
        }
    }

    #[test]
    fn doubled_origins_are_noticed() {
        let origin: Name = "example.com.".parse().unwrap();
        let sub: Name = "sub.example.com.".parse().unwrap();
        for (text, origin, apex, doubled) in [
            ("www.Example.com", &*origin, None, true),
            ("example.com", &origin, None, true),
            ("www.example.com.", &origin, None, false),
            ("notexample.com", &origin, None, false),
            ("www.example.com", &sub, None, false),
            ("www.example.com", &sub, Some(&*origin), true),
            ("www", NameRef::ROOT, None, false),
        ] {
            let mut names = Names { apex, ..Names::below(Some(origin)) };
            let token = Token { kind: Kind::Word, text: text.as_bytes(), span: Span::default() };
            names.read(&token, &mut Vec::new()).unwrap();
            assert_eq!(names.doubled.is_some(), doubled, "{text}");
        }
    }
}
