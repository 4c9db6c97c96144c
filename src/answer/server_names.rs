//! The server's own names in class CH (RFC 4892): `version.bind` says what this is and nothing more, `id.server` what NSID says,
//! where that is configured.

use crate::wire::name::NameRef;
use crate::wire::rtype::{CLASS_CH, Rcode, Rtype};
use crate::wire::writer::{Full, Section, Writer};

use super::context::Served;

const VERSION: [&[u8]; 2] = [b"\x07version\x04bind\x00", b"\x07version\x06server\x00"];
const IDENTITY: [&[u8]; 2] = [b"\x02id\x06server\x00", b"\x08hostname\x04bind\x00"];
const TEXT: &[u8] = b"tidemark";

pub(super) fn write(served: &Served, name: &NameRef, writer: &mut Writer<'_>) -> Rcode {
    let is = |names: [&[u8]; 2]| names.iter().any(|known| name.as_wire().eq_ignore_ascii_case(known));
    let text = match &served.nsid {
        _ if is(VERSION) => TEXT,
        Some(nsid) if is(IDENTITY) => nsid,
        _ => return Rcode::REFUSED,
    };
    // The configuration sees to it that an identity fits into one string.
    let Ok(length) = u8::try_from(text.len()) else { return Rcode::SERVFAIL };
    let data = [&[length], text].concat();
    match writer.record_of_class(Section::Answer, name, Rtype::TXT, CLASS_CH, 0, &data) {
        Ok(()) => Rcode::NOERROR,
        Err(Full) => Rcode::SERVFAIL,
    }
}
