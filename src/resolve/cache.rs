//! The cache: answers by question, each kept until its lowest TTL has run out (RFC 1034 3.6, RFC 2181 5.2, RFC 2308) and,
//! where that is allowed, a while longer for the time when nobody can be asked (RFC 8767).
//!
//! moka gives the shared, bounded store with its admission policy. Deadlines live in the entries and are compared with
//! the caller's `now`; moka's own clock decides nothing. What is asked for often is answered by a table in front of it.

mod ready;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::time::Mono;
use crate::wire::message::{Record, flags};
use crate::wire::name::{MAX_NAME, Name, NameRef};
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::writer::{Full, Section, Writer};

use super::floors::Floors;
use ready::Ready;
pub use ready::Sought;

/// Negative answers are believed for three hours at most (RFC 2308 section 5 advises one to three).
pub const MAX_NEGATIVE_TTL: u32 = 10_800;
/// For how long a failure is remembered: RFC 9520 section 3.2 wants at least one second; more than a few would keep a name
/// unreachable after its servers have come back.
pub const FAILURE_SECONDS: u32 = 2;
/// The longest TTL of stale records (RFC 8767 section 4), for which the servers are left alone (section 5).
pub const STALE_TTL: u32 = 30;
/// The default number of entries: about a gigabyte at most, as each of them stands for a KiB of records.
const MAX_ENTRIES: u64 = 1_000_000;
/// The default of the longest TTL, a day: few zones ask for more, and a forgotten record lives no longer.
const MAX_TTL: u32 = 86_400;
/// The default time for stale answers, within what RFC 8767 section 5 suggests (one to three days).
const SERVE_STALE: Duration = Duration::from_secs(86_400);
/// Record bytes that an entry may hold before it counts as more than one entry.
const BYTES_PER_WEIGHT: usize = 1_024;
/// A key's parts behind the name: type and DO.
const KEY_TAIL: usize = 3;

/// What is kept and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many entries are kept at most. An entry with much data counts as one for each KiB begun, so this bounds the
    /// bytes as well.
    pub max_entries: u64,
    /// The longest that data counts as fresh, in seconds; at most 2^31 - 1 (RFC 2181 section 8).
    pub max_ttl: u32,
    /// For how long after its TTL an answer may still be given when no server can be reached (RFC 8767); `None` is
    /// never.
    pub serve_stale: Option<Duration>,
}

impl Default for Config {
    fn default() -> Config {
        Config { max_entries: MAX_ENTRIES, max_ttl: MAX_TTL, serve_stale: Some(SERVE_STALE) }
    }
}

/// A question of class IN, as far as the cache tells questions apart.
///
/// Its flags are a part of it: what servers send differs by them, and so no entry needs to be filtered when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// QNAME.
    pub name: Name,
    /// QTYPE.
    pub rtype: Rtype,
    /// What else the answer depends on.
    pub flags: AskFlags,
}

/// The flags of a question that its answer depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AskFlags {
    /// Whether DNSSEC records are wanted too (DO, RFC 3225).
    pub dnssec_ok: bool,
    /// Whether data is wanted that fails validation (CD, RFC 4035 3.2.2). Nobody who did not ask for that may get it.
    pub checking_disabled: bool,
}

impl AskFlags {
    /// Those of a request with these bits in its header, and with or without DO.
    #[inline]
    pub fn of(header: u16, dnssec_ok: bool) -> AskFlags {
        AskFlags { dnssec_ok, checking_disabled: header & flags::CD != 0 }
    }

    #[inline]
    fn bits(self) -> u8 {
        u8::from(self.dnssec_ok) | u8::from(self.checking_disabled) << 1
    }
}

/// An answer to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The response code.
    pub rcode: Rcode,
    /// The answer section: the chain of CNAMEs and DNAMEs in order, then the data.
    pub answer: Vec<Record>,
    /// The authority section: SOA of a negative answer, proofs.
    pub authority: Vec<Record>,
    /// For NXDOMAIN and NODATA, for how many seconds that may be believed; 0 when it came without an SOA record.
    pub negative: Option<u32>,
    /// Where the chain leads, if what is there is not among this: a zone served here has it, or nobody is to be asked.
    pub rest: Option<Name>,
}

