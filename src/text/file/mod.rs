//! Master files (RFC 1035 section 5, with RFC 2308 `$TTL`, BIND's `$GENERATE`, RFC 3597 unknown types): one pass over
//! the bytes in [`read`], which reports every record to a closure and every fault as a [`diagnostic`].
//!
//! What BIND 9.18, Knot 3.2 and NSD 4.6 all accept is accepted here, and what all refuse is refused. Where they differ, the
//! RFC decides. `tests/peer_zone_files.rs` holds all four against a corpus, and `tests/corpus/zones/differences` names every
//! file on which they differ, with the reason; these are the rules (the letters: accepted by B, K, N):
//!
//! | of the file | by | here |
//! |---|---|---|
//! | a line's end within quotes | KN | accepted, warned of: "text literals can contain CRLF within the text" (RFC 1035 5.1) |
//! | CRLF at the end of lines | BN | accepted |
//! | a CR alone, a NUL outside quotes | BN, N | refused: neither is a line's end, nor text |
//! | bytes above 127, control characters in quotes | BN | accepted: "any character can occur" (RFC 1035 5.1) |
//! | parentheses inside each other | B | accepted, up to 16 deep |
//! | relative names in `$ORIGIN` and `$INCLUDE` | B | accepted (RFC 1035 5.1) |
//! | blank owner first in an included file | BN | the owner before (RFC 1035 5.1) |
//! | blank owner first in the file, no TTL before the first record | N, KN | refused: there is nothing to take over |
//! | a TTL of more than 31 bits | BKN | 0, warned of (RFC 2181 8); more than 32 bits: refused |
//! | `1h30`, `h` | N | refused as a slip |
//! | strings of more than 255 bytes | K | refused (RFC 1035 3.3) |
//! | `\25`, `\256` | N, KN | refused: three digits up to 255 (RFC 1035 5.1) |
//! | `$GENERATE` | B | accepted, with limits |
//! | any bytes in a label, host names or not | KN | accepted (RFC 2181 11) |
//!
//! | of records | by | here |
//! |---|---|---|
//! | numbers that do not fit | N | refused |
//! | data in `\#` that is not in the format of its type | some | refused (RFC 3597 5) |
//! | `CLASS1` | BN | class IN (RFC 3597 5) |
//! | digests and hashes of a wrong length | KN, N | refused (RFC 4509, 4255, 6594, 8976, 5155) |
//! | names for the flags of DNSKEY, or for the digest type of DS | B | refused: numbers (RFC 4034 2.2, 5.3) |
//! | a URI without quotes | KN | refused (RFC 7553 4.4) |
//! | SVCB keys in upper case | B | refused (RFC 9460 2.1) |
//! | SVCB keys that do not hold together, zeros before a key's number | KN | refused (RFC 9460 2.1, 7.1.1) |
//! | the value of a known SVCB key under its number | BK | accepted as wire form (RFC 9460 2.1) |
//! | MD and MF | N | refused (RFC 1035 3.3.4, 3.3.5) |
//! | type 0, types of questions | K, KN | refused (RFC 6895 3.1) |
//! | a NAPTR whose expression is broken | KN | accepted: for clients to judge |
//!
//! | of the zone | by | here |
//! |---|---|---|
//! | no NS at the apex | N | refused (RFC 1034 4.2.1) |
//! | a second SOA, a SOA below the apex | K | refused (RFC 1035 5.2) |
//! | records outside the zone | BK | left out, warned of |
//! | an RRset or record larger than a message | KN | accepted, warned of: it can never be answered |
//! | several TTLs in an RRset | BKN | the lowest (RFC 2181 5.2); for BIND the first, for NSD each its own |
//! | data below a DNAME, a DNAME beside the NS of a cut | B, BN | accepted, warned of: occluded (RFC 6672 2.3, 2.4) |
//! | DS at the apex, NS at a wildcard | KN | accepted, warned of |
//! | NS that lead to an alias, or have no address | N | accepted, warned of |
//!
//! One rule stands above agreement: a file to include that is no regular file (`/dev/null`) is not opened, because reading
//! a pipe or a device may never end.

pub mod diagnostic;
pub mod generate;
pub mod head;
pub mod read;
pub mod suggest;
