use super::super::sample::{ask, at, reply, reply_with};
use super::super::settings::Zone;
use super::*;
use crate::ask::exchange::Exchange;
use crate::ask::question::MAX_STRANGE;
use crate::wire::edns::UDP_PAYLOAD;
use crate::wire::message::Request;
use crate::wire::name::NameRef;

/// One question among the servers 192.0.2.1, .2, ... of the root zone.
struct World {
    upstreams: Upstreams,
    out: Outbox,
    forward: Forward,
}

impl World {
    /// Asks `www.example. A` at time 0; `recursive` decides between forward and stub.
    fn new(servers: u8, recursive: bool) -> World {
        let servers = (1..=servers).map(|last| ([192, 0, 2, last], 53).into()).collect();
        let zones = [Zone { zone: ".".parse().unwrap(), servers }];
        let (forward, stub): (&[Zone], &[Zone]) = if recursive { (&zones, &[]) } else { (&[], &zones) };
        let mut upstreams = Upstreams::new(forward, stub, |_| true, [7; 32]);
        let mut out = Outbox::default();
        let question = ask("www.example. A do");
        let (forward, step) = Forward::start(at(0), question, 0, at(0) + BUDGET, &mut upstreams, &mut out);
        assert!(matches!(step, Step::Wait));
        World { upstreams, out, forward }
    }

    /// The exchange begun last.
    fn last(&self) -> Exchange {
        self.out.exchanges.last().unwrap().clone()
    }

    fn arrive(&mut self, millis: u64, exchange: &Exchange, arrival: Arrival) -> Step {
        self.forward.handle(at(millis), exchange.token, arrival, &mut self.upstreams, &mut self.out)
    }

    /// A reply to the exchange with these answer records.
    fn reply(&mut self, millis: u64, exchange: &Exchange, rcode: Rcode, extra: u16, answer: &[&str]) -> Step {
        let bytes = reply(&exchange.message, rcode, extra, [answer, &[], &[]]);
        self.arrive(millis, exchange, Arrival::Message(bytes))
    }

    fn timeout(&mut self, millis: u64) -> Step {
        self.forward.handle_timeout(at(millis), &mut self.upstreams, &mut self.out)
    }
}

const GOOD: &[&str] = &["www.example. 60 A 192.0.2.80"];

fn done(step: &Step) -> bool {
    matches!(step, Step::Done { verdict: Verdict::Answer(_), .. })
}

#[test]
fn the_query_says_what_is_wanted() {
    for recursive in [true, false] {
        let sent = World::new(1, recursive).last();
        let request = Request::read(&sent.message).unwrap();
        assert_eq!(request.header.flags, if recursive { flags::RD } else { 0 });
        assert_eq!((request.name.to_string().as_str(), request.rtype), ("www.example.", ask("a. A").rtype));
        assert_eq!(request.opt.map(|opt| (opt.payload, opt.dnssec_ok)), Some((UDP_PAYLOAD, true)));
        assert_eq!(sent.transport, Transport::Udp);
    }
}

#[test]
fn who_validates_is_told_that_the_client_does() {
    let flags = |text: &str, recursive| query(&ask(text), recursive).flags;
    assert_eq!(flags("www.example. A do cd", true), flags::RD | flags::CD);
    assert_eq!((flags("www.example. A do", true), flags("www.example. A cd", false)), (flags::RD, 0));
}

