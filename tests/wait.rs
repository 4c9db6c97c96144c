//! `tidemark wait` against running nodes: it ends when the last server has converged, as an outsider sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::await_until::await_until;
use support::observer::Observer;
use support::tidemark::{self, Tidemark};
use support::zones::{self, Zone};
use support::{ports, soa};

const LIMIT: Duration = Duration::from_secs(30);
/// What is promised.
const PROMISE: Duration = Duration::from_millis(100);
const ROUNDS: u32 = 5;

/// A primary, a secondary of it, and one chained behind that.
fn chain() -> [Tidemark; 3] {
    let [first, second, third] = ports::reserve_many();
    let zone = |of, notify: &[SocketAddr]| Zone::secondary("example.", &[of]).notify(notify);
    let nodes = [
        tidemark::start(first, &[Zone::primary("example.", version(1)).notify(&[second])]),
        tidemark::start(second, &[zone(first, &[third])]),
        tidemark::start(third, &[zone(second, &[])]),
    ];
    nodes.iter().for_each(|node| node.daemon.await_serial("example.", 1, LIMIT));
    nodes
}

fn version(serial: u32) -> String {
    zones::text("example.", serial, &[&format!("www A 192.0.2.{serial}")])
}

fn wait_command(at: &[SocketAddr], args: &[&str]) -> Command {
    let mut command = tidemark::command();
    command.args(["wait", "example."]).args(args).arg("--at").args(at.iter().map(SocketAddr::to_string));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end in a thread of its own, which notes the moment.
fn await_end(child: Child) -> thread::JoinHandle<(Instant, Output)> {
    thread::spawn(move || {
        let output = child.wait_with_output().unwrap();
        (Instant::now(), output)
    })
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn it_ends_with_the_last_server() {
    let mut nodes = chain();
    let addrs = nodes.each_ref().map(|node| node.daemon.addr);
    let observers = addrs.map(|addr| Observer::watch(addr, "example."));
    let mut late = Vec::new();
    for serial in 2..2 + ROUNDS {
        let by_record = serial % 2 == 0;
        nodes[2].daemon.process().signal(libc::SIGSTOP);
        let record = format!("www.example. A 192.0.2.{serial}");
        let number = serial.to_string();
        let goal = if by_record { ["--record", &record] } else { ["--serial", &number] };
        let mut child = wait_command(&addrs, &goal).spawn().unwrap();
        nodes[0].daemon.publish("example.", &version(serial));
        observers[0].await_serial(serial, LIMIT);
        observers[1].await_serial(serial, LIMIT);
        assert!(child.try_wait().unwrap().is_none(), "it ended before the last server had the version");
        let ended = await_end(child);
        nodes[2].daemon.process().signal(libc::SIGCONT);
        let last = observers[2].await_serial(serial, LIMIT);
        let (at, output) = ended.join().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
        assert!(at > last.after, "it ended {:?} before the last server converged", last.after - at);
        late.push(at.saturating_duration_since(last.at));
    }
    late.sort();
    println!("ended after the observer saw the last server converge, by round: {late:?}");
    // One round in which another process had the processor says nothing about the command.
    assert!(late[late.len() / 2] < PROMISE, "{late:?}");
    assert!(late[late.len() - 2] < 3 * PROMISE, "{late:?}");
}

#[test]
fn right_after_an_edit_it_waits_for_what_the_file_holds() {
    let nodes = chain();
    let addrs = nodes.each_ref().map(|node| node.daemon.addr);
    let file = nodes[0].daemon.zone_file("example.").display().to_string();
    for round in 2..2 + ROUNDS {
        // The serial is forgotten: the primary gives out another.
        let text = version(1).replace("192.0.2.1", &format!("192.0.2.{round}"));
        nodes[0].daemon.publish("example.", &text);
        let output = wait_command(&addrs, &["--file", &file]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
        for addr in addrs {
            assert_eq!(soa::serial(addr, "example."), Some(round), "{addr} of {}", text_of(&output));
        }
    }
    fs::write(&file, "$ORIGIN example.\n@ SOA\n").unwrap();
    let output = wait_command(&addrs, &["--file", &file]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).contains("will not be served as it is"), "{}", text_of(&output));
}

#[test]
fn begun_before_an_edit_it_waits_for_the_next_serial() {
    let nodes = chain();
    let addrs = nodes.each_ref().map(|node| node.daemon.addr);
    for serial in 2..2 + ROUNDS {
        let mut child = wait_command(&addrs, &["--next"]).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), format!("waiting for a serial newer than {}", serial - 1));
        nodes[0].daemon.publish("example.", &version(serial));
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
        assert!(
            text_of(&output).contains(&format!("3 servers showed serial {serial}")),
            "{}",
            text_of(&output)
        );
        for addr in addrs {
            assert_eq!(soa::serial(addr, "example."), Some(serial), "{addr}");
        }
    }
}

