//! The way of a request: which checks it passes, in which order, and who answers it.
//!
//! ```text
//! bytes -> header -> opcode -> question, EDNS -> class -> QTYPE -> zone here?  -> authoritative
//!   |        |         |            |              |        |         |
//! silence  silence  NOTIFY      FORMERR,        CH names  transfer   cache?  -> cached, or a follow-up
//! (short) (response) NOTIMP     BADVERS                               |
//!                                                                  REFUSED
//! ```

use std::sync::Arc;

use crate::publish::access::{Act, Denied};
use crate::publish::zone::Zone;
use crate::time::Now;
use crate::transfer::notify;
use crate::wire::cookie::Standing;
use crate::wire::edns::COOKIE;
use crate::wire::message::{Header, MessageError, Opcode, Request, flags};
use crate::wire::name::NameRef;
use crate::wire::rtype::{CLASS_ANY, CLASS_CH, CLASS_IN, Rcode, Rtype};

use super::context::{Client, Outcome, Path, Served};
use super::edns::Ede;
use super::elsewhere::{Elsewhere, Fetched};
use super::reply::{Form, finish, leave, malformed};
use super::{authoritative, cached, edns, server_names, transfer};

/// Answers a request; appends to `reply`. See [`Outcome`].
pub fn answer(served: &Served, now: Now, bytes: &[u8], from: Client, reply: &mut Vec<u8>) -> Outcome {
    let Some(header) = Header::read(bytes) else { return Outcome::Drop };
    // A response is never answered, or two servers could keep each other busy for ever.
    if header.is_response() {
        return Outcome::Drop;
    }
    let request = match Request::read(bytes) {
        Ok(request) => request,
        Err(error) => return unreadable(served, now, bytes, error, from, reply),
    };
    match header.opcode() {
        Opcode::QUERY => query(served, now, &request, from, reply),
        Opcode::NOTIFY => notified(served, now, &request, from, reply),
        // Who speaks EDNS is answered with EDNS (RFC 6891 6.1.1).
        _ => finish(served, now, &request, from, reply, |_, _| Rcode::NOTIMP),
    }
}

/// Answers what is no message, or one without exactly one question.
fn unreadable(
    served: &Served,
    now: Now,
    bytes: &[u8],
    error: MessageError,
    from: Client,
    reply: &mut Vec<u8>,
) -> Outcome {
    let opcode = Header::read(bytes).map(|header| header.opcode());
    match (opcode, error) {
        (None, _) => Outcome::Drop,
        (Some(Opcode::QUERY), MessageError::Questions) => bare(served, now, bytes, from, reply),
        (Some(Opcode::QUERY | Opcode::NOTIFY), _) => malformed(bytes, Rcode::FORMERR, reply),
        _ => malformed(bytes, Rcode::NOTIMP, reply),
    }
}

fn query(served: &Served, now: Now, request: &Request<'_>, from: Client, reply: &mut Vec<u8>) -> Outcome {
    if request.opt.is_some_and(|opt| opt.version != 0) {
        return finish(served, now, request, from, reply, |_, _| Rcode::BADVERS);
    }
    if edns::has_broken_cookie(request) {
        return finish(served, now, request, from, reply, |_, _| Rcode::FORMERR);
    }
    match (request.class, request.rtype) {
        (CLASS_CH, Rtype::TXT) => finish(served, now, request, from, reply, |writer, _| {
            server_names::write(served, request.name, writer)
        }),
        (CLASS_IN, Rtype::AXFR | Rtype::IXFR) => transfer(served, now, request, from, reply),
        (CLASS_IN | CLASS_ANY, Rtype::OPT | Rtype::TSIG | Rtype::TKEY | Rtype::MAILA | Rtype::MAILB) => {
            finish(served, now, request, from, reply, |_, _| Rcode::NOTIMP)
        }
        (CLASS_IN, _) => find(served, now, request, from, &[], reply),
        (CLASS_ANY, rtype) if rtype != Rtype::AXFR && rtype != Rtype::IXFR => {
            find(served, now, request, from, &[], reply)
        }
        _ => finish(served, now, request, from, reply, |_, _| Rcode::REFUSED),
    }
}

/// A request without a question is about a cookie: to get one, or to hear whether one is good (RFC 7873 5.4).
fn bare(served: &Served, now: Now, bytes: &[u8], from: Client, reply: &mut Vec<u8>) -> Outcome {
    let Ok(request) = Request::read_bare(bytes) else { return malformed(bytes, Rcode::FORMERR, reply) };
    let asks = request.opt.is_some_and(|opt| opt.option(COOKIE).is_some());
    finish(served, now, &request, from, reply, |_, options| match options.cookie() {
        _ if request.opt.is_some_and(|opt| opt.version != 0) => Rcode::BADVERS,
        _ if !asks || edns::has_broken_cookie(&request) => Rcode::FORMERR,
        Standing::Missing | Standing::Good => Rcode::NOERROR,
        Standing::Bad => Rcode::BADCOOKIE,
    })
}

