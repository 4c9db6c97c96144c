//! Corners of delegations, aliases and additional data (RFC 1034 4.3.2, 2181, 4592, 6672, 9460, 9471), each as BIND, Knot and NSD
//! answer it where they agree.

use super::*;

const CORNERS: &str = "
$ORIGIN c.
@ 3600 SOA ns2 hostmaster 7 7200 900 86400 300
@ 3600 NS ns1.sub
@ 3600 NS ns2
@ 3600 NS q.wild
ns2 3600 A 192.0.2.1
sub 3600 NS ns1.sub
sub 3600 DS 12345 13 2 ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB
ns1.sub 3600 A 192.0.2.53
www.sub 3600 TXT \"occluded\"
deep.sub 3600 NS ns.deep.sub
ns.deep.sub 3600 A 192.0.2.7
*.wild 3600 A 192.0.2.99
del 3600 NS q.wild
del 3600 NS ns1.sub
twice 60 MX 10 ns2
twice 60 MX 20 NS2
below 60 MX 10 ns1.sub
synth 60 MX 10 q.wild
kx 60 KX 1 ns2
svc 60 SVCB 1 ns2
svca 60 SVCB 0 svc
once 60 DNAME target
a.target 60 CNAME b.once
b.target 60 A 192.0.2.8
under.once 60 A 192.0.2.9
mxunder 60 MX 10 under.once
back 60 DNAME tail
a.tail 60 CNAME back
in.round 60 DNAME round
loop 60 DNAME loop2
loop2 60 DNAME loop
self 60 CNAME self
tods 60 CNAME child
child 60 NS ns2
child 60 DS 12345 13 2 ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB
mid.*.star 60 TXT \"middle\"
*.cut 60 NS ns2
$GENERATE 1-40 n$ 60 CNAME n${1}
n41 60 A 192.0.2.41
";

const CHILD: &str = "$ORIGIN child.c.
@ 3600 SOA ns2.c. hostmaster 1 7200 900 86400 300
@ 3600 NS ns2.c.
up 60 CNAME b.target.c.
";

const APEX_DNAME: &str = "$ORIGIN old.
@ 3600 SOA ns2.c. hostmaster.c. 1 7200 900 86400 300
@ 3600 NS ns2.c.
@ 3600 DNAME c.
@ 3600 TXT \"apex\"
";

fn serve() -> Served {
    let store = ZoneStore::new(42);
    [CORNERS, CHILD, APEX_DNAME].iter().for_each(|text| publish(&store, text, Access::default()));
    Served { store: Arc::new(store), recursion: None, nsid: None, cookies: cookies() }
}

fn query(qname: &str, rtype: Rtype) -> Message {
    Query::new(qname, rtype).tcp().ask(&serve())
}

fn answer(qname: &str, rtype: Rtype) -> Vec<String> {
    show(&query(qname, rtype).answer)
}

fn additional(qname: &str, rtype: Rtype) -> Vec<String> {
    show(&query(qname, rtype).additional)
}

#[test]
fn glue_at_and_below_and_beside_the_cut() {
    // What stands below a cut is the child's, another cut there too.
    for qname in ["ns1.sub.c.", "www.sub.c.", "x.deep.sub.c.", "sub.c."] {
        let message = query(qname, Rtype::TXT);
        assert!(!message.header.is_authoritative() && message.answer.is_empty(), "{qname}");
        assert_eq!(show(&message.authority), ["sub.c. 3600 NS ns1.sub.c."]);
        assert_eq!(show(&message.additional), ["ns1.sub.c. 3600 A 192.0.2.53"]);
    }
    assert_eq!(
        additional("del.c.", Rtype::A),
        ["q.wild.c. 3600 A 192.0.2.99", "ns1.sub.c. 3600 A 192.0.2.53"]
    );
    assert_eq!(
        additional("c.", Rtype::NS),
        ["ns1.sub.c. 3600 A 192.0.2.53", "ns2.c. 3600 A 192.0.2.1", "q.wild.c. 3600 A 192.0.2.99"]
    );
}

