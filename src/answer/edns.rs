//! The EDNS options of a reply: NSID (RFC 5001), ZONEVERSION (RFC 9660), EXPIRE (RFC 7314), extended errors (RFC 8914) and
//! publication stamps, cookies (RFC 7873), edns-tcp-keepalive (RFC 7828) and padding (RFC 7830). Each is sent only
//! to those who asked for it; errors to everyone who speaks EDNS.

use std::time::Duration;

use crate::publish::expire;
use crate::publish::zone::{Version, Zone};
use crate::time::Now;
use crate::transfer::provide;
use crate::wire::cookie::{Cookie, Standing, WHOLE};
use crate::wire::edns::{
    COOKIE, EDE, EXPIRE, KEEPALIVE, NSID, Opt, PADDING, STAMP, ZONEVERSION, push_option,
};
use crate::wire::message::Request;
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::via::Via;
use crate::zone::serial::Serial;
use crate::zone::stamp::{self, Stamp, Told};
use crate::zone::zoneversion;

use super::context::{Client, Served};

/// An INFO-CODE of RFC 8914.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ede(pub u16);

#[allow(missing_docs)]
impl Ede {
    pub const STALE_ANSWER: Ede = Ede(3);
    pub const NOT_READY: Ede = Ede(14);
    pub const PROHIBITED: Ede = Ede(18);
    pub const STALE_NXDOMAIN: Ede = Ede(19);
    pub const NOT_AUTHORITATIVE: Ede = Ede(20);
    pub const NO_REACHABLE_AUTHORITY: Ede = Ede(22);

    /// For an answer with this code that is given although its TTL has run out.
    pub(super) fn of_stale(rcode: Rcode) -> Ede {
        if rcode == Rcode::NXDOMAIN { Ede::STALE_NXDOMAIN } else { Ede::STALE_ANSWER }
    }
}

/// A TCP connection on which nothing is asked for so long is closed: what edns-tcp-keepalive tells (RFC 7828); RFC 7766 6.2.3
/// suggests seconds.
pub const TCP_IDLE: Duration = Duration::from_secs(10);
/// The same in the units of the option.
const KEEPALIVE_TIMEOUT: u16 = (TCP_IDLE.as_millis() / 100) as u16;
/// Padded replies are a multiple of this long, so that their length tells little (RFC 8467 4.1).
const BLOCK: usize = 468;
/// The bytes of an OPT record without options.
const OPT: usize = 11;
/// Stamps told beside an answer: the served version and its successor to what the asker has.
const STAMPS: usize = 2;
/// Bytes that the option takes with them at most.
const STAMP_OPTION: usize = 4 + Told::HEAD + STAMPS * Stamp::LENGTH + Told::TAIL;

/// Whether the request has a COOKIE option of a length that no cookie has (RFC 7873 5.2.2).
pub(super) fn has_broken_cookie(request: &Request<'_>) -> bool {
    let cookie = request.opt.and_then(|opt| opt.option(COOKIE));
    cookie.is_some_and(|value| Cookie::read(value).is_none())
}

/// What a request asks for by its EDNS options.
#[derive(Default)]
pub(super) struct Wants<'q> {
    /// What is answered without a zone, each once, in the order in which it is asked for: so many of these.
    early: [Early; 3],
    count: u8,
    cookie: Option<Cookie<'q>>,
    /// A COOKIE option is no cookie.
    has_broken_cookie: bool,
    padding: bool,
    zone_version: bool,
    expire: bool,
    stamp: Option<&'q [u8]>,
}

/// What is answered without a zone.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Early {
    #[default]
    Nsid,
    Cookie,
    Keepalive,
}