/// The shared store of answers.
pub struct Cache {
    store: moka::sync::Cache<Box<[u8]>, Arc<Entry>>,
    ready: Ready,
    max_ttl: u32,
    serve_stale: Duration,
    floors: Arc<Floors>,
}

impl Cache {
    /// An empty cache.
    pub fn new(config: &Config) -> Cache {
        let store = moka::sync::Cache::<Box<[u8]>, Arc<Entry>>::builder()
            .max_capacity(config.max_entries)
            .weigher(|key, entry| {
                let bytes = key.len() + entry.records.len();
                u32::try_from(1 + bytes / BYTES_PER_WEIGHT).unwrap_or(u32::MAX)
            })
            .build();
        Cache {
            store,
            ready: Ready::new(config.max_entries),
            max_ttl: config.max_ttl,
            serve_stale: config.serve_stale.unwrap_or_default(),
            floors: Arc::default(),
        }
    }

    /// The entry for a question, if there is one that may still be of use.
    ///
    /// Only an entry that [`Entry::is_fresh`] may be served. Another one is kept for the resolver, which serves it (made
    /// fresh again for a short while, see [`Entry::is_stale`]) when no server can be reached.
    pub fn get(&self, now: Mono, name: &NameRef, rtype: Rtype, flags: AskFlags) -> Option<Arc<Entry>> {
        let sought = Sought::new(name, rtype, flags);
        if let Some(entry) = self.ready.find(now, sought, Arc::clone) {
            return Some(entry);
        }
        let epoch = self.ready.epoch();
        let mut buffer = [0; MAX_NAME + KEY_TAIL];
        let key = key(&mut buffer, name, rtype, flags);
        let entry = self.store.get(key).filter(|entry| now < entry.kept_until)?;
        if entry.is_fresh(now) {
            self.ready.offer(now, sought, epoch, &entry);
        }
        Some(entry)
    }

    /// The newest versions that answers have come from, which all resolvers of this cache share.
    pub fn floors(&self) -> &Arc<Floors> {
        &self.floors
    }

    /// Hands the fresh entry for a question to `each`, if it is ready; else [`Cache::get`] may still have it.
    #[inline]
    pub fn find_ready<T>(&self, now: Mono, sought: Sought<'_>, each: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.ready.find(now, sought, |entry| each(entry))
    }

    /// Has what is looked at to find a ready entry brought near.
    #[inline]
    pub fn fetch_ready(&self, sought: Sought<'_>) {
        self.ready.fetch(sought);
    }

    /// Makes an entry of an answer heard at `now` and keeps it, unless its lifetime is zero.
    pub fn put(&self, now: Mono, ask: &Ask, answer: &Answer) -> Arc<Entry> {
        let (mut entry, lifetime) = Entry::new(now, self.max_ttl, ask, answer);
        entry.kept_until = entry.fresh_until + self.serve_stale;
        let entry = Arc::new(entry);
        if lifetime > 0 {
            self.insert(ask, &entry);
        }
        entry
    }

    /// Remembers for [`FAILURE_SECONDS`] that a question could not be resolved (RFC 9520).
    pub fn put_failure(&self, now: Mono, ask: &Ask) -> Arc<Entry> {
        let failure = Answer {
            rcode: Rcode::SERVFAIL,
            answer: Vec::new(),
            authority: Vec::new(),
            negative: Some(FAILURE_SECONDS),
            rest: None,
        };
        let (entry, _) = Entry::new(now, FAILURE_SECONDS, ask, &failure);
        let entry = Arc::new(entry);
        self.insert(ask, &entry);
        entry
    }

    /// Lets the entry for a question, though its TTL has run out, be served as stale for `spell` more, [`STALE_TTL`] seconds at most
    /// (RFC 8767), and returns it; `None` when there is none any more.
    pub fn revive(&self, now: Mono, ask: &Ask, spell: Duration) -> Option<Arc<Entry>> {
        let old = self.get(now, &ask.name, ask.rtype, ask.flags)?;
        let fresh_until = now + spell.min(Duration::from_secs(STALE_TTL.into()));
        let kept_until = old.kept_until.max(fresh_until);
        let stale = Arc::new(Entry { fresh_until, kept_until, stale: true, ..Entry::clone(&old) });
        self.insert(ask, &stale);
        Some(stale)
    }

