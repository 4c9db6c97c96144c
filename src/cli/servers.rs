//! The servers that a command line names: by address, or by a host name, which stands for all of its addresses.

use std::net::SocketAddr;

use crate::cli::exit::Failure;
use crate::config::value::{self, DNS_PORT, ValueError};

/// A server as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By its address.
    Address(SocketAddr),
    /// By a host name, with the port.
    Host(String, u16),
}

/// Reads `ADDR[:PORT]` or `NAME[:PORT]`, port 53 by default.
pub fn named(text: &str) -> Result<Named, ValueError> {
    let text = text.trim();
    let wrong = |error: ValueError| {
        let help = "write ADDR, ADDR:PORT, NAME or NAME:PORT, for example `192.0.2.1`, `[2001:db8::1]:5300` or `ns1.example.net`";
        ValueError::new(error.at, error.message, help)
    };
    value::peer(text).map(Named::Address).or_else(|error| host(text).ok_or_else(|| wrong(error)))
}

/// A host name (RFC 1123 2.1); what has no letter in it was to be an address.
fn host(text: &str) -> Option<Named> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok().filter(|port| *port > 0)?),
        None => (text, DNS_PORT),
    };
    let is_sensible = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = name.bytes().all(is_sensible) && name.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_name.then(|| Named::Host(name.to_owned(), port))
}

/// The addresses of all that are named, as this machine resolves names; each once.
pub async fn addresses(servers: &[Named]) -> Result<Vec<SocketAddr>, Failure> {
    let mut addresses = Vec::new();
    for server in servers {
        let found: Vec<SocketAddr> = match server {
            Named::Address(address) => vec![*address],
            Named::Host(name, port) => tokio::net::lookup_host((&**name, *port))
                .await
                .map_err(|error| {
                    Failure::new(format!("cannot find the address of `{name}`: {error}; write its address"))
                })?
                .collect(),
        };
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_apart() {
        let address = |text: &str| Ok(Named::Address(text.parse().unwrap()));
        let is =
            |text: &str, wanted: Result<Named, ()>| assert_eq!(named(text).map_err(drop), wanted, "{text}");
        let host = |name: &str, port| Ok(Named::Host(name.to_owned(), port));
        is("192.0.2.1", address("192.0.2.1:53"));
        is("[2001:db8::1]:5300", address("[2001:db8::1]:5300"));
        is("2001:db8::a", address("[2001:db8::a]:53"));
        is("ns1.example.net", host("ns1.example.net", 53));
        is("localhost:5300", host("localhost", 5300));
        for wrong in ["", "192.0.2.256", "1.2.3", "ns1:0", "ns1:x", "ns 1", "192.0.2.1 key k.", "ns1/24"] {
            is(wrong, Err(()));
        }
    }

    #[tokio::test]
    async fn a_name_stands_for_its_addresses() {
        let servers = ["127.0.0.1:5300", "localhost:5300"].map(|text| named(text).unwrap());
        let found = addresses(&servers).await.unwrap();
        assert!(
            found.iter().all(|address| address.ip().is_loopback() && address.port() == 5300),
            "{found:?}"
        );
        assert_eq!(found.iter().filter(|address| address.is_ipv4()).count(), 1);
        let error = addresses(&[Named::Host("no.such.host.invalid".to_owned(), 53)]).await.unwrap_err();
        assert!(
            error.to_string().starts_with("cannot find the address of `no.such.host.invalid`"),
            "{error}"
        );
    }
}
