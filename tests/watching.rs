//! Edits that reach a node on odd ways: replaced folders, links, files that come empty, pipes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod copies;
mod support;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use support::await_until::{await_until, becomes_true};
use support::daemon::{Daemon, Reload, prepare, words};
use support::process::{self, Process};
use support::zones::Zone;
use support::{ports, soa, tidemark, zones};

const LIMIT: Duration = Duration::from_secs(20);
/// What is promised from an edit to its being served; several times that for a machine that does much else.
const SOON: Duration = Duration::from_secs(3);
const ZONE: &str = "example.";

/// A node whose folder `lay_out` fills before it starts.
fn start(config: &str, lay_out: impl Fn(&Path)) -> Daemon {
    let (dir, addr) = (prepare(&[]), ports::reserve());
    lay_out(dir.path());
    let server = format!(
        "[server]\nlisten = [\"{addr}\"]\ndata-dir = \"state\"\ncontrol = \"state/tidemark.sock\"\n{config}"
    );
    let file = dir.path().join("tidemark.toml");
    fs::write(&file, server).unwrap();
    let command = words([&tidemark::PROGRAM, &"serve", &"--config", &file]);
    Daemon::start(dir, addr, &[], command, Reload::Watches)
}

fn start_with_file(file: &str, lay_out: impl Fn(&Path)) -> Daemon {
    let node = start(&format!("[[zone]]\nname = \"{ZONE}\"\nfile = \"{file}\"\n"), lay_out);
    node.await_serial(ZONE, 1, LIMIT);
    node
}

fn text(serial: u32) -> String {
    zones::text(ZONE, serial, &[])
}

fn await_log(node: &Daemon, what: &str) {
    await_until(&format!("`{what}` in the log"), LIMIT, || node.log().contains(what));
}

fn copy(from: &Path, to: &Path) {
    process::run(Command::new("cp").arg("-r").arg(from).arg(to));
}

