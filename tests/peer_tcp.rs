//! TCP as clients use and abuse it: pipelines, halves, slow replies, slow readers, too many connections, silence.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use support::await_until::await_until;
use support::raw::{QUESTION, connect, framed, header, read_message};
use support::tidemark::{self, Tidemark};
use support::zones::{self, Zone};
use support::{dig, ports};

const LIMIT: Duration = Duration::from_secs(20);
/// A connection without a request is closed after ten seconds, give or take the server's tick and a busy machine.
const IDLE: std::ops::Range<Duration> = Duration::from_millis(9_900)..Duration::from_secs(19);
/// Connections that one client may have while there is nobody else: a fifth of all, and a quarter of what is then left.
const PER_CLIENT: usize = 819;
/// What memory may grow by for clients that do not read: their sockets' buffers are the kernel's, not ours.
const GROWTH: u64 = 16 << 20;
/// The TXT records at big.example., 45 kilobytes in all.
const BIG: usize = 600;

/// A query for www.example. A with this id.
fn query(id: u16) -> Vec<u8> {
    question(id, QUESTION)
}

fn question(id: u16, question: &[u8]) -> Vec<u8> {
    let mut message = [&header(0x0100, [1, 0, 0, 0]), question].concat();
    message[..2].copy_from_slice(&id.to_be_bytes());
    message
}

fn id(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[0], message[1]])
}

fn answers(message: &[u8]) -> u16 {
    assert_eq!(message[3] & 0xf, 0, "{message:?}");
    u16::from_be_bytes([message[6], message[7]])
}

/// A node with one worker.
fn start(records: &[&str]) -> Tidemark {
    let zone =
        Zone::primary("example.", zones::text("example.", 1, &[&["www A 192.0.2.1"], records].concat()));
    tidemark::start_as(ports::reserve(), &[zone], "workers = 1\n", "")
}

/// Resident memory in bytes.
fn resident(node: &mut Tidemark) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.daemon.process().pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

/// Another client is answered, again and again.
fn others_are_served(addr: SocketAddr) {
    let mut other = connect(addr);
    for number in 0..200 {
        other.write_all(&framed(&query(number))).unwrap();
        let reply = read_message(&mut other).unwrap();
        assert_eq!((id(&reply), answers(&reply)), (number, 1));
    }
}

#[test]
fn what_was_asked_before_the_end_is_answered() {
    let node = start(&[]);
    let mut client = connect(node.daemon.addr);
    let all: Vec<u8> = (0..1_000).flat_map(|number| framed(&query(number))).collect();
    // Cut within a length, and within a message.
    for part in [&all[..1], &all[1..20], &all[20..20_000], &all[20_000..]] {
        client.write_all(part).unwrap();
    }
    client.shutdown(Shutdown::Write).unwrap();
    let ids: Vec<u16> = std::iter::from_fn(|| read_message(&mut client).map(|reply| id(&reply))).collect();
    assert_eq!(ids, (0..1_000).collect::<Vec<u16>>());

    let mut client = connect(node.daemon.addr);
    for byte in framed(&query(7)) {
        client.write_all(&[byte]).unwrap();
    }
    assert_eq!(id(&read_message(&mut client).unwrap()), 7);

    // What is no query ends the connection, behind the replies to what was asked before it.
    let mut client = connect(node.daemon.addr);
    let mut response = query(9);
    response[2] |= 0x80;
    client.write_all(&[framed(&query(8)), framed(&response), framed(&query(10))].concat()).unwrap();
    assert_eq!(id(&read_message(&mut client).unwrap()), 8);
    assert_eq!(read_message(&mut client), None);
}

