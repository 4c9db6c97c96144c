//! The frame of every reply: header, question, what somebody writes in between, OPT; and the buffer that it is written into.

use crate::time::Now;
use crate::wire::edns::UDP_PAYLOAD;
use crate::wire::message::{Request, flags};
use crate::wire::rtype::Rcode;
use crate::wire::writer::{Full, Writer, error_response};

use super::context::{Outcome, Path, Served, Source};
use super::edns::Options;
use super::fast::REPLY;

/// Bytes that a buffer has at least: all that the fast path may need.
const ROOM: usize = REPLY;

/// A buffer that replies are written into, one after another.
#[derive(Debug)]
pub struct Reply {
    /// At least [`ROOM`] bytes, of which the first `length` are the reply.
    room: Vec<u8>,
    length: usize,
}

impl Default for Reply {
    fn default() -> Reply {
        Reply { room: vec![0; ROOM], length: 0 }
    }
}

impl Reply {
    /// The reply; empty when there is none.
    pub fn as_bytes(&self) -> &[u8] {
        &self.room[..self.length]
    }

    /// Takes the reply back: nothing is to be sent.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Has a reply written into the room there is; whether `write` did, and told the length.
    pub(super) fn fill(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        let length = write(&mut self.room);
        self.length = length.unwrap_or(0).min(self.room.len());
        length.is_some()
    }

    /// Has a reply of any length written by appending to an empty vector.
    pub fn append<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.room.clear();
        let outcome = write(&mut self.room);
        self.length = self.room.len();
        if self.room.len() < ROOM {
            self.room.resize(ROOM, 0);
        }
        outcome
    }
}

/// Writes the reply around what `body` writes into it: header, question, sections, OPT.
pub(super) fn finish(
    served: &Served,
    now: Now,
    request: &Request<'_>,
    from: Source,
    reply: &mut Vec<u8>,
    body: impl FnOnce(&mut Writer<'_>, &mut Options) -> Rcode,
) -> Outcome {
    write_reply(served, now, request, from, 0, reply, body);
    Outcome::Reply(Path::of(request.rtype))
}

/// Like [`finish`], with more flags of the request copied into the reply: CD by caches (RFC 4035 3.2.2), while authoritative
/// servers clear it (3.1.6).
pub(super) fn write_reply(
    served: &Served,
    now: Now,
    request: &Request<'_>,
    from: Source,
    copied: u16,
    reply: &mut Vec<u8>,
    body: impl FnOnce(&mut Writer<'_>, &mut Options) -> Rcode,
) {
    let limit = limit(request, from);
    let echoed = request.header.flags & (flags::OPCODE | flags::RD | copied);
    let available = if served.recursion.is_some() { flags::RA } else { 0 };
    let mut writer = Writer::new(reply, limit, request.header.id, flags::QR | echoed | available);
    if request.header.counts[0] > 0 {
        // A question is at most 259 bytes, and every limit is 512 or more.
        let _ = writer.question(request.name, request.rtype, request.class);
    }
    let mut options = Options::new(served, now, request, from);
    writer.set_limit(limit - options.most());
    let rcode = body(&mut writer, &mut options);
    writer.set_limit(limit);
    writer.set_rcode(rcode);
    if request.opt.is_some() {
        let options = options.finish(writer.len(), limit);
        let dnssec_ok = request.opt.is_some_and(|opt| opt.dnssec_ok);
        if writer.opt(UDP_PAYLOAD, rcode, dnssec_ok, options) == Err(Full) {
            // Room was left for all options; should that ever be wrong, the answer goes without them.
            let _ = writer.opt(UDP_PAYLOAD, rcode, dnssec_ok, &[]);
        }
    }
    writer.finish();
}

/// Answers a message that cannot be read whole.
pub(super) fn malformed(bytes: &[u8], rcode: Rcode, reply: &mut Vec<u8>) -> Outcome {
    error_response(bytes, rcode, reply);
    Outcome::Reply(Path::Zone)
}

/// How long the reply may be: RFC 6891 6.2.5, and no more than passes every path without fragments.
fn limit(request: &Request<'_>, from: Source) -> usize {
    match request.opt {
        _ if from.via.is_stream() => 65_535,
        Some(opt) => usize::from(opt.payload.min(UDP_PAYLOAD)),
        None => 512,
    }
}
