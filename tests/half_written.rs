//! Zone files that cannot be read, or not yet, because somebody has them open for writing: half of what they are to hold is never served, and
//! what was served goes on, whatever has them read.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::await_until::{await_until, becomes_true};
use support::daemon::{Daemon, Reload, prepare, words};
use support::process::Process;
use support::{ports, soa, tidemark, zones};

const LIMIT: Duration = Duration::from_secs(20);
/// What is promised from an edit to its being served; several times that for a machine that does much else.
const SOON: Duration = Duration::from_secs(3);
/// Long enough for a wrong version to show.
const A_WHILE: Duration = Duration::from_secs(1);
const ZONE: &str = "example.";
const OTHER: &str = "other.";
/// Has no file when the node starts for the first time.
const LATE: &str = "late.";
/// What a file that is not read is said to be.
const OPEN: &str = ".zone is still open for writing by another process";

/// The ways to name the files.
fn configs() -> [String; 2] {
    let named =
        [ZONE, OTHER, LATE].map(|zone| format!("[[zone]]\nname = \"{zone}\"\nfile = \"z/{zone}zone\"\n"));
    ["[[zone-dir]]\npath = \"z\"\n".to_owned(), named.concat()]
}

/// A node with two zones of serial 1.
fn start(config: &str) -> Daemon {
    let (dir, addr) = (prepare(&[]), ports::reserve());
    fs::create_dir(dir.path().join("z")).unwrap();
    let file = dir.path().join("tidemark.toml");
    let server = format!(
        "[server]\nlisten = [\"{addr}\"]\ndata-dir = \"state\"\ncontrol = \"state/tidemark.sock\"\n{config}"
    );
    fs::write(&file, server).unwrap();
    let command = words([&tidemark::PROGRAM, &"serve", &"--config", &file]);
    let mut node = Daemon::new(dir, addr, &[], command, Reload::Watches);
    [ZONE, OTHER].iter().for_each(|zone| edit(&node, zone, 1));
    node.restart();
    [ZONE, OTHER].iter().for_each(|zone| node.await_serial(zone, 1, LIMIT));
    node
}

fn path(node: &Daemon, zone: &str) -> PathBuf {
    node.dir().join(format!("z/{zone}zone"))
}

fn edit(node: &Daemon, zone: &str, serial: u32) {
    zones::write(&path(node, zone), &zones::text(zone, serial, &[]));
}

/// A file that is being written.
struct Half {
    file: File,
    rest: String,
}

impl Half {
    /// Writes a zone up to the middle of its last record, which is another record so far.
    fn begin(node: &Daemon, zone: &str, serial: u32) -> Half {
        let text = zones::text(zone, serial, &["www A 192.0.2.123"]);
        let (half, rest) = text.split_at(text.len() - 3);
        let mut file = File::create(path(node, zone)).unwrap();
        file.write_all(half.as_bytes()).unwrap();
        Half { file, rest: rest.to_owned() }
    }

    fn end(mut self) {
        self.file.write_all(self.rest.as_bytes()).unwrap();
    }
}

fn reload(config: &Path, zones: &[&str], log: &str) -> Process {
    let mut command = tidemark::command();
    command.arg("reload").arg("--config").arg(config).args(zones);
    Process::start(command, &config.with_file_name(log))
}

fn await_log(node: &Daemon, what: &str) {
    await_until(&format!("`{what}` in the log"), LIMIT, || node.log().contains(what));
}

fn assert_stays(node: &Daemon, zone: &str, serial: Option<u32>) {
    let is_other = || soa::serial(node.addr, zone) != serial;
    assert!(!becomes_true(A_WHILE, is_other), "{zone}: {}", node.log());
}

#[test]
fn half_a_file_is_not_served() {
    let node = start(&configs()[1]);
    let half = Half::begin(&node, ZONE, 2);
    let is_changed = || soa::serial(node.addr, ZONE) != Some(1);
    // Longer than a writer that asks a database, or a network, is likely to pause.
    assert!(!becomes_true(Duration::from_secs(7), is_changed), "{}", node.log());
    half.end();
    node.await_serial(ZONE, 2, SOON);
}

