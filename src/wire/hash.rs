//! Hashes of names without case, from the root down, so that a walk to a name yields those of all names above it.

use super::name::NameRef;

/// The hash of the root name, from which [`hash_label`] goes down.
pub const fn hash_root() -> u64 {
    0x9e37_79b9_7f4a_7c15
}

/// The hash of a name, from its parent's hash and its leftmost label, without case: so one walk from the root yields the
/// hashes of a name and of all its ancestors.
pub fn hash_label(parent: u64, label: &[u8]) -> u64 {
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let mut hash = parent ^ (label.len() as u64).wrapping_mul(0xa076_1d64_78bd_642f);
    let mut mix = |word: u64| {
        // Setting bit 5 folds case; it also folds a few other pairs, which costs a comparison and nothing else.
        let product = u128::from(hash ^ (word | LOWER)) * 0xe703_7ed1_a0b4_28db;
        hash = (product as u64) ^ (product >> 64) as u64;
    };
    let (words, _) = label.as_chunks::<8>();
    for word in words {
        mix(u64::from_le_bytes(*word));
    }
    mix(last_word(label));
    hash
}

/// The last bytes of a label, all of them when there are fewer than eight; bytes may be taken twice.
fn last_word(label: &[u8]) -> u64 {
    if let Some(&last) = label.last_chunk::<8>() {
        return u64::from_le_bytes(last);
    }
    match (label.first_chunk::<4>(), label.last_chunk::<4>()) {
        (Some(&first), Some(&last)) => {
            u64::from(u32::from_le_bytes(first)) | u64::from(u32::from_le_bytes(last)) << 32
        }
        _ => match *label {
            [] => 0,
            [a] => u64::from(a),
            [a, b] => u64::from(a) | u64::from(b) << 8,
            [a, b, c, ..] => u64::from(a) | u64::from(b) << 8 | u64::from(c) << 16,
        },
    }
}

/// The hash of a whole name.
pub fn hash_name(name: &NameRef) -> u64 {
    let starts = name.label_starts();
    starts.iter().rev().fold(hash_root(), |hash, &start| hash_label(hash, name.suffix(start).first_label()))
}
