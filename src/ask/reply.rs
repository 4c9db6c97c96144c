//! Whether bytes that arrived are the answer to a query.

use crate::wire::message::{Header, Message, Opcode, Request};
use crate::wire::name::NameRef;
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};

use super::query::Query;

/// What bytes are to a query.
#[derive(Debug)]
pub enum Reading {
    /// Its reply.
    Reply(Box<Message>),
    /// A message of the transfer that was asked for; whoever takes the transfer in reads it.
    Transfer,
    /// A reply that breaks the format.
    Malformed,
    /// Nothing that was sent in reply to it (RFC 5452 section 4 lists what has to match).
    Other,
}

/// Reads a message that came from the server that the query went to. Bytes behind the last counted record do not belong to
/// the message (see [`Message::read`]).
pub fn read(query: &Query, id: u16, bytes: &[u8]) -> Reading {
    let Some(header) = Header::read(bytes) else { return Reading::Other };
    if !header.is_response() || header.id != id || header.opcode() != query.opcode {
        return Reading::Other;
    }
    if query.is_transfer() && header.rcode() == Rcode::NOERROR && header.counts[1] > 0 {
        return Reading::Transfer;
    }
    let Ok(message) = Message::read(bytes) else {
        let asked = Request::read_question(bytes);
        let ours = asked.is_ok_and(|asked| is_asked(query, asked.name, asked.rtype, asked.class));
        return if ours { Reading::Malformed } else { Reading::Other };
    };
    let answers = match &message.question {
        Some(asked) => is_asked(query, &asked.name, asked.rtype, asked.class),
        // A server that could not read or would not take the question may leave it out, as may one that only acknowledges.
        None => message.rcode() != Rcode::NOERROR || query.opcode == Opcode::NOTIFY || query.is_transfer(),
    };
    if answers { Reading::Reply(Box::new(message)) } else { Reading::Other }
}

fn is_asked(query: &Query, name: &NameRef, rtype: Rtype, class: u16) -> bool {
    *query.name == *name && query.rtype == rtype && class == CLASS_IN
}
