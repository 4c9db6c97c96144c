//! Servers that object to options, or to EDNS altogether.

use super::*;
use crate::ask::support::Omission::{Doubtful, Unasked};

#[test]
fn errors_that_may_be_due_to_edns_lead_to_less_of_it() {
    type Objection = fn(&Request<'_>) -> Vec<u8>;
    let objections: [(&str, Objection); 8] = [
        ("FORMERR with OPT", |request| reply(request, Rcode::FORMERR, 0, true)),
        ("FORMERR without OPT", |request| reply(request, Rcode::FORMERR, 0, false)),
        ("FORMERR, header alone", |request| bare(request, Rcode::FORMERR)),
        ("NOTIMP, header alone", |request| bare(request, Rcode::NOTIMP)),
        ("REFUSED", |request| reply(request, Rcode::REFUSED, 0, false)),
        ("SERVFAIL", |request| reply(request, Rcode::SERVFAIL, 0, false)),
        ("SERVFAIL, header alone", |request| bare(request, Rcode::SERVFAIL)),
        ("BADVERS", |request| reply(request, Rcode::BADVERS, 0, true)),
    ];
    for (what, objection) in objections {
        for rtype in [Rtype::SOA, Rtype::AXFR] {
            let policy = if rtype == Rtype::SOA { POLICY } else { TRANSFER };
            // To options only.
            let mut pair = Pair::new(move |request, _| {
                vec![if has_options(request) { objection(request) } else { good(request) }]
            });
            let event = pair.ask(query(rtype), policy);
            assert!(matches!(event, Event::Answered(_) | Event::Transfer { .. }), "{what}: {event:?}");
            let expected = if what == "BADVERS" { vec![Options, Plain] } else { vec![Options, Bare] };
            assert_eq!((pair.levels(), pair.now), (expected, 40), "{what}");
            // To EDNS as such.
            let mut pair = Pair::new(move |request, _| {
                vec![if request.opt.is_some() { objection(request) } else { good(request) }]
            });
            let event = pair.ask(query(rtype), policy);
            assert!(matches!(event, Event::Answered(_) | Event::Transfer { .. }), "{what}: {event:?}");
            assert_eq!(pair.levels().last(), Some(&Plain), "{what}");
            assert!(pair.now <= 60, "{what}");
            // It is remembered, until it is forgotten, however often the server is asked meanwhile.
            for _ in 0..2 {
                pair.ask(query(rtype), policy);
                assert_eq!(pair.levels(), [Plain], "{what}");
                pair.now += 450_000;
            }
            pair.ask(query(rtype), policy);
            assert_eq!(pair.levels()[0], Options, "{what}");
        }
    }
}

#[test]
fn a_refusal_that_stays_is_told_as_it_is() {
    let mut pair = Pair::new(|request, _| vec![reply(request, Rcode::REFUSED, 0, false)]);
    assert_eq!(code(&pair.ask(query(Rtype::SOA), POLICY)), Rcode::REFUSED);
    assert_eq!(pair.levels(), [Options, Bare, Plain]);
    // What the server said to options is what is left when it says nothing to less.
    let mut pair = Pair::new(|request, _| match has_options(request) {
        true => vec![reply(request, Rcode::REFUSED, 0, true)],
        false => vec![],
    });
    assert_eq!(code(&pair.ask(query(Rtype::SOA), POLICY)), Rcode::REFUSED);
    assert!(pair.now < 1_000);
    assert_eq!(pair.question.as_ref().unwrap().tokens().count(), 0);
}

#[test]
fn a_server_that_is_known_to_take_options_refuses_for_another_reason() {
    for rcode in [Rcode::REFUSED, Rcode::SERVFAIL] {
        let mut first = true;
        let mut pair = Pair::new(move |request, _| {
            let reply = if first { good(request) } else { reply(request, rcode, 0, false) };
            first = false;
            vec![reply]
        });
        pair.ask(query(Rtype::SOA), POLICY);
        assert_eq!(code(&pair.ask(query(Rtype::SOA), POLICY)), rcode);
        assert_eq!(pair.levels(), [Options]);
    }
    // One that sends an OPT record back has understood EDNS.
    let edns = Some(Edns { dnssec_ok: true, options: Vec::new() });
    let mut pair = Pair::new(|request, _| vec![reply(request, Rcode::SERVFAIL, 0, true)]);
    pair.ask(Query { edns, ..query(Rtype::A) }, POLICY);
    assert_eq!(pair.levels(), [Bare]);
}

#[test]
fn a_refusal_with_a_reason_is_no_objection() {
    for rcode in [Rcode::REFUSED, Rcode::SERVFAIL] {
        // Not ready: a server that begins just then.
        let mut is_ready = false;
        let mut pair = Pair::new(move |request, _| {
            let unready = reply_with(request, rcode, 0, Some(&[0, 15, 0, 2, 0, 14]));
            vec![if std::mem::replace(&mut is_ready, true) { good(request) } else { unready }]
        });
        assert_eq!(code(&pair.ask(query(Rtype::SOA), POLICY)), rcode);
        assert_eq!(pair.levels(), [Options]);
        assert_eq!(code(&pair.ask(query(Rtype::SOA), POLICY)), Rcode::NOERROR);
        assert_eq!(pair.levels(), [Options]);
    }
}

#[test]
fn silence_to_edns_is_found_out_and_remembered() {
    let mut pair = Pair::new(|request, _| match request.opt {
        Some(_) => vec![],
        None => vec![good(request)],
    });
    for (omission, asked) in [(Doubtful, 3), (Unasked, 3), (Unasked, 1)] {
        let Event::Answered(reply) = pair.ask(query(Rtype::SOA), POLICY) else { panic!("no answer") };
        assert_eq!((reply.omission, pair.sent.len()), (omission, asked));
        assert_eq!(pair.levels().last(), Some(&Plain));
    }
    let event = pair.ask(query(Rtype::AXFR), TRANSFER);
    assert!(matches!(event, Event::Transfer { omission: Unasked, .. }), "silence is not the server's word");
    assert_eq!(pair.levels(), [Plain]);
    // One that was found out is tried again after a while, however often it was asked meanwhile.
    (0..2).for_each(|_| {
        pair.now += 450_000;
        pair.ask(query(Rtype::SOA), POLICY);
    });
    assert_eq!(pair.levels(), [Options, Options, Plain]);
}

#[test]
fn what_a_server_took_before_it_objected_does_not_keep_its_silence_from_being_found_out() {
    let mut first = true;
    let mut pair = Pair::new(move |request, _| match request.opt {
        None => vec![good(request)],
        Some(_) if std::mem::take(&mut first) => vec![good(request)],
        // A device has come before it.
        Some(_) if has_options(request) => vec![reply(request, Rcode::FORMERR, 0, false)],
        Some(_) => vec![],
    });
    pair.ask(query(Rtype::SOA), POLICY);
    for (omission, levels) in [
        (Doubtful, &[Options, Bare, Bare, Plain][..]),
        (Unasked, &[Options, Bare, Bare, Plain]),
        (Unasked, &[Plain]),
    ] {
        let Event::Answered(reply) = pair.ask(query(Rtype::SOA), POLICY) else { panic!("no answer") };
        assert_eq!((reply.omission, &pair.levels()[..]), (omission, levels));
    }
}

#[test]
fn lost_datagrams_do_not_take_options_from_a_server_that_takes_them() {
    let mut asked = 0;
    let mut pair = Pair::new(move |request, _| {
        asked += 1;
        if asked == 1 || asked == 4 { vec![good(request)] } else { vec![] }
    });
    pair.ask(query(Rtype::SOA), POLICY);
    pair.ask(query(Rtype::SOA), POLICY);
    assert_eq!(pair.levels(), [Options; 3]);
}

#[test]
fn a_connection_that_is_silent_to_edns_gets_another_without() {
    let mut pair = Pair::new(|request, _| match request.opt {
        Some(_) => vec![],
        None => vec![good(request)],
    });
    assert!(matches!(pair.ask(query(Rtype::AXFR), TRANSFER), Event::Transfer { omission: Doubtful, .. }));
    assert_eq!(pair.sent, [(0, Tcp, Options), (2_000, Tcp, Plain)]);
    assert_eq!(pair.question.as_ref().unwrap().tokens().count(), 1, "the silent one is closed");
    // Or closes at once, without a word.
    let mut pair = Pair::new(|request, _| match request.opt {
        Some(_) => vec![],
        None => vec![good(request)],
    });
    pair.closes = true;
    assert!(matches!(pair.ask(query(Rtype::AXFR), TRANSFER), Event::Transfer { .. }));
    assert_eq!(pair.sent, [(0, Tcp, Options), (20, Tcp, Plain)]);
}
