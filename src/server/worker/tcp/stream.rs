//! The bytes of a connection: as they come, or through TLS (RFC 7858).
//!
//! ```text
//!             read_tls            process_new_packets         reader
//!   socket ------------> session ---------------------> session ------> requests
//!   socket <------------ session <------------------------------------- replies
//!             write_tls                  writer
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{ServerConfig, ServerConnection};

/// Records read at a time, before other connections have their turn.
const RECORDS: usize = 8;

/// A client's connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<Session>),
}

/// A connection with TLS, from its first byte on.
pub(super) struct Session {
    socket: TcpStream,
    tls: ServerConnection,
}

impl Stream {
    pub(super) fn new(socket: TcpStream, config: Option<&Arc<ServerConfig>>) -> io::Result<Stream> {
        let Some(config) = config else { return Ok(Stream::Plain(socket)) };
        let tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(Session { socket, tls })))
    }

    /// The socket, to be registered.
    pub(super) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(session) => &mut session.socket,
        }
    }

    /// Whether a read of `length` bytes that had `room` left tells that nothing more has come.
    pub(super) fn is_drained(&self, length: usize, room: usize) -> bool {
        match self {
            Stream::Plain(_) => length < room,
            // One record ends where it ends, whatever stands behind it.
            Stream::Tls(_) => false,
        }
    }

    /// Whether something that was written has not left yet.
    pub(super) fn is_behind(&self) -> bool {
        match self {
            Stream::Plain(_) => false,
            Stream::Tls(session) => session.tls.wants_write(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(session) => session.read(buffer),
        }
    }
}

impl Write for Stream {
    /// Takes bytes; with TLS they may still be here afterwards, see [`Stream::is_behind`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(session) => session.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(session) => session.flush(),
        }
    }
}

impl Session {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for _ in 0..RECORDS {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // A client that goes without a word has gone all the same.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            self.tls.read_tls(&mut self.socket)?;
            let processed = self.tls.process_new_packets();
            // The next flight of the handshake, or the alert that says what was wrong.
            match self.flush() {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
        Err(ErrorKind::Interrupted.into())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The session has room for so much and no more: what was taken before leaves first.
        self.flush()?;
        let length = self.tls.writer().write(bytes)?;
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(length),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut self.socket)? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

/// Says that this is the end, and not a cut cable (RFC 8446 6.1).
impl Drop for Session {
    fn drop(&mut self) {
        self.tls.send_close_notify();
        // A socket that takes nothing now is closed without.
        let _ = self.flush();
    }
}
