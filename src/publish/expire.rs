//! The EDNS option EXPIRE (RFC 7314): how long a server would go on serving what it has if its primaries were gone.

use std::time::Duration;

use crate::time::Mono;

use super::zone::{Version, Zone};

/// What an age by EXPIRE may be too short by. It is told in whole seconds; and servers count it from the end of a refresh, while the answer
/// that found the content current may have been on its way for a second or two.
pub const SLACK: Duration = Duration::from_secs(3);

/// The seconds until this node would stop serving a version (section 3): at a primary the SOA's EXPIRE, at a secondary what
/// is left of it. `None` for a secondary that does not know.
pub fn left(zone: &Zone, version: &Version, now: Mono) -> Option<u32> {
    let whole = version.snapshot.timers().expire;
    if !zone.access().secondary {
        return Some(whole);
    }
    let left = zone.expires_at()?.since(now).as_secs();
    Some(u32::try_from(left).unwrap_or(u32::MAX).min(whole))
}

/// The option's value in a response.
pub fn write(seconds: u32) -> [u8; 4] {
    seconds.to_be_bytes()
}

/// Reads the value of a response; `None` when it is not one (section 2).
pub fn read(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}
