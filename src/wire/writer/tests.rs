//! What is written is read back, compressed and within its limit.

use super::super::message::Message;
use super::super::name::Name;
use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn names_are_compressed_and_read_back() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 512, 7, flags::QR);
    writer.question(&name("www.example."), Rtype::MX, CLASS_IN).unwrap();
    let mut mx = vec![0, 10];
    mx.extend_from_slice(name("mail.example.").as_wire());
    writer.record(Section::Answer, &name("WWW.example."), Rtype::MX, 60, &mx).unwrap();
    let mut srv = vec![0; 6];
    srv.extend_from_slice(name("mail.example.").as_wire());
    writer.record(Section::Additional, &name("example."), Rtype::SRV, 60, &srv).unwrap();
    writer.finish();
    // question 12+13+4, MX 2+10+2+(5+2), SRV 2+10+6+14 with its target in full (RFC 3597 section 4).
    assert_eq!(bytes.len(), 29 + 21 + 32);
    let message = Message::read(&bytes).unwrap();
    assert_eq!(&*message.answer[0].rdata, &mx[..]);
    assert_eq!(&*message.additional[0].rdata, &srv[..]);
}

#[test]
fn what_does_not_fit_leaves_no_trace() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 50, 7, flags::QR);
    writer.question(&name("www.example."), Rtype::A, CLASS_IN).unwrap();
    assert_eq!(writer.record(Section::Answer, &name("other.test."), Rtype::A, 1, &[0; 4]), Err(Full));
    assert_eq!((writer.len(), writer.count(Section::Answer)), (29, 0));
    writer.record(Section::Answer, &name("www.example."), Rtype::A, 1, &[0; 4]).unwrap();
    writer.finish();
    assert_eq!(Message::read(&bytes).unwrap().answer.len(), 1);
}

#[test]
fn case_is_kept_when_asked() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 512, 7, 0);
    writer.keep_case();
    writer.record(Section::Answer, &name("a.example."), Rtype::A, 1, &[0; 4]).unwrap();
    writer.record(Section::Answer, &name("b.EXAMPLE."), Rtype::A, 1, &[0; 4]).unwrap();
    writer.finish();
    assert_eq!(Message::read(&bytes).unwrap().answer[1].owner.to_string(), "b.EXAMPLE.");
}
