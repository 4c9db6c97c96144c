//! Who asks for the same difference again and again.
//!
//! Some secondaries that cannot apply an incremental answer ask for it once more and never for the whole zone (NSD 4.6 did so
//! for 27 seconds). They are given the whole zone at the third time, which every secondary can take.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Mono;
use crate::wire::name::{Name, NameRef};
use crate::zone::serial::Serial;

/// The time at which the whole zone is given.
const TIMES: u8 = 3;
/// Requests closer together than this count as one: several secondaries may share an address, and ask at the same NOTIFY.
const APART: Duration = Duration::from_secs(2);
/// A request this long ago has nothing to do with one now.
const FORGET: Duration = Duration::from_secs(600);
/// Zones and clients remembered; the one that asked longest ago goes first. Forgetting costs a client a few more rounds.
const MAX_REMEMBERED: usize = 1_024;

/// A memory of incremental answers given, by zone and client.
#[derive(Debug, Default)]
pub struct Stuck {
    seen: BTreeMap<(Name, IpAddr), Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    serial: Serial,
    times: u8,
    last: Mono,
}

impl Stuck {
    /// Notes that `client` asks for what followed `have`; `true` when it has asked so often that it is to get the whole zone.
    pub fn is_stuck(&mut self, now: Mono, zone: &NameRef, client: IpAddr, have: Serial) -> bool {
        let key = (zone.to_name(), client);
        let fresh = Seen { serial: have, times: 1, last: now };
        let Some(seen) = self.seen.get_mut(&key) else {
            self.make_room();
            self.seen.insert(key, fresh);
            return false;
        };
        if seen.serial != have || now.since(seen.last) > FORGET {
            *seen = fresh;
            return false;
        }
        if now.since(seen.last) >= APART {
            seen.times += 1;
            seen.last = now;
        }
        if seen.times < TIMES {
            return false;
        }
        self.seen.remove(&key);
        true
    }

    fn make_room(&mut self) {
        if self.seen.len() < MAX_REMEMBERED {
            return;
        }
        let oldest = self.seen.iter().min_by_key(|(_, seen)| seen.last).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000)
    }

    #[test]
    fn the_third_request_without_progress_is_stuck() {
        let mut stuck = Stuck::default();
        let zone: Name = "example.".parse().unwrap();
        let client = IpAddr::from([127, 0, 0, 1]);
        assert!(!stuck.is_stuck(at(1), &zone, client, Serial(5)));
        assert!(!stuck.is_stuck(at(3), &zone, client, Serial(5)));
        assert!(!stuck.is_stuck(at(3), &zone, IpAddr::from([127, 0, 0, 2]), Serial(5)));
        assert!(stuck.is_stuck(at(5), &zone, client, Serial(5)));
        assert!(
            !stuck.is_stuck(at(7), &zone, client, Serial(5)),
            "the whole zone was given; counting begins anew"
        );
    }

    #[test]
    fn progress_pauses_and_crowds_do_not_count() {
        let mut stuck = Stuck::default();
        let zone: Name = "example.".parse().unwrap();
        let client = IpAddr::from([127, 0, 0, 1]);
        for _ in 0..10 {
            assert!(!stuck.is_stuck(at(1), &zone, client, Serial(5)));
        }
        assert!(!stuck.is_stuck(at(3), &zone, client, Serial(5)));
        assert!(!stuck.is_stuck(at(5), &zone, client, Serial(6)));
        assert!(!stuck.is_stuck(at(7), &zone, client, Serial(6)));
        assert!(!stuck.is_stuck(at(1_000), &zone, client, Serial(6)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut stuck = Stuck::default();
        let zone: Name = "example.".parse().unwrap();
        for client in 0..3_000u32 {
            stuck.is_stuck(at(u64::from(client)), &zone, IpAddr::from(client.to_be_bytes()), Serial(5));
        }
        assert_eq!(stuck.seen.len(), MAX_REMEMBERED);
    }
}
