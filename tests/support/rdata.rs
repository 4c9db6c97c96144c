//! RDATA of every type at random, field by field, most of it as the type's rules have it.

use rand::RngExt;
use rand::rngs::StdRng;
use tidemark::wire::rdata::{Field, fields};
use tidemark::wire::rtype::Rtype;

/// Types so new that the other servers do not know their names: no bit map and no field names them.
pub const NEWER: [Rtype; 3] = [Rtype::NXNAME, Rtype::CLA, Rtype::IPN];

/// RDATA of one type.
pub fn of_type(rng: &mut StdRng, rtype: Rtype) -> Vec<u8> {
    // An address of digits only.
    if rtype == Rtype::X25 {
        return prefixed((0..rng.random_range(4..12)).map(|_| rng.random_range(b'0'..=b'9')).collect());
    }
    // The third string is a substitution expression, or empty (RFC 3402 3.2).
    if rtype == Rtype::NAPTR {
        let expression = [&b""[..], b"!^.*$!sip:a@b!", b"/(a)(.)/\\2\\1/i"][rng.random_range(0..3)].to_vec();
        let flag = vec![b"SAUP9"[rng.random_range(0..5)]; usize::from(rng.random::<bool>())];
        return [bytes(rng, 4, 4), prefixed(flag), string(rng), prefixed(expression), name(rng)].concat();
    }
    let mut rdata: Vec<u8> = fields(rtype).iter().flat_map(|&part| field(rng, part)).collect();
    if rtype == Rtype::RKEY {
        // No flags are defined.
        rdata[..2].fill(0);
    }
    rdata
}

fn field(rng: &mut StdRng, field: Field) -> Vec<u8> {
    match field {
        Field::CompressibleName | Field::Name | Field::CasedName => name(rng),
        Field::U8 | Field::Algorithm | Field::Scheme => vec![rng.random()],
        Field::U16 | Field::CertType => bytes(rng, 2, 2),
        Field::Type => known(rng).0.to_be_bytes().to_vec(),
        Field::U32 | Field::Seconds | Field::Time | Field::Ipv4 => bytes(rng, 4, 4),
        Field::Nid | Field::U64 => bytes(rng, 8, 8),
        Field::Ipv6 => bytes(rng, 16, 16),
        Field::Eui(length) => bytes(rng, length.into(), length.into()),
        Field::OptString if rng.random() => Vec::new(),
        Field::String | Field::OptString => string(rng),
        Field::Strings => (0..rng.random_range(1..4)).flat_map(|_| string(rng)).collect(),
        Field::Salt => prefixed(bytes(rng, 0, 12)),
        Field::Hash => prefixed(bytes(rng, 20, 20)),
        Field::LongString | Field::OptBase64 | Field::DashBase64 => bytes(rng, 0, 60),
        Field::Hex | Field::Base64 | Field::Nsap | Field::Unknown => bytes(rng, 1, 60),
        Field::Bitmap => bitmap(rng),
        Field::NxtBitmap => {
            let mut bits = bytes(rng, 0, 16);
            bits.first_mut().into_iter().for_each(|first| *first &= 0x7f);
            bits.last_mut().into_iter().for_each(|last| *last |= 1);
            bits
        }
        Field::Loc => loc(rng),
        Field::Apl => (0..rng.random_range(0..4)).flat_map(|_| prefix(rng)).collect(),
        Field::Ipseckey => {
            let [kind, algorithm]: [u8; 2] = [rng.random_range(0..4), rng.random()];
            [vec![kind, algorithm], gateway(rng, kind), bytes(rng, 1, 40)].concat()
        }
        Field::Amtrelay => {
            let kind = rng.random_range(0..4);
            [vec![u8::from(rng.random::<bool>()) << 7 | kind], gateway(rng, kind)].concat()
        }
        Field::Hip => {
            let (hit, key) = (bytes(rng, 1, 32), bytes(rng, 1, 60));
            let head = vec![hit.len() as u8, rng.random(), 0, key.len() as u8];
            let servers: Vec<u8> = (0..rng.random_range(0..3)).flat_map(|_| name(rng)).collect();
            [head, hit, key, servers].concat()
        }
        Field::Wks => {
            let mut bits = bytes(rng, 0, 20);
            bits.last_mut().into_iter().for_each(|last| *last |= 1);
            [vec![rng.random()], bits].concat()
        }
        Field::Atma => match rng.random() {
            true => [vec![0], bytes(rng, 1, 20)].concat(),
            false => std::iter::once(1).chain((0..12).map(|_| rng.random_range(b'0'..=b'9'))).collect(),
        },
        Field::A6 => {
            let prefix: u8 = rng.random_range(0..=128);
            let mut suffix = bytes(rng, 16, 16).split_off(usize::from(prefix / 8));
            suffix.first_mut().into_iter().for_each(|first| *first &= 0xff >> (prefix % 8));
            let prefix_name = if prefix > 0 { name(rng) } else { Vec::new() };
            [vec![prefix], suffix, prefix_name].concat()
        }
        // Made with the field before it.
        Field::EndName => Vec::new(),
        Field::SvcParams => params(rng),
    }
}

