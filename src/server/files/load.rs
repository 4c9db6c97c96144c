//! Zone files on disk to snapshots: reading, `$INCLUDE`, and faults of the whole zone brought back to their lines.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::text::file::diagnostic::{Diagnostic, Severity};
use crate::text::file::read::{Entry, Outcome};
use crate::time::Utc;
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rtype;
use crate::zone::fault::Fault;
use crate::zone::lint::{self, Lint};
use crate::zone::reading::Reading;
use crate::zone::snapshot::Snapshot;

use super::super::content;
use super::super::memory;
use super::lease;
use super::scan::{content, scan, scan_with, text_limit, too_large};

/// What a record costs in memory beside its name and data, in bytes, roughly and while a zone is put together.
const RECORD_COST: u64 = 64;
/// What it costs besides when its owner is another one than that of the record before.
const OWNER_COST: u64 = 128;

/// A zone file that was read.
#[derive(Debug)]
pub struct Loaded {
    /// The content.
    pub snapshot: Snapshot,
    /// What is odd but does not keep the zone from being served.
    pub warnings: Vec<Diagnostic>,
    /// The file and all that it includes: a change to any of them changes the zone.
    pub files: Vec<PathBuf>,
    /// When one of them was changed last.
    pub edited: Option<Utc>,
}

/// Why a zone file cannot be served.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read at all.
    #[error("cannot read zone file {}: {reason}", resolved(path).display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason, and the next step.
        reason: String,
    },
    /// It may be half of what it is to be.
    #[error(
        "{path} is still open for writing by another process (`fuser -v {path}` shows which); it is read once it is closed",
        path = .path.display()
    )]
    Open {
        /// The file, or one that it includes.
        path: PathBuf,
    },
    /// It can be read but is wrong; warnings are among these too.
    #[error("{}", first_error(.0))]
    Faulty(Vec<Diagnostic>),
}

impl LoadError {
    /// Everything there is to say about it.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            LoadError::Unreadable { .. } | LoadError::Open { .. } => &[],
            LoadError::Faulty(diagnostics) => diagnostics,
        }
    }
}

fn first_error(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    match (errors.clone().next(), errors.count()) {
        (Some(first), 1) => first.to_string(),
        (Some(first), count) => format!("{first} (and {} more; `tidemark check` shows all)", count - 1),
        (None, _) => "zone file is not usable".to_owned(),
    }
}

/// The path as it was resolved: one that is relative may be right for another folder.
fn resolved(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What zone a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The file is free of faults of form, and this is the name in it.
    Certain(Name),
    /// The name as far as it can be made out of a file with faults, or without a SOA and `$ORIGIN`.
    Guess(Name),
    /// There is nothing in it but space and comments: perhaps it is still to be written.
    Empty,
}

/// A zone file that was read once for its name and its content.
#[derive(Debug)]
pub(super) struct Opened {
    /// Which zone it holds.
    pub(super) identity: Identity,
    /// The zone's content, unless the file is empty.
    pub(super) loaded: Option<Result<Loaded, LoadError>>,
}

/// The zone in a file: that of its SOA, else its first `$ORIGIN`, else the file name less `.zone`.
pub fn identify(path: &Path) -> Result<Identity, LoadError> {
    identify_text(path, &bytes(path)?)
}

fn identify_text(path: &Path, text: &[u8]) -> Result<Identity, LoadError> {
    let from_file = name_in(path);
    let mut entries = 0_usize;
    let outcome = scan(path, text, from_file.as_deref(), text_limit(), &mut |_| {
        entries += 1;
        ControlFlow::Continue(())
    });
    let is_ok = outcome.is_ok();
    match (outcome.origin, from_file) {
        (Some(name), _) if is_ok => Ok(Identity::Certain(name)),
        (None, _) if is_ok && entries == 0 => Ok(Identity::Empty),
        (Some(name), _) | (None, Some(name)) => Ok(Identity::Guess(name)),
        (None, None) => Err(nameless(path)),
    }
}

