//! What a misspelt word was probably meant to be.

use crate::text::edit_distance::edit_distance;
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

#[cfg(test)]
mod tests {
    use super::*;

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
