//! Files in which zones are looked for: those of the configuration and of folders, at the start and whenever files come, go or change
//! in a folder. Which file a zone is served from is decided by the rules of [`crate::node::roster`].

use std::rc::Rc;
use std::sync::Arc;

use crate::node::roster::{self, Holder, Verdict};
use crate::node::settings::ZoneConfig;
use crate::wire::name::Name;

use super::asked::Asker;
use super::claims::{Claim, File, Search, Turn};
use super::folder::tell_empty;
use super::load::{Identity, LoadError, Opened, name_of};
use super::watch::{FileEvent, Watch};
use super::watched::Watched;

impl<R: Fn(FileEvent)> Watch<R> {
    /// Begins a search; files are added by [`Watch::begin`].
    pub(super) fn search(&mut self, search: Search, askers: &[Rc<Asker>]) -> u64 {
        self.last += 1;
        self.searches.insert(self.last, Search { askers: askers.to_vec(), ..search });
        self.last
    }

    /// A file of the search is being read.
    pub(super) fn one_more(&mut self, search: Option<u64>, ticket: u64) {
        let Some(search) = search.and_then(|id| self.searches.get_mut(&id)) else { return };
        search.waiting += 1;
        if let Some(turns) = &mut search.turns {
            turns.order.insert(ticket);
        }
    }

    /// It is no longer.
    pub(super) fn one_less(&mut self, search: Option<u64>) {
        if let Some(search) = search.and_then(|id| self.searches.get_mut(&id)) {
            search.waiting -= 1;
        }
    }

    /// Nothing will come of this file.
    pub(super) fn skip(&mut self, ticket: u64, search: Option<u64>) {
        let turns = search.and_then(|id| self.searches.get_mut(&id)?.turns.as_mut());
        if let Some(turns) = turns {
            turns.order.remove(&ticket);
        }
    }

    /// Takes in what was read from a file, when it is its turn.
    pub(super) fn opened(
        &mut self,
        ticket: u64,
        file: File,
        opened: Result<Opened, LoadError>,
        search: Option<u64>,
        askers: &[Rc<Asker>],
    ) {
        let Some(id) = search else { return };
        let turn = Turn { ticket, file, opened, askers: askers.to_vec() };
        match self.searches.get_mut(&id).map(|search| &mut search.turns) {
            None => {}
            Some(None) => self.take_in(id, turn),
            Some(Some(turns)) => {
                turns.early.insert(ticket, turn);
                while let Some(turn) = self.next_turn(id) {
                    self.take_in(id, turn);
                }
            }
        }
    }

    fn next_turn(&mut self, id: u64) -> Option<Turn> {
        self.searches.get_mut(&id)?.turns.as_mut()?.next()
    }

    fn take_in(&mut self, id: u64, Turn { ticket, file, opened, askers }: Turn) {
        let held = file.1.and_then(|_| self.held.get(file.0.as_path()).cloned());
        let reading = held.as_ref().and_then(|name| self.zones.get(name)?.reading);
        if reading.is_some_and(|newer| newer != ticket) {
            return;
        }
        let again = held.as_ref().is_some_and(|name| self.finished(name));
        match (held, opened) {
            (Some(name), Ok(Opened { identity: Identity::Certain(new), loaded: Some(loaded) }))
                if new == name =>
            {
                self.missing.remove(&name);
                self.loaded(&name, loaded, &askers);
                if again {
                    self.read_changed(&name);
                }
            }
            (Some(name), _) if again => self.read_changed(&name),
            (Some(name), Ok(Opened { identity: Identity::Certain(new), loaded })) => {
                self.missing.remove(&name);
                let freed = self.let_go(&name);
                if let Some(search) = self.searches.get_mut(&id) {
                    search.freed.extend(freed);
                    search.claims.entry(new).or_default().push(Claim { file, loaded });
                }
            }
            // What it holds now is no longer certain: for as long as it is not mended, it is still that zone.
            (Some(name), _) => self.read_zones(vec![name], None, &askers),
            (None, Ok(Opened { identity: Identity::Certain(name) | Identity::Guess(name), loaded })) => {
                self.claim(id, name, Claim { file, loaded });
            }
            (None, Ok(Opened { identity: Identity::Empty, .. })) if file.1.is_some() => {
                if self.told.insert(file.0.clone()) {
                    tell_empty(&file.0);
                }
            }
            (None, Ok(Opened { identity: Identity::Empty, .. })) => match name_of(&file.0) {
                Ok(name) => self.claim(id, name, Claim { file, loaded: None }),
                Err(error) => self.refuse(id, &error.to_string()),
            },
            (None, Err(error)) => self.refuse(id, &error.to_string()),
        }
    }

