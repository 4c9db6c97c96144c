//! The program as a shell sees it: output, exit status, and no escapes where there is no terminal.

// The lint exempts test functions only, and helpers of a test may fail it too.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn tidemark(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidemark"))
        .args(arguments)
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap()
}

#[test]
fn help_is_status_zero_and_a_wrong_call_is_one() {
    let help = tidemark(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stdout).unwrap().contains("Examples:"));
    assert_eq!(
        tidemark(&["--version"]).stdout,
        format!("tidemark {}\n", env!("CARGO_PKG_VERSION")).as_bytes()
    );

    let wrong: [&[&str]; 3] = [&[], &["no-such-command"], &["completions", "csh"]];
    for arguments in wrong {
        let told = tidemark(arguments);
        assert_eq!(told.status.code(), Some(1), "{arguments:?}");
        assert!(told.stdout.is_empty() && !told.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn failures_go_to_standard_error_and_colour_only_where_asked_for() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside = file.path().join("pages");
    let plain = tidemark(&["man", inside.to_str().unwrap()]);
    assert_eq!(plain.status.code(), Some(1));
    assert!(String::from_utf8(plain.stderr).unwrap().starts_with("error: cannot write "));
    let coloured = tidemark(&["--colour", "always", "man", inside.to_str().unwrap()]);
    assert!(coloured.stderr.starts_with(b"\x1b["));
}

/// The log of a node says so as well, and its `status` does not.
#[test]
fn check_tells_of_two_files_with_one_zone() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("tidemark.toml");
    std::fs::create_dir(dir.path().join("z")).unwrap();
    for file in ["z/a.zone", "z/b.zone"] {
        std::fs::write(
            dir.path().join(file),
            "$ORIGIN example.\n@ 60 SOA ns host 1 60 60 60 60\n@ 60 NS ns.test.\n",
        )
        .unwrap();
    }
    let folder = "[server]\nlisten = [\"127.0.0.1:5399\"]\n[[zone-dir]]\npath = \"z\"\n";
    let secondary = format!("{folder}[[zone]]\nname = \"example.\"\nprimaries = [\"192.0.2.1\"]\n");
    for (text, said) in [(folder, "both hold this zone, example."), (&secondary, "comes from other servers")]
    {
        std::fs::write(&config, text).unwrap();
        let told = tidemark(&["check", config.to_str().unwrap()]);
        let stderr = String::from_utf8(told.stderr).unwrap();
        assert_eq!(told.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(said) && stderr.contains("b.zone") && stderr.contains("remove one"),
            "{stderr}"
        );
    }
}

#[test]
fn a_check_says_what_it_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = "$ORIGIN example.\n@ 60 SOA ns host 7 60 60 60 60\n@ 60 NS ns.test.\n";
    let config =
        "[server]\nlisten = [\"127.0.0.1:5399\"]\n[[zone]]\nname = \"example.\"\nfile = \"good.zone\"\n";
    let bad = format!("{text}www 60 A 192.0.2.999\n");
    for (name, text) in [("good.zone", text), ("bad.zone", &bad), ("tidemark.toml", config)] {
        std::fs::write(path(name), text).unwrap();
    }
    let (good, bad, config) = (path("good.zone"), path("bad.zone"), path("tidemark.toml"));
    let said = |args: &[&str]| String::from_utf8(tidemark(args).stdout).unwrap();
    let line = format!("{good}: example., 2 records, serial 7: ok\n");
    assert_eq!(said(&["check", &good, &bad]), line);
    assert_eq!(said(&["check", &config]), format!("{line}{config}: 1 zone: ok\n"));

    let told = tidemark(&["check", "--json", &good, &bad]);
    assert_eq!((told.status.code(), told.stderr.len()), (Some(1), 0));
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(
        told["zones"],
        serde_json::json!([{ "file": good, "zone": "example.", "serial": 7, "records": 2 }])
    );
    let finding = &told["findings"][0];
    assert_eq!((&told["errors"], &told["warnings"]), (&1.into(), &0.into()));
    assert_eq!((&finding["severity"], &finding["file"]), (&"error".into(), &bad.as_str().into()));
    assert_eq!((&finding["line"], &finding["column"]), (&4.into(), &10.into()));
}

#[test]
fn errors_of_a_configuration_that_are_not_told_one_by_one_are_counted_in_json() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("tidemark.toml");
    for (wrong, told, left_out) in [(3_u32, 3, 0), (50, 20, 30)] {
        let zone = |number| format!("[[zone]]\nname = \"z{number}.\"\nprimaries = [\"nowhere\"]\n");
        let zones: String = (0..wrong).map(zone).collect();
        std::fs::write(&config, format!("[server]\nlisten = [\"127.0.0.1:5399\"]\n{zones}")).unwrap();
        let output = tidemark(&["check", "--json", config.to_str().unwrap()]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["findings"].as_array().unwrap().len(), told, "{report}");
        assert_eq!((&report["errors"], &report["left_out"]), (&wrong.into(), &left_out.into()));
    }
}

