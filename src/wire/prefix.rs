//! Address prefixes (RFC 4632), such as `192.0.2.0/24` and `2001:db8::/32`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that share their first `length` bits with `addr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The lowest address of the prefix.
    pub addr: IpAddr,
    /// How many leading bits count: 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub length: u8,
}

/// Why some text is not a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// What stands before the slash is no address.
    #[error("not an IP address")]
    BadAddress,
    /// What stands after the slash is no number, or one larger than the address has bits.
    #[error("prefix length must be a number from 0 to {0}")]
    BadLength(u8),
    /// Bits are set behind the prefix; the prefix that was probably meant is given.
    #[error("address has bits set beyond the prefix length; did you mean {0}?")]
    HostBits(Prefix),
}

impl Prefix {
    /// Whether `addr` lies in the prefix. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`, RFC 4291 2.5.5.2) counts
    /// as the IPv4 address, because that is what a dual-stack socket reports.
    pub fn contains(self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        addr.is_ipv4() == self.addr.is_ipv4() && mask(addr, self.length) == self.addr
    }
}

/// Whether `addr` lies in one of the prefixes.
pub fn any_contains(prefixes: &[Prefix], addr: IpAddr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(addr))
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// Reads `ADDR/LENGTH`, or `ADDR` for that one address.
    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let (addr, length) = match text.split_once('/') {
            Some((addr, length)) => (addr, Some(length)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| PrefixError::BadAddress)?;
        let bits = if addr.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => bits,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|&length| length <= bits).ok_or(PrefixError::BadLength(bits))?
            }
            Some(_) => return Err(PrefixError::BadLength(bits)),
        };
        let lowest = Prefix { addr: mask(addr, length), length };
        if lowest.addr == addr { Ok(lowest) } else { Err(PrefixError::HostBits(lowest)) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.length)
    }
}

/// `addr` with all but its first `length` bits cleared.
fn mask(addr: IpAddr, length: u8) -> IpAddr {
    match addr {
        IpAddr::V4(v4) => {
            let kept = u32::MAX.checked_shl(32u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & kept))
        }
        IpAddr::V6(v6) => {
            let kept = u128::MAX.checked_shl(128u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & kept))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(prefix: &str, addr: &str) -> bool {
        prefix.parse::<Prefix>().unwrap().contains(addr.parse().unwrap())
    }

    #[test]
    fn contains_what_shares_the_leading_bits() {
        assert!(contains("127.0.0.0/8", "127.255.255.255"));
        assert!(!contains("127.0.0.0/8", "128.0.0.0"));
        assert!(contains("192.0.2.1", "192.0.2.1"));
        assert!(!contains("192.0.2.1", "192.0.2.0"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(contains("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!contains("2001:db8::/33", "2001:db8:8000::"));
        assert!(contains("::/0", "::1"));
    }

    #[test]
    fn families_stay_apart_but_mapped_addresses_are_ipv4() {
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(!contains("::/0", "127.0.0.1"));
        assert!(contains("127.0.0.0/8", "::ffff:127.0.0.1"));
    }

    #[test]
    fn bad_prefixes_are_refused() {
        let error = |text: &str| text.parse::<Prefix>().unwrap_err();
        assert_eq!(error("localhost/8"), PrefixError::BadAddress);
        assert_eq!(error("127.0.0.0/33"), PrefixError::BadLength(32));
        assert_eq!(error("127.0.0.0/+8"), PrefixError::BadLength(32));
        assert_eq!(error("127.0.0.0/"), PrefixError::BadLength(32));
        assert_eq!(error("::/300"), PrefixError::BadLength(128));
        assert_eq!(
            error("127.0.0.1/8"),
            PrefixError::HostBits(Prefix { addr: "127.0.0.0".parse().unwrap(), length: 8 })
        );
    }
}
