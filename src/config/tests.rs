//! Whole files: what they come to, and how bad ones are told.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::config::error::{Error, Errors};
use crate::config::load::{self, REFERENCE};
use crate::node::settings::{Role, ZoneConfig, ZoneOptions};
use crate::resolve;
use crate::server::settings::{Resolver, Server, Settings, Zone, ZoneDir};
use crate::server::unread::Source;
use crate::wire::cookie::{Secret, Secrets};
use crate::zone::serial::Policy;

mod unread;

/// The example of the interface, less what does not exist yet, and with the keys that ask for what is so anyway.
const EXAMPLE: &str = r#"
metrics-per-zone = true

[server]
listen    = ["127.0.0.1:5300", "[::1]:5300"]   # UDP and TCP
http      = "127.0.0.1:9153"
data-dir  = "state"
control   = "state/tidemark.sock"
workers   = 2
nsid      = "ams1"
cookie-secret = ["11111111111111111111111111111111", "0x22222222222222222222222222222222"]
user      = "tidemark"

[[zone]]
name = "example."
file = "zones/example.zone"
notify = ["192.0.2.2", "192.0.2.3:5302"]
allow-transfer = ["127.0.0.0/8"]
allow-update = []
serial = "increment"
watch = ["192.0.2.4"]

[[zone-dir]]
path = "zones"
serial = "date"
allow-transfer = ["::1"]

[[zone]]
name = "example.org."
primaries = ["192.0.2.1", "192.0.2.9"]
notify = ["192.0.2.7"]

[resolver]
mode  = "forward"
allow = ["127.0.0.0/8", "::1"]
validate = false
negative-trust-anchors = []
qname-minimisation = false
ipv4 = true
ipv6 = true
[[resolver.forward]]
zone = "."
servers = ["192.0.2.53"]
[[resolver.stub]]
zone = "example."
servers = ["127.0.0.1:5301"]
[resolver.cache]
max-entries = 1_000_000
max-ttl = 86400
serve-stale = "1d"
"#;

/// The one section that every file needs.
const SERVER: &str = "[server]\nlisten = [\"127.0.0.1:53\"]\n";

/// How bad files are told: pairs of a file and the whole message, `DIR` standing for the file's folder.
const REFUSED: &str = include_str!("tests/refused.txt");

/// A file with many errors, and how these are told.
const MANY: &str = include_str!("tests/many.txt");

