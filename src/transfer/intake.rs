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
//! Only where an answer begins, and at its SOAs, is it read; the records between them are passed over and kept. Whoever makes a version
//! of a zone of them finds what is wrong with them (and which are of another class or outside the zone), in a thread that nobody else
//! waits for ([`Messages`]).
//!
//! RFC 5936 section 2.2 and RFC 1995 section 4. Nothing is kept of an answer that turns out bad, and the bounds of [`Limits`]
//! hold for every answer.

use std::borrow::Cow;

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
    /// Bytes, of the messages as they are and of the records without compression, each. All transfers under way together may not keep
    /// more than that either, beside [`SHARE`] and one message more each.
    pub bytes: u64,
    /// Records.
    pub records: u64,
}

/// 2 GiB hold any zone that this node could also serve from memory beside the old version.
pub const MAX_BYTES: u64 = 1 << 31;
/// 32 million records, some three times the records of the larger country zones.
pub const MAX_RECORDS: u64 = 1 << 25;

/// Bytes that a transfer may keep whatever the others do: large ones do not keep small zones from being pulled.
pub const SHARE: u64 = 1 << 20;

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
    announced: Option<Serial>,
    told: Option<Told>,
    expire: Option<u32>,
    messages: u64,
    bytes: u64,
    records: u64,
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
            announced: None,
            told: None,
            expire: None,
            messages: 0,
            bytes: 0,
            records: 0,
        }
    }

    /// Has the messages kept there, which holds none yet.
    pub fn keeping(self, kept: Messages) -> Intake {
        Intake { kept, ..self }
    }

    /// Takes in one message, which is kept as it is where it is given away. After anything but [`Outcome::More`] the answer is over,
    /// and further messages are bad.
    pub fn feed<'m>(&mut self, message: impl Into<Cow<'m, [u8]>>) -> Outcome {
        let message = message.into();
        self.messages += 1;
        self.bytes += message.len() as u64;
        let outcome = self.read(message).unwrap_or_else(Outcome::Bad);
        if !matches!(outcome, Outcome::More) {
            self.state = State::Over;
        }
        outcome
    }

    /// The serial of the SOA that opened the answer, which is where it ends.
    pub fn announced(&self) -> Option<Serial> {
        self.announced
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

    fn read(&mut self, bytes: Cow<'_, [u8]>) -> Result<Outcome, Reason> {
        if self.bytes + self.messages * Messages::EACH > self.limits.bytes {
            return Err(Reason::TooLarge);
        }
        let mut message = Answers::read(&bytes).map_err(|_| Reason::Malformed)?;
        let header = message.header;
        if !header.is_response() || header.opcode() != Opcode::QUERY {
            return Err(Reason::Malformed);
        }
        if header.rcode() != Rcode::NOERROR {
            let opt = message.finish(|_, _| ()).map_err(|_| Reason::Malformed)?;
            return Err(Reason::of(extended_rcode(header, opt.as_ref())).unwrap_or(Reason::Malformed));
        }
        self.check(&message)?;
        let mut whole = None;
        loop {
            if whole.is_none() {
                self.pass(&mut message)?;
            }
            let Some(record) = message.next().map_err(|_| Reason::Malformed)? else { break };
            self.count(1)?;
            if record.class != CLASS_IN {
                // Whoever reads what is kept refuses it, and names the record.
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
                // RFC 5936 3.1 and 6.
                continue;
            }
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
        if !matches!(whole, Some(Whole::UpToDate(_))) {
            self.keep(bytes.into_owned(), end)?;
        }
        match whole {
            Some(Whole::UpToDate(serial)) => Ok(Outcome::UpToDate(serial)),
            Some(Whole::Content(soa, records)) => {
                Ok(Outcome::Full(self.transferred(soa, records, 0), self.told.take()))
            }
            Some(Whole::Differences(soa, records, steps)) => {
                Ok(Outcome::Differences(self.transferred(soa, records, steps), self.told.take()))
            }
            // RFC 5936 2.2: at least one record in each, since a server could keep us waiting with empty ones for ever; and the first
            // one has a SOA.
            None if header.counts[1] == 0 || matches!(self.state, State::Begin) => Err(Reason::Malformed),
            None => Ok(Outcome::More),
        }
    }

    /// Keeps a message up to where its answer ends, if all transfers together leave room for more than its share, or for any at all.
    fn keep(&mut self, mut message: Vec<u8>, end: usize) -> Result<(), Reason> {
        let (most, together) = (self.limits.bytes, self.kept.together());
        if self.kept.held() > SHARE && together > most || together > 2 * most {
            return Err(Reason::NoRoom { most });
        }
        message.truncate(end);
        self.kept.keep(message);
        Ok(())
    }

    fn transferred(&mut self, soa: Record, records: u64, steps: u64) -> Transferred {
        Transferred { soa, records, steps, messages: std::mem::take(&mut self.kept), most: self.limits.bytes }
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

    fn count(&mut self, records: u64) -> Result<(), Reason> {
        self.records += records;
        if self.records <= self.limits.records { Ok(()) } else { Err(Reason::TooLarge) }
    }

    /// Passes over records that decide nothing about the answer: those between SOAs.
    fn pass(&mut self, message: &mut Answers<'_>) -> Result<(), Reason> {
        let records = match &mut self.state {
            State::Content(axfr) => &mut axfr.records,
            State::Differences(ixfr) => &mut ixfr.records,
            State::Begin | State::Announced(_) | State::Over => return Ok(()),
        };
        let passed = message.pass_to(Rtype::SOA).map_err(|_| Reason::Malformed)?;
        *records += passed;
        self.count(passed)
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
                self.announced = Some(serial);
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
