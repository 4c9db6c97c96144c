//! Zone files on disk to snapshots: reading, `$INCLUDE`, and faults of the whole zone brought back to their lines.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rtype;
use crate::zone::file::diagnostic::{Diagnostic, Severity};
use crate::zone::file::read::{Entry, Outcome, read};
use crate::zone::lint::{self, Lint};
use crate::zone::snapshot::{Builder, Fault, Snapshot};

/// What all the files of a zone may have together, in bytes: more than nearly all zones there are.
const MAX_TEXT: u64 = 4 << 30;
/// What a record costs in memory beside its name and data, in bytes, roughly.
const RECORD_COST: u64 = 32;

/// A zone file that was read.
#[derive(Debug)]
pub struct Loaded {
    /// The content.
    pub snapshot: Snapshot,
    /// What is odd but does not keep the zone from being served.
    pub warnings: Vec<Diagnostic>,
    /// The file and all that it includes: a change to any of them changes the zone.
    pub files: Vec<PathBuf>,
}

/// Why a zone file cannot be served.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read at all.
    #[error("cannot read zone file {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// It can be read but is wrong; warnings are among these too.
    #[error("{}", first_error(.0))]
    Faulty(Vec<Diagnostic>),
}

impl LoadError {
    /// Everything there is to say about it.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            LoadError::Unreadable { .. } => &[],
            LoadError::Faulty(diagnostics) => diagnostics,
        }
    }
}

fn first_error(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    match (errors.clone().next(), errors.count()) {
        (Some(first), 1) => first.to_string(),
        (Some(first), count) => format!("{first} (and {} more)", count - 1),
        (None, _) => "zone file is not usable".to_owned(),
    }
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

/// The zone in a file: that of its SOA, else its first `$ORIGIN`, else the file name less `.zone`.
pub fn identify(path: &Path) -> Result<Identity, LoadError> {
    let text = bytes(path)?;
    let from_file = name_in(path);
    let mut entries = 0_usize;
    let outcome = scan(path, &text, from_file.as_deref(), text_limit(), &mut |_| entries += 1);
    let is_ok = outcome.is_ok();
    match (outcome.origin, from_file) {
        (Some(name), _) if is_ok => Ok(Identity::Certain(name)),
        (None, _) if is_ok && entries == 0 => Ok(Identity::Empty),
        (Some(name), _) | (None, Some(name)) => Ok(Identity::Guess(name)),
        (None, None) => Err(nameless(path)),
    }
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

/// Whether a file in a folder of zones is one of them, by its name.
pub(super) fn is_zone_file(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("zone"))
}

/// The `*.zone` files in a folder, sorted; none when it cannot be read, which is told.
pub(super) fn zone_files(folder: &Path) -> Vec<PathBuf> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::error!(folder = %folder.display(), "cannot read the folder of zones: {error}");
            return Vec::new();
        }
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = paths.filter(|path| is_zone_file(path) && path.is_file()).collect();
    files.sort();
    files
}

/// Reads the zone `apex` from a file.
pub fn load(path: &Path, apex: &NameRef) -> Result<Loaded, LoadError> {
    load_within(path, apex, half_the_memory())
}

/// The same, with `limit` bytes for its records.
fn load_within(path: &Path, apex: &NameRef, limit: u64) -> Result<Loaded, LoadError> {
    let text = bytes(path)?;
    let mut builder = Builder::new(apex.to_name());
    // A short line can make a long record, when it takes over the owner from the line before.
    let mut taken = 0;
    let outcome = scan(path, &text, Some(apex), text_limit(), &mut |entry| {
        taken += entry.owner.as_wire().len() as u64 + entry.rdata.len() as u64 + RECORD_COST;
        if taken <= limit {
            builder.add(entry.owner, entry.rtype, entry.ttl, entry.rdata);
        }
    });
    if taken > limit {
        let reason = format!("its records need more than the {} MiB that there are for a zone", limit >> 20);
        return Err(LoadError::Unreadable { path: path.to_owned(), reason });
    }
    let files = outcome.files.iter().map(PathBuf::from).collect();
    if !outcome.is_ok() {
        return Err(LoadError::Faulty(outcome.diagnostics));
    }
    match builder.finish() {
        Ok((snapshot, left_out)) => {
            let mut warnings = outcome.diagnostics;
            warnings.extend(locate(path, &text, apex, Severity::Warning, &left_out));
            Ok(Loaded { snapshot, warnings, files })
        }
        Err(faults) => {
            let mut diagnostics = outcome.diagnostics;
            diagnostics.extend(locate(path, &text, apex, Severity::Error, &faults));
            Err(LoadError::Faulty(diagnostics))
        }
    }
}

