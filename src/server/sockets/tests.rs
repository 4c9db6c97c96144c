use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpListener;

use mio::{Events, Poll};

use super::*;
use crate::server::clock;

/// No test waits for longer than this for what has to come.
const LIMIT: Duration = Duration::from_secs(10);
/// Sockets at a time.
const MOST: usize = 1_024;

struct World {
    poll: Poll,
    sockets: Sockets,
    outbox: Outbox,
    arrivals: Arrivals,
}

impl World {
    fn new() -> World {
        let poll = Poll::new().unwrap();
        let sockets =
            Sockets::new(poll.registry().try_clone().unwrap(), 5, Room { kept: MOST, most: MOST }, [1; 32]);
        World { poll, sockets, outbox: Outbox::default(), arrivals: Arrivals::new() }
    }

    fn ask(&mut self, now: Mono, to: SocketAddr, transport: Transport, message: &[u8]) -> Token {
        let token = self.outbox.send(to, transport, message.to_vec());
        self.sockets.carry_out(now, &mut self.outbox, &mut self.arrivals);
        token
    }

    fn cancel(&mut self, token: Token) {
        self.outbox.cancel(token);
        self.sockets.carry_out(Mono(0), &mut self.outbox, &mut self.arrivals);
    }

    /// Waits for events until so many arrivals are there, and takes them.
    fn arrivals(&mut self, count: usize) -> Arrivals {
        let mut events = Events::with_capacity(8);
        let end = clock::mono() + LIMIT;
        while self.arrivals.len() < count {
            assert!(clock::mono() < end, "{:?}", self.arrivals);
            let busy = self.sockets.next_timeout() == Some(Mono(0));
            self.poll.poll(&mut events, Some(if busy { Duration::ZERO } else { LIMIT })).unwrap();
            events.iter().for_each(|event| self.sockets.ready(event, &mut self.arrivals));
            self.sockets.go_on(Mono(0), &mut self.arrivals);
        }
        std::mem::take(&mut self.arrivals)
    }
}

fn server() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

fn message(token: Token, bytes: &[u8]) -> (Token, Arrival) {
    (token, Arrival::Message(bytes.to_vec()))
}

/// Asks so many questions, each answered before the next, and returns the ports they came from.
fn ports(world: &mut World, count: u16, now: impl Fn(u16) -> Mono) -> Vec<u16> {
    let (socket, addr) = server();
    let ask = |number: u16| {
        let token = world.ask(now(number), addr, Transport::Udp, &number.to_be_bytes());
        let (_, from) = socket.recv_from(&mut [0; 2]).unwrap();
        socket.send_to(&number.to_be_bytes(), from).unwrap();
        assert_eq!(world.arrivals(1), [message(token, &number.to_be_bytes())]);
        world.cancel(token);
        from.port()
    };
    (0..count).map(ask).collect()
}

#[test]
fn questions_leave_from_many_ports_which_are_used_again_and_given_up() {
    let mut world = World::new();
    let ports = ports(&mut world, 2_000, |_| Mono(0));
    let first: HashSet<u16> = ports[..PORTS].iter().copied().collect();
    assert_eq!(first.len(), PORTS);
    let all: HashSet<u16> = ports.iter().copied().collect();
    // 2,000 questions wear 31 ports out; chance spreads them unevenly.
    assert!((PORTS + 10..PORTS + 60).contains(&all.len()), "{}", all.len());
    let most = all.iter().map(|port| ports.iter().filter(|other| *other == port).count()).max().unwrap();
    assert!(most <= USES as usize, "{most}");
    // Nobody could tell the next one: neighbours are alike as seldom as chance has it.
    let alike = ports.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(alike < 2_000 / PORTS * 2, "{alike}");
    assert!(world.sockets.sockets.len() <= PORTS);
}

#[test]
fn a_port_is_given_up_after_a_while_however_little_it_was_used() {
    let mut world = World::new();
    let pause = LIFE.as_micros() as u64 / 4;
    let used = ports(&mut world, 40, |number| Mono(u64::from(number) * pause));
    // All 40, but for a port that the kernel picks again by chance.
    assert!(used.iter().collect::<HashSet<_>>().len() > PORTS + 4);
    world.sockets.go_on(Mono(50 * pause), &mut world.arrivals);
    assert_eq!((world.sockets.sockets.len(), world.sockets.next_timeout()), (0, None));
}

#[test]
fn what_answers_no_question_of_the_port_does_not_arrive() {
    let mut world = World::new();
    let (socket, addr) = server();
    let token = world.ask(Mono(0), addr, Transport::Udp, &[1, 2, 3]);
    let (length, from) = socket.recv_from(&mut [0; 9]).unwrap();
    assert_eq!(length, 3);
    let (stranger, _) = server();
    stranger.send_to(&[1, 2, 66], from).unwrap();
    socket.send_to(&[2, 1, 66], from).unwrap();
    socket.send_to(&[1], from).unwrap();
    socket.send_to(&[1, 2, 7], from).unwrap();
    assert_eq!(world.arrivals(1), [message(token, &[1, 2, 7])]);
    // Still under way: it may have been forged.
    socket.send_to(&[1, 2, 8], from).unwrap();
    assert_eq!(world.arrivals(1), [message(token, &[1, 2, 8])]);
    world.cancel(token);
    socket.send_to(&[1, 2, 9], from).unwrap();
    let next = world.ask(Mono(0), addr, Transport::Udp, &[1, 2, 3]);
    let (_, from) = socket.recv_from(&mut [0; 9]).unwrap();
    socket.send_to(&[1, 2, 10], from).unwrap();
    assert_eq!(world.arrivals(1), [message(next, &[1, 2, 10])]);
}

