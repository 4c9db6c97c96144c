//! Signing the generated zones with `dnssec-signzone`, in every way there is to deny what does not exist.

use std::path::Path;
use std::process::Command;

use rand::RngExt;
use rand::rngs::StdRng;

use super::generate::Zone;
use super::name::Name;
use crate::support::process::{program, run};
use crate::support::zones;

/// How a zone proves what is not there; each is a list of options of `dnssec-signzone`.
const WAYS: &[&[&str]] = &[
    // NSEC (RFC 4034 4).
    &[],
    // NSEC3 without salt and further iterations, as RFC 9276 wants it.
    &["-3", "-", "-H", "0"],
    // NSEC3 as it was used before.
    &["-3", "AABBCC", "-H", "5"],
    // With opt-out (RFC 5155 6): unsigned delegations have no NSEC3.
    &["-3", "-", "-H", "0", "-A"],
];

/// Signs most of the zones, each in one of the ways.
pub fn sign(random: &mut StdRng, zones: &mut [Zone]) {
    let dir = tempfile::Builder::new().prefix("tidemark-keys-").tempdir().unwrap();
    for zone in zones {
        if random.random_bool(0.9) {
            // dnssec-signzone gives up over a name that has no room for a wildcard below it, but for NSEC.
            let room = zone.sets.keys().all(|(owner, _)| owner.child(b"*").is_legal());
            let way = WAYS[if room { random.random_range(0..WAYS.len()) } else { 0 }];
            zone.signed = Some(signed(dir.path(), zone, way));
        }
    }
}

/// The text of the signed zone.
fn signed(dir: &Path, zone: &Zone, way: &[&str]) -> String {
    let name = zone.apex.text();
    let file = zones::file_name(&name);
    let out = format!("{file}.signed");
    zones::write(&dir.join(&file), &zone.text());
    run(Command::new(program("dnssec-keygen")).current_dir(dir).args([
        "-q",
        "-a",
        "ECDSAP256SHA256",
        "-f",
        "KSK",
        &name,
    ]));
    // -S: the keys of the folder; -z: the one key signs everything; -P: no check that there is a second one.
    let mut command = Command::new(program("dnssec-signzone"));
    command.current_dir(dir).args(["-q", "-S", "-z", "-P", "-O", "full", "-n", "1", "-f", &out, "-o", &name]);
    run(command.args(way).arg(&file));
    // NSD takes the dot behind an escaped backslash for an escaped one; it reads the number.
    std::fs::read_to_string(dir.join(out)).unwrap().replace(r"\\", r"\092")
}

/// The owners of NSEC3 records in a signed zone.
pub fn hashed_owners(zone: &Zone) -> Vec<Name> {
    let lines = zone.signed.iter().flat_map(|text| text.lines());
    let owners = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let owner = words.next()?;
        (words.nth(2)? == "NSEC3").then(|| owner.split('.').next())?
    });
    owners.map(|label| zone.apex.child(label.to_ascii_lowercase().as_bytes())).collect()
}
