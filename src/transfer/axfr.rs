//! The whole content of a zone as it arrives (RFC 5936 section 2.2): records of any order between two equal SOAs.

use crate::wire::message::{Record, RecordRef};
use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;
use crate::zone::builder::Builder;

use super::reason::Reason;

/// Content being received, from the opening SOA on.
#[derive(Debug)]
pub struct Axfr {
    announced: Record,
    builder: Box<Builder>,
}

impl Axfr {
    /// Begins with the opening SOA.
    pub fn new(zone: &NameRef, announced: Record) -> Axfr {
        let mut builder = Box::new(Builder::new(zone.to_name()));
        builder.push(&announced);
        Axfr { announced, builder }
    }

    /// Takes a record of the zone; `true` when it was the closing SOA. A SOA below the apex is kept: whoever puts the zone together refuses
    /// it, and tells whose it is.
    pub fn take(&mut self, record: RecordRef<'_>) -> Result<bool, Reason> {
        if record.rtype == Rtype::SOA && *record.owner == **self.builder.apex() {
            // RFC 5936 2.2: the last record is the first one once more; another one means that two versions got mixed.
            let same = record.owned().is_some_and(|record| record == self.announced);
            return if same { Ok(true) } else { Err(Reason::SoaMismatch) };
        }
        self.builder.add(record.owner, record.rtype, record.ttl, record.rdata);
        Ok(false)
    }

    /// The records and their SOA, once the closing one has arrived. Putting a zone together is work for another thread.
    pub fn finish(self) -> (Box<Builder>, Record) {
        (self.builder, self.announced)
    }
}
