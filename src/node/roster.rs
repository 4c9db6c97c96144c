//! Which zones a node has, and what each comes from: the one place that knows it. It reads no file and knows no time; whoever looks
//! at the sources reports what they say, in groups of reports that are judged together, and is told what follows.
//!
//! ```text
//!            configured, or claimed by a file              its file has gone, or holds another zone,
//!                        |                                    or the configuration was read again
//!  (no zone) ------------+-----------> held -----------------------------------------------------> freed
//!      ^                               ^  |                                                          |
//!      |                               |  +-- claimed by another file: that one waits                |
//!      |                               +---------------- claimed, or kept by the same file ----------+
//!      +------------------- at the end of the group, when nobody claims it --------------------------+
//! ```
//!
//! The node has what is held and what is freed: a zone whose file is renamed is served all the while.
//!
//! Who holds a zone that several sources name:
//!
//! ```text
//! named in the configuration (by its primaries or its file)   first
//! a file in a folder that holds it                            next, for as long as it is there and says so
//! another file that says it holds it                          only when that one has gone
//! ```
//!
//! Of files that claim a zone at the same time, `claim::best` takes the one that is named like the zone, else the one that keeps serials
//! and content together over a restart. Zones with files that were left out are told for as long as there are any (`contest`).

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use crate::wire::name::{Name, NameRef};
use crate::zone::digest::Digest;

use super::settings::{ZoneConfig, ZoneOptions};

use claim::{Claim, Content, Standing};

/// The zones of a node by their sources. A file is named by whatever tells it from others.
#[derive(Debug)]
pub struct Roster<F> {
    /// What holds for the zones of each folder.
    folders: Vec<Arc<ZoneOptions>>,
    /// What holds for the zones of files that are named by themselves.
    alone: Arc<ZoneOptions>,
    zones: HashMap<Name, Entry<F>>,
    /// The zone of each file in a folder that holds one, or held it until the configuration was read again.
    held: HashMap<F, Name>,
    /// The zone of each file named by itself that held one until the configuration was read again.
    named: HashMap<F, Name>,
    /// Of zones that are held or are decided later: files that say they hold them.
    claims: BTreeMap<Name, Vec<Claim<F>>>,
    /// The zone in whose claims a file is.
    claimed: HashMap<F, Name>,
    groups: BTreeMap<u64, Group>,
    /// Zones of which it was told that files are left out.
    contested: BTreeSet<Name>,
    /// Those of which that may have changed.
    stirred: BTreeSet<Name>,
    /// The number of the last group.
    last: u64,
}

/// A zone that the node has.
#[derive(Debug)]
struct Entry<F> {
    source: ZoneSource<F>,
    /// The group at whose end it goes, unless it is held again by then.
    freed: Option<u64>,
}

/// What a zone comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneSource<F> {
    /// Other servers: the configuration makes it a secondary.
    Primaries,
    /// A file that is named by itself, in the configuration or on the command line.
    Named(F),
    /// A file in a folder, which has this index.
    Found(F, usize),
}

/// Reports that are judged together.
#[derive(Debug, Default)]
struct Group {
    freed: Vec<Name>,
    claimed: BTreeSet<Name>,
    /// Whether these are all files that there are.
    is_whole: bool,
}

/// What becomes of the zones of the node.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Zones that go, before any comes.
    pub removed: Vec<Removal>,
    /// Zones that come, or are to be had otherwise than before.
    pub added: Vec<ZoneConfig>,
}

/// A zone that goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Removal {
    /// The zone.
    pub zone: Name,
    /// Why, when that is not the configuration's doing.
    pub why: Option<String>,
}

/// What a file says it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The zone.
    pub zone: Name,
    /// Whether that is what it says, and not only made out of a file with faults.
    pub is_certain: bool,
    /// How the file's name stands to that of the zone.
    pub standing: Standing,
    /// What can be served of it.
    pub content: Option<Content>,
}

/// What becomes of a file that was reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<F> {
    /// It holds this zone, and its content is that of the zone.
    Holds(Name),
    /// What it says does not count: it held this zone and does so for as long as it does not say otherwise.
    Keeps(Name),
    /// It does not hold this zone any more, and waits for the end of the group with what it says now.
    Leaves(Name),
    /// It waits for the end of the group.
    Waits,
    /// It waits for the zone to be freed: it is held by this source.
    IsHeld(Name, ZoneSource<F>),
    /// It holds nothing.
    HoldsNothing,
}

