//! What a damaged, old or lost journal does to serials: nothing that anybody could see.

use std::collections::BTreeMap;

use super::*;
use crate::publish::access::Access;
use crate::publish::proposal::Proposal;
use crate::publish::stages::PublishError;
use crate::publish::store::ZoneStore;
use crate::publish::transferred::Transferred;
use crate::time::{Mono, Now, Utc};
use crate::wire::message::Record;
use crate::zone::digest::Digest;
use crate::zone::fixture;
use crate::zone::serial::{Policy, Serial};

/// Worlds with one damage each.
const SEEDS: u64 = 1_200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Primary(Policy),
    Secondary,
}

const ZONES: [(&str, Role); 5] = [
    ("counted.", Role::Primary(Policy::Increment)),
    ("large.", Role::Primary(Policy::Increment)),
    ("dated.", Role::Primary(Policy::Unixtime)),
    ("kept.", Role::Primary(Policy::Keep)),
    ("pulled.", Role::Secondary),
];

fn content(zone: &str, serial: u32, version: u8) -> Vec<Record> {
    let hosts = if zone == "large." { 3 * MANY_RECORDS as u8 } else { 3 };
    fixture::records(zone, serial, (0..hosts).map(|host| (host.into(), [192, 0, version, host])))
}

/// What was served, by whom, all lives long.
#[derive(Clone, Default)]
struct Seen {
    digests: BTreeMap<(&'static str, u32), Digest>,
    newest: BTreeMap<&'static str, Serial>,
}

impl Seen {
    /// Notes what a store serves; what is wrong with it.
    fn look(&mut self, store: &ZoneStore, may_go_back: bool) -> Result<(), String> {
        for (zone, _) in ZONES {
            let served = store.get(&zone.parse::<Name>().unwrap()).and_then(|zone| zone.version());
            let Some(stamp) = served.map(|version| version.stamp) else { continue };
            let known = self.digests.entry((zone, stamp.serial.0)).or_insert(stamp.digest);
            if *known != stamp.digest {
                return Err(format!("{zone} {} stands for two contents", stamp.serial));
            }
            let newest = self.newest.entry(zone).or_insert(stamp.serial);
            if newest.is_newer_than(stamp.serial) && !may_go_back {
                return Err(format!("{zone} goes back from {newest} to {}", stamp.serial));
            }
            *newest = stamp.serial;
        }
        Ok(())
    }
}

struct World {
    disk: Disk,
    store: ZoneStore,
    seen: Seen,
    /// The zone files, and the zone at the other primary: serial and content.
    files: [(u32, u8); ZONES.len()],
    seconds: u64,
    recovered: Recovered,
}

impl World {
    fn new() -> World {
        let mut world = World {
            disk: Disk::default(),
            store: ZoneStore::new(7),
            seen: Seen::default(),
            files: [(1, 0); ZONES.len()],
            seconds: 0,
            recovered: Recovered::default(),
        };
        world.boot();
        world
    }

