//! A message as hickory-proto reads it: where both it and the readers of this program take one, they read the same.

use hickory_proto::op::{Message as Library, MessageType};
use hickory_proto::rr::Record as LibraryRecord;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use tidemark::wire::edns::Opt;
use tidemark::wire::message::{Header, Message, Record, Request, flags};
use tidemark::wire::rdata;
use tidemark::wire::rtype::{CLASS_IN, Rtype};

/// Whether the bytes were taken by hickory-proto and by one of our readers besides.
pub fn agrees(bytes: &[u8]) -> bool {
    let Ok(theirs) = Library::from_vec(bytes) else { return false };
    let (request, message) = (Request::read(bytes), Message::read(bytes));
    if request.is_err() && message.is_err() {
        return false;
    }
    head(&Header::read(bytes).unwrap(), &theirs);
    if let Ok(request) = &request {
        let [question] = &theirs.queries[..] else { panic!("{} questions", theirs.queries.len()) };
        assert_eq!(request.name.as_wire(), wire(question.name()));
        assert_eq!(request.rtype.0, u16::from(question.query_type()));
        assert_eq!(request.class, u16::from(question.query_class()));
        edns(request.opt, &theirs);
    }
    if let Ok(message) = &message {
        whole(message, &theirs);
    }
    true
}

fn head(header: &Header, theirs: &Library) {
    let data = &theirs.metadata;
    assert_eq!(header.id, data.id);
    assert_eq!(header.is_response(), data.message_type == MessageType::Response);
    assert_eq!(header.opcode().0, u8::from(data.op_code));
    let said = [
        (flags::AA, data.authoritative),
        (flags::TC, data.truncation),
        (flags::RD, data.recursion_desired),
        (flags::RA, data.recursion_available),
        (flags::AD, data.authentic_data),
        (flags::CD, data.checking_disabled),
    ];
    for (flag, theirs) in said {
        assert_eq!(header.flags & flag != 0, theirs, "flag {flag:#06x}");
    }
}

fn whole(message: &Message, theirs: &Library) {
    assert_eq!(message.rcode().0, u16::from(theirs.metadata.response_code));
    let question = message.question.as_ref().map(|it| (it.name.as_wire().to_vec(), it.rtype.0, it.class));
    let asked = theirs.queries.first();
    assert_eq!(
        question,
        asked.map(|it| (wire(it.name()), u16::from(it.query_type()), u16::from(it.query_class())))
    );
    edns(message.opt.as_ref().map(|opt| opt.get()), theirs);
    for (ours, theirs) in [
        (&message.answer, &theirs.answers),
        (&message.authority, &theirs.authorities),
        (&message.additional, &theirs.additionals),
    ] {
        let theirs: Vec<_> = theirs.iter().filter(|it| u16::from(it.dns_class) == CLASS_IN).collect();
        assert_eq!(ours.len(), theirs.len());
        ours.iter().zip(theirs).for_each(|(ours, theirs)| record(ours, theirs));
    }
}

fn record(ours: &Record, theirs: &LibraryRecord) {
    assert_eq!(ours.owner.as_wire(), wire(&theirs.name));
    assert_eq!((ours.rtype.0, ours.ttl), (u16::from(theirs.record_type()), theirs.ttl), "{theirs:?}");
    let data = wire(&theirs.data);
    // It takes the data of types that it has no layout for as it stands, names compressed; of a port it reads two bytes, and
    // passes over the rest of the parameter.
    let is_cut = matches!(ours.rtype, Rtype::SVCB | Rtype::HTTPS) && data.len() < ours.rdata.len();
    if rdata::check(ours.rtype, &data).is_ok() && !is_cut {
        assert_eq!(ours.rdata.escape_ascii().to_string(), data.escape_ascii().to_string(), "{theirs:?}");
    }
}

fn edns(ours: Option<Opt<'_>>, theirs: &Library) {
    assert_eq!(ours.is_some(), theirs.edns.is_some());
    let Some((ours, theirs)) = ours.zip(theirs.edns.as_ref()) else { return };
    assert_eq!(ours.payload, theirs.max_payload());
    assert_eq!((ours.extended_rcode, ours.dnssec_ok), (theirs.rcode_high(), theirs.flags().dnssec_ok));
    let codes: Vec<u16> = ours.options().map(|(code, _)| code).collect();
    let said: Vec<u16> = theirs.options().as_ref().iter().map(|(code, _)| u16::from(*code)).collect();
    assert_eq!(codes, said);
}

/// In wire form, not compressed.
fn wire(part: &impl BinEncodable) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    part.emit(&mut encoder).unwrap();
    bytes
}
