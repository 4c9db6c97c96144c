//! Transfers that are none: refused, the old data stays, and the metrics say why. And NOTIFY from a stranger.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::str::FromStr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record};

use support::await_until::await_until;
use support::fake_primary::{FakePrimary, Reply, Script, ZONE, a, notify, ns, response, soa};
use support::tidemark::{self, Tidemark};
use support::zones::{self, Zone};
use support::{dig, ports};

const LIMIT: Duration = Duration::from_secs(30);
/// An address that is no primary's.
const STRANGER: &str = "127.0.0.2";

/// A bad answer, given to IXFR and AXFR alike unless one of them is named, and what the metrics call it.
struct Case {
    what: &'static str,
    ixfr: Reply,
    axfr: Reply,
    fallback: &'static str,
    result: &'static str,
}

const CASES: &[Case] = &[
    both("cut off", cut_off, "truncated"),
    both("nothing at all", |_| Vec::new(), "truncated"),
    both("another closing SOA", other_end, "soa_mismatch"),
    both("another zone", other_zone, "wrong_zone"),
    both("records behind the end", trailing, "malformed"),
    both(
        "no message",
        |question| vec![[&question.to_vec().unwrap()[..2], &[0xff; 30]].concat()],
        "malformed",
    ),
    both("no SOA in front", |question| vec![response(question, vec![ns(ZONE), soa(ZONE, 2)])], "malformed"),
    both("a record that is broken", broken_record, "malformed"),
    both("a record of another class", other_class, "malformed"),
    both("two kinds of data at a name of one kind", beside_cname, "invalid_zone"),
    both("refused", refused, "refused"),
    Case {
        what: "differences of versions we do not have",
        ixfr: |question| differences(question, 7, 2, "www.example.", 1),
        axfr: refused,
        fallback: "out_of_sequence",
        result: "refused",
    },
    Case {
        what: "differences that lead elsewhere",
        ixfr: |question| {
            let steps = vec![soa(ZONE, 2), soa(ZONE, 1), a("www.example.", 1), soa(ZONE, 9), soa(ZONE, 2)];
            vec![response(question, steps)]
        },
        axfr: refused,
        fallback: "out_of_sequence",
        result: "refused",
    },
    Case {
        what: "differences that remove what is not there",
        ixfr: |question| differences(question, 1, 2, "absent.example.", 1),
        axfr: refused,
        fallback: "does_not_apply",
        result: "refused",
    },
    Case {
        what: "a whole zone in place of differences that is none",
        ixfr: |question| vec![response(question, vec![soa(ZONE, 2), soa(ZONE, 2)])],
        axfr: refused,
        fallback: "invalid_zone",
        result: "refused",
    },
];

const fn both(what: &'static str, reply: Reply, reason: &'static str) -> Case {
    Case { what, ixfr: reply, axfr: reply, fallback: reason, result: reason }
}

fn whole(question: &Message, serial: u32) -> Vec<Vec<u8>> {
    let host = serial as u8;
    let records =
        vec![soa(ZONE, serial), ns(ZONE), a("ns.example.", 53), a("www.example.", host), soa(ZONE, serial)];
    vec![response(question, records)]
}

fn cut_off(question: &Message) -> Vec<Vec<u8>> {
    vec![response(question, vec![soa(ZONE, 2), ns(ZONE), a("www.example.", 2)])]
}

fn other_end(question: &Message) -> Vec<Vec<u8>> {
    vec![response(question, vec![soa(ZONE, 2), ns(ZONE), a("www.example.", 2), soa(ZONE, 3)])]
}

fn other_zone(question: &Message) -> Vec<Vec<u8>> {
    vec![response(question, vec![soa("example.net.", 2), ns("example.net."), soa("example.net.", 2)])]
}

fn trailing(question: &Message) -> Vec<Vec<u8>> {
    let records = vec![soa(ZONE, 2), ns(ZONE), soa(ZONE, 2), a("www.example.", 2)];
    vec![response(question, records)]
}

