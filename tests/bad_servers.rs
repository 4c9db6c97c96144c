//! Servers with bad habits, asked by a secondary, a cache, `lag` and `wait`: where there is an answer to be had it is found
//! within seconds, and where there is none the question ends within seconds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;

use support::await_until::await_until;
use support::bad_server::{BadServer, Habit};
use support::fake_primary::{ZONE, notify};
use support::tidemark;
use support::zones::{self, Zone};
use support::{dig, ports, process};

/// What each thing may take: the five seconds that a stub resolver waits for, and room for a busy machine.
const LIMIT: Duration = Duration::from_secs(8);
/// Room for a busy machine where a test waits for a process.
const START: Duration = Duration::from_secs(20);

const fn objects(rcode: ResponseCode, with_opt: bool, to_all_edns: bool) -> Habit {
    Habit::Objects { rcode, with_opt, to_all_edns }
}

/// Habits that an answer can be had in spite of.
const SURMOUNTABLE: &[Habit] = &[
    Habit::BytesBehind,
    objects(ResponseCode::FormErr, true, false),
    objects(ResponseCode::FormErr, true, true),
    objects(ResponseCode::FormErr, false, true),
    Habit::BareFormerr,
    objects(ResponseCode::NotImp, false, true),
    objects(ResponseCode::Refused, true, false),
    objects(ResponseCode::Refused, false, true),
    objects(ResponseCode::ServFail, true, false),
    objects(ResponseCode::ServFail, false, true),
    Habit::SilentToEdns,
];
/// Habits that leave nothing to be had.
const HOPELESS: &[Habit] = &[Habit::CutAndClosed, Habit::WrongId, Habit::WrongQuestion];

/// Runs `act` for each habit, all at once: most of the time passes in waiting.
fn for_each(habits: &'static [Habit], act: impl Fn(Habit) + Sync) {
    thread::scope(|scope| {
        for &habit in habits {
            let act = &act;
            scope.spawn(move || act(habit));
        }
    });
}

fn forwarding_to(server: SocketAddr) -> String {
    format!(
        "[resolver]\nmode = \"forward\"\nallow = [\"127.0.0.0/8\"]\n[[resolver.forward]]\nzone = \".\"\nservers = [\"{server}\"]\n"
    )
}

fn command(args: &[&str], server: SocketAddr) -> (Output, Duration) {
    let began = Instant::now();
    let mut command = tidemark::command();
    command.args(args).arg("--at").arg(server.to_string());
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output, began.elapsed())
}

#[test]
fn a_secondary_follows_all_the_same() {
    for_each(SURMOUNTABLE, |habit| {
        let primary = BadServer::start(habit);
        let node = tidemark::start(ports::reserve(), &[Zone::secondary(ZONE, &[primary.addr])]);
        node.daemon.await_serial(ZONE, 1, LIMIT);
        for serial in 2..=4 {
            primary.publish(serial);
            assert_eq!(notify("127.0.0.1", node.daemon.addr, ZONE, serial), ResponseCode::NoError);
            node.daemon.await_serial(ZONE, serial, LIMIT);
        }
    });
}

#[test]
fn status_tells_an_error_from_silence() {
    // The server runs, and has another zone.
    let other = tidemark::start(ports::reserve(), &[Zone::primary("other.", zones::text("other.", 1, &[]))]);
    let zone = Zone::primary(ZONE, zones::text(ZONE, 1, &[])).notify(&[other.daemon.addr]);
    let node = tidemark::start(ports::reserve(), &[zone]);
    let status = |options: &[&str]| {
        process::run(tidemark::command().arg("status").arg("--control").arg(node.control()).args(options))
    };
    await_until("the answer in the status", LIMIT, || status(&[]).contains("answers REFUSED"));
    let told: serde_json::Value = serde_json::from_str(&status(&["--json"])).unwrap();
    let server = &told["zones"][0]["servers"][0];
    assert_eq!((&server["up"], &server["fault"]), (&false.into(), &"REFUSED".into()), "{told}");
    assert_eq!(server["answers"], true, "{told}");
    // It was told of the zone as well.
    await_until("the meaning of its answer to NOTIFY", LIMIT, || {
        node.daemon.log().contains("does not have this zone as a secondary; configure it there")
    });
}