/// Reads the zone in a file, whichever it is: usually in one go. `base` gives the version of a zone that its new content is
/// compared with as it is read.
pub(super) fn open(
    path: &Path,
    base: &dyn Fn(&NameRef) -> Option<Snapshot>,
    bounds: &Bounds<'_>,
) -> Result<Opened, LoadError> {
    let text = match bounds.bytes(path) {
        Ok(text) => text,
        Err(error) => return unread(path, error),
    };
    // Where this turns out to be the name of the zone, reading began with the right origin, and nothing has to be read again.
    let from_file = name_in(path);
    if let Some(name) = first_name(path, &text, from_file.as_deref()).or(from_file) {
        let (outcome, loaded) = load_text(path, &text, &name, base(&name), bounds);
        if outcome.is_ok() && outcome.origin.as_ref() == Some(&name) {
            return Ok(Opened { identity: Identity::Certain(name), loaded: Some(loaded) });
        }
        if let Err(LoadError::Open { .. }) = loaded {
            return Ok(Opened { identity: Identity::Guess(name), loaded: Some(loaded) });
        }
    }
    let identity = identify_text(path, &text)?;
    let loaded = match &identity {
        Identity::Certain(name) | Identity::Guess(name) => {
            Some(load_text(path, &text, name, base(name), bounds).1)
        }
        Identity::Empty => None,
    };
    Ok(Opened { identity, loaded })
}

/// What there is to say of a file that is there and cannot be read now: the version from before is served under its name.
pub(super) fn unread(path: &Path, error: LoadError) -> Result<Opened, LoadError> {
    let name = match &error {
        // The name may be there already.
        LoadError::Open { .. } => name_of(path).ok(),
        LoadError::Unreadable { .. } => name_in(path).filter(|_| path.exists()),
        LoadError::Faulty(_) => None,
    };
    let name = name.ok_or_else(|| error.clone())?;
    Ok(Opened { identity: Identity::Guess(name), loaded: Some(Err(error)) })
}

/// The zone that a file says it holds, whatever its own name: by the owner of its SOA or an `$ORIGIN` with a final dot. One that cannot be
/// read, or not yet, says neither this nor that it holds none.
pub(super) fn said_name(path: &Path, bounds: &Bounds<'_>) -> Result<Option<Name>, LoadError> {
    let text = bounds.bytes(path)?;
    // Relative names are read below a name that no zone has (RFC 6761 6.4), so that the rest of the SOA may be of these.
    let Ok(unsaid) = "unsaid.invalid.".parse::<Name>() else { return Ok(None) };
    Ok(first_name(path, &text, Some(&unsaid)).filter(|name| !name.is_in(&unsaid)))
}

/// Whether a file is named like a zone, with or without the last dot.
pub(super) fn is_namesake(path: &Path, zone: &NameRef) -> bool {
    name_in(path).as_deref() == Some(zone)
}

/// The owner of the first SOA, or else what [`Outcome::origin`] is otherwise. The SOA is nearly always the first record.
fn first_name(path: &Path, text: &[u8], origin: Option<&NameRef>) -> Option<Name> {
    let mut until_soa = |entry: &Entry<'_>| match entry.rtype {
        Rtype::SOA => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    scan(path, text, origin, text_limit(), &mut until_soa).origin
}

/// The name of the zone in a file as by [`identify`]; an empty file has that of its file name.
pub fn name_of(path: &Path) -> Result<Name, LoadError> {
    match identify(path)? {
        Identity::Certain(name) | Identity::Guess(name) => Ok(name),
        Identity::Empty => name_in(path).ok_or_else(|| nameless(path)),
    }
}

/// The zone that a file name speaks of. One of other characters than those of host names, or of none (`.zone`), is chance
/// and not a zone; above all it is not the root.
fn name_in(path: &Path) -> Option<Name> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(".zone").unwrap_or(name);
    let is_sensible = stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    stem.parse::<Name>().ok().filter(|name| is_sensible && !name.is_root())
}

fn nameless(path: &Path) -> LoadError {
    let reason =
        "it has no SOA and no $ORIGIN, and its file name is not a zone name; add a line `$ORIGIN your.zone.`";
    LoadError::Unreadable { path: path.to_owned(), reason: reason.to_owned() }
}

/// Reads the zone `apex` from a file.
pub fn load(path: &Path, apex: &NameRef) -> Result<Loaded, LoadError> {
    load_onto(path, apex, None, &Bounds::new(&AtomicBool::new(false)))
}

/// Reads the zone `apex` from a file, comparing it with an older version that the outcome may share with.
pub(super) fn load_onto(
    path: &Path,
    apex: &NameRef,
    base: Option<Snapshot>,
    bounds: &Bounds<'_>,
) -> Result<Loaded, LoadError> {
    let text = bounds.bytes(path)?;
    load_text(path, &text, apex, base, bounds).1
}

/// What a thread that reads keeps to.
pub(super) struct Bounds<'b> {
    /// Bytes that text and records may need together.
    memory: u64,
    /// Records up to which a zone is looked through for what hurts.
    linted: u64,
    /// Whether files that somebody has open for writing are left alone: where that cannot be asked, those of these places.
    awaits_writers: Option<&'b BTreeSet<PathBuf>>,
    /// Set once the outcome is of no use: reading then stops, and whatever comes of it is to be thrown away.
    is_needless: &'b AtomicBool,
}

