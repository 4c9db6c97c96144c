use std::collections::VecDeque;

use super::*;

fn server(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 53))
}

/// Machines and a driver, with time that passes when it is told to.
#[derive(Default)]
struct World {
    now: Mono,
    admission: Admission,
    outbox: Outbox,
    /// Under way, in the order they began, each with the exchange whose connection it uses.
    running: VecDeque<(Exchange, Option<Token>)>,
    closed: Vec<Token>,
    stalled: Vec<Stalled>,
}

impl World {
    fn ask(&mut self, to: SocketAddr, transport: Transport) -> Token {
        self.outbox.queue(to, transport, Vec::new())
    }

    fn ask_many(&mut self, to: SocketAddr, transport: Transport, count: usize) {
        for _ in 0..count {
            self.ask(to, transport);
        }
        self.pass();
    }

    fn pass(&mut self) {
        let mut orders = Orders::default();
        self.admission.pass(self.now, &mut self.outbox, &mut orders);
        self.outbox.cancels.clear();
        self.running.retain(|(exchange, _)| !orders.close.contains(&exchange.token));
        self.closed.extend(orders.close);
        self.stalled.extend(orders.stalled);
        self.running.extend(orders.begin.into_iter().map(|turn| (turn.exchange, turn.after)));
    }

    fn pass_time(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.admission.next_timeout().filter(|due| *due <= end) {
            assert!(due >= self.now, "what is due stays due");
            self.now = due;
            self.pass();
            assert!(self.admission.next_timeout().is_none_or(|next| next > due), "due again at once");
        }
        self.now = end;
    }

    fn to(&self, addr: SocketAddr) -> usize {
        self.running.iter().filter(|(exchange, _)| exchange.to == addr).count()
    }

    /// The first exchange with a server gets its whole answer; returns its token.
    fn answer(&mut self, addr: SocketAddr) -> Token {
        let at = self.running.iter().position(|(exchange, _)| exchange.to == addr).unwrap();
        let token = self.running.remove(at).unwrap().0.token;
        assert!(self.admission.arrived(token, &Arrival::Message(Vec::new())));
        self.outbox.finish(token);
        self.pass();
        token
    }

    fn answer_many(&mut self, addr: SocketAddr, count: usize) {
        for _ in 0..count {
            self.answer(addr);
        }
    }

    /// The machines of all exchanges with a server give up.
    fn give_up(&mut self, addr: SocketAddr) {
        let mine = self.running.iter().filter(|(exchange, _)| exchange.to == addr);
        let tokens: Vec<Token> = mine.map(|(exchange, _)| exchange.token).collect();
        tokens.into_iter().for_each(|token| self.outbox.cancel(token));
        self.pass();
    }
}

#[test]
fn a_server_is_asked_for_no_more_than_its_share() {
    let mut world = World::default();
    world.ask_many(server(1), Transport::Tcp, 1_000);
    assert_eq!(world.to(server(1)), TRANSFERS);
    let order: Vec<Token> = (0..1_000).map(|_| world.answer(server(1))).collect();
    assert!(order.is_sorted(), "who comes first is served first");
    assert_eq!(world.to(server(1)), 0);
}

#[test]
fn a_server_that_turns_transfers_away_is_asked_for_as_many_as_it_takes() {
    const TAKES: usize = 3;
    let mut world = World::default();
    world.ask_many(server(1), Transport::Tcp, 600);
    let (mut served, mut turned_away) = (0, 0);
    while world.to(server(1)) > 0 {
        // Of those that come together it serves a few.
        for (number, (exchange, _)) in std::mem::take(&mut world.running).into_iter().enumerate() {
            let rcode = if number < TAKES { Rcode::NOERROR } else { Rcode::SERVFAIL };
            let message = vec![0, 0, 0x80, rcode.0 as u8];
            assert!(world.admission.arrived(exchange.token, &Arrival::Message(message)));
            world.outbox.finish(exchange.token);
            if number < TAKES { served += 1 } else { turned_away += 1 }
        }
        world.pass();
    }
    assert_eq!(served + turned_away, 600);
    assert!(turned_away < served / 2, "{turned_away} turned away, {served} served");
}

#[test]
fn no_server_waits_for_another() {
    let mut world = World::default();
    world.ask_many(server(1), Transport::Tcp, 6_000);
    world.ask_many(server(2), Transport::Tcp, 1);
    assert_eq!(world.to(server(2)), 1, "the healthy server is asked at once");
    // However many hang, one more has its turn.
    for last in 3..=255 {
        world.ask_many(server(last), Transport::Tcp, 100);
    }
    assert!(world.running.len() <= MANY + TRANSFERS + 255);
    let late = SocketAddr::from(([198, 51, 100, 1], 53));
    world.ask_many(late, Transport::Tcp, 5);
    assert!(world.to(late) >= 1);
    world.answer_many(late, 4);
    assert_eq!(world.to(late), 1);
}

