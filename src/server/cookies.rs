//! The secrets of DNS cookies in a file of their own.

use std::io;
use std::path::Path;

use crate::wire::cookie::{Secret, Secrets};

use super::content::content;

/// Secrets that are accepted at a time: two while one takes the place of another, with some to spare. Each that a cookie is not
/// made with costs a hash.
const MAX_SECRETS: usize = 8;
/// A file of so many secrets with comments is not longer.
const MAX_FILE: u64 = 16 << 10;

/// Reads a file with one secret a line, and comments from `#` on; says what is wrong.
pub fn from_file(path: &Path) -> Result<Secrets, String> {
    let read = content(path, MAX_FILE, || format!("it is larger than {} KiB", MAX_FILE >> 10));
    let read = read.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    let text =
        read.map_err(|error| format!("cannot read the cookie secrets in {}: {error}", path.display()))?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned());
    secrets(lines.filter(|line| !line.is_empty()).collect())
        .map_err(|fault| format!("{fault}, in {}", path.display()))
}

/// The secrets in these texts, of which the first makes cookies; says what is wrong.
pub fn secrets(texts: Vec<String>) -> Result<Secrets, String> {
    if texts.len() > MAX_SECRETS {
        return Err(format!("more than {MAX_SECRETS} cookie secrets"));
    }
    let read = |(number, text): (usize, String)| {
        // The text itself stays out of messages, which end in logs.
        text.parse::<Secret>().map_err(|error| format!("cookie secret {} is {error}", number + 1))
    };
    let mut all = texts.into_iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?.into_iter();
    let first = all.next().ok_or("there is no cookie secret")?;
    Ok(Secrets::new(first, all.collect()))
}