/// What the end of a group brings.
#[derive(Debug, PartialEq, Eq)]
pub struct Conclusion<F> {
    /// What becomes of the files that waited for it.
    pub verdicts: Vec<(F, Verdict<F>)>,
    /// The zones that go, and what each came from.
    pub removed: Vec<(Name, ZoneSource<F>)>,
    /// A group that follows.
    pub next: Option<Next<F>>,
}

/// A group of files that were left out and say they hold a zone that is free now.
#[derive(Debug, PartialEq, Eq)]
pub struct Next<F> {
    /// The group, which has begun.
    pub group: u64,
    /// The files that are to be read again, each with the index of its folder.
    pub files: Vec<(F, Option<usize>)>,
}

impl<F> ZoneSource<F> {
    /// The file, and the index of the folder it was found in.
    pub fn file(&self) -> Option<(&F, Option<usize>)> {
        match self {
            ZoneSource::Primaries => None,
            ZoneSource::Named(file) => Some((file, None)),
            ZoneSource::Found(file, folder) => Some((file, Some(*folder))),
        }
    }
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }

    /// These, and then others; no zone that comes in these goes in the others.
    pub fn extend(&mut self, others: Changes) {
        self.removed.extend(others.removed);
        self.added.extend(others.added);
    }
}

impl<F> Default for Roster<F> {
    fn default() -> Roster<F> {
        Roster {
            folders: Vec::new(),
            alone: Arc::default(),
            zones: HashMap::new(),
            held: HashMap::new(),
            named: HashMap::new(),
            claims: BTreeMap::new(),
            claimed: HashMap::new(),
            groups: BTreeMap::new(),
            contested: BTreeSet::new(),
            stirred: BTreeSet::new(),
            last: 0,
        }
    }
}

impl<F: Clone + Eq + Hash> Roster<F> {
    /// What a zone comes from; nothing when it is none, or free.
    pub fn source(&self, zone: &NameRef) -> Option<&ZoneSource<F>> {
        self.zones.get(zone).filter(|entry| entry.freed.is_none()).map(|entry| &entry.source)
    }

    /// The zone that a file in a folder holds.
    pub fn held_by<Q: Eq + Hash + ?Sized>(&self, file: &Q) -> Option<&Name>
    where
        F: Borrow<Q>,
    {
        self.held.get(file).filter(|zone| self.source(zone).is_some())
    }

    /// All zones that are held, with what each comes from, in no order that means anything.
    pub fn zones(&self) -> impl Iterator<Item = (&Name, &ZoneSource<F>)> {
        let held = self.zones.iter().filter(|(_, entry)| entry.freed.is_none());
        held.map(|(zone, entry)| (zone, &entry.source))
    }

    /// Begins a group of reports.
    pub fn begin(&mut self) -> u64 {
        self.last += 1;
        self.groups.insert(self.last, Group::default());
        self.last
    }

    /// Takes in a configuration, and begins the group of all files that there are by then. All other groups are given up. Every zone
    /// that is not among these is free until a file is reported to hold it, or is [kept](Roster::keep).
    pub fn configure(
        &mut self,
        zones: Vec<(ZoneConfig, ZoneSource<F>)>,
        folders: Vec<Arc<ZoneOptions>>,
        changes: &mut Changes,
    ) -> u64 {
        self.groups.clear();
        self.claims.clear();
        self.claimed.clear();
        self.folders = folders;
        let group = self.begin();
        self.zones.values_mut().for_each(|entry| entry.freed = Some(group));
        self.note_named();
        let freed = self.zones.keys().cloned().collect();
        self.groups.insert(group, Group { freed, is_whole: true, ..Group::default() });
        for (config, source) in zones {
            self.seat(config.name.clone(), source);
            changes.added.push(config);
        }
        group
    }

    /// A file that held a zone before [`configure`](Roster::configure) is there still: it most likely holds it still, and the zone
    /// need not wait for other files to be read.
    pub fn keep<Q: Eq + Hash + ?Sized>(
        &mut self,
        file: &Q,
        folder: usize,
        changes: &mut Changes,
    ) -> Option<Name>
    where
        F: Borrow<Q>,
    {
        let (file, zone) = self.held.get_key_value(file)?;
        let (file, zone) = (file.clone(), zone.clone());
        self.zones.get(&zone).filter(|entry| entry.freed.is_some())?;
        self.add(zone.clone(), file, Some(folder), changes);
        Some(zone)
    }

