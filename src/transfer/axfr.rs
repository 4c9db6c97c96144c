//! The whole content of a zone as it arrives (RFC 5936 section 2.2): records of any order between two equal SOAs.

use crate::wire::message::Record;
use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;
use crate::zone::snapshot::{Builder, Snapshot};

use super::reason::Reason;

/// Content being received, from the opening SOA on.
pub struct Axfr {
    announced: Record,
    builder: Builder,
}

impl Axfr {
    /// Begins with the opening SOA.
    pub fn new(zone: &NameRef, announced: Record) -> Axfr {
        let mut builder = Builder::new(zone.to_name());
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

    /// The content, once the closing SOA has arrived.
    pub fn finish(self) -> Result<Snapshot, Reason> {
        self.builder.finish().map(|(snapshot, _)| snapshot).map_err(|_| Reason::InvalidZone)
    }
}

impl std::fmt::Debug for Axfr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Axfr({} records of {})", self.builder.records(), self.announced.owner)
    }
}
