//! Corners of the protocol, byte by byte, beside BIND, Knot and NSD: where the three agree tidemark agrees, and each
//! difference between them is listed with what tidemark does and why. DNS cookies are good at every server with the same secret.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use support::await_until::await_until;
use support::daemon::Daemon;
use support::raw::{self, QUESTION, Reply, ask_tcp, ask_udp, header, opt, option, query_with};
use support::zones::{self, Zone};
use support::{bind, knot, nsd, ports, tidemark};

const SECRET: &str = "00112233445566778899aabbccddeeff";
const LIMIT: Duration = Duration::from_secs(20);
const NSID: u16 = 3;
const EXPIRE: u16 = 9;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const EDE: u16 = 15;
const BADCOOKIE: u16 = 23;
const CLIENT: &[u8] = b"clientck";

fn zone() -> Zone {
    Zone::primary("example.", zones::text("example.", 1, &["www A 192.0.2.1"]))
}

fn start_bind(addr: SocketAddr, options: &str) -> Daemon {
    let cookies =
        format!("server-id \"ams1\"; cookie-algorithm siphash24; cookie-secret \"{SECRET}\"; {options}\n");
    bind::start_with(addr, &[zone()], &format!("minimal-responses yes; {cookies}"))
}

fn start_knot(addr: SocketAddr) -> Daemon {
    let module = format!("mod-cookies:\n  - id: all\n    secret: 0x{SECRET}\n");
    let everywhere = "template:\n  - id: default\n    global-module: mod-cookies/all\n";
    knot::start_with(addr, &[zone()], "    nsid: \"ams1\"\n", &(module + everywhere))
}

fn start_nsd(addr: SocketAddr) -> Daemon {
    let server = format!("    nsid: \"ascii_ams1\"\n    answer-cookie: yes\n    cookie-secret: {SECRET}\n");
    nsd::start_with(addr, &[zone()], &server)
}

fn start_tidemark(addr: SocketAddr) -> tidemark::Tidemark {
    let server = format!("workers = 1\nnsid = \"ams1\"\ncookie-secret = \"{SECRET}\"\n");
    tidemark::start_as(addr, &[zone()], &server, "")
}

/// In what replies are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    /// Whether there is one.
    Reply,
    Rcode,
    Authority,
    Answers,
    /// The codes of the options in OPT, extended errors left out; `none` without OPT.
    Options,
}

use Field::{Answers, Authority, Options, Rcode, Reply as Replies};

const FIELDS: [Field; 5] = [Replies, Rcode, Authority, Answers, Options];

fn say(field: Field, reply: Option<&Reply>) -> Option<String> {
    let Some(reply) = reply else { return (field == Replies).then(|| "no".to_owned()) };
    Some(match field {
        Replies => "yes".to_owned(),
        Rcode => reply.rcode.to_string(),
        Authority => if reply.authoritative { "yes" } else { "no" }.to_owned(),
        Answers => reply.answers.to_string(),
        Options => match &reply.options {
            None => "none".to_owned(),
            Some(options) => {
                let codes: BTreeSet<u16> = options.iter().map(|(code, _)| *code).collect();
                let texts: Vec<String> =
                    codes.into_iter().filter(|code| *code != EDE).map(|code| code.to_string()).collect();
                texts.join(" ")
            }
        },
    })
}

/// A message, and in what the three differ: what tidemark says there.
struct Case {
    name: &'static str,
    message: Vec<u8>,
    ours: &'static [(Field, &'static str)],
    why: &'static str,
}

fn case(name: &'static str, message: Vec<u8>) -> Case {
    Case { name, message, ours: &[], why: "" }
}

impl Case {
    fn differ(self, ours: &'static [(Field, &'static str)], why: &'static str) -> Case {
        Case { ours, why, ..self }
    }
}

/// A query for this name (in wire form), type and class.
fn query(name: &[u8], rtype: u16, class: u16) -> Vec<u8> {
    [&header(0, [1, 0, 0, 0]), name, &rtype.to_be_bytes(), &class.to_be_bytes()].concat()
}

/// A message with these flags, counts and bytes behind the header.
fn message(flags: u16, counts: [u16; 4], parts: &[&[u8]]) -> Vec<u8> {
    [header(flags, counts), parts.concat()].concat()
}