/// Nobody listens there, and the system says so.
#[test]
fn a_server_that_is_not_there_has_one_fault_for_all_who_tell_of_it() {
    let gone = ports::reserve();
    let zone = Zone::primary(ZONE, zones::text(ZONE, 1, &[])).notify(&[gone]);
    let node = tidemark::start(ports::reserve(), &[zone]);
    let ask = |words: &[&str], more: &[&str]| {
        let output = tidemark::command().args(words).arg("--control").arg(node.control()).args(more).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let servers = |words: &[&str]| {
        let told: serde_json::Value = serde_json::from_str(&ask(words, &["--json"])).unwrap();
        told["zones"][0]["servers"].as_array().unwrap().clone()
    };
    await_until("the fault in the status", LIMIT, || {
        servers(&["status"])[0]["fault"] == "connection refused"
    });
    let server = &servers(&["status"])[0];
    assert_eq!((&server["up"], &server["answers"]), (&false.into(), &false.into()), "{server}");
    assert!(ask(&["status"], &[]).contains("connection refused"));
    let gone = gone.to_string();
    let seen = servers(&["lag"]).into_iter().find(|server| server["server"] == gone.as_str()).unwrap();
    assert_eq!(seen["fault"], server["fault"], "{seen}");
}

#[test]
fn a_secondary_that_gets_nothing_says_so_and_recovers() {
    for_each(HOPELESS, |habit| {
        let primary = BadServer::start(Habit::None);
        let node = tidemark::start(ports::reserve(), &[Zone::secondary(ZONE, &[primary.addr])]);
        node.daemon.await_serial(ZONE, 1, LIMIT);
        primary.become_(habit);
        primary.publish(2);
        assert_eq!(notify("127.0.0.1", node.daemon.addr, ZONE, 2), ResponseCode::NoError);
        support::await_until::await_until(&format!("{habit:?} to be told of"), START, || {
            node.daemon.log().contains("soa failed")
        });
        assert_eq!(dig::soa_serial(node.daemon.addr, ZONE), Some(1), "{habit:?}");
        primary.become_(Habit::None);
        node.daemon.await_serial(ZONE, 2, START);
    });
}

#[test]
fn a_cache_answers_all_the_same() {
    for_each(SURMOUNTABLE, |habit| {
        let server = BadServer::start(habit);
        let node = tidemark::start_with(ports::reserve(), &[], &forwarding_to(server.addr));
        for name in ["a.test.", "b.test.", "c.test."] {
            let began = Instant::now();
            assert_eq!(dig::short(node.daemon.addr, &[name, "A"]), ["192.0.2.7"], "{habit:?}");
            assert!(began.elapsed() < LIMIT, "{habit:?}: {:?}", began.elapsed());
        }
    });
}

#[test]
fn a_cache_that_gets_nothing_says_so_in_time() {
    for_each(HOPELESS, |habit| {
        let server = BadServer::start(habit);
        let node = tidemark::start_with(ports::reserve(), &[], &forwarding_to(server.addr));
        let began = Instant::now();
        assert!(dig::dig(node.daemon.addr, &["a.test.", "A"]).contains("status: SERVFAIL"), "{habit:?}");
        assert!(began.elapsed() < LIMIT, "{habit:?}: {:?}", began.elapsed());
    });
}

#[test]
fn lag_and_wait_see_what_there_is() {
    for_each(SURMOUNTABLE, |habit| {
        let server = BadServer::start(habit);
        let (output, took) = command(&["lag", ZONE, "--json"], server.addr);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("\"serial\":1"), "{habit:?}: {text}");
        assert!(took < LIMIT, "{habit:?}: {took:?}");
        let (output, took) = command(&["wait", ZONE, "--serial", "1", "--timeout", "4s"], server.addr);
        assert_eq!(output.status.code(), Some(0), "{habit:?}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(took < LIMIT, "{habit:?}: {took:?}");
        let record = ["wait", ZONE, "--record", "www A 192.0.2.7", "--timeout", "4s"];
        let (output, took) = command(&record, server.addr);
        assert_eq!(output.status.code(), Some(0), "{habit:?}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(took < LIMIT, "{habit:?}: {took:?}");
    });
}

#[test]
fn lag_and_wait_end_where_there_is_nothing() {
    for_each(HOPELESS, |habit| {
        let server = BadServer::start(habit);
        let (output, took) = command(&["lag", ZONE, "--json"], server.addr);
        assert!(!output.status.success(), "{habit:?}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(took < LIMIT, "{habit:?}: {took:?}");
        let (output, took) = command(&["wait", ZONE, "--serial", "1", "--timeout", "2s"], server.addr);
        assert!(!output.status.success(), "{habit:?}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(took < LIMIT, "{habit:?}: {took:?}");
    });
}
