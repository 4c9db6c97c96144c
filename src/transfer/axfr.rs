//! The whole content of a zone as it arrives (RFC 5936 section 2.2): records of any order between two equal SOAs.

use crate::wire::message::{Record, RecordRef};
use crate::wire::rtype::Rtype;

use super::reason::Reason;

/// Content being received, from the opening SOA on.
#[derive(Debug)]
pub struct Axfr {
    /// The opening SOA.
    pub announced: Record,
    /// How many records there are besides the two SOAs.
    pub records: u64,
}

impl Axfr {
    /// Begins with the opening SOA.
    pub fn new(announced: Record) -> Axfr {
        Axfr { announced, records: 0 }
    }

    /// Looks at a record of the zone; `true` when it was the closing SOA. A SOA below the apex is passed over: whoever puts the zone
    /// together refuses it, and tells whose it is.
    pub fn take(&mut self, record: RecordRef<'_>) -> Result<bool, Reason> {
        if record.rtype == Rtype::SOA && *record.owner == *self.announced.owner {
            // RFC 5936 2.2: the last record is the first one once more; another one means that two versions got mixed.
            let same = record.owned().is_some_and(|record| record == self.announced);
            return if same { Ok(true) } else { Err(Reason::SoaMismatch) };
        }
        self.records += 1;
        Ok(false)
    }
}
