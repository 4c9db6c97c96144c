//! Replies to those who take a copy of a zone (RFC 5936, RFC 1995): the records of [`crate::transfer::provide`] in the frame that
//! every reply has. Whether the client may have them was decided before.

use std::net::IpAddr;
use std::sync::Arc;

use crate::publish::zone::Zone;
use crate::time::Now;
use crate::transfer::ixfr_loop::Stuck;
use crate::transfer::provide::{Provide, by_datagram, by_stream, serial_of};
use crate::transfer::query::Kind;
use crate::wire::edns::UDP_PAYLOAD;
use crate::wire::message::{Request, flags};
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};
use crate::wire::writer::{Sections, Writer};
use crate::zone::stamp::{MAX_IN_DATAGRAM, MAX_IN_STREAM};

use super::context::{Client, Outcome, Path, Served};
use super::edns::Options;
use super::reply::{Form, finish, leave, limit};

/// Stamps told in a datagram that is shorter than usual.
const FEW_STAMPS: usize = 2;

/// A transfer over TCP, made message by message as the client takes them.
pub struct Transfer {
    zone: Arc<Zone>,
    request: Vec<u8>,
    from: Client,
    began: Now,
    records: Result<Provide, Rcode>,
    is_first: bool,
}

impl Transfer {
    /// Begins to answer a request that came to [`Outcome::Transfer`].
    pub fn begin(zone: Arc<Zone>, request: &[u8], now: Now, from: Client, stuck: &mut Stuck) -> Transfer {
        let client: IpAddr = from.addr.ip();
        let records = match Request::read(request) {
            Ok(read) if read.class == CLASS_IN && matches!(read.rtype, Rtype::AXFR | Rtype::IXFR) => {
                by_stream(&zone, &read, now, client, stuck)
            }
            _ => Err(Rcode::FORMERR),
        };
        Transfer { zone, request: request.to_vec(), from, began: now, records, is_first: true }
    }

    /// The same in messages of about this many bytes, where a record is not longer by itself.
    pub fn with_message_bytes(self, bytes: usize) -> Transfer {
        Transfer { records: self.records.map(|records| records.with_message_bytes(bytes)), ..self }
    }

    /// Whether all of it is about one message.
    pub fn is_short(&self) -> bool {
        self.records.as_ref().map_or(true, Provide::is_short)
    }

    /// What kind of answer this is; `Err` when it is a response code alone.
    pub fn kind(&self) -> Result<Kind, Rcode> {
        self.records.as_ref().map(Provide::kind).map_err(|rcode| *rcode)
    }

    /// Appends the next message, without a TCP length; `false` when the transfer is complete.
    pub fn write_next(&mut self, served: &Served, bytes: &mut Vec<u8>) -> bool {
        let is_first = std::mem::replace(&mut self.is_first, false);
        let Ok(request) = Request::read(&self.request) else { return false };
        match &mut self.records {
            Ok(records) if records.is_over() => false,
            Ok(records) => {
                let (zone, now) = (&self.zone, self.began);
                let form = Form { is_first, ..Form::ALONE };
                leave(served, now, &request, self.from, form, bytes, |writer, options| {
                    writer.set_flags(flags::AA);
                    if is_first {
                        tell(options, now, zone, &request, records, MAX_IN_STREAM);
                    }
                    records.write(writer).then_some(Rcode::NOERROR)
                })
            }
            Err(rcode) if is_first => {
                finish(served, self.began, &request, self.from, bytes, |_, _| *rcode);
                true
            }
            Err(_) => false,
        }
    }
}

/// Answers an IXFR request over UDP (RFC 1995 section 2): with the differences when they fit the datagram, else with the SOA
/// alone, upon which the client asks over TCP.
pub(super) fn datagram(
    served: &Served,
    now: Now,
    zone: &Zone,
    request: &Request<'_>,
    from: Client,
    reply: &mut Vec<u8>,
) -> Outcome {
    let limit = limit(request, from);
    finish(served, now, request, from, reply, |writer, options| {
        let mut records = match by_datagram(zone, request) {
            Ok(records) => records,
            Err(rcode) => return rcode,
        };
        let stamps = if limit < usize::from(UDP_PAYLOAD) { FEW_STAMPS } else { MAX_IN_DATAGRAM };
        tell(options, now, zone, request, &records, stamps);
        let room = limit.saturating_sub(options.most());
        writer.set_flags(flags::AA);
        if !is_whole(&mut records, room, writer) && !is_whole(&mut records.soa_alone(), room, writer) {
            writer.set_flags(flags::TC);
        }
        Rcode::NOERROR
    });
    Outcome::Reply(Path::Zone)
}

/// Writes all records, or none.
fn is_whole(records: &mut Provide, room: usize, writer: &mut Writer<'_>) -> bool {
    let mark = writer.mark();
    writer.set_limit(room);
    let whole = records.write(writer) && records.is_over();
    if !whole {
        writer.rewind(mark);
    }
    whole
}

fn tell(
    options: &mut Options<'_>,
    now: Now,
    zone: &Zone,
    request: &Request<'_>,
    records: &Provide,
    most: usize,
) {
    let have = if request.rtype == Rtype::IXFR { serial_of(request) } else { None };
    options.spread(now, zone, records.version(), have, most);
}