#[test]
fn a_folder_that_is_replaced_is_watched_again() {
    let node = start_with_file("p/z/example.zone", |dir| {
        fs::create_dir_all(dir.join("p/z")).unwrap();
        fs::write(dir.join("p/z/example.zone"), text(1)).unwrap();
    });
    let folder = node.dir().join("p/z");
    let file = folder.join("example.zone");
    let mut serial = 1;
    for (replaced, aside) in [("p/z", "p/old"), ("p", "old"), ("p/z", "p/older")] {
        let (replaced, aside) = (node.dir().join(replaced), node.dir().join(aside));
        fs::rename(&replaced, &aside).unwrap();
        copy(&aside, &replaced);
        for _ in 0..2 {
            serial += 1;
            fs::write(&file, text(serial)).unwrap();
            node.await_serial(ZONE, serial, SOON);
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    await_log(&node, "No such file");
    fs::create_dir(&folder).unwrap();
    fs::write(&file, text(serial + 1)).unwrap();
    node.await_serial(ZONE, serial + 1, SOON);
}

#[test]
fn a_change_behind_a_link_is_seen() {
    let node = start_with_file("z/a.zone", |dir| {
        ["z", "other", "third"].iter().for_each(|name| fs::create_dir(dir.join(name)).unwrap());
        fs::write(dir.join("other/a.zone"), text(1)).unwrap();
        symlink("../other/a.zone", dir.join("z/a.zone")).unwrap();
    });
    fs::write(node.dir().join("other/a.zone"), text(2)).unwrap();
    node.await_serial(ZONE, 2, SOON);

    // The link leads elsewhere, and is followed there.
    let third = node.dir().join("third/b.zone");
    fs::write(&third, text(3)).unwrap();
    symlink("../third/b.zone", node.dir().join("z/new")).unwrap();
    fs::rename(node.dir().join("z/new"), node.dir().join("z/a.zone")).unwrap();
    node.await_serial(ZONE, 3, SOON);
    fs::write(&third, text(4)).unwrap();
    node.await_serial(ZONE, 4, SOON);
}

#[test]
fn a_folder_swapped_by_its_link_is_seen() {
    let version = |folder: &Path, serial: u32| {
        let data = folder.join(format!("..{serial}"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("k.zone"), text(serial)).unwrap();
        symlink(format!("..{serial}"), folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    let lay_out = |dir: &Path| {
        let folder = dir.join("z");
        fs::create_dir(&folder).unwrap();
        version(&folder, 1);
        symlink("..data/k.zone", folder.join("k.zone")).unwrap();
    };
    let as_dir = start("[[zone-dir]]\npath = \"z\"\n", lay_out);
    let as_file = start_with_file("z/k.zone", lay_out);
    for node in [as_dir, as_file] {
        node.await_serial(ZONE, 1, LIMIT);
        for serial in 2..=3 {
            version(&node.dir().join("z"), serial);
            fs::remove_dir_all(node.dir().join(format!("z/..{}", serial - 1))).unwrap();
            node.await_serial(ZONE, serial, SOON);
        }
    }
}

#[test]
fn a_folder_of_zones_follows_what_its_files_hold() {
    let node = start("[[zone-dir]]\npath = \"z\"\n", |dir| fs::create_dir(dir.join("z")).unwrap());
    let [first, second, odd] =
        ["first.zone", "second.zone", "a b.zone"].map(|name| node.dir().join("z").join(name));
    let is_gone = |zone: &str| soa::serial(node.addr, zone).is_none();

    // Made empty and filled later.
    File::create(&first).unwrap();
    await_log(&node, "first.zone is empty");
    assert!(!node.log().contains("zone=first."), "{}", node.log());
    fs::write(&first, text(1)).unwrap();
    node.await_serial(ZONE, 1, SOON);

    // A broken edit does not make it another zone.
    fs::write(&first, "@ SOA ns.example. broken\n").unwrap();
    await_log(&node, "first.zone:1");
    assert_eq!(soa::serial(node.addr, ZONE), Some(1));

    // Another zone than before.
    fs::write(&first, zones::text("other.", 5, &[])).unwrap();
    node.await_serial("other.", 5, SOON);
    assert!(is_gone(ZONE));

    // Two files of one zone, until one goes; the other takes its place, and is watched.
    fs::write(&second, zones::text("other.", 9, &[])).unwrap();
    await_log(&node, "both hold this zone");
    assert_eq!(soa::serial(node.addr, "other."), Some(5));
    fs::remove_file(&first).unwrap();
    node.await_serial("other.", 9, SOON);
    fs::write(&second, zones::text("other.", 10, &[])).unwrap();
    node.await_serial("other.", 10, SOON);

    // Taken away for a moment, it is served on; taken away for good, it is not.
    fs::remove_file(&second).unwrap();
    fs::write(&second, zones::text("other.", 11, &[])).unwrap();
    node.await_serial("other.", 11, SOON);
    fs::remove_file(&second).unwrap();
    await_until("the zone to go with its file", SOON, || is_gone("other."));

    // A folder that is not there says nothing of the zones in it; what is missing when it is back has gone.
    fs::write(&second, zones::text("other.", 12, &[])).unwrap();
    node.await_serial("other.", 12, SOON);
    let (folder, aside) = (node.dir().join("z"), node.dir().join("aside"));
    fs::rename(&folder, &aside).unwrap();
    await_log(&node, "cannot read the folder ");
    fs::write(aside.join("first.zone"), text(7)).unwrap();
    fs::rename(&aside, &folder).unwrap();
    node.await_serial(ZONE, 7, SOON);
    assert_eq!(soa::serial(node.addr, "other."), Some(12));

    fs::write(&odd, "www 60 A 192.0.2.1\n").unwrap();
    await_log(&node, "file name is not a zone name");
}

/// Programs that replace files leave theirs behind when they are interrupted, and people keep copies.
#[test]
fn a_file_that_was_left_behind_takes_no_zone_over() {
    let mut node = start("[[zone-dir]]\npath = \"z\"\n", |dir| {
        fs::create_dir(dir.join("z")).unwrap();
        fs::write(dir.join("z/m.zone"), text(10)).unwrap();
    });
    node.await_serial(ZONE, 10, LIMIT);
    for (name, serial) in [(".ansible_tmp8s2ka.zone", 3), ("a (copy).zone", 4), ("b.zone", 5)] {
        fs::write(node.dir().join("z").join(name), zones::text(ZONE, serial, &["@ 60 TXT old"])).unwrap();
    }
    await_log(&node, "b.zone both hold this zone");
    await_log(&node, "a (copy).zone is by its name a copy");
    for _ in 0..2 {
        node.stop();
        node.restart();
        node.await_serial(ZONE, 10, LIMIT);
    }
    assert!(!node.log().contains("renumbered") && !node.log().contains("published as"), "{}", node.log());
    // It was edited while nobody looked, and still is the newest.
    node.stop();
    fs::write(node.dir().join("z/m.zone"), zones::text(ZONE, 11, &["@ 60 TXT new"])).unwrap();
    node.restart();
    node.await_serial(ZONE, 11, LIMIT);
}

#[test]
fn a_reload_follows_the_configuration() {
    let (z, y) = ("[[zone-dir]]\npath = \"z\"\n", "[[zone-dir]]\npath = \"y\"\n");
    let node = start(z, |dir| {
        ["z", "y"].iter().for_each(|folder| fs::create_dir(dir.join(folder)).unwrap());
        fs::write(dir.join("z/example.zone"), text(1)).unwrap();
        fs::write(dir.join("z/other.zone"), zones::text("other.", 1, &[])).unwrap();
        fs::write(dir.join("y/third.zone"), zones::text("third.", 1, &[])).unwrap();
        fs::write(dir.join("y/copy.zone"), zones::text("other.", 2, &[])).unwrap();
    });
    let config = node.dir().join("tidemark.toml");
    let server = fs::read_to_string(&config).unwrap().replace(z, "");
    let serials = || [ZONE, "other.", "third."].map(|zone| soa::serial(node.addr, zone));
    let reconfigure = |zones: &str| {
        fs::write(&config, format!("{server}{zones}")).unwrap();
        let output = tidemark::command().arg("reload").arg("--config").arg(&config).output().unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.success(), text.concat())
    };
    assert_eq!(serials(), [Some(1), Some(1), None]);

    // A folder that comes brings its zones, but for one that is held already.
    let (is_well, told) = reconfigure(&format!("{z}{y}"));
    assert!(!is_well && told.contains("added third.; reloaded, but one zone is not in order:"), "{told}");
    assert!(told.contains("other.zone and ") && told.contains("copy.zone both hold this zone"), "{told}");
    assert_eq!(serials(), [Some(1), Some(1), Some(1)]);
    await_log(&node, "both hold this zone, other.");

    // A file that moves to another folder takes its zone along.
    fs::rename(node.dir().join("z/example.zone"), node.dir().join("y/moved.zone")).unwrap();
    let moved = |serial| fs::write(node.dir().join("y/moved.zone"), text(serial)).unwrap();
    moved(2);
    node.await_serial(ZONE, 2, SOON);

    // A folder that goes takes its zones along, but for one that waits elsewhere.
    reconfigure(y);
    assert_eq!(serials(), [Some(2), Some(2), Some(1)]);

    // What is named by itself comes first, and is another file from then on.
    fs::write(node.dir().join("named.zone"), text(3)).unwrap();
    reconfigure(&format!("{y}[[zone]]\nname = \"{ZONE}\"\nfile = \"named.zone\"\n"));
    assert_eq!(serials(), [Some(3), Some(2), Some(1)]);
    assert_eq!(reconfigure(""), (true, "removed example. other. third.\n".to_owned()));
    assert_eq!(serials(), [None, None, None]);
}

#[test]
fn a_reload_names_what_takes_a_restart() {
    let node = start_with_file("example.zone", |dir| fs::write(dir.join("example.zone"), text(1)).unwrap());
    let config = node.dir().join("tidemark.toml");
    let before = fs::read_to_string(&config).unwrap();
    let reload = |settings: &str, options: &[&str]| {
        fs::write(&config, settings).unwrap();
        process::run(tidemark::command().arg("reload").arg("--config").arg(&config).args(options))
    };
    let changed = before.replacen("[[zone]]", "nsid = \"a\"\nworkers = 1\n[[zone]]", 1);
    // What was told once is no more in force for that.
    for _ in 0..2 {
        let output = reload(&changed, &[]);
        assert!(output.contains("reloaded example. (serial 1)\n"), "{output}");
        assert!(
            output.contains("only a restart of the node brings it into force: workers, nsid"),
            "{output}"
        );
    }
    let output = reload(&changed, &["--json"]);
    assert!(output.contains(r#""needs_restart":["workers","nsid"]"#), "{output}");
    // What is in force again takes none.
    assert_eq!(reload(&before, &[]), "reloaded example. (serial 1)\n");
}

/// Who reads JSON reads standard output alone.
#[test]
fn orders_tell_zones_alike_and_say_why_they_are_refused_in_json_too() {
    let node = start_with_file("example.zone", |dir| fs::write(dir.join("example.zone"), text(1)).unwrap());
    let (config, control) = (node.dir().join("tidemark.toml"), node.dir().join("state/tidemark.sock"));
    let order = |words: &[&str], flag: &str, path: &Path| {
        let output = tidemark::command().args(words).args(["--json", flag]).arg(path).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), told, String::from_utf8(output.stderr).unwrap())
    };
    let is_refused = |words: &[&str], flag: &str, path: &Path, status: i32, why: &str| {
        let (code, told, said) = order(words, flag, path);
        assert_eq!(code, Some(status), "{told}");
        let error = told["error"].as_str().unwrap();
        assert!(error.contains(why) && said.contains(why), "{told} {said}");
        told
    };
    // By another node a secondary, which has nothing yet.
    let secondary = tidemark::start(ports::reserve(), &[Zone::secondary(ZONE, &[node.addr])]);
    let (code, told, _) = order(&["refresh"], "--control", &secondary.control());
    assert_eq!(code, Some(0));
    assert_eq!(told["zones"][0]["zone"], ZONE, "{told}");
    assert!(told["zones"][0].as_object().unwrap().contains_key("serial"), "{told}");
    is_refused(&["refresh"], "--control", &control, 1, "this node has no secondary zones");
    is_refused(&["flush"], "--control", &control, 1, "this node has no cache");

    // Refused by the node, and by nobody.
    let before = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{before}nonsense = 1\n")).unwrap();
    let told = is_refused(&["reload"], "--config", &config, 1, "nonsense");
    assert_eq!((&told["zones"], &told["failed"]), (&serde_json::json!([]), &serde_json::json!([])));
    let output = tidemark::command().args(["check", "--json"]).arg(&config).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &found["errors"]), (Some(1), &1.into()), "{found}");
    fs::write(&config, format!("{before}nonsense\n")).unwrap();
    // What is left of it tells where the node is, and that is asked.
    let told = is_refused(&["reload"], "--config", &config, 1, "nonsense");
    assert_eq!(told["zones"], serde_json::json!([]));
    let (_, status, _) = order(&["status"], "--config", &config);
    assert!(status["not_reloaded"]["what"].as_str().unwrap().contains("tidemark.toml:"), "{status}");
    is_refused(&["reload"], "--control", &node.dir().join("absent"), 3, "no node answers on");
}

#[test]
fn a_serial_that_goes_back_alone_is_told_once() {
    let node = start_with_file("example.zone", |dir| fs::write(dir.join("example.zone"), text(1)).unwrap());
    let (file, config) = (node.dir().join("example.zone"), node.dir().join("tidemark.toml"));
    zones::write(&file, &text(7));
    node.await_serial(ZONE, 7, LIMIT);
    zones::write(&file, &text(3));
    await_log(&node, "went back from 7 to 3");
    process::run(tidemark::command().arg("reload").arg("--config").arg(&config));
    assert_eq!(node.log().matches("went back").count(), 1, "{}", node.log());
    assert_eq!(soa::serial(node.addr, ZONE), Some(7));
}

/// Several files hold a zone, and which ones changes faster than they are read. A zone is served for as long as one does.
#[test]
fn zones_stay_while_their_files_change_hands() {
    const ZONES: [&str; 3] = ["x.", "y.", "z."];
    const FILES: usize = 6;
    const BURSTS: u32 = 60;
    let node = start("[[zone-dir]]\npath = \"z\"\n", |dir| fs::create_dir(dir.join("z")).unwrap());
    let mut rng = StdRng::seed_from_u64(854);
    let mut held = [None; FILES];
    for burst in 0..BURSTS {
        for change in 0..rng.random_range(1..=10) {
            let (file, zone) = (rng.random_range(0..FILES), rng.random_range(0..ZONES.len()));
            let text = zones::text(ZONES[zone], 100 * burst + change + 1, &[]);
            zones::write(&node.dir().join(format!("z/{file}.zone")), &text);
            held[file] = Some(zone);
            // Before, while and after the file before is read.
            std::thread::sleep(Duration::from_millis(rng.random_range(0..8)));
        }
        let wanted = [0, 1, 2].map(|zone| held.contains(&Some(zone)));
        let served = || ZONES.map(|zone| soa::serial(node.addr, zone).is_some());
        assert!(becomes_true(LIMIT, || served() == wanted), "{wanted:?} in burst {burst}: {}", node.log());
    }
}

/// As on a host where others have used up fs.inotify.max_user_instances.
#[test]
fn a_node_that_cannot_watch_serves_and_says_so() {
    let (dir, addr) = (prepare(&[]), ports::reserve());
    fs::write(dir.path().join("example.zone"), text(1)).unwrap();
    let zone = format!("[[zone]]\nname = \"{ZONE}\"\nfile = \"example.zone\"\n");
    let config = dir.path().join("tidemark.toml");
    fs::write(&config, format!("[server]\nlisten = [\"{addr}\"]\ndata-dir = \"state\"\n{zone}")).unwrap();
    let serve = "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$0\" serve --config tidemark.toml";
    let command =
        words([&"unshare", &"--user", &"--map-root-user", &"sh", &"-c", &serve, &tidemark::PROGRAM]);
    let node = Daemon::start(dir, addr, &[], command, Reload::Watches);
    node.await_serial(ZONE, 1, LIMIT);
    assert_eq!(node.log().matches("cannot watch for edits").count(), 1, "{}", node.log());
    assert!(node.log().contains("fs.inotify.max_user_instances"), "{}", node.log());
    fs::write(node.dir().join("example.zone"), text(2)).unwrap();
    process::run(tidemark::command().arg("reload").arg("--config").arg(node.dir().join("tidemark.toml")));
    node.await_serial(ZONE, 2, SOON);
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let dir = prepare(&[]);
    let pipe = dir.path().join("example.zone");
    process::run(Command::new("mkfifo").arg(&pipe));
    let endless = dir.path().join("endless.zone");
    fs::write(&endless, format!("{}$INCLUDE /dev/zero\n", text(1))).unwrap();
    // Nobody ever writes into these pipes.
    let config = dir.path().join("pipe.toml");
    process::run(Command::new("mkfifo").arg(&config));
    for (file, named) in [(&pipe, "example.zone"), (&endless, "/dev/zero"), (&config, "pipe.toml")] {
        let mut command = tidemark::command();
        command.arg("check").arg(file);
        let mut check = Process::start(command, &dir.path().join(format!("{}.log", named.replace('/', "-"))));
        assert_eq!(check.wait(LIMIT).code(), Some(1), "{}", check.log());
        let log = check.log();
        assert!(log.contains("not a regular file") && log.contains(named), "{log}");
    }
}

/// Nobody ever writes into this pipe.
#[test]
fn a_configuration_on_a_pipe_is_refused() {
    let dir = prepare(&[]);
    let pipe = dir.path().join("pipe.toml");
    process::run(Command::new("mkfifo").arg(&pipe));
    for asked in ["check $1", "serve --config $1", "reload --config $1", "serve --config /dev/stdin <>$1"] {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("exec $0 {asked}")).arg(tidemark::PROGRAM).arg(&pipe);
        let mut refused = Process::start(command, &dir.path().join("log"));
        assert_ne!(refused.wait(LIMIT).code(), Some(0), "{asked}: {}", refused.log());
        let log = refused.log();
        let next_step = "a pipe will not do, for a reload reads it again";
        assert!(log.contains("not a regular file") && log.contains(next_step), "{asked}: {log}");
    }
}

#[test]
fn a_thousand_files_come_change_and_go_at_once() {
    const FILES: u32 = 1_000;
    let name = |number: u32| format!("zone{number}.test.");
    let node = start("[[zone-dir]]\npath = \"z\"\n", |dir| {
        fs::create_dir(dir.join("z")).unwrap();
        fs::write(dir.join("z/example.zone"), text(1)).unwrap();
    });
    node.await_serial(ZONE, 1, LIMIT);
    let path = |number: u32| node.dir().join(format!("z/{number}.zone"));
    let serials = || [0, FILES / 2, FILES - 1].map(|number| soa::serial(node.addr, &name(number)));
    for serial in [1, 2] {
        for number in 0..FILES {
            fs::write(path(number), zones::text(&name(number), serial, &[])).unwrap();
        }
        await_until(&format!("serial {serial} of all"), LIMIT, || serials() == [Some(serial); 3]);
    }
    (0..FILES).for_each(|number| fs::remove_file(path(number)).unwrap());
    await_until("none of them", LIMIT, || serials() == [None; 3]);
    assert_eq!(soa::serial(node.addr, ZONE), Some(1));
}

/// What many zones do at once is one line, and what an operator was told is in the node's own log too.
#[test]
fn a_reload_that_fails_and_a_folder_that_is_emptied_are_a_line_each_in_the_log() {
    let zone = |number| format!("z{number}.");
    let node = start("[[zone-dir]]\npath = \"z\"\n", |dir| {
        fs::create_dir(dir.join("z")).unwrap();
        for zone in (0..20).map(zone) {
            fs::write(dir.join(format!("z/{zone}zone")), zones::text(&zone, 1, &[])).unwrap();
        }
    });
    node.await_serial("z19.", 1, LIMIT);
    let config = node.dir().join("tidemark.toml");
    let refused = |command: &str| {
        let output = tidemark::command().arg(command).arg("--config").arg(&config).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    fs::write(node.dir().join("z/z7.zone"), "$ORIGIN z7.\n$TTL 1\n@ SOA a a 2 2 3 4 5\n@ NS a\nw A 1\n")
        .unwrap();
    let told = refused("reload");
    assert!(told.contains("z7."), "{told}");
    let machine = tidemark::command().args(["reload", "--json", "--config"]).arg(&config).output().unwrap();
    assert_eq!(machine.status.code(), Some(1));
    let machine: Value = serde_json::from_slice(&machine.stdout).unwrap();
    let counts = ["zones", "failed"].map(|key| machine[key].as_array().unwrap().len());
    assert_eq!(counts, [19, 1], "{machine}");
    assert_eq!(machine["failed"][0]["zone"], "z7.");
    assert!(machine["failed"][0]["error"].as_str().unwrap().contains("z7.zone"), "{machine}");
    await_log(&node, "reloaded, but 1 of 20 primary zones are not up to date: z7.: ");
    let told = refused("flush");
    assert!(told.contains("this node has no cache; ask one that has `[resolver]`"), "{told}");
    for zone in (0..20).map(zone) {
        fs::remove_file(node.dir().join(format!("z/{zone}zone"))).unwrap();
    }
    await_log(&node, "20 zones are not served any more until files hold them: ");
    assert_eq!(node.log().matches("not served any more").count(), 1, "{}", node.log());
}

/// What `Type=notify-reload` of systemd waits for, by a manager of our own.
#[test]
fn a_service_manager_is_told_when_the_node_is_ready_reloads_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(LIMIT)).unwrap();
    let told = || {
        let mut buffer = [0; 512];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()
    };
    let socket = format!("NOTIFY_SOCKET={}", path.display());
    let words = words([&"env", &socket]);
    let mut node = tidemark::start_under(ports::reserve(), &[Zone::primary(ZONE, text(1))], words);
    assert_eq!(told(), "READY=1");
    zones::write(&node.daemon.zone_file(ZONE), &text(2));
    node.daemon.process().signal(libc::SIGHUP);
    let reloading = told();
    let at = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{reloading}"));
    assert!(at.parse::<u64>().is_ok(), "{at}");
    assert_eq!(told(), "READY=1");
    assert_eq!(soa::serial(node.daemon.addr, ZONE), Some(2));
    node.daemon.stop();
    assert_eq!(told(), "STOPPING=1");
}
