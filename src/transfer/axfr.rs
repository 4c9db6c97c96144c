//! The whole content of a zone as it arrives (RFC 5936 section 2.2): records of any order between two equal SOAs.

use crate::publish::transferred::Transferred;
use crate::wire::message::{Record, RecordRef};
use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;

use super::reason::Reason;

/// Content being received, from the opening SOA on.
#[derive(Debug)]
pub struct Axfr {
    content: Transferred,
    /// Records of the message that is being read.
    records: u64,
}

impl Axfr {
    /// Begins with the opening SOA.
    pub fn new(zone: &NameRef, announced: Record) -> Axfr {
        Axfr { content: Transferred::new(zone.to_name(), announced), records: 0 }
    }

    /// Looks at a record of the zone; `true` when it was the closing SOA. A SOA below the apex is kept: whoever puts the zone together
    /// refuses it, and tells whose it is.
    pub fn take(&mut self, record: RecordRef<'_>) -> Result<bool, Reason> {
        if record.rtype == Rtype::SOA && *record.owner == **self.content.apex() {
            // RFC 5936 2.2: the last record is the first one once more; another one means that two versions got mixed.
            let same = record.owned().is_some_and(|record| record == *self.content.soa());
            return if same { Ok(true) } else { Err(Reason::SoaMismatch) };
        }
        self.records += 1;
        Ok(false)
    }

    /// Keeps the message whose records have been looked at.
    pub fn keep(&mut self, message: &[u8]) {
        self.content.keep(message, std::mem::take(&mut self.records));
    }

    /// The whole content, once the message with the closing SOA is kept.
    pub fn finish(self) -> Transferred {
        self.content
    }
}
