//! Inputs as text: one a line, with the escapes of a byte string of Rust where a byte is not printable. A line that begins
//! with `#` is a comment.

use std::fs;
use std::path::Path;

/// What stands before the records of most zone files that the other servers have read too.
const HEAD: &str = "$ORIGIN example.\n$TTL 3600\n@ IN SOA ns1 hostmaster 1 7200 900 1209600 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\n";

/// The inputs kept for a target, where `folder` is `tests/corpus`; for zone files, those that are compared with the other
/// servers too.
pub fn inputs(folder: &Path, target: &str) -> Vec<Vec<u8>> {
    let mut inputs = kept(folder, target);
    if target == "zone_file" {
        inputs.extend(cases(&folder.join("zones")));
    }
    inputs
}

/// The inputs of the target's own file.
pub fn kept(folder: &Path, target: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(folder.join("fuzz").join(target)).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(|line| read(line).expect(line)).collect()
}

/// The cases of all `*.zones` files: each begins with a line `==== name`, and is a whole file if that ends in `whole`.
fn cases(folder: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "zones"));
    files.sort();
    let texts = files.iter().map(|path| fs::read_to_string(path).unwrap());
    let cases = texts.flat_map(|text| {
        let cases = text.split("==== ").filter_map(|case| case.split_once('\n'));
        let head = |name: &str| if name.ends_with(" whole") { "" } else { HEAD };
        cases.map(|(name, body)| [head(name), body].concat().into_bytes()).collect::<Vec<_>>()
    });
    cases.collect()
}

/// An input as its line.
pub fn line(input: &[u8]) -> String {
    let text = input.escape_ascii().to_string();
    // The comments' sign.
    match text.strip_prefix('#') {
        Some(rest) => format!("\\x23{rest}"),
        None => text,
    }
}

fn read(line: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escape, tail) = rest.split_first()?;
        rest = tail;
        bytes.push(match escape {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                rest = tail;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    Some(bytes)
}