/// Goes on with a request that was handed on as [`Outcome::FollowUp`]: all that was found for it, in turn. It may take more.
pub fn complete(
    served: &Served,
    now: Now,
    bytes: &[u8],
    from: Client,
    fetched: &[Fetched],
    reply: &mut Vec<u8>,
) -> Outcome {
    match Request::read(bytes) {
        Ok(request) => find(served, now, &request, from, fetched, reply),
        Err(_) => Outcome::Drop,
    }
}

fn find(
    served: &Served,
    now: Now,
    request: &Request<'_>,
    from: Client,
    fetched: &[Fetched],
    reply: &mut Vec<u8>,
) -> Outcome {
    let elsewhere = Elsewhere::open_to(served, now.mono, request, from, fetched);
    let directory = served.store.directory();
    // DS at the apex of a zone whose parent is not here: this side's denial is not for those who may have the parent's word
    // (RFC 4035 3.1.4.1).
    let asks_parent = |zone: &Zone| {
        request.rtype == Rtype::DS
            && **zone.name() == *request.name
            && elsewhere.as_ref().is_some_and(|elsewhere| elsewhere.reaches(request.name))
    };
    if let Some(zone) = directory.authority(request.name, request.rtype).filter(|zone| !asks_parent(zone)) {
        let mut missing = None;
        leave(served, now, request, from, Form::ALONE, reply, |writer, options| match &*zone.current() {
            Some(version) => {
                options.versioned(now, zone, version);
                let answer =
                    authoritative::from_zone(served, request, version, elsewhere.as_ref(), writer, options);
                if request.class == CLASS_ANY {
                    // Who knows one class cannot speak for all (RFC 1034 3.7.1, 4.3.2).
                    writer.clear_flags(flags::AA);
                }
                answer.map_err(|ask| missing = Some(ask)).ok()
            }
            None => {
                options.explain(Ede::NOT_READY);
                Some(Rcode::SERVFAIL)
            }
        });
        return missing.map_or(Outcome::Reply(Path::of(request.rtype)), |ask| Outcome::FollowUp(*ask));
    }
    match &served.recursion {
        Some(recursion) if request.class == CLASS_IN && recursion.allows(from) => {
            cached::find(served, recursion, now, request, from, fetched, reply)
        }
        Some(_) => finish(served, now, request, from, reply, |_, options| {
            options.explain(Ede::PROHIBITED);
            Rcode::REFUSED
        }),
        None => finish(served, now, request, from, reply, |_, options| {
            options.explain(Ede::NOT_AUTHORITATIVE);
            Rcode::REFUSED
        }),
    }
}

fn transfer(served: &Served, now: Now, request: &Request<'_>, from: Client, reply: &mut Vec<u8>) -> Outcome {
    let refuse = |reply: &mut Vec<u8>, rcode, ede: Option<Ede>| {
        finish(served, now, request, from, reply, |_, options| {
            ede.into_iter().for_each(|ede| options.explain(ede));
            rcode
        })
    };
    let zone = match zone_for(served, request.name, Act::Transfer, from) {
        Ok(zone) => zone,
        Err(rcode) => {
            refuse(reply, rcode, (rcode == Rcode::REFUSED).then_some(Ede::PROHIBITED));
            return Outcome::Reply(Path::Withheld(rcode));
        }
    };
    if zone.current().is_none() {
        return refuse(reply, Rcode::SERVFAIL, Some(Ede::NOT_READY));
    }
    match (from.via.is_stream(), request.rtype) {
        (true, _) => Outcome::Transfer(zone),
        (false, Rtype::IXFR) => transfer::datagram(served, now, &zone, request, from, reply),
        // AXFR is for TCP only (RFC 5936 4.2).
        (false, _) => refuse(reply, Rcode::NOTIMP, None),
    }
}

fn notified(served: &Served, now: Now, request: &Request<'_>, from: Client, reply: &mut Vec<u8>) -> Outcome {
    let Some(notify) = notify::read_notify(request.bytes) else {
        return finish(served, now, request, from, reply, |_, _| Rcode::FORMERR);
    };
    let sender = from.addr.ip().to_canonical();
    let rcode = zone_for(served, &notify.zone, Act::Notify, from).err();
    // RFC 1996 4.7: the response has AA, and the question of the request.
    finish(served, now, request, from, reply, |writer, _| {
        writer.set_flags(flags::AA);
        rcode.unwrap_or(Rcode::NOERROR)
    });
    match rcode {
        None => Outcome::Notified { from: sender, notify },
        Some(rcode) => Outcome::Reply(Path::Unheard(rcode)),
    }
}

/// The zone that a client wants to do something with, if it may; else what it is told.
fn zone_for(served: &Served, name: &NameRef, act: Act, from: Client) -> Result<Arc<Zone>, Rcode> {
    let zone = served.store.get(name).ok_or(Rcode::NOTAUTH)?;
    match zone.access().permits(act, from.addr.ip()) {
        Ok(()) => {}
        Err(Denied::Role) => return Err(Rcode::NOTAUTH),
        Err(Denied::Client) => return Err(Rcode::REFUSED),
    }
    Ok(zone)
}
