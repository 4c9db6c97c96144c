//! DNS cookies (RFC 7873) with server cookies of version 1, which all servers that share a secret make and accept alike (RFC 9018).
//!
//! ```text
//!  0        8      9         12          16     24
//!  | client | ver. | reserved | timestamp | hash |
//!           |------- server cookie --------------|
//! ```

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Bytes of a client cookie (RFC 7873 4).
pub const CLIENT: usize = 8;
/// Bytes of a client cookie and a server cookie of version 1 (RFC 9018 4).
pub const WHOLE: usize = 24;
/// Server cookies of other makes are this long (RFC 7873 4).
const SERVER: std::ops::RangeInclusive<usize> = 8..=32;
/// The version, and the reserved bytes as they are sent.
const VERSION: [u8; 4] = [1, 0, 0, 0];
/// A cookie is good for an hour (RFC 9018 4.3), in seconds ...
const MAX_AGE: i32 = 3_600;
/// ... and up to five minutes before its time, because clocks differ ...
const MAX_AHEAD: i32 = 300;
/// ... and is replaced when half its life is over.
const RENEW: i32 = 1_800;

/// The secret that cookies are made with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 16]);

/// The text is not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 32 hexadecimal digits")]
pub struct SecretError;

/// The secrets in use: the first makes cookies, all of them are accepted, so that a new one can be spread among servers before the
/// old one goes (RFC 9018 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    first: Secret,
    others: Vec<Secret>,
}

/// What a COOKIE option holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie<'a> {
    /// The client's part.
    pub client: &'a [u8; CLIENT],
    /// The server's part; empty when the client has none yet.
    pub server: &'a [u8],
}

/// What a server cookie turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There was none.
    Missing,
    /// It is not ours, or too old.
    Bad,
    /// It is ours.
    Good,
}

impl<'a> Cookie<'a> {
    /// Takes the value of a COOKIE option; `None` when its length is none that a cookie has (RFC 7873 5.2.2).
    pub fn read(value: &'a [u8]) -> Option<Cookie<'a>> {
        let (client, server) = value.split_first_chunk()?;
        (server.is_empty() || SERVER.contains(&server.len())).then_some(Cookie { client, server })
    }
}

impl Secret {
    /// The secret of these bytes.
    pub fn new(bytes: [u8; 16]) -> Secret {
        Secret(bytes)
    }

    /// The server cookie for a client at a time in seconds (RFC 9018 4.4).
    fn cookie(&self, client: &[u8; CLIENT], at: u32, addr: IpAddr) -> [u8; WHOLE] {
        let mut cookie = [0; WHOLE];
        cookie[..8].copy_from_slice(client);
        cookie[8..12].copy_from_slice(&VERSION);
        cookie[12..16].copy_from_slice(&at.to_be_bytes());
        let [w0, w1] = words([&cookie[..8], &cookie[8..16]]);
        let hash = match addr {
            IpAddr::V4(addr) => {
                // 20 bytes: the last word has four of them and the length.
                let w2 = u64::from(u32::from_le_bytes(addr.octets())) | 20 << 56;
                siphash(&self.0, [w0, w1, w2])
            }
            IpAddr::V6(addr) => {
                let addr = addr.octets();
                let [w2, w3] = words([&addr[..8], &addr[8..]]);
                siphash(&self.0, [w0, w1, w2, w3, 32 << 56])
            }
        };
        cookie[16..].copy_from_slice(&hash.to_le_bytes());
        cookie
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    /// Reads 32 hexadecimal digits, with or without `0x` as Knot writes it.
    fn from_str(text: &str) -> Result<Secret, SecretError> {
        let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
        let mut bytes = [0; 16];
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(SecretError);
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or(SecretError);
            *byte = (digit(0)? << 4 | digit(1)?) as u8;
        }
        Ok(Secret(bytes))
    }
}

impl fmt::Debug for Secret {
    /// Says nothing of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secrets {
    /// `first` makes cookies; those of `others` are accepted too.
    pub fn new(first: Secret, others: Vec<Secret>) -> Secrets {
        Secrets { first, others }
    }

    /// Judges a client's cookie, and makes the one that it gets: its own again while that is young, else a new one. `now` is in seconds
    /// since 1970.
    pub fn exchange(&self, cookie: Cookie<'_>, addr: IpAddr, now: u64) -> (Standing, [u8; WHOLE]) {
        // It wraps in 2106, and so do all sums (RFC 9018 4.3).
        let now = now as u32;
        let standing = match self.age(cookie, addr, now) {
            _ if cookie.server.is_empty() => Standing::Missing,
            None => Standing::Bad,
            Some((age, true)) if (0..RENEW).contains(&age) => {
                let mut same = [0; WHOLE];
                same[..CLIENT].copy_from_slice(cookie.client);
                same[CLIENT..].copy_from_slice(cookie.server);
                return (Standing::Good, same);
            }
            Some(_) => Standing::Good,
        };
        (standing, self.first.cookie(cookie.client, now, addr))
    }