#[test]
fn additional_data() {
    assert_eq!(additional("twice.c.", Rtype::MX), ["ns2.c. 3600 A 192.0.2.1"]);
    assert_eq!(additional("synth.c.", Rtype::MX), ["q.wild.c. 3600 A 192.0.2.99"]);
    assert_eq!(additional("kx.c.", Rtype::KX), ["ns2.c. 3600 A 192.0.2.1"]);
    assert_eq!(additional("svc.c.", Rtype::SVCB), ["ns2.c. 3600 A 192.0.2.1"]);
    assert_eq!(additional("svca.c.", Rtype::SVCB), ["svc.c. 60 SVCB 1 ns2.c."]);
    // Glue is for referrals, and what a DNAME hides is nothing.
    assert!(additional("below.c.", Rtype::MX).is_empty());
    assert!(additional("mxunder.c.", Rtype::MX).is_empty());
}

#[test]
fn ds_is_the_parents() {
    assert_eq!(answer("child.c.", Rtype::DS).len(), 1);
    assert!(query("child.c.", Rtype::DS).header.is_authoritative());
    assert_eq!(answer("tods.c.", Rtype::DS).len(), 2);
    // Without the parent the child says that it has none.
    let apex = query("c.", Rtype::DS);
    assert_eq!((apex.rcode(), show(&apex.authority).len()), (Rcode::NOERROR, 1));
    let below = query("x.sub.c.", Rtype::DS);
    assert!(!below.header.is_authoritative());
}

#[test]
fn dnames() {
    assert_eq!(
        answer("a.once.c.", Rtype::A),
        [
            "once.c. 60 DNAME target.c.",
            "a.once.c. 60 CNAME a.target.c.",
            "a.target.c. 60 CNAME b.once.c.",
            "b.once.c. 60 CNAME b.target.c.",
            "b.target.c. 60 A 192.0.2.8"
        ]
    );
    // Data below a DNAME is not there; the DNAME's owner has its own.
    let under = query("under.once.c.", Rtype::A);
    assert_eq!((under.rcode(), under.answer.len()), (Rcode::NXDOMAIN, 2));
    assert_eq!(answer("once.c.", Rtype::DNAME), ["once.c. 60 DNAME target.c."]);
    assert_eq!(query("once.c.", Rtype::A).rcode(), Rcode::NOERROR);
    assert_eq!(answer("x.once.c.", Rtype::CNAME).len(), 2);
    // At the apex, and into another zone.
    assert_eq!(
        answer("ns2.old.", Rtype::A),
        ["old. 3600 DNAME c.", "ns2.old. 3600 CNAME ns2.c.", "ns2.c. 3600 A 192.0.2.1"]
    );
    assert_eq!(answer("old.", Rtype::TXT), ["old. 3600 TXT \"apex\""]);
}

#[test]
fn a_dname_that_a_chain_comes_back_to_stands_once() {
    let back = ["back.c. 60 DNAME tail.c.", "a.back.c. 60 CNAME a.tail.c.", "a.tail.c. 60 CNAME back.c."];
    assert_eq!(answer("a.back.c.", Rtype::DNAME), back);
    let round = ["in.round.c. 60 DNAME round.c.", "in.in.round.c. 60 CNAME in.round.c."];
    assert_eq!(answer("in.in.round.c.", Rtype::DNAME), round);
    assert_eq!(answer("in.in.round.c.", Rtype::ANY), round);
}