/// What is wrong with the configuration hides nothing of its zone files, and a file that is not there is told where it is named.
#[test]
fn a_check_looks_at_zone_files_whatever_is_wrong_with_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let zone = "$ORIGIN b.test.\n@ 60 SOA ns host 7 60 60 60 60\n@ 60 NS ns\nns 60 A 192.0.2.999\n";
    std::fs::create_dir(dir.path().join("z")).unwrap();
    for (name, zone) in [("b.zone", zone.to_owned()), ("z/c.zone", zone.replace("b.test.", "c.test."))] {
        std::fs::write(path(name), zone).unwrap();
    }
    let config = "[server]\nlisten = [\"127.0.0.1:5399\"]\nnsdi = \"x\"\nhttp = \"127.0.0.1\"\n\
                  [[zone]]\nname = \"a.test.\"\nfile = \"zones/a.zone\"\n\
                  [[zone]]\nname = \"b.test.\"\nfile = \"b.zone\"\nnotify = [\"nowhere\"]\n\
                  [[zone-dir]]\npath = \"z\"\nallow-transfer = [\"nobody\"]\n";
    std::fs::write(path("tidemark.toml"), config).unwrap();
    // A path that is relative is told as it was resolved.
    let check = |json: &[&str]| {
        let mut check = Command::new(env!("CARGO_BIN_EXE_tidemark"));
        check.arg("check").args(json).arg("tidemark.toml").current_dir(dir.path()).output().unwrap()
    };
    let stderr = String::from_utf8(check(&[]).stderr).unwrap();
    for said in [
        "did you mean `nsid`?",
        "add the port: `127.0.0.1:9153`",
        "`nowhere` is not an address",
        "`nobody` is not an IP address",
        "--> b.zone:4:9",
        "--> z/c.zone:4:9",
        &format!("cannot read zone file {}: No such file", path("zones/a.zone")),
        "; put it there, or correct the path",
        "--> tidemark.toml:7:8",
        "7 | file = \"zones/a.zone\"",
        "7 errors, 0 warnings",
    ] {
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
    let told: serde_json::Value = serde_json::from_slice(&check(&["--json"]).stdout).unwrap();
    let of_file: Vec<_> = told["findings"].as_array().unwrap().iter().map(|it| &it["file"]).collect();
    let config = of_file.iter().filter(|file| **file == "tidemark.toml").count();
    assert_eq!((config, of_file.len()), (5, 7), "{told}");
}

#[test]
fn a_file_that_is_not_there_is_named_in_json() {
    let told = tidemark(&["check", "--json", "nothing/here.zone"]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["findings"][0]["file"], "nothing/here.zone", "{told}");
    assert!(told["findings"][0]["line"].is_null());
}

/// Of a first start nothing is said to have been loaded again.
#[test]
fn a_start_with_a_zone_file_that_is_broken_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("example.zone");
    std::fs::write(
        &bad,
        "$ORIGIN example.\n@ 60 SOA ns host 7 60 60 60 60\n@ 60 NS ns\nns 60 A 192.0.2.999\n",
    )
    .unwrap();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_tidemark"));
    serve.args(["serve", "--listen", "127.0.0.1:0"]).arg(&bad).current_dir(dir.path());
    let told = serve.output().unwrap();
    let stderr = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("not started: one zone is not in order:\nexample.: "), "{stderr}");
    assert!(!stderr.contains("reloaded"), "{stderr}");
}

#[test]
fn a_configuration_of_another_server_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let named = "// mine\noptions {\n  directory \"/var\";\n};\nzone \"a.test\" {\n  type primary;\n};\n";
    for (name, text, server) in [
        ("knot.conf", "server:\n  rundir: \"/run\"\nzone:\n  - domain: a.test\n", "Knot, NSD or Unbound"),
        ("named.conf", named, "BIND"),
        ("named (1).conf", named, "BIND"),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let told = tidemark(&["check", path.to_str().unwrap()]);
        let stderr = String::from_utf8(told.stderr).unwrap();
        let said = format!("{name}: this looks like a configuration of {server}, not a zone file");
        assert!(stderr.contains(&said) && stderr.contains("\n1 error, 0 warnings"), "{stderr}");
        assert_eq!((told.status.code(), stderr.matches("error: ").count()), (Some(1), 1), "{stderr}");
    }
}

/// Also where the name of the file is taken for that of the zone.
#[test]
fn a_zone_without_its_final_dot_is_told_of_once_and_what_else_lacks_it() {
    let dir = tempfile::tempdir().unwrap();
    let text = "$ORIGIN example.com\n@ 60 SOA ns host 7 60 60 60 60\n@ NS ns\nns A 192.0.2.1\n\
                www.example.com A 192.0.2.2\n";
    for name in ["c.zone", "example.com.zone"] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let told = tidemark(&["check", path.to_str().unwrap()]);
        let stderr = String::from_utf8(told.stderr).unwrap();
        assert!(stderr.contains("\n1 error, 1 warning\n"), "{stderr}");
        assert!(stderr.contains("this origin ends in the zone's name twice"), "{stderr}");
        assert!(!stderr.contains("example.com.c."), "{stderr}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidemark"))
        .arg("man")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn bash_accepts_the_completion_script() {
    let script = tidemark(&["completions", "bash"]).stdout;
    assert!(!script.is_empty());
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(&script).unwrap();
    assert!(bash.wait().unwrap().success());
}
