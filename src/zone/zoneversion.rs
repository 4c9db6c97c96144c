//! The EDNS option ZONEVERSION (RFC 9660): which version of which zone an answer comes from.

use crate::wire::name::NameRef;

use super::serial::Serial;

/// The version type SOA-SERIAL (RFC 9660 section 3).
const SOA_SERIAL: u8 = 0;

/// The option's value in a response: the label count of the zone, the type, the version.
pub fn write(zone: &NameRef, serial: Serial) -> [u8; 6] {
    let [a, b, c, d] = serial.0.to_be_bytes();
    [zone.label_count() as u8, SOA_SERIAL, a, b, c, d]
}

/// The serial that the value tells of a zone; `None` when it speaks of another zone or in another type.
pub fn read(zone: &NameRef, value: &[u8]) -> Option<Serial> {
    let (&[labels, kind], serial) = value.split_first_chunk()?;
    let is_ours = usize::from(labels) == zone.label_count() && kind == SOA_SERIAL;
    is_ours.then_some(Serial(u32::from_be_bytes(serial.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::Name;

    #[test]
    fn what_is_written_is_read_for_that_zone_only() {
        let zone = |text: &str| text.parse::<Name>().unwrap();
        let value = write(&zone("example.org."), Serial(7));
        assert_eq!(value, [2, 0, 0, 0, 0, 7]);
        assert_eq!(read(&zone("example.org."), &value), Some(Serial(7)));
        assert_eq!(read(&zone("org."), &value), None);
        assert_eq!(read(&zone("example.org."), &[2, 1, 0, 0, 0, 7]), None);
        assert_eq!(read(&zone("example.org."), &value[..5]), None);
    }
}
