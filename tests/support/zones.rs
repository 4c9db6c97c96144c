//! Which zones a server carries, and the files they come from.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// One zone at one server.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Absolute name, `example.`.
    pub name: String,
    pub source: Source,
    /// Where NOTIFY goes after a change; nowhere else.
    pub notify: Vec<SocketAddr>,
    /// Tidemark's lease of a secondary.
    pub lease: &'static str,
    /// Whether its primaries pull the zone themselves, for all that Tidemark knows.
    pub from_secondaries: bool,
}

/// Where a server has a zone from.
#[derive(Clone, Debug)]
pub enum Source {
    /// It is the primary; the text of the master file it starts with.
    File(String),
    /// It is a secondary of these.
    Primaries(Vec<SocketAddr>),
}

impl Zone {
    /// A zone that the server is primary for, starting with `text`.
    pub fn primary(name: &str, text: impl Into<String>) -> Zone {
        Zone::new(name, Source::File(text.into()))
    }

    /// A zone that the server pulls from `primaries`, with REFRESH and NOTIFY alone: most tests are about these.
    pub fn secondary(name: &str, primaries: &[SocketAddr]) -> Zone {
        Zone::new(name, Source::Primaries(primaries.to_vec()))
    }

    fn new(name: &str, source: Source) -> Zone {
        Zone { name: name.into(), source, notify: Vec::new(), lease: "off", from_secondaries: false }
    }

    /// The same, of primaries that pull the zone themselves.
    pub fn behind_secondaries(mut self) -> Zone {
        self.from_secondaries = true;
        self
    }

    /// The same with a lease.
    pub fn lease(mut self, lease: &'static str) -> Zone {
        self.lease = lease;
        self
    }

    /// The same with NOTIFY sent to `targets`.
    pub fn notify(mut self, targets: &[SocketAddr]) -> Zone {
        self.notify.extend_from_slice(targets);
        self
    }

    /// The name of the zone's file within the server's folder.
    pub fn file_name(&self) -> String {
        file_name(&self.name)
    }
}

/// The name of the file of zone `name`: `example.zone`, and `root.zone` for the root.
pub fn file_name(name: &str) -> String {
    match name.trim_end_matches('.') {
        "" => "root.zone".to_owned(),
        name => format!("{name}.zone"),
    }
}

/// A small zone in master file form: SOA with `serial`, an NS, and these further records, one a line (`www A 192.0.2.1`).
///
/// Refresh is 1,800 s, so that nothing but NOTIFY can explain a fast change; retry is 1 s.
pub fn text(name: &str, serial: u32, records: &[&str]) -> String {
    let mut text = format!(
        "$ORIGIN {name}\n$TTL 60\n@ SOA ns hostmaster {serial} 1800 1 86400 5\n@ NS ns\nns A 127.0.0.1\n"
    );
    records.iter().for_each(|record| writeln!(text, "{record}").unwrap());
    text
}

/// The text of a published zone file. Many, the root's among them, are the output of a transfer and end with the SOA
/// once more, which NSD takes for an error: that line is left out.
pub fn read(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let (first, rest) = lines.split_first().expect("a zone file has lines");
    let repeated = rest.last() == Some(first);
    let kept = if repeated { &lines[..lines.len() - 1] } else { &lines[..] };
    kept.iter().flat_map(|line| [line, "\n"]).collect()
}

/// Puts `text` in place of the file `path` in one step: nobody ever reads half of it.
pub fn write(path: &Path, text: &str) {
    let fresh = path.with_extension("zone.new");
    fs::write(&fresh, text).unwrap();
    fs::rename(&fresh, path).unwrap();
}
