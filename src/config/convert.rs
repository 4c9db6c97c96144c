//! From the file as written to settings: what serde cannot check. Whatever fails is told with its place, and the rest is checked all the
//! same.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use crate::config::document::{self, Document, Text, Texts};
use crate::config::error::{Error, Errors, Found};
use crate::config::look::{Look, Named};
use crate::config::value::{self, ValueError};
use crate::config::{recover, suggest};
use crate::node::settings::{Role, ZoneConfig, ZoneOptions};
use crate::server::settings::{self, Settings};
use crate::server::unread::{Content, Fault, Source, Unread};
use crate::wire::name::Name;
use crate::wire::prefix::Prefix;
use crate::zone::serial::Policy;

/// How often a secondary asks its primaries at least, where nothing else is configured.
const LEASE: Duration = Duration::from_secs(10);
/// The longest that may be configured.
const LONGEST_LEASE: Duration = Duration::from_secs(86_400);

/// Some part is wrong, and has been told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told;

/// What a configuration is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To start a node: it can do without some files and folders for a while.
    Start,
    /// To see whether it is right, or to bring it into force in the place of one that is.
    Check,
}

/// The settings in `text`, the content of the file at `path`.
pub(super) fn settings(path: &Path, text: Arc<str>, purpose: Purpose) -> Result<Settings, Errors> {
    Reading::of(path, text, purpose, Reading::settings).0
}

/// The same to be checked, with what can be checked of it whether or not there are any.
pub(super) fn look(path: &Path, text: Arc<str>) -> Look {
    let (settings, named) = Reading::of(path, Arc::clone(&text), Purpose::Check, Reading::settings);
    Look { path: path.to_owned(), text, settings, named }
}

/// The control socket in `text`, or what is wrong where it does not tell one.
pub(super) fn control(path: &Path, text: Arc<str>) -> Result<PathBuf, Errors> {
    let control = |reading: &Reading<'_>, document: Document| Ok(reading.server(document.server)?.control);
    Reading::of(path, text, Purpose::Check, control).0
}

/// The file being read, for messages and for paths relative to it.
pub(super) struct Reading<'a> {
    path: &'a Path,
    text: Arc<str>,
    pub(super) folder: &'a Path,
    purpose: Purpose,
    found: RefCell<Found>,
    named: RefCell<Named>,
    sources: RefCell<Vec<Source>>,
    unread: RefCell<Vec<Unread>>,
    /// Sections and lists that serde could not read all of.
    incomplete: Vec<Range<usize>>,
}