    /// Forgets everything.
    pub fn flush_all(&self) -> u64 {
        let flushed = self.entry_count();
        self.store.invalidate_all();
        self.ready.forget_all();
        self.floors.clear();
        flushed
    }

    /// Forgets every entry that was asked for, or holds a record, at or below `name`; returns how many.
    ///
    /// Looks at each entry, which takes a fraction of a second for a million of them.
    pub fn flush_below(&self, name: &NameRef) -> usize {
        let mut flushed = 0;
        for (key, entry) in &self.store {
            let asked = NameRef::read(&key).is_ok_and(|asked| asked.is_in(name));
            if asked || entry.raw().any(|raw| raw.owner.is_in(name)) {
                self.store.invalidate(&**key);
                flushed += 1;
            }
        }
        self.ready.forget_all();
        flushed
    }

    /// How many entries there are, those whose time has run out but that have not been replaced yet among them.
    pub fn entry_count(&self) -> u64 {
        self.store.run_pending_tasks();
        self.store.entry_count()
    }

    fn insert(&self, ask: &Ask, entry: &Arc<Entry>) {
        let mut buffer = [0; MAX_NAME + KEY_TAIL];
        let key: &[u8] = key(&mut buffer, &ask.name, ask.rtype, ask.flags);
        self.store.insert(Box::from(key), Arc::clone(entry));
        self.ready.forget(Sought::new(&ask.name, ask.rtype, ask.flags));
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("entries", &self.store.entry_count()).finish_non_exhaustive()
    }
}

/// One answer, ready to be written into replies.
#[derive(Clone, Debug)]
pub struct Entry {
    rcode: Rcode,
    stored: Mono,
    fresh_until: Mono,
    kept_until: Mono,
    stale: bool,
    /// How many of the records are in the answer section; the others are in the authority section.
    answers: u16,
    /// The length of QNAME, which stands in front of the records.
    name: u8,
    rtype: Rtype,
    flags: AskFlags,
    rest: Option<Name>,
    /// QNAME, then records back to back: owner, TYPE, TTL, RDLENGTH, RDATA, all uncompressed.
    records: Box<[u8]>,
}

impl Entry {
    /// The response code.
    pub fn rcode(&self) -> Rcode {
        self.rcode
    }

    /// Where the chain leads, if the entry does not have what is there ([`Answer::rest`]).
    pub fn rest(&self) -> Option<&Name> {
        self.rest.as_ref()
    }

    /// Whether the entry may be served at `now`.
    pub fn is_fresh(&self, now: Mono) -> bool {
        now < self.fresh_until
    }

    /// Whether the TTL had run out and the entry is served all the same, because no server could be reached; an answer
    /// made from it carries the extended error "Stale Answer" (RFC 8914 4.4).
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// When the answer was heard.
    pub fn stored(&self) -> Mono {
        self.stored
    }

    /// Until when the entry is fresh.
    pub fn fresh_until(&self) -> Mono {
        self.fresh_until
    }

    /// Writes the records with what is left of their TTLs.
    ///
    /// On [`Full`] some whole records have been written; the caller returns to its mark and sets TC.
    pub fn write(&self, now: Mono, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.records(now).try_for_each(|(section, owner, rtype, ttl, rdata)| {
            writer.record(section, owner, rtype, ttl, rdata)
        })
    }

    /// The records with their section, owner, type, remaining TTL in seconds and uncompressed RDATA.
    #[inline]
    pub fn records(&self, now: Mono) -> impl Iterator<Item = (Section, &NameRef, Rtype, u32, &[u8])> {
        // Whole seconds, as TTLs are told in (RFC 1034 3.6): who asks first is told what the server said. No fresh entry is told to have
        // none left: it lasts as long as its lowest TTL, of which less than all has passed.
        let age = u32::try_from(now.since(self.stored).as_secs()).unwrap_or(u32::MAX);
        // Whoever keeps an old answer on is to ask again when this cache does.
        let spell = self.fresh_until.since(now).as_micros().div_ceil(1_000_000);
        let spell = u32::try_from(spell).unwrap_or(u32::MAX).clamp(1, STALE_TTL);
        self.raw().enumerate().map(move |(at, raw)| {
            let section = if at < usize::from(self.answers) { Section::Answer } else { Section::Authority };
            let ttl = if self.stale { spell } else { raw.ttl.saturating_sub(age) };
            (section, raw.owner, raw.rtype, ttl, raw.rdata)
        })
    }

