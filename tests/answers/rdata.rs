//! RDATA of many types in presentation form, drawn at random.

use rand::RngExt;
use rand::rngs::StdRng;

use super::name::Name;

/// What a type's data looks like.
type Draw = fn(&mut StdRng, &Name) -> String;

/// Types that any owner may have any number of, and their data, given a name to point to.
pub const PLAIN: &[(&str, Draw)] = &[
    ("A", |random, _| format!("192.0.2.{}", random.random::<u8>())),
    ("AAAA", |random, _| format!("2001:db8::{:x}", random.random::<u16>())),
    ("MX", |random, to| format!("{} {}", random.random_range(0..3), to.text())),
    ("TXT", |random, _| format!("\"text {}\" \"\"", random.random::<u8>())),
    ("PTR", |_, to| to.text()),
    ("SRV", |random, to| format!("{} 0 {} {}", random.random_range(0..3), random.random::<u8>(), to.text())),
    ("NAPTR", |random, to| format!("{} 1 \"s\" \"SIP+D2U\" \"\" {}", random.random::<u8>(), to.text())),
    ("SVCB", |random, to| {
        format!("{} {} alpn=h2 port={}", random.random_range(1..4), to.text(), random.random::<u8>())
    }),
    ("HTTPS", |random, to| match random.random_range(0..3) {
        0 => format!("0 {}", to.text()),
        priority => format!("{priority} {} ipv4hint=192.0.2.9", to.text()),
    }),
    ("CAA", |random, _| format!("0 issue \"ca{}.example\"", random.random::<u8>())),
    ("TLSA", |random, _| format!("3 1 1 {:064x}", random.random::<u128>())),
    ("SSHFP", |random, _| format!("4 2 {:064x}", random.random::<u128>())),
    ("LOC", |random, _| format!("52 {} 0.000 N 4 53 0.000 E 1m 1m 1m 1m", random.random_range(0..60))),
    ("HINFO", |random, _| format!("\"cpu {}\" \"os\"", random.random::<u8>())),
    ("RP", |random, to| format!("h{}.example. {}", random.random::<u8>(), to.text())),
    ("AFSDB", |random, to| format!("{} {}", random.random_range(1..3), to.text())),
    ("RT", |random, to| format!("{} {}", random.random::<u8>(), to.text())),
    ("KX", |random, to| format!("{} {}", random.random::<u8>(), to.text())),
    ("MINFO", |random, to| format!("h{}.example. {}", random.random::<u8>(), to.text())),
    ("URI", |random, _| format!("1 {} \"https://example/\"", random.random::<u8>())),
    ("EUI48", |random, _| format!("00-00-5e-00-53-{:02x}", random.random::<u8>())),
    ("CDS", |random, _| format!("{} 13 2 {:064x}", random.random::<u16>(), random.random::<u128>())),
    ("OPENPGPKEY", |_, _| "AQIDBAUGBwgJ".to_owned()),
    ("TYPE65280", |random, _| format!("\\# 3 c00c{:02x}", random.random::<u8>())),
];

/// A DS record's data.
pub fn ds(random: &mut StdRng) -> String {
    format!("{} 13 2 {:064x}", random.random::<u16>(), random.random::<u128>())
}
