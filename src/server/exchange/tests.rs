use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use super::*;

/// A server of one connection, which answers the first question on it with so many messages, closes and ends.
fn server(messages: usize) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let running = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = [0; 4];
        stream.read_exact(&mut question).unwrap();
        let [_, 2, first, second] = question else { panic!("{question:?}") };
        // Who has heard enough may hang up.
        let _ = stream.write_all(&[0, 2, first, second].repeat(messages));
    });
    (addr, running)
}

#[tokio::test]
async fn no_exchange_waits_for_all_of_another() {
    const MANY: usize = 10_000;
    /// Messages of 64 KiB take a millisecond each to be taken in, and a change takes three arrivals.
    const FEW: usize = 8;
    let mut exchanges = Exchanges::new(Handle::current()).unwrap();
    let mut outbox = Outbox::default();
    let large = outbox.send(server(MANY).0, Transport::Tcp, vec![0, 1]);
    exchanges.carry_out(Mono(0), &mut outbox);
    let (addr, answering) = server(1);
    let small = outbox.send(addr, Transport::Tcp, vec![0, 2]);
    exchanges.carry_out(Mono(0), &mut outbox);
    let mut before = 0;
    loop {
        // Whoever takes arrivals in is slow: what is under way waits for that, and one more.
        while exchanges.arrived.len() < exchanges.arrived.max_capacity() {
            tokio::task::yield_now().await;
        }
        let is_answered = answering.is_finished();
        match exchanges.next().await.unwrap() {
            (token, Arrival::Message(_)) if token == small => break,
            (token, Arrival::Message(_)) => assert_eq!(token, large),
            other => panic!("{other:?}"),
        }
        before += usize::from(is_answered);
    }
    assert!(before <= FEW, "{before} messages of a large answer stood before a small one");
}

/// One that was handed over in the moment in which the connection ended would never be heard of again.
#[tokio::test]
async fn a_connection_that_ends_takes_no_exchange_in_without_a_word() {
    let mut outbox = Outbox::default();
    let addr = ([127, 0, 0, 1], 53).into();
    let [current, next] = [1, 2].map(|id| outbox.send(addr, Transport::Tcp, vec![0, id]));
    let exchange = outbox.exchanges.pop().unwrap();
    for is_handed_over in [false, true] {
        let (to, mut more) = mpsc::channel(1);
        if is_handed_over {
            to.try_send(exchange.clone()).unwrap();
        }
        assert_eq!(last(current, &mut more), if is_handed_over { next } else { current });
        assert!(to.try_send(exchange.clone()).is_err(), "it is opened anew");
    }
}
