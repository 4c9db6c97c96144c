//! What a message travels by.

/// The transports that are answered on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Datagrams, one message in each.
    Udp,
    /// A stream (RFC 7766).
    Tcp,
    /// An encrypted stream: DNS over TLS (RFC 7858).
    Tls,
}

impl Via {
    /// All there are, in the order of their numbers.
    pub const ALL: [Via; 3] = [Via::Udp, Via::Tcp, Via::Tls];

    /// Whether messages follow each other in a connection, each behind its length.
    pub fn is_stream(self) -> bool {
        self != Via::Udp
    }

    /// Whether nobody between here and the client can read along.
    pub fn is_encrypted(self) -> bool {
        self == Via::Tls
    }

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Via::Udp => "udp",
            Via::Tcp => "tcp",
            Via::Tls => "tls",
        }
    }
}