impl<'b> Bounds<'b> {
    /// With all the memory that there is for a zone.
    pub(super) fn new(is_needless: &'b AtomicBool) -> Bounds<'b> {
        Bounds { memory: memory::half(), linted: 0, awaits_writers: None, is_needless }
    }

    /// The same, to be told what hurts about a zone that is not large, with what is odd in its text.
    pub(super) fn linting(self) -> Bounds<'b> {
        Bounds { linted: LINTED, ..self }
    }

    /// The same, but nothing is read that somebody has open for writing; files at these places, free of links, were not closed yet as far
    /// as could be seen.
    pub(super) fn awaiting_writers(self, open: &'b BTreeSet<PathBuf>) -> Bounds<'b> {
        Bounds { awaits_writers: Some(open), ..self }
    }
}

/// What has been taken so far.
#[derive(Default)]
struct Taken {
    records: u64,
    bytes: u64,
    /// The owner of the last record in wire form.
    owner: Vec<u8>,
}

/// A zone of more records is not looked through each time that it is read: it takes a moment, which an edit would wait for.
const LINTED: u64 = 10_000;

/// After so many records it is looked whether reading should go on.
const LOOK: u64 = 256;

impl Bounds<'_> {
    /// What a file holds; `None` when it is open for writing, and so to be left alone.
    fn content(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let file = content::open(path)?;
        let is_written =
            |open: &BTreeSet<PathBuf>| path.canonicalize().is_ok_and(|place| open.contains(&place));
        let is_open = || {
            let is_open = |open| lease::has_writer(&file).unwrap_or_else(|| is_written(open));
            self.awaits_writers.is_some_and(is_open)
        };
        if is_open() {
            return Ok(None);
        }
        let text = content::read(&file, limit, || too_large(limit))?;
        // Whoever has opened it meanwhile may have cut it.
        Ok((!is_open()).then_some(text))
    }

    fn bytes(&self, path: &Path) -> Result<Vec<u8>, LoadError> {
        let text = self.content(path, text_limit()).map_err(|error| unreadable(path, &error))?;
        text.ok_or_else(|| LoadError::Open { path: path.to_owned() })
    }

    /// Hands records on to `take` while there is need and room for them; counts what they need.
    fn within(&self, taken: &mut Taken, entry: &Entry<'_>, take: impl FnOnce(&Entry<'_>)) -> ControlFlow<()> {
        let owner = entry.owner.as_wire();
        // A short line can make a long record, when it takes over the owner from the line before.
        taken.bytes += owner.len() as u64 + entry.rdata.len() as u64 + RECORD_COST;
        if owner != taken.owner {
            taken.bytes += OWNER_COST;
            taken.owner.clear();
            taken.owner.extend_from_slice(owner);
        }
        taken.records += 1;
        if taken.records.is_multiple_of(LOOK) && self.is_needless.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        if taken.bytes > self.memory {
            return ControlFlow::Break(());
        }
        take(entry);
        ControlFlow::Continue(())
    }
}

fn load_text(
    path: &Path,
    text: &[u8],
    apex: &NameRef,
    base: Option<Snapshot>,
    bounds: &Bounds<'_>,
) -> (Outcome, Result<Loaded, LoadError>) {
    let mut reading = Reading::new(&apex.to_name(), base);
    let mut taken = Taken { bytes: text.len() as u64, ..Taken::default() };
    let mut open = None;
    let mut read = |path: &Path, limit: u64| {
        let text = bounds.content(path, limit).map_err(|error| error.to_string())?;
        text.ok_or_else(|| {
            open = Some(path.to_owned());
            "it is open for writing".to_owned()
        })
    };
    let outcome = scan_with(path, text, Some(apex), text_limit(), &mut read, &mut |entry| {
        bounds.within(&mut taken, entry, |entry| {
            reading.add(entry.owner, entry.rtype, entry.ttl, entry.rdata);
        })
    });
    let loaded = if let Some(path) = open {
        Err(LoadError::Open { path })
    } else if taken.bytes > bounds.memory {
        let megabytes = bounds.memory >> 20;
        let reason = format!(
            "its text and records need more than the {megabytes} MiB that there are for a zone; split the zone"
        );
        Err(LoadError::Unreadable { path: path.to_owned(), reason })
    } else if !outcome.is_ok() {
        Err(LoadError::Faulty(outcome.diagnostics.clone()))
    } else {
        let made = reading.finish_within(bounds.memory - taken.bytes);
        judge(path, text, apex, &outcome, made).map(|loaded| linted(path, text, loaded, bounds.linted))
    };
    (outcome, loaded)
}

