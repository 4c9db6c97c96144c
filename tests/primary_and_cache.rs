//! A node that is primary for one zone and a cache for others, as many small sites have it: chains of aliases between the two.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::time::{Duration, Instant};

use support::await_until::await_until;
use support::dig::{dig, short};
use support::zones::{self, Zone};
use support::{bind, ports, tidemark};

const LIMIT: Duration = Duration::from_secs(20);
const OWN: &str = "corp.test.";

/// Aliases out of the zone, into another zone and back; and a part of it that is delegated.
const RECORDS: &[&str] = &[
    "www A 192.0.2.1",
    "ext CNAME web.elsewhere.test.",
    "*.wild CNAME web.elsewhere.test.",
    "round CNAME to.elsewhere.test.",
    "lab NS ns.lab",
    "ns.lab A 192.0.2.53",
];

/// Whoever has the rest of `test.` holds an old copy of `corp.test.`, too, and has it say something else.
const OTHERS: &[&str] = &[
    "web.elsewhere A 192.0.2.77",
    "to.elsewhere CNAME www.corp",
    "wild.elsewhere CNAME a.wild.corp",
    "www.corp A 203.0.113.66",
    "*.wild.corp A 203.0.113.66",
    "host.lab.corp A 192.0.2.99",
];

#[test]
fn chains_between_own_zones_and_others_are_followed_by_who_has_each_part() {
    let others = ports::reserve();
    let upstream = bind::start(others, &[Zone::primary("test.", zones::text("test.", 1, OTHERS))]);
    assert_eq!(
        short(others, &["to.elsewhere.test", "A"]),
        ["www.corp.test.", "203.0.113.66"],
        "as it is meant"
    );
    let resolver = format!(
        "[resolver]\nmode = \"forward\"\n\
         [[resolver.stub]]\nzone = \"elsewhere.test.\"\nservers = [\"{others}\"]\n\
         [[resolver.stub]]\nzone = \"lab.corp.test.\"\nservers = [\"{others}\"]\n"
    );
    let own = [Zone::primary(OWN, zones::text(OWN, 1, RECORDS))];
    let mut node = tidemark::start_with(ports::reserve(), &own, &resolver);
    let ask = |name: &str| short(node.daemon.addr, &[name, "A"]);
    let web = ["web.elsewhere.test.", "192.0.2.77"];
    for _ in 0..2 {
        assert_eq!(ask("ext.corp.test"), web);
        assert_eq!(ask("a.wild.corp.test"), web);
        assert_eq!(ask("to.elsewhere.test"), ["www.corp.test.", "192.0.2.1"], "the zone's own data");
        assert_eq!(ask("round.corp.test"), ["to.elsewhere.test.", "www.corp.test.", "192.0.2.1"]);
        assert_eq!(ask("wild.elsewhere.test"), [&["a.wild.corp.test."], &web[..]].concat());
        assert_eq!(ask("host.lab.corp.test"), ["192.0.2.99"], "below a delegation");
    }
    let bare = dig(node.daemon.addr, &["ext.corp.test", "A", "+norec"]);
    assert!(bare.contains("ANSWER: 1,") && bare.contains("flags: qr aa"), "{bare}");
    let referral = dig(node.daemon.addr, &["host.lab.corp.test", "A", "+norec"]);
    assert!(referral.contains("ANSWER: 0, AUTHORITY: 1,"), "{referral}");

    // What is edited here shows at once in a chain that comes from the cache.
    zones::write(&node.daemon.zone_file(OWN), &zones::text(OWN, 2, &["www A 192.0.2.2"]));
    let edited = Instant::now();
    await_until("the edit to be served", LIMIT, || ask("www.corp.test") == ["192.0.2.2"]);
    assert_eq!(ask("to.elsewhere.test"), ["www.corp.test.", "192.0.2.2"], "after {:?}", edited.elapsed());
    assert_eq!(dig(node.daemon.addr, &["ext.corp.test", "A"]).matches("NXDOMAIN").count(), 1);

    // Without the others a chain that needs them ends in an error that says so, and one that does not is as it was.
    let mut upstream = upstream;
    upstream.stop();
    zones::write(
        &node.daemon.zone_file(OWN),
        &zones::text(OWN, 3, &["www A 192.0.2.3", "new CNAME fresh.elsewhere.test."]),
    );
    await_until("the edit to be served", LIMIT, || ask("www.corp.test") == ["192.0.2.3"]);
    let failed = dig(node.daemon.addr, &["new.corp.test", "A"]);
    assert!(failed.contains("SERVFAIL") && failed.contains("EDE: 22"), "{failed}");
    assert_eq!(ask("to.elsewhere.test"), ["www.corp.test.", "192.0.2.3"]);
    node.daemon.stop();
}
