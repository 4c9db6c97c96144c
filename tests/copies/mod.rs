//! Copies of zone files in a folder of zones, and files of which several hold one zone.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::await_until::await_until;
use super::support::daemon::Daemon;
use super::support::{http, metrics, ports, soa, tidemark, zones};
use super::{LIMIT, SOON, await_log, start};

const FOLDER: &str = "[[zone-dir]]\npath = \"z\"\n";

fn file(node: &Daemon, name: &str) -> PathBuf {
    node.dir().join("z").join(name)
}

/// A node with a folder of these files.
fn start_with(config: &str, files: &[(&str, &str)]) -> Daemon {
    start(config, |dir| {
        fs::create_dir(dir.join("z")).unwrap();
        files.iter().for_each(|(name, text)| fs::write(dir.join("z").join(name), text).unwrap());
    })
}

/// What a command with the configuration of a node says, both outputs of one that speaks to people, and whether it is content.
fn ask(node: &Daemon, words: &[&str]) -> (bool, String) {
    let config = node.dir().join("tidemark.toml");
    let output = tidemark::command().args(words).arg("--config").arg(config).output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.success(), if words.contains(&"--json") { stdout } else { stdout + &stderr })
}

fn check(config: &Path) -> (bool, String) {
    let output = tidemark::command().arg("check").arg(config).output().unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn copies_take_no_zone_over_while_nobody_looks() {
    const ZONE: &str = "a.test.";
    const COPIES: [&str; 7] = [
        "a.bak.zone",
        "a (copy).zone",
        "a.sync-conflict-20261130-120000-ABCDEFG.zone",
        "Copy of a.zone",
        "a~.zone",
        "a.orig.zone",
        "0.old.zone",
    ];
    let text = |serial| zones::text(ZONE, serial, &[]);
    let mut node = start_with(FOLDER, &[("a.zone", &text(10))]);
    node.await_serial(ZONE, 10, LIMIT);
    node.stop();
    for copy in COPIES {
        fs::copy(file(&node, "a.zone"), file(&node, copy)).unwrap();
    }
    fs::write(file(&node, "a.zone"), zones::text(ZONE, 11, &["@ 60 TXT new"])).unwrap();
    node.restart();
    node.await_serial(ZONE, 11, LIMIT);
    zones::write(&file(&node, "a.zone"), &text(12));
    node.await_serial(ZONE, 12, SOON);
    assert_eq!(ask(&node, &["reload"]), (true, "reloaded a.test. (serial 12)\n".to_owned()));
    for copy in COPIES {
        let told = format!("{copy} is by its name a copy of another file, and no zone is served from it");
        await_log(&node, &told);
        assert_eq!(node.log().matches(&told).count(), 1, "{}", node.log());
    }
    let (is_well, told) = check(&node.dir().join("tidemark.toml"));
    assert!(is_well && told.contains("1 zone: ok"), "{told}");
    assert_eq!(told.matches("is by its name a copy").count(), COPIES.len(), "{told}");

    // Nothing is known of what was served.
    node.stop();
    fs::remove_dir_all(node.dir().join("state")).unwrap();
    node.restart();
    node.await_serial(ZONE, 12, LIMIT);

    // A zone goes with its file.
    fs::remove_file(file(&node, "a.zone")).unwrap();
    await_until("the zone to go with its file", SOON, || soa::serial(node.addr, ZONE).is_none());
    node.stop();
    node.restart();
    await_until("the end of the start", LIMIT, || ask(&node, &["status"]).0);
    assert_eq!(soa::serial(node.addr, ZONE), None);
}

/// The name of a zone comes from the name of its file where the file says none.
#[test]
fn copies_become_no_new_zones_and_zones_that_are_called_so_stay() {
    let nameless = "$TTL 60\n@ SOA ns.test. host.test. 1 1800 1 86400 5\n@ NS ns.test.\n";
    let named = format!("$ORIGIN example.old.\n{nameless}");
    let files = [
        ("example.com.zone", nameless),
        ("example.com.bak.zone", nameless),
        ("example.com-copy.zone", nameless),
        ("example.com_old.zone", nameless),
        ("example.com.sync-conflict-20261130-120000-ABCDEFG.zone", nameless),
        ("old.example.zone", nameless),
        ("example.zone", nameless),
        ("example.old.zone", &named),
        ("alone.old.zone", nameless),
    ];
    let node = start_with(FOLDER, &files);
    let is_served = |zone: &str| soa::serial(node.addr, zone).is_some();
    for zone in ["example.com.", "old.example.", "example.", "example.old.", "alone.old."] {
        node.await_serial(zone, 1, LIMIT);
    }
    let copies = [
        "example.com.bak.",
        "example.com-copy.",
        "example.com_old.",
        "example.com.sync-conflict-20261130-120000-ABCDEFG.",
    ];
    assert!(!copies.iter().any(|zone| is_served(zone)), "{}", node.log());
    let (is_well, told) = check(&node.dir().join("tidemark.toml"));
    assert!(is_well && told.contains("5 zones: ok"), "{told}");
    assert_eq!(told.matches("is by its name a copy").count(), copies.len(), "{told}");

    // What it is depends on what lies beside it.
    fs::write(file(&node, "alone.zone"), nameless).unwrap();
    node.await_serial("alone.", 1, SOON);
    await_until("the copy to be none", SOON, || !is_served("alone.old."));
    fs::remove_file(file(&node, "alone.zone")).unwrap();
    node.await_serial("alone.old.", 1, SOON);
    await_until("the zone to go with its file", SOON, || !is_served("alone."));
    // An editor that keeps the file before under another name.
    fs::rename(file(&node, "example.com.zone"), file(&node, "example.com.orig.zone")).unwrap();
    fs::write(file(&node, "example.com.zone"), nameless.replacen(" 1 ", " 2 ", 1)).unwrap();
    node.await_serial("example.com.", 2, SOON);
    await_until("one zone of the two", SOON, || !is_served("example.com.orig."));
}

/// Whoever names a file means it.
#[test]
fn a_copy_that_the_configuration_names_is_a_zone() {
    let config = format!("{FOLDER}[[zone]]\nname = \"a.test.\"\nfile = \"z/a.bak.zone\"\n");
    let node = start_with(&config, &[("a.bak.zone", &zones::text("a.test.", 1, &[]))]);
    node.await_serial("a.test.", 1, LIMIT);
    for serial in 2..4 {
        fs::write(file(&node, "a.bak.zone"), zones::text("a.test.", serial, &[])).unwrap();
        node.await_serial("a.test.", serial, SOON);
    }
    let (is_well, told) = check(&node.dir().join("tidemark.toml"));
    assert!(is_well && !told.contains("copy"), "{told}");
    assert!(!node.log().contains("copy of another file"), "{}", node.log());
}

#[test]
fn two_files_with_one_zone_are_told_for_as_long_as_they_are_there() {
    let http = ports::reserve();
    let text = |zone: &str, serial| zones::text(zone, serial, &[]);
    let node = start_with(
        &format!("http = \"{http}\"\n{FOLDER}"),
        // The one that is named like the zone, whatever the order and the serials.
        &[
            ("0.zone", &text("x.test.", 12)),
            ("x.test.zone", &text("x.test.", 11)),
            ("z.zone", &text("x.test.", 13)),
            ("other.zone", &text("y.test.", 5)),
        ],
    );
    node.await_serial("x.test.", 11, LIMIT);
    node.await_serial("y.test.", 5, LIMIT);
    let is_ok = |zone: &str| {
        let text = http::get(http, "/metrics").unwrap().body;
        metrics::value(&text, "tidemark_zone_file_ok", &[("zone", zone)])
    };
    let problem = |zone: &str| {
        let (_, status) = ask(&node, &["status", "--json"]);
        let status: Value = serde_json::from_str(&status).unwrap();
        let found = status["zones"].as_array().unwrap().iter().find(|found| found["zone"] == zone).unwrap();
        (found["state"].as_str().unwrap().to_owned(), found["problem"]["what"].as_str().map(str::to_owned))
    };
    let is_contested = |zone: &str, files: &[&str]| {
        let (state, what) = problem(zone);
        let what = what.unwrap_or_default();
        state == "behind"
            && what.contains("both hold this zone")
            && files.iter().all(|file| what.contains(file))
    };
    await_until("the problem", SOON, || {
        is_contested("x.test.", &["z/x.test.zone and ", "z/0.zone", "1 more"])
    });
    assert_eq!((is_ok("x.test."), is_ok("y.test.")), (Some(0.0), Some(1.0)));

    let (is_well, told) = check(&node.dir().join("tidemark.toml"));
    assert!(!is_well && told.contains("z/x.test.zone and ") && told.contains("2 errors"), "{told}");

    // Later the one that is served stays.
    fs::write(file(&node, "y.test.zone"), text("y.test.", 6)).unwrap();
    await_until("the problem", SOON, || is_contested("y.test.", &["z/other.zone and ", "z/y.test.zone"]));
    assert_eq!(soa::serial(node.addr, "y.test."), Some(5));

    // An edit and a reload change nothing of that.
    fs::write(file(&node, "x.test.zone"), text("x.test.", 14)).unwrap();
    node.await_serial("x.test.", 14, SOON);
    let (is_well, told) = ask(&node, &["reload"]);
    assert!(!is_well && told.contains("z/x.test.zone and ") && told.contains("z/y.test.zone"), "{told}");
    let (is_well, told) = ask(&node, &["reload", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(!is_well && told["failed"].as_array().unwrap().len() == 2, "{told}");
    assert!(!ask(&node, &["reload", "x.test."]).0);
    assert_eq!([is_ok("x.test."), is_ok("y.test.")], [Some(0.0); 2]);

    // One goes, one becomes another zone; and the one that is served goes.
    fs::remove_file(file(&node, "0.zone")).unwrap();
    await_until("the problem", SOON, || is_contested("x.test.", &["z/x.test.zone and ", "z/z.zone"]));
    fs::write(file(&node, "z.zone"), text("z.test.", 1)).unwrap();
    fs::remove_file(file(&node, "other.zone")).unwrap();
    node.await_serial("y.test.", 6, SOON);
    for zone in ["x.test.", "y.test.", "z.test."] {
        await_until("all to be well", SOON, || problem(zone) == ("current".to_owned(), None));
        assert_eq!(is_ok(zone), Some(1.0), "{zone}");
    }
    let (is_well, told) = ask(&node, &["reload"]);
    assert!(is_well, "{told}");
}
