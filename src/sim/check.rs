//! What must always hold, judged by an oracle that knows what was published when and who served what since when.
//!
//! 1. A serial means one content, everywhere and for ever, and that content was really published.
//! 2. No host's serial goes backwards (RFC 1982), crashes or not, unless its zone expired in between.
//! 3. No answer and no transfer mixes two versions, and answers are what the file they are from says.
//! 4. Every reported span of lag contains the true one.
//! 5. Nobody gets a transfer whom the zone's access list does not name.
//! 6. What was served before a crash is served after it, or something newer, of whichever zone.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lag::Interval;
use crate::node::status::Page;
use crate::publish::zone::Version;
use crate::time::{Hlc, Mono};
use crate::wire::message::{Message, Record};
use crate::wire::rtype::Rtype;
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;
use crate::zone::snapshot::Snapshot;

use super::content::{Content, SIDES, apex};

/// What EXPIRE may be exceeded by: it travels in whole seconds.
const ROUNDING: Duration = Duration::from_secs(3);

/// Something that must hold did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at {:.6}, host {host}: {what}", at.0 as f64 / 1e6)]
pub struct Violation {
    /// When.
    pub at: Mono,
    /// At which host it showed.
    pub host: usize,
    /// What, in a sentence.
    pub what: String,
}

/// A version that the primary published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its serial.
    pub serial: Serial,
    /// The digest of its content.
    pub digest: Digest,
    /// What its canaries hold.
    pub number: u32,
    /// When it was first served.
    pub at: Mono,
    /// What it was stamped with.
    pub stamp: Option<Hlc>,
}

/// What one host served.
#[derive(Clone, Debug, Default)]
struct Shown {
    /// What it served last, in this life or an earlier one; `None` since the zone expired.
    last: Option<Serial>,
    /// The numbers it served, each from when on; `None` for nothing.
    timeline: Vec<(Mono, Option<u32>)>,
    /// The serials it served, each from when on.
    reached: Vec<(Mono, Serial)>,
    /// The last moment at which its content was known to be current.
    fresh: Option<Mono>,
    /// The same of a version that it has pulled and does not serve yet: a crash may come in between.
    pulled: Option<Mono>,
    /// Its civil clock was set, so it cannot know how long it was down.
    lost_time: bool,
    /// Its journal is gone, and nothing was published since.
    lost_journal: bool,
    full_disk: bool,
    /// It knows no serial that is free: its journal is gone while it can reserve none, or a write was torn.
    cannot_publish: bool,
}

/// All that is true.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    published: Vec<Published>,
    numbers: BTreeMap<[u8; 32], u32>,
    /// Every file that was written, by its number.
    files: Vec<Content>,
    hosts: Vec<Shown>,
    /// What the primary serves of the zones beside this one: their numbers; `None` before the first, or since its journal was lost.
    sides: [Option<u32>; SIDES],
}

impl Oracle {
    /// Knows of so many hosts.
    pub fn new(hosts: usize) -> Oracle {
        let (published, numbers, files) = (Vec::new(), BTreeMap::new(), Vec::new());
        Oracle { published, numbers, files, hosts: vec![Shown::default(); hosts], sides: [None; SIDES] }
    }

    /// Zone files were written, all with this number.
    pub fn written(&mut self, snapshots: impl Iterator<Item = Snapshot>, content: &Content) {
        self.numbers.extend(snapshots.map(|snapshot| (snapshot.digest().to_bytes(), content.number)));
        self.files.push(content.clone());
    }

    /// The newest version.
    pub fn head(&self) -> Option<&Published> {
        self.published.last()
    }

    /// Every version, oldest first.
    pub fn published(&self) -> &[Published] {
        &self.published
    }

    /// A host's zone expired.
    pub fn expired(&mut self, host: usize) {
        self.hosts[host].last = None;
    }

    /// A host's journal is gone.
    pub fn lost_journal(&mut self, host: usize) {
        self.hosts[host].lost_journal = true;
        self.sides = [None; SIDES];
        self.hosts[host].cannot_publish |= self.hosts[host].full_disk;
    }

    /// A power failure tore what a primary wrote that takes serials from its files alone. For all that it can know it served that, so
    /// it serves nothing older; and nothing newer where a file has got a lower serial since.
    pub fn tore_write(&mut self, host: usize) {
        self.hosts[host].cannot_publish = true;
        self.sides = [None; SIDES];
    }

    /// A host's disk is full, or not any more.
    pub fn full_disk(&mut self, host: usize, full: bool) {
        self.hosts[host].full_disk = full;
        self.hosts[host].cannot_publish |= full && self.hosts[host].lost_journal;
    }

