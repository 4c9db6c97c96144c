//! RDATA of every type: two bytes of type, and the rest taken for RDATA in wire form and for its text.

use tidemark::text::rdata::{read, write};
use tidemark::wire::message::Message;
use tidemark::wire::name::{Name, NameRef};
use tidemark::wire::rdata::{self as layout, canonical, same};
use tidemark::wire::rtype::Rtype;
use tidemark::wire::writer::{Section, Writer};

use super::library::agrees;
use super::reached::reached;

/// The longest RDATA: its length has 16 bits.
const MAX_RDATA: usize = 65_535;

pub fn holds(input: &[u8]) {
    let Some((&[high, low], rest)) = input.split_first_chunk() else { return };
    let rtype = Rtype(u16::from_be_bytes([high, low]));
    if rest.len() <= MAX_RDATA {
        wire(rtype, rest);
    }
    if let Ok(text) = std::str::from_utf8(rest) {
        written(rtype, text);
    }
}

/// RDATA of its type's layout is written as text that says the same; anything else has text that is refused.
fn wire(rtype: Rtype, rdata: &[u8]) {
    let text = text(rtype, rdata);
    let read = read::parse(rtype, &text, None);
    let Ok(()) = layout::check(rtype, rdata) else {
        assert!(read.is_err() && text.starts_with("\\# "), "{rtype} {text}");
        return;
    };
    assert_eq!(read.as_deref(), Ok(rdata), "{rtype} {text}");
    let folded = canonical(rtype, rdata);
    assert_eq!(canonical(rtype, &folded), folded, "{rtype}: canonical form of the canonical form");
    assert!(same(rtype, rdata, &folded), "{rtype}: the canonical form is other data");
    travels(rtype, rdata);
}

/// RDATA in a message, compressed or not, comes out as it went in, but for the case of compressed names.
fn travels(rtype: Rtype, rdata: &[u8]) {
    if rtype == Rtype::OPT {
        return;
    }
    let owner: Name = "a.example.".parse().unwrap();
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, MAX_RDATA, 1, 0);
    let fits = writer.record(Section::Answer, &owner, rtype, 1, rdata).is_ok();
    writer.finish();
    let message = Message::read(&bytes).unwrap();
    reached("of its type's layout");
    if agrees(&bytes) {
        reached("read by hickory-proto too");
    }
    match message.answer.first() {
        Some(record) => assert!(
            fits && record.rtype == rtype && same(rtype, &record.rdata, rdata),
            "{rtype}: {:?} came out of a message",
            record.rdata.escape_ascii().to_string()
        ),
        None => assert!(!fits && rdata.len() > MAX_RDATA - 100, "{rtype}: lost on the way"),
    }
}

/// Text that is taken makes RDATA of the type's layout, and the canonical text of that makes the same.
fn written(rtype: Rtype, given: &str) {
    let origin: Name = "example.".parse().unwrap();
    for origin in [None, Some(&*origin), Some(NameRef::ROOT)] {
        let Ok(rdata) = read::parse(rtype, given, origin) else { continue };
        assert_eq!(layout::check(rtype, &rdata), Ok(()), "{rtype} {given}");
        reached("text of its type");
        let text = text(rtype, &rdata);
        if rdata.len() <= MAX_RDATA {
            assert_eq!(read::parse(rtype, &text, None).as_ref(), Ok(&rdata), "{rtype} {given} -> {text}");
        }
    }
}

fn text(rtype: Rtype, rdata: &[u8]) -> String {
    let mut text = String::new();
    write::write(rtype, rdata, &mut text);
    text
}