/// An address of three bytes.
fn broken_record(question: &Message) -> Vec<Vec<u8>> {
    let records = vec![soa(ZONE, 2), ns(ZONE), a("www.example.", 77), soa(ZONE, 2)];
    let mut message = response(question, records);
    let rdata = [0, 4, 192, 0, 2, 77];
    let at = message.windows(rdata.len()).position(|bytes| bytes == rdata).unwrap();
    message.splice(at..at + rdata.len(), [0, 3, 192, 0, 2]);
    vec![message]
}

/// An address of class CH.
fn other_class(question: &Message) -> Vec<Vec<u8>> {
    let records = vec![soa(ZONE, 2), ns(ZONE), a("www.example.", 2), soa(ZONE, 2)];
    let mut message = response(question, records);
    // A, IN and the TTL.
    let head = [0, 1, 0, 1, 0, 0, 0, 60];
    let at = message.windows(head.len()).position(|bytes| bytes == head).unwrap();
    message[at + 3] = 3;
    vec![message]
}

/// A zone with two records that are not in it.
fn with_more(question: &Message) -> Vec<Vec<u8>> {
    let hosts = [a("ns.example.", 53), a("x.test.", 1), a("www.example.", 2), a("y.test.", 1)];
    let records = [&[soa(ZONE, 2), ns(ZONE)][..], &hosts, &[soa(ZONE, 2)]].concat();
    vec![response(question, records)]
}

fn beside_cname(question: &Message) -> Vec<Vec<u8>> {
    let name = |text: &str| Name::from_str(text).unwrap();
    let cname = Record::from_rdata(name("www.example."), 60, RData::CNAME(CNAME(name("ns.example."))));
    let records =
        vec![soa(ZONE, 2), ns(ZONE), a("ns.example.", 53), a("www.example.", 2), cname, soa(ZONE, 2)];
    vec![response(question, records)]
}

fn refused(question: &Message) -> Vec<Vec<u8>> {
    let mut message = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.response_code = ResponseCode::Refused;
    vec![message.to_vec().unwrap()]
}

/// From one serial to another: `owner` loses 192.0.2.`host`.
fn differences(question: &Message, from: u32, to: u32, owner: &str, host: u8) -> Vec<Vec<u8>> {
    vec![response(
        question,
        vec![soa(ZONE, to), soa(ZONE, from), a(owner, host), soa(ZONE, to), soa(ZONE, to)],
    )]
}

fn first() -> Script {
    Script { serial: 1, ixfr: |question| whole(question, 1), axfr: |question| whole(question, 1) }
}

fn transfers(node: &Tidemark, result: &str) -> f64 {
    let labels = [("direction", "in"), ("kind", "axfr"), ("result", result)];
    node.metric("tidemark_transfers_total", &labels).unwrap_or(0.0)
}

fn fallbacks(node: &Tidemark, reason: &str) -> f64 {
    node.metric("tidemark_ixfr_fallbacks_total", &[("reason", reason)]).unwrap_or(0.0)
}

#[test]
fn what_is_no_transfer_is_refused_and_counted() {
    let primary = FakePrimary::start(first());
    let addr = ports::reserve();
    let node = tidemark::start(addr, &[Zone::secondary(ZONE, &[primary.addr])]);
    node.daemon.await_serial(ZONE, 1, LIMIT);
    let before = dig::axfr(addr, ZONE);
    for case in CASES {
        let counted = (transfers(&node, case.result), fallbacks(&node, case.fallback));
        primary.change(Script { serial: 2, ixfr: case.ixfr, axfr: case.axfr });
        assert_eq!(notify("127.0.0.1", addr, ZONE, 2), ResponseCode::NoError);
        await_until(&format!("{} to be counted as {}", case.what, case.result), LIMIT, || {
            transfers(&node, case.result) > counted.0 && fallbacks(&node, case.fallback) > counted.1
        });
        assert_eq!(dig::axfr(addr, ZONE), before, "{}", case.what);
        assert!(
            node.metric("tidemark_zone_staleness_seconds", &[("zone", ZONE)]).unwrap() > 0.0,
            "{}",
            case.what
        );
        assert!(!node.daemon.log().contains("panicked"), "{}", node.daemon.log());
    }
    let in_place_of_differences = fallbacks(&node, "axfr_style");
    primary.change(Script {
        serial: 2,
        ixfr: |question| whole(question, 2),
        axfr: |question| whole(question, 2),
    });
    // Without a word of it, the version that could not be used is not tried before RETRY.
    assert_eq!(notify("127.0.0.1", addr, ZONE, 2), ResponseCode::NoError);
    node.daemon.await_serial(ZONE, 2, LIMIT);
    assert_eq!(dig::short(addr, &["www.example.", "A"]), ["192.0.2.2"]);
    let counted = fallbacks(&node, "axfr_style") - in_place_of_differences;
    assert_eq!(counted, 1.0, "a whole zone in place of differences is counted");
}

