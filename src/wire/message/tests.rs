use proptest::prelude::*;

use super::*;

const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03www\x00\x00\x01\x00\x01\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";

#[test]
fn a_query_with_edns() {
    let request = Request::read(QUERY).unwrap();
    assert_eq!((request.name.to_string().as_str(), request.rtype, request.class), ("www.", Rtype::A, 1));
    assert_eq!(request.opt.map(|opt| (opt.payload, opt.dnssec_ok)), Some((1232, true)));
}

#[test]
fn counts_that_lie() {
    let mut bytes = QUERY.to_vec();
    bytes[7] = 1;
    assert!(Request::read(&bytes).is_err());
    bytes[7] = 0;
    bytes.push(0);
    assert_eq!(Request::read(&bytes).unwrap_err(), MessageError::Trailing);
    assert_eq!(Message::read(&bytes).unwrap().opt, Message::read(QUERY).unwrap().opt);
    assert_eq!(Request::read(&QUERY[..20]).unwrap_err(), MessageError::Short);
    assert_eq!(Request::read(&QUERY[..11]).unwrap_err(), MessageError::NoHeader);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Request::read(&bytes);
        let _ = Message::read(&bytes);
    }

    #[test]
    fn any_changed_byte_is_survived(at in 0..QUERY.len(), byte: u8) {
        let mut bytes = QUERY.to_vec();
        bytes[at] = byte;
        let _ = Request::read(&bytes);
        let _ = Message::read(&bytes);
    }
}
