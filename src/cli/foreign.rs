//! Configurations of other servers, which are handed to `check` by mistake.

/// What configurations of BIND begin with.
const BIND: [&str; 12] = [
    "acl",
    "controls",
    "dnssec-policy",
    "include",
    "key",
    "logging",
    "masters",
    "options",
    "primaries",
    "statistics-channels",
    "view",
    "zone",
];

/// Whose configuration the text looks like, by its first line that is no comment.
pub fn server_of(text: &str) -> Option<&'static str> {
    let text = without_comments(text);
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let (word, rest) = text.split_at(text.find(|c| !is_word(c)).unwrap_or(text.len()));
    let line = rest.lines().next().unwrap_or_default();
    if let Some(value) = line.strip_prefix(':').filter(|_| !word.is_empty()) {
        let is_section = matches!(value.trim_start().chars().next(), None | Some('#'));
        return (is_section || word == "include").then_some("Knot, NSD or Unbound");
    }
    let opens = rest.trim_start().starts_with(['{', '"']) || line.trim_end().ends_with('{');
    (BIND.contains(&word) && opens).then_some("BIND")
}

/// What stands behind the blanks and comments at the start.
fn without_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let end = if text.starts_with("/*") {
            text.find("*/").map(|end| end + 2)
        } else if text.starts_with(['#', ';']) || text.starts_with("//") {
            text.find('\n')
        } else {
            return text;
        };
        text = end.map_or("", |end| &text[end..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_known_by_their_first_line() {
        for (text, server) in [
            ("# Knot\n\nserver:\n    rundir: \"/run/knot\"\n", Some("Knot, NSD or Unbound")),
            ("zone:   # all\n  - domain: example.com\n", Some("Knot, NSD or Unbound")),
            ("include: \"/etc/unbound/unbound.conf.d/*.conf\"\n", Some("Knot, NSD or Unbound")),
            ("// a\n/* b\n c */ options {\n", Some("BIND")),
            ("options\n{\n", Some("BIND")),
            ("zone \"example.com\" {\n", Some("BIND")),
            ("acl inside {\n", Some("BIND")),
            ("include \"/etc/bind/named.conf.options\";\n", Some("BIND")),
            ("$TTL 1h\n@ SOA ns host 1 2 3 4 5\n", None),
            ("; a zone\nzone A 192.0.2.1\n", None),
            ("options TXT \"{\"\n", None),
            ("a:b 60 A 192.0.2.1\n", None),
            ("/* never closed", None),
            ("", None),
        ] {
            assert_eq!(server_of(text), server, "{text}");
        }
    }
}
