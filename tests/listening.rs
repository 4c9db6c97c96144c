//! Addresses and files that cannot be had when a node starts: they keep nothing else down, and are taken once they can be had.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::fmt::Display;
use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use support::await_until::await_until;
use support::daemon::{self, Daemon, Reload, words};
use support::process::{program, run};
use support::tidemark::{self, PROGRAM};
use support::zones::{self, Zone};
use support::{dig, http, ports, soa};

const LIMIT: Duration = Duration::from_secs(30);
const ZONE: &str = "example.";

/// A folder with a zone and a configuration.
fn prepare(listen: [&SocketAddr; 2], more: &dyn Display) -> (TempDir, [Zone; 1]) {
    let zones = [Zone::primary(ZONE, zones::text(ZONE, 1, &[]))];
    let dir = daemon::prepare(&zones);
    let [first, second] = listen;
    let toml = format!(
        "[server]\nlisten = [\"{first}\", \"{second}\"]\ndata-dir = \"state\"\n{more}\n[[zone]]\nname = \"{ZONE}\"\nfile = \"{}\"\n",
        zones[0].file_name()
    );
    fs::write(dir.path().join("tidemark.toml"), toml).unwrap();
    (dir, zones)
}

fn start(listen: [&SocketAddr; 2], http: SocketAddr) -> Daemon {
    let (dir, zones) = prepare(listen, &format_args!("http = \"{http}\""));
    let command = words([&PROGRAM, &"serve", &"--config", &"tidemark.toml"]);
    let node = Daemon::start(dir, *listen[0], &zones, command, Reload::Watches);
    node.await_serial(ZONE, 1, LIMIT);
    node
}

fn times(node: &Daemon, words: &str) -> usize {
    node.log().matches(words).count()
}

#[test]
fn a_busy_port_is_taken_when_its_holder_goes() {
    let holder = ports::bind();
    let busy = holder.0.local_addr().unwrap();
    let [addr, http] = ports::reserve_many();
    let node = start([&addr, &busy], http);
    assert_eq!(times(&node, &format!("cannot listen on {busy}")), 1, "{}", node.log());
    let missing = || {
        let status = http::get(http, "/api/v1/status").unwrap().body;
        serde_json::from_str::<Value>(&status).unwrap()["not_listening"].clone()
    };
    let told = missing();
    assert_eq!(told[0]["address"], busy.to_string(), "{told}");
    assert!(told[0]["reason"].as_str().unwrap().contains("stop the server that uses it"), "{told}");
    await_until("the node to be ready", LIMIT, || http::get(http, "/ready").unwrap().status == 200);
    let status = || {
        let mut command = tidemark::command();
        command.args(["status", "--control"]).arg(node.dir().join("state/tidemark.sock"));
        let output = command.output().unwrap();
        let [shown, said] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), shown, said)
    };
    let count = || {
        let page = http::get(http, "/metrics").unwrap().body;
        let series = "tidemark_not_listening{state=\"unbound\"} ";
        page.lines().find_map(|line| line.strip_prefix(series)).map(str::to_owned)
    };
    assert_eq!((&told[0]["state"], count().as_deref()), (&json!("unbound"), Some("1")));
    let (code, shown, said) = status();
    assert!(code == Some(1) && said.contains(&format!("nothing is served on {busy}: TCP: ")), "{said}");
    assert!(shown.lines().next().unwrap().ends_with(&format!("on {addr}")), "{shown}");
    assert!(shown.contains(&format!("not listening on {busy} yet: TCP: ")), "{shown}");

    drop(holder);
    await_until("the port to be taken", LIMIT, || soa::serial(busy, ZONE) == Some(1));
    assert_eq!(dig::short(busy, &["+tcp", ZONE, "SOA"]).len(), 1);
    await_until("the node to say so", LIMIT, || missing() == json!([]));
    assert_eq!(times(&node, &format!("listening on {busy} now")), 1, "{}", node.log());
    assert_eq!(times(&node, &format!("cannot listen on {busy}")), 1, "{}", node.log());
    let (code, shown, said) = status();
    assert!(shown.lines().next().unwrap().ends_with(&format!("on {addr}, {busy}")));
    assert_eq!((code, &*said, count().as_deref()), (Some(0), "", Some("0")));
    node.publish(ZONE, &zones::text(ZONE, 2, &[]));
    for addr in [addr, busy] {
        await_until("the new version", LIMIT, || soa::serial(addr, ZONE) == Some(2));
    }
}

