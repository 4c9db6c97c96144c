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
