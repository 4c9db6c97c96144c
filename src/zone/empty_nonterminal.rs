//! Empty non-terminals (RFC 4592 2.2.2): the names between the apex and names with records, made and taken away with these.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use crate::wire::hash::{hash_label, hash_name, hash_root};

use crate::wire::name::NameRef;

use super::fault::Fault;
use super::owner::{Block, Draft, Owner};
use super::table::{Entry, Table};

/// What an empty non-terminal takes in memory beside its name, in bytes, roughly and while a zone is put together.
const EMPTY_COST: u64 = 160;

/// Bytes that the names above those of a transfer may need: as much as it may bring.
pub const ROOM: u64 = 1 << 31;

/// Memory for empty non-terminals: a record of a few bytes can make more than a hundred of them.
pub(super) struct Room {
    all: u64,
    left: u64,
}

impl Room {
    pub(super) fn new(bytes: u64) -> Room {
        Room { all: bytes, left: bytes }
    }

    fn take(&mut self, name: &NameRef) -> Result<(), Fault> {
        let left = self.left.checked_sub(EMPTY_COST + name.as_wire().len() as u64);
        self.left = left.ok_or_else(|| Fault::TooDeep(name.to_name(), self.all >> 20))?;
        Ok(())
    }
}

impl Default for Room {
    fn default() -> Room {
        Room::new(ROOM)
    }
}

/// Counts a new name at its parent, making the empty non-terminals between it and the nearest name that exists.
pub(super) fn link(table: &mut Table, apex: &NameRef, name: &NameRef, room: &mut Room) -> Result<(), Fault> {
    if table.is_crowded(hash_name(name)) {
        return Err(Fault::Crowded(name.to_name()));
    }
    let mut child = name;
    while child != apex {
        let Some(parent) = child.parent() else { break };
        let hash = hash_name(parent);
        if let Some(entry) = table.get_mut(hash, parent) {
            entry.add_child();
            break;
        }
        room.take(parent)?;
        table.insert(hash, Draft::default().block(parent));
        if let Some(entry) = table.get_mut(hash, parent) {
            entry.add_child();
        }
        if table.is_crowded(hash) {
            return Err(Fault::Crowded(parent.to_name()));
        }
        child = parent;
    }
    Ok(())
}

/// Removes a name without data and children, and every empty non-terminal that is left without children by that.
pub(super) fn prune(table: &mut Table, apex: &NameRef, name: &NameRef) {
    let mut gone = name;
    while gone != apex {
        table.remove(hash_name(gone), gone);
        let Some(parent) = gone.parent() else { return };
        let Some(entry) = table.get_mut(hash_name(parent), parent) else { return };
        entry.remove_child();
        if entry.has_children() || entry.owner().rrsets().next().is_some() {
            return;
        }
        gone = parent;
    }
}

/// Counts every name of `deep` (ascending by the hash of its parent, then its own) at its parent among `blocks` (ascending by
/// hash), and leaves in `deep` those that have no parent yet.
pub(super) fn count_children(blocks: &mut [(u64, Entry)], deep: &mut Vec<(u64, u64, Block)>) {
    let mut at = 0;
    let mut before = None;
    deep.retain(|(parent, child, block)| {
        // An owner that came back is one name.
        if before.replace((*parent, *child)) == Some((*parent, *child)) {
            return false;
        }
        while blocks.get(at).is_some_and(|(hash, _)| hash < parent) {
            at += 1;
        }
        let name = Owner::new(block).name();
        match blocks.get_mut(at) {
            Some((hash, entry)) if hash == parent && name.parent() == Some(entry.owner().name()) => {
                entry.add_children(1);
                false
            }
            _ => true,
        }
    });
}

/// Makes the empty non-terminals between `orphans`, whose parents are not among `blocks` (ascending by hash), and the nearest
/// names that exist. `None` when two names have one hash, so that counts are not to be relied on.
pub(super) fn fill(
    blocks: &mut [(u64, Entry)],
    apex: &NameRef,
    orphans: &[(u64, u64, Block)],
    room: &mut Room,
) -> Result<Option<Vec<(u64, Entry)>>, Fault> {
    let mut made: HashMap<u64, Entry> = HashMap::new();
    let mut hashes = Vec::new();
    for (.., orphan) in orphans {
        let name = Owner::new(orphan).name();
        let starts = name.label_starts();
        hashes.clear();
        hashes.push((name.as_wire().len() as u8 - 1, hash_root()));
        for &start in starts.iter().rev() {
            let above = hashes.last().map_or(hash_root(), |&(_, hash)| hash);
            hashes.push((start, hash_label(above, name.suffix(start).first_label())));
        }
        // From the parent up; the last one is the orphan itself.
        for &(start, hash) in hashes.iter().rev().skip(1) {
            let parent = name.suffix(start);
            let known = match made.entry(hash) {
                Slot::Occupied(slot) => slot.into_mut(),
                Slot::Vacant(slot) => match blocks.binary_search_by_key(&hash, |&(hash, _)| hash) {
                    Ok(at) => &mut blocks[at].1,
                    Err(_) => {
                        room.take(parent)?;
                        let mut entry = Entry::new(hash, Draft::default().block(parent));
                        entry.add_child();
                        slot.insert(entry);
                        if parent == apex {
                            break;
                        }
                        continue;
                    }
                },
            };
            if known.owner().name() != parent {
                return Ok(None);
            }
            known.add_child();
            break;
        }
    }
    Ok(Some(made.into_iter().collect()))
}
