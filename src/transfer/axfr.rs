//! The whole content of a zone as it arrives (RFC 5936 section 2.2): records of any order between two equal SOAs.

use crate::wire::message::Record;
use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;
use crate::zone::snapshot::Builder;

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

    /// Takes a record of the zone; `true` when it was the closing SOA. A SOA must be the zone's own.
    pub fn take(&mut self, record: Record) -> Result<bool, Reason> {
        if record.rtype == Rtype::SOA {
            // RFC 5936 2.2: the last record is the first one once more; another one means that two versions got mixed.
            return if record == self.announced { Ok(true) } else { Err(Reason::SoaMismatch) };
        }
        self.builder.push(&record);
        Ok(false)
    }

    /// The records and their SOA, once the closing one has arrived. Putting a zone together is work for another thread.
    pub fn finish(self) -> (Box<Builder>, Record) {
        (self.builder, self.announced)
    }
}