fn bytes(rng: &mut StdRng, least: usize, most: usize) -> Vec<u8> {
    (0..rng.random_range(least..=most)).map(|_| rng.random()).collect()
}

fn prefixed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.insert(0, bytes.len() as u8);
    bytes
}

/// Of any bytes, or of letters and digits: some fields take no others.
fn string(rng: &mut StdRng) -> Vec<u8> {
    let text = bytes(rng, 0, 40);
    let plain = rng.random::<bool>();
    prefixed(text.into_iter().map(|byte| if plain { b"aZ9"[usize::from(byte) % 3] } else { byte }).collect())
}

fn name(rng: &mut StdRng) -> Vec<u8> {
    let mut name: Vec<u8> = (0..rng.random_range(0..4)).flat_map(|_| prefixed(bytes(rng, 1, 30))).collect();
    name.push(0);
    name
}

fn known(rng: &mut StdRng) -> Rtype {
    let types: Vec<Rtype> =
        Rtype::named().filter(|rtype| !rtype.is_meta() && !NEWER.contains(rtype)).collect();
    types[rng.random_range(0..types.len())]
}

/// Some types as windows of bits (RFC 4034 4.1.2).
fn bitmap(rng: &mut StdRng) -> Vec<u8> {
    let mut windows = std::collections::BTreeMap::<u8, Vec<u8>>::new();
    for _ in 0..rng.random_range(1..9) {
        let rtype = if rng.random() { known(rng) } else { Rtype(rng.random_range(1_000..=u16::MAX)) };
        let [window, low] = rtype.0.to_be_bytes();
        let bits = windows.entry(window).or_default();
        bits.resize(bits.len().max(usize::from(low / 8) + 1), 0);
        bits[usize::from(low / 8)] |= 0x80 >> (low % 8);
    }
    windows.into_iter().flat_map(|(window, bits)| [vec![window], prefixed(bits)].concat()).collect()
}

fn loc(rng: &mut StdRng) -> Vec<u8> {
    let mut size = || rng.random_range(1..10_u8) << 4 | rng.random_range(0..10);
    let mut wire = vec![0, size(), size(), size()];
    let latitude = (1_u32 << 31) - 324_000_000 + rng.random_range(0..=648_000_000);
    let longitude = (1_u32 << 31) - 648_000_000 + rng.random_range(0..=1_296_000_000);
    let altitude: u32 = rng.random();
    [latitude, longitude, altitude].iter().for_each(|number| wire.extend(number.to_be_bytes()));
    wire
}

fn prefix(rng: &mut StdRng) -> Vec<u8> {
    let (family, whole) = if rng.random() { (1, 4) } else { (2, 16) };
    let mut address = bytes(rng, 0, whole);
    address.last_mut().into_iter().for_each(|last| *last |= 1);
    let negated = u8::from(rng.random::<bool>()) << 7;
    let length = address.len() as u8;
    [vec![0, family, length * 8, negated | length], address].concat()
}

fn gateway(rng: &mut StdRng, kind: u8) -> Vec<u8> {
    match kind {
        1 => bytes(rng, 4, 4),
        2 => bytes(rng, 16, 16),
        3 => name(rng),
        _ => Vec::new(),
    }
}

/// Parameters of SVCB (RFC 9460), with `mandatory` among them at times.
fn params(rng: &mut StdRng) -> Vec<u8> {
    let mut params = Vec::<(u16, Vec<u8>)>::new();
    let mut give = |key, value: Vec<u8>, now: bool| {
        if now {
            params.push((key, value));
        }
    };
    let alpn = (0..2).flat_map(|_| prefixed(bytes(rng, 1, 9))).collect();
    let [has_alpn, no_default, port, four, six, ech, own] = rng.random::<[bool; 7]>();
    give(0, vec![0, 3], port);
    give(1, alpn, has_alpn);
    give(2, Vec::new(), has_alpn && no_default);
    give(3, bytes(rng, 2, 2), port);
    give(4, bytes(rng, 8, 8), four);
    give(5, bytes(rng, 1, 20), ech);
    give(6, bytes(rng, 16, 16), six);
    give(rng.random_range(100..65_000), bytes(rng, 0, 20), own);
    params
        .into_iter()
        .flat_map(|(key, value)| {
            [&key.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), &value].concat()
        })
        .collect()
}
