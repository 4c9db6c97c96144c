//! Negative caching (RFC 2308).

/// For how long an answer that denies a name or a type may be believed: the lower of the SOA record's own TTL and its MINIMUM
/// field (section 5). The SOA record goes out with it (section 3).
pub fn ttl(soa_ttl: u32, soa: &[u8]) -> u32 {
    // MINIMUM is the last field; data that is no SOA is believed for no time.
    let minimum = soa.last_chunk::<4>().map_or(0, |minimum| u32::from_be_bytes(*minimum));
    soa_ttl.min(minimum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_of_ttl_and_minimum() {
        let mut soa = [0; 22];
        soa[18..].copy_from_slice(&300_u32.to_be_bytes());
        assert_eq!((ttl(900, &soa), ttl(60, &soa), ttl(900, &[1, 2])), (300, 60, 0));
    }
}
