//! Zones for the tests here: small ones whose content follows from a serial and a set of numbers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::publish::access::Access;
use crate::publish::journal::entry::Entry;
use crate::publish::journal::log::LogError;
use crate::publish::proposal::Proposal;
use crate::publish::store::ZoneStore;
use crate::publish::zone::Zone;
use crate::time::{Mono, Now, Utc};
use crate::wire::message::Record;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::builder::Builder;
use crate::zone::serial::{Policy, Serial};
use crate::zone::snapshot::Snapshot;

/// Refresh, retry and expire of the zones here, in seconds.
pub(super) const TIMERS: [u32; 3] = [100, 10, 1_000];

/// A journal that takes everything, or (on demand) nothing.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) full: bool,
}

impl Journal {
    pub(super) fn append(&mut self, _: &[Entry]) -> Result<(), LogError> {
        if self.full { Err(LogError("disk full".into())) } else { Ok(()) }
    }
}

pub(super) fn apex() -> Name {
    "example.".parse().unwrap()
}

pub(super) fn at(millis: u64) -> Now {
    // Civil time stands elsewhere than monotonic time, so that a mix-up shows.
    Now { mono: Mono(millis * 1_000), utc: Utc(1_700_000_000_000_000 + millis * 1_000) }
}

pub(super) fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], 53))
}

pub(super) fn soa(serial: u32) -> Record {
    let mut rdata = b"\x02ns\x07example\x00\x05admin\x07example\x00".to_vec();
    for number in [&[serial][..], &TIMERS, &[60]].concat() {
        rdata.extend_from_slice(&number.to_be_bytes());
    }
    record("example.", Rtype::SOA, &rdata)
}

pub(super) fn record(owner: &str, rtype: Rtype, rdata: &[u8]) -> Record {
    Record { owner: owner.parse().unwrap(), rtype, ttl: 60, rdata: rdata.into() }
}

pub(super) fn a(owner: &str, last: u8) -> Record {
    record(owner, Rtype::A, &[192, 0, 2, last])
}

pub(super) fn snapshot(serial: u32, hosts: &BTreeSet<u16>) -> Snapshot {
    records(serial, hosts).finish().unwrap().0
}

pub(super) fn records(serial: u32, hosts: &BTreeSet<u16>) -> Builder {
    let mut builder = Builder::new(apex());
    builder.push(&soa(serial));
    builder.push(&record("example.", Rtype::NS, b"\x02ns\x07example\x00"));
    for host in hosts {
        builder.push(&a(&format!("h{}.Sub{}.example.", host / 3, host % 7), *host as u8));
        if host % 5 == 0 {
            builder.push(&record(
                &format!("t{host}.example."),
                Rtype::TXT,
                &[&[200][..], &[*host as u8; 200]].concat(),
            ));
        }
    }
    builder
}

/// A node with the zone: a primary's store, or a secondary's.
pub(super) struct Node {
    pub(super) store: Arc<ZoneStore>,
    pub(super) journal: Journal,
}

impl Node {
    pub(super) fn primary() -> Node {
        let node = Node { store: Arc::new(ZoneStore::new(7)), journal: Journal::default() };
        node.store.configure(&apex(), Access::default());
        node
    }

    pub(super) fn secondary() -> Node {
        let node = Node { store: Arc::new(ZoneStore::new(8)), journal: Journal::default() };
        node.store.configure(&apex(), Access { secondary: true, ..Access::default() });
        node
    }

    /// Publishes as a zone file with these hosts would be.
    pub(super) fn edit(&mut self, now: Now, serial: u32, hosts: &BTreeSet<u16>) {
        let proposal = Proposal::file(snapshot(serial, hosts), Policy::Keep);
        self.store.publish(now, proposal, |entries| self.journal.append(entries)).unwrap();
    }

    pub(super) fn zone(&self) -> Arc<Zone> {
        self.store.get(&apex()).unwrap()
    }

    pub(super) fn serial(&self) -> Option<Serial> {
        self.zone().version().map(|version| version.stamp.serial)
    }
}

/// Hosts 0 to `count`.
pub(super) fn hosts(count: u16) -> BTreeSet<u16> {
    (0..count).collect()
}