impl<'a> Reading<'a> {
    /// What `read` makes of a file, unless anything is wrong with it, and what it names all the same.
    fn of<T>(
        path: &'a Path,
        text: Arc<str>,
        purpose: Purpose,
        read: impl FnOnce(&Reading<'a>, Document) -> Result<T, Told>,
    ) -> (Result<T, Errors>, Named) {
        let mut found = Found::default();
        let document = recover::document(&text, |error| {
            found.add(suggest::explain(path, &text, error));
            !found.is_full()
        });
        let folder = path.parent().unwrap_or(Path::new(""));
        let (document, incomplete) = document.unzip();
        let reading = Reading {
            path,
            text,
            folder,
            purpose,
            found: RefCell::new(found),
            named: RefCell::default(),
            sources: RefCell::default(),
            unread: RefCell::default(),
            incomplete: incomplete.unwrap_or_default(),
        };
        let outcome = document.map(|document| read(&reading, document));
        let outcome = match (reading.found.take().finish(), outcome) {
            (None, Some(Ok(settings))) => Ok(settings),
            (Some(errors), _) => Err(errors),
            // Nothing fails without being told.
            (None, _) => Err(reading.whole("the configuration cannot be read").into()),
        };
        (outcome, reading.named.take())
    }

    fn settings(&self, document: Document) -> Result<Settings, Told> {
        let server = self.server(document.server);
        for key in &document.key {
            let fault = self.error(key.span(), "TSIG keys are not supported yet");
            self.tell(fault.help("remove `[[key]]` and every `key NAME`; allow addresses instead"));
        }
        let zones = self.zones(document.zone);
        let zone_dirs = all(document.zone_dir, |dir| self.zone_dir(dir));
        let resolver = document.resolver.map(|resolver| self.resolver(resolver)).transpose();
        Ok(Settings {
            server: server?,
            zones: zones?,
            zone_files: Vec::new(),
            zone_dirs: zone_dirs?,
            resolver: resolver?,
            metrics_per_zone: document.metrics_per_zone.unwrap_or(false),
            sources: self.sources.take(),
            unread: self.unread.take(),
        })
    }

    fn zones(&self, written: Vec<Spanned<document::Zone>>) -> Result<Vec<settings::Zone>, Told> {
        let mut places: HashMap<Name, Range<usize>> = HashMap::new();
        all(written, |zone| {
            let section = zone.span();
            let zone = zone.into_inner();
            let name = self.zone_name(&section, zone.name.as_ref(), &mut places);
            if let Ok(name) = &name {
                let file = zone.file.as_ref().filter(|file| !file.as_ref().is_empty());
                let file = file.map(|file| (self.folder.join(file.as_ref()), file.span()));
                self.named.borrow_mut().zone(name, file);
            }
            let (file, options) = self.zone(section, zone)?;
            Ok(settings::Zone { config: ZoneConfig::new(name?, options), file })
        })
    }

    /// The name of a zone, which no other has.
    fn zone_name(
        &self,
        section: &Range<usize>,
        written: Option<&Text>,
        places: &mut HashMap<Name, Range<usize>>,
    ) -> Result<Name, Told> {
        let help = "add the name of the zone's apex, for example `name = \"example.org.\"`";
        let written = written.ok_or_else(|| self.missing(section, "this `[[zone]]` has no `name`", help))?;
        let name = self.value(written, value::name)?;
        match places.insert(name.clone(), written.span()) {
            None => Ok(name),
            Some(first) => Err(self.tell(
                self.error(written.span(), format!("zone `{name}` is configured twice"))
                    .and(first, "first here")
                    .help("remove one of the two"),
            )),
        }
    }

    /// What is to be done with a zone, and its file.
    fn zone(
        &self,
        section: Range<usize>,
        zone: document::Zone,
    ) -> Result<(Option<PathBuf>, ZoneOptions), Told> {
        let updates = self.no_update(&zone.allow_update);
        let lease = self.duration_or_off("lease", zone.lease.clone(), Some(LEASE), LONGEST_LEASE);
        let from_secondaries = zone.from_secondaries.as_ref().is_some_and(|given| *given.get_ref());
        let (role, file) = match (&zone.file, zone.primaries) {
            (Some(file), None) => {
                let policy = zone.serial.map(Spanned::into_inner).unwrap_or_default();
                let no_meaning = |key, place: Range<usize>, help| {
                    self.tell(
                        self.error(place, format!("`{key}` has no meaning for a primary"))
                            .help(format!("remove it: {help}")),
                    )
                };
                let role = match (&zone.lease, &zone.from_secondaries) {
                    (None, None) => Ok(Role::Primary(policy)),
                    (Some(lease), _) => Err(no_meaning(
                        "lease",
                        lease.span(),
                        "how often a primary is asked is up to its secondaries",
                    )),
                    (None, Some(given)) => {
                        Err(no_meaning("from-secondaries", given.span(), "the zone comes from its file"))
                    }
                };
                (role, self.relative(file).map(Some))
            }
            (None, primaries @ Some(_)) => {
                (self.secondary(section, primaries, zone.serial.as_ref()), Ok(None))
            }
            (Some(file), Some(primaries)) => {
                let told = self.tell(
                    self.error(file.span(), "a zone has either `file` or `primaries`, not both")
                        .and(primaries.span(), "pulled from elsewhere")
                        .help("keep `file` to make this a primary, or `primaries` to make it a secondary"),
                );
                // What is wrong with either shows only once the other is gone.
                let primaries = self.list("primaries", Some(primaries), value::peer);
                let file = self.relative(file);
                (primaries.and(Err(told)), file.map(Some))
            }
            (None, None) => {
                let fault = "this `[[zone]]` has no data: neither `file` nor `primaries`";
                let help = "add `file = \"PATH\"` for a primary or `primaries = [\"ADDR\"]` for a secondary";
                (Err(self.missing(&section, fault, help)), Ok(None))
            }
        };
        let options = self.options(role, zone.notify, zone.allow_transfer, zone.watch);
        let options = options.and_then(|options| match options.is_secondary() {
            true => Ok(ZoneOptions { lease: lease?, from_secondaries, ..options }),
            false => Ok(options),
        });
        updates.and(Ok((file?, options?)))
    }

    fn secondary(
        &self,
        section: Range<usize>,
        primaries: Texts,
        serial: Option<&Spanned<Policy>>,
    ) -> Result<Role, Told> {
        let help = "give at least one server to pull from, or `file` to make this a primary";
        let primaries = self.some(section, "this `[[zone]]`", "primaries", primaries, value::peer, help);
        match serial {
            None => primaries.map(Role::Secondary),
            Some(serial) => Err(self.tell(
                self.error(serial.span(), "`serial` has no meaning for a secondary")
                    .help("remove it: a secondary takes the serial of its primary"),
            )),
        }
    }

    fn options(
        &self,
        role: Result<Role, Told>,
        notify: Texts,
        allow_transfer: Texts,
        watch: Texts,
    ) -> Result<ZoneOptions, Told> {
        let notify = self.list("notify", notify, value::peer);
        let allow_transfer = self.prefixes(allow_transfer);
        let watch = self.list("watch", watch, value::peer);
        let (notify, allow_transfer, watch) = (notify?, allow_transfer?, watch?);
        let role = role?;
        Ok(ZoneOptions { role, notify, allow_transfer, watch, ..ZoneOptions::default() })
    }

    fn zone_dir(&self, dir: Spanned<document::ZoneDir>) -> Result<settings::ZoneDir, Told> {
        let section = dir.span();
        let dir = dir.into_inner();
        let updates = self.no_update(&dir.allow_update);
        let role = Role::Primary(dir.serial.unwrap_or_default());
        let options = self.options(Ok(role), dir.notify, dir.allow_transfer, dir.watch);
        let help = "add the folder that holds the zone files, for example `path = \"zones.d\"`";
        let path = dir
            .path
            .as_ref()
            .ok_or_else(|| self.missing(&section, "this `[[zone-dir]]` has no `path`", help))?;
        let folder = self.relative(path)?;
        self.read(Source::ZoneDir(folder.clone()), |fault| {
            let help = "create it, or correct the path; paths are relative to the folder of this file";
            self.error(path.span(), fault.what).help(help)
        })?;
        self.named.borrow_mut().zone_dir(&folder);
        updates.and(Ok(settings::ZoneDir { path: folder, options: Arc::new(options?) }))
    }

    fn no_update(&self, allow_update: &Texts) -> Result<(), Told> {
        match allow_update.as_ref().filter(|who| !who.as_ref().is_empty()) {
            None => Ok(()),
            Some(who) => Err(self.tell(
                self.error(who.span(), "dynamic update (`allow-update`) is not supported yet")
                    .help("remove the key and edit the zone file, which is picked up by itself"),
            )),
        }
    }

    pub(super) fn prefixes(&self, written: Texts) -> Result<Vec<Prefix>, Told> {
        let texts = written.map(Spanned::into_inner).unwrap_or_default();
        all(texts, |text| self.value(&text, value::prefix))
    }

    /// A list of addresses that may be missing or empty; no address may stand there twice.
    fn list(
        &self,
        key: &str,
        written: Texts,
        read: fn(&str) -> Result<SocketAddr, ValueError>,
    ) -> Result<Vec<SocketAddr>, Told> {
        let mut places = HashMap::new();
        all(written.map(Spanned::into_inner).unwrap_or_default(), |text| {
            let address = self.value(&text, read)?;
            match places.insert(address, text.span()) {
                None => Ok(address),
                Some(first) => Err(self.tell(
                    self.error(text.span(), format!("`{address}` stands twice in `{key}`"))
                        .and(first, "first here")
                        .help("remove one of the two"),
                )),
            }
        })
    }

    /// A list of addresses that must hold at least one.
    pub(super) fn some(
        &self,
        section: Range<usize>,
        what: &str,
        key: &str,
        written: Texts,
        read: fn(&str) -> Result<SocketAddr, ValueError>,
        help: &str,
    ) -> Result<Vec<SocketAddr>, Told> {
        let Some(list) = &written else {
            return Err(self.missing(&section, format!("{what} has no `{key}`"), help));
        };
        if list.as_ref().is_empty() {
            return Err(self.missing(&list.span(), format!("`{key}` is empty"), help));
        }
        self.list(key, written, read)
    }

    pub(super) fn number<T: TryFrom<i64>>(
        &self,
        key: &str,
        written: Option<Spanned<i64>>,
        most: i64,
    ) -> Result<Option<T>, Told> {
        let Some(written) = written else { return Ok(None) };
        match T::try_from(*written.as_ref()) {
            Ok(number) if (1..=most).contains(written.as_ref()) => Ok(Some(number)),
            _ => Err(self.tell(
                self.error(written.span(), format!("`{key}` is out of range"))
                    .help(format!("write a number from 1 to {most}")),
            )),
        }
    }

    /// Seconds, or a text with units; at most `most`.
    pub(super) fn duration(
        &self,
        key: &str,
        written: Spanned<toml::Value>,
        most: Duration,
    ) -> Result<Duration, Told> {
        let place = written.span();
        let span = match written.into_inner() {
            toml::Value::String(text) => {
                Some(self.value(&Spanned::new(place.clone(), text), value::duration)?)
            }
            toml::Value::Integer(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
            _ => {
                let help = "write seconds as a number, or a text such as \"1d\" or \"30s\"";
                return Err(self.tell(self.error(place, format!("`{key}` is not a duration")).help(help)));
            }
        };
        span.filter(|span| *span <= most && span.subsec_nanos() == 0).ok_or_else(|| {
            self.tell(self.error(place, format!("`{key}` is out of range")).help(format!(
                "write whole seconds from 0 to {}, as a number or with units, as in \"1d\"",
                most.as_secs()
            )))
        })
    }

    /// The same, or `off`, which 0 stands for too.
    pub(super) fn duration_or_off(
        &self,
        key: &str,
        written: Option<Spanned<toml::Value>>,
        default: Option<Duration>,
        most: Duration,
    ) -> Result<Option<Duration>, Told> {
        match written {
            None => Ok(default),
            Some(written) if written.as_ref().as_str() == Some("off") => Ok(None),
            Some(written) => {
                self.duration(key, written, most).map(|span| Some(span).filter(|span| !span.is_zero()))
            }
        }
    }

    /// Reads a string by `read`; an error points at the part of the string that is wrong.
    pub(super) fn value<T>(&self, text: &Text, read: fn(&str) -> Result<T, ValueError>) -> Result<T, Told> {
        read(text.as_ref()).map_err(|error| {
            let span = text.span();
            // Without escapes the value stands in the file byte for byte, between quotes of one byte each.
            let inside = span.start + 1..span.end.saturating_sub(1);
            let place = match self.text.get(inside.clone()) {
                Some(verbatim) if verbatim == text.as_ref() && !error.at.is_empty() => {
                    inside.start + error.at.start..inside.start + error.at.end
                }
                _ => span,
            };
            self.tell(self.error(place, error.message).help(error.help))
        })
    }

    pub(super) fn relative(&self, text: &Text) -> Result<PathBuf, Told> {
        if text.as_ref().is_empty() {
            let help = "write a path relative to the folder of this file";
            return Err(self.tell(self.error(text.span(), "empty path").help(help)));
        }
        Ok(self.folder.join(text.as_ref()))
    }

    pub(super) fn error(&self, place: Range<usize>, message: impl Into<String>) -> Error {
        self.whole(message).at(place, "")
    }

    pub(super) fn whole(&self, message: impl Into<String>) -> Error {
        Error::new(self.path, &self.text, message)
    }

    /// Takes an error in.
    pub(super) fn tell(&self, error: Error) -> Told {
        self.found.borrow_mut().add(error);
        Told
    }

    /// What is read from a source, or else the error that `explain` makes; `None` where a node is to start without it.
    pub(super) fn read(
        &self,
        source: Source,
        explain: impl FnOnce(Fault) -> Error,
    ) -> Result<Option<Content>, Told> {
        self.sources.borrow_mut().push(source.clone());
        match source.read() {
            Ok(content) => Ok(Some(content)),
            Err(fault) if self.purpose == Purpose::Start => {
                self.unread.borrow_mut().push(source.unread(fault));
                Ok(None)
            }
            Err(fault) => Err(self.tell(explain(fault))),
        }
    }

    /// Whether serde read all sections: one that is not there may be what it refused.
    pub(super) fn has_all_sections(&self) -> bool {
        !self.incomplete.contains(&recover::WHOLE)
    }

    /// Says that a section or list lacks something, unless that is what was refused in it.
    pub(super) fn missing(&self, place: &Range<usize>, message: impl Into<String>, help: &str) -> Told {
        match self.incomplete.contains(place) {
            true => Told,
            false => self.tell(self.error(place.clone(), message).help(help)),
        }
    }
}

/// Reads every element, whatever is wrong with those before.
pub(super) fn all<W, T>(written: Vec<W>, read: impl FnMut(W) -> Result<T, Told>) -> Result<Vec<T>, Told> {
    let read: Vec<Result<T, Told>> = written.into_iter().map(read).collect();
    read.into_iter().collect()
}