impl<'q> Wants<'q> {
    /// Reads the options of a request that came by `via`.
    #[inline]
    pub(super) fn read(opt: &Opt<'q>, via: Via) -> Wants<'q> {
        let mut wants = Wants::default();
        if opt.options.is_empty() {
            return wants;
        }
        for (code, value) in opt.options() {
            match code {
                NSID => wants.note(Early::Nsid),
                COOKIE => match Cookie::read(value) {
                    _ if wants.has_broken_cookie => {}
                    Some(cookie) => {
                        wants.cookie.get_or_insert(cookie);
                        wants.note(Early::Cookie);
                    }
                    None => wants.has_broken_cookie = true,
                },
                // Over UDP it means nothing (RFC 7828 3.3.1).
                KEEPALIVE if via.is_stream() => wants.note(Early::Keepalive),
                // Where everybody can read along it hides nothing (RFC 7830 6).
                PADDING => wants.padding = via.is_encrypted(),
                ZONEVERSION => wants.zone_version = true,
                EXPIRE => wants.expire = true,
                STAMP => wants.stamp = Some(value),
                _ => {}
            }
        }
        wants
    }

    #[inline]
    fn note(&mut self, early: Early) {
        let count = usize::from(self.count);
        if !self.early[..count].contains(&early)
            && let Some(place) = self.early.get_mut(count)
        {
            *place = early;
            self.count += 1;
        }
    }

    #[inline]
    fn early(&self) -> &[Early] {
        &self.early[..usize::from(self.count)]
    }

    /// Whether all of it is answered without a look at the zone.
    pub(super) fn is_plain(&self) -> bool {
        !(self.has_broken_cookie || self.zone_version || self.expire || self.stamp.is_some())
    }

    /// How many bytes the options take that need no zone, the head of the padding counted.
    #[inline]
    pub(super) fn length(&self, served: &Served) -> usize {
        let length = |early: &Early| match early {
            Early::Nsid => served.nsid.as_ref().map_or(0, |nsid| 4 + nsid.len()),
            Early::Cookie => 4 + WHOLE,
            Early::Keepalive => 4 + 2,
        };
        self.early().iter().map(length).sum::<usize>() + if self.padding { 4 } else { 0 }
    }

    /// Answers what needs no zone, with `put` for each option; returns what the request's server cookie is.
    #[inline]
    fn answer(&self, served: &Served, now: Now, from: Client, mut put: impl FnMut(u16, &[u8])) -> Standing {
        let mut standing = Standing::Missing;
        for early in self.early() {
            match early {
                Early::Nsid => served.nsid.iter().for_each(|nsid| put(NSID, nsid)),
                Early::Cookie => {
                    let Some(cookie) = self.cookie else { continue };
                    let seconds = now.utc.0 / 1_000_000;
                    let (found, reply) = served.cookies.exchange(cookie, from.addr.ip(), seconds);
                    standing = found;
                    put(COOKIE, &reply);
                }
                Early::Keepalive => put(KEEPALIVE, &KEEPALIVE_TIMEOUT.to_be_bytes()),
            }
        }
        standing
    }

    /// Writes the options of a plain reply, in an OPT record behind `length` bytes of it, into `room`; returns their length.
    #[inline]
    pub(super) fn write(
        &self,
        served: &Served,
        now: Now,
        from: Client,
        length: usize,
        room: &mut [u8],
    ) -> usize {
        let mut at = 0;
        self.answer(served, now, from, |code, value| {
            let whole = 4 + value.len();
            // Room was left for all of them.
            if let Some(option) = room.get_mut(at..at + whole) {
                option[..2].copy_from_slice(&code.to_be_bytes());
                option[2..4].copy_from_slice(&(value.len() as u16).to_be_bytes());
                option[4..].copy_from_slice(value);
                at += whole;
            }
        });
        if self.padding {
            let least = length + OPT + at + 4;
            let filled = least.next_multiple_of(BLOCK) - least;
            if let Some(option) = room.get_mut(at..at + 4 + filled) {
                option.fill(0);
                option[..2].copy_from_slice(&PADDING.to_be_bytes());
                option[2..4].copy_from_slice(&(filled as u16).to_be_bytes());
                at += 4 + filled;
            }
        }
        at
    }
}

/// The options of one reply being put together.
pub struct Options<'q> {
    bytes: Vec<u8>,
    wants: Wants<'q>,
    rtype: Rtype,
    has_opt: bool,
    cookie: Standing,
    ede: Option<Ede>,
}