#[test]
fn a_silent_server_is_asked_by_one_until_it_recovers() {
    let mut world = World::default();
    world.ask_many(server(1), Transport::Tcp, 500);
    world.give_up(server(1));
    assert_eq!(world.to(server(1)), 1);
    (0..10).for_each(|_| world.give_up(server(1)));
    assert_eq!(world.to(server(1)), 1);
    world.answer_many(server(1), TRANSFERS);
    assert_eq!(world.to(server(1)), TRANSFERS, "it is asked as before");
}

#[test]
fn a_transfer_that_has_begun_keeps_none_waiting() {
    let mut world = World::default();
    world.ask_many(server(1), Transport::Tcp, 100);
    (0..10).for_each(|_| world.give_up(server(1)));
    assert_eq!(world.to(server(1)), 1, "a silent server is asked by one");
    let large = world.running[0].0.token;
    assert!(world.admission.arrived(large, &Arrival::Message(Vec::new())));
    world.pass();
    assert_eq!(world.to(server(1)), 2);
}

#[test]
fn exchanges_that_hang_make_room_for_others_with_the_same_server() {
    let mut world = World::default();
    world.ask_many(server(1), Transport::Tcp, TRANSFERS);
    let hung: Vec<Token> = world.running.drain(..).map(|(exchange, _)| exchange.token).collect();
    world.ask_many(server(1), Transport::Tcp, 100);
    assert_eq!((world.to(server(1)), world.admission.running), (0, TRANSFERS));
    // One that begins to be answered gets on; one that trickles does not.
    assert!(world.admission.arrived(hung[0], &Arrival::Message(Vec::new())));
    world.pass_time(STALLED);
    assert_eq!((world.to(server(1)), world.stalled.len()), (0, 0));
    for _ in 0..4 {
        assert!(world.admission.arrived(hung[0], &Arrival::Message(Vec::new())));
        world.pass_time(STALLED / 2);
    }
    assert_eq!(world.stalled, [Stalled { server: server(1), running: TRANSFERS, waiting: 100 }]);
    // The first of the others that are answered lets all of them go on.
    world.answer_many(server(1), 100);
    assert_eq!((world.to(server(1)), world.stalled.len()), (0, 1));
    // Those that hang besides are bounded.
    world.ask_many(server(1), Transport::Tcp, 100);
    world.pass_time(STALLED * 200);
    assert_eq!(world.admission.running, 2 * TRANSFERS);
}

#[test]
fn a_trickle_beside_silence_keeps_none_waiting() {
    let mut world = World::default();
    world.ask_many(server(1), Transport::Tcp, 6);
    let trickle = world.running.pop_front().unwrap().0.token;
    assert!(world.admission.arrived(trickle, &Arrival::Message(Vec::new())));
    // The others are given up one after the other: the window is down to one, and that is taken.
    (0..5).for_each(|_| world.give_up(server(1)));
    world.ask_many(server(1), Transport::Tcp, 40);
    assert_eq!(world.to(server(1)), 0);
    for _ in 0..4 {
        assert!(world.admission.arrived(trickle, &Arrival::Message(Vec::new())));
        world.pass_time(STALLED / 2);
    }
    assert_eq!(world.stalled.len(), 1);
    world.answer_many(server(1), 40);
    assert_eq!(world.admission.running, 1, "only the trickle is left");
}

#[test]
fn a_connection_is_used_again_and_closed_when_nobody_needs_it() {
    let mut world = World::default();
    world.ask_many(server(1), Transport::Tcp, TRANSFERS + 1);
    let first = world.answer(server(1));
    let (_, after) = world.running.back().unwrap();
    assert_eq!(*after, Some(first));
    assert!(world.closed.is_empty());
    let second = world.answer(server(1));
    world.pass_time(KEPT / 2);
    let third = world.ask(server(1), Transport::Tcp);
    world.pass();
    assert_eq!(world.running.back().unwrap().1, Some(second));
    assert_eq!(world.running.back().unwrap().0.token, third);
    let fourth = world.answer(server(1));
    world.pass_time(KEPT * 2);
    assert!(world.closed.contains(&fourth));
    world.answer_many(server(1), world.running.len());
    world.pass_time(KEPT * 2);
    assert_eq!(world.closed.len(), TRANSFERS, "as many as there were connections");
    assert!(world.admission.servers.is_empty() && world.admission.exchanges.is_empty());
    assert_eq!((world.admission.running, world.admission.next_timeout()), (0, None));
}

