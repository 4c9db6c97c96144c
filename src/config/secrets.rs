//! The secrets of DNS cookies in the configuration.

use crate::server::cookies::secrets;
use crate::wire::cookie::Secrets;

/// What to write instead of whatever is wrong.
pub(super) const HELP: &str =
    "write 32 hexadecimal digits, as `openssl rand -hex 16` makes them, the same at all servers of a zone";

/// Reads one secret, or a list of which the first makes cookies; says what is wrong.
pub(super) fn listed(value: &toml::Value) -> Result<Secrets, String> {
    let text = |value: &toml::Value| {
        value.as_str().map(str::to_owned).ok_or("a cookie secret is a text, or a list of texts".to_owned())
    };
    match value {
        toml::Value::Array(values) => secrets(values.iter().map(text).collect::<Result<Vec<_>, _>>()?),
        value => secrets(vec![text(value)?]),
    }
}
