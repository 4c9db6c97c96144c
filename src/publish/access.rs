//! Who may do what with a zone besides asking it.

use std::net::IpAddr;

use crate::wire::prefix::{self, Prefix};

/// The access control list of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether the zone is pulled from elsewhere.
    pub secondary: bool,
    /// Who may transfer it.
    pub transfer: Vec<Prefix>,
    /// Whose NOTIFY is heard: the primaries' addresses.
    pub notify: Vec<IpAddr>,
}

/// What a client wants to do with a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// To have it transferred.
    Transfer,
    /// To tell of a new version.
    Notify,
}

/// Why a client may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is nothing of that kind to be done with this zone, whoever asks: a primary takes no NOTIFY.
    Role,
    /// It is not one of those who may.
    Client,
}

impl Access {
    /// Decides whether a client may.
    pub fn permits(&self, act: Act, client: IpAddr) -> Result<(), Denied> {
        let may = match act {
            Act::Transfer => prefix::any_contains(&self.transfer, client),
            Act::Notify if !self.secondary => return Err(Denied::Role),
            Act::Notify => self.notify.contains(&client.to_canonical()),
        };
        may.then_some(()).ok_or(Denied::Client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_act_has_its_list_and_an_address_counts_however_it_is_written() {
        let (inside, outside) = ("192.0.2.7".parse().unwrap(), "198.51.100.1".parse().unwrap());
        let mapped = "::ffff:192.0.2.7".parse().unwrap();
        let transfer = vec!["192.0.2.0/24".parse().unwrap()];
        let primary = Access { transfer, ..Access::default() };
        let secondary = Access { secondary: true, notify: vec![inside], ..Access::default() };
        for client in [inside, mapped] {
            assert_eq!(primary.permits(Act::Transfer, client), Ok(()));
            assert_eq!(primary.permits(Act::Notify, client), Err(Denied::Role));
            assert_eq!(secondary.permits(Act::Transfer, client), Err(Denied::Client));
            assert_eq!(secondary.permits(Act::Notify, client), Ok(()));
        }
        assert_eq!(primary.permits(Act::Transfer, outside), Err(Denied::Client));
        assert_eq!(secondary.permits(Act::Notify, outside), Err(Denied::Client));
    }
}