#[test]
fn a_reload_waits_for_a_writer_and_then_says_that_it_did_in_vain() {
    for config in configs() {
        let node = start(&config);
        let file = node.dir().join("tidemark.toml");
        let half = Half::begin(&node, ZONE, 2);
        let mut all = reload(&file, &[], "all");
        edit(&node, OTHER, 2);
        // Nobody else waits with it.
        node.await_serial(OTHER, 2, SOON);
        assert_eq!(all.wait(LIMIT).code(), Some(1), "{}", all.log());
        let told = all.log();
        assert!(told.contains(&format!("{ZONE}: ")) && told.contains(OPEN), "{told}");
        assert!(told.contains("once it is closed") && !told.contains("check"), "{told}");
        assert_eq!(soa::serial(node.addr, ZONE), Some(1), "{}", node.log());

        let mut one = reload(&file, &[ZONE], "one");
        assert_stays(&node, ZONE, Some(1));
        assert!(one.is_running(), "{}", one.log());
        half.end();
        assert_eq!(one.wait(LIMIT).code(), Some(0), "{}", one.log());
        assert!(one.log().contains("reloaded example. (serial 2)"), "{}", one.log());
        assert_eq!(soa::serial(node.addr, ZONE), Some(2), "{}", node.log());
    }
}

#[test]
fn a_hangup_publishes_no_half_file() {
    for config in configs() {
        let mut node = start(&config);
        let half = Half::begin(&node, ZONE, 2);
        node.process().signal(libc::SIGHUP);
        edit(&node, OTHER, 2);
        node.await_serial(OTHER, 2, SOON);
        await_log(&node, "reloaded, but ");
        assert_stays(&node, ZONE, Some(1));
        assert!(node.log().contains(OPEN), "{}", node.log());
        half.end();
        node.await_serial(ZONE, 2, SOON);
    }
}

