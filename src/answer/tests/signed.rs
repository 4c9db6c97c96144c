//! Answers from signed zones: RFC 4035 section 3.1, RFC 5155 7.2. The zones in `tests/data/signed` have one content, signed with
//! NSEC, with NSEC3, and with NSEC3 and opt-out.

use super::*;

const NSEC: &str = include_str!("../../../tests/data/signed/nsec.zone");
const NSEC3: &str = include_str!("../../../tests/data/signed/nsec3.zone");
const OPTOUT: &str = include_str!("../../../tests/data/signed/optout.zone");

fn serve(texts: &[&str]) -> Served {
    let store = ZoneStore::new(42);
    texts.iter().for_each(|text| publish(&store, text, Access::default()));
    Served { store: Arc::new(store), recursion: None, nsid: None, cookies: cookies() }
}

fn query(served: &Served, qname: &str, rtype: Rtype) -> Message {
    Query::new(qname, rtype).dnssec().tcp().ask(served)
}

/// The records of a section as `owner TYPE`, with `+` where signatures over the RRset stand in the section too. Of a hashed owner
/// the first digits are given. An RRSIG without what it covers is an error.
fn brief(records: &[Record]) -> Vec<String> {
    let covered = |record: &Record| Rtype(u16::from_be_bytes([record.rdata[0], record.rdata[1]]));
    let signs = |signature: &Record, record: &Record| {
        signature.rtype == Rtype::RRSIG
            && covered(signature) == record.rtype
            && signature.owner == record.owner
            && signature.ttl == record.ttl
    };
    let (signatures, plain): (Vec<&Record>, Vec<&Record>) =
        records.iter().partition(|record| record.rtype == Rtype::RRSIG);
    for signature in &signatures {
        assert!(plain.iter().any(|record| signs(signature, record)), "{signature:?}");
    }
    let mut lines = Vec::new();
    for record in plain {
        let sign = if signatures.iter().any(|signature| signs(signature, record)) { "+" } else { "" };
        let owner = record.owner.to_string();
        let owner = if record.rtype == Rtype::NSEC3 { &owner[..4] } else { &owner };
        lines.push(format!("{owner} {}{sign}", record.rtype));
    }
    lines
}

/// Asks all these questions of one zone: name, type, code, answer, authority.
type Case<'c> = (&'c str, Rtype, Rcode, &'c [&'c str], &'c [&'c str]);