    /// The age in seconds of a server cookie that is ours and may be used, and whether the first secret made it.
    fn age(&self, cookie: Cookie<'_>, addr: IpAddr, now: u32) -> Option<(i32, bool)> {
        let server: &[u8; WHOLE - CLIENT] = cookie.server.try_into().ok()?;
        // The reserved bytes count as they came (RFC 9018 4.2), but nothing is known of others than zeros.
        if server[..4] != VERSION {
            return None;
        }
        let at = u32::from_be_bytes([server[4], server[5], server[6], server[7]]);
        let age = now.wrapping_sub(at) as i32;
        if !(-MAX_AHEAD..=MAX_AGE).contains(&age) {
            return None;
        }
        let made = |secret: &Secret| secret.cookie(cookie.client, at, addr)[CLIENT..] == server[..];
        if made(&self.first) {
            return Some((age, true));
        }
        self.others.iter().any(made).then_some((age, false))
    }
}

/// Little-endian words of eight bytes each.
#[inline]
fn words(bytes: [&[u8]; 2]) -> [u64; 2] {
    bytes.map(|bytes| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}

/// SipHash-2-4 (RFC 9018 4.4) of a message in words of eight bytes, the last of which has the message's length in its highest byte.
#[inline]
fn siphash<const N: usize>(key: &[u8; 16], message: [u64; N]) -> u64 {
    let [k0, k1] = words([&key[..8], &key[8..]]);
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    for word in message {
        state[3] ^= word;
        state = sip_round(sip_round(state));
        state[0] ^= word;
    }
    state[2] ^= 0xff;
    for _ in 0..4 {
        state = sip_round(state);
    }
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

#[inline]
fn sip_round([mut v0, mut v1, mut v2, mut v3]: [u64; 4]) -> [u64; 4] {
    v0 = v0.wrapping_add(v1);
    v2 = v2.wrapping_add(v3);
    v1 = v1.rotate_left(13) ^ v0;
    v3 = v3.rotate_left(16) ^ v2;
    v0 = v0.rotate_left(32).wrapping_add(v3);
    v2 = v2.wrapping_add(v1);
    v1 = v1.rotate_left(17) ^ v2;
    v3 = v3.rotate_left(21) ^ v0;
    [v0, v1, v2.rotate_left(32), v3]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    fn secrets(all: &[&str]) -> Secrets {
        let all: Vec<Secret> = all.iter().map(|text| text.parse().unwrap()).collect();
        Secrets::new(all[0].clone(), all[1..].to_vec())
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn a_new_cookie_as_in_the_rfc() {
        // RFC 9018 A.1.
        let client = hex("2464c4abcf10c957");
        let cookie = Cookie::read(&client).unwrap();
        let addr = "198.51.100.100".parse().unwrap();
        let (standing, reply) = secrets(&[SECRET]).exchange(cookie, addr, 1_559_731_985);
        assert_eq!(standing, Standing::Missing);
        assert_eq!(reply[..], hex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")[..]);
    }

    #[test]
    fn a_new_cookie_over_ipv6_as_in_the_rfc() {
        // RFC 9018 A.4.
        let client = hex("22681ab97d52c298");
        let addr = "2001:db8:220:1:59de:d0f4:8769:82b8".parse().unwrap();
        let secrets = secrets(&["445536bcd2513298075a5d379663c962"]);
        let (_, reply) = secrets.exchange(Cookie::read(&client).unwrap(), addr, 1_559_741_961);
        assert_eq!(reply[..], hex("22681ab97d52c298010000005cf7c609a6bb79d16625507a")[..]);
    }

    #[test]
    fn a_cookie_lives_an_hour_and_is_renewed_at_half_of_it() {
        let addr = "2001:db8::1".parse().unwrap();
        let secrets = secrets(&[SECRET]);
        let made = secrets.exchange(Cookie::read(b"clientck").unwrap(), addr, 10_000).1;
        let cookie = Cookie::read(&made).unwrap();
        let judged = |seconds| {
            let (standing, reply) = secrets.exchange(cookie, addr, seconds);
            (standing, reply == made)
        };
        assert_eq!(judged(11_799), (Standing::Good, true));
        assert_eq!(judged(11_800), (Standing::Good, false));
        assert_eq!(judged(13_600), (Standing::Good, false));
        assert_eq!(judged(13_601), (Standing::Bad, false));
        assert_eq!(judged(9_700), (Standing::Good, false));
        assert_eq!(judged(9_699), (Standing::Bad, false));
    }

    #[test]
    fn a_cookie_is_for_one_client_and_of_one_secret() {
        let addr: IpAddr = "192.0.2.1".parse().unwrap();
        let other = "192.0.2.2".parse().unwrap();
        let (old, new) = (secrets(&[SECRET]), secrets(&["0x000102030405060708090A0b0c0d0e0f", SECRET]));
        let made = old.exchange(Cookie::read(b"clientck").unwrap(), addr, 10_000).1;
        let cookie = Cookie::read(&made).unwrap();
        let standing = |secrets: &Secrets, cookie, addr| secrets.exchange(cookie, addr, 10_001).0;
        assert_eq!(standing(&old, cookie, addr), Standing::Good);
        assert_eq!(standing(&old, cookie, other), Standing::Bad);
        assert_eq!(standing(&old, Cookie { client: b"another1", ..cookie }, addr), Standing::Bad);
        // While secrets change, both are accepted, and the new one makes the cookies.
        let (kept, renewed) = new.exchange(cookie, addr, 10_001);
        assert_eq!(kept, Standing::Good);
        assert_ne!(renewed, made);
        assert_eq!(standing(&old, Cookie::read(&renewed).unwrap(), addr), Standing::Bad);
    }

    #[test]
    fn lengths_that_no_cookie_has() {
        for length in (0..8).chain(9..16).chain(41..50) {
            assert_eq!(Cookie::read(&vec![1; length]), None, "{length}");
        }
        for length in [8, 16, 24, 40] {
            assert!(Cookie::read(&vec![1; length]).is_some(), "{length}");
        }
        for bad in ["", "00", "e5e973e5a6b2a43f48e7dc849e37bfcg", &format!("{SECRET}00"), "\u{e9}\u{e9}"] {
            assert!(bad.parse::<Secret>().is_err(), "{bad}");
        }
        assert!(!format!("{:?}", secrets(&[SECRET])).contains("e5"));
    }
}