fn questions_and_classes() -> Vec<Case> {
    const WWW: &[u8] = b"\x03www\x07example\x00";
    const VERSION: &[u8] = b"\x07version\x04bind\x00";
    let cookie = |value: &[u8]| opt(0, 0, &option(COOKIE, value));
    vec![
        case("a plain query", query(WWW, 1, 1)),
        case("two questions", message(0, [2, 0, 0, 0], &[QUESTION, QUESTION]))
            .differ(&[(Replies, "yes")], "RFC 9619 4: FORMERR; Knot is silent"),
        case("no question", header(0, [0; 4])).differ(&[(Replies, "yes")], "NSD closes the connection"),
        case("no question, OPT", message(0, [0, 0, 0, 1], &[&opt(0, 0, b"")]))
            .differ(&[(Rcode, "1")], "RFC 7873 5.4 allows it for cookies alone; NSD answers"),
        case("no question, a client cookie", message(0, [0, 0, 0, 1], &[&cookie(CLIENT)]))
            .differ(&[(Rcode, "0"), (Options, "10")], "RFC 7873 5.4; Knot does not do it"),
        case(
            "no question, a bad cookie",
            message(0, [0, 0, 0, 1], &[&cookie(b"clientck\x01\0\0\0xxxxxxxxxxxx")]),
        )
        .differ(&[(Rcode, "23"), (Options, "10")], "RFC 7873 5.4: BADCOOKIE; no other does it"),
        case("class ANY", query(WWW, 1, 255)).differ(
            &[(Rcode, "0"), (Authority, "no"), (Answers, "1")],
            "RFC 1034 3.7.1: answered, but never with authority, as NSD does",
        ),
        case("class ANY, type ANY", query(b"\x07example\x00", 255, 255))
            .differ(&[(Rcode, "0"), (Authority, "no"), (Answers, "1")], "the same"),
        case("class NONE", query(WWW, 1, 254)).differ(&[(Rcode, "5")], "BIND says FORMERR"),
        case("class CS", query(WWW, 1, 2)).differ(&[(Rcode, "5")], "BIND says NOTIMP"),
        case("class CH, a name of class IN", query(WWW, 1, 3)),
        case("version.bind", query(VERSION, 16, 3)).differ(&[(Authority, "no")], "BIND has a zone there"),
        case("version.bind, type A", query(VERSION, 1, 3))
            .differ(&[(Rcode, "5"), (Authority, "no")], "BIND has a zone there"),
        case("id.server", query(b"\x02id\x06server\x00", 16, 3)).differ(&[(Authority, "no")], "the same"),
        case("hostname.bind", query(b"\x08hostname\x04bind\x00", 16, 3))
            .differ(&[(Authority, "no")], "the same"),
        case("a compressed question", query(b"\x03www\xc0\x0c", 1, 1))
            .differ(&[(Replies, "yes")], "Knot is silent"),
        case("type 65535", query(WWW, 65_535, 1)),
        case("type RRSIG", query(WWW, 46, 1)),
        case("type NSEC3", query(WWW, 50, 1)),
        case("type 0", query(WWW, 0, 1))
            .differ(&[(Rcode, "0"), (Authority, "yes")], "RFC 3597 3: a type like any other"),
        case("type 128", query(WWW, 128, 1))
            .differ(&[(Rcode, "0"), (Authority, "yes")], "RFC 3597 3: unknown types are data"),
        case("type OPT", query(WWW, 41, 1))
            .differ(&[(Rcode, "4"), (Authority, "no")], "RFC 6895 3.1: no data can have it"),
        case("type TKEY", query(WWW, 249, 1))
            .differ(&[(Rcode, "4"), (Authority, "no")], "RFC 2930 4: asks for what is not implemented"),
        case("type MAILA", query(WWW, 254, 1))
            .differ(&[(Rcode, "4"), (Authority, "no")], "RFC 1035 3.2.3: obsolete, as BIND says"),
        case("another's zone", query(b"\x03www\x04test\x00", 1, 1)),
    ]
}