fn check(text: &str, cases: &[Case<'_>]) {
    let served = serve(&[text]);
    for &(qname, rtype, rcode, answer, authority) in cases {
        let message = query(&served, qname, rtype);
        let got = (message.rcode(), brief(&message.answer), brief(&message.authority));
        let expected = (
            rcode,
            answer.iter().map(|line| (*line).to_owned()).collect(),
            authority.iter().map(|line| (*line).to_owned()).collect(),
        );
        assert_eq!(got, expected, "{qname} {rtype}");
        // Without DO the same answer, but for the DNSSEC records that were not asked for (RFC 4035 3.1).
        let plain = Query::new(qname, rtype).tcp().ask(&served);
        let kept = |records: &[Record]| -> Vec<Record> {
            let proof = |kind: Rtype| match kind {
                Rtype::RRSIG | Rtype::NSEC | Rtype::DS => kind != rtype,
                kind => kind == Rtype::NSEC3,
            };
            records.iter().filter(|record| !proof(record.rtype)).cloned().collect()
        };
        assert_eq!(
            (plain.rcode(), &plain.answer, &plain.authority),
            (rcode, &kept(&message.answer), &kept(&message.authority)),
            "{qname} {rtype}"
        );
    }
}

#[test]
fn nsec() {
    use Rcode as R;
    use Rtype as T;
    let soa = "nsec. SOA+";
    let cases: &[Case<'_>] = &[
        ("www.nsec.", T::A, R::NOERROR, &["www.nsec. A+"], &[]),
        ("nsec.", T::DNSKEY, R::NOERROR, &["nsec. DNSKEY+"], &[]),
        ("WWW.nsec.", T::NSEC, R::NOERROR, &["WWW.nsec. NSEC+"], &[]),
        // No data; an empty non-terminal is in the gap before its descendant.
        ("www.nsec.", T::TXT, R::NOERROR, &[], &[soa, "www.nsec. NSEC+"]),
        ("b.ent.nsec.", T::A, R::NOERROR, &[], &[soa, "cut.deep.nsec. NSEC+"]),
        // No name; one record may show both that there is no name and no wildcard.
        ("missing.nsec.", T::A, R::NXDOMAIN, &[], &[soa, "a.b.ent.nsec. NSEC+", "nsec. NSEC+"]),
        ("aa.nsec.", T::A, R::NXDOMAIN, &[], &[soa, "nsec. NSEC+"]),
        ("zzz.nsec.", T::A, R::NXDOMAIN, &[], &[soa, "www.nsec. NSEC+", "nsec. NSEC+"]),
        // Wildcards.
        ("x.wild.nsec.", T::A, R::NOERROR, &["x.wild.nsec. A+"], &["*.wild.nsec. NSEC+"]),
        ("x.wild.nsec.", T::TXT, R::NOERROR, &[], &[soa, "*.wild.nsec. NSEC+"]),
        ("*.wild.nsec.", T::A, R::NOERROR, &["*.wild.nsec. A+"], &[]),
        (
            "alias.nsec.",
            T::A,
            R::NOERROR,
            &["alias.nsec. CNAME+", "x.wild.nsec. A+"],
            &["*.wild.nsec. NSEC+"],
        ),
        (
            "x.chain.nsec.",
            T::A,
            R::NXDOMAIN,
            &["x.chain.nsec. CNAME+"],
            &[soa, "a.b.ent.nsec. NSEC+", "nsec. NSEC+", "*.chain.nsec. NSEC+"],
        ),
        // Cuts.
        ("x.safe.nsec.", T::A, R::NOERROR, &[], &["safe.nsec. NS", "safe.nsec. DS+"]),
        ("x.plain.nsec.", T::A, R::NOERROR, &[], &["plain.nsec. NS", "plain.nsec. NSEC+"]),
        ("safe.nsec.", T::DS, R::NOERROR, &["safe.nsec. DS+"], &[]),
        ("plain.nsec.", T::DS, R::NOERROR, &[], &[soa, "plain.nsec. NSEC+"]),
        ("nsec.", T::DS, R::NOERROR, &[], &[soa, "nsec. NSEC+"]),
        // DNAME; what is made of it is not signed.
        (
            "q.moved.nsec.",
            T::A,
            R::NOERROR,
            &["moved.nsec. DNAME+", "q.moved.nsec. CNAME", "q.wild.nsec. A+"],
            &["*.wild.nsec. NSEC+"],
        ),
    ];
    check(NSEC, cases);
}

#[test]
fn nsec3() {
    use Rcode as R;
    use Rtype as T;
    let soa = "nsec3. SOA+";
    // The hashes: nsec3. 39GA, www KM26, ent 2JR7, wild KJGF, *.wild MGMB, chain JOUV, plain HSKH, cut.deep C1UG, deep VKCF.
    let cases: &[Case<'_>] = &[
        ("www.nsec3.", T::A, R::NOERROR, &["www.nsec3. A+"], &[]),
        ("nsec3.", T::NSEC3PARAM, R::NOERROR, &["nsec3. NSEC3PARAM+"], &[]),
        ("www.nsec3.", T::TXT, R::NOERROR, &[], &[soa, "KM26 NSEC3+"]),
        ("www.nsec3.", T::NSEC3, R::NOERROR, &[], &[soa, "KM26 NSEC3+"]),
        ("ent.nsec3.", T::A, R::NOERROR, &[], &[soa, "2JR7 NSEC3+"]),
        // missing hashes to 73B2, * to SD27.
        ("missing.nsec3.", T::A, R::NXDOMAIN, &[], &[soa, "39GA NSEC3+", "3GDI NSEC3+", "MGMB NSEC3+"]),
        ("a.missing.nsec3.", T::A, R::NXDOMAIN, &[], &[soa, "39GA NSEC3+", "3GDI NSEC3+", "MGMB NSEC3+"]),
        // x.wild hashes to 9BAC.
        ("x.wild.nsec3.", T::A, R::NOERROR, &["x.wild.nsec3. A+"], &["995I NSEC3+"]),
        ("a.x.wild.nsec3.", T::A, R::NOERROR, &["a.x.wild.nsec3. A+"], &["995I NSEC3+"]),
        ("x.wild.nsec3.", T::TXT, R::NOERROR, &[], &[soa, "KJGF NSEC3+", "995I NSEC3+", "MGMB NSEC3+"]),
        ("x.plain.nsec3.", T::A, R::NOERROR, &[], &["plain.nsec3. NS", "HSKH NSEC3+"]),
        ("x.cut.deep.nsec3.", T::A, R::NOERROR, &[], &["cut.deep.nsec3. NS", "C1UG NSEC3+"]),
        ("x.safe.nsec3.", T::A, R::NOERROR, &[], &["safe.nsec3. NS", "safe.nsec3. DS+"]),
        ("plain.nsec3.", T::DS, R::NOERROR, &[], &[soa, "HSKH NSEC3+"]),
        ("deep.nsec3.", T::DS, R::NOERROR, &[], &[soa, "VKCF NSEC3+"]),
    ];
    check(NSEC3, cases);
}

#[test]
fn opt_out() {
    use Rcode as R;
    use Rtype as T;
    let soa = "optout. SOA+";
    // The hashes: optout. CTNT, plain U161 (behind SFO7), deep IG0C (behind HQ1P), cut.deep AI81, missing 5VBQ, * VHHD.
    let cases: &[Case<'_>] = &[
        ("x.plain.optout.", T::A, R::NOERROR, &[], &["plain.optout. NS", "CTNT NSEC3+", "SFO7 NSEC3+"]),
        ("plain.optout.", T::DS, R::NOERROR, &[], &[soa, "CTNT NSEC3+", "SFO7 NSEC3+"]),
        // `deep` exists only for an opted-out cut: it has no record, the closest encloser that can be proved is the apex.
        ("x.cut.deep.optout.", T::A, R::NOERROR, &[], &["cut.deep.optout. NS", "CTNT NSEC3+", "HQ1P NSEC3+"]),
        ("deep.optout.", T::A, R::NOERROR, &[], &[soa, "CTNT NSEC3+", "HQ1P NSEC3+"]),
        ("y.deep.optout.", T::A, R::NXDOMAIN, &[], &[soa, "CTNT NSEC3+", "HQ1P NSEC3+", "U8VN NSEC3+"]),
        ("missing.optout.", T::A, R::NXDOMAIN, &[], &[soa, "CTNT NSEC3+", "16T6 NSEC3+", "U8VN NSEC3+"]),
        ("x.safe.optout.", T::A, R::NOERROR, &[], &["safe.optout. NS", "safe.optout. DS+"]),
    ];
    check(OPTOUT, cases);
}

/// RFC 5155 7.2.8.
#[test]
fn names_of_nsec3_records_are_no_names() {
    let served = serve(&[NSEC3]);
    let owner = "KM26CKGT0J4DIN3H1HC7KGFDC0MPOMUH.nsec3.";
    assert!(NSEC3.contains(owner.trim_end_matches('.')), "the zone was signed anew");
    for qname in [owner.to_owned(), format!("x.{owner}")] {
        for rtype in [Rtype::A, Rtype::NSEC3, Rtype::RRSIG, Rtype::ANY] {
            let message = query(&served, &qname, rtype);
            assert_eq!((message.rcode(), message.answer.len()), (Rcode::NXDOMAIN, 0), "{qname} {rtype}");
            assert_eq!(brief(&message.authority)[..2], ["nsec3. SOA+", "39GA NSEC3+"]);
        }
    }
    // A wildcard speaks for them like for any name that does not exist.
    let served = serve(&[&format!("{NSEC3}*.nsec3. 60 IN TXT \"any\"\n{owner} 60 IN HINFO a b\n")]);
    let answer = |qname: &str, rtype| show(&query(&served, qname, rtype).answer);
    let other = "39GAGSKDC6JDVIPSNPG6R181M3SSFHIG.nsec3.";
    assert_eq!(answer(other, Rtype::TXT), [format!("{other} 60 TXT \"any\"")]);
    assert_eq!(answer(&format!("x.{other}"), Rtype::TXT).len(), 1);
    // One that has other data exists, and shows that data alone.
    assert_eq!(answer(owner, Rtype::HINFO).len(), 1);
    assert!(
        answer(owner, Rtype::TXT).is_empty()
            && answer(owner, Rtype::NSEC3).is_empty()
            && answer(owner, Rtype::RRSIG).is_empty()
    );
    assert_eq!(answer(owner, Rtype::ANY), [format!("{owner} 60 HINFO \"a\" \"b\"")]);
}

#[test]
fn signatures_asked_for_by_type() {
    let served = serve(&[NSEC]);
    let plain = Query::new("www.nsec.", Rtype::RRSIG).ask(&served);
    let ttls: Vec<u32> = plain.answer.iter().map(|record| record.ttl).collect();
    assert_eq!(ttls, [600, 300], "each has the TTL of what it covers");
    // An alias has its own; they are not looked for at its target.
    assert_eq!(Query::new("alias.nsec.", Rtype::RRSIG).ask(&served).answer.len(), 2);
    assert_eq!(brief(&query(&served, "alias.nsec.", Rtype::NSEC).answer), ["alias.nsec. NSEC+"]);
    assert_eq!(brief(&query(&served, "nsec.", Rtype::ANY).answer), ["nsec. NS+"]);
    let ns = query(&served, "nsec.", Rtype::NS);
    assert_eq!(
        (brief(&ns.answer), brief(&ns.additional)),
        (vec!["nsec. NS+".to_owned()], vec!["ns1.nsec. A+".to_owned()])
    );
    let glue = query(&served, "x.safe.nsec.", Rtype::A);
    assert_eq!(brief(&glue.additional), ["ns.safe.nsec. A"]);
}

#[test]
fn nothing_is_broken_in_half() {
    let served = serve(&[NSEC3]);
    let whole = Query::new("missing.nsec3.", Rtype::A).dnssec().tcp().ask(&served);
    assert_eq!(whole.authority.len(), 8);
    let mut cut = Query::new("missing.nsec3.", Rtype::A).dnssec();
    let payload = cut.bytes.len() - 8;
    cut.bytes[payload..payload + 2].copy_from_slice(&512u16.to_be_bytes());
    let cut = cut.ask(&served);
    assert!(cut.header.is_truncated() && cut.answer.is_empty() && cut.authority.is_empty());
    assert!(cut.opt.is_some());
    assert_eq!(cut.rcode(), Rcode::NXDOMAIN, "the code is that of the whole answer");
}

/// A chain that comes back to its DNAME finds it, and what signs it, in the answer already.
#[test]
fn a_dname_and_its_signature_stand_once() {
    let signature = NSEC.lines().find(|line| line.contains(" RRSIG DNAME ")).unwrap();
    let signature = signature.replace("moved.nsec.", "in.round.nsec.");
    let served = serve(&[&format!("{NSEC}in.round.nsec. 600 IN DNAME round.nsec.\n{signature}\n")]);
    for rtype in [Rtype::DNAME, Rtype::ANY, Rtype::RRSIG] {
        let message = query(&served, "in.in.round.nsec.", rtype);
        assert_eq!(brief(&message.answer), ["in.round.nsec. DNAME+", "in.in.round.nsec. CNAME"], "{rtype}");
        assert_eq!(message.answer.len(), 3);
    }
    // Without DO the signature is asked for by its type alone.
    assert_eq!(Query::new("in.in.round.nsec.", Rtype::RRSIG).ask(&served).answer.len(), 3);
}

/// RFC 8482 4.1 leaves the choice; what proves and signs is of no use to those who ask for anything.
#[test]
fn any_is_not_what_signing_added() {
    let served = serve(&[&format!(
        "{NSEC}_443.www.nsec. 60 IN TLSA 3 1 1 00\n_443.www.nsec. 60 IN NSEC a.nsec. TLSA\n"
    )]);
    assert_eq!(brief(&query(&served, "_443.www.nsec.", Rtype::ANY).answer), ["_443.www.nsec. TLSA"]);
}

/// A zone in which something of the signing is missing gives what there is.
#[test]
fn half_signed_zones_answer_what_they_can() {
    let without = |text: &str, gone: &[&str]| -> String {
        let keep = |line: &&str| !gone.iter().any(|gone| line.contains(gone));
        text.lines().filter(keep).map(|line| format!("{line}\n")).collect()
    };
    let zones = [
        without(NSEC, &[" NSEC "]),
        without(NSEC, &[" SOA 15 "]),
        without(NSEC, &[" RRSIG NSEC ", " RRSIG A "]),
        without(NSEC, &["nsec. 300 IN NSEC ", "*.wild.nsec. 300 IN NSEC"]),
    ];
    for zone in &zones {
        let served = serve(&[zone]);
        for (qname, rcode) in [
            ("www.nsec.", Rcode::NOERROR),
            ("no.nsec.", Rcode::NXDOMAIN),
            ("x.wild.nsec.", Rcode::NOERROR),
            ("x.plain.nsec.", Rcode::NOERROR),
            ("b.ent.nsec.", Rcode::NOERROR),
        ] {
            let message = query(&served, qname, Rtype::A);
            assert_eq!(message.rcode(), rcode, "{qname}");
            assert!(
                message.authority.iter().any(|record| record.rtype == Rtype::SOA)
                    == (rcode == Rcode::NXDOMAIN || qname.starts_with("b."))
            );
        }
    }
    for gone in [" NSEC3 1 ", "39GAGSKD", " NSEC3PARAM ", "KJGFPU91"] {
        let served = serve(&[&without(NSEC3, &[gone])]);
        assert_eq!(query(&served, "no.nsec3.", Rtype::A).rcode(), Rcode::NXDOMAIN);
        assert_eq!(query(&served, "x.wild.nsec3.", Rtype::A).answer.len(), 2);
        assert_eq!(query(&served, "x.plain.nsec3.", Rtype::A).rcode(), Rcode::NOERROR);
    }
}

/// What another serial would break is refused.
#[test]
fn a_signed_zone_is_not_renumbered() {
    let served = serve(&[NSEC]);
    let changed = format!("{NSEC}new.nsec. 60 IN A 192.0.2.7\n");
    let error = try_publish(&served.store, &changed).unwrap_err();
    assert!(error.to_string().contains("raise the serial and sign again"), "{error}");
    assert_eq!(query(&served, "nsec.", Rtype::SOA).answer.len(), 2);
}
