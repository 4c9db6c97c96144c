//! What a machine may ask of the world: to send a message to a server and hear what comes back.
//!
//! Machines do no I/O. They write [`Exchange`]s into an [`Outbox`]; a driver (`server/` with sockets, `sim/` with
//! virtual time) carries them out and hands every [`Arrival`] back under the exchange's [`Token`]. Timeouts belong to the
//! machine, which keeps a deadline and cancels the exchange when it has passed.

use std::net::SocketAddr;

/// Names one exchange for as long as it lasts; never used twice by one outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One datagram out; datagrams from the same address and with the same message id come back.
    Udp,
    /// A connection that no other exchange uses meanwhile: the message goes out with its length, messages come back until
    /// either side closes or the machine has all it asked for.
    Tcp,
}

/// When an exchange may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// At once; the machine's waits count from now.
    AtOnce,
    /// When the server has room for it ([`super::admission`]); waits count from [`Arrival::Sent`].
    InTurn,
}

/// A message to be sent, and the promise to hear what comes back.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Under which arrivals are reported.
    pub token: Token,
    /// The server.
    pub to: SocketAddr,
    /// The transport.
    pub transport: Transport,
    /// When it may begin.
    pub start: Start,
    /// The message, without a TCP length.
    pub message: Vec<u8>,
}

/// What the world reports about an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// An exchange that had to wait for its turn has begun. Others begin when they are asked for, without a word.
    Sent,
    /// A whole message, without a TCP length. The driver has checked where it came from and that the id is the one
    /// that was sent; the machine checks the rest.
    Message(Vec<u8>),
    /// The exchange has ended; nothing more arrives under its token.
    Failed(Failure),
}

/// Why an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// There is no way there.
    #[error("no route to it")]
    Unreachable,
    /// No connection came about in time.
    #[error("connecting timed out")]
    Unanswered,
    /// The other side closed the connection (after any number of messages).
    #[error("connection closed by the peer")]
    Closed,
    /// The local system would not do it (no more sockets, for one).
    #[error("local resources exhausted")]
    Local,
}

/// Requests to the world, in the order they were made; the driver drains it after every call into a machine.
#[derive(Debug, Default)]
pub struct Outbox {
    next: u64,
    /// Exchanges to begin.
    pub exchanges: Vec<Exchange>,
    /// Exchanges to end without further arrivals; unknown tokens are to be ignored.
    pub cancels: Vec<Token>,
    /// Those of `cancels` whose answer has come to its end, so that their connections can carry other exchanges (RFC 7766 6.2.1).
    pub complete: Vec<Token>,
}

impl Outbox {
    /// Asks for an exchange to begin at once.
    pub fn send(&mut self, to: SocketAddr, transport: Transport, message: Vec<u8>) -> Token {
        self.begin(to, transport, Start::AtOnce, message)
    }

    /// Asks for an exchange to begin when the server has room for it, which [`Arrival::Sent`] tells.
    pub fn queue(&mut self, to: SocketAddr, transport: Transport, message: Vec<u8>) -> Token {
        self.begin(to, transport, Start::InTurn, message)
    }

    fn begin(&mut self, to: SocketAddr, transport: Transport, start: Start, message: Vec<u8>) -> Token {
        let token = Token(self.next);
        self.next += 1;
        self.exchanges.push(Exchange { token, to, transport, start, message });
        token
    }

    /// Asks for an exchange to end, whatever may still come.
    pub fn cancel(&mut self, token: Token) {
        self.cancels.push(token);
    }

    /// Ends an exchange whose answer is complete: nothing more of it is on its way.
    pub fn finish(&mut self, token: Token) {
        self.complete.push(token);
        self.cancels.push(token);
    }
}