#[test]
fn a_first_copy_is_taken_only_whole() {
    for case in CASES.iter().filter(|case| case.result != "refused") {
        let primary = FakePrimary::start(Script { serial: 2, ixfr: case.ixfr, axfr: case.axfr });
        let addr = ports::reserve();
        let node = tidemark::start(addr, &[Zone::secondary(ZONE, &[primary.addr])]);
        await_until(case.what, LIMIT, || transfers(&node, case.result) > 0.0);
        assert!(dig::dig(addr, &[ZONE, "SOA"]).contains("status: SERVFAIL"), "{}", case.what);
        primary.change(first());
        node.daemon.await_serial(ZONE, 1, LIMIT);
    }
}

/// A transfer whose records make no zone is no success before it is a failure: an alert looks for nodes without one.
#[test]
fn a_refused_version_names_the_record_and_is_counted_as_a_failure_alone() {
    let primary = FakePrimary::start(first());
    let addr = ports::reserve();
    let node = tidemark::start(addr, &[Zone::secondary(ZONE, &[primary.addr])]);
    node.daemon.await_serial(ZONE, 1, LIMIT);
    let succeeded = || {
        let pulled = |kind| {
            let labels = [("direction", "in"), ("kind", kind), ("result", "ok")];
            node.metric("tidemark_transfers_total", &labels).unwrap_or(0.0)
        };
        pulled("axfr") + pulled("ixfr")
    };
    let problem = || -> serde_json::Value {
        let control = node.control();
        let status = tidemark::command().args(["status", "--json", "--control"]).arg(&control).output();
        serde_json::from_slice::<serde_json::Value>(&status.unwrap().stdout).unwrap()["zones"][0]["problem"]
            .take()
    };
    await_until("the first copy to be counted", LIMIT, || succeeded() == 1.0);
    let cases: [(Reply, &str, &str); 2] = [
        (beside_cname, "invalid_zone", "`www.example.` has a CNAME beside other data"),
        (broken_record, "malformed", "record 3 of the transfer cannot be read: broken RDATA"),
    ];
    for (reply, result, detail) in cases {
        primary.change(Script { serial: 2, ixfr: reply, axfr: reply });
        let before = transfers(&node, result);
        assert_eq!(notify("127.0.0.1", addr, ZONE, 2), ResponseCode::NoError);
        await_until("the transfer to fail", LIMIT, || transfers(&node, result) > before);
        let told = problem();
        assert!(told["what"].as_str().unwrap().contains(detail), "{told}");
        for _ in 0..2 {
            let before = transfers(&node, result);
            assert_eq!(notify("127.0.0.1", addr, ZONE, 2), ResponseCode::NoError);
            await_until("another attempt", LIMIT, || transfers(&node, result) > before);
        }
        assert_eq!(problem(), told, "it goes on since then");
        let log = node.daemon.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(detail)).collect();
        assert!(matches!(lines[..], [line] if line.contains("axfr failed")), "{log}");
        assert!(!log.contains("not published"), "{log}");
    }
    assert_eq!(succeeded(), 1.0);
    assert_eq!(node.metric("tidemark_zone_load_failures_total", &[("zone", ZONE)]).unwrap_or(0.0), 0.0);
}