#[test]
fn a_busy_http_address_keeps_no_dns_down() {
    let (_, holder) = ports::bind();
    let http = holder.local_addr().unwrap();
    let [first, second] = ports::reserve_many();
    let node = start([&first, &second], http);
    assert_eq!(soa::serial(second, ZONE), Some(1));
    assert_eq!(times(&node, &format!("cannot listen on {http} (HTTP)")), 1, "{}", node.log());
    drop(holder);
    await_until("metrics", LIMIT, || {
        http::get(http, "/metrics").is_ok_and(|page| page.status == 200 && page.body.contains("tidemark_"))
    });
    let told = format!("metrics and pages on http://{http}/ now");
    await_until("the node to say so", LIMIT, || times(&node, &told) == 1);
}

#[test]
fn a_configuration_that_was_refused_is_shown_until_one_is_taken() {
    let [first, second] = ports::reserve_many();
    let (dir, zones) = prepare([&first, &second], &"");
    let command = words([&PROGRAM, &"serve", &"--config", &"tidemark.toml"]);
    let node = Daemon::start(dir, first, &zones, command, Reload::Watches);
    node.await_serial(ZONE, 1, LIMIT);
    let told = |command: &str, more: &[&str]| {
        let control = ["--control", "state/tidemark.sock"];
        let command =
            tidemark::command().arg(command).args(more).args(control).current_dir(node.dir()).output();
        let output = command.unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let refusal =
        || serde_json::from_str::<Value>(&told("status", &["--json"]).1).unwrap()["not_reloaded"].clone();
    assert!(refusal().is_null() && !told("status", &[]).1.contains("not reloaded"));
    let config = node.dir().join("tidemark.toml");
    let sound = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{sound}[resolver]\nunknown = 1\n")).unwrap();
    assert!(!told("reload", &[]).0);
    let problem = refusal();
    let what = problem["what"].as_str().unwrap();
    assert!(what.contains("`unknown`") && what.contains("run `tidemark reload`"), "{problem}");
    assert!(problem["since"].as_str().unwrap().ends_with('Z') && !what.contains('\n'), "{problem}");
    let shown = told("status", &[]).1;
    assert!(shown.contains("not reloaded at ") && shown.contains(what), "{shown}");
    fs::write(&config, &sound).unwrap();
    assert!(told("reload", &[]).0);
    assert!(refusal().is_null());
    // What takes a restart stays there too, until it is taken back.
    let restart =
        || serde_json::from_str::<Value>(&told("status", &["--json"]).1).unwrap()["needs_restart"].clone();
    assert_eq!(restart(), json!([]));
    fs::write(&config, format!("metrics-per-zone = true\n{sound}")).unwrap();
    assert!(told("reload", &[]).0);
    assert_eq!(restart(), json!(["metrics-per-zone"]));
    let shown = told("status", &[]).1;
    assert!(shown.contains("needs a restart: changed") && shown.contains("metrics-per-zone"), "{shown}");
    fs::write(&config, &sound).unwrap();
    assert!(told("reload", &[]).0);
    assert_eq!(restart(), json!([]));
}

/// As where a disk is mounted late, or a certificate is still to be fetched.
#[test]
fn what_cannot_be_read_keeps_nothing_else_down_and_is_taken_when_it_can_be_read() {
    let [first, second, http, tls] = ports::reserve_many();
    let more = format!(
        "http = \"{http}\"\ncookie-secret-file = \"cookies.key\"\n[server.tls]\nlisten = [\"{tls}\"]\n\
         certificate = \"dns.crt\"\nkey = \"dns.key\"\n[[zone-dir]]\npath = \"z\"\n"
    );
    let (dir, zones) = prepare([&first, &second], &more);
    let command = words([&PROGRAM, &"serve", &"--config", &"tidemark.toml"]);
    let node = Daemon::start(dir, first, &zones, command, Reload::Watches);
    node.await_serial(ZONE, 1, LIMIT);
    for what in ["cannot read the folder", "cannot read the certificate", "cannot read the cookie secrets"] {
        assert_eq!(times(&node, what), 1, "{what}: {}", node.log());
    }
    let about = |key: &str| {
        let status = http::get(http, "/api/v1/status").unwrap().body;
        serde_json::from_str::<Value>(&status).unwrap()[key].clone()
    };
    let paths = || {
        let paths: Vec<Value> =
            about("not_read").as_array().unwrap().iter().map(|one| one["path"].clone()).collect();
        paths
    };
    assert_eq!(paths(), ["dns.crt", "cookies.key", "z"]);
    let ready = || http::get(http, "/ready").unwrap();
    let page = ready();
    assert!(page.status == 503 && page.body.contains("cannot read the folder z"), "{}", page.body);
    let closed = about("not_listening");
    assert_eq!(closed[0]["address"], tls.to_string(), "{closed}");
    assert!(closed[0]["reason"].as_str().unwrap().contains("cannot read the certificate"), "{closed}");
    assert!(TcpStream::connect(tls).is_err());
    let told = |command: &str, more: &[&str]| {
        tidemark::command().arg(command).args(more).current_dir(node.dir()).output().unwrap()
    };
    let control = ["--control", "state/tidemark.sock"];
    let shown = String::from_utf8(told("status", &control).stdout).unwrap();
    assert!(shown.contains("not read yet: cannot read the folder z: No such file"), "{shown}");
    for (command, more) in [("check", &["tidemark.toml"][..]), ("reload", &control[..])] {
        let refused = told(command, more);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(1) && said.contains("cannot read the folder z"), "{said}");
    }
    assert_eq!(soa::serial(first, ZONE), Some(1));

    fs::create_dir(node.dir().join("z")).unwrap();
    fs::write(node.dir().join("z/late.zone"), zones::text("late.", 7, &[])).unwrap();
    await_until("the node to be ready", LIMIT, || ready().status == 200);
    assert_eq!(soa::serial(first, "late."), Some(7), "it is ready with all its zones");
    let made = rcgen::generate_simple_self_signed(["dns.example".to_owned()]).unwrap();
    fs::write(node.dir().join("dns.key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(node.dir().join("dns.crt"), made.cert.pem()).unwrap();
    await_until("the certificate to be taken", LIMIT, || TcpStream::connect(tls).is_ok());
    let port = tls.port().to_string();
    let asked = ["@127.0.0.1", "-p", &port, "+tls", "+short", ZONE, "SOA"];
    assert_eq!(run(Command::new(program("kdig")).args(asked)).lines().count(), 1);
    await_until("the node to say so", LIMIT, || about("not_listening") == json!([]));
    assert_eq!(times(&node, &format!("listening on {tls} (TLS) now")), 1, "{}", node.log());
    await_until("the folder to be read", LIMIT, || paths() == ["cookies.key"]);
    fs::write(node.dir().join("cookies.key"), "11".repeat(16)).unwrap();
    // Whether this comes first, or another try.
    let reloaded = told("reload", &control);
    assert!(reloaded.status.success(), "{}", String::from_utf8_lossy(&reloaded.stderr));
    assert_eq!(about("not_read"), json!([]));

    // It goes away under the node, and comes back.
    fs::rename(node.dir().join("z"), node.dir().join("y")).unwrap();
    await_until("the folder to be missed", LIMIT, || paths() == ["z"]);
    let shown = String::from_utf8(told("status", &control).stdout).unwrap();
    assert!(shown.contains("gone: cannot read the folder z: No such file"), "{shown}");
    assert_eq!(about("not_read")[0]["gone"], true);
    let health = || {
        let output = told("status", &[&control[..], &["--json"]].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = health();
    assert!(code == Some(1) && said.contains("cannot read the folder z: No such file"), "{said}");
    let has = |sample: &str| http::get(http, "/metrics").unwrap().body.lines().any(|line| line == sample);
    assert!(has("tidemark_not_read{what=\"folder\"} 1") && has("tidemark_not_read{what=\"cookies\"} 0"));
    assert_eq!(told("reload", &control).status.code(), Some(1));
    assert!(about("not_reloaded")["what"].as_str().unwrap().contains("cannot read the folder z"));
    assert!(has("tidemark_config_last_reload_ok 0"));
    assert_eq!(soa::serial(first, "late."), Some(7));
    assert_eq!(ready().status, 200, "its zones are served");
    fs::write(node.dir().join("y/late.zone"), zones::text("late.", 8, &[])).unwrap();
    fs::rename(node.dir().join("y"), node.dir().join("z")).unwrap();
    node.await_serial("late.", 8, LIMIT);
    await_until("the folder to be read again", LIMIT, || paths().is_empty());
    // Nothing else was wrong when the reload was refused.
    await_until("the refusal to pass", LIMIT, || about("not_reloaded").is_null());
    assert!(has("tidemark_config_last_reload_ok 1") && has("tidemark_not_read{what=\"folder\"} 0"));
    assert_eq!(health(), (Some(0), String::new()));
}

/// What root reads before the node becomes another user.
#[test]
fn what_the_user_of_the_node_cannot_read_is_told_and_a_folder_taken_when_it_can_be_read() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("left out: only root may become another user");
        return;
    }
    let [first, second] = ports::reserve_many();
    let keys = "user = \"nobody\"\ncookie-secret-file = \"cookies.key\"\n[[zone-dir]]\npath = \"z\"\n";
    let (dir, zones) = prepare([&first, &second], &keys);
    let (folder, cookies) = (dir.path().join("z"), dir.path().join("cookies.key"));
    fs::write(&cookies, "11".repeat(16)).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("late.zone"), zones::text("late.", 7, &[])).unwrap();
    let open_to = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open_to(dir.path(), 0o755);
    open_to(&folder, 0o700);
    open_to(&cookies, 0o600);
    let command = words([&PROGRAM, &"serve", &"--config", &"tidemark.toml"]);
    let node = Daemon::start(dir, first, &zones, command, Reload::Watches);
    assert_eq!(times(&node, "cannot read the folder z: Permission denied"), 1, "{}", node.log());
    let cookies = "a reload will fail: cannot read the cookie secrets in cookies.key: Permission denied";
    assert_eq!(times(&node, cookies), 1, "{}", node.log());
    open_to(&folder, 0o755);
    node.await_serial("late.", 7, LIMIT);
}

#[test]
fn zones_of_a_folder_that_is_read_late_go_on_and_those_that_are_gone_are_forgotten() {
    let [first, second] = ports::reserve_many();
    let folders =
        ["y", "z"].map(|path| format!("[[zone-dir]]\npath = \"{path}\"\nallow-transfer = [\"127.0.0.1\"]\n"));
    let (dir, zones) = prepare([&first, &second], &folders.concat());
    // Differences are to be shorter than the zone.
    let hosts: Vec<String> = (0..50).map(|host| format!("h{host} A 192.0.2.{host}")).collect();
    let text = |zone: &str, serial: u32| {
        let last = format!("www A 192.0.2.{serial}");
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).chain([last.as_str()]).collect();
        zones::text(zone, serial, &hosts)
    };
    let [y, z, kept] = ["y", "z", "kept"].map(|name| dir.path().join(name));
    let files = [("gone.", y.join("gone.zone")), ("late.", z.join("late.zone"))];
    [&y, &z].iter().for_each(|folder| fs::create_dir(folder).unwrap());
    files.iter().for_each(|(zone, file)| zones::write(file, &text(zone, 1)));
    let command = words([&PROGRAM, &"serve", &"--config", &"tidemark.toml"]);
    let mut node = Daemon::start(dir, first, &zones, command, Reload::Watches);
    for (zone, file) in &files {
        node.await_serial(zone, 1, LIMIT);
        zones::write(file, &text(zone, 2));
        node.await_serial(zone, 2, LIMIT);
    }
    let has_differences = |zone, since| {
        dig::ixfr(first, zone, since).iter().filter(|record| record.contains(" SOA ")).count() > 2
    };
    assert!(has_differences("gone.", 1) && has_differences("late.", 1));
    node.stop();
    fs::remove_file(&files[0].1).unwrap();
    fs::rename(&z, &kept).unwrap();
    node.restart();
    assert_eq!(times(&node, "cannot read the folder z"), 1, "{}", node.log());
    fs::rename(&kept, &z).unwrap();
    node.await_serial("late.", 2, LIMIT);
    assert!(has_differences("late.", 1), "its history is lost");
    // Behind this all that was found in the folder is in force.
    run(tidemark::command().args(["reload", "--control", "state/tidemark.sock"]).current_dir(node.dir()));
    zones::write(&files[0].1, &text("gone.", 3));
    node.await_serial("gone.", 3, LIMIT);
    assert!(!has_differences("gone.", 2), "what nobody had configured was kept");
}