    /// A file was read; `None` when it is empty or cannot be read. `published` tells the content of a zone that was published last.
    pub fn report(
        &mut self,
        group: u64,
        (file, folder): (F, Option<usize>),
        report: Option<Report>,
        published: impl Fn(&NameRef) -> Option<Digest>,
        changes: &mut Changes,
    ) -> Verdict<F> {
        self.withdraw(&file);
        if let Some(before) = self.keep_named(&file, folder, report.as_ref(), changes) {
            return Verdict::Keeps(before);
        }
        let held = folder.and_then(|_| self.held_by(&file).cloned());
        match (held, report) {
            (Some(held), Some(report)) if report.is_certain && report.zone == held => Verdict::Holds(held),
            (Some(held), Some(report)) if report.is_certain => {
                self.free(&held, group);
                self.wait(group, (file, folder), report);
                Verdict::Leaves(held)
            }
            (Some(held), _) => Verdict::Keeps(held),
            (None, Some(report)) => {
                // Most files hold a zone that nobody else has, and need not be kept in memory until all were read.
                if self.is_beyond_doubt(group, &report, published(&report.zone)) {
                    self.add(report.zone.clone(), file, folder, changes);
                    Verdict::Holds(report.zone)
                } else {
                    self.wait(group, (file, folder), report);
                    Verdict::Waits
                }
            }
            (None, None) => Verdict::HoldsNothing,
        }
    }

    /// Whether a file gets the zone it claims whatever else is reported in this group.
    fn is_beyond_doubt(&self, group: u64, report: &Report, published: Option<Digest>) -> bool {
        let mut others = self.claims.get(&report.zone).into_iter().flatten();
        let is_free = match self.zones.get(&report.zone) {
            None => true,
            Some(entry) => entry.freed == Some(group) && published.is_some(),
        };
        let is_first_come = self.groups.get(&group).is_none_or(|group| !group.is_whole);
        is_free
            && claim::is_beyond_doubt(report.standing, report.content, published, is_first_come)
            && !others.any(|claim| claim.group == Some(group))
    }

    /// A file in a folder has gone; the zone that it held, which is free now.
    pub fn gone<Q: Eq + Hash + ?Sized>(&mut self, group: u64, file: &Q) -> Option<Name>
    where
        F: Borrow<Q>,
    {
        self.withdraw(file);
        let zone = self.held_by(file)?.clone();
        self.free(&zone, group);
        Some(zone)
    }

    /// Files in folders whose zone others in this group claim. Before its end those that are not there any more are to be reported
    /// as [gone](Roster::gone): whoever renames a file takes its zone along.
    pub fn contested(&self, group: u64) -> Vec<F> {
        let claimed = self.groups.get(&group).into_iter().flat_map(|group| &group.claimed);
        let found = claimed.filter_map(|zone| match self.source(zone)? {
            ZoneSource::Found(file, _) => Some(file.clone()),
            ZoneSource::Primaries | ZoneSource::Named(_) => None,
        });
        found.collect()
    }

    /// Ends a group: decides who gets what is claimed in it, and lets go of what was freed in it and nobody claims: it is
    /// [told](Conclusion::removed) with its source, so that whoever knows files can say why.
    pub fn conclude(
        &mut self,
        group: u64,
        published: impl Fn(&NameRef) -> Option<Digest>,
        changes: &mut Changes,
    ) -> Conclusion<F> {
        let Group { freed, claimed, is_whole } = self.groups.remove(&group).unwrap_or_default();
        if is_whole {
            self.stirred.extend(self.contested.iter().cloned());
        }
        let mut verdicts = Vec::new();
        for zone in claimed {
            let mut claims: Vec<Claim<F>> = self
                .claims
                .get_mut(&zone)
                .into_iter()
                .flat_map(|claims| claims.extract_if(.., |claim| claim.group == Some(group)))
                .collect();
            // First the one that holds the zone, so that the others find it so.
            let best = claim::best(&claims, published(&zone));
            claims.get_mut(..=best).into_iter().for_each(|until| until.rotate_right(1));
            for claim in claims {
                verdicts.push((claim.file.clone(), self.decide(&zone, claim, changes)));
            }
        }
        let mut removed = Vec::new();
        let next = self.release(group, freed, &mut removed);
        Conclusion { verdicts, removed, next }
    }