#[test]
fn a_record_of_another_class_is_named_and_those_outside_the_zone_are_told_of_once_and_left_out() {
    let primary = FakePrimary::start(first());
    let addr = ports::reserve();
    let node = tidemark::start(addr, &[Zone::secondary(ZONE, &[primary.addr])]);
    node.daemon.await_serial(ZONE, 1, LIMIT);
    let before = dig::axfr(addr, ZONE);
    let lines = |what: &str| -> Vec<String> {
        node.daemon.log().lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
    };

    primary.change(Script { serial: 2, ixfr: other_class, axfr: other_class });
    assert_eq!(notify("127.0.0.1", addr, ZONE, 2), ResponseCode::NoError);
    let named = "record 3 of the transfer, of `www.example.`, is of class 3 and not IN";
    await_until("the record to be named", LIMIT, || !lines(named).is_empty());
    assert!(lines(named)[0].contains("axfr failed: malformed answer"), "{}", lines(named)[0]);
    assert_eq!(dig::axfr(addr, ZONE), before);

    primary.change(Script { serial: 2, ixfr: with_more, axfr: with_more });
    assert_eq!(notify("127.0.0.1", addr, ZONE, 2), ResponseCode::NoError);
    node.daemon.await_serial(ZONE, 2, LIMIT);
    assert_eq!(dig::short(addr, &["www.example.", "A"]), ["192.0.2.2"]);
    assert!(!dig::axfr(addr, ZONE).iter().any(|record| record.contains("test.")));
    let left_out = "records outside the zone are left out";
    await_until("what was left out to be told of", LIMIT, || !lines(left_out).is_empty());
    let told = lines(left_out);
    let from = primary.addr.to_string();
    let is_whole = |line: &str| {
        ["WARN", ZONE, &from, "records=2", "first=x.test."].iter().all(|part| line.contains(part))
    };
    assert!(matches!(&told[..], [line] if is_whole(line)), "{told:?}");
}

#[test]
fn a_secondary_that_is_not_allowed_is_logged_with_the_next_step() {
    // Without `allow-transfer`, which no one has by default.
    let primary = tidemark::start_with(ports::reserve(), &[], "[[zone-dir]]\npath = \".\"\n");
    zones::write(&primary.daemon.dir().join("example.zone"), &zones::text(ZONE, 1, &[]));
    primary.daemon.await_serial(ZONE, 1, LIMIT);
    let zones = [ZONE, "nowhere."].map(|zone| Zone::secondary(zone, &[primary.daemon.addr]));
    let node = tidemark::start(ports::reserve(), &zones);
    await_until("two transfers of each to be refused", LIMIT, || {
        transfers(&node, "refused") >= 2.0 && transfers(&node, "notauth") >= 2.0
    });
    for (zone, here, there) in [
        (
            ZONE,
            "the client is not in `allow-transfer` of this zone; add its address there",
            "refused by the server (EDE 18 Prohibited): allow this node's address there",
        ),
        (
            "nowhere.",
            "there is no such zone here; configure it",
            "not authoritative for the zone: have it serve the zone",
        ),
    ] {
        for (node, event, said) in [(&primary, "AXFR refused", here), (&node, "failed: ", there)] {
            let log = node.daemon.log();
            let is_told = |line: &&str| line.contains(event) && line.contains(zone);
            let lines: Vec<&str> = log.lines().filter(is_told).collect();
            assert_eq!(lines.len(), 1, "{log}");
            assert!(lines[0].contains("127.0.0.1") && lines[0].contains(said), "{}", lines[0]);
        }
    }
}

#[test]
fn a_stranger_is_not_listened_to() {
    let primary = FakePrimary::start(first());
    let addr = ports::reserve();
    let node = tidemark::start(addr, &[Zone::secondary(ZONE, &[primary.addr])]);
    node.daemon.await_serial(ZONE, 1, LIMIT);
    primary.change(Script {
        serial: 2,
        ixfr: |question| whole(question, 2),
        axfr: |question| whole(question, 2),
    });
    let (asked, heard) = (primary.asked(), |result| {
        node.metric("tidemark_notifies_total", &[("direction", "in"), ("result", result)]).unwrap_or(0.0)
    });
    let accepted = heard("ok");
    for number in 1..=10 {
        assert_eq!(notify(STRANGER, addr, ZONE, 2), ResponseCode::Refused);
        assert_eq!(heard("refused"), f64::from(number));
    }
    // One from the primary is acted on; whatever the others had set off would have come before.
    assert_eq!(heard("ok"), accepted);
    assert_eq!(primary.asked(), asked);
    assert_eq!(notify("127.0.0.1", addr, ZONE, 2), ResponseCode::NoError);
    node.daemon.await_serial(ZONE, 2, LIMIT);
}