    fn boot(&mut self) {
        self.store = ZoneStore::new(7);
        for (zone, _) in ZONES {
            self.store.configure(&zone.parse::<Name>().unwrap(), Access::default());
        }
        let store = &self.store;
        self.recovered = self.disk.replay(|zone, happened| store.replay(&zone, happened));
        if self.recovered.is_doubtful {
            self.store.doubt(self.recovered.is_boundless);
        }
        if self.disk.is_overgrown() {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let checkpoint = self.store.checkpoint();
        self.disk.compact(|each| checkpoint.entries(each));
    }

    /// Reads a file or pulls the zone, as at every start and after every edit.
    fn publish(&mut self, index: usize) {
        self.seconds += 1;
        let utc = Utc(1_700_000_000_000_000 + self.seconds * 1_000_000);
        let now = Now { mono: Mono(self.seconds * 1_000_000), utc };
        let (zone, role) = ZONES[index];
        let (serial, version) = self.files[index];
        let records = content(zone, serial, version);
        let proposal = match role {
            Role::Primary(policy) => {
                Proposal::file(Transferred::of(&records).content(None).unwrap().0, policy)
            }
            Role::Secondary => Proposal::axfr(Transferred::of(&records), None),
        };
        match self.store.publish(now, proposal, |entries| self.disk.append(entries)) {
            Ok(_) | Err(PublishError::NotNewer { .. } | PublishError::Log(_)) => {}
            // What an operator does who is told so.
            Err(
                PublishError::SerialKept { served: above, .. } | PublishError::SerialDoubtful { above, .. },
            ) => {
                self.files[index].0 = above.next().0;
                self.publish(index);
            }
            Err(error) => panic!("{zone}: {error}"),
        }
    }

    fn edit(&mut self, index: usize, version: u8) {
        let (_, role) = ZONES[index];
        self.files[index].1 = version;
        if role == Role::Secondary {
            self.files[index].0 += 1;
        }
        self.publish(index);
    }

    /// Lives for a while; everything that is served is noted.
    fn live(&mut self, rng: &mut StdRng, may_go_back: bool) -> Result<(), String> {
        for index in 0..ZONES.len() {
            self.publish(index);
            self.seen.look(&self.store, may_go_back)?;
        }
        for _ in 0..rng.random_range(0..25) {
            self.edit(rng.random_range(0..ZONES.len()), rng.random_range(0..5));
            self.seen.look(&self.store, false)?;
            if rng.random_ratio(1, 12) {
                self.compact();
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Stopped,
    Killed,
    PowerLost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    None,
    Bit,
    Sector(usize),
    Zeroed,
    Cut,
    CutBetweenFrames,
    Doubled,
    Older,
    Removed,
}

const HARMS: [Harm; 10] = [
    Harm::None,
    Harm::Bit,
    Harm::Sector(512),
    Harm::Sector(4_096),
    Harm::Zeroed,
    Harm::Cut,
    Harm::CutBetweenFrames,
    Harm::Doubled,
    Harm::Older,
    Harm::Removed,
];

/// Where frames end.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut reader = FileReader::new(FileKind::Journal);
    let mut at = crate::publish::journal::frame::HEAD;
    reader.feed(bytes, &mut |_, payload| {
        at += crate::publish::journal::frame::FRAME + payload.len();
        ends.push(at);
    });
    ends
}

fn harm(disk: &mut Disk, older: &Disk, place: Place, harm: Harm, rng: &mut StdRng) {
    let Some(file) = disk.files.get_mut(&place) else { return };
    let length = file.bytes.len();
    if length == 0 {
        return;
    }
    let at = rng.random_range(0..length);
    match harm {
        Harm::None => {}
        Harm::Bit => file.bytes[at] ^= 1 << rng.random_range(0..8),
        Harm::Sector(size) => {
            let from = at / size * size;
            file.bytes[from..length.min(from + size)].fill(0);
        }
        Harm::Zeroed => {
            let to = rng.random_range(at..=length);
            file.bytes[at..to].fill(0);
        }
        Harm::Cut => file.bytes.truncate(at),
        Harm::CutBetweenFrames => {
            let ends = ends(&file.bytes);
            if !ends.is_empty() {
                file.bytes.truncate(ends[rng.random_range(0..ends.len())]);
            }
        }
        Harm::Doubled => {
            let ends = ends(&file.bytes);
            if ends.len() > 1 {
                let first = rng.random_range(0..ends.len() - 1);
                let frames = file.bytes[ends[first]..ends[rng.random_range(first + 1..ends.len())]].to_vec();
                let to = ends[rng.random_range(first + 1..ends.len())];
                file.bytes.splice(to..to, frames);
            }
        }
        Harm::Older => {
            match older.files.get(&place) {
                Some(older) => *file = older.clone(),
                None => drop(disk.files.remove(&place)),
            }
            return;
        }
        Harm::Removed => {
            disk.files.remove(&place);
            return;
        }
    }
    file.synced = file.bytes.len();
}

/// A life with its ending, and its disk as it was in the middle.
fn ended(rng: &mut StdRng) -> Result<(World, Disk, Ending), String> {
    let mut world = World::new();
    world.live(rng, false)?;
    let older = world.disk.clone();
    world.live(rng, false)?;
    let ending = [Ending::Stopped, Ending::Killed, Ending::PowerLost][rng.random_range(0..3)];
    match ending {
        Ending::Stopped => world.disk.stop(),
        Ending::Killed => world.disk.kill(),
        Ending::PowerLost => {
            if rng.random() {
                world.disk.sync_all();
            }
            // A commit that was under way, and is never told of.
            world.disk.armed = Some(Moment::ALL[rng.random_range(0..3)]);
            world.edit(rng.random_range(0..ZONES.len()), rng.random_range(0..5));
            world.disk.crash(|choices| rng.random_range(0..choices));
        }
    }
    Ok((world, older, ending))
}

/// One life, one ending, one harm, and another life; what went wrong, or whether nothing can tell that harm was done.
fn one(seed: u64) -> Result<bool, String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut world, older, ending) = ended(&mut rng)?;
    let journal = HARMS[seed as usize % HARMS.len()];
    harm(&mut world.disk, &older, Place::Journal, journal, &mut rng);
    let is_double = ending == Ending::PowerLost && journal != Harm::None;
    // The floors: whole, or one copy harmed, or both gone. A power failure may cost the copy that waits for its sync.
    let floors = rng.random_range(0..4);
    if floors == 1 && !is_double {
        let harmed = HARMS[rng.random_range(0..HARMS.len())];
        harm(&mut world.disk, &older, Place::Floors(rng.random_range(0..2)), harmed, &mut rng);
    }
    if floors == 2 {
        (0..2).for_each(|copy| harm(&mut world.disk, &older, Place::Floors(copy), Harm::Removed, &mut rng));
    }
    let what = format!("seed {seed}: {ending:?}, journal {journal:?}, floors {floors}");
    world.boot();
    let floors_are_lost = floors == 2;
    if floors_are_lost && journal != Harm::None {
        // What was served cannot be known, unless the journal holds enough of it; then that is said.
        let told = world.recovered.is_doubtful || world.recovered.journal.size == 0;
        return if told { Ok(false) } else { Err(format!("{what}: nothing says that serials may go back")) };
    }
    if is_double && !world.recovered.is_doubtful && world.recovered.journal.is_whole() {
        // What had been synced and is lost together with power, up to where a frame ends, cannot be told from what was never
        // written.
        return Ok(true);
    }
    world.seen.look(&world.store, is_double).map_err(|error| format!("{what}: {error}"))?;
    // An edit that was made meanwhile, or taken back, or none.
    for (file, (_, role)) in world.files.iter_mut().zip(ZONES) {
        if rng.random() {
            file.1 = rng.random_range(0..5);
            file.0 += u32::from(role == Role::Secondary);
        }
    }
    world.live(&mut rng, is_double).map_err(|error| format!("{what}, then: {error}"))?;
    // And the doubt outlives another restart.
    world.disk.stop();
    world.boot();
    world.live(&mut rng, false).map_err(|error| format!("{what}, and again: {error}"))?;
    Ok(false)
}

#[test]
fn no_damage_takes_a_serial_back_or_gives_it_a_second_content() {
    let (done, wrong): (Vec<_>, Vec<_>) = (0..SEEDS).map(one).partition(Result::is_ok);
    let wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
    let untold = done.into_iter().filter(|it| *it == Ok(true)).count();
    eprintln!("{untold} of {SEEDS} leave no trace of what was lost together with power");
    assert!(untold as u64 * 30 < SEEDS);
    assert!(wrong.is_empty(), "{} of {SEEDS}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Journal and both copies of the floors harmed, each in its own way, whatever the ending; whether something tells of it, and what
/// went wrong.
fn all_harmed(seed: u64) -> (bool, bool, [Harm; 3], Result<(), String>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut world, older, _) = ended(&mut rng).unwrap();
    let places = [Place::Journal, Place::Floors(0), Place::Floors(1)];
    let harms = places.map(|place| {
        let kind = HARMS[rng.random_range(1..HARMS.len())];
        harm(&mut world.disk, &older, place, kind, &mut rng);
        kind
    });
    world.boot();
    let Recovered { journal, floors, is_doubtful, is_boundless, lost_contents, .. } = &world.recovered;
    let is_damaged = !journal.is_whole() || floors.iter().any(|copy| !copy.is_whole());
    let (is_told, is_boundless) = (*is_doubtful || *lost_contents > 0 || is_damaged, *is_boundless);
    // A primary reads its files before it listens.
    (0..ZONES.len()).for_each(|index| world.publish(index));
    let result = world.seen.look(&world.store, false).and_then(|()| world.live(&mut rng, false));
    (is_told, is_boundless, harms, result)
}

/// Where nothing of all this can be relied on, no serial can be promised. What holds: it is told, unless each file is what it was at an
/// earlier moment, which nothing can tell from a backup that was put back; and it seldom comes to a serial that goes back.
#[test]
fn harm_to_all_three_files_is_told() {
    let is_earlier = |harm: &Harm| matches!(harm, Harm::Older | Harm::Removed | Harm::CutBetweenFrames);
    let (seeds, mut wrong, mut boundless) = (SEEDS / 2, 0, 0);
    for seed in 0..seeds {
        let (is_told, is_boundless, harms, result) = all_harmed(seed);
        boundless += u64::from(is_boundless);
        let Err(error) = result else { continue };
        wrong += 1;
        assert!(is_told || harms.iter().all(is_earlier), "seed {seed}, {harms:?}: {error}");
    }
    eprintln!("{wrong} of {seeds} went wrong; in {boundless} serials went on far above what was known");
    assert!(wrong * 15 < seeds && boundless * 10 > seeds, "{wrong} and {boundless} of {seeds}");
}

#[test]
fn a_crash_tears_what_was_not_synced_and_nothing_else() {
    let name: Name = "example.".parse().unwrap();
    let verified = |at| Entry::Verified(name.clone(), Utc(at), None);
    let entries = |disk: &mut Disk| {
        let mut found = Vec::new();
        disk.replay(|_, happened| match happened {
            Replayed::Verified(at, None) => found.push(at.0),
            other => panic!("{other:?}"),
        });
        found
    };
    let mut left = [0; 4];
    for seed in 0..60 {
        let mut disk = Disk::default();
        entries(&mut disk);
        disk.append(&[verified(1)]).unwrap();
        disk.begin(&[(verified(2), None), (verified(3), None)]).unwrap();
        // Beyond a sector.
        disk.begin(&(4..30).map(|at| (verified(at), None)).collect::<Vec<_>>()).unwrap();
        disk.crash(|_| seed);
        let found = entries(&mut disk);
        assert!(found.first() == Some(&1) && found.is_sorted(), "{found:?}");
        left[found.len().min(3)] += 1;
        disk.append(&[verified(40)]).unwrap();
        assert_eq!(entries(&mut disk).last(), Some(&40));
    }
    assert!(left[1] > 0 && left[3] > 0, "{left:?}");
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let name: Name = "example.".parse().unwrap();
    let mut disk = Disk::default();
    disk.replay(|_, _| ());
    disk.append(&[Entry::Verified(name.clone(), Utc(1), None)]).unwrap();
    disk.full = true;
    assert!(disk.append(&[Entry::Verified(name.clone(), Utc(2), None)]).is_err());
    disk.full = false;
    disk.append(&[Entry::Verified(name, Utc(3), Some(Utc(2)))]).unwrap();
    let mut found = Vec::new();
    disk.replay(|_, happened| found.push(format!("{happened:?}")));
    assert_eq!(found, ["Verified(Utc(1), None)", "Verified(Utc(3), Some(Utc(2)))"]);
}