#[test]
fn many_answers_at_once_all_arrive() {
    let mut world = World::new();
    let (socket, addr) = server();
    let mut tokens = HashSet::new();
    for number in 0..1_000_u16 {
        tokens.insert(world.ask(Mono(0), addr, Transport::Udp, &number.to_be_bytes()));
        let mut question = [0; 2];
        let (_, from) = socket.recv_from(&mut question).unwrap();
        socket.send_to(&question, from).unwrap();
    }
    let arrived = world.arrivals(1_000);
    assert_eq!(arrived.iter().map(|(token, _)| *token).collect::<HashSet<_>>(), tokens);
}

#[test]
fn questions_with_one_id_leave_from_different_ports() {
    let mut world = World::new();
    let (socket, addr) = server();
    let mut ports = HashSet::new();
    for _ in 0..3 * PORTS {
        world.ask(Mono(0), addr, Transport::Udp, &[7, 7]);
        ports.insert(socket.recv_from(&mut [0; 2]).unwrap().1.port());
    }
    assert_eq!(ports.len(), 3 * PORTS);
}

#[test]
fn nobody_there_is_told_to_all_who_ask() {
    let mut world = World::new();
    let addr = server().1;
    let tokens: Vec<Token> =
        (0..3_u8).map(|number| world.ask(Mono(0), addr, Transport::Udp, &[number, 0])).collect();
    let stream = world.ask(Mono(0), addr, Transport::Tcp, &[0, 9]);
    let mut told = world.arrivals(4);
    told.make_contiguous().sort_by_key(|(token, _)| *token);
    let refused = |token| (token, Arrival::Failed(crate::ask::exchange::Failure::Refused));
    assert_eq!(told, tokens.into_iter().chain([stream]).map(refused).collect::<Vec<_>>());
    assert!(world.sockets.under_way.is_empty());
}

#[test]
fn messages_of_a_connection_arrive_whole_and_its_end_too() {
    let mut world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let token = world.ask(Mono(0), addr, Transport::Tcp, &[1, 2, 3]);
    let (mut client, _) = listener.accept().unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    // The event that says it is connected has the question written.
    world.poll.poll(&mut Events::with_capacity(1), Some(LIMIT)).unwrap();
    world.sockets.turn(world.sockets.under_way[&token].0, &mut world.arrivals);
    let mut question = [0; 5];
    client.read_exact(&mut question).unwrap();
    assert_eq!(question, [0, 3, 1, 2, 3]);
    let long = [&[1, 2][..], &[5; 60_000]].concat();
    let stream = [&60_002_u16.to_be_bytes()[..], &long, &[0, 2, 9, 9], &[0, 3, 1, 2, 4]].concat();
    let sent = std::thread::spawn(move || client.write_all(&stream));
    assert_eq!(
        world.arrivals(3),
        [
            message(token, &long),
            message(token, &[1, 2, 4]),
            (token, Arrival::Failed(crate::ask::exchange::Failure::Closed)),
        ]
    );
    sent.join().unwrap().unwrap();
    assert_eq!(world.sockets.sockets.len(), 0);
}

#[test]
fn a_question_given_up_without_a_word_takes_its_port_along() {
    let mut world = World::new();
    let (socket, addr) = server();
    let mut ports = HashSet::new();
    for _ in 0..2 * PORTS {
        let token = world.ask(Mono(0), addr, Transport::Udp, &[7, 7]);
        ports.insert(socket.recv_from(&mut [0; 2]).unwrap().1.port());
        world.cancel(token);
        assert_eq!(world.sockets.sockets.len(), 0);
    }
    // The kernel picks a port that was given up again as seldom as chance has it; two are alike in one run of fourteen.
    assert!(ports.len() > 2 * PORTS - 8, "{}", ports.len());
}

#[test]
fn ports_that_wait_for_another_question_make_room_for_one_of_another_server() {
    let mut world = World::new();
    let servers: Vec<_> = (0..MOST + 2).map(|_| server()).collect();
    let mut ask = |(socket, addr): &(UdpSocket, SocketAddr), is_answered: bool| {
        let token = world.ask(Mono(0), *addr, Transport::Udp, &[7, 7]);
        if world.arrivals.pop_front().is_some() {
            return false;
        }
        if is_answered {
            let (_, from) = socket.recv_from(&mut [0; 2]).unwrap();
            socket.send_to(&[7, 7], from).unwrap();
            assert_eq!(world.arrivals(1), [message(token, &[7, 7])]);
            world.cancel(token);
        }
        true
    };
    assert!(servers[..MOST].iter().all(|server| ask(server, true)));
    // They are idle: each makes room. What waits is not closed for another.
    assert!(servers[..MOST].iter().all(|server| ask(server, false)));
    assert!(!ask(&servers[MOST], false));
}
