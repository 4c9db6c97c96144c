//! Version 1 of the journal: no head, and frames of `length u32 | CRC-32 of the payload u32 | payload` (little-endian). It is read, and
//! written anew.

use super::frame::Damage;
use super::recovery::{FileFound, Position};

/// Bytes of a frame before its payload.
const FRAME: u64 = 8;
/// What is read at once to find out whether a payload is whole.
const CHUNK: u64 = 64 << 10;

/// Hands out every whole payload of a file of `size` bytes, of which `read` reads a part. A damaged one is stepped over when another
/// stands where it ends.
///
/// Nothing tells a damaged length but the checksum of the payload, so that is reckoned piece by piece: a length that leads to the end of
/// the file costs no memory, and only a payload that is whole is held.
pub fn read<E>(
    size: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    each: &mut dyn FnMut(Position, &[u8]),
) -> Result<FileFound, E> {
    let mut found = FileFound::old(size);
    let (mut at, mut skipped, mut buffer) = (0, None, Vec::new());
    while size - at >= FRAME {
        let mut head = [0; FRAME as usize];
        read(at, &mut head)?;
        let [a, b, c, d, sum @ ..] = head;
        let (payload, length) = (at + FRAME, u64::from(u32::from_le_bytes([a, b, c, d])));
        if length > size - payload {
            break;
        }
        let mut hasher = crc32fast::Hasher::new();
        let mut done = 0;
        while done < length {
            buffer.resize(CHUNK.min(length - done) as usize, 0);
            read(payload + done, &mut buffer)?;
            hasher.update(&buffer);
            done += buffer.len() as u64;
        }
        let offset = at;
        at = payload + length;
        if hasher.finalize() != u32::from_le_bytes(sum) {
            skipped.get_or_insert(offset);
            continue;
        }
        if let Some(bad) = skipped.take() {
            let damage = Damage { offset: bad, length: offset - bad, beginning: Vec::new() };
            found.count_damage(&mut vec![damage]);
        }
        if length > CHUNK {
            buffer.resize(length as usize, 0);
            read(payload, &mut buffer)?;
        }
        found.end = at;
        each(Position { generation: 0, sequence: found.sequence }, &buffer[..length as usize]);
        found.sequence += 1;
        buffer.truncate(CHUNK as usize);
        buffer.shrink_to(CHUNK as usize);
    }
    if found.end < size {
        let torn = Damage { offset: found.end, length: size - found.end, beginning: Vec::new() };
        found.torn = Some(torn);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(payloads: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut starts) = (Vec::new(), Vec::new());
        for payload in payloads {
            starts.push(bytes.len());
            bytes.extend((payload.len() as u32).to_le_bytes());
            bytes.extend(crc32fast::hash(payload).to_le_bytes());
            bytes.extend_from_slice(payload);
        }
        (bytes, starts)
    }

    /// What is found in a file, the payloads, and the most that was held of it at once.
    fn scan(file: &[u8]) -> (FileFound, Vec<Vec<u8>>, usize) {
        let (mut payloads, mut most) = (Vec::new(), 0);
        let part = |at: u64, bytes: &mut [u8]| -> Result<(), ()> {
            most = most.max(bytes.len());
            bytes.copy_from_slice(file.get(at as usize..at as usize + bytes.len()).ok_or(())?);
            Ok(())
        };
        let found = read(file.len() as u64, part, &mut |_, payload| payloads.push(payload.to_vec())).unwrap();
        (found, payloads, most)
    }

    #[test]
    fn whole_payloads_are_handed_out_whatever_their_length() {
        let large = vec![7; 3 * CHUNK as usize + 1];
        let exact = vec![8; CHUNK as usize];
        let payloads: [&[u8]; 5] = [b"one", &large, b"", &exact, b"last"];
        let (bytes, starts) = file(&payloads);
        let (found, read, _) = scan(&bytes);
        assert_eq!(read, payloads);
        assert!(found.is_whole() && found.is_old && found.sequence == 5);
        // A payload that is damaged is stepped over, and an end that is torn is told.
        let mut damaged = [&bytes[..], b"torn"].concat();
        damaged[starts[1] + 100] ^= 1;
        let (found, read, _) = scan(&damaged);
        assert_eq!(read.len(), 4);
        assert_eq!((found.damaged, found.damage[0].length), (1, (starts[2] - starts[1]) as u64));
        assert_eq!(found.torn.map(|torn| torn.length), Some(4));
    }

    #[test]
    fn a_damaged_length_costs_no_memory() {
        let many = vec![&b"an entry"[..]; 1 << 18];
        let (bytes, starts) = file(&many);
        assert!(bytes.len() >= 4 << 20);
        for bit in 4..32 {
            let mut damaged = bytes.clone();
            damaged[starts[1] + bit / 8] ^= 1 << (bit % 8);
            let (found, read, most) = scan(&damaged);
            assert!(!read.is_empty() && !found.is_whole(), "bit {bit}");
            assert!(most <= 1 << 18, "bit {bit}: {most} bytes at once");
        }
    }
}