#[test]
fn a_reload_waits_for_the_servers_of_the_zone() {
    let mut nodes = chain();
    let control = nodes[0].control();
    let reload = |more: &[&str]| {
        let mut command = tidemark::command();
        command.args(["reload", "example.", "--wait", "--control"]).arg(&control).args(more);
        command.output().unwrap()
    };
    nodes[0].daemon.publish("example.", &version(2));
    let output = reload(&[]);
    let said = text_of(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("reloaded example. (serial 2)\n"), "{said}");
    assert!(said.contains("example.: 1 server showed serial 2"), "{said}");
    assert_eq!(soa::serial(nodes[1].daemon.addr, "example."), Some(2));

    nodes[1].daemon.process().signal(libc::SIGSTOP);
    nodes[0].daemon.publish("example.", &version(3));
    let output = reload(&["--timeout", "1s", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", text_of(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["zones"], serde_json::json!([{ "zone": "example.", "serial": 3 }]));
    assert_eq!(told["waited"][0]["servers"][0]["server"], nodes[1].daemon.addr.to_string());
    nodes[1].daemon.process().signal(libc::SIGCONT);
}

/// A primary that has lost its data begins again below its secondary, which could not be asked then and keeps what it has.
#[test]
fn what_is_left_from_before_a_loss_does_not_count() {
    let [p, s] = ports::reserve_many();
    let mut primary = tidemark::start(p, &[Zone::primary("example.", version(100)).notify(&[s])]);
    let mut secondary = tidemark::start(s, &[Zone::secondary("example.", &[p])]);
    secondary.daemon.await_serial("example.", 100, LIMIT);
    secondary.daemon.stop();
    primary.daemon.kill();
    let silent = UdpSocket::bind(s).unwrap();
    fs::remove_dir_all(primary.data_dir()).unwrap();
    zones::write(&primary.daemon.zone_file("example."), &version(12));
    primary.daemon.launch();
    await_until("the zone to be served", LIMIT, || soa::serial(p, "example.") == Some(12));
    drop(silent);
    secondary.daemon.restart();
    secondary.daemon.await_serial("example.", 100, LIMIT);

    let control = primary.control();
    let reload = |more: &[&str]| {
        let mut command = tidemark::command();
        command.args(["reload", "example.", "--wait", "--control"]).arg(&control).args(more);
        command.output().unwrap()
    };
    let stray = format!("{s} shows serial 100, which was never published here");
    for serial in [12, 13] {
        primary.daemon.publish("example.", &version(serial));
        let began = Instant::now();
        let said = reload(&[]);
        let (code, said) = (said.status.code(), text_of(&said));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&stray) && said.contains(&format!("did not show serial {serial}")), "{said}");
        assert!(began.elapsed() < LIMIT, "it waited for what cannot come: {said}");
    }
    let output = reload(&["--json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &told["waited"][0]["converged"]), (Some(2), &false.into()), "{told}");

    let output = wait_command(&[p, s], &["--serial", "13", "--timeout", "1s"]).output().unwrap();
    let said = text_of(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!(", which {p}, where the zone is published, does not have")), "{said}");

    primary.daemon.publish("example.", &version(101));
    let output = reload(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
    let output = wait_command(&[p, s], &["--serial", "13"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
}

#[test]
fn an_old_ttl_that_nobody_shows_any_more_is_the_users_to_tell() {
    let nodes = chain();
    let addrs = nodes.each_ref().map(|node| node.daemon.addr);
    let record = "www.example. A 192.0.2.2";
    let lowered = version(2).replace("www A", "www 1 A");
    nodes[0].daemon.publish("example.", &lowered);
    nodes.iter().for_each(|node| node.daemon.await_serial("example.", 2, LIMIT));
    let wait = |more: &[&str]| {
        let args = [&["--record", record, "--scope", "worst-case"][..], more].concat();
        text_of(&wait_command(&addrs, &args).output().unwrap())
    };
    let said = wait(&[]);
    assert!(
        said.contains("and 1 s have passed since")
            && said.contains("how long caches may hold that is not known"),
        "{said}"
    );
    let (began, said) = (Instant::now(), wait(&["--old-ttl", "3s"]));
    // One more for TTLs that are rounded.
    assert!(began.elapsed() >= Duration::from_secs(4), "{said}");
    assert!(
        said.contains("all show www.example. A 192.0.2.2; caches may hold the old data for 4 s"),
        "{said}"
    );
    assert!(said.contains("no cache can hold the old data any more: 3 s have passed since"), "{said}");
    assert!(!said.contains("not known"), "{said}");
    // What cannot come in time is not waited for: this would outlast any test.
    let too_short =
        [&["--record", record, "--scope", "worst-case"][..], &["--old-ttl", "2d", "--timeout", "1d"]];
    let ended = wait_command(&addrs, &too_short.concat()).output().unwrap();
    let said = text_of(&ended);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("given up after") && said.contains("give a longer --timeout"), "{said}");
}

#[test]
fn it_names_the_laggard_and_ends_with_two() {
    let mut nodes = chain();
    let addrs = nodes.each_ref().map(|node| node.daemon.addr);
    // Stopped: it keeps its port and says nothing.
    nodes[2].daemon.process().signal(libc::SIGSTOP);
    nodes[0].daemon.publish("example.", &version(2));
    let output = wait_command(&addrs, &["--serial", "2", "--timeout", "2s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text_of(&output));
    let said = text_of(&output);
    let named = said.lines().filter(|line| line.starts_with("  ")).collect::<Vec<_>>();
    assert!(named.len() == 1 && named[0].contains(&format!("{}:", addrs[2])), "{said}");
    assert!(named[0].contains("no answer"), "{said}");

    // Answering, but cut off from its primary: it shows the old version.
    nodes[1].daemon.kill();
    nodes[2].daemon.process().signal(libc::SIGCONT);
    await_until("the chained secondary to answer", LIMIT, || soa::serial(addrs[2], "example.").is_some());
    nodes[0].daemon.publish("example.", &version(3));
    nodes[0].daemon.await_serial("example.", 3, LIMIT);
    let at = [addrs[0], addrs[2]];
    let output = wait_command(&at, &["--serial", "3", "--timeout", "1s", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text_of(&output));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["converged"], false);
    let late: Vec<_> = answer["servers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|server| server["converged_after"].is_null())
        .collect();
    assert!(late.len() == 1 && late[0]["server"] == addrs[2].to_string(), "{answer}");
}

#[test]
fn it_ends_with_three_when_nobody_answers() {
    let addrs: [SocketAddr; 2] = ports::reserve_many();
    let output = wait_command(&addrs, &["--timeout", "1s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text_of(&output));
    assert!(text_of(&output).contains("no server answered"), "{}", text_of(&output));
}
