//! Transfers in: reads the messages of one answer and says what they amount to.
//!
//! ```text
//!            SOA, serial not newer than ours (IXFR asked)  -> UpToDate
//! Begin -> SOA announced -> Announced
//!                             | SOA with our serial (IXFR asked) -> Differences ... the announced SOA -> Differences
//!                             | anything else                    -> Content ....... the announced SOA -> Full
//! any state: whatever does not belong there -> Bad
//! ```
//!
//! RFC 5936 section 2.2 and RFC 1995 section 4. Nothing is kept of an answer that turns out bad, and the bounds of [`Limits`]
//! hold for every answer.

use crate::publish::expire;
use crate::publish::messages::Messages;
use crate::publish::transferred::Transferred;
use crate::wire::edns;
use crate::wire::message::{Answers, Opcode, Record, RecordRef, extended_rcode};
use crate::wire::name::Name;
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};
use crate::zone::serial::Serial;
use crate::zone::soa::Timers;
use crate::zone::stamp::Told;

use super::axfr::Axfr;
use super::ixfr::Ixfr;
use super::reason::Reason;

/// What one answer may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, of the messages as they are and of the records without compression, each.
    pub bytes: u64,
    /// Records.
    pub records: u64,
}

/// 2 GiB hold any zone that this node could also serve from memory beside the old version.
pub const MAX_BYTES: u64 = 1 << 31;
/// 32 million records, some three times the records of the larger country zones.
pub const MAX_RECORDS: u64 = 1 << 25;
/// Bytes counted for each record beside its name and data: what it takes to hold it.
const RECORD_BYTES: u64 = 48;

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes: MAX_BYTES, records: MAX_RECORDS }
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The whole zone.
    Axfr,
    /// What followed this serial.
    Ixfr(Serial),
}

/// What the messages so far amount to.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing yet: more messages must follow.
    More,
    /// The server's version is ours, or older: its serial.
    UpToDate(Serial),
    /// The whole content, and what the server told of its versions.
    Full(Transferred, Option<Told>),
    /// The steps from our version to the server's, and what it told of them.
    Differences(Transferred, Option<Told>),
    /// Not a transfer; nothing of it may be used.
    Bad(Reason),
}

/// Reads one answer.
#[derive(Debug)]
pub struct Intake {
    zone: Name,
    asked: Asked,
    limits: Limits,
    state: State,
    kept: Messages,
    told: Option<Told>,
    expire: Option<u32>,
    messages: u64,
    bytes: u64,
    held: u64,
    records: u64,
    ignored: u64,
}

#[derive(Debug)]
enum State {
    Begin,
    Announced(Record),
    Content(Axfr),
    Differences(Ixfr),
    Over,
}

impl Intake {
    /// Awaits the answer to what was asked about a zone.
    pub fn new(zone: Name, asked: Asked, limits: Limits) -> Intake {
        Intake {
            zone,
            asked,
            limits,
            state: State::Begin,
            kept: Messages::default(),
            told: None,
            expire: None,
            messages: 0,
            bytes: 0,
            held: 0,
            records: 0,
            ignored: 0,
        }
    }

    /// Takes in one message. After anything but [`Outcome::More`] the answer is over, and further messages are bad.
    pub fn feed(&mut self, bytes: &[u8]) -> Outcome {
        self.messages += 1;
        self.bytes += bytes.len() as u64;
        let outcome = self.read(bytes).unwrap_or_else(Outcome::Bad);
        if !matches!(outcome, Outcome::More) {
            self.state = State::Over;
        }
        outcome
    }

    /// What the server told of its versions, until an outcome took it along.
    pub fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    /// The EXPIRE option of the answer in seconds, if it had one (RFC 7314).
    pub fn expire(&self) -> Option<u32> {
        self.expire
    }

