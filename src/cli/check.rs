//! `tidemark check`: mistakes in configurations and zone files, told like a compiler's.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::cli::args::CheckArgs;
use crate::cli::diagnostics;
use crate::cli::exit::{Exit, Failure, written};
use crate::config::load;
use crate::server::files::folder::{Named, find_zones};
use crate::server::files::load::{self as zone_file, LoadError, Loaded, name_of};
use crate::server::settings::Settings;
use crate::text::file::diagnostic::{Diagnostic, Severity};
use crate::text::rdata::write;
use crate::wire::name::Name;
use crate::zone::canonical;
use crate::zone::snapshot::Snapshot;

/// Checks every file, and the zone files that configurations name.
pub fn run(args: &CheckArgs) -> Result<Exit, Failure> {
    let mut tally = Tally::default();
    for path in &args.files {
        if path.extension() == Some(OsStr::new("toml")) {
            config(path, &mut tally);
        } else if let Some(zone) = zone(path, args.origin.as_ref(), &mut tally)
            && args.print
        {
            written(print(&zone))?;
        }
    }
    let failed = tally.errors > 0 || (args.strict && tally.warnings > 0);
    if tally.errors + tally.warnings > 0 {
        anstream::eprintln!("{}, {}", counted(tally.errors, "error"), counted(tally.warnings, "warning"));
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[derive(Default)]
struct Tally {
    errors: usize,
    warnings: usize,
}

impl Tally {
    fn tell(&mut self, found: &[Diagnostic]) {
        let errors = found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        self.errors += errors;
        self.warnings += found.len() - errors;
        if !found.is_empty() {
            anstream::eprint!("{}", diagnostics::render(found, true));
        }
    }

    fn warn(&mut self, message: &str) {
        self.warnings += 1;
        anstream::eprintln!("warning: {message}");
    }

    fn error(&mut self, message: &str) {
        self.errors += 1;
        anstream::eprintln!("error: {message}");
    }
}

fn config(path: &Path, tally: &mut Tally) {
    let settings: Settings = match load::load(path) {
        Ok(settings) => settings,
        Err(errors) => {
            tally.errors += errors.count();
            anstream::eprintln!("{}", errors.render(true));
            return;
        }
    };
    if settings.serves_nothing() {
        tally.warn(&format!(
            "{}: neither a zone nor `[resolver]`: every query would be refused",
            path.display()
        ));
    }
    let Named { zones, problems } = find_zones(&settings);
    problems.iter().for_each(|problem| tally.error(problem));
    for found in zones {
        if let Some(path) = &found.file {
            zone(path, Some(&found.config.name), tally);
        }
    }
}

/// Checks a zone file; returns its content when it can be served.
fn zone(path: &Path, origin: Option<&Name>, tally: &mut Tally) -> Option<Snapshot> {
    let apex = match origin.cloned().map_or_else(|| name_of(path), Ok) {
        Ok(apex) => apex,
        Err(error) => {
            tally.error(&error.to_string());
            return None;
        }
    };
    match zone_file::load(path, &apex) {
        Ok(Loaded { snapshot, mut warnings, .. }) => {
            warnings.extend(zone_file::lint(path, &snapshot));
            tally.tell(&warnings);
            Some(snapshot)
        }
        Err(LoadError::Faulty(found)) => {
            tally.tell(&found);
            None
        }
        Err(error) => {
            tally.error(&error.to_string());
            None
        }
    }
}

/// Writes a zone in canonical order, one record a line.
fn print(zone: &Snapshot) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut line = String::new();
    for record in canonical::records(zone) {
        line.clear();
        write::record(record.owner, record.ttl, record.rtype, record.rdata, &mut line);
        writeln!(out, "{}", line.trim_end())?;
    }
    out.flush()
}