    fn refuse(&self, id: u64, why: &str) {
        let Some(search) = self.searches.get(&id).filter(|search| !search.is_second) else { return };
        search.askers.iter().for_each(|asker| asker.refused.set(asker.refused.get() + 1));
        tracing::error!("{why}");
    }

    /// Takes a zone in from a file that holds it, at once if no other file can have a better claim.
    fn claim(&mut self, id: u64, name: Name, claim: Claim) {
        let Some(search) = self.searches.get_mut(&id) else { return };
        if search.is_second && !search.freed.contains_key(&name) {
            return;
        }
        let is_free = !search.is_second
            && !search.claims.contains_key(&name)
            && !search.freed.contains_key(&name)
            && !self.zones.contains_key(&name);
        let published = self.store.last_stamp(&name).map(|stamp| stamp.digest);
        if is_free && claim.weight().is_beyond_doubt(published) {
            self.adopt(id, &name, claim);
        } else {
            search.claims.entry(name).or_default().push(claim);
        }
    }

    /// Ends the searches of which every file was read.
    pub(super) fn conclude(&mut self) {
        while let Some((&id, _)) = self.searches.iter().find(|(_, search)| search.waiting == 0) {
            let claims = self.searches.get_mut(&id).map(|search| std::mem::take(&mut search.claims));
            for (name, mut claims) in claims.into_iter().flatten() {
                // The one that is served first, so that the others find it so.
                let published = self.store.last_stamp(&name).map(|stamp| stamp.digest);
                let weights: Vec<roster::Claim> = claims.iter().map(Claim::weight).collect();
                claims.swap(0, roster::best(&weights, published));
                claims.into_iter().for_each(|claim| self.adopt(id, &name, claim));
            }
            let Some(search) = self.searches.remove(&id) else { continue };
            if search.is_of_everything {
                self.report_zones();
            }
            let askers = search.askers;
            // A file that was left out may hold what another one held until now.
            let left_out =
                if search.freed.is_empty() || search.is_second { Vec::new() } else { self.unheld(|_| true) };
            if left_out.is_empty() {
                self.changed.vanished.extend(search.freed.into_keys());
            } else {
                let second = Search { is_second: true, ..Search::for_freed(search.freed) };
                let id = self.search(second, &askers);
                self.begin(left_out, Some(id), &askers, false);
            }
            self.leaving.extend(askers);
        }
    }

    /// What a zone comes from.
    fn holder(&self, name: &Name) -> Option<Holder> {
        if self.others.contains(name) {
            return Some(Holder::Primaries);
        }
        let watched = self.zones.get(name)?;
        Some(match watched.dir {
            None => Holder::Named,
            Some(_) => Holder::Found { is_there: watched.path.exists() },
        })
    }

    /// Serves a zone from a file, unless it is served from elsewhere. It may be one that has just lost its file.
    fn adopt(&mut self, id: u64, name: &Name, Claim { file: (path, dir, is_link), loaded }: Claim) {
        let mut freed = None;
        match roster::decide(self.holder(name)) {
            Verdict::Holds => {}
            Verdict::TakesOver => {
                self.missing.remove(name);
                freed = self.let_go(name).map(|(_, old)| old);
            }
            Verdict::IsElsewhere => {
                let why =
                    format!("{} holds zone {name}, which is served already; it is left out", path.display());
                return self.refuse(id, &why);
            }
            Verdict::IsHeld => {
                let first = self.zones.get(name).map(|other| Arc::clone(&other.path));
                let (first, second) = (first.as_deref().unwrap_or(&path).display(), path.display());
                let why = format!("{first} and {second} both hold this zone, {name}; the second is left out");
                return self.refuse(id, &why);
            }
        }
        let Some(search) = self.searches.get_mut(&id) else { return };
        let askers = search.askers.clone();
        match freed.or_else(|| search.freed.remove(name)) {
            // The zone goes on, from another file.
            Some(old) if old.dir == dir => {}
            old => {
                self.changed.vanished.extend(old.map(|_| name.clone()));
                let options = dir.map(|dir| Arc::clone(&self.dirs[dir].settings.options)).unwrap_or_default();
                self.changed.appeared.push(ZoneConfig { name: name.clone(), options });
            }
        }
        self.hold(name, Watched::found(&path, dir, is_link));
        match loaded {
            Some(loaded) => self.loaded(name, loaded, &askers),
            None => self.read_zones(vec![name.clone()], None, &askers),
        }
    }
}