/// A folder with zone files in it, and the configuration to be read there.
struct Site(TempDir);

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("zones")).unwrap();
        fs::create_dir(folder.path().join("zones.d")).unwrap();
        fs::write(folder.path().join("zones/example.zone"), "").unwrap();
        fs::write(folder.path().join("example.zone"), "").unwrap();
        Site(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a certificate and its key into the folder.
    fn put_certificate(&self, name: &str) {
        let made = rcgen::generate_simple_self_signed(["dns.example".to_owned()]).unwrap();
        fs::write(self.path(&format!("{name}.crt")), made.cert.pem()).unwrap();
        fs::write(self.path(&format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }

    fn load_all(&self, text: impl AsRef<[u8]>) -> Result<Settings, Errors> {
        fs::write(self.path("tidemark.toml"), text).unwrap();
        load::load(&self.path("tidemark.toml"))
    }

    /// The settings in a file, or the one thing that is wrong with it: no error brings about another.
    fn load(&self, text: impl AsRef<[u8]>) -> Result<Settings, Error> {
        self.load_all(text).map_err(|errors| {
            assert_eq!(errors.count(), 1, "{errors}");
            errors.first().unwrap().clone()
        })
    }
}

#[test]
fn the_example_is_understood() {
    let site = Site::new();
    let addr = |text: &str| text.parse().unwrap();
    let prefix = |text: &str| text.parse().unwrap();
    let zone = |name: &str, options| ZoneConfig::new(name.parse().unwrap(), options);
    let upstream = |zone: &str, server: &str| resolve::settings::Zone {
        zone: zone.parse().unwrap(),
        servers: vec![addr(server)],
    };
    let expected = Settings {
        server: Server {
            listen: vec![addr("127.0.0.1:5300"), addr("[::1]:5300")],
            tls: None,
            http: Some(addr("127.0.0.1:9153")),
            data_dir: site.path("state"),
            control: site.path("state/tidemark.sock"),
            workers: Some(2),
            nsid: Some("ams1".into()),
            cookies: Some(Secrets::new(Secret::new([0x11; 16]), vec![Secret::new([0x22; 16])])),
            user: Some("tidemark".into()),
        },
        zones: vec![
            Zone {
                config: zone(
                    "example.",
                    ZoneOptions {
                        role: Role::Primary(Policy::Increment),
                        notify: vec![addr("192.0.2.2:53"), addr("192.0.2.3:5302")],
                        allow_transfer: vec![prefix("127.0.0.0/8")],
                        watch: vec![addr("192.0.2.4:53")],
                        ..ZoneOptions::default()
                    },
                ),
                file: Some(site.path("zones/example.zone")),
            },
            Zone {
                config: zone(
                    "example.org.",
                    ZoneOptions {
                        role: Role::Secondary(vec![addr("192.0.2.1:53"), addr("192.0.2.9:53")]),
                        notify: vec![addr("192.0.2.7:53")],
                        lease: Some(Duration::from_secs(10)),
                        ..ZoneOptions::default()
                    },
                ),
                file: None,
            },
        ],
        zone_files: vec![],
        zone_dirs: vec![ZoneDir {
            path: site.path("zones"),
            options: Arc::new(ZoneOptions {
                role: Role::Primary(Policy::Date),
                allow_transfer: vec![prefix("::1/128")],
                ..ZoneOptions::default()
            }),
        }],
        resolver: Some(Resolver {
            allow: vec![prefix("127.0.0.0/8"), prefix("::1/128")],
            routes: resolve::settings::Config {
                forward: vec![upstream(".", "192.0.2.53:53")],
                stub: vec![upstream("example.", "127.0.0.1:5301")],
                ipv4: true,
                ipv6: true,
            },
            cache: resolve::cache::Config {
                max_entries: 1_000_000,
                max_ttl: 86_400,
                serve_stale: Some(Duration::from_secs(86_400)),
            },
        }),
        metrics_per_zone: true,
        sources: vec![Source::ZoneDir(site.path("zones"))],
        unread: vec![],
    };
    assert_eq!(site.load(EXAMPLE).unwrap(), expected);
}

#[test]
fn defaults_fill_what_is_absent() {
    let site = Site::new();
    let settings = site.load(SERVER).unwrap();
    assert_eq!(settings.server.data_dir, site.path("state"));
    assert_eq!(settings.server.control, site.path("state/tidemark.sock"));
    assert_eq!((settings.server.http, settings.server.workers), (None, None));
    assert!(!settings.metrics_per_zone && settings.resolver.is_none());

    let cache = "[resolver]\nmode = \"forward\"\n[[resolver.forward]]\nzone = \".\"\nservers = [\"::1\"]\n";
    let resolver = site.load(format!("{SERVER}{cache}")).unwrap().resolver.unwrap();
    assert!(resolver.allow.iter().any(|prefix| prefix.contains("127.1.2.3".parse().unwrap())));
    assert!(!resolver.allow.iter().any(|prefix| prefix.contains("192.0.2.1".parse().unwrap())));
    assert_eq!(resolver.cache, resolve::cache::Config::default());
}

#[test]
fn the_cache_is_told_its_limits() {
    let site = Site::new();
    let cache = |line: &str| {
        let forward = "[[resolver.forward]]\nzone = \".\"\nservers = [\"::1\"]\n";
        let text = format!("{SERVER}[resolver]\nmode = \"forward\"\n{forward}[resolver.cache]\n{line}\n");
        site.load(text).unwrap().resolver.unwrap().cache
    };
    for (written, seconds) in [
        ("\"off\"", None),
        ("0", None),
        ("90", Some(90)),
        ("\"1h30m\"", Some(5_400)),
        ("\"1w\"", Some(604_800)),
    ] {
        let serve_stale = cache(&format!("serve-stale = {written}")).serve_stale;
        assert_eq!(serve_stale, seconds.map(Duration::from_secs), "{written}");
    }
    for (written, seconds) in [("0", 0), ("600", 600), ("\"1h\"", 3_600), ("2_147_483_647", 2_147_483_647)] {
        assert_eq!(cache(&format!("max-ttl = {written}")).max_ttl, seconds);
    }
    assert_eq!(cache("max-entries = 4_294_967_296").max_entries, 1 << 32);
}

#[test]
fn the_reference_is_right_about_defaults() {
    let site = Site::new();
    site.put_certificate("dns");
    let reference = site.load(REFERENCE).unwrap();
    let defaults = |line: &str| line.contains("# default") && !line.contains("# default:");
    let (kept, dropped): (Vec<&str>, Vec<&str>) = REFERENCE.lines().partition(|line| !defaults(line));
    assert_eq!(dropped.len(), 11);
    assert_eq!(site.load(kept.join("\n")).unwrap(), reference);
}

#[test]
fn cookie_secrets_come_from_here_or_from_a_file() {
    let site = Site::new();
    let load = |keys: &str| site.load(format!("[server]\nlisten = [\"127.0.0.1:53\"]\n{keys}"));
    let cookies = |keys: &str| load(keys).unwrap().server.cookies;
    let ones = Secret::new([0x11; 16]);
    assert_eq!(cookies(""), None);
    let written = format!("cookie-secret = \"{}\"", "11".repeat(16));
    assert_eq!(cookies(&written), Some(Secrets::new(ones.clone(), vec![])));
    let text =
        format!("# in use since spring\n{}\n\n{} # the one before\n", "11".repeat(16), "22".repeat(16));
    fs::write(site.path("cookies.key"), text).unwrap();
    let file = "cookie-secret-file = \"cookies.key\"";
    assert_eq!(cookies(file), Some(Secrets::new(ones, vec![Secret::new([0x22; 16])])));
    for (keys, fault) in [
        (format!("{written}\n{file}"), "not in both"),
        ("cookie-secret = \"1234\"".to_owned(), "secret 1 is not 32 hexadecimal digits"),
        ("cookie-secret = []".to_owned(), "there is no cookie secret"),
        ("cookie-secret = 7".to_owned(), "a cookie secret is a text"),
        (format!("cookie-secret = [{}]", format!("\"{}\",", "33".repeat(16)).repeat(9)), "more than 8"),
        ("cookie-secret-file = \"zones/example.zone\"".to_owned(), "there is no cookie secret, in"),
        ("cookie-secret-file = \"none\"".to_owned(), "cannot read the cookie secrets in"),
        ("cookie-secrets = []".to_owned(), "cookie-secret"),
    ] {
        let error = load(&keys).unwrap_err().to_string();
        assert!(error.contains(fault), "{keys}: {error}");
        assert!(!error.contains("1234") || keys.contains("1234"), "{error}");
    }
}

#[test]
fn the_deployed_example_is_understood() {
    let site = Site::new();
    let text = include_str!("../../deploy/tidemark.toml").replace("/etc/tidemark/zones/", "zones/");
    let settings = site.load(text).unwrap();
    assert_eq!((settings.zones.len(), settings.resolver.is_some()), (2, true));
}

#[test]
fn the_control_socket_is_found_when_zones_are_not() {
    let site = Site::new();
    let faulty = ["[[zone-dir]]\npath = \"missing\"\n", "notfy = 1\n", "cookie-secret-file = \"none\"\n"];
    for fault in faulty {
        assert!(site.load(format!("{SERVER}{fault}")).is_err());
        assert_eq!(load::control(&site.path("tidemark.toml")).unwrap(), site.path("state/tidemark.sock"));
    }
}

#[test]
fn a_zone_of_two_sources_is_told_what_is_wrong_with_either() {
    let zone = "[[zone]]\nname = \"example.\"\nfile = \"\"\nprimaries = [\"1.2.3\"]\n";
    let errors = Site::new().load_all(format!("{SERVER}{zone}")).unwrap_err();
    let told: Vec<&str> = errors.iter().map(Error::message).collect();
    assert_eq!(told.len(), 3, "{errors}");
    for part in ["either `file` or `primaries`", "empty path", "`1.2.3` is not an address"] {
        assert!(told.iter().any(|told| told.contains(part)), "{part}: {errors}");
    }
}

#[test]
fn a_broken_configuration_leads_to_the_socket_that_is_there() {
    let site = Site::new();
    let config = site.path("tidemark.toml");
    for (server, socket) in [
        (SERVER.to_owned(), "state/tidemark.sock"),
        (format!("{SERVER}data-dir = \"data\"\n"), "data/tidemark.sock"),
        (format!("{SERVER}data-dir = \"data\"\ncontrol = \"run.sock\"\n"), "run.sock"),
        (format!("{SERVER}data-dir = 7\n"), "state/tidemark.sock"),
        ("[sever]\nlisten = []\n".to_owned(), "state/tidemark.sock"),
    ] {
        // Nobody could take this for TOML.
        std::fs::write(&config, format!("{server}[[zone]]\nname = example.\n")).unwrap();
        let socket = site.path(socket);
        let none = load::control(&config).unwrap_err();
        assert_eq!(none.likely, socket, "{server}");
        assert!(none.to_string().ends_with(&format!("`--control {}`", socket.display())), "{none}");
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        std::fs::write(&socket, "").unwrap();
        assert_eq!(load::control(&config).unwrap(), socket, "{server}");
        std::fs::remove_file(socket).unwrap();
    }
    // It may be another one that was meant.
    let missing = site.path("missing.toml");
    std::fs::create_dir_all(site.path("state")).unwrap();
    std::fs::write(site.path("state/tidemark.sock"), "").unwrap();
    assert_eq!(load::control(&missing).unwrap_err().likely, site.path("state/tidemark.sock"));
}

#[test]
fn data_dir_moves_the_control_socket_and_absolute_paths_stay() {
    let site = Site::new();
    let server = site.load(format!("{SERVER}data-dir = \"/var/lib/tidemark\"\n")).unwrap().server;
    assert_eq!(server.control, PathBuf::from("/var/lib/tidemark/tidemark.sock"));
}

#[test]
fn files_alone_make_a_node_too() {
    let files = [PathBuf::from("zones/example.zone")];
    let settings = Settings::for_files("127.0.0.1:5300".parse().unwrap(), &files);
    assert_eq!(settings.zone_files, files);
    assert_eq!(settings.server.control, PathBuf::from("state/tidemark.sock"));
    assert!(settings.zones.is_empty());
}

#[test]
fn bad_files_are_told_with_place_and_next_step() {
    let site = Site::new();
    let folder = format!("{}/", site.0.path().display());
    let cases: Vec<&str> = REFUSED.split("==== file\n").skip(1).collect();
    assert!(cases.len() > 30);
    for case in cases {
        let (text, told) = case.split_once("==== told\n").unwrap();
        let error = site.load(text).expect_err(text);
        assert_eq!(error.render(false).replace(&folder, "DIR/"), told.trim_end(), "for the file:\n{text}");
    }
}

#[test]
fn all_that_is_wrong_is_told_in_one_run_in_the_order_of_the_file() {
    let site = Site::new();
    let folder = format!("{}/", site.0.path().display());
    let (text, told) = MANY.strip_prefix("==== file\n").unwrap().split_once("==== told\n").unwrap();
    let errors = site.load_all(text).unwrap_err();
    assert_eq!(errors.render(false).replace(&folder, "DIR/"), told.trim_end());
    assert_eq!(errors.count(), told.matches("error: ").count());
    // Each that is mended is told no more, and the others are.
    let mended = text.replace("nsid = 7\n", "");
    assert_eq!(site.load_all(mended).unwrap_err().count(), errors.count() - 1);
}

#[test]
fn twenty_errors_are_told_and_the_others_counted() {
    let site = Site::new();
    let zone = |number| format!("[[zone]]\nname = \"z{number}.\"\nprimaries = [\"nowhere\"]\n");
    for (wrong, more) in [(20, None), (21, Some("1 more errors")), (50, Some("30 more errors"))] {
        let text = format!("{SERVER}{}", (0..wrong).map(zone).collect::<String>());
        let errors = site.load_all(text).unwrap_err();
        let told = errors.render(false);
        assert_eq!((errors.count(), told.matches("error: ").count()), (wrong, 20));
        assert_eq!(more.is_some(), told.contains("mend these first"), "{told}");
        assert!(more.is_none_or(|more| told.contains(more)), "{told}");
    }
    // Of unknown keys, behind which nothing is read, too.
    let keys: String = (0..50).map(|number| format!("k{number} = 1\n")).collect();
    let errors = site.load_all(format!("{SERVER}{keys}")).unwrap_err();
    assert_eq!(errors.render(false).matches("error: unknown key `k").count(), 20);
}

#[test]
fn what_does_not_exist_yet_is_refused_by_name() {
    let site = Site::new();
    let recursion = [
        "root-hints = \"root.hints\"",
        "validate = true",
        "trust-anchors = \"root.key\"",
        "negative-trust-anchors = [\"broken.example.\"]",
        "qname-minimisation = true",
    ];
    let forward = "[[resolver.forward]]\nzone = \".\"\nservers = [\"::1\"]\n";
    for line in recursion {
        let error =
            site.load(format!("{SERVER}[resolver]\nmode = \"forward\"\n{line}\n{forward}")).unwrap_err();
        let key = line.split(' ').next().unwrap();
        assert!(error.message().starts_with(&format!("`{key}")), "{error}");
        assert!(error.message().ends_with("is not supported yet"), "{error}");
        assert_eq!(error.place(), Some((5, key.len() + 4)), "{error}");
    }
}

#[test]
fn a_family_that_is_off_leaves_some_server_to_ask() {
    let site = Site::new();
    let text = |servers| {
        let forward = format!("[[resolver.forward]]\nzone = \".\"\nservers = [{servers}]\n");
        format!("{SERVER}[resolver]\nmode = \"forward\"\nipv6 = false\n{forward}")
    };
    let resolver = site.load(text("\"::1\", \"127.0.0.1\"")).unwrap().resolver.unwrap();
    assert!(resolver.routes.ipv4 && !resolver.routes.ipv6);
    let error = site.load(text("\"::1\"")).unwrap_err();
    assert!(error.message().starts_with("no server for `.` may be asked"), "{error}");
    assert_eq!(error.place(), Some((8, 11)));
}

#[test]
fn numbers_have_bounds() {
    let site = Site::new();
    let cache = "[resolver]\nmode = \"forward\"\n[[resolver.forward]]\nzone = \".\"\nservers = [\"::1\"]\n[resolver.cache]\n";
    for line in [
        "max-entries = 0",
        "max-entries = 4_294_967_297",
        "max-ttl = 2_147_483_648",
        "max-ttl = 3_155_760_001_000",
        "serve-stale = \"8d\"",
        "serve-stale = -1",
        "serve-stale = true",
        "serve-stale = \"\"",
        "serve-stale = \"99999999999999999999d\"",
        "max-ttl = 1.5",
        "max-ttl = \"1s1ms\"",
    ] {
        let error = site.load(format!("{SERVER}{cache}{line}\n")).unwrap_err();
        assert_eq!(error.place().map(|place| place.0), Some(9), "{error}");
    }
    for workers in ["0", "-1", "1025"] {
        let error = site.load(format!("{SERVER}workers = {workers}\n")).unwrap_err();
        assert_eq!((error.message(), error.place()), ("`workers` is out of range", Some((3, 11))));
    }
}

#[test]
fn places_are_counted_in_characters() {
    let site = Site::new();
    let error = site.load("[server]\nlisten = [ \"ümlaut\", ]\n").unwrap_err();
    assert_eq!(error.place(), Some((2, 13)));
    let error = site.load("[server]\nnsid = \"é\"; port = 53\n").unwrap_err();
    assert_eq!(error.place(), Some((2, 11)));
}

#[test]
fn escapes_inside_a_string_do_not_shift_the_caret() {
    let error = Site::new().load("[server]\nlisten = [\"\\u0031:1:1\"]\n").unwrap_err();
    assert_eq!(error.place(), Some((2, 11)));
}

#[test]
fn files_that_cannot_be_read_are_told() {
    let site = Site::new();
    let errors = load::load(&site.path("missing.toml")).unwrap_err();
    let error = errors.first().unwrap();
    assert!(error.message().contains("cannot read the configuration: No such file"), "{error}");
    assert!(error.render(false).contains("missing.toml"));
    let error = site.load(b"[server]\n# \xff\n").unwrap_err();
    assert_eq!((error.message(), error.place()), ("the configuration is not UTF-8", Some((2, 3))));
}

#[test]
fn long_socket_paths_and_colour() {
    let error = Site::new().load(format!("{SERVER}control = \"{}\"\n", "x".repeat(108))).unwrap_err();
    assert!(error.message().ends_with("is longer than 107 bytes"));
    assert!(error.render(true).contains("\u{1b}["));
    assert!(!error.render(false).contains("\u{1b}["));
}