#[test]
fn retransmissions_by_schedule_until_the_budget_is_spent() {
    let mut world = World::new(1, true);
    let mut schedule = Vec::new();
    loop {
        let due = world.forward.next_timeout();
        schedule.push((due.0 / 1_000, world.out.exchanges.len()));
        let spare = world.forward.handle_timeout(
            due - Duration::from_micros(1),
            &mut world.upstreams,
            &mut world.out,
        );
        assert!(matches!(spare, Step::Wait));
        if matches!(world.timeout(due.0 / 1_000), Step::Exhausted) {
            break;
        }
    }
    assert_eq!(schedule, [(400, 1), (1_200, 2), (2_800, 3), (4_400, 4), (4_500, 4)]);
    let ids: std::collections::BTreeSet<_> =
        world.out.exchanges.iter().map(|exchange| exchange.message[..2].to_vec()).collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_late_reply_still_counts() {
    let mut world = World::new(1, true);
    let first = world.last();
    world.timeout(400);
    assert!(done(&world.reply(900, &first, Rcode::NOERROR, 0, GOOD)));
}

#[test]
fn the_second_server_is_asked_when_the_first_is_silent_or_refuses() {
    let mut world = World::new(2, true);
    let first = world.last();
    world.timeout(400);
    assert_ne!(world.last().to, first.to);

    for failure in [Failure::Refused, Failure::Unreachable, Failure::Closed, Failure::Local] {
        let mut world = World::new(2, true);
        let first = world.last();
        assert!(matches!(world.arrive(1, &first, Arrival::Failed(failure)), Step::Wait));
        let second = world.last();
        assert_ne!(second.to, first.to);
        assert!(matches!(world.arrive(2, &second, Arrival::Failed(failure)), Step::Exhausted));
    }
    for rcode in [Rcode::SERVFAIL, Rcode::REFUSED, Rcode::NOTAUTH] {
        let mut world = World::new(2, true);
        let first = world.last();
        world.reply(1, &first, rcode, 0, &[]);
        let second = world.last();
        assert_ne!(second.to, first.to);
        let step = world.reply(2, &second, Rcode::NOERROR, 0, GOOD);
        assert!(matches!(step, Step::Done { from, .. } if from == second.to));
    }
}

#[test]
fn a_truncated_reply_is_asked_for_again_by_tcp() {
    let mut world = World::new(2, true);
    let first = world.last();
    assert!(matches!(world.reply(10, &first, Rcode::NOERROR, flags::TC, GOOD), Step::Wait));
    let second = world.last();
    assert_eq!((second.to, second.transport), (first.to, Transport::Tcp));
    assert_eq!(world.out.cancels, [first.token]);
    assert_eq!(world.forward.next_timeout(), at(10) + TCP_TIMEOUT);
    assert!(done(&world.reply(20, &second, Rcode::NOERROR, 0, GOOD)));

    let mut world = World::new(2, true);
    let first = world.last();
    world.reply(10, &first, Rcode::NOERROR, flags::TC, GOOD);
    world.timeout(2_010);
    assert_ne!(world.last().to, first.to);
    assert_eq!(world.last().transport, Transport::Udp);
}

#[test]
fn the_budget_ends_a_connection_too() {
    let mut world = World::new(1, true);
    let first = world.last();
    for due in [400, 1_200] {
        world.timeout(due);
    }
    world.reply(2_700, &first, Rcode::NOERROR, flags::TC, &[]);
    assert_eq!((world.last().transport, world.forward.next_timeout()), (Transport::Tcp, at(0) + BUDGET));
    assert!(matches!(world.timeout(4_500), Step::Exhausted));
}

#[test]
fn a_server_without_edns_is_asked_once_without() {
    for rcode in [Rcode::FORMERR, Rcode::NOTIMP] {
        let mut world = World::new(2, true);
        let first = world.last();
        world.reply(5, &first, rcode, 0, &[]);
        let plain = world.last();
        assert_eq!((plain.to, Request::read(&plain.message).unwrap().opt), (first.to, None));
        world.reply(9, &plain, rcode, 0, &[]);
        assert_ne!(world.last().to, first.to);
        assert!(Request::read(&world.last().message).unwrap().opt.is_some());
    }
    // It may not even send the question back.
    let mut world = World::new(1, true);
    let first = world.last();
    let mut bare = first.message[..12].to_vec();
    bare[2..12].copy_from_slice(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    world.arrive(5, &first, Arrival::Message(bare));
    let plain = world.last();
    assert_ne!(plain.token, first.token);
    assert!(done(&world.reply(9, &plain, Rcode::NOERROR, 0, GOOD)));
}

#[test]
fn bytes_behind_a_reply_change_nothing() {
    let mut world = World::new(1, true);
    let first = world.last();
    let mut bytes = reply(&first.message, Rcode::NOERROR, 0, [GOOD, &[], &[]]);
    bytes.extend_from_slice(&[0; 5]);
    assert!(done(&world.arrive(5, &first, Arrival::Message(bytes))));
}

#[test]
fn a_server_of_which_nothing_is_known_may_refuse_because_of_edns() {
    for rcode in [Rcode::SERVFAIL, Rcode::REFUSED] {
        let mut world = World::new(2, true);
        let first = world.last();
        let mut bare = first.message[..12].to_vec();
        bare[2..12].copy_from_slice(&[0x80, rcode.0 as u8, 0, 0, 0, 0, 0, 0, 0, 0]);
        world.arrive(5, &first, Arrival::Message(bare));
        let plain = world.last();
        assert_eq!((plain.to, Request::read(&plain.message).unwrap().opt), (first.to, None));
        assert!(done(&world.reply(9, &plain, Rcode::NOERROR, 0, GOOD)));
    }
}

#[test]
fn a_server_that_is_silent_to_edns_is_asked_without_by_the_third_datagram() {
    let mut world = World::new(1, true);
    world.timeout(400);
    world.timeout(1_200);
    let third = world.last();
    assert_eq!(Request::read(&third.message).unwrap().opt, None);
    assert!(done(&world.reply(1_210, &third, Rcode::NOERROR, 0, GOOD)));
}

#[test]
fn a_forwarder_that_shows_name_servers_and_no_data_says_that_there_is_none() {
    let mut world = World::new(2, true);
    let first = world.last();
    let servers = &["example. 60 NS ns.example."];
    let bytes = reply(&first.message, Rcode::NOERROR, flags::RD, [&[], servers, &[]]);
    let step = world.arrive(1, &first, Arrival::Message(bytes));
    let Step::Done { verdict: Verdict::Answer(answer), .. } = step else { panic!("{step:?}") };
    assert_eq!((answer.rcode, answer.negative), (Rcode::NOERROR, Some(0)));
}

#[test]
fn what_is_no_reply_to_the_question_is_ignored() {
    let mut world = World::new(1, true);
    let first = world.last();
    let right = reply(&first.message, Rcode::NOERROR, 0, [GOOD, &[], &[]]);
    let mut wrong = Vec::new();
    for (at, byte) in [(13, b'v'), (26, 28), (28, 3), (2, 1), (2, 0xa0), (5, 0), (7, 2)] {
        let mut bytes = right.clone();
        bytes[at] = byte;
        wrong.push(bytes);
    }
    wrong.push(right[..right.len() - 1].to_vec());
    wrong.push(Vec::new());
    for bytes in wrong {
        assert!(matches!(world.arrive(1, &first, Arrival::Message(bytes)), Step::Wait));
    }
    assert_eq!((world.out.exchanges.len(), world.forward.next_timeout()), (1, at(400)));
    // Case does not matter.
    let mut shouted = right;
    shouted[13..16].make_ascii_uppercase();
    assert!(done(&world.arrive(2, &first, Arrival::Message(shouted))));
}

#[test]
fn too_many_wrong_replies_end_the_server() {
    let mut world = World::new(2, true);
    let first = world.last();
    for _ in 0..MAX_STRANGE {
        world.arrive(1, &first, Arrival::Message(vec![0; 12]));
        assert_eq!(world.out.exchanges.len(), 1);
    }
    world.arrive(1, &first, Arrival::Message(vec![0; 12]));
    assert_ne!(world.last().to, first.to);
    assert_eq!(world.out.cancels, [first.token]);
}

#[test]
fn a_referral_is_no_answer() {
    let mut world = World::new(2, false);
    let first = world.last();
    let bytes = reply(&first.message, Rcode::NOERROR, 0, [&[], &["example. 60 NS ns.example."], &[]]);
    world.arrive(1, &first, Arrival::Message(bytes));
    assert_ne!(world.last().to, first.to);
}

#[test]
fn sends_are_bounded() {
    let mut world = World::new(100, true);
    let mut step = Step::Wait;
    while matches!(step, Step::Wait) {
        let last = world.last();
        step = world.reply(1, &last, Rcode::SERVFAIL, 0, &[]);
    }
    assert_eq!(world.out.exchanges.len(), MAX_SENDS);
}

#[test]
fn late_and_unknown_arrivals_are_ignored() {
    let mut world = World::new(2, true);
    let first = world.last();
    world.reply(1, &first, Rcode::SERVFAIL, 0, &[]);
    assert!(matches!(world.reply(2, &first, Rcode::NOERROR, 0, GOOD), Step::Wait));
    assert!(matches!(world.arrive(2, &first, Arrival::Failed(Failure::Closed)), Step::Wait));
    assert_eq!(world.out.exchanges.len(), 2);
}

/// Servers of a stub zone that answer from versions.
impl World {
    fn stub(servers: u8) -> World {
        World::new(servers, false)
    }

    /// Asks the next question.
    fn again(&mut self, millis: u64) {
        let question = ask("www.example. A do");
        let until = at(millis) + BUDGET;
        let (forward, step) =
            Forward::start(at(millis), question, 0, until, &mut self.upstreams, &mut self.out);
        assert!(matches!(step, Step::Wait));
        std::mem::replace(&mut self.forward, forward).finish(&mut self.out);
    }

    fn shows(&mut self, millis: u64, exchange: &Exchange, serial: u32) -> Step {
        let mut options = Vec::new();
        push_option(&mut options, ZONEVERSION, &zoneversion::write(NameRef::ROOT, Serial(serial)));
        let sections: [&[&str]; 3] = [GOOD, &[], &[]];
        let bytes = reply_with(&exchange.message, Rcode::NOERROR, flags::AA, sections, &options);
        self.arrive(millis, exchange, Arrival::Message(bytes))
    }
}

#[test]
fn a_server_that_is_behind_is_passed_over_while_another_may_be_asked() {
    let mut world = World::stub(2);
    let asked = world.last();
    assert!(asked.message.windows(4).any(|bytes| bytes == [0, ZONEVERSION as u8, 0, 0]));
    assert!(done(&world.shows(10, &asked, 5)));

    world.again(20);
    let behind = world.last();
    assert!(matches!(world.shows(30, &behind, 4), Step::Wait));
    let other = world.last();
    assert_ne!(other.to, behind.to);
    let step = world.shows(40, &other, 6);
    assert!(done(&step) && matches!(step, Step::Done { from, .. } if from == other.to));

    // The other one says nothing: it is not waited for longer than for any first datagram.
    world.again(50);
    let behind = world.last();
    assert!(matches!(world.shows(60, &behind, 5), Step::Wait));
    assert_eq!(world.forward.next_timeout(), at(60) + WAITS[0]);
    assert!(matches!(world.timeout(459), Step::Wait));
    let step = world.timeout(460);
    assert!(done(&step) && matches!(step, Step::Done { from, .. } if from == behind.to));
    // What it has is the newest there is, until something newer is seen.
    world.again(500);
    let asked = world.last();
    assert!(done(&world.shows(510, &asked, 5)));
}

#[test]
fn where_nobody_has_a_newer_version_the_newest_of_them_counts() {
    let mut world = World::stub(3);
    let first = world.last();
    assert!(done(&world.shows(10, &first, 9)));
    world.again(20);
    let mut asked = Vec::new();
    for serial in [3, 5] {
        asked.push(world.last());
        assert!(matches!(world.shows(30, asked.last().unwrap(), serial), Step::Wait));
    }
    let last = world.last();
    let step = world.shows(40, &last, 4);
    assert!(done(&step) && matches!(step, Step::Done { from, .. } if from == asked[1].to));

    // Who is held down is not waited for.
    world.again(50);
    for server in 0..3 {
        if world.upstreams.address(server) != world.last().to {
            world.upstreams.unreachable(at(50), server);
        }
    }
    let asked = world.last();
    assert!(done(&world.shows(60, &asked, 2)));
}
