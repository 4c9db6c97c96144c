//! Any server seen from outside: which serial it shows, how fresh it says that is, and when it was asked.
//!
//! A [`observe::Probe`] is one question to one server, repeated until it is answered; a [`watch::Watch`] keeps asking many
//! servers about many zones, quickly while a new version is on its way. Both use only what any client may use: an SOA query
//! over UDP with the EDNS options ZONEVERSION (RFC 9660), EXPIRE (RFC 7314), NSID (RFC 5001) and the stamps of
//! [`crate::zone::stamp`]. Servers that know none of them still show their serial.

pub mod observation;
pub mod observe;
pub mod reading;
pub mod watch;
