//! EDNS (RFC 6891): the OPT record's fixed part and its options, read in place and written.

/// EXPIRE (RFC 7314).
pub const EXPIRE: u16 = 9;
/// NSID (RFC 5001).
pub const NSID: u16 = 3;
/// COOKIE (RFC 7873).
pub const COOKIE: u16 = 10;
/// edns-tcp-keepalive (RFC 7828).
pub const KEEPALIVE: u16 = 11;
/// Padding (RFC 7830).
pub const PADDING: u16 = 12;
/// Extended DNS error (RFC 8914).
pub const EDE: u16 = 15;
/// ZONEVERSION (RFC 9660).
pub const ZONEVERSION: u16 = 19;
/// Publication stamps between tidemark nodes (private use).
pub const STAMP: u16 = 65002;

/// The UDP payload size that is offered and never exceeded: fits every path without fragments (RFC 9715).
pub const UDP_PAYLOAD: u16 = 1232;

/// The OPT record of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opt<'a> {
    /// The sender's UDP payload size; values below 512 count as 512.
    pub payload: u16,
    /// The upper eight bits of the response code.
    pub extended_rcode: u8,
    /// The EDNS version; only 0 exists.
    pub version: u8,
    /// DNSSEC OK (RFC 3225).
    pub dnssec_ok: bool,
    /// The options, back to back; checked to be whole.
    pub options: &'a [u8],
}

impl<'a> Opt<'a> {
    /// Takes the CLASS, TTL and RDATA of an OPT record; `None` when an option runs past the end.
    #[inline]
    pub fn new(class: u16, ttl: u32, rdata: &'a [u8]) -> Option<Opt<'a>> {
        let [extended_rcode, version, flags, _] = ttl.to_be_bytes();
        let opt = Opt {
            payload: class.max(512),
            extended_rcode,
            version,
            dnssec_ok: flags & 0x80 != 0,
            options: rdata,
        };
        let whole: usize = opt.options().map(|(_, value)| 4 + value.len()).sum();
        (whole == rdata.len()).then_some(opt)
    }

    /// The options with their codes, in order.
    #[inline]
    pub fn options(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = self.options;
        std::iter::from_fn(move || {
            let &[c0, c1, l0, l1] = rest.get(..4)? else { return None };
            let value = rest.get(4..4 + usize::from(u16::from_be_bytes([l0, l1])))?;
            rest = &rest[4 + value.len()..];
            Some((u16::from_be_bytes([c0, c1]), value))
        })
    }

    /// The first option with this code.
    pub fn option(&self, code: u16) -> Option<&'a [u8]> {
        self.options().find(|&(found, _)| found == code).map(|(_, value)| value)
    }
}

/// Appends one option to option bytes being built.
pub fn push_option(options: &mut Vec<u8>, code: u16, value: &[u8]) {
    options.extend_from_slice(&code.to_be_bytes());
    options.extend_from_slice(&(value.len() as u16).to_be_bytes());
    options.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_must_be_whole() {
        let mut options = Vec::new();
        push_option(&mut options, NSID, b"");
        push_option(&mut options, COOKIE, b"12345678");
        let opt = Opt::new(100, 0x0100_8000, &options).unwrap();
        assert_eq!((opt.payload, opt.extended_rcode, opt.version, opt.dnssec_ok), (512, 1, 0, true));
        assert_eq!(opt.option(COOKIE), Some(&b"12345678"[..]));
        assert_eq!(opt.option(EDE), None);
        options.pop();
        assert_eq!(Opt::new(1232, 0, &options), None);
    }
}
