//! What the RFC of a type demands of its data beyond the layout, where zone files are read and written. Bytes from
//! elsewhere (transfers, the notation of RFC 3597) are not held to it: they are another server's, and are served as they are.

use crate::wire::rtype::Rtype;

/// Whether what stands before the last field is that of the records which ask a parent to delete its DS records: `CDS 0 0 0 0` and
/// `CDNSKEY 0 3 0 0` (RFC 8078 section 4; the last 0 stands for a byte of it).
pub fn is_deletion(rtype: Rtype, before: &[u8]) -> bool {
    match rtype {
        Rtype::CDS => before == [0; 4],
        Rtype::CDNSKEY => before == [0, 0, 3, 0],
        _ => false,
    }
}

/// Whether the data is what the type's RFC says; the error names what was expected. The layout must have been checked.
pub fn check(rtype: Rtype, rdata: &[u8]) -> Result<(), &'static str> {
    match (rtype, rdata) {
        (Rtype::DS | Rtype::CDS | Rtype::DLV | Rtype::TA, [_, _, _, kind, digest @ ..]) => {
            match (kind, digest.len()) {
                (1, 20) | (2 | 3 | 5 | 6, 32) | (4, 48) => Ok(()),
                (1, _) => Err("a SHA-1 digest of 40 digits (RFC 3658 2.4)"),
                (2, _) => Err("a SHA-256 digest of 64 digits (RFC 4509 2.2)"),
                (4, _) => Err("a SHA-384 digest of 96 digits (RFC 6605 2)"),
                (3 | 5 | 6, _) => Err("a digest of 64 digits"),
                _ => Ok(()),
            }
        }
        (Rtype::SSHFP, [_, kind, fingerprint @ ..]) => match (kind, fingerprint.len()) {
            (1, 20) | (2, 32) => Ok(()),
            (1, _) => Err("a SHA-1 fingerprint of 40 digits (RFC 4255 3.1.3)"),
            (2, _) => Err("a SHA-256 fingerprint of 64 digits (RFC 6594 4)"),
            _ => Ok(()),
        },
        (Rtype::ZONEMD, [_, _, _, _, _, kind, digest @ ..]) => match (kind, digest.len()) {
            (1, 48) | (2, 64) => Ok(()),
            (1, _) => Err("a SHA-384 digest of 96 digits (RFC 8976 2.2.4)"),
            (2, _) => Err("a SHA-512 digest of 128 digits (RFC 8976 2.2.4)"),
            (_, 12..) => Ok(()),
            _ => Err("a digest of at least 24 digits (RFC 8976 2.2.4)"),
        },
        (Rtype::NSEC3, [1, _, _, _, salt, rest @ ..]) => match rest.get(usize::from(*salt)) {
            Some(20) => Ok(()),
            _ => Err("a hash of 20 bytes, 32 digits, for algorithm 1 (RFC 5155 11)"),
        },
        (Rtype::X25, [_, digits @ ..]) => {
            let good = digits.len() >= 4 && digits.iter().all(u8::is_ascii_digit);
            if good { Ok(()) } else { Err("a PSDN address of four digits at least (RFC 1183 3.1)") }
        }
        _ => Ok(()),
    }
}
