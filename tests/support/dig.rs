//! What people ask with: `dig` and `kdig`, and whole zones as comparable sets of records.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::process::{program, run};

/// Types whose data ends in base64 or hexadecimal digits, which programs cut into groups each in their way,
/// with the number of fields before them.
const DIGITS_AFTER: &[(&str, usize)] = &[
    ("DS", 3),
    ("CDS", 3),
    ("DNSKEY", 3),
    ("CDNSKEY", 3),
    ("RRSIG", 8),
    ("SSHFP", 2),
    ("TLSA", 3),
    ("SMIMEA", 3),
    ("ZONEMD", 3),
    ("OPENPGPKEY", 0),
    ("DHCID", 0),
    ("CERT", 3),
];

/// Runs `dig @addr` with `args`, one try of at most fifteen seconds, and returns what it prints.
pub fn dig(addr: SocketAddr, args: &[&str]) -> String {
    run(client("dig", addr).args(["+time=15", "+tries=1"]).args(args))
}

/// Runs `kdig @addr` with `args`, one try of at most fifteen seconds, and returns what it prints.
pub fn kdig(addr: SocketAddr, args: &[&str]) -> String {
    run(client("kdig", addr).args(["+time=15", "+retry=0"]).args(args))
}

/// The lines of `dig +short`, e.g. `short(addr, &["www.example.", "A"])`.
pub fn short(addr: SocketAddr, args: &[&str]) -> Vec<String> {
    let args: Vec<&str> = args.iter().copied().chain(["+short"]).collect();
    dig(addr, &args).lines().map(str::to_owned).collect()
}

/// The serial `dig` shows for `zone`; `None` when there is no answer or no SOA in it.
pub fn soa_serial(addr: SocketAddr, zone: &str) -> Option<u32> {
    let output = client("dig", addr).args(["+time=1", "+tries=1", "+short", zone, "SOA"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).split_whitespace().nth(2)?.parse().ok()
}

/// All records of `zone` by AXFR, each as by [`normal`]; panics when the transfer fails or dig finds fault with a message of it.
pub fn axfr(addr: SocketAddr, zone: &str) -> BTreeSet<String> {
    let lines = transfer(addr, zone, "AXFR");
    assert!(lines.len() > 1 && lines.first() == lines.last(), "AXFR of {zone} at {addr} gave {lines:?}");
    lines.into_iter().collect()
}

/// The records of an IXFR from `serial`, in the order they were sent (RFC 1995 section 4), each as by [`normal`].
pub fn ixfr(addr: SocketAddr, zone: &str, serial: u32) -> Vec<String> {
    transfer(addr, zone, &format!("IXFR={serial}"))
}

/// The records of a master file as BIND's `named-compilezone` reads it, comparable with [`axfr`].
pub fn file_records(zone: &str, file: &Path) -> BTreeSet<String> {
    let mut command = Command::new(program("named-compilezone"));
    // Full lines to standard output, and none of the checks that look beyond the syntax.
    command
        .args(["-q", "-i", "none", "-k", "ignore", "-n", "ignore", "-s", "full", "-o", "-", zone])
        .arg(file);
    run(&mut command).lines().filter_map(normal).collect()
}

/// One record as `owner ttl type data`: the owner in lower case, blanks made single, the digits of keys, signatures and
/// digests joined. `None` for comments and empty lines.
pub fn normal(line: &str) -> Option<String> {
    if line.starts_with(';') {
        return None;
    }
    let mut fields = line.split_whitespace();
    let owner = fields.next()?.to_ascii_lowercase();
    let (ttl, _class, kind) = (fields.next()?, fields.next()?, fields.next()?);
    let data: Vec<&str> = fields.collect();
    let data = match DIGITS_AFTER.iter().find(|(name, _)| *name == kind) {
        Some(&(_, before)) if data.len() > before => {
            [data[..before].join(" "), data[before..].concat()].join(" ").trim().to_owned()
        }
        _ => data.join(" "),
    };
    Some(format!("{owner} {ttl} {kind} {data}"))
}

fn transfer(addr: SocketAddr, zone: &str, kind: &str) -> Vec<String> {
    let told = dig(addr, &[zone, kind, "+noall", "+answer", "+nosplit"]);
    let fault = told.lines().find(|line| line.starts_with(";;"));
    assert_eq!(fault, None, "{kind} of {zone} at {addr}");
    told.lines().filter_map(normal).collect()
}

fn client(name: &str, addr: SocketAddr) -> Command {
    let mut command = Command::new(program(name));
    command.args([format!("@{}", addr.ip()), "-p".to_owned(), addr.port().to_string()]);
    command
}
