//! Numbers that zone files may call by name: DNSSEC algorithms, certificate types, protocols and services, types.

use crate::wire::rtype::Rtype;

/// A DNSSEC algorithm (IANA's mnemonics, and the older ones of BIND) or its number.
pub fn algorithm(text: &[u8]) -> Option<u8> {
    number(text).or_else(|| named(ALGORITHMS, text))
}

/// A certificate type (RFC 4398 2.1) or its number.
pub fn cert_type(text: &[u8]) -> Option<u16> {
    number(text).or_else(|| named(CERT_TYPES, text))
}

/// The name of a certificate type.
pub fn cert_type_name(cert_type: u16) -> Option<&'static str> {
    CERT_TYPES.iter().find(|(value, _)| *value == cert_type).map(|(_, name)| *name)
}

/// The name of an algorithm; none for those with two names, of which each server only reads its own.
pub fn algorithm_name(algorithm: u8) -> Option<&'static str> {
    let mut names = ALGORITHMS.iter().filter(|(value, _)| *value == algorithm).map(|(_, name)| *name);
    names.next().filter(|_| names.next().is_none())
}

/// A scheme of DSYNC (RFC 9859 2.1 and 7.2) or its number.
pub fn scheme(text: &[u8]) -> Option<u8> {
    number(text).or_else(|| named(SCHEMES, text))
}

/// The name of a scheme.
pub fn scheme_name(scheme: u8) -> Option<&'static str> {
    SCHEMES.iter().find(|(value, _)| *value == scheme).map(|(_, name)| *name)
}

/// An IP protocol of WKS or its number.
pub fn protocol(text: &[u8]) -> Option<u8> {
    number(text).or_else(|| named(PROTOCOLS, text))
}

/// A service of WKS or its port number.
pub fn service(text: &[u8]) -> Option<u16> {
    number(text).or_else(|| named(SERVICES, text))
}

/// A number of 64 bits, whole or as two halves of 32 with a dot between.
pub fn long_number(text: &[u8]) -> Option<u64> {
    if let Some(dot) = text.iter().position(|&byte| byte == b'.') {
        let half = |text| number::<u32>(text).map(u64::from);
        return Some(half(&text[..dot])? << 32 | half(&text[dot + 1..])?);
    }
    // `parse` would take a sign too.
    text.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

/// A record type by its mnemonic or as `TYPE123`, in any case.
pub fn rtype(text: &[u8]) -> Option<Rtype> {
    // Nearly all records of large zones are of these, and the general way compares with every type's name.
    match text {
        b"NS" => Some(Rtype::NS),
        b"A" => Some(Rtype::A),
        b"AAAA" => Some(Rtype::AAAA),
        b"DS" => Some(Rtype::DS),
        b"RRSIG" => Some(Rtype::RRSIG),
        b"NSEC" => Some(Rtype::NSEC),
        b"NSEC3" => Some(Rtype::NSEC3),
        b"MX" => Some(Rtype::MX),
        b"TXT" => Some(Rtype::TXT),
        b"CNAME" => Some(Rtype::CNAME),
        _ => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

/// A decimal number, digits only.
pub fn number<T: TryFrom<u32>>(text: &[u8]) -> Option<T> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    let mut value = 0_u32;
    for &byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u32::from(byte - b'0'))?;
    }
    T::try_from(value).ok()
}

fn named<T: Copy>(names: &[(T, &str)], text: &[u8]) -> Option<T> {
    names.iter().find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(text)).map(|(value, _)| *value)
}

const ALGORITHMS: &[(u8, &str)] = &[
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DSA"),
    (5, "RSASHA1"),
    (6, "DSA-NSEC3-SHA1"),
    (6, "NSEC3DSA"),
    (7, "RSASHA1-NSEC3-SHA1"),
    (7, "NSEC3RSASHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECC-GOST"),
    (12, "ECCGOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (252, "INDIRECT"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
];

const CERT_TYPES: &[(u16, &str)] = &[
    (1, "PKIX"),
    (2, "SPKI"),
    (3, "PGP"),
    (4, "IPKIX"),
    (5, "ISPKI"),
    (6, "IPGP"),
    (7, "ACPKIX"),
    (8, "IACPKIX"),
    (253, "URI"),
    (254, "OID"),
];

const SCHEMES: &[(u8, &str)] = &[(1, "NOTIFY")];

const PROTOCOLS: &[(u8, &str)] = &[(1, "ICMP"), (6, "TCP"), (17, "UDP")];

/// Services that WKS records name: the common ones of the IANA registry for TCP and UDP, and those of old hosts. Any other can be written
/// as its port.
const SERVICES: &[(u16, &str)] = &[
    (1, "tcpmux"),
    (5, "rje"),
    (7, "echo"),
    (9, "discard"),
    (11, "systat"),
    (13, "daytime"),
    (15, "netstat"),
    (17, "qotd"),
    (19, "chargen"),
    (20, "ftp-data"),
    (21, "ftp"),
    (22, "ssh"),
    (23, "telnet"),
    (25, "smtp"),
    (37, "time"),
    (43, "whois"),
    (43, "nicname"),
    (49, "tacacs"),
    (53, "domain"),
    (63, "whoispp"),
    (67, "bootps"),
    (68, "bootpc"),
    (69, "tftp"),
    (70, "gopher"),
    (79, "finger"),
    (80, "http"),
    (88, "kerberos"),
    (95, "supdup"),
    (101, "hostnames"),
    (102, "iso-tsap"),
    (105, "csnet-ns"),
    (107, "rtelnet"),
    (109, "pop2"),
    (110, "pop3"),
    (111, "sunrpc"),
    (113, "auth"),
    (115, "sftp"),
    (117, "uucp-path"),
    (119, "nntp"),
    (123, "ntp"),
    (137, "netbios-ns"),
    (138, "netbios-dgm"),
    (139, "netbios-ssn"),
    (143, "imap"),
    (143, "imap2"),
    (161, "snmp"),
    (162, "snmptrap"),
    (179, "bgp"),
    (194, "irc"),
    (210, "z39-50"),
    (220, "imap3"),
    (389, "ldap"),
    (427, "svrloc"),
    (443, "https"),
    (445, "microsoft-ds"),
    (464, "kpasswd"),
    (500, "isakmp"),
    (512, "exec"),
    (513, "login"),
    (514, "shell"),
    (514, "syslog"),
    (515, "printer"),
    (517, "talk"),
    (518, "ntalk"),
    (520, "router"),
    (540, "uucp"),
    (543, "klogin"),
    (544, "kshell"),
    (546, "dhcpv6-client"),
    (547, "dhcpv6-server"),
    (554, "rtsp"),
    (563, "nntps"),
    (587, "submission"),
    (631, "ipp"),
    (636, "ldaps"),
    (749, "kerberos-adm"),
    (853, "domain-s"),
    (873, "rsync"),
    (989, "ftps-data"),
    (990, "ftps"),
    (992, "telnets"),
    (993, "imaps"),
    (995, "pop3s"),
    (1080, "socks"),
    (1194, "openvpn"),
    (1701, "l2tp"),
    (1723, "pptp"),
    (1812, "radius"),
    (1813, "radius-acct"),
    (2049, "nfs"),
    (3306, "mysql"),
    (3389, "ms-wbt-server"),
    (5060, "sip"),
    (5061, "sips"),
    (5222, "xmpp-client"),
    (5269, "xmpp-server"),
    (5353, "mdns"),
    (5432, "postgresql"),
    (5900, "rfb"),
    (6000, "x11"),
];
