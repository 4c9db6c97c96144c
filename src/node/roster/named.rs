//! Files that are named by themselves, on the command line: each is asked anew what it holds when the configuration is read again. One that
//! does not say so then (it is away for a moment, or being written) keeps the zone that it held.

use std::borrow::Borrow;
use std::hash::Hash;

use crate::wire::name::Name;

use super::{Changes, Entry, Report, Roster, ZoneSource};

impl<F: Clone + Eq + Hash> Roster<F> {
    /// The zone that such a file held before [`configure`](Roster::configure), if nobody has it since.
    pub fn named_before<Q: Eq + Hash + ?Sized>(&self, file: &Q) -> Option<&Name>
    where
        F: Borrow<Q>,
    {
        let (file, zone) = self.named.get_key_value(file)?;
        let is_left = |entry: &Entry<F>| {
            entry.freed.is_some() && matches!(&entry.source, ZoneSource::Named(named) if named == file)
        };
        self.zones.get(zone).is_some_and(is_left).then_some(zone)
    }

    /// Keeps the zone of such a file, unless this says for certain what it holds.
    pub(super) fn keep_named(
        &mut self,
        file: &F,
        folder: Option<usize>,
        report: Option<&Report>,
        changes: &mut Changes,
    ) -> Option<Name> {
        if folder.is_some() || report.is_some_and(|report| report.is_certain) {
            return None;
        }
        let zone = self.named_before(file)?.clone();
        self.add(zone.clone(), file.clone(), None, changes);
        Some(zone)
    }

    /// Notes which zones came from such files.
    pub(super) fn note_named(&mut self) {
        let named = self.zones.iter().filter_map(|(zone, entry)| match &entry.source {
            ZoneSource::Named(file) => Some((file.clone(), zone.clone())),
            ZoneSource::Primaries | ZoneSource::Found(..) => None,
        });
        self.named = named.collect();
    }
}