    /// Messages taken in.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Bytes taken in.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Records left out because they are outside the zone (RFC 5936 3.1 and 6) or not of class IN.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Outcome, Reason> {
        if self.bytes > self.limits.bytes {
            return Err(Reason::TooLarge);
        }
        let mut message = Answers::read(bytes).map_err(|_| Reason::Malformed)?;
        let header = message.header;
        if !header.is_response() || header.opcode() != Opcode::QUERY {
            return Err(Reason::Malformed);
        }
        if header.rcode() != Rcode::NOERROR {
            let opt = message.finish(|_, _| ()).map_err(|_| Reason::Malformed)?;
            return Err(Reason::of(extended_rcode(header, opt.as_ref())).unwrap_or(Reason::Malformed));
        }
        self.check(&message)?;
        // RFC 5936 2.2: at least one record in each; a server could keep us waiting with empty ones for ever.
        let (mut whole, mut is_needed) = (None, false);
        while let Some(record) = message.next().map_err(|_| Reason::Malformed)? {
            self.count(record)?;
            if record.class != CLASS_IN {
                self.ignored += 1;
                continue;
            }
            if let Some(whole) = &whole {
                // Whatever stands behind the closing SOA makes the whole doubtful; one SOA that tells us that we are up to
                // date may well open a whole zone that we have no use for.
                if matches!(whole, Whole::UpToDate(_)) { break } else { return Err(Reason::Malformed) }
            }
            if !record.owner.is_in(&self.zone) {
                if matches!(self.state, State::Begin) {
                    return Err(Reason::WrongZone);
                }
                self.ignored += 1;
                continue;
            }
            is_needed = true;
            whole = self.take(record)?;
        }
        let end = message.end();
        let opt = message.finish(|_, _| ()).map_err(|_| Reason::Malformed)?;
        if let Some(reason) = Reason::of(extended_rcode(header, opt.as_ref())) {
            return Err(reason);
        }
        if let Some(opt) = opt.as_ref().filter(|_| self.messages == 1) {
            self.told = opt.get().option(edns::STAMP).and_then(Told::read);
            self.expire = opt.get().option(edns::EXPIRE).and_then(expire::read);
        }
        if is_needed {
            self.kept.keep(&bytes[..end]);
        }
        match whole {
            Some(Whole::UpToDate(serial)) => Ok(Outcome::UpToDate(serial)),
            Some(Whole::Content(soa, records)) => {
                Ok(Outcome::Full(self.transferred(soa, records, 0), self.told.take()))
            }
            Some(Whole::Differences(soa, records, steps)) => {
                Ok(Outcome::Differences(self.transferred(soa, records, steps), self.told.take()))
            }
            // RFC 5936 2.2.1: the first message has a SOA at least.
            None if header.counts[1] == 0 || matches!(self.state, State::Begin) => Err(Reason::Malformed),
            None => Ok(Outcome::More),
        }
    }

    fn transferred(&mut self, soa: Record, records: u64, steps: u64) -> Transferred {
        Transferred { soa, records, steps, messages: std::mem::take(&mut self.kept) }
    }

    fn check(&self, message: &Answers<'_>) -> Result<(), Reason> {
        if message.header.is_truncated() {
            return Err(Reason::Truncated);
        }
        let Some(question) = &message.question else { return Ok(()) };
        if question.name != self.zone {
            return Err(Reason::WrongZone);
        }
        let rtype = match self.asked {
            Asked::Axfr => Rtype::AXFR,
            Asked::Ixfr(_) => Rtype::IXFR,
        };
        if question.rtype == rtype && question.class == CLASS_IN { Ok(()) } else { Err(Reason::Malformed) }
    }

    fn count(&mut self, record: RecordRef<'_>) -> Result<(), Reason> {
        self.records += 1;
        self.held += (record.owner.as_wire().len() + record.rdata.len()) as u64 + RECORD_BYTES;
        let within = self.records <= self.limits.records && self.held <= self.limits.bytes;
        if within { Ok(()) } else { Err(Reason::TooLarge) }
    }

    /// Takes in a record of the zone; what the answer amounts to, when it was the last one.
    fn take(&mut self, record: RecordRef<'_>) -> Result<Option<Whole>, Reason> {
        let is_soa = record.rtype == Rtype::SOA;
        // Within the zone but below its apex: another zone's (before the first SOA), a fault of the content, or nobody's.
        let is_stray = is_soa && *record.owner != *self.zone;
        let owned = || record.owned().ok_or(Reason::Malformed);
        match &mut self.state {
            State::Begin => {
                if is_stray {
                    return Err(Reason::WrongZone);
                }
                if !is_soa {
                    return Err(Reason::Malformed);
                }
                let serial = Timers::read(record.rdata).serial;
                self.state = State::Announced(owned()?);
                match self.asked {
                    Asked::Ixfr(have) if !serial.is_newer_than(have) => Ok(Some(Whole::UpToDate(serial))),
                    _ => Ok(None),
                }
            }
            State::Announced(announced) => {
                let announced = announced.clone();
                let content = !is_soa || is_stray || owned()? == announced;
                match self.asked {
                    // RFC 1995 section 4: a SOA in the second place marks differences.
                    Asked::Ixfr(have) if !content => {
                        self.state = State::Differences(Ixfr::new(announced, have, record)?);
                        Ok(None)
                    }
                    _ => {
                        self.state = State::Content(Axfr::new(announced));
                        self.take(record)
                    }
                }
            }
            State::Differences(_) if is_stray => Err(Reason::Malformed),
            State::Differences(ixfr) => {
                let whole =
                    |ixfr: &Ixfr| Whole::Differences(ixfr.announced.clone(), ixfr.records, ixfr.steps);
                Ok(ixfr.take(record)?.then(|| whole(ixfr)))
            }
            State::Content(axfr) => {
                Ok(axfr.take(record)?.then(|| Whole::Content(axfr.announced.clone(), axfr.records)))
            }
            State::Over => Err(Reason::Malformed),
        }
    }
}

/// What an answer amounts to that has come to its end.
enum Whole {
    UpToDate(Serial),
    /// With the announced SOA, and how many records there are besides it.
    Content(Record, u64),
    /// And how many steps there are.
    Differences(Record, u64, u64),
}

#[cfg(test)]
mod tests;