    /// A host is down.
    pub fn down(&mut self, at: Mono, host: usize) {
        self.note(at, host, None);
    }

    /// A host serves this now; at the primary a new version is published by that.
    pub fn serves(
        &mut self,
        at: Mono,
        host: usize,
        primary: bool,
        version: Option<&Version>,
    ) -> Result<(), Violation> {
        let fail = |what| Err(Violation { at, host, what });
        let Some(version) = version else {
            self.note(at, host, None);
            return match self.hosts[host].last {
                Some(last) if !self.hosts[host].cannot_publish => {
                    fail(format!("serves nothing, but served serial {last} and did not expire"))
                }
                _ => Ok(()),
            };
        };
        let (serial, stamp) = (version.stamp.serial, version.stamp.published);
        let before = self.hosts[host].last;
        let same =
            before == Some(serial) && self.hosts[host].timeline.last().is_some_and(|it| it.1.is_some());
        if same {
            let known = self.find(serial);
            return match known {
                Some(known) if known.digest == version.stamp.digest => Ok(()),
                _ => fail(format!("content of serial {serial} changed under it")),
            };
        }
        if let Some(before) = before.filter(|&before| before != serial && !serial.is_newer_than(before)) {
            return fail(format!("serial went from {before} to {serial}"));
        }
        let digest = digest_of(&version.snapshot);
        if digest != version.snapshot.digest() || digest != version.stamp.digest {
            return fail(format!("digest of serial {serial} does not fit its records"));
        }
        let Some(&number) = self.numbers.get(&digest.to_bytes()) else {
            return fail(format!("serial {serial} has content that nobody ever wrote"));
        };
        match self.find(serial) {
            Some(known) if known.digest != digest => {
                return fail(format!(
                    "serial {serial} has content {number}, but was published with {}",
                    known.number
                ));
            }
            Some(known) if stamp.is_some() && known.stamp.is_some() && known.stamp != stamp => {
                return fail(format!(
                    "serial {serial} is said to be published at {stamp:?}, and was at {:?}",
                    known.stamp
                ));
            }
            Some(_) => {}
            None if primary => self.published.push(Published { serial, digest, number, at, stamp }),
            None => return fail(format!("serial {serial} was never published")),
        }
        let shown = &mut self.hosts[host];
        if before != Some(serial) {
            shown.fresh = shown.fresh.max(shown.pulled.take());
        }
        shown.last = Some(serial);
        (shown.lost_journal, shown.cannot_publish) = (false, false);
        shown.reached.push((at, serial));
        self.note(at, host, Some(number));
        Ok(())
    }

    /// The primary serves this of a zone beside the one that others pull: it never goes back, and never away.
    pub fn side(&mut self, at: Mono, side: usize, version: Option<&Version>) -> Result<(), Violation> {
        let number = version.and_then(|version| self.numbers.get(&version.stamp.digest.to_bytes())).copied();
        let before = std::mem::replace(&mut self.sides[side], number);
        if number < before {
            let what = format!("served content {before:?} of zone side{side}, and now {number:?}");
            return Err(Violation { at, host: 0, what });
        }
        Ok(())
    }

    /// Takes a whole transfer apart: it is one published version.
    pub fn transfer(&self, at: Mono, host: usize, snapshot: &Snapshot) -> Result<(), Violation> {
        match self.find(snapshot.serial()) {
            Some(known) if known.digest == snapshot.digest() => Ok(()),
            _ => Err(Violation {
                at,
                host,
                what: format!("an AXFR of serial {} was not what was published", snapshot.serial()),
            }),
        }
    }

    /// Compares what a host says of lag with the truth.
    pub fn status(&self, at: Mono, host: usize, status: &Page) -> Result<(), Violation> {
        for zone in status.zones.iter().filter(|zone| zone.zone == apex()) {
            if let (Some(serial), Some(claimed)) = (zone.serial, zone.staleness) {
                self.staleness(at, host, serial, &claimed, "its own")?;
            }
            for server in &zone.servers {
                if let (Some(serial), Some(claimed)) = (server.serial, server.staleness) {
                    self.staleness(at, host, serial, &claimed, &format!("{}'s", server.server))?;
                }
            }
        }
        Ok(())
    }

    fn staleness(
        &self,
        at: Mono,
        host: usize,
        serial: Serial,
        claimed: &Interval,
        whose: &str,
    ) -> Result<(), Violation> {
        let fail = |what| Err(Violation { at, host, what });
        let Some(index) = self.published.iter().position(|known| known.serial == serial) else {
            return fail(format!("{whose} serial {serial} was never published"));
        };
        let truth = self.published.get(index + 1).map_or(Duration::ZERO, |next| at.since(next.at));
        if !claimed.contains(truth) {
            return fail(format!(
                "{whose} staleness at serial {serial} is {truth:?}, reported as {claimed:?}"
            ));
        }
        Ok(())
    }

