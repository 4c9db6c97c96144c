//! Cookies, keepalive, requests without a question and classes other than IN: RFC 1034 3.7.1, 7828, 7873, 9018.

use crate::answer::transfer::Transfer;
use crate::wire::cookie::WHOLE;
use crate::wire::edns::{COOKIE, KEEPALIVE};
use crate::wire::message::HEADER;
use crate::wire::rtype::CLASS_ANY;

use super::*;

const CLIENT: &[u8] = b"clientck";

fn options(all: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    all.iter().for_each(|(code, value)| push_option(&mut bytes, *code, value));
    bytes
}

/// A request without a question, with these options.
fn bare(all: &[(u16, &[u8])]) -> Query {
    let mut query = Query::new(".", Rtype::A);
    query.bytes.truncate(HEADER);
    query.bytes[5] = 0;
    query.edns(1232, 0, &options(all))
}

#[test]
fn a_cookie_is_given_and_known_again() {
    let served = served();
    let with =
        |value: &[u8]| Query::new("www.example.", Rtype::A).edns(1232, 0, &options(&[(COOKIE, value)]));
    let first = with(CLIENT).ask(&served);
    let cookie = first.option(COOKIE).unwrap().to_vec();
    assert_eq!((first.rcode(), first.answer.len(), cookie.len()), (Rcode::NOERROR, 1, WHOLE));
    assert_eq!(with(&cookie).ask(&served).option(COOKIE), Some(&cookie[..]));
    let mut foreign = cookie.clone();
    foreign[20] ^= 1;
    // Nobody has to have a good one: the answer comes with a new one.
    let answered = with(&foreign).ask(&served);
    assert_eq!((answered.answer.len(), answered.option(COOKIE)), (1, Some(&cookie[..])));
    // RFC 7873 5.4: without a question the code tells what a cookie is worth.
    let asked = |value: &[u8]| bare(&[(COOKIE, value)]).ask(&served);
    for (value, rcode) in [(CLIENT, Rcode::NOERROR), (&cookie, Rcode::NOERROR), (&foreign, Rcode::BADCOOKIE)]
    {
        let message = asked(value);
        assert_eq!((message.rcode(), message.option(COOKIE)), (rcode, Some(&cookie[..])));
        assert!(message.question.is_none());
    }
    // A refusal carries one too, a reply over TCP as well.
    let refused = Query::new("www.invalid.", Rtype::A).edns(1232, 0, &options(&[(COOKIE, CLIENT)]));
    let refused = refused.tcp().ask(&served);
    assert_eq!((refused.rcode(), refused.option(COOKIE)), (Rcode::REFUSED, Some(&cookie[..])));
}

#[test]
fn transfers_carry_what_other_replies_carry() {
    let served = served();
    let asked = options(&[(NSID, &[]), (COOKIE, CLIENT)]);
    let cookie = Query::new("www.example.", Rtype::A).edns(1232, 0, &asked).ask(&served);
    let cookie = cookie.option(COOKIE).unwrap();
    let has_both = |message: &Message| {
        assert_eq!((message.option(COOKIE), message.option(NSID)), (Some(cookie), Some(&b"ams1"[..])));
    };
    // Without the SOA that says what the client has (RFC 1995 section 3).
    let datagram = Query::new("example.", Rtype::IXFR).edns(1232, 0, &asked).ask(&served);
    assert_eq!(datagram.rcode(), Rcode::FORMERR);
    has_both(&datagram);
    let query = Query::new("example.", Rtype::AXFR).edns(1232, 0, &asked).tcp();
    let outcome = answer(&served, at(200), &query.bytes, client(Via::Tcp), &mut Vec::new());
    let Outcome::Transfer(zone) = outcome else { panic!("{outcome:?}") };
    let transfer = Transfer::begin(zone, &query.bytes, at(200), client(Via::Tcp), &mut Default::default());
    let mut transfer = transfer.with_message_bytes(100);
    for _ in 0..2 {
        let mut message = Vec::new();
        assert!(transfer.write_next(&served, &mut message));
        has_both(&Message::read(&message).unwrap());
    }
}

