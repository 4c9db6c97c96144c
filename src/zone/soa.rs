//! The numbers in a SOA record's data.

use super::serial::Serial;

/// The numbers of a SOA record (RFC 1035 3.3.13), in seconds but for the serial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timers {
    /// SERIAL.
    pub serial: Serial,
    /// REFRESH.
    pub refresh: u32,
    /// RETRY.
    pub retry: u32,
    /// EXPIRE.
    pub expire: u32,
    /// MINIMUM: the bound on negative TTLs (RFC 2308).
    pub minimum: u32,
}

impl Timers {
    /// Reads SOA RDATA; zeros when it is too short to be one.
    pub fn read(soa: &[u8]) -> Timers {
        let Some(numbers) = soa.last_chunk::<20>() else { return Timers::default() };
        let number =
            |at: usize| u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
        Timers {
            serial: Serial(number(0)),
            refresh: number(4),
            retry: number(8),
            expire: number(12),
            minimum: number(16),
        }
    }
}

/// SOA RDATA with another serial.
pub fn with_serial(soa: &[u8], serial: Serial) -> Box<[u8]> {
    let mut changed: Box<[u8]> = soa.into();
    if let Some(numbers) = changed.last_chunk_mut::<20>() {
        numbers[..4].copy_from_slice(&serial.0.to_be_bytes());
    }
    changed
}
