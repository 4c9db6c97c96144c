//! Messages in a stream: each stands behind its length, of two bytes (RFC 1035 4.2.2).

/// The first message in `bytes`, if it is there as a whole.
pub(super) fn first(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// Appends the message that `write` appends, with its length in front, and gives it back. Nothing is left in `output` of one that is
/// empty, or longer than a length can say: no writer of messages makes such.
pub(super) fn append<T>(output: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> (T, &[u8]) {
    let start = output.len();
    output.extend_from_slice(&[0, 0]);
    let written = write(output);
    match u16::try_from(output.len() - start - 2) {
        Ok(length) if length > 0 => output[start..start + 2].copy_from_slice(&length.to_be_bytes()),
        _ => output.truncate(start),
    }
    (written, output.get(start + 2..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_appended() {
        let mut stream = Vec::new();
        let (told, message) = append(&mut stream, |output| {
            output.extend_from_slice(b"one");
            7
        });
        assert_eq!((told, message), (7, &b"one"[..]));
        append(&mut stream, |output| output.extend_from_slice(b"four"));
        assert_eq!(first(&stream), Some(&b"one"[..]));
        assert_eq!(first(&stream[5..]), Some(&b"four"[..]));
        assert_eq!([first(&stream[5..10]), first(&stream[..1]), first(&[])], [None; 3]);
    }

    #[test]
    fn what_no_length_can_say_is_not_sent() {
        let mut stream = b"before".to_vec();
        for length in [0, 65_536] {
            let (_, message) = append(&mut stream, |output| output.resize(output.len() + length, 1));
            assert!(message.is_empty());
            assert_eq!(stream, b"before");
        }
        assert_eq!(append(&mut stream, |output| output.resize(output.len() + 65_535, 1)).1.len(), 65_535);
    }
}