    /// Lets go of zones that are free at the end of a group, unless they are claimed elsewhere.
    fn release(
        &mut self,
        group: u64,
        mut freed: Vec<Name>,
        removed: &mut Vec<(Name, ZoneSource<F>)>,
    ) -> Option<Next<F>> {
        let mut files = Vec::new();
        freed.retain(|zone| self.zones.get(zone).is_some_and(|entry| entry.freed == Some(group)));
        freed.sort();
        freed.dedup();
        for zone in freed {
            let claims = self.claims.get(&zone).map_or(&[][..], |claims| claims);
            let elsewhere = claims.iter().find_map(|claim| claim.group);
            if elsewhere.is_none() && claims.is_empty() {
                if let Some(entry) = self.zones.remove(&zone) {
                    self.forget(&zone, &entry.source);
                    self.contested.remove(&zone);
                    removed.push((zone, entry.source));
                }
                continue;
            }
            if elsewhere.is_none() {
                files.extend(claims.iter().map(|claim| (claim.file.clone(), claim.folder)));
            }
            // The next group, which is begun below, unless one is under way.
            let then = elsewhere.unwrap_or(self.last + 1);
            self.free(&zone, then);
        }
        (!files.is_empty()).then(|| {
            self.last += 1;
            Next { group: self.last, files }
        })
    }

    /// Serves a zone from a file that claims it, unless another source holds it.
    fn decide(&mut self, zone: &NameRef, claim: Claim<F>, changes: &mut Changes) -> Verdict<F> {
        match self.source(zone).cloned() {
            None => {
                self.add(zone.to_name(), claim.file, claim.folder, changes);
                Verdict::Holds(zone.to_name())
            }
            Some(holder) => {
                self.stirred.insert(zone.to_name());
                self.claims.entry(zone.to_name()).or_default().push(Claim { group: None, ..claim });
                Verdict::IsHeld(zone.to_name(), holder)
            }
        }
    }

    /// Keeps what a file says until the end of the group.
    fn wait(&mut self, group: u64, (file, folder): (F, Option<usize>), report: Report) {
        self.groups.entry(group).or_default().claimed.insert(report.zone.clone());
        self.claimed.insert(file.clone(), report.zone.clone());
        let Report { standing, content, .. } = report;
        let claim = Claim { file, folder, standing, content, group: Some(group) };
        self.claims.entry(report.zone).or_default().push(claim);
    }

    /// What a file said before does not count any more.
    fn withdraw<Q: Eq + Hash + ?Sized>(&mut self, file: &Q)
    where
        F: Borrow<Q>,
    {
        if self.claimed.is_empty() {
            return;
        }
        let Some(zone) = self.claimed.remove(file) else { return };
        self.stir(&zone);
        let Some(claims) = self.claims.get_mut(&zone) else { return };
        claims.retain(|claim| claim.file.borrow() != file);
        if claims.is_empty() {
            self.claims.remove(&zone);
        }
    }

    /// A zone comes from this file from now on.
    fn add(&mut self, zone: Name, file: F, folder: Option<usize>, changes: &mut Changes) {
        self.withdraw(&file);
        let options = folder.and_then(|folder| self.folders.get(folder)).unwrap_or(&self.alone);
        changes.added.push(ZoneConfig { name: zone.clone(), options: Arc::clone(options) });
        let source = match folder {
            Some(folder) => ZoneSource::Found(file, folder),
            None => ZoneSource::Named(file),
        };
        self.seat(zone, source);
    }

    fn seat(&mut self, zone: Name, source: ZoneSource<F>) {
        self.stir(&zone);
        let found = if let ZoneSource::Found(file, _) = &source { Some(file.clone()) } else { None };
        if let Some(before) = self.zones.insert(zone.clone(), Entry { source, freed: None }) {
            self.forget(&zone, &before.source);
        }
        self.held.extend(found.map(|file| (file, zone)));
    }

    /// The file that held a zone does so no more, whatever else it holds.
    fn forget(&mut self, zone: &NameRef, source: &ZoneSource<F>) {
        let ZoneSource::Found(file, _) = source else { return };
        if self.held.get(file).is_some_and(|held| **held == *zone) {
            self.held.remove(file);
        }
    }

    /// A zone is free until the end of a group.
    fn free(&mut self, zone: &NameRef, group: u64) {
        let Some(entry) = self.zones.get_mut(zone) else { return };
        entry.freed = Some(group);
        self.groups.entry(group).or_default().freed.push(zone.to_name());
    }
}

pub mod claim;
pub mod contest;
mod named;

#[cfg(test)]
mod tests;
