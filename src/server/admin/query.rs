//! What stands behind the `?` of a request. What is not understood is refused: it would do something else than was meant.

use std::str::FromStr;

use axum::extract::Query as Pairs;
use axum::http::Uri;

use crate::wire::name::Name;

/// The keys of a query with their values, each of which the request takes.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

/// Why a query is refused.
#[derive(Debug)]
pub(super) struct Malformed(pub(super) String);

impl Query {
    /// The query of `uri`, which takes the keys `known`.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Result<Query, Malformed> {
        let text = uri.query().unwrap_or_default();
        if let Some(escape) = broken_escape(text) {
            let reason =
                format!("`{escape}` in the query is no escape: a `%` has two hexadecimal digits behind it");
            return Err(Malformed(reason));
        }
        let Pairs(pairs) = Pairs::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Malformed(error.to_string()))?;
        match pairs.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(Query(pairs)),
            Some((key, _)) if known.is_empty() => {
                Err(Malformed(format!("`{key}` is unknown here: this request takes no query")))
            }
            Some((key, _)) => {
                let may_stand: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
                let may_stand = may_stand.join(" or ");
                Err(Malformed(format!("`{key}` is unknown here: in this request it may be {may_stand}")))
            }
        }
    }

    /// Refuses more than one of keys of which each says all by itself.
    pub(super) fn at_most_one_of(&self, keys: &[&str]) -> Result<(), Malformed> {
        let mut there = keys.iter().filter(|key| self.values(key).next().is_some());
        match (there.next(), there.next()) {
            (Some(one), Some(other)) => {
                Err(Malformed(format!("`{one}` and `{other}` do not go together: give one")))
            }
            _ => Ok(()),
        }
    }

    /// The names under `key`, of which there may be several.
    pub(super) fn names(&self, key: &str) -> Result<Vec<Name>, Malformed> {
        let parsed = self.values(key).map(|value| {
            value
                .parse()
                .map_err(|error| Malformed(format!("`{key}={value}`: `{value}` is not a name: {error}")))
        });
        parsed.collect()
    }

    /// The one value under `key`, of which `what` may stand there.
    pub(super) fn one<T: FromStr>(&self, key: &str, what: &str) -> Result<Option<T>, Malformed> {
        let mut values = self.values(key);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Malformed(format!("`{key}` is there more than once: it has one value, {what}")));
        }
        let refuse = |_| Malformed(format!("`{key}={value}` is not understood: `{key}` is {what}"));
        value.parse().map(Some).map_err(refuse)
    }

    fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// The first `%` without two hexadecimal digits (RFC 3986 2.1), with what stands there instead.
fn broken_escape(query: &str) -> Option<&str> {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let mut percents = query.match_indices('%').map(|(at, _)| &query[at..]);
    let broken = percents.find(|rest| {
        let bytes = rest.as_bytes();
        !is_digit(bytes.get(1)) || !is_digit(bytes.get(2))
    })?;
    let end = broken.char_indices().nth(3).map_or(broken.len(), |(end, _)| end);
    Some(&broken[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, known: &[&str]) -> Result<Query, String> {
        let uri = format!("/api/v1/x{query}").parse().unwrap();
        Query::read(&uri, known).map_err(|Malformed(why)| why)
    }

    #[test]
    fn what_is_understood_is_taken() {
        let query = read("?zone=a.&zone=%62.&limit=7&force=true", &["zone", "limit", "force"]).unwrap();
        assert_eq!(query.names("zone").unwrap(), ["a.".parse().unwrap(), "b.".parse::<Name>().unwrap()]);
        assert_eq!(query.one::<u64>("limit", "").unwrap(), Some(7));
        assert_eq!(query.one::<bool>("force", "").unwrap(), Some(true));
        assert_eq!(query.one::<u64>("since", "").unwrap(), None);
        for nothing in ["", "?"] {
            assert!(read(nothing, &[]).is_ok());
        }
    }

    #[test]
    fn what_is_not_is_refused_with_what_may_stand_there() {
        let unknown = |query, known| read(query, known).unwrap_err();
        assert_eq!(
            unknown("?zone=a&foo=1", &["zone", "force"]),
            "`foo` is unknown here: in this request it may be `zone` or `force`"
        );
        assert_eq!(unknown("?foo=1", &[]), "`foo` is unknown here: this request takes no query");
        for (query, shown) in
            [("?zone=%zz", "`%zz`"), ("?%2", "`%2`"), ("?a=%", "`%`"), ("?%41%4g1", "`%4g`")]
        {
            assert!(unknown(query, &["zone", "a"]).contains(shown), "{query}");
        }
        let query = read("?force=maybe&limit=1&limit=2&zone=a..b", &["force", "limit", "zone"]).unwrap();
        let Malformed(why) = query.one::<bool>("force", "`true` or `false`").unwrap_err();
        assert_eq!(why, "`force=maybe` is not understood: `force` is `true` or `false`");
        let Malformed(why) = query.one::<u64>("limit", "a number").unwrap_err();
        assert_eq!(why, "`limit` is there more than once: it has one value, a number");
        assert!(query.at_most_one_of(&["since", "zone", "after"]).is_ok());
        let Malformed(why) = query.at_most_one_of(&["limit", "zone"]).unwrap_err();
        assert_eq!(why, "`limit` and `zone` do not go together: give one");
        let Malformed(why) = query.names("zone").unwrap_err();
        assert!(why.starts_with("`zone=a..b`: `a..b` is not a name: "), "{why}");
    }
}
