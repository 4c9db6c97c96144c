//! What is waited for.

use crate::cli::exit::Failure;
use crate::config::value;
use crate::probe::observation::Observation;
use crate::text::rdata::{read, write};
use crate::wire::name::{Name, NameRef};
use crate::wire::rdata;
use crate::wire::rtype::Rtype;
use crate::zone::serial::Serial;

use super::file::File;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// A serial, or a newer one (RFC 1982).
    Serial(Serial),
    /// The first serial that is newer than all that are shown when all servers have been heard of, which is this then.
    Next(Option<Serial>),
    /// A record.
    Record(Wanted),
    /// What a zone file holds, under whatever serial.
    File(File),
}

/// A record that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The owner.
    pub name: Name,
    /// The type.
    pub rtype: Rtype,
    /// The data in wire form.
    pub rdata: Vec<u8>,
}

impl Goal {
    /// A serial or a newer one.
    pub fn serial(serial: u32) -> Goal {
        Goal::Serial(Serial(serial))
    }

    /// Whether an answer shows it.
    pub fn is_shown(&self, seen: &Observation) -> bool {
        match self {
            Goal::Serial(serial) => seen.serial.is_some_and(|shown| shown.covers(*serial)),
            // Known when all have been heard of.
            Goal::File(_) | Goal::Next(_) => false,
            Goal::Record(wanted) => seen.records.iter().any(|record| {
                record.rtype == wanted.rtype && rdata::same(wanted.rtype, &record.rdata, &wanted.rdata)
            }),
        }
    }

    /// What it is called.
    pub fn text(&self) -> String {
        match self {
            Goal::Serial(serial) => format!("serial {serial}"),
            Goal::Next(Some(above)) => format!("a serial newer than {above}"),
            Goal::Next(None) => "the next serial".to_owned(),
            Goal::File(file) => match file.published() {
                Some(serial) => format!("{} (serial {serial})", file.path),
                None => file.path.clone(),
            },
            Goal::Record(wanted) => {
                format!("{} {} {}", wanted.name, wanted.rtype, data(wanted.rtype, &wanted.rdata))
            }
        }
    }
}

impl Wanted {
    /// Reads `NAME TYPE RDATA`; a name outside the zone is below it.
    pub fn parse(text: &str, zone: &NameRef) -> Result<Wanted, Failure> {
        let wrong = |why: String| {
            Failure::new(format!(
                "--record `{text}`: {why}; write NAME TYPE RDATA, for example `www.example.org. A 192.0.2.80`"
            ))
        };
        let mut rest = text.trim();
        let mut word = || {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            rest = behind.trim_start();
            word
        };
        let (name, rtype) = (word(), word());
        let whole = value::name(name).ok().filter(|name| name.is_in(zone));
        let name = match whole {
            Some(name) => name,
            None => Name::parse(name.as_bytes(), Some(zone)).map_err(|error| wrong(error.to_string()))?,
        };
        if !name.is_in(zone) {
            return Err(wrong(format!("{name} is not in {zone}")));
        }
        let rtype: Rtype = rtype.parse().map_err(|_| wrong(format!("`{rtype}` is not a record type")))?;
        if rtype.is_meta() {
            return Err(wrong(format!("{rtype} is not a type of records in zones")));
        }
        let rdata = read::parse(rtype, rest, Some(zone)).map_err(|fault| {
            let expected = fault.expected.map_or(String::new(), |expected| format!(", expected {expected}"));
            wrong(format!("{}{expected}", fault.message))
        })?;
        Ok(Wanted { name, rtype, rdata })
    }
}

/// Record data in presentation form.
pub fn data(rtype: Rtype, rdata: &[u8]) -> String {
    let mut text = String::new();
    write::write(rtype, rdata, &mut text);
    text
}
