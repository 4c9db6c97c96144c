//! Which zones came and went while a reload was under way, noted as it happens: comparing all zones before and after would keep the
//! control thread for longer the more zones there are.

use std::collections::BTreeSet;

use crate::node::event::Event;
use crate::wire::name::Name;

/// What has changed since the reload began.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turnover {
    /// The zones that there are now and were not then.
    pub(super) added: BTreeSet<Name>,
    /// The zones that there were then and are not now.
    pub(super) removed: BTreeSet<Name>,
}

impl Turnover {
    /// Takes note of zones that come and go.
    pub(super) fn note(&mut self, event: &Event) {
        let Turnover { added, removed } = self;
        let (zone, to, from) = match event {
            Event::Added(zone) => (zone, added, removed),
            Event::Removed(removal) => (&removal.zone, removed, added),
            _ => return,
        };
        // What was there then and is there again has not changed.
        if !from.remove(zone) {
            to.insert(zone.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::roster::Removal;

    fn name(zone: &str) -> Name {
        zone.parse().unwrap()
    }

    #[test]
    fn what_comes_and_goes_is_told_apart_from_what_stays() {
        let mut turnover = Turnover::default();
        let came = |zone| Event::Added(name(zone));
        let went = |zone| Event::Removed(Removal { zone: name(zone), why: None });
        let happened =
            [came("gamma."), went("beta."), came("alpha."), went("alpha."), went("delta."), came("delta.")];
        happened.iter().for_each(|event| turnover.note(event));
        turnover.note(&Event::InOrderAgain(name("delta.")));
        let set = |zone| BTreeSet::from([name(zone)]);
        assert_eq!(turnover, Turnover { added: set("gamma."), removed: set("beta.") });
    }
}