#[test]
fn broken_cookies_are_format_errors() {
    let served = served();
    for length in [0, 7, 9, 15, 41] {
        let value = vec![1; length];
        let query = Query::new("www.example.", Rtype::A).edns(1232, 0, &options(&[(COOKIE, &value)]));
        for message in [query.ask(&served), bare(&[(COOKIE, &value)]).ask(&served)] {
            assert_eq!((message.rcode(), message.option(COOKIE)), (Rcode::FORMERR, None), "{length}");
            assert!(message.opt.is_some() && message.answer.is_empty());
        }
    }
    assert_eq!(bare(&[]).ask(&served).rcode(), Rcode::FORMERR);
    assert_eq!(bare(&[(NSID, b"")]).ask(&served).rcode(), Rcode::FORMERR);
}

#[test]
fn options_count_once_and_only_in_version_0() {
    let served = served();
    let twice = options(&[(NSID, b""), (COOKIE, CLIENT), (COOKIE, b"otherone"), (NSID, b""), (64_000, b"?")]);
    let message = Query::new("www.example.", Rtype::A).edns(1232, 0, &twice).ask(&served);
    let codes: Vec<u16> = message.opt.as_ref().unwrap().get().options().map(|(code, _)| code).collect();
    assert_eq!(codes, [NSID, COOKIE]);
    assert!(message.option(COOKIE).unwrap().starts_with(CLIENT));
    let other = Query::new("www.example.", Rtype::A).edns(1232, 1, &twice).ask(&served);
    assert_eq!((other.rcode(), other.opt.unwrap().get().options().count()), (Rcode::BADVERS, 0));
}

#[test]
fn keepalive_belongs_to_tcp() {
    let query = || Query::new("www.example.", Rtype::A).edns(1232, 0, &options(&[(KEEPALIVE, b"")]));
    assert_eq!(query().ask(&served()).option(KEEPALIVE), None);
    assert_eq!(query().tcp().ask(&served()).option(KEEPALIVE), Some(&[0, 100][..]));
    let silent = Query::new("www.example.", Rtype::A).edns(1232, 0, &[]).tcp().ask(&served());
    assert_eq!(silent.option(KEEPALIVE), None);
}

#[test]
fn all_options_together_fit_into_the_smallest_reply() {
    let asked = options(&[(NSID, b""), (COOKIE, CLIENT), (ZONEVERSION, b""), (STAMP, b"")]);
    let message = Query::new("many.example.", Rtype::TXT).edns(512, 0, &asked).ask(&served());
    assert!(message.header.is_truncated() && message.answer.is_empty());
    assert!([NSID, COOKIE, ZONEVERSION, STAMP].iter().all(|code| message.option(*code).is_some()));
}

#[test]
fn class_any_is_answered_without_authority() {
    let ask = |qname: &str, rtype, class: u16| {
        let mut query = Query::new(qname, rtype);
        let at = query.bytes.len() - 2;
        query.bytes[at..].copy_from_slice(&class.to_be_bytes());
        query.ask(&served())
    };
    let message = ask("www.example.", Rtype::A, CLASS_ANY);
    assert_eq!(show(&message.answer), ["www.example. 60 A 192.0.2.80"]);
    assert!(!message.header.is_authoritative());
    assert_eq!(ask("missing.example.", Rtype::A, CLASS_ANY).rcode(), Rcode::NXDOMAIN);
    assert_eq!(ask("example.", Rtype::AXFR, CLASS_ANY).rcode(), Rcode::REFUSED);
    for class in [0, 2, 4, 254] {
        assert_eq!(ask("www.example.", Rtype::A, class).rcode(), Rcode::REFUSED, "class {class}");
    }
}

#[test]
fn what_cannot_be_read_to_its_end_keeps_its_question() {
    let mut cut = Query::new("www.example.", Rtype::A).edns(1232, 0, &options(&[(NSID, b"abc")]));
    let length = cut.bytes.len();
    // The option is longer than the record.
    cut.bytes[length - 4] = 9;
    let message = cut.ask(&served());
    assert_eq!((message.rcode(), message.opt), (Rcode::FORMERR, None));
    assert_eq!(message.question.unwrap().name, name("www.example."));
    let mut unknown = Query::new("www.example.", Rtype::A).edns(1232, 0, &[]);
    unknown.bytes[2] = 15 << 3;
    let message = unknown.ask(&served());
    assert_eq!(
        (message.rcode(), message.header.opcode(), message.opt.is_some()),
        (Rcode::NOTIMP, Opcode(15), true)
    );
}
