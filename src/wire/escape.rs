//! Escapes in the presentation format: `\DDD` and `\X` (RFC 1035 5.1).

/// The byte an escape stands for (the text after its `\`), and how many characters of text it takes.
pub fn unescape(text: &[u8]) -> Option<(u8, usize)> {
    match *text.first()? {
        first @ b'0'..=b'9' => match text.get(1..3)? {
            [second @ b'0'..=b'9', third @ b'0'..=b'9'] => {
                let value =
                    u32::from(first - b'0') * 100 + u32::from(second - b'0') * 10 + u32::from(third - b'0');
                u8::try_from(value).ok().map(|value| (value, 3))
            }
            _ => None,
        },
        other => Some((other, 1)),
    }
}
