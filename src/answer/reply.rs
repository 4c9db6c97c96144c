//! The frame of every message of a reply: header, question, what somebody writes in between, OPT; and the buffer that it is written
//! into. Only plain queries are answered without it, by [`super::fast`]: they have nothing that a frame would have to look at.

use crate::time::Now;
use crate::wire::edns::UDP_PAYLOAD;
use crate::wire::message::{Request, flags};
use crate::wire::rtype::Rcode;
use crate::wire::writer::{Full, Writer, error_response};

use super::context::{Client, Outcome, Path, Served};
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

/// How a message of a reply differs from others.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Flags that are copied from the request besides RD: CD by caches (RFC 4035 3.2.2), while authoritative servers clear it
    /// (3.1.6).
    pub(super) copied: u16,
    /// Whether this is the only or the first message: the others of a transfer have no question (RFC 5936 2.2.2). An OPT record they have:
    /// RFC 5936 2.2.5 leaves that open, and who sent a cookie may miss it, as dig does.
    pub(super) is_first: bool,
}

impl Form {
    /// A message of its own.
    pub(super) const ALONE: Form = Form { copied: 0, is_first: true };
}

/// Writes the reply around what `body` writes into it: header, question, sections, OPT.
pub(super) fn finish(
    served: &Served,
    now: Now,
    request: &Request<'_>,
    from: Client,
    reply: &mut Vec<u8>,
    body: impl FnOnce(&mut Writer<'_>, &mut Options) -> Rcode,
) -> Outcome {
    leave(served, now, request, from, Form::ALONE, reply, |writer, options| Some(body(writer, options)));
    Outcome::Reply(Path::of(request.rtype))
}

/// Appends one message of a reply, around what `body` writes into it; nothing when `body` has nothing to say.
///
/// Every message that is not plain leaves through here, those of transfers and acknowledged NOTIFYs too, with the request it
/// answers at hand: what is to stand behind everything else in a message (a MAC, RFC 8945 5.4) is written here.
pub(super) fn leave(
    served: &Served,
    now: Now,
    request: &Request<'_>,
    from: Client,
    form: Form,
    reply: &mut Vec<u8>,
    body: impl FnOnce(&mut Writer<'_>, &mut Options) -> Option<Rcode>,
) -> bool {
    let (start, limit) = (reply.len(), limit(request, from));
    let echoed = request.header.flags & (flags::OPCODE | flags::RD | form.copied);
    let available = if served.recursion.is_some() { flags::RA } else { 0 };
    let mut writer = Writer::new(reply, limit, request.header.id, flags::QR | echoed | available);
    if request.header.counts[0] > 0 && form.is_first {
        // A question is at most 259 bytes, and every limit is 512 or more.
        let _ = writer.question(request.name, request.rtype, request.class);
    }
    let mut options = Options::new(served, now, request, request.opt, from);
    writer.set_limit(limit - options.most());
    let Some(rcode) = body(&mut writer, &mut options) else {
        writer.finish();
        reply.truncate(start);
        return false;
    };
    writer.set_limit(limit);
    writer.set_rcode(rcode);
    if let Some(opt) = request.opt {
        let options = options.finish(writer.len(), limit);
        if writer.opt(UDP_PAYLOAD, rcode, opt.dnssec_ok, options) == Err(Full) {
            // Room was left for all options; should that ever be wrong, the answer goes without them.
            let _ = writer.opt(UDP_PAYLOAD, rcode, opt.dnssec_ok, &[]);
        }
    }
    writer.finish();
    true
}

/// Answers a message that cannot be read whole, and of which nothing can be verified.
pub(super) fn malformed(bytes: &[u8], rcode: Rcode, reply: &mut Vec<u8>) -> Outcome {
    error_response(bytes, rcode, reply);
    Outcome::Reply(Path::Zone)
}

/// How long the reply may be: RFC 6891 6.2.5, and no more than passes every path without fragments.
pub(super) fn limit(request: &Request<'_>, from: Client) -> usize {
    match request.opt {
        _ if from.via.is_stream() => 65_535,
        Some(opt) => usize::from(opt.payload.min(UDP_PAYLOAD)),
        None => 512,
    }
}
