//! HTTP GET over loopback, enough for `/metrics`, `/health` and the API of Prometheus.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long connecting and each read may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A response: status code and body.
pub struct Response {
    pub status: u16,
    pub body: String,
}

/// Asks for `path` (with its query, percent-encoded) at `addr`.
///
/// Speaks HTTP/1.0, so that the body ends where the connection does and is never chunked.
pub fn get(addr: SocketAddr, path: &str) -> std::io::Result<Response> {
    let mut stream = ask(addr, path)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| broken(&text))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| broken(head))?;
    Ok(Response { status, body: body.to_owned() })
}

/// The server-sent events at `path`, from the moment when this returns: the data of each as it arrives.
pub fn events(addr: SocketAddr, path: &str) -> std::io::Result<impl Iterator<Item = String> + use<>> {
    let mut lines = BufReader::new(ask(addr, path)?).lines().map_while(Result::ok);
    // Until the head has come, nobody listens on the other side: a connection is made before it is taken.
    lines.find(String::is_empty).ok_or_else(|| broken("no end of the head"))?;
    Ok(lines.filter_map(|line| Some(line.strip_prefix("data: ")?.to_owned())))
}

fn ask(addr: SocketAddr, path: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&addr, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {addr}\r\n\r\n")?;
    Ok(stream)
}

/// Percent-encodes everything but letters, digits and `-_.~`.
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn broken(text: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not an HTTP response: {text:.200}"))
}
