//! The server's own name in class CH (RFC 4892): `version.bind` says what this is and nothing more.

use crate::wire::name::NameRef;
use crate::wire::rtype::{CLASS_CH, Rcode, Rtype};
use crate::wire::writer::{Full, Section, Writer};

const VERSION_BIND: &[u8] = b"\x07version\x04bind\x00";
const VERSION_SERVER: &[u8] = b"\x07version\x06server\x00";
const TEXT: &[u8] = b"\x08tidemark";

pub(super) fn write(name: &NameRef, writer: &mut Writer<'_>) -> Rcode {
    if ![VERSION_BIND, VERSION_SERVER].iter().any(|known| name.as_wire().eq_ignore_ascii_case(known)) {
        return Rcode::REFUSED;
    }
    match writer.record_of_class(Section::Answer, name, Rtype::TXT, CLASS_CH, 0, TEXT) {
        Ok(()) => Rcode::NOERROR,
        Err(Full) => Rcode::SERVFAIL,
    }
}
