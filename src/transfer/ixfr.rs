//! Differences as they arrive (RFC 1995 section 4).
//!
//! ```text
//! announced SOA | old SOA, removed ... | new SOA, added ... | old SOA ... | announced SOA
//!                 Removing               Adding               Removing      the end
//! ```
//!
//! The first old SOA has our serial, each later one the serial of the new SOA before it, and the last new SOA is the announced one.

use crate::wire::message::{Record, RecordRef};
use crate::wire::rtype::Rtype;
use crate::zone::serial::Serial;
use crate::zone::soa::Timers;

use super::reason::Reason;

/// Differences being received, from the first old SOA on.
#[derive(Debug)]
pub struct Ixfr {
    /// The SOA that they are to lead to.
    pub announced: Record,
    /// How many records there are besides the announced SOA at the beginning and at the end.
    pub records: u64,
    /// From how many versions to the next they lead.
    pub steps: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Behind the old SOA of this serial.
    Removing(Serial),
    /// Behind the new SOA of this serial, which may be the announced one.
    Adding { reached: Serial, is_announced: bool },
}

impl Ixfr {
    /// Begins with the announced SOA, the serial that was asked from, and the first old SOA.
    pub fn new(announced: Record, have: Serial, old: RecordRef<'_>) -> Result<Ixfr, Reason> {
        if Timers::read(old.rdata).serial != have {
            return Err(Reason::OutOfSequence);
        }
        Ok(Ixfr { announced, records: 1, steps: 1, place: Place::Removing(have) })
    }

    /// Looks at a record of the zone; `true` when it was the closing SOA. A SOA must be the zone's own.
    pub fn take(&mut self, record: RecordRef<'_>) -> Result<bool, Reason> {
        if record.rtype == Rtype::SOA {
            let serial = Timers::read(record.rdata).serial;
            let is_announced = || record.owned().is_some_and(|record| record == self.announced);
            self.place = match self.place {
                Place::Removing(from) if serial.is_newer_than(from) => {
                    Place::Adding { reached: serial, is_announced: is_announced() }
                }
                Place::Adding { reached, is_announced: ends } if reached == self.serial() => {
                    return if ends && is_announced() { Ok(true) } else { Err(Reason::SoaMismatch) };
                }
                Place::Adding { reached, .. } if serial == reached => {
                    self.steps += 1;
                    Place::Removing(serial)
                }
                _ => return Err(Reason::OutOfSequence),
            };
        }
        self.records += 1;
        Ok(false)
    }

    /// The announced serial.
    fn serial(&self) -> Serial {
        Timers::read(&self.announced.rdata).serial
    }
}
