//! Transfers in: reads the messages of one answer and says what they amount to.
//!
//! ```text
//!            SOA, serial not newer than ours (IXFR asked)  -> UpToDate
//! Begin -> SOA announced -> Announced
//!                             | SOA with our serial (IXFR asked) -> Differences ... the announced SOA -> Deltas
//!                             | anything else                    -> Content ....... the announced SOA -> Full
//! any state: whatever does not belong there -> Bad
//! ```
//!
//! RFC 5936 section 2.2 and RFC 1995 section 4. Nothing is kept of an answer that turns out bad, and the bounds of [`Limits`]
//! hold for every answer.

use crate::publish::expire;
use crate::wire::edns;
use crate::wire::message::{Message, Opcode, Record};
use crate::wire::name::Name;
use crate::wire::rtype::{CLASS_IN, Rtype};
use crate::zone::delta::Delta;
use crate::zone::serial::Serial;
use crate::zone::snapshot::Builder;
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
    /// The records of the whole content, their SOA, and what the server told of its versions.
    Full(Box<Builder>, Record, Option<Told>),
    /// The steps from our version to the server's, and what it told of them.
    Deltas(Vec<Delta>, Option<Told>),
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
        let message = Message::read(bytes).map_err(|_| Reason::Malformed)?;
        self.check(&message)?;
        self.ignored += u64::from(message.header.counts[1]).saturating_sub(message.answer.len() as u64);
        if self.messages == 1 {
            self.told = message.option(edns::STAMP).and_then(Told::read);
            self.expire = message.option(edns::EXPIRE).and_then(expire::read);
        }
        // RFC 5936 2.2: at least one record in each; a server could keep us waiting with empty ones for ever.
        if message.header.counts[1] == 0 {
            return Err(Reason::Malformed);
        }
        let mut records = message.answer.into_iter();
        while let Some(record) = records.next() {
            self.count(&record)?;
            if !record.owner.is_in(&self.zone) {
                if matches!(self.state, State::Begin) {
                    return Err(Reason::WrongZone);
                }
                self.ignored += 1;
                continue;
            }
            let outcome = self.take(record)?;
            if !matches!(outcome, Outcome::More) {
                // Whatever stands behind the closing SOA makes the whole doubtful; one SOA that tells us that we are up to
                // date may well open a whole zone that we have no use for.
                let behind = records.next().is_some() && !matches!(outcome, Outcome::UpToDate(_));
                return if behind { Err(Reason::Malformed) } else { Ok(outcome) };
            }
        }
        // RFC 5936 2.2.1: the first message has a SOA at least.
        if matches!(self.state, State::Begin) { Err(Reason::Malformed) } else { Ok(Outcome::More) }
    }

    fn check(&self, message: &Message) -> Result<(), Reason> {
        if !message.header.is_response() || message.header.opcode() != Opcode::QUERY {
            return Err(Reason::Malformed);
        }
        if let Some(reason) = Reason::of(message.rcode()) {
            return Err(reason);
        }
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

    fn count(&mut self, record: &Record) -> Result<(), Reason> {
        self.records += 1;
        self.held += (record.owner.as_wire().len() + record.rdata.len()) as u64 + RECORD_BYTES;
        let within = self.records <= self.limits.records && self.held <= self.limits.bytes;
        if within { Ok(()) } else { Err(Reason::TooLarge) }
    }

    fn take(&mut self, record: Record) -> Result<Outcome, Reason> {
        if record.rtype == Rtype::SOA && record.owner != self.zone {
            // Within the zone but below its apex: another zone's (before the first SOA) or nobody's.
            let begun = !matches!(self.state, State::Begin);
            return Err(if begun { Reason::Malformed } else { Reason::WrongZone });
        }
        match &mut self.state {
            State::Begin => {
                if record.rtype != Rtype::SOA {
                    return Err(Reason::Malformed);
                }
                let serial = Timers::read(&record.rdata).serial;
                self.state = State::Announced(record);
                match self.asked {
                    Asked::Ixfr(have) if !serial.is_newer_than(have) => Ok(Outcome::UpToDate(serial)),
                    _ => Ok(Outcome::More),
                }
            }
            State::Announced(announced) => {
                let announced = announced.clone();
                let is_soa = record.rtype == Rtype::SOA;
                let content = !is_soa || record == announced;
                match self.asked {
                    // RFC 1995 section 4: a SOA in the second place marks differences.
                    Asked::Ixfr(have) if !content => {
                        self.state = State::Differences(Ixfr::new(announced, have, record)?);
                        Ok(Outcome::More)
                    }
                    _ => {
                        self.state = State::Content(Axfr::new(&self.zone, announced));
                        self.take(record)
                    }
                }
            }
            State::Content(axfr) => match axfr.take(record)? {
                false => Ok(Outcome::More),
                true => {
                    let State::Content(axfr) = std::mem::replace(&mut self.state, State::Over) else {
                        return Err(Reason::Malformed);
                    };
                    let (records, soa) = axfr.finish();
                    Ok(Outcome::Full(records, soa, self.told.take()))
                }
            },
            State::Differences(ixfr) => match ixfr.take(record)? {
                None => Ok(Outcome::More),
                Some(deltas) => Ok(Outcome::Deltas(deltas, self.told.take())),
            },
            State::Over => Err(Reason::Malformed),
        }
    }
}

#[cfg(test)]
mod tests;