fn opcodes_and_headers() -> Vec<Case> {
    let record: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x7f\x00\x00\x01";
    let one = [1, 0, 0, 0];
    let mut cases: Vec<Case> = [("IQUERY", 1), ("STATUS", 2), ("opcode 3", 3), ("DSO", 6), ("opcode 15", 15)]
        .map(|(name, opcode)| case(name, message(opcode << 11, one, &[QUESTION])))
        .into();
    cases.extend([
        case("opcode 15, OPT", message(15 << 11, [1, 0, 0, 1], &[QUESTION, &opt(0, 0, b"")]))
            .differ(&[(Options, "")], "RFC 6891 6.1.1: EDNS is answered with EDNS; NSD does not"),
        case("opcode 15, no question", header(15 << 11, [0; 4]))
            .differ(&[(Replies, "yes")], "NSD closes the connection"),
        case("IQUERY with an answer", message(1 << 11, [0, 1, 0, 0], &[b"\0", &record[2..]])),
        case("NOTIFY without a question", header(4 << 11, [0; 4]))
            .differ(&[(Replies, "yes")], "NSD closes the connection"),
        case("TC set", message(0x0200, one, &[QUESTION])),
        case("AA, RA, Z and AD set", message(0x04e0, one, &[QUESTION])),
        case("RD and CD set", message(0x0110, one, &[QUESTION])),
        case("a response code in the query", message(5, one, &[QUESTION])).differ(
            &[(Rcode, "0"), (Authority, "yes"), (Answers, "1")],
            "RFC 1035 4.1.1: set in responses; NSD says FORMERR",
        ),
        case("an answer in the query", message(0, [1, 1, 0, 0], &[QUESTION, record])).differ(
            &[(Rcode, "0"), (Authority, "yes"), (Answers, "1")],
            "nothing forbids it; NSD says FORMERR",
        ),
        case("an additional record", message(0, [1, 0, 0, 1], &[QUESTION, record])).differ(
            &[(Rcode, "0"), (Authority, "yes"), (Answers, "1")],
            "nothing forbids it; NSD says FORMERR",
        ),
        case("bytes behind the message", message(0, one, &[QUESTION, b"tail"])).differ(
            &[(Rcode, "1"), (Authority, "no"), (Answers, "0")],
            "what they are nobody knows, as Knot says",
        ),
        case("counts of everything", message(0, [u16::MAX; 4], &[]))
            .differ(&[(Replies, "yes")], "Knot is silent, NSD closes the connection"),
    ]);
    cases
}

fn edns() -> Vec<Case> {
    let with_opt = |record: &[u8]| message(0, [1, 0, 0, 1], &[QUESTION, record]);
    let empty = opt(0, 0, b"");
    let mut beyond = opt(0, 0, b"\0\x03");
    beyond[10] = 20;
    let mut payload = empty.clone();
    payload[3..5].copy_from_slice(&[0, 0]);
    let mut extended = empty.clone();
    extended[5] = 5;
    let foreign = b"\x01a\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x7f\x00\x00\x01";
    vec![
        case("EDNS", with_opt(&empty)),
        case("EDNS version 1", with_opt(&opt(1, 0, b""))),
        case("EDNS version 255 with NSID", with_opt(&opt(255, 0, &option(NSID, b"")))).differ(
            &[(Options, "")],
            "RFC 6891 6.1.3: the options of another version are not known; Knot answers them",
        ),
        case("EDNS version 1 with a cookie", with_opt(&opt(1, 0, &option(COOKIE, CLIENT)))),
        case("an extended code in the query", with_opt(&extended)),
        case("payload size 0", with_opt(&payload)),
        case("unknown flags", with_opt(&opt(0, 0x7fff, b""))),
        case("DO", with_opt(&opt(0, 0x8000, b""))),
        case("an unknown option", query_with(&option(65_400, b"hello"))),
        case("an empty unknown option", query_with(&option(4_242, b""))),
        case("NSID", query_with(&option(NSID, b""))),
        case("NSID with data", query_with(&option(NSID, b"abc"))),
        case("padding", query_with(&option(12, &[0; 20]))),
        case("a cut option", query_with(b"\0\x03\0\x05ab")),
        case("a cut option header", query_with(b"\0\x03\0")),
        case("options longer than the message", with_opt(&beyond)),
        case("two OPT records", message(0, [1, 0, 0, 2], &[QUESTION, &empty, &empty])),
        case("OPT in the answer section", message(0, [1, 1, 0, 0], &[QUESTION, &empty])),
        case("OPT in the authority section", message(0, [1, 0, 1, 0], &[QUESTION, &empty])),
        case("OPT at a name", with_opt(&[&b"\x01a"[..], &empty].concat())).differ(
            &[(Rcode, "1"), (Authority, "no"), (Answers, "0"), (Options, "none")],
            "RFC 6891 6.1.2: the name must be the root; Knot does not look",
        ),
        case("OPT behind a record", message(0, [1, 0, 0, 2], &[QUESTION, foreign, &empty])).differ(
            &[(Rcode, "0"), (Authority, "yes"), (Answers, "1"), (Options, "")],
            "RFC 6891 6.1.1: anywhere in the section; NSD says FORMERR",
        ),
        case("bytes behind OPT", with_opt(&[&empty[..], b"tail"].concat())).differ(
            &[(Rcode, "1"), (Authority, "no"), (Answers, "0"), (Options, "none")],
            "what they are nobody knows, as Knot says",
        ),
        case("keepalive", query_with(&option(KEEPALIVE, b"")))
            .differ(&[(Options, "11")], "RFC 7828; BIND alone has it"),
        case("keepalive with a timeout", query_with(&option(KEEPALIVE, b"\0\x05")))
            .differ(&[(Options, "11")], "RFC 7828 3.2.1 forbids it to the client; BIND forgives"),
        case("a client subnet", query_with(&option(8, b"\0\x01\x18\0\xc0\0\x02")))
            .differ(&[(Options, "")], "BIND sends it back"),
        case("a broken client subnet", query_with(&option(8, b"\0\x01"))).differ(
            &[(Rcode, "0"), (Authority, "yes"), (Answers, "1")],
            "RFC 6891 6.1.2: not implemented, so ignored; BIND reads it",
        ),
    ]
}