/// What is to be said of records that were read well.
fn judge(
    path: &Path,
    text: &[u8],
    apex: &NameRef,
    outcome: &Outcome,
    made: Result<(Snapshot, Vec<Fault>), Vec<Fault>>,
) -> Result<Loaded, LoadError> {
    let mut diagnostics = outcome.diagnostics.clone();
    match made {
        Ok((snapshot, left_out)) => {
            diagnostics.extend(locate(path, text, apex, Severity::Warning, &left_out));
            let files: Vec<PathBuf> = outcome.files.iter().map(PathBuf::from).collect();
            let edited = files.iter().filter_map(|file| edited(file)).max();
            Ok(Loaded { snapshot, warnings: diagnostics, files, edited })
        }
        Err(faults) => {
            diagnostics.extend(locate(path, text, apex, Severity::Error, &faults));
            Err(LoadError::Faulty(diagnostics))
        }
    }
}

/// Adds what hurts about a zone of at most so many records.
fn linted(path: &Path, text: &[u8], mut loaded: Loaded, most: u64) -> Loaded {
    if loaded.snapshot.records() <= most {
        let lints = lint::lint(&loaded.snapshot);
        loaded.warnings.extend(locate(path, text, loaded.snapshot.apex(), Severity::Warning, &lints));
    }
    loaded
}

/// When a file was changed last. By its ctime: one that was made ready long ago and is renamed into its place is changed then.
fn edited(path: &Path) -> Option<Utc> {
    let about = path.metadata().ok()?;
    let seconds = u64::try_from(about.ctime()).ok()?;
    Some(Utc(seconds * 1_000_000 + about.ctime_nsec().unsigned_abs() / 1_000))
}

/// What hurts about a zone that can be served ([`crate::zone::lint`]), with the lines where it stands.
pub fn lint(path: &Path, zone: &Snapshot) -> Vec<Diagnostic> {
    let text = bytes(path).unwrap_or_default();
    locate(path, &text, zone.apex(), Severity::Warning, &lint::lint(zone))
}

/// Something about records that [`locate`] finds the lines of.
trait Finding: fmt::Display {
    fn concerns(&self, entry: &Entry<'_>) -> bool;
    fn remedy(&self) -> Option<String>;
}

impl Finding for Fault {
    fn concerns(&self, entry: &Entry<'_>) -> bool {
        Fault::concerns(self, entry.owner, entry.rtype)
    }

    fn remedy(&self) -> Option<String> {
        Fault::remedy(self)
    }
}

impl Finding for Lint {
    fn concerns(&self, entry: &Entry<'_>) -> bool {
        Lint::concerns(self, entry.owner, entry.rtype, entry.rdata)
    }

    fn remedy(&self) -> Option<String> {
        Some(Lint::remedy(self))
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, LoadError> {
    content(path, text_limit()).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> LoadError {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => "; let the user that reads it here do so (chmod, chown)",
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "; put it there, or correct the path",
        _ => "",
    };
    LoadError::Unreadable { path: path.to_owned(), reason: format!("{error}{remedy}") }
}

/// Reads the file again to find where the records stand that a fault speaks of. Rare, and so not paid for while loading.
fn locate<F: Finding>(
    path: &Path,
    text: &[u8],
    apex: &NameRef,
    severity: Severity,
    faults: &[F],
) -> Vec<Diagnostic> {
    if faults.is_empty() {
        return Vec::new();
    }
    let mut places = vec![None; faults.len()];
    let outcome = scan(path, text, Some(apex), text_limit(), &mut |entry| {
        for (fault, place) in faults.iter().zip(&mut places) {
            if fault.concerns(entry) {
                // The last one is the one too many.
                *place = Some(entry.at);
            }
        }
        ControlFlow::Continue(())
    });
    let locate = |(fault, place): (&F, &Option<_>)| {
        let mut found =
            outcome.diagnostic(severity, place.unwrap_or_default(), fault.to_string(), fault.remedy());
        match place {
            Some(_) if found.file == path.display().to_string() => found.show_line(text),
            Some(_) => {
                content(Path::new(&found.file), text_limit()).iter().for_each(|text| found.show_line(text))
            }
            None => {
                (found.file, found.line, found.column) = (path.display().to_string(), 1, 1);
            }
        }
        found
    };
    faults.iter().zip(&places).map(locate).collect()
}

#[cfg(test)]
mod tests;
