//! Zone files on disk to snapshots: reading, `$INCLUDE`, and faults of the whole zone brought back to their lines.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rtype;
use crate::zone::file::diagnostic::{Diagnostic, Severity};
use crate::zone::file::read::{Entry, Outcome, read};
use crate::zone::lint::{self, Lint};
use crate::zone::snapshot::{Builder, Fault, Snapshot};

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

/// The name of the zone in a file: that of its SOA, else its first `$ORIGIN`, else the file name less `.zone`.
pub fn name_of(path: &Path) -> Result<Name, LoadError> {
    let text = bytes(path)?;
    let from_file = path.file_name().and_then(|name| name.to_str()).and_then(|name| {
        let stem = name.strip_suffix(".zone").unwrap_or(name);
        stem.parse::<Name>().ok()
    });
    let outcome = scan(path, &text, from_file.as_deref(), &mut |_| {});
    outcome.origin.or(from_file).ok_or_else(|| LoadError::Unreadable {
        path: path.to_owned(),
        reason: "it has no SOA and no $ORIGIN, and its file name is not a zone name; add a line `$ORIGIN your.zone.`".to_owned(),
    })
}

/// Reads the zone `apex` from a file.
pub fn load(path: &Path, apex: &NameRef) -> Result<Loaded, LoadError> {
    let text = bytes(path)?;
    let mut builder = Builder::new(apex.to_name());
    let outcome = scan(path, &text, Some(apex), &mut |entry| {
        builder.add(entry.owner, entry.rtype, entry.ttl, entry.rdata)
    });
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
    fs::read(path).map_err(|error| LoadError::Unreadable { path: path.to_owned(), reason: error.to_string() })
}

fn scan(path: &Path, text: &[u8], origin: Option<&NameRef>, each: &mut dyn FnMut(&Entry<'_>)) -> Outcome {
    let mut include = |written: &str, from: &str| {
        // RFC 1035 leaves open what a relative path is relative to; the including file moves with what it includes.
        let path = Path::new(from).parent().unwrap_or(Path::new("")).join(written);
        let text = fs::read(&path).map_err(|error| error.to_string())?;
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
    let outcome = scan(path, text, Some(apex), &mut |entry| {
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
            Some(_) => fs::read(&found.file).iter().for_each(|text| found.show_line(text)),
            None => {
                (found.file, found.line, found.column) = (path.display().to_string(), 1, 1);
            }
        }
        found
    };
    faults.iter().zip(&places).map(locate).collect()
}
