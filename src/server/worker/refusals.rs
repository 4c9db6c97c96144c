//! Transfers that were refused, as log lines: enough of them for an operator to find a secondary that was forgotten, and no more
//! than a few a minute whatever clients do.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Mono;
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::{Rcode, Rtype};

/// A client that is refused a zone again is told of again after this long: secondaries try every few minutes, for ever.
const AGAIN: Duration = Duration::from_secs(3_600);
/// Lines within one [`SPAN`].
const FEW: u32 = 10;
const SPAN: Duration = Duration::from_secs(60);
/// Zones and clients remembered; more than could be told of within [`AGAIN`].
const MAX_REMEMBERED: usize = 1_024;

/// What was told of refused transfers, by zone, client and response code.
#[derive(Debug, Default)]
pub struct Refusals {
    told: BTreeMap<(Name, IpAddr, u16), Mono>,
    /// When the present span began, and how many lines it has had.
    span: Option<(Mono, u32)>,
    untold: u64,
}

impl Refusals {
    /// Logs that `client` may not have `zone` by its access list (REFUSED), or that there is none (NOTAUTH), unless that was logged an
    /// hour ago or less, or the minute has had its lines.
    pub fn refused(&mut self, now: Mono, zone: &NameRef, client: IpAddr, rtype: Rtype, rcode: Rcode) {
        if let Some(untold) = self.tells(now, zone, client, rcode) {
            match rcode {
                Rcode::NOTAUTH => tracing::info!(
                    %zone, %client,
                    "{rtype} refused: there is no such zone here; configure it, or take this server out of the primaries of the client"
                ),
                _ => tracing::info!(
                    %zone, %client,
                    "{rtype} refused: the client is not in `allow-transfer` of this zone; add its address there if it is a secondary"
                ),
            }
            if untold > 0 {
                tracing::info!("{untold} more transfers refused since the last such line");
            }
        }
    }

    /// Whether this refusal is told of, and how many were not since the last that was.
    fn tells(&mut self, now: Mono, zone: &NameRef, client: IpAddr, rcode: Rcode) -> Option<u64> {
        let key = (zone.to_name(), client.to_canonical(), rcode.0);
        if self.told.get(&key).is_some_and(|at| now.since(*at) < AGAIN) {
            return None;
        }
        let (began, lines) = self.span.filter(|(began, _)| now.since(*began) < SPAN).unwrap_or((now, 0));
        if lines >= FEW {
            self.untold += 1;
            return None;
        }
        self.span = Some((began, lines + 1));
        if self.told.len() >= MAX_REMEMBERED {
            self.told.retain(|_, at| now.since(*at) < AGAIN);
        }
        self.told.insert(key, now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000)
    }

    #[test]
    fn a_client_is_told_of_once_an_hour_for_each_zone() {
        let mut refusals = Refusals::default();
        let (zone, other): (Name, Name) = ("example.".parse().unwrap(), "other.".parse().unwrap());
        let client = IpAddr::from([192, 0, 2, 2]);
        assert_eq!(refusals.tells(at(1), &zone, client, Rcode::REFUSED), Some(0));
        assert_eq!(refusals.tells(at(2), &zone, client, Rcode::REFUSED), None);
        assert_eq!(refusals.tells(at(2), &zone, "::ffff:192.0.2.2".parse().unwrap(), Rcode::REFUSED), None);
        assert_eq!(refusals.tells(at(3), &other, client, Rcode::REFUSED), Some(0));
        assert_eq!(refusals.tells(at(4), &zone, IpAddr::from([192, 0, 2, 3]), Rcode::REFUSED), Some(0));
        // There may be no such zone, and then one without that client.
        assert_eq!(refusals.tells(at(5), &zone, client, Rcode::NOTAUTH), Some(0));
        assert_eq!(refusals.tells(at(3_600), &zone, client, Rcode::REFUSED), None);
        assert_eq!(refusals.tells(at(3_601), &zone, client, Rcode::REFUSED), Some(0));
    }

    #[test]
    fn whatever_clients_do_a_minute_has_few_lines_and_the_memory_an_end() {
        let mut refusals = Refusals::default();
        let zone: Name = "example.".parse().unwrap();
        let (mut lines, mut untold) = (0, 0);
        // Ten forged addresses a second for three hours.
        for number in 0..108_000_u32 {
            let told = refusals.tells(
                at(u64::from(number) / 10),
                &zone,
                IpAddr::from(number.to_be_bytes()),
                Rcode::REFUSED,
            );
            lines += u64::from(told.is_some());
            untold += told.unwrap_or_default();
            assert!(refusals.told.len() <= MAX_REMEMBERED);
        }
        assert_eq!(lines, u64::from(FEW) * 180);
        assert_eq!(lines + untold + refusals.untold, 108_000);
    }
}