/// RFC 7766 6.2.3: a server may close an idle connection at any time, also while the next request is on its way.
#[test]
fn a_connection_closed_by_the_server_fails_no_exchange() {
    let mut world = World::default();
    let closed = Arrival::Failed(Failure::Closed);
    for _ in 0..CLOSED {
        world.ask_many(server(1), Transport::Tcp, 1);
        let first = world.answer(server(1));
        world.ask_many(server(1), Transport::Tcp, 1);
        let (exchange, after) = world.running.pop_back().unwrap();
        assert_eq!(after, Some(first));
        assert!(!world.admission.arrived(exchange.token, &closed), "no machine hears of it");
        world.pass();
        let (again, after) = world.running.back().unwrap();
        assert_eq!((again.token, *after), (exchange.token, None), "on a new connection");
        world.answer(server(1));
        world.pass_time(KEPT * 2);
    }
    // Nor one that is closed while nobody uses it.
    world.ask_many(server(2), Transport::Tcp, 1);
    let idle = world.answer(server(2));
    assert!(!world.admission.arrived(idle, &closed));
    world.ask_many(server(2), Transport::Tcp, 1);
    assert_eq!(world.running.back().unwrap().1, None);
    // A new connection that the server closes is another matter.
    let fresh = world.running.pop_back().unwrap().0.token;
    assert!(world.admission.arrived(fresh, &closed));
    world.pass();
    assert!(world.admission.exchanges.is_empty());
}

#[test]
fn a_server_that_never_keeps_a_connection_is_not_made_to() {
    let mut world = World::default();
    let closed = Arrival::Failed(Failure::Closed);
    world.ask_many(server(1), Transport::Tcp, 2 * TRANSFERS);
    let mut met = 0;
    while !world.running.is_empty() {
        match world.running.iter().position(|(_, after)| after.is_some()) {
            Some(at) => {
                met += 1;
                let token = world.running.remove(at).unwrap().0.token;
                assert!(!world.admission.arrived(token, &closed));
                world.pass();
            }
            None => world.answer_many(server(1), 1),
        }
    }
    assert_eq!(met, usize::from(CLOSED));
}

#[test]
fn datagrams_leave_at_a_bounded_rate() {
    let mut world = World { now: Mono(1_000_000), ..World::default() };
    world.ask_many(server(1), Transport::Udp, 10_000);
    let mut sent = world.running.len();
    assert!(sent <= 1 + BURST as usize, "{sent} at once");
    let begun = world.now;
    while world.now < begun + Duration::from_secs(1) {
        while !world.running.is_empty() {
            world.answer(server(1));
            sent += 1;
        }
        world.pass_time(Duration::from_millis(1));
    }
    let bound = RATE as usize;
    assert!((bound * 9 / 10..=bound * 11 / 10 + BURST as usize).contains(&sent), "{sent} in a second");
}

#[test]
fn unanswered_datagrams_are_bounded() {
    let mut world = World::default();
    world.ask_many(server(1), Transport::Udp, 10_000);
    world.pass_time(Duration::from_secs(10));
    assert_eq!(world.running.len(), QUESTIONS);
    world.give_up(server(1));
    world.pass_time(Duration::from_secs(10));
    assert_eq!(world.running.len(), 1);
}

#[test]
fn datagrams_that_are_lost_while_others_are_answered_are_not_held_against_the_server() {
    let mut world = World::default();
    let short = Duration::from_millis(50);
    world.ask_many(server(1), Transport::Udp, 1_000);
    world.pass_time(short);
    world.answer(server(1));
    world.pass_time(short);
    assert_eq!(world.to(server(1)), QUESTIONS);
    // Only one of these began after its last word.
    world.give_up(server(1));
    world.pass_time(short);
    assert_eq!(world.to(server(1)), QUESTIONS / 2);
    // Of these nothing is known but silence, and a few may be lost all together.
    world.give_up(server(1));
    world.pass_time(short);
    assert_eq!(world.to(server(1)), FEW);
    world.pass_time(ALIVE);
    world.give_up(server(1));
    world.pass_time(short);
    assert_eq!(world.to(server(1)), 1);
}

#[test]
fn what_is_cancelled_while_it_waits_never_begins() {
    let mut world = World::default();
    world.ask_many(server(1), Transport::Tcp, TRANSFERS);
    let waiting = world.ask(server(1), Transport::Tcp);
    world.pass();
    world.outbox.cancel(waiting);
    world.pass();
    world.answer_many(server(1), TRANSFERS);
    assert!(world.running.is_empty() && world.closed.is_empty());
}

#[test]
fn what_begins_at_once_is_left_alone() {
    let mut admission = Admission::default();
    let (mut outbox, mut orders) = (Outbox::default(), Orders::default());
    let token = outbox.send(server(1), Transport::Udp, Vec::new());
    outbox.cancel(Token(77));
    admission.pass(Mono(0), &mut outbox, &mut orders);
    assert_eq!((outbox.exchanges.len(), &outbox.cancels[..]), (1, &[Token(77)][..]));
    assert!(orders.begin.is_empty() && orders.close.is_empty());
    assert!(admission.arrived(token, &Arrival::Failed(Failure::Closed)));
}