#[test]
fn a_slow_reply_is_overtaken_and_still_comes() {
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    upstream.set_read_timeout(Some(LIMIT)).unwrap();
    let zone = Zone::primary("example.", zones::text("example.", 1, &["www A 192.0.2.1"]));
    let resolver = format!(
        "[resolver]\nmode = \"forward\"\nallow = [\"127.0.0.0/8\"]\n[[resolver.stub]]\nzone = \"slow.\"\nservers = [\"{}\"]\n",
        upstream.local_addr().unwrap()
    );
    let node = tidemark::start_with(ports::reserve(), &[zone], &resolver);
    let mut client = connect(node.daemon.addr);
    let slow = |label: u8| [&[1, label][..], b"\x04slow\x00\x00\x01\x00\x01"].concat();
    // Answers the question the node has sent on, and not what it asks about the zone for itself.
    let answer = |label: u8| {
        let asked = slow(label);
        let end = 12 + asked.len();
        let mut buffer = [0; 4_096];
        let from = loop {
            let (_, from) = upstream.recv_from(&mut buffer).expect("the node asks");
            if buffer[12..end].eq_ignore_ascii_case(&asked) {
                break from;
            }
        };
        buffer[2..12].copy_from_slice(&[0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
        let data = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x09";
        upstream.send_to(&[&buffer[..end], data].concat(), from).unwrap();
    };
    client.write_all(&[framed(&question(1, &slow(b'a'))), framed(&query(2))].concat()).unwrap();
    assert_eq!(id(&read_message(&mut client).unwrap()), 2);
    answer(b'a');
    let reply = read_message(&mut client).unwrap();
    assert_eq!((id(&reply), answers(&reply)), (1, 1));

    client.write_all(&framed(&question(3, &slow(b'b')))).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    answer(b'b');
    let reply = read_message(&mut client).unwrap();
    assert_eq!((id(&reply), answers(&reply)), (3, 1));
    assert_eq!(read_message(&mut client), None);
}

#[test]
fn who_does_not_read_keeps_nobody_waiting() {
    let txt = format!("big TXT \"{}\"", "x".repeat(60));
    let records: Vec<String> = (0..BIG).map(|number| txt.replace("xxxx", &format!("{number:04}"))).collect();
    let mut node = start(&records.iter().map(String::as_str).collect::<Vec<_>>());
    let addr = node.daemon.addr;
    others_are_served(addr);
    let before = resident(&mut node);
    let count = 500;
    let big = b"\x03big\x07example\x00\x00\x10\x00\x01";
    let all: Vec<u8> = (0..count).flat_map(|number| framed(&question(number, big))).collect();
    let mut lazy: Vec<TcpStream> = (0..4).map(|_| connect(addr)).collect();
    lazy.iter_mut().for_each(|client| client.write_all(&all).unwrap());
    others_are_served(addr);
    let after = resident(&mut node);
    assert!(after < before + GROWTH, "{before} bytes before, {after} after");
    for mut client in lazy {
        for number in 0..count {
            let reply = read_message(&mut client).expect("a reply, however late");
            assert_eq!((id(&reply), answers(&reply)), (number, BIG as u16));
        }
    }
}

#[test]
fn a_transfer_waits_for_its_own_client_alone() {
    let many = format!("$GENERATE 1-30000 host-$ TXT \"{}\"", "y".repeat(200));
    let node = start(&[&many]);
    let addr = node.daemon.addr;
    // A client with little room, that asks for more behind the transfer.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.connect(&addr.into()).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut client = TcpStream::from(socket);
    let axfr = question(1, b"\x07example\x00\x00\xfc\x00\x01");
    client.write_all(&[framed(&axfr), framed(&query(2))].concat()).unwrap();
    others_are_served(addr);
    let mut records = 0;
    let last = loop {
        let message = read_message(&mut client).expect("a message of the transfer");
        if id(&message) != 1 {
            break message;
        }
        records += u32::from(answers(&message));
    };
    // SOA, NS, two addresses, the generated ones, SOA.
    assert_eq!((records, id(&last), answers(&last)), (30_005, 2, 1));
    let serials = |_: ()| {
        node.metric("tidemark_transfers_total", &[("direction", "out"), ("kind", "axfr"), ("result", "ok")])
    };
    await_until("the transfer to be counted", LIMIT, || serials(()) == Some(1.0));

    // One that goes away in the middle of it leaves nothing behind.
    let mut gone = connect(addr);
    gone.write_all(&framed(&axfr)).unwrap();
    read_message(&mut gone).unwrap();
    drop(gone);
    await_until("the broken transfer to be counted", LIMIT, || {
        let labels = [("direction", "out"), ("kind", "axfr"), ("result", "closed")];
        node.metric("tidemark_transfers_total", &labels) == Some(1.0)
    });
    assert_eq!(dig::short(addr, &["www.example.", "A", "+tcp"]), ["192.0.2.1"]);
}

#[test]
fn a_client_has_so_many_connections_and_no_more() {
    let node = start(&[]);
    let addr = node.daemon.addr;
    let served = |client: &mut TcpStream| {
        // A connection that is refused may be gone before the question.
        let _ = client.write_all(&framed(&query(1)));
        read_message(client).is_some()
    };
    let mut clients: Vec<TcpStream> = (0..PER_CLIENT).map(|_| connect(addr)).collect();
    assert!(clients.iter_mut().all(served));
    // Those that have been idle for a while give way, the longest idle first, and there are never more.
    await_until("another connection", LIMIT, || served(&mut connect(addr)));
    assert_eq!(clients[0].read(&mut [0; 1]).unwrap(), 0);
    assert!(served(&mut clients[PER_CLIENT - 1]));
    // Another address has its own.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0)).into()).unwrap();
    socket.connect(&addr.into()).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    assert!(served(&mut TcpStream::from(socket)));
    clients.clear();
    await_until("room for another connection", LIMIT, || served(&mut connect(addr)));
}

#[test]
fn silence_and_half_a_question_end_a_connection() {
    let node = start(&[]);
    let begun = Instant::now();
    let mut silent = connect(node.daemon.addr);
    let mut half = connect(node.daemon.addr);
    half.write_all(&framed(&query(1))[..20]).unwrap();
    let mut asked = connect(node.daemon.addr);
    asked.write_all(&framed(&query(1))).unwrap();
    assert!(read_message(&mut asked).is_some());
    let mut ends = BTreeSet::new();
    for client in [&mut silent, &mut half, &mut asked] {
        let mut rest = Vec::new();
        // The end may be a reset when something was left unread.
        let _ = client.read_to_end(&mut rest);
        assert!(rest.is_empty());
        ends.insert(begun.elapsed());
    }
    assert!(ends.iter().all(|end| IDLE.contains(end)), "{ends:?}");
}
