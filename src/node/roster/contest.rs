//! Zones that several files hold: of which one is served, and all others were left out.

use std::hash::Hash;

use crate::wire::name::{Name, NameRef};

use super::Roster;

/// A zone, and which files are left out of it now.
#[derive(Debug, PartialEq, Eq)]
pub struct Contest<F> {
    /// The zone.
    pub zone: Name,
    /// The file that it is served from; nothing for one that comes from other servers.
    pub holder: Option<F>,
    /// The files that say they hold it too; none once all is well.
    pub others: Vec<F>,
}

impl<F: Clone + Eq + Hash> Roster<F> {
    /// The zones of which other files are left out than was told before. While all files are being read none is told: what was left out
    /// most likely still is.
    pub fn contests(&mut self) -> Vec<Contest<F>> {
        if self.stirred.is_empty() || self.groups.values().any(|group| group.is_whole) {
            return Vec::new();
        }
        let stirred = std::mem::take(&mut self.stirred);
        stirred.into_iter().filter_map(|zone| self.contest(zone)).collect()
    }

    fn contest(&mut self, zone: Name) -> Option<Contest<F>> {
        let is_known = self.zones.contains_key(&zone);
        let claims = self.claims.get(&zone).map_or(&[][..], |claims| claims);
        // What is decided at the end of a group is waited for.
        let is_decided = claims.iter().all(|claim| claim.group.is_none());
        let Some(source) = self.source(&zone).filter(|_| is_decided) else {
            self.stirred.extend(is_known.then_some(zone));
            return None;
        };
        let holder = source.file().map(|(file, _)| file.clone());
        // A secondary has its content from its primaries, whatever files there are.
        let others: Vec<F> =
            claims.iter().filter(|_| holder.is_some()).map(|claim| claim.file.clone()).collect();
        let is_news = match others.is_empty() {
            true => self.contested.remove(&zone),
            false => {
                self.contested.insert(zone.clone());
                true
            }
        };
        is_news.then_some(Contest { zone, holder, others })
    }

    /// Something became of a zone that may change what was told of it.
    pub(super) fn stir(&mut self, zone: &NameRef) {
        if self.contested.contains(zone) {
            self.stirred.insert(zone.to_name());
        }
    }
}