    /// A civil clock was set: from then on nobody can be sure how long a host was down, and whoever asks that host inherits it.
    pub fn lost_time(&mut self) {
        self.hosts.iter_mut().for_each(|record| record.lost_time = true);
    }

    /// A host asked one of these, and is no fresher than the freshest of them, however little they could say of that: a primary is
    /// as fresh as can be.
    pub fn inherits(
        &mut self,
        at: Mono,
        host: usize,
        upstreams: &[usize],
        is_primary: impl Fn(usize) -> bool,
    ) {
        let fresh =
            |&upstream: &usize| if is_primary(upstream) { Some(at) } else { self.hosts[upstream].fresh };
        let freshest = upstreams.iter().filter_map(fresh).max();
        self.hosts[host].fresh = self.hosts[host].fresh.max(freshest);
    }

    /// A host pulled a version from one of these, or from the primary itself.
    pub fn pulled(&mut self, at: Mono, host: usize, upstream: usize, is_primary: bool) {
        let fresh = if is_primary { Some(at) } else { self.hosts[upstream].fresh };
        self.hosts[host].pulled = fresh.or(self.hosts[host].fresh);
    }

    /// Nothing is served for longer than EXPIRE after the moment at which the primary last had it for its newest, however many
    /// hosts and crashes lie between.
    pub fn freshness(
        &mut self,
        at: Mono,
        host: usize,
        serves: bool,
        fresh: Option<Mono>,
        expire: Duration,
    ) -> Result<(), Violation> {
        let record = &mut self.hosts[host];
        record.fresh = record.fresh.max(fresh);
        let Some(fresh) = record.fresh.filter(|_| serves && !record.lost_time) else { return Ok(()) };
        let age = at.since(fresh);
        if age > expire + ROUNDING {
            let what = format!("serves what was current {age:?} ago, with an EXPIRE of {expire:?}");
            return Err(Violation { at, host, what });
        }
        Ok(())
    }

    /// Compares a reported propagation of a version to a server with the truth.
    pub fn propagation(
        &self,
        at: Mono,
        host: usize,
        server: usize,
        serial: Serial,
        claimed: &Interval,
    ) -> Result<(), Violation> {
        let reached = self.hosts.get(server).and_then(|seen| {
            seen.reached.iter().find(|(_, shown)| *shown == serial || shown.is_newer_than(serial))
        });
        let (Some(&(reached, _)), Some(known)) = (reached, self.find(serial)) else {
            return Err(Violation {
                at,
                host,
                what: format!("{server} was seen at serial {serial} and never was"),
            });
        };
        let truth = reached.since(known.at);
        if !claimed.contains(truth) {
            let what = format!("propagation of {serial} to {server} took {truth:?}, reported as {claimed:?}");
            return Err(Violation { at, host, what });
        }
        Ok(())
    }

    /// Whether one of these hosts served this number at some moment of a span.
    pub fn was_served(&self, hosts: &[usize], number: u32, since: Mono, until: Mono) -> bool {
        hosts.iter().filter_map(|&host| self.hosts.get(host)).any(|record| {
            record.timeline.iter().enumerate().any(|(index, &(from, shown))| {
                let end = record.timeline.get(index + 1).map_or(Mono(u64::MAX), |next| next.0);
                shown == Some(number) && from <= until && end >= since
            })
        })
    }

    fn find(&self, serial: Serial) -> Option<&Published> {
        self.published.iter().rev().find(|known| known.serial == serial)
    }

    fn note(&mut self, at: Mono, host: usize, number: Option<u32>) {
        let timeline = &mut self.hosts[host].timeline;
        if timeline.last().map(|it| it.1) != Some(number) {
            timeline.push((at, number));
        }
    }
}

/// What an answer shows of the number of the content.
pub fn number_in(message: &Message) -> Option<u32> {
    let number = |record: &Record| match (record.rtype, &*record.rdata) {
        (Rtype::A, rdata) => Some(u32::from_be_bytes(*rdata.first_chunk()?)),
        (Rtype::TXT, &[4, a, b, c, d]) => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    };
    message.answer.iter().find_map(number)
}

/// The digest, from the records and nothing else.
fn digest_of(snapshot: &Snapshot) -> Digest {
    let mut digest = Digest::default();
    for owner in snapshot.owners() {
        for set in owner.rrsets() {
            set.rdatas().for_each(|data| digest.add(Digest::of(owner.name(), set.rtype, set.ttl, data)));
        }
    }
    digest
}

mod answers;