/// Whoever edits a file while a node starts may well say so at once.
#[test]
fn a_hangup_before_the_node_is_ready_is_for_when_it_is() {
    let mut node = start(&configs()[1]);
    node.stop();
    // Long enough to be read for the signal to come first.
    let many: Vec<String> = (0..100_000).map(|host| format!("h{host} A 192.0.2.1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    zones::write(&path(&node, OTHER), &zones::text(OTHER, 2, &many));
    let state = node.dir().join("state");
    fs::remove_dir_all(&state).unwrap();
    let mut command = tidemark::command();
    command.args(["serve", "--config"]).arg(node.dir().join("tidemark.toml"));
    let mut process = Process::start(command, &node.dir().join("again"));
    await_until("its folder", LIMIT, || state.join("node-id").exists());
    process.signal(libc::SIGHUP);
    await_until("the reload", LIMIT, || process.log().contains("reloaded"));
    assert!(process.is_running(), "{}", process.log());
    node.await_serial(OTHER, 2, LIMIT);
}

#[test]
fn a_node_that_starts_serves_what_it_had_until_the_writer_is_done() {
    for config in configs() {
        let mut node = start(&config);
        node.stop();
        let halves = [(ZONE, 2), (LATE, 7)].map(|(zone, serial)| Half::begin(&node, zone, serial));
        edit(&node, OTHER, 2);
        node.restart();
        // What was read before it answered.
        let serials = [ZONE, OTHER, LATE].map(|zone| soa::serial(node.addr, zone));
        assert_eq!(serials, [Some(1), Some(2), None], "{}", node.log());
        assert_stays(&node, ZONE, Some(1));
        assert_stays(&node, LATE, None);
        for file in ["example", "late"] {
            assert_eq!(node.log().matches(&format!("{file}{OPEN}")).count(), 1, "{}", node.log());
        }
        halves.into_iter().for_each(Half::end);
        node.await_serial(ZONE, 2, SOON);
        node.await_serial(LATE, 7, SOON);
    }
}

/// Whoever writes a file usually empties it first, and may take long for what comes then.
#[test]
fn a_file_that_is_emptied_takes_its_zone_from_no_node_that_starts() {
    for config in configs() {
        let mut node = start(&config);
        node.stop();
        let mut file = File::create(path(&node, ZONE)).unwrap();
        node.restart();
        assert_eq!(soa::serial(node.addr, ZONE), Some(1), "{}", node.log());
        file.write_all(zones::text(ZONE, 2, &[]).as_bytes()).unwrap();
        assert_stays(&node, ZONE, Some(1));
        drop(file);
        node.await_serial(ZONE, 2, SOON);
    }
}

/// Nobody but its owner may ask whether a file is open for writing (fcntl(2), F_SETLEASE). Where this does not run as root, there is no
/// other user.
#[test]
fn a_file_of_another_user_that_was_seen_to_be_written_is_not_read_either() {
    for config in configs() {
        let mut node = start(&config);
        node.stop();
        let _ = chown(path(&node, ZONE), Some(65_534), None);
        node.precede(words([&"unshare", &"--user", &"--map-root-user"]));
        node.restart();
        node.await_serial(ZONE, 1, LIMIT);
        let half = Half::begin(&node, ZONE, 2);
        let mut all = reload(&node.dir().join("tidemark.toml"), &[], "all");
        assert_eq!(all.wait(LIMIT).code(), Some(1), "{}", all.log());
        assert!(all.log().contains(OPEN), "{}", all.log());
        assert_eq!(soa::serial(node.addr, ZONE), Some(1), "{}", node.log());
        half.end();
        node.await_serial(ZONE, 2, SOON);
    }
}

#[test]
fn a_file_of_the_command_line_keeps_its_zone_while_it_is_away_or_written() {
    let (dir, addr) = (prepare(&[]), ports::reserve());
    fs::create_dir(dir.path().join("z")).unwrap();
    let listen = addr.to_string();
    let command = words([&tidemark::PROGRAM, &"serve", &"--listen", &listen, &"z/example.zone"]);
    let mut node = Daemon::new(dir, addr, &[], command, Reload::Watches);
    edit(&node, ZONE, 1);
    node.restart();
    node.await_serial(ZONE, 1, LIMIT);
    let reload = || {
        let mut command = tidemark::command();
        command.args(["reload", "--control"]).arg(node.dir().join("state/tidemark.sock"));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (file, aside) = (path(&node, ZONE), node.dir().join("aside"));
    fs::rename(&file, &aside).unwrap();
    let (code, told) = reload();
    assert_eq!(code, Some(1), "{told}");
    let missing = format!("{ZONE}: cannot read zone file {}: No such file", file.display());
    assert!(told.contains(&missing) && told.contains("; put it there, or correct the path"), "{told}");
    await_log(&node, &missing.replace(&format!("{ZONE}: "), ""));
    assert_eq!(soa::serial(addr, ZONE), Some(1), "{}", node.log());
    fs::rename(&aside, &file).unwrap();
    assert_eq!(reload().0, Some(0));

    let half = Half::begin(&node, ZONE, 2);
    let (code, told) = reload();
    assert!(code == Some(1) && told.contains(OPEN), "{code:?} {told}");
    assert_eq!(soa::serial(addr, ZONE), Some(1), "{}", node.log());
    half.end();
    node.await_serial(ZONE, 2, SOON);

    // It is asked what it holds all the same.
    zones::write(&file, &zones::text(OTHER, 7, &[]));
    assert_eq!(reload().0, Some(0));
    assert_eq!([ZONE, OTHER].map(|zone| soa::serial(addr, zone)), [None, Some(7)], "{}", node.log());
}

#[test]
fn a_node_that_starts_serves_what_it_had_of_a_file_that_cannot_be_read() {
    for config in configs() {
        let mut node = start(&config);
        node.stop();
        // Not even root reads so much; it takes no room.
        File::create(path(&node, ZONE)).unwrap().set_len(5 << 30).unwrap();
        node.restart();
        assert_eq!(soa::serial(node.addr, ZONE), Some(1), "{}", node.log());
        let status = tidemark::command()
            .args(["status", "--json", "--config"])
            .arg(node.dir().join("tidemark.toml"))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&status.stdout);
        assert!(told.contains("cannot read zone file"), "{told}");
        edit(&node, ZONE, 2);
        node.await_serial(ZONE, 2, SOON);
    }
}

#[test]
fn a_reload_fails_where_a_file_of_a_folder_is_left_out() {
    let node = start(&configs()[0]);
    let reload = || {
        let mut command = tidemark::command();
        command.args(["reload", "--json", "--config"]).arg(node.dir().join("tidemark.toml"));
        let output = command.output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), told)
    };
    let nameless = node.dir().join("z/no zone.zone");
    fs::write(&nameless, "www 60 A 192.0.2.1\n").unwrap();
    let half = Half::begin(&node, LATE, 7);
    let (code, told) = reload();
    assert_eq!(code, Some(1), "{told}");
    assert_eq!((&told["failed"], told["zones"].as_array().unwrap().len()), (&serde_json::json!([]), 2));
    let left: Vec<&str> =
        told["files"].as_array().unwrap().iter().map(|left| left["file"].as_str().unwrap()).collect();
    let has = |file: &str| left.iter().any(|left| left.ends_with(file));
    assert!(left.len() == 2 && has("no zone.zone") && has("late.zone"), "{told}");
    let error = told["error"].as_str().unwrap();
    assert!(error.contains("2 files are left out") && error.contains("no SOA and no $ORIGIN"), "{error}");
    assert!(error.contains(OPEN), "{error}");

    half.end();
    fs::remove_file(nameless).unwrap();
    let (code, told) = reload();
    assert_eq!((code, &told["files"]), (Some(0), &serde_json::json!([])), "{told}");
    assert_eq!(soa::serial(node.addr, LATE), Some(7));
}
