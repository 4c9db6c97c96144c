//! The EDNS options of a reply: NSID (RFC 5001), ZONEVERSION (RFC 9660), EXPIRE (RFC 7314), extended errors (RFC 8914) and
//! publication stamps, cookies (RFC 7873), edns-tcp-keepalive (RFC 7828) and padding (RFC 7830). Each is sent only
//! to those who asked for it; errors to everyone who speaks EDNS.

use std::time::Duration;

use crate::publish::expire;
use crate::publish::zone::{Version, Zone};
use crate::time::Now;
use crate::transfer::provide;
use crate::wire::cookie::{Cookie, Standing};
use crate::wire::edns::{COOKIE, EDE, EXPIRE, KEEPALIVE, NSID, PADDING, STAMP, ZONEVERSION, push_option};
use crate::wire::message::Request;
use crate::wire::rtype::Rtype;
use crate::zone::stamp::{self, Stamp};
use crate::zone::zoneversion;

use super::context::{Served, Source};

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
/// Stamps told to those who ask over UDP beside an answer: the served version and its successor to what the asker has.
const STAMPS: usize = 2;

/// Whether the request has a COOKIE option of a length that no cookie has (RFC 7873 5.2.2).
pub(super) fn has_broken_cookie(request: &Request<'_>) -> bool {
    let cookie = request.opt.and_then(|opt| opt.option(COOKIE));
    cookie.is_some_and(|value| Cookie::read(value).is_none())
}

/// The options of one reply being put together.
pub struct Options {
    bytes: Vec<u8>,
    wants: Wants,
    rtype: Rtype,
    has_opt: bool,
    cookie: Standing,
    ede: Option<Ede>,
}

#[derive(Default)]
struct Wants {
    zone_version: bool,
    expire: bool,
    stamp: Option<Vec<u8>>,
    padding: bool,
}

impl Options {
    /// Notes what the request asks for, and answers what needs no zone: NSID, cookies and edns-tcp-keepalive.
    pub(super) fn new(served: &Served, now: Now, request: &Request<'_>, from: Source) -> Options {
        let mut options = Options {
            bytes: Vec::new(),
            wants: Wants::default(),
            rtype: request.rtype,
            has_opt: request.opt.is_some(),
            cookie: Standing::Missing,
            ede: None,
        };
        // What the options of another version mean is not known (RFC 6891 6.1.3).
        let opt = request.opt.filter(|opt| opt.version == 0);
        let mut seen = [false; 3];
        let mut first = |which: usize| !std::mem::replace(&mut seen[which], true);
        for (code, value) in opt.iter().flat_map(|opt| opt.options()) {
            match code {
                NSID if first(0) => {
                    served.nsid.iter().for_each(|nsid| push_option(&mut options.bytes, NSID, nsid));
                }
                COOKIE if first(1) => {
                    let Some(cookie) = Cookie::read(value) else { continue };
                    let (standing, reply) =
                        served.cookies.exchange(cookie, from.addr.ip(), now.utc.0 / 1_000_000);
                    options.cookie = standing;
                    push_option(&mut options.bytes, COOKIE, &reply);
                }
                // Over UDP it means nothing (RFC 7828 3.3.1).
                KEEPALIVE if from.via.is_stream() && first(2) => {
                    push_option(&mut options.bytes, KEEPALIVE, &KEEPALIVE_TIMEOUT.to_be_bytes());
                }
                // Where everybody can read along it hides nothing (RFC 7830 6).
                PADDING => options.wants.padding = from.via.is_encrypted(),
                ZONEVERSION => options.wants.zone_version = true,
                EXPIRE => options.wants.expire = true,
                STAMP => options.wants.stamp = Some(value.to_vec()),
                _ => {}
            }
        }
        options
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
        let stamp = if self.wants.stamp.is_some() { 4 + 4 + STAMPS * Stamp::LENGTH } else { 0 };
        let version = if self.wants.zone_version { 4 + 6 } else { 0 };
        let expire = if self.wants.expire { 4 + 4 } else { 0 };
        let padding = if self.wants.padding { 4 } else { 0 };
        OPT + self.bytes.len() + stamp + version + expire + padding
    }

    /// Tells of the version that an authoritative answer comes from.
    pub(super) fn versioned(&mut self, now: Now, zone: &Zone, version: &Version) {
        let serial = version.snapshot.serial();
        if self.wants.zone_version {
            push_option(&mut self.bytes, ZONEVERSION, &zoneversion::write(zone.name(), serial));
        }
        if self.wants.expire
            && self.rtype == Rtype::SOA
            && let Some(left) = expire::left(zone, version, now.mono)
        {
            push_option(&mut self.bytes, EXPIRE, &expire::write(left));
        }
        if let Some(value) = self.wants.stamp.take() {
            let have = stamp::asked(&value);
            push_option(&mut self.bytes, STAMP, &provide::told(zone, version, now, have, STAMPS).write());
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