/// As where the network comes up after its servers, or an address is handed on between them. The node has a network of its own.
#[test]
fn an_address_is_served_once_this_machine_has_it() {
    let here: SocketAddr = "127.0.0.1:5300".parse().unwrap();
    let absent: SocketAddr = "192.0.2.77:5300".parse().unwrap();
    let (dir, zones) = prepare([&here, &absent], &"");
    let ip = program("ip");
    let serve = "\"$1\" link set lo up && exec \"$0\" serve --config tidemark.toml";
    let own = [&"unshare" as &dyn AsRef<_>, &"--user", &"--map-root-user", &"--net", &"sh", &"-c"];
    let command = [words(own), words([&serve, &PROGRAM, &ip])].concat();
    let mut node = Daemon::new(dir, here, &zones, command, Reload::Watches);
    node.launch();
    await_until("the node to listen", LIMIT, || times(&node, &format!("listening on {here}\n")) == 1);
    assert_eq!(times(&node, &format!("cannot listen on {absent}")), 1, "{}", node.log());

    let pid = node.process().pid().to_string();
    let within = || {
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid, "--user", "--net", "--preserve-credentials"]);
        command
    };
    let ask = |addr: SocketAddr, more: &str| {
        let (at, port) = (format!("@{}", addr.ip()), addr.port().to_string());
        let asked = [&at, "-p", &port, "+short", "+time=15", "+tries=1", more, ZONE, "SOA"];
        run(within().arg(program("dig")).args(asked))
    };
    assert!(!ask(here, "+notcp").is_empty());
    run(within().arg(&ip).args(["address", "add", "192.0.2.77/32", "dev", "lo"]));
    // At once: it is bound already.
    for way in ["+notcp", "+tcp"] {
        assert_eq!(ask(absent, way), ask(here, way));
    }
    await_until("the node to say so", LIMIT, || times(&node, &format!("listening on {absent} now")) == 1);
    assert_eq!(times(&node, &format!("cannot listen on {absent}")), 1, "{}", node.log());
}
