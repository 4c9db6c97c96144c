//! What the figures were measured with: the machine, the programs, their versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs, and the Debian packages that they come in.
const NEEDED: [(&str, &str); 10] = [
    ("nsd", "nsd"),
    ("nsd-control", "nsd"),
    ("knotd", "knot"),
    ("knotc", "knot"),
    ("named", "bind9"),
    ("rndc", "bind9-utils"),
    ("dnssec-signzone", "bind9-utils"),
    ("unbound", "unbound"),
    ("dnsdist", "dnsdist"),
    ("dnsperf", "dnsperf"),
];

/// Where a program is. Debian keeps servers in `/usr/sbin`, which is not in everyone's `PATH`.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// What is missing for a run, and what to do about it.
pub(crate) fn missing(cores: &[usize]) -> Option<String> {
    if cores.len() < 2 {
        return Some("two cores are needed: one for the server, one for the queries".to_owned());
    }
    let mut packages: Vec<&str> =
        NEEDED.iter().filter(|(name, _)| program(name).is_none()).map(|&(_, package)| package).collect();
    packages.dedup();
    (!packages.is_empty()).then(|| {
        format!(
            "programs are missing; install them: apt-get install --no-install-recommends {}",
            packages.join(" ")
        )
    })
}

/// BIND's server, or a copy of it where AppArmor is on: Debian's profile for `/usr/sbin/named` forbids it to read
/// temporary folders, and binds the path, not the program.
pub(crate) fn unconfined_named(dir: &Path) -> PathBuf {
    let original = program("named").unwrap_or_default();
    let apparmor = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    if apparmor.trim() != "Y" {
        return original;
    }
    let copy = dir.join("named");
    fs::copy(original, &copy).unwrap();
    copy
}

/// Lines that say where and with what the figures were measured.
pub(crate) fn description(cores: &[usize]) -> Vec<String> {
    let first =
        |text: &str| text.lines().find(|line| !line.trim().is_empty()).unwrap_or("?").trim().to_owned();
    let said = |name: &str, argument: &str| {
        let Some(program) = program(name) else { return format!("{name} ?") };
        let output = Command::new(program).arg(argument).output();
        output.map_or_else(
            |_| "?".to_owned(),
            |output| {
                let text = [output.stdout, output.stderr].concat();
                let text = String::from_utf8_lossy(&text);
                let line = text
                    .lines()
                    .find(|line| line.to_lowercase().contains("version") || line.contains("BIND"));
                let line = line.map_or_else(|| first(&text), str::to_owned);
                line.split(" (Extended").next().unwrap_or_default().trim().to_owned()
            },
        )
    };
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("?", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: u64 = memory.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let revision = run("git", &["describe", "--always", "--dirty"]);
    vec![
        format!("date: {}", run("date", &["-u", "+%F %H:%M UTC"])),
        format!(
            "machine: {model}, {} cores used, {} GB, Linux {}",
            cores.len(),
            kilobytes >> 20,
            run("uname", &["-r"])
        ),
        format!("tidemark {} ({revision})", env!("CARGO_PKG_VERSION")),
        said("nsd", "-v"),
        said("knotd", "-V"),
        said("named", "-v"),
        format!("unbound {}", said("unbound", "-V").rsplit(' ').next().unwrap_or("?")),
        said("dnsdist", "--version"),
        format!("dnsperf {}", said("dnsperf", "-h").rsplit(' ').next().unwrap_or("?")),
    ]
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map_or_else(|_| "?".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
