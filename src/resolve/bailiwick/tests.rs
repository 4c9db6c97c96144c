use proptest::prelude::*;

use super::super::sample::{ask, name, record, records, reply};
use super::*;
use crate::wire::message::flags;
use crate::wire::writer::Writer;

/// Sifts a reply with these sections; names below `foreign.` are another server's.
fn sifted(question: &str, rcode: Rcode, sections: [&[&str]; 3]) -> Verdict {
    sifted_from(".", 0, question, rcode, sections)
}

/// The same from a server of this zone, with these flags.
fn sifted_from(zone: &str, extra: u16, question: &str, rcode: Rcode, sections: [&[&str]; 3]) -> Verdict {
    let ask = ask(question);
    let query = Writer::query(1, flags::RD, &ask.name, ask.rtype, &[]);
    let message = Message::read(&reply(&query, rcode, extra, sections)).unwrap();
    sift(message, &ask, &name(zone), |owner| !owner.is_in(&name("foreign.")))
}

fn answer(verdict: Verdict) -> Answer {
    match verdict {
        Verdict::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_chain_is_kept() {
    let found = answer(sifted(
        "www.example. A",
        Rcode::NOERROR,
        [
            &[
                "bank.test. 300 A 192.0.2.66",
                "a.example. 60 A 192.0.2.1",
                "www.example. 300 TXT unrelated",
                "www.example. 300 CNAME a.example.",
                "b.example. 60 A 192.0.2.66",
                "www.example. 300 RRSIG CNAME",
            ],
            &["test. 300 NS ns.evil.test.", "example. 300 NS ns.example."],
            &["ns.evil.test. 300 A 192.0.2.66", "bank.test. 300 A 192.0.2.66"],
        ],
    ));
    assert_eq!(found.answer, records(&["www.example. 300 CNAME a.example.", "a.example. 60 A 192.0.2.1"]));
    assert_eq!((found.authority, found.negative), (Vec::new(), None));
}

#[test]
fn signatures_and_proofs_come_along_when_they_are_wanted() {
    let sections: [&[&str]; 3] = [
        &["w.example. 60 A 192.0.2.1", "w.example. 60 RRSIG A", "w.example. 60 RRSIG TXT"],
        &["example. 60 NS ns.example.", "v.example. 60 NSEC x.example.", "v.example. 60 RRSIG NSEC"],
        &[],
    ];
    let found = answer(sifted("w.example. A do", Rcode::NOERROR, sections));
    assert_eq!(found.answer, records(&sections[0][..2]));
    assert_eq!(found.authority, records(&sections[1][1..]));
    let bare = answer(sifted("w.example. A", Rcode::NOERROR, sections));
    assert_eq!((bare.answer.len(), bare.authority.len()), (1, 0));
}

/// RFC 2308 2.1 and 2.2: the response types, and section 5: the lower of SOA TTL and MINIMUM.
#[test]
fn negative_answers_by_rfc_2308() {
    let soa: &[&str] = &["example. 3600 SOA 900"];
    let low: &[&str] = &["example. 300 SOA 900"];
    let both: &[&str] = &["example. 3600 NS ns.example.", "example. 3600 SOA 900"];
    let referral: &[&str] = &["example. 3600 NS ns.example."];
    let negative = |rcode, authority| match sifted("an.example. A", rcode, [&[], authority, &[]]) {
        Verdict::Answer(found) => Some((found.rcode, found.negative.unwrap(), found.authority)),
        _ => None,
    };
    for rcode in [Rcode::NXDOMAIN, Rcode::NOERROR] {
        assert_eq!(negative(rcode, soa), Some((rcode, 900, records(&["example. 900 SOA 900"]))));
        assert_eq!(negative(rcode, low), Some((rcode, 300, records(&["example. 300 SOA 900"]))));
        assert_eq!(negative(rcode, both), negative(rcode, soa));
        assert_eq!(negative(rcode, &[]), Some((rcode, 0, Vec::new())));
    }
    assert_eq!(negative(Rcode::NXDOMAIN, referral), Some((Rcode::NXDOMAIN, 0, Vec::new())));
    assert_eq!(negative(Rcode::NOERROR, referral), None);
}

/// Servers of zones that give NS in place of SOA; but one that knows nothing refers upwards, and a zone below is another's.
#[test]
fn name_servers_of_the_zone_itself_and_those_an_authority_shows_are_no_referral() {
    let is_nodata = |zone, extra, servers: &str| {
        let verdict = sifted_from(zone, extra, "an.sub.example. A", Rcode::NOERROR, [&[], &[servers], &[]]);
        matches!(verdict, Verdict::Answer(Answer { rcode: Rcode::NOERROR, negative: Some(0), .. }))
    };
    for (zone, extra, servers, expected) in [
        ("example.", 0, "example. 60 NS ns.example.", true),
        ("example.", flags::AA, "example. 60 NS ns.example.", true),
        ("example.", 0, "sub.example. 60 NS ns.example.", false),
        ("sub.example.", 0, "example. 60 NS ns.example.", false),
        ("example.", 0, ". 60 NS a.root.", false),
        (".", 0, ". 60 NS a.root.", false),
        (".", flags::AA, ". 60 NS a.root.", true),
        (".", 0, "example. 60 NS ns.example.", false),
        (".", flags::AA, "example. 60 NS ns.example.", true),
    ] {
        assert_eq!(is_nodata(zone, extra, servers), expected, "{zone} {extra} {servers}");
    }
}

#[test]
fn an_soa_of_another_zone_proves_nothing() {
    let authority: &[&str] = &["other.test. 3600 SOA 86400"];
    let found = answer(sifted("an.example. A", Rcode::NXDOMAIN, [&[], authority, &[]]));
    assert_eq!((found.negative, found.authority), (Some(0), Vec::new()));
}

#[test]
fn a_chain_may_end_in_a_negative_answer() {
    let chain: &[&str] = &["www.example. 300 CNAME gone.example."];
    let found = answer(sifted("www.example. A", Rcode::NXDOMAIN, [chain, &["example. 60 SOA 60"], &[]]));
    assert_eq!((found.rcode, found.negative, found.answer), (Rcode::NXDOMAIN, Some(60), records(chain)));
}

#[test]
fn a_chain_that_stops_or_leaves_is_gone_on_with() {
    let stops: &[&str] = &["www.example. 300 CNAME a.example."];
    let leaves: &[&str] = &["www.example. 300 CNAME a.foreign.", "a.foreign. 300 A 192.0.2.66"];
    for (answer, target) in [(stops, "a.example."), (leaves, "a.foreign.")] {
        let verdict =
            sifted("www.example. A", Rcode::NOERROR, [answer, &["example. 60 NS ns.example."], &[]]);
        let expected =
            Verdict::Continue { answer: records(&answer[..1]), authority: Vec::new(), target: name(target) };
        assert_eq!(verdict, expected);
    }
}

#[test]
fn loops_and_double_aliases_are_useless() {
    let ring: &[&str] = &["a.example. 1 CNAME b.example.", "b.example. 1 CNAME a.example."];
    let own: &[&str] = &["a.example. 1 CNAME a.example."];
    let double: &[&str] = &["a.example. 1 CNAME b.example.", "a.example. 1 CNAME c.example."];
    for answer in [ring, own, double] {
        assert_eq!(sifted("a.example. A", Rcode::NOERROR, [answer, &[], &[]]), Verdict::Useless);
    }
}

#[test]
fn a_dname_makes_its_own_cname() {
    let section: &[&str] = &[
        "example. 300 DNAME example.net.",
        "www.example. 0 CNAME evil.test.",
        "evil.test. 60 A 192.0.2.66",
        "www.example.net. 60 A 192.0.2.1",
    ];
    let found = answer(sifted("www.example. A", Rcode::NOERROR, [section, &[], &[]]));
    let expected = [
        "example. 300 DNAME example.net.",
        "www.example. 300 CNAME www.example.net.",
        "www.example.net. 60 A 192.0.2.1",
    ];
    assert_eq!(found.answer, records(&expected));
    // The DNAME itself can be asked for, and does not redirect its owner.
    let found = answer(sifted("example. DNAME", Rcode::NOERROR, [&section[..1], &[], &[]]));
    assert_eq!(found.answer, vec![record(section[0])]);
}

#[test]
fn a_dname_can_lead_to_a_name_that_is_too_long() {
    let long = format!("{}.{}.{}.", "a".repeat(63), "b".repeat(63), "c".repeat(62));
    let question = format!("{}.example. A", "d".repeat(63));
    let dname = format!("example. 300 DNAME {long}");
    let section: &[&str] = &[&dname];
    let found = answer(sifted(&question, Rcode::YXDOMAIN, [section, &[], &[]]));
    assert_eq!((found.rcode, found.answer), (Rcode::YXDOMAIN, records(section)));
    assert_eq!(sifted(&question, Rcode::NOERROR, [section, &[], &[]]), Verdict::Useless);
}

proptest! {
    /// Whatever aliases and addresses a reply holds, what is kept is one chain from the question on.
    #[test]
    fn what_is_kept_hangs_together(links in proptest::collection::vec((0..6_u8, 0..6_u8, any::<bool>()), 0..12)) {
        let texts: Vec<_> = links
            .iter()
            .map(|(from, to, alias)| match alias {
                true => format!("n{from}. 60 CNAME n{to}."),
                false => format!("n{from}. 60 A 192.0.2.{to}"),
            })
            .collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let verdict = sifted("n0. A", Rcode::NOERROR, [&texts, &[], &[]]);
        let kept = match &verdict {
            Verdict::Answer(found) => &found.answer,
            Verdict::Continue { answer, .. } => answer,
            Verdict::Useless => return Ok(()),
        };
        let mut expected = name("n0.");
        for record in kept {
            prop_assert_eq!(&record.owner, &expected);
            if record.rtype == Rtype::CNAME {
                expected = Name::from_wire(&record.rdata).unwrap();
            }
        }
    }
}