/// RFC 6604 3: also where the answer section has no room for the chain.
#[test]
fn the_code_of_a_truncated_answer_is_that_of_the_whole() {
    let names = ["p", "q", "r", "s"].map(|letter| [&*letter.repeat(63); 3].join("."));
    let aliases = names.windows(2).map(|pair| format!("{} 60 CNAME {}\n", pair[0], pair[1]));
    let chain = aliases.fold(CORNERS.to_owned(), |text, line| text + &line);
    let ends = [
        (String::new(), Rcode::NXDOMAIN),
        (format!("{} 60 A 192.0.2.1\n", names[3]), Rcode::NOERROR),
        (format!("{0} 60 DNAME {0}.{0}\n", "s".repeat(63)), Rcode::YXDOMAIN),
    ];
    for (last, rcode) in ends {
        let served = serve();
        publish(&served.store, &(chain.replace(" 7 7200", " 8 7200") + &last), Access::default());
        let qname = format!("{}.c.", names[0]);
        let whole = Query::new(&qname, Rtype::A).tcp().ask(&served);
        assert_eq!((whole.rcode(), whole.header.is_truncated()), (rcode, false));
        assert!(whole.answer.len() >= 3);
        let cut = Query::new(&qname, Rtype::A).ask(&served);
        assert_eq!((cut.rcode(), cut.header.is_truncated(), cut.answer.len()), (rcode, true, 0));
    }
}

#[test]
fn chains_end() {
    assert_eq!(answer("x.loop.c.", Rtype::A).len(), 4);
    assert_eq!(answer("self.c.", Rtype::A), ["self.c. 60 CNAME self.c."]);
    assert_eq!(answer("n26.c.", Rtype::A).len(), 16);
    assert_eq!(answer("n27.c.", Rtype::A).last().unwrap(), "n41.c. 60 A 192.0.2.41");
    let long = query("n1.c.", Rtype::A);
    assert_eq!((long.rcode(), long.answer.len(), long.authority.len()), (Rcode::NOERROR, 16, 0));
    assert_eq!(answer("up.child.c.", Rtype::A).len(), 2);
}

#[test]
fn asterisks_in_the_middle() {
    assert_eq!(answer("mid.*.star.c.", Rtype::TXT).len(), 1);
    // `*.star` is an empty non-terminal, and as a wildcard without data it speaks for its siblings (RFC 4592 2.2.2, 4.9).
    assert_eq!(query("x.star.c.", Rtype::TXT).rcode(), Rcode::NOERROR);
    assert_eq!(query("mid.x.star.c.", Rtype::TXT).rcode(), Rcode::NOERROR);
    assert_eq!(query("x.*.star.c.", Rtype::TXT).rcode(), Rcode::NXDOMAIN);
    // A wildcard cut is left undefined by RFC 4592 4.2; as with Knot it is a referral in its own name.
    assert_eq!(show(&query("x.cut.c.", Rtype::A).authority), ["*.cut.c. 60 NS ns2.c."]);
}

#[test]
fn the_longest_names() {
    let label = "a".repeat(63);
    let long = format!("{label}.{label}.{label}.{}.c.", "b".repeat(59));
    assert_eq!(name(&long).as_wire().len(), 255);
    assert_eq!(query(&long, Rtype::A).rcode(), Rcode::NXDOMAIN);
    let wild = format!("{label}.{label}.{label}.{}.wild.c.", "b".repeat(54));
    assert_eq!(name(&wild).as_wire().len(), 255);
    assert_eq!(answer(&wild, Rtype::A), [format!("{wild} 3600 A 192.0.2.99")]);
    let moved = format!("{label}.{label}.{label}.{}.once.c.", "b".repeat(54));
    let too_long = query(&moved, Rtype::A);
    assert_eq!((too_long.rcode(), too_long.answer.len()), (Rcode::YXDOMAIN, 1));
}

#[test]
fn case_is_kept_as_asked() {
    assert_eq!(answer("NS2.C.", Rtype::A), ["NS2.C. 3600 A 192.0.2.1"]);
    assert_eq!(answer("Q.wILD.c.", Rtype::A), ["Q.wILD.c. 3600 A 192.0.2.99"]);
}