impl<'q> Options<'q> {
    /// Notes what the request asks for, and answers what needs no zone: NSID, cookies and edns-tcp-keepalive.
    pub(super) fn new(
        served: &Served,
        now: Now,
        request: &Request<'q>,
        opt: Option<Opt<'q>>,
        from: Client,
    ) -> Options<'q> {
        let has_opt = opt.is_some();
        // What the options of another version mean is not known (RFC 6891 6.1.3).
        let opt = opt.filter(|opt| opt.version == 0);
        let wants = opt.map_or_else(Wants::default, |opt| Wants::read(&opt, from.via));
        let mut bytes = Vec::new();
        let cookie = wants.answer(served, now, from, |code, value| push_option(&mut bytes, code, value));
        Options { bytes, wants, rtype: request.rtype, has_opt, cookie, ede: None }
    }

    /// What the request's server cookie is.
    pub(super) fn cookie(&self) -> Standing {
        self.cookie
    }

    /// An upper bound on the bytes of the whole OPT record, but for the extended error, which no answer has to make room for.
    pub(super) fn most(&self) -> usize {
        if !self.has_opt {
            return 0;
        }
        let stamp = if self.wants.stamp.is_some() { STAMP_OPTION } else { 0 };
        let version = if self.wants.zone_version { 4 + 6 } else { 0 };
        let expire = if self.wants.expire { 4 + 4 } else { 0 };
        let padding = if self.wants.padding { 4 } else { 0 };
        OPT + self.bytes.len() + stamp + version + expire + padding
    }

    /// Tells of the version that an authoritative answer comes from.
    pub(super) fn versioned(&mut self, now: Now, zone: &Zone, version: &Version) {
        if std::mem::take(&mut self.wants.zone_version) {
            let serial = version.snapshot.serial();
            push_option(&mut self.bytes, ZONEVERSION, &zoneversion::write(zone.name(), serial));
        }
        let have = self.wants.stamp.and_then(stamp::asked);
        self.spread(now, zone, version, have, STAMPS);
    }

    /// Tells those who take copies of a zone of the version that they are given: how fresh it is, when it expires, and of at most
    /// `most` stamps that followed the version they have.
    pub(super) fn spread(
        &mut self,
        now: Now,
        zone: &Zone,
        version: &Version,
        have: Option<Serial>,
        most: usize,
    ) {
        if std::mem::take(&mut self.wants.expire)
            && matches!(self.rtype, Rtype::SOA | Rtype::IXFR | Rtype::AXFR)
            && let Some(left) = expire::left(zone, version, now.mono)
        {
            push_option(&mut self.bytes, EXPIRE, &expire::write(left));
        }
        if self.wants.stamp.take().is_some() {
            push_option(&mut self.bytes, STAMP, &provide::told(zone, version, now, have, most).write());
        }
    }

    /// Says why, to those who speak EDNS, if there is room for it.
    pub(super) fn explain(&mut self, ede: Ede) {
        self.ede = Some(ede);
    }

    /// The options, in an OPT record behind `length` bytes of a message that may be `limit` bytes long.
    pub(super) fn finish(&mut self, length: usize, limit: usize) -> &[u8] {
        let padding = if self.wants.padding { 4 } else { 0 };
        let ended = |options: &[u8]| length + OPT + options.len() + padding;
        if let Some(ede) = self.ede.take().filter(|_| ended(&self.bytes) + 6 <= limit) {
            push_option(&mut self.bytes, EDE, &ede.0.to_be_bytes());
        }
        if self.wants.padding {
            let least = ended(&self.bytes);
            let filled = least.next_multiple_of(BLOCK).min(limit).saturating_sub(least);
            push_option(&mut self.bytes, PADDING, &vec![0; filled]);
        }
        &self.bytes
    }
}
