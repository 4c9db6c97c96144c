//! `tidemark check`: mistakes in configurations and zone files, told like a compiler's, and what was looked at.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use serde::Serialize;

use crate::cli::args::CheckArgs;
use crate::cli::diagnostics;
use crate::cli::exit::{Exit, Failure, counted, written};
use crate::cli::foreign;
use crate::config::error::{Error, Errors};
use crate::config::load;
use crate::server::files::folder::{Named, find_zones};
use crate::server::files::load::{self as zone_file, LoadError, Loaded, name_of};
use crate::server::settings::Zone;
use crate::text::file::diagnostic::{Diagnostic, Severity};
use crate::text::rdata::write;
use crate::wire::name::Name;
use crate::zone::canonical;
use crate::zone::serial::Serial;
use crate::zone::snapshot::Snapshot;

/// So many zones of one configuration are told one by one; the others are counted.
const MAX_ZONES: usize = 20;
/// So much of a file that is no zone file is looked at for what it is instead, in bytes.
const MAX_HEAD: u64 = 16 << 10;

/// Checks every file, and the zone files that configurations name.
pub fn run(args: &CheckArgs) -> Result<Exit, Failure> {
    let mut report = Report { is_told: !args.json, ..Report::default() };
    for path in &args.files {
        if path.extension() == Some(OsStr::new("toml")) {
            let (from, errors) = (report.zones.len(), report.errors);
            let zones = config(path, &mut report);
            let good = &report.zones[from..];
            let mut text: String = good.iter().take(MAX_ZONES).map(ZoneReport::line).collect();
            if let Some(more) = good.len().checked_sub(MAX_ZONES).filter(|more| *more > 0) {
                text += &format!("and {more} zone files more: ok\n");
            }
            if report.errors == errors {
                text += &format!("{}: {}: ok\n", path.display(), counted(zones, "zone"));
            }
            report.say(&text)?;
            continue;
        }
        match zone(path, args.origin.as_ref(), &mut report) {
            Ok(zone) if args.print => drop(written(print(&zone))?),
            Ok(_) => report.say(&report.zones.last().map_or(String::new(), ZoneReport::line))?,
            Err(told) => told.iter().for_each(|told| report.error(path, told)),
        }
    }
    let failed = report.errors > 0 || (args.strict && report.warnings > 0);
    if args.json {
        let text = serde_json::to_string(&report).map_err(|error| Failure::new(error.to_string()))?;
        written(writeln!(io::stdout(), "{text}"))?;
    } else if report.errors + report.warnings > 0 {
        anstream::eprintln!("{}, {}", counted(report.errors, "error"), counted(report.warnings, "warning"));
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// What was looked at, and what was found.
#[derive(Default, Serialize)]
struct Report {
    /// Zones that can be served.
    zones: Vec<ZoneReport>,
    /// What is wrong, in the order in which it was found; of a configuration with very many errors the first ones.
    findings: Vec<Finding>,
    /// All that were found.
    errors: u64,
    warnings: u64,
    /// How many of them are not among the findings.
    left_out: u64,
    /// Whether what is found is told at once, to people.
    #[serde(skip)]
    is_told: bool,
}

/// A zone that can be served.
#[derive(Serialize)]
struct ZoneReport {
    file: String,
    zone: Name,
    serial: Serial,
    records: u64,
}

/// Something that is wrong in a file, or with one as a whole: then there is no line. Lines and columns are counted from 1.
#[derive(Serialize)]
struct Finding {
    severity: Severity,
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    expected: Option<String>,
}

impl ZoneReport {
    fn line(&self) -> String {
        let ZoneReport { file, zone, serial, records } = self;
        format!("{file}: {zone}, {}, serial {serial}: ok\n", counted(*records, "record"))
    }
}

impl Finding {
    /// About all of a file, which the message names.
    fn of_file(severity: Severity, path: &Path, message: &str) -> Finding {
        Finding {
            severity,
            file: path.display().to_string(),
            line: None,
            column: None,
            message: message.to_owned(),
            expected: None,
        }
    }

    fn of_zone(found: &Diagnostic) -> Finding {
        Finding {
            severity: found.severity,
            file: found.file.clone(),
            line: usize::try_from(found.line).ok(),
            column: usize::try_from(found.column).ok(),
            message: found.message.clone(),
            expected: found.expected.clone(),
        }
    }

    fn of_config(path: &Path, error: &Error) -> Finding {
        let (line, column) = error.place().unzip();
        Finding {
            severity: Severity::Error,
            file: path.display().to_string(),
            line,
            column,
            message: error.message().to_owned(),
            expected: error.advice(),
        }
    }
}

impl Report {
    fn tell(&mut self, found: &[Diagnostic]) {
        let errors = found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        self.errors += errors as u64;
        self.warnings += (found.len() - errors) as u64;
        self.findings.extend(found.iter().map(Finding::of_zone));
        if self.is_told && !found.is_empty() {
            anstream::eprint!("{}", diagnostics::render(found, true));
        }
    }

    fn refuse(&mut self, path: &Path, errors: &Errors) {
        self.errors += errors.count() as u64;
        self.left_out += (errors.count() - errors.iter().count()) as u64;
        self.findings.extend(errors.iter().map(|error| Finding::of_config(path, error)));
        if self.is_told {
            anstream::eprintln!("{}", errors.render(true));
        }
    }

    fn warn(&mut self, path: &Path, message: &str) {
        self.warnings += 1;
        self.add(Severity::Warning, path, message);
    }

    fn error(&mut self, path: &Path, message: &str) {
        self.errors += 1;
        self.add(Severity::Error, path, message);
    }

    fn add(&mut self, severity: Severity, path: &Path, message: &str) {
        self.findings.push(Finding::of_file(severity, path, message));
        if self.is_told {
            let word = if severity == Severity::Error { "error" } else { "warning" };
            anstream::eprintln!("{word}: {message}");
        }
    }

    /// Tells people of what is right.
    fn say(&self, text: &str) -> Result<(), Failure> {
        if self.is_told {
            written(write!(io::stdout(), "{text}"))?;
        }
        Ok(())
    }
}

/// Checks a configuration and the zone files that it names, whatever is wrong with it; returns how many zones it has.
fn config(path: &Path, report: &mut Report) -> u64 {
    let look = load::look(path);
    let Named { zones, copies, problems } = find_zones(&look.named.zones, &look.named.zone_dirs);
    match &look.settings {
        Err(errors) => report.refuse(path, errors),
        Ok(settings) if settings.serves_nothing() => {
            let told =
                format!("{}: neither a zone nor `[resolver]`: every query would be refused", path.display());
            report.warn(path, &told);
        }
        Ok(settings)
            if settings.resolver.is_none()
                && zones.is_empty()
                && problems.is_empty()
                && copies.is_empty() =>
        {
            let told = format!(
                "{}: its folders hold no zone file that has content and a name that ends with `.zone`: every query would be refused",
                path.display()
            );
            report.warn(path, &told);
        }
        Ok(_) => {}
    }
    copies.iter().for_each(|copy| report.warn(&copy.path, &copy.why));
    problems.iter().for_each(|problem| report.error(&problem.path, &problem.why));
    let mut unreadable = Vec::new();
    for Zone { config, file } in &zones {
        let Some(file) = file else { continue };
        let Err(Some(told)) = zone(file, Some(&config.name), report) else { continue };
        match look.unreadable(&config.name, &told) {
            Some(error) => unreadable.push(error),
            None => report.error(file, &told),
        }
    }
    if let Some(errors) = Errors::of(unreadable) {
        report.refuse(path, &errors);
    }
    zones.len() as u64
}

/// Checks a zone file, and returns its content when it can be served. What is wrong with it is in the report, unless it cannot be read:
/// then this says so.
fn zone(path: &Path, origin: Option<&Name>, report: &mut Report) -> Result<Snapshot, Option<String>> {
    let apex = match origin.cloned().map_or_else(|| name_of(path), Ok) {
        Ok(apex) => apex,
        Err(error) => {
            report.error(path, &foreign(path).unwrap_or_else(|| error.to_string()));
            return Err(None);
        }
    };
    match zone_file::load(path, &apex) {
        Ok(Loaded { snapshot, mut warnings, .. }) => {
            warnings.extend(zone_file::lint(path, &snapshot));
            report.tell(&warnings);
            let (serial, records) = (snapshot.serial(), snapshot.records());
            report.zones.push(ZoneReport { file: path.display().to_string(), zone: apex, serial, records });
            return Ok(snapshot);
        }
        Err(error @ LoadError::Unreadable { .. }) => return Err(Some(error.to_string())),
        Err(LoadError::Faulty(found)) => match foreign(path) {
            Some(told) => report.error(path, &told),
            None => report.tell(&found),
        },
        Err(error) => report.error(path, &error.to_string()),
    }
    Err(None)
}

/// What is said of a file that could not be read as a zone file and is a configuration of another server.
fn foreign(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    // A pipe may never give anything.
    let file = path.is_file().then(|| File::open(path).ok())??;
    file.take(MAX_HEAD).read_to_end(&mut head).ok()?;
    let server = foreign::server_of(&String::from_utf8_lossy(&head))?;
    Some(format!(
        "{}: this looks like a configuration of {server}, not a zone file; `tidemark check` takes zone files and tidemark.toml",
        path.display()
    ))
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
