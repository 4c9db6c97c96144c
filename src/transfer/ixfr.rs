//! Differences as they arrive (RFC 1995 section 4).
//!
//! ```text
//! announced SOA | old SOA, removed ... | new SOA, added ... | old SOA ... | announced SOA
//!                 Removing               Adding               Removing      the end
//! ```
//!
//! The first old SOA has our serial, each later one the serial of the new SOA before it, and the last new SOA is the announced one.

use crate::wire::message::Record;
use crate::wire::rtype::Rtype;
use crate::zone::delta::Delta;
use crate::zone::serial::Serial;
use crate::zone::soa::Timers;

use super::reason::Reason;

/// Differences being received, from the first old SOA on.
#[derive(Debug)]
pub struct Ixfr {
    announced: Record,
    whole: Vec<Delta>,
    current: Delta,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Removing,
    Adding,
}

impl Ixfr {
    /// Begins with the announced SOA, the serial that was asked from, and the first old SOA.
    pub fn new(announced: Record, have: Serial, old: Record) -> Result<Ixfr, Reason> {
        if serial(&old) != have {
            return Err(Reason::OutOfSequence);
        }
        Ok(Ixfr { announced, whole: Vec::new(), current: begin(old), place: Place::Removing })
    }

    /// Takes a record of the zone; the deltas when it was the closing SOA. A SOA must be the zone's own.
    pub fn take(&mut self, record: Record) -> Result<Option<Vec<Delta>>, Reason> {
        match (self.place, record.rtype == Rtype::SOA) {
            (Place::Removing, false) => self.current.removed.push(record),
            (Place::Adding, false) => self.current.added.push(record),
            (Place::Removing, true) => {
                if !serial(&record).is_newer_than(self.current.from()) {
                    return Err(Reason::OutOfSequence);
                }
                self.current.added.push(record);
                self.place = Place::Adding;
            }
            (Place::Adding, true) => {
                let reached = self.current.to();
                if reached == serial(&self.announced) {
                    return self.close(&record).map(Some);
                }
                if serial(&record) != reached {
                    return Err(Reason::OutOfSequence);
                }
                let whole = std::mem::replace(&mut self.current, begin(record));
                self.whole.push(whole);
                self.place = Place::Removing;
            }
        }
        Ok(None)
    }

    fn close(&mut self, last: &Record) -> Result<Vec<Delta>, Reason> {
        let reached = self.current.added.first();
        if *last != self.announced || reached != Some(&self.announced) {
            return Err(Reason::SoaMismatch);
        }
        self.whole
            .push(std::mem::replace(&mut self.current, Delta { removed: Vec::new(), added: Vec::new() }));
        Ok(std::mem::take(&mut self.whole))
    }
}

fn begin(old: Record) -> Delta {
    Delta { removed: vec![old], added: Vec::new() }
}

fn serial(soa: &Record) -> Serial {
    Timers::read(&soa.rdata).serial
}
