use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::text::rdata::read;
use crate::wire::name::Name;

fn text(rtype: Rtype, rdata: &[u8]) -> String {
    let mut text = String::new();
    write(rtype, rdata, &mut text);
    text
}

/// Every type with a layout of its own: text as a person may write it, and the canonical text it becomes.
const RECORDS: &[(&str, &str, &str)] = &[
    ("A", "192.0.2.1", "192.0.2.1"),
    ("A", "\\# 4 C0 00 0201", "192.0.2.1"),
    ("AAAA", "2001:DB8:0:0::1", "2001:db8::1"),
    ("NS", "ns", "ns.x."),
    ("SOA", "ns host\\.master 1 2h 30m 1w 0", "ns.x. host\\.master.x. 1 7200 1800 604800 0"),
    ("MX", "10 @", "10 x."),
    ("MINFO", "a b.", "a.x. b."),
    ("WKS", "192.0.2.1 tcp 1023 smtp domain", "192.0.2.1 6 25 53 1023"),
    (
        "WKS",
        "192.0.2.1 tcp ldap NFS imap2 imaps kerberos submission x11",
        "192.0.2.1 6 88 143 389 587 993 2049 6000",
    ),
    ("HINFO", "a \"b c\"", "\"a\" \"b c\""),
    ("TXT", "a \"b;c\" \"\\\"\\\\\" \\200\\009\\; \"\"", "\"a\" \"b;c\" \"\\\"\\\\\" \"\\200\\009;\" \"\""),
    ("RP", "a b", "a.x. b.x."),
    ("TALINK", "a .", "a.x. ."),
    ("AFSDB", "1 a", "1 a.x."),
    ("X25", "311061700956", "\"311061700956\""),
    ("ISDN", "150862028003217", "\"150862028003217\""),
    ("ISDN", "150862028003217 004", "\"150862028003217\" \"004\""),
    ("NSAP", "0x47.0005.80.005a00", "0x47000580005A00"),
    ("NSAP-PTR", "a", "a.x."),
    ("PX", "1 a b", "1 a.x. b.x."),
    ("GPOS", "-32.6882 116.8652 10.0", "\"-32.6882\" \"116.8652\" \"10.0\""),
    (
        "LOC",
        "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
        "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
    ),
    ("LOC", "42 N 71 6 18.5 W 10.5 0.05m", "42 0 0.000 N 71 6 18.500 W 10.50m 0.05m 10000m 10m"),
    ("SRV", "1 2 3 .", "1 2 3 ."),
    ("NAPTR", "100 50 u E2U+sip \"!^.*$!sip:a@b!\" .", "100 50 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" ."),
    ("CERT", "PKIX 1 8 AQIDBAUG", "PKIX 1 RSASHA256 AQIDBAUG"),
    ("CERT", "65534 1 99 AQ==", "65534 1 99 AQ=="),
    ("CERT", "IPGP 1 RSASHA1-NSEC3-SHA1 AQ==", "IPGP 1 7 AQ=="),
    ("DNAME", "a", "a.x."),
    ("APL", "1:192.168.32.0/21 !2:ff00::/8 1:0.0.0.0/0", "1:192.168.32.0/21 !2:ff00::/8 1:0.0.0.0/0"),
    ("APL", "", "\\# 0"),
    ("DS", "21707 RSASHA256 99 6d92 DD0d", "21707 8 99 6D92DD0D"),
    ("DS", "\\# 6 54CB080100FF", "\\# 6 54CB080100FF"),
    ("SSHFP", "1 9 dd465c", "1 9 DD465C"),
    ("IPSECKEY", "10 0 2 . AQ==", "10 0 2 . AQ=="),
    ("IPSECKEY", "10 1 0 192.0.2.38", "10 1 0 192.0.2.38"),
    ("IPSECKEY", "10 2 2 2001:db8::1 AQ==", "10 2 2 2001:db8::1 AQ=="),
    ("IPSECKEY", "10 3 2 gw AQ==", "10 3 2 gw.x. AQ=="),
    (
        "RRSIG",
        "MX ED25519 2 3600 20301231235959 1514764800 1 x. AQID BAUG",
        "MX 15 2 3600 20301231235959 20180101000000 1 x. AQIDBAUG",
    ),
    ("NSEC", "\\000.a CAA A TYPE1234 NSEC", "\\000.a.x. A NSEC CAA TYPE1234"),
    ("DNSKEY", "256 3 RSASHA256 AwEA AaDJ", "256 3 8 AwEAAaDJ"),
    ("KEY", "49152 3 0", "\\# 4 C0000300"),
    ("CDNSKEY", "0 3 0 AA==", "0 3 0 AA=="),
    ("CDS", "0 0 0 00", "0 0 0 00"),
    ("CDS", "0 0 0 0", "0 0 0 00"),
    ("CDNSKEY", "0 3 0 0", "0 3 0 AA=="),
    ("ZONEMD", "2018031500 240 241 febefebefebefebefebefebe", "2018031500 240 241 FEBEFEBEFEBEFEBEFEBEFEBE"),
    ("DHCID", "AAIBY2/A", "AAIBY2/A"),
    (
        "NSEC3",
        "1 1 12 AABB 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG",
        "1 1 12 AABB 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S A RRSIG",
    ),
    ("NSEC3", "2 0 0 - 00", "2 0 0 - 00"),
    ("NSEC3PARAM", "1 0 0 -", "1 0 0 -"),
    ("TLSA", "3 1 1 d2ab de24", "3 1 1 D2ABDE24"),
    ("HIP", "2 2001 AwEA rvs1 rvs2.", "2 2001 AwEA rvs1.x. rvs2."),
    ("OPENPGPKEY", "AQIDBA==", "AQIDBA=="),
    ("CSYNC", "66 3 AAAA A", "66 3 A AAAA"),
    ("ZONEMD", "2018031500 1 9 febefebefebefebefebefebe", "2018031500 1 9 FEBEFEBEFEBEFEBEFEBEFEBE"),
    ("SVCB", "0 t", "0 t.x."),
    (
        "SVCB",
        "16 . port=53 mandatory=port,alpn alpn=h2,h3",
        "16 . mandatory=alpn,port alpn=\"h2,h3\" port=53",
    ),
    ("SVCB", "1 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\"", "1 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\""),
    (
        "HTTPS",
        "1 . key667=\"hello\\210q\" no-default-alpn alpn=h2 ech=AQID ipv6hint=::1,::2 ipv4hint=192.0.2.1 dohpath=/q{?dns} ohttp key99",
        "1 . alpn=\"h2\" no-default-alpn ipv4hint=192.0.2.1 ech=AQID ipv6hint=::1,::2 dohpath=\"/q{?dns}\" ohttp key99 key667=\"hello\\210q\"",
    ),
    (
        "SVCB",
        "1 . tls-supported-groups=29,23 docpath=n,s pvd oots=do53:100,dot:10",
        "1 . key9=\"\\000\\029\\000\\023\" key10=\"\\001n\\001s\" key11 key12=\"\\004do53d\\003dot\\010\"",
    ),
    ("SVCB", "1 . docpath", "1 . key10"),
    ("SVCB", "1 . docpath=\"a\\\\,b,\\\\\\\\\"", "1 . key10=\"\\003a,b\\001\\\\\""),
    ("SVCB", "1 . key3=\\0005 key65535", "1 . port=53 key65535"),
    ("NID", "10 0014:4fff:ff20:ee64", "10 0014:4fff:ff20:ee64"),
    ("L32", "10 10.1.2.0", "10 10.1.2.0"),
    ("LP", "10 l", "10 l.x."),
    ("EUI48", "00-00-5e-00-53-2A", "00-00-5e-00-53-2a"),
    ("EUI64", "00-00-5e-ef-10-00-00-2a", "00-00-5e-ef-10-00-00-2a"),
    ("URI", "10 1 \"ftp://a/b\"", "10 1 \"ftp://a/b\""),
    ("CAA", "0 issue \"ca.example; account=1\"", "0 issue \"ca.example; account=1\""),
    ("NXT", "a A MX TYPE127 2", "a.x. A NS MX TYPE127"),
    ("NXT", "a", "a.x."),
    ("EID", "e32c 6f78", "E32C6F78"),
    ("NIMLOC", "32251a030067", "32251A030067"),
    ("ATMA", "+61.200000000", "+61200000000"),
    ("ATMA", "39.246f.000e7c9c0312000100010000", "39246F000E7C9C0312000100010000"),
    ("A6", "0 2001:db8::1", "0 2001:db8::1"),
    ("A6", "65 2001:db8::ffff:0:0:1 a", "65 ::7fff:0:0:1 a.x."),
    ("A6", "128 a", "128 a.x."),
    ("SINK", "8 0 2 l4ik", "8 0 2 l4ik"),
    ("SINK", "8 0 2", "8 0 2"),
    ("NINFO", "a \"b c\"", "\"a\" \"b c\""),
    ("RKEY", "0 255 1 AQMF", "0 255 1 AQMF"),
    ("DSYNC", "CDS notify 5359 a", "CDS NOTIFY 5359 a.x."),
    ("DSYNC", "TYPE1 129 0 a.", "A 129 0 a."),
    ("HHIT", "AQID BA==", "AQIDBA=="),
    ("BRID", "AQIDBA==", "AQIDBA=="),
    ("DOA", "1234567890 1 2 \"image/gif\" R0lG ODlh", "1234567890 1 2 \"image/gif\" R0lGODlh"),
    ("DOA", "0 1 2 \"\" -", "0 1 2 \"\" -"),
    ("AMTRELAY", "10 0 0 .", "10 0 0 ."),
    ("AMTRELAY", "10 1 1 203.0.113.15", "10 1 1 203.0.113.15"),
    ("AMTRELAY", "10 0 2 2001:db8::15", "10 0 2 2001:db8::15"),
    ("AMTRELAY", "128 1 3 relay", "128 1 3 relay.x."),
    ("RESINFO", "qnamemin exterr=15-17", "\"qnamemin\" \"exterr=15-17\""),
    ("WALLET", "ETH 0x1234", "\"ETH\" \"0x1234\""),
    ("CLA", "TCP-v4-v6", "\"TCP-v4-v6\""),
    ("IPN", "18446744073709551615", "18446744073709551615"),
    ("IPN", "1.2", "4294967298"),
    ("TA", "21707 8 99 6d92", "21707 8 99 6D92"),
    ("UINFO", "\\# 1 00", "\\# 1 00"),
    ("TYPE65280", "\\# 4 01 0203 04", "\\# 4 01020304"),
    ("NULL", "\\# 0", "\\# 0"),
];

#[test]
fn every_type_becomes_canonical_text() {
    let origin: Name = "x.".parse().unwrap();
    for &(rtype, written, canonical) in RECORDS {
        let rtype: Rtype = rtype.parse().unwrap();
        let rdata = match read::parse(rtype, written, Some(&origin)) {
            Ok(rdata) => rdata,
            Err(fault) => panic!("{rtype} {written}: {fault:?}"),
        };
        assert_eq!(layout::check(rtype, &rdata), Ok(()), "{rtype} {written}");
        assert_eq!(text(rtype, &rdata), canonical, "{rtype}");
        assert_eq!(read::parse(rtype, canonical, None).as_ref(), Ok(&rdata), "{rtype} {canonical}");
    }
}

/// Bytes that fit a field, mostly.
fn field(field: Field) -> BoxedStrategy<Vec<u8>> {
    let bytes = |length: std::ops::RangeInclusive<usize>| vec(any::<u8>(), length).boxed();
    let prefixed = |length: std::ops::RangeInclusive<usize>| {
        vec(any::<u8>(), length).prop_map(|mut bytes| {
            bytes.insert(0, bytes.len() as u8);
            bytes
        })
    };
    let name = || {
        vec(vec(any::<u8>(), 1..=20), 0..=3).prop_map(|labels| {
            let mut wire: Vec<u8> =
                labels.iter().flat_map(|label| [&[label.len() as u8], &label[..]].concat()).collect();
            wire.push(0);
            wire
        })
    };
    match field {
        Field::CompressibleName | Field::Name | Field::CasedName => name().boxed(),
        // Behind an A6 of any prefix, see there.
        Field::EndName => bytes(0..=0),
        Field::A6 => (0_u8..=128, vec(any::<u8>(), 16), name())
            .prop_map(|(prefix, mut suffix, name)| {
                suffix.drain(..usize::from(prefix / 8));
                let name = if prefix > 0 { &name[..] } else { &[] };
                [&[prefix], &suffix[..], name].concat()
            })
            .boxed(),
        Field::Amtrelay => prop_oneof![
            bytes(0..=0).prop_map(|relay| (0_u8, relay)),
            bytes(4..=4).prop_map(|relay| (1, relay)),
            bytes(16..=16).prop_map(|relay| (2, relay)),
            name().prop_map(|relay| (3, relay)),
            bytes(0..=9).prop_map(|relay| (4, relay)),
        ]
        .prop_flat_map(|(kind, relay)| {
            (0_u8..=1).prop_map(move |discovery| [&[discovery << 7 | kind], &relay[..]].concat())
        })
        .boxed(),
        Field::Atma => (0_u8..=2, vec(b'0'..=b'9', 0..=15))
            .prop_map(|(format, digits)| [&[format], &digits[..]].concat())
            .boxed(),
        Field::U64 => bytes(8..=8),
        Field::NxtBitmap => bytes(0..=17),
        Field::U8 | Field::Algorithm | Field::Scheme => bytes(1..=1),
        Field::U16 | Field::Type | Field::CertType => bytes(2..=2),
        Field::U32 | Field::Seconds | Field::Time | Field::Ipv4 => bytes(4..=4),
        Field::Nid => bytes(8..=8),
        Field::Ipv6 => bytes(16..=16),
        Field::Eui(length) => bytes(length.into()..=length.into()),
        // Only some of all versions, sizes and angles have text.
        Field::Loc => (vec(0_u8..10, 6), any::<[u32; 3]>())
            .prop_map(|(digits, [latitude, longitude, altitude])| {
                let mut wire = vec![0];
                wire.extend(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
                wire.extend(((1_u32 << 31) - 324_000_000 + latitude % 648_000_001).to_be_bytes());
                wire.extend(((1_u32 << 31) - 648_000_000 + longitude % 1_296_000_001).to_be_bytes());
                wire.extend(altitude.to_be_bytes());
                wire
            })
            .boxed(),
        Field::OptString => prop_oneof![bytes(0..=0), prefixed(0..=20).boxed()].boxed(),
        Field::String | Field::Salt => prefixed(0..=255).boxed(),
        Field::Hash => prefixed(1..=255).boxed(),
        Field::Strings => vec(prefixed(0..=40), 1..=3).prop_map(|all| all.concat()).boxed(),
        // The protocol always stands before the bitmap (RFC 1035 3.4.2).
        Field::Wks => bytes(1..=300),
        Field::LongString | Field::Hex | Field::Base64 | Field::Nsap | Field::Unknown => bytes(0..=300),
        Field::OptBase64 | Field::DashBase64 => bytes(0..=40),
        Field::Bitmap => {
            proptest::collection::btree_map(any::<u8>(), (vec(any::<u8>(), 0..=31), 1_u8..), 0..=3)
                .prop_map(|windows| {
                    let window = |(window, (mut bits, last)): (u8, (Vec<u8>, u8))| {
                        bits.push(last);
                        [&[window, bits.len() as u8], &bits[..]].concat()
                    };
                    windows.into_iter().flat_map(window).collect()
                })
                .boxed()
        }
        Field::Apl => vec((1_u8..=3, 0_u8..=32, any::<bool>(), vec(any::<u8>(), 0..=4)), 0..=3)
            .prop_map(|items| {
                let item = |(family, prefix, negated, address): (u8, u8, bool, Vec<u8>)| {
                    let length = address.len() as u8 | if negated { 0x80 } else { 0 };
                    [&[0, family, prefix, length], &address[..]].concat()
                };
                items.into_iter().flat_map(item).collect()
            })
            .boxed(),
        Field::Ipseckey => prop_oneof![
            bytes(0..=0).prop_map(|gateway| (0, gateway)),
            bytes(4..=4).prop_map(|gateway| (1, gateway)),
            bytes(16..=16).prop_map(|gateway| (2, gateway)),
            name().prop_map(|gateway| (3, gateway)),
        ]
        .prop_flat_map(move |(kind, gateway)| {
            (any::<u8>(), vec(any::<u8>(), 0..=40))
                .prop_map(move |(algorithm, key)| [&[kind, algorithm], &gateway[..], &key[..]].concat())
        })
        .boxed(),
        Field::Hip => (vec(any::<u8>(), 0..=32), vec(any::<u8>(), 0..=300), any::<u8>(), vec(name(), 0..=2))
            .prop_map(|(hit, key, algorithm, servers)| {
                let [high, low] = (key.len() as u16).to_be_bytes();
                [&[hit.len() as u8, algorithm, high, low], &hit[..], &key[..], &servers.concat()[..]].concat()
            })
            .boxed(),
        Field::SvcParams => {
            let value = prop_oneof![
                bytes(0..=20),
                bytes(2..=2),
                bytes(4..=4),
                bytes(16..=16),
                prefixed(1..=9).boxed()
            ];
            proptest::collection::btree_map(prop_oneof![0_u16..12, any::<u16>()], value, 0..=4)
                .prop_map(|params| {
                    let param = |(key, value): (u16, Vec<u8>)| {
                        [&key.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), &value].concat()
                    };
                    params.into_iter().flat_map(param).collect()
                })
                .boxed()
        }
    }
}

fn rtypes() -> impl Strategy<Value = Rtype> {
    proptest::sample::select(Rtype::named().chain([Rtype(65280)]).collect::<Vec<_>>())
}

fn rdata() -> impl Strategy<Value = (Rtype, Vec<u8>)> {
    rtypes().prop_flat_map(|rtype| {
        let fields: Vec<_> = layout::fields(rtype).iter().map(|&part| field(part)).collect();
        fields.prop_map(move |parts| (rtype, parts.concat()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_written_reads_back((rtype, rdata) in rdata()) {
        prop_assert_eq!(layout::check(rtype, &rdata), Ok(()));
        let text = text(rtype, &rdata);
        prop_assert_eq!(read::parse(rtype, &text, None), Ok(rdata), "{} {}", rtype, text);
    }

    #[test]
    fn text_with_a_slip_is_read_or_refused(
        record in proptest::sample::select(RECORDS),
        (at, taken, given) in (any::<proptest::sample::Index>(), 0_usize..4, "[ -~\\x00\\n\\xff]{0,4}"),
    ) {
        let (rtype, written, _) = record;
        let rtype: Rtype = rtype.parse().unwrap();
        let start = at.index(written.len() + 1);
        let tail = written.get(start + taken..).unwrap_or_default();
        let slip = format!("{}{given}{tail}", &written[..start]);
        if let Ok(rdata) = read::parse(rtype, &slip, Some(NameRef::ROOT)) {
            prop_assert_eq!(layout::check(rtype, &rdata), Ok(()));
            prop_assert_eq!(read::parse(rtype, &text(rtype, &rdata), None), Ok(rdata), "{} {}", rtype, slip);
        }
    }

    #[test]
    fn any_bytes_are_written_and_read_back(rtype in rtypes(), rdata in vec(any::<u8>(), 0..60)) {
        let text = text(rtype, &rdata);
        let read = read::parse(rtype, &text, None);
        match layout::check(rtype, &rdata) {
            Ok(()) => prop_assert_eq!(read, Ok(rdata)),
            Err(_) => prop_assert!(read.is_err() && text.starts_with("\\# ")),
        }
    }
}