fn cookies() -> Vec<Case> {
    const ANSWERED: &[(Field, &str)] = &[(Rcode, "0"), (Authority, "yes"), (Answers, "1")];
    let mut cases = Vec::new();
    for value in [&b""[..], b"1234567", b"123456789", &[b'x'; 15], &[b'x'; 41]] {
        cases.push(
            case("a cookie of a length that there is not", query_with(&option(COOKIE, value)))
                .differ(&[(Options, "")], "RFC 6891 6.1.1: EDNS is answered with EDNS; NSD does not"),
        );
    }
    for value in [CLIENT, &[b'x'; 16], b"clientck\x01\0\0\0xxxxxxxxxxxx", &[b'x'; 40]] {
        cases.push(
            case("a cookie that is not (yet) good", query_with(&option(COOKIE, value)))
                .differ(ANSWERED, "RFC 7873 5.2.3: answered; Knot wants a good cookie"),
        );
    }
    cases
}

#[test]
fn what_the_three_agree_on() {
    let [bind_addr, knot_addr, nsd_addr, addr] = ports::reserve_many();
    let peers = [start_bind(bind_addr, ""), start_knot(knot_addr), start_nsd(nsd_addr)];
    let node = start_tidemark(addr);
    let mut compared = 0;
    let mut faults = Vec::new();
    for case in [questions_and_classes(), opcodes_and_headers(), edns(), cookies()].into_iter().flatten() {
        let mut used = BTreeSet::new();
        for (way, ask) in [("UDP", ask_udp as fn(SocketAddr, &[u8]) -> Option<Vec<u8>>), ("TCP", ask_tcp)] {
            let read = |addr| ask(addr, &case.message).map(|bytes| Reply::read(&bytes));
            let ours = read(node.daemon.addr);
            let theirs: Vec<Option<Reply>> = peers.iter().map(|peer| read(peer.addr)).collect();
            for field in FIELDS {
                let said: BTreeSet<String> =
                    theirs.iter().filter_map(|reply| say(field, reply.as_ref())).collect();
                let listed = case.ours.iter().find(|(listed, _)| *listed == field);
                let due = match (said.len(), listed) {
                    (1, _) => said.first().cloned(),
                    (_, Some((_, due))) => {
                        used.insert(field);
                        Some((*due).to_owned())
                    }
                    (_, None) => None,
                };
                let got = say(field, ours.as_ref());
                compared += 1;
                if due.is_none() || got != due {
                    faults.push(format!(
                        "{} by {way}: {field:?} is {got:?}, due is {due:?} ({}); BIND, Knot, NSD: {theirs:?}",
                        case.name, case.why
                    ));
                }
            }
        }
        let unused: Vec<_> = case.ours.iter().filter(|(field, _)| !used.contains(field)).collect();
        if !unused.is_empty() {
            faults.push(format!("{}: the three agree on {unused:?}", case.name));
        }
    }
    println!("{compared} fields compared");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The cookie that a server gives.
fn cookie_of(addr: SocketAddr, client: &[u8]) -> Vec<u8> {
    let reply = Reply::read(&ask_tcp(addr, &query_with(&option(COOKIE, client))).unwrap());
    let cookie = reply.option(COOKIE).expect("a cookie").to_vec();
    assert_eq!((cookie.len(), &cookie[..8]), (24, CLIENT), "{cookie:?}");
    cookie
}

/// The code of the reply to a query with a cookie.
fn judged(addr: SocketAddr, cookie: &[u8]) -> u16 {
    Reply::read(&ask_udp(addr, &query_with(&option(COOKIE, cookie))).unwrap()).rcode
}

/// tidemark's word on a cookie, asked for by RFC 7873 5.4, and the cookie it gives.
fn confirmed(addr: SocketAddr, cookie: &[u8]) -> (u16, Vec<u8>) {
    let question = message(0, [0, 0, 0, 1], &[&opt(0, 0, &option(COOKIE, cookie))]);
    let reply = Reply::read(&ask_udp(addr, &question).unwrap());
    assert_eq!((reply.questions, reply.answers), (0, 0));
    (reply.rcode, reply.option(COOKIE).expect("a cookie").to_vec())
}

#[test]
fn a_cookie_is_good_at_every_server_with_the_secret() {
    let [bind_addr, knot_addr, nsd_addr, addr] = ports::reserve_many();
    let _peers =
        [start_bind(bind_addr, "require-server-cookie yes;"), start_knot(knot_addr), start_nsd(nsd_addr)];
    let mut node = start_tidemark(addr);
    for (maker, from) in [("BIND", bind_addr), ("Knot", knot_addr), ("NSD", nsd_addr), ("tidemark", addr)] {
        let cookie = cookie_of(from, CLIENT);
        let mut changed = cookie.clone();
        changed[23] ^= 1;
        for (judge, at) in [("BIND", bind_addr), ("Knot", knot_addr)] {
            assert_eq!(judged(at, &cookie), 0, "{judge} on a cookie of {maker}");
            assert_eq!(judged(at, &changed), BADCOOKIE, "{judge} on a changed cookie of {maker}");
        }
        assert_eq!(confirmed(addr, &cookie), (0, cookie.clone()), "tidemark on a cookie of {maker}");
        let (rcode, fresh) = confirmed(addr, &changed);
        assert_eq!(rcode, BADCOOKIE, "tidemark on a changed cookie of {maker}");
        assert_eq!(confirmed(addr, &fresh).0, 0);
    }

    // A new secret takes the place of the old one while the node runs (RFC 9018 5).
    let old = cookie_of(addr, CLIENT);
    let config = node.daemon.dir().join("tidemark.toml");
    let text = fs::read_to_string(&config).unwrap();
    let rolled = format!("[\"{}\", \"{SECRET}\"]", "5a".repeat(16));
    fs::write(&config, text.replace(&format!("\"{SECRET}\""), &rolled)).unwrap();
    node.daemon.process().signal(libc::SIGHUP);
    await_until("a cookie of the new secret", LIMIT, || {
        cookie_of(addr, CLIENT)[16..] != old[16..] && judged(bind_addr, &cookie_of(addr, CLIENT)) == BADCOOKIE
    });
    let (rcode, renewed) = confirmed(addr, &old);
    assert_eq!(rcode, 0, "the old secret is still accepted");
    assert_ne!(renewed, old);
    assert_eq!(confirmed(addr, &renewed), (0, renewed.clone()));
}

#[test]
fn keepalive_tells_the_timeout_over_tcp_alone() {
    let addr = ports::reserve();
    let _node = start_tidemark(addr);
    let query = query_with(&option(KEEPALIVE, b""));
    let by_tcp = Reply::read(&ask_tcp(addr, &query).unwrap());
    // In units of 100 ms (RFC 7828 3.1).
    assert_eq!(by_tcp.option(KEEPALIVE), Some(&[0, 100][..]));
    assert_eq!(Reply::read(&ask_udp(addr, &query).unwrap()).option(KEEPALIVE), None);
    let silent = Reply::read(&ask_tcp(addr, &query_with(&option(EXPIRE, b""))).unwrap());
    assert_eq!(silent.option(KEEPALIVE), None, "told only to those who ask");
    let name = raw::header(0, [1, 0, 0, 0]);
    assert!(Reply::read(&ask_tcp(addr, &[&name, QUESTION].concat()).unwrap()).options.is_none());
}