/// What hurts about a zone that can be served ([`crate::zone::lint`]), with the lines where it stands.
pub fn lint(path: &Path, zone: &Snapshot) -> Vec<Diagnostic> {
    let text = bytes(path).unwrap_or_default();
    locate(path, &text, zone.apex(), Severity::Warning, &lint::lint(zone))
}

/// Something about records that [`locate`] finds the lines of.
trait Finding: fmt::Display {
    fn concerns(&self, owner: &NameRef, rtype: Rtype) -> bool;
    fn remedy(&self) -> Option<String>;
}

impl Finding for Fault {
    fn concerns(&self, owner: &NameRef, rtype: Rtype) -> bool {
        Fault::concerns(self, owner, rtype)
    }

    fn remedy(&self) -> Option<String> {
        Fault::remedy(self)
    }
}

impl Finding for Lint {
    fn concerns(&self, owner: &NameRef, rtype: Rtype) -> bool {
        Lint::concerns(self, owner, rtype)
    }

    fn remedy(&self) -> Option<String> {
        Some(Lint::remedy(self))
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, LoadError> {
    let text = content(path, text_limit());
    text.map_err(|error| LoadError::Unreadable { path: path.to_owned(), reason: error.to_string() })
}

/// The bytes of a regular file of at most `limit` bytes. Others (pipes, devices) could block for good or never end.
fn content(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // O_NONBLOCK: opening a pipe would wait for a writer. It means nothing to a regular file.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file; put the zone into one"));
    }
    let mut text = Vec::new();
    if metadata.len() <= limit {
        text.try_reserve_exact(usize::try_from(metadata.len()).unwrap_or(usize::MAX))?;
        // It may grow while it is read.
        file.take(limit + 1).read_to_end(&mut text)?;
    }
    if metadata.len() > limit || text.len() as u64 > limit {
        let reason =
            format!("it is larger than the {} MiB that there are for a zone; split the zone", limit >> 20);
        return Err(io::Error::other(reason));
    }
    Ok(text)
}

/// How much text a zone may have in all its files: what is read must fit the memory, with the records made of it.
fn text_limit() -> u64 {
    MAX_TEXT.min(half_the_memory())
}

/// Half of the memory that the machine has, in bytes.
fn half_the_memory() -> u64 {
    // SAFETY: sysconf takes a number and touches no memory of ours.
    let (pages, size) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    match (u64::try_from(pages), u64::try_from(size)) {
        (Ok(pages), Ok(size)) => pages.saturating_mul(size) / 2,
        _ => MAX_TEXT,
    }
}

/// Reads a zone's text and what it includes, as long as that has no more than `limit` bytes in all.
fn scan(
    path: &Path,
    text: &[u8],
    origin: Option<&NameRef>,
    limit: u64,
    each: &mut dyn FnMut(&Entry<'_>),
) -> Outcome {
    // What is included counts each time, for it is read, and makes records, each time.
    let mut left = limit.saturating_sub(text.len() as u64);
    let mut include = |written: &str, from: &str| {
        // RFC 1035 leaves open what a relative path is relative to; the including file moves with what it includes.
        let path = Path::new(from).parent().unwrap_or(Path::new("")).join(written);
        let text = content(&path, left).map_err(|error| error.to_string())?;
        left -= text.len() as u64;
        Ok((path.display().to_string(), text))
    };
    read(&path.display().to_string(), text, origin, &mut include, each)
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
            if fault.concerns(entry.owner, entry.rtype) {
                // The last one is the one too many.
                *place = Some(entry.at);
            }
        }
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