    /// The entry, and its lifetime in seconds.
    fn new(now: Mono, max_ttl: u32, ask: &Ask, answer: &Answer) -> (Entry, u32) {
        let negative = answer.negative.map(|ttl| ttl.min(MAX_NEGATIVE_TTL));
        let mut lifetime = negative.unwrap_or(u32::MAX).min(max_ttl);
        let question = ask.name.as_wire();
        let mut records = question.to_vec();
        for (section, cap) in
            [(&answer.answer, max_ttl), (&answer.authority, negative.unwrap_or(max_ttl).min(max_ttl))]
        {
            let ttls = lowest_ttls(section);
            for record in section {
                let lowest = ttls.get(&(&*record.owner, record.rtype)).copied().unwrap_or(0);
                let ttl = lowest.min(cap);
                lifetime = lifetime.min(ttl);
                // RDATA came out of a message, or is one name: its length fits 16 bits.
                let length = u16::try_from(record.rdata.len()).unwrap_or(u16::MAX);
                records.extend_from_slice(record.owner.as_wire());
                records.extend_from_slice(&record.rtype.0.to_be_bytes());
                records.extend_from_slice(&ttl.to_be_bytes());
                records.extend_from_slice(&length.to_be_bytes());
                records.extend_from_slice(&record.rdata[..usize::from(length)]);
            }
        }
        if records.len() == question.len() && negative.is_none() {
            lifetime = 0;
        }
        let fresh_until = now + Duration::from_secs(lifetime.into());
        let entry = Entry {
            rcode: answer.rcode,
            stored: now,
            fresh_until,
            kept_until: fresh_until,
            stale: false,
            answers: u16::try_from(answer.answer.len()).unwrap_or(u16::MAX),
            // A name is at most 255 bytes long (RFC 1035 2.3.4).
            name: question.len() as u8,
            rtype: ask.rtype,
            flags: ask.flags,
            rest: answer.rest.clone(),
            records: records.into(),
        };
        (entry, lifetime)
    }

    /// QNAME, QTYPE and the flags.
    #[inline]
    fn question(&self) -> (&NameRef, Rtype, AskFlags) {
        (NameRef::wrap_trusted(&self.records[..usize::from(self.name)]), self.rtype, self.flags)
    }

    #[inline]
    fn raw(&self) -> impl Iterator<Item = Raw<'_>> {
        let mut rest = &self.records[usize::from(self.name)..];
        std::iter::from_fn(move || {
            let owner = NameRef::read_trusted(rest);
            let (head, data) = rest[owner.as_wire().len()..].split_first_chunk::<8>()?;
            let &[y0, y1, t0, t1, t2, t3, l0, l1] = head;
            let (rdata, next) = data.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
            rest = next;
            let (rtype, ttl) = (Rtype(u16::from_be_bytes([y0, y1])), u32::from_be_bytes([t0, t1, t2, t3]));
            Some(Raw { owner, rtype, ttl, rdata })
        })
    }
}

struct Raw<'a> {
    owner: &'a NameRef,
    rtype: Rtype,
    ttl: u32,
    rdata: &'a [u8],
}

/// The lowest TTL of each RRset, which then is the TTL of all its records (RFC 2181 5.2).
fn lowest_ttls(section: &[Record]) -> BTreeMap<(&NameRef, Rtype), u32> {
    let mut ttls = BTreeMap::new();
    for record in section {
        ttls.entry((&*record.owner, record.rtype))
            .and_modify(|ttl: &mut u32| *ttl = record.ttl.min(*ttl))
            .or_insert(record.ttl);
    }
    ttls
}

/// The key: name in lower case, type, flags.
fn key<'b>(
    buffer: &'b mut [u8; MAX_NAME + KEY_TAIL],
    name: &NameRef,
    rtype: Rtype,
    flags: AskFlags,
) -> &'b [u8] {
    let length = name.as_wire().len();
    buffer[..length].copy_from_slice(name.as_wire());
    buffer[..length].make_ascii_lowercase();
    buffer[length..length + 2].copy_from_slice(&rtype.0.to_be_bytes());
    buffer[length + 2] = flags.bits();
    &buffer[..length + KEY_TAIL]
}

#[cfg(test)]
mod tests;
