//! What the configuration names and a node can do without for a while: folders of zones, the certificate with its key, and the file of
//! cookie secrets. One that cannot be read keeps nothing else down, and is taken when it can be read.
//!
//! ```text
//!                       read                                  the configuration was read again, whole
//! named ──▶ unread ────────────▶ in force      unread ─────────────────────────────────────────────▶ forgotten
//!           │    ▲ told once,
//!           └────┘ tried again
//! ```

use std::fs;
use std::iter::successors;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::wire::cookie::Secrets;

use super::cookies;
use super::tls::Identity;

/// When what cannot be had is tried again first; each time it is twice as long ...
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// ... and this long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The pauses between tries to have what cannot be had at the start, without an end.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    successors(Some(FIRST_PAUSE), |pause| Some(LONGEST_PAUSE.min(2 * *pause)))
}

/// Something that a node can do without until it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder of zones.
    ZoneDir(PathBuf),
    /// The files of the certificate and of its key.
    Identity([PathBuf; 2]),
    /// The file of the cookie secrets.
    Cookies(PathBuf),
}

/// What was read from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// This folder of zones is there; its files are read by those who watch it.
    ZoneDir(PathBuf),
    /// What connections with TLS are shown.
    Identity(Identity),
    /// What cookies are made with.
    Cookies(Secrets),
}

/// A source that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Which; of what kind, for those who ask.
    #[serde(rename = "what", serialize_with = "kind")]
    pub source: Source,
    /// What of it cannot be read.
    #[serde(serialize_with = "shown")]
    pub path: PathBuf,
    /// Why not, and what to do about it.
    pub reason: String,
    /// Whether it had been read, and went away under the running node.
    pub gone: bool,
    /// Whether it can be read now, and is being read: what comes from it is still to come.
    #[serde(skip)]
    pub is_found: bool,
}

fn kind<S: serde::Serializer>(source: &Source, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(source.kind())
}

fn shown<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Why a source cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file or folder that it is about.
    pub path: PathBuf,
    /// A sentence without the next step.
    pub what: String,
}

impl Source {
    /// All kinds.
    pub const KINDS: [&str; 3] = ["folder", "certificate", "cookies"];

    /// Which of [`Source::KINDS`] it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Source::ZoneDir(_) => "folder",
            Source::Identity(_) => "certificate",
            Source::Cookies(_) => "cookies",
        }
    }

    /// Reads it, or says why that cannot be.
    pub fn read(&self) -> Result<Content, Fault> {
        let fault = |path: &Path, what| Fault { path: path.to_owned(), what };
        match self {
            Source::ZoneDir(path) => match fs::read_dir(path) {
                Ok(_) => Ok(Content::ZoneDir(path.clone())),
                Err(error) => Err(fault(path, format!("cannot read the folder {}: {error}", path.display()))),
            },
            Source::Identity(files) => Identity::read(&files[0], &files[1])
                .map(Content::Identity)
                .map_err(|error| fault(error.file_of(files), error.to_string())),
            Source::Cookies(path) => {
                cookies::from_file(path).map(Content::Cookies).map_err(|what| fault(path, what))
            }
        }
    }

    /// What was read before and cannot be any more, if that is so.
    pub(super) fn lost(self) -> Option<Unread> {
        let fault = self.read().err()?;
        Some(Unread { gone: true, ..self.unread(fault) })
    }

    /// It could not be read, for this reason.
    pub fn unread(self, Fault { path, what }: Fault) -> Unread {
        let reason = format!("{what}; {}", self.next_step());
        Unread { source: self, path, reason, gone: false, is_found: false }
    }

    fn next_step(&self) -> &'static str {
        match self {
            Source::ZoneDir(_) => "create it where the user of this node may read it, or correct its `path`",
            Source::Identity(_) => "put both PEM files where the user of this node may read them",
            Source::Cookies(_) => {
                "put one secret of 32 hexadecimal digits a line into a file that the user of this node may read"
            }
        }
    }

    /// How the node does without, what had been read and is gone too.
    fn meanwhile(&self, gone: bool) -> &'static str {
        match self {
            Source::ZoneDir(_) if gone => "what was served from it is served still, and edits are not seen",
            Source::ZoneDir(_) => "no zone is served from it",
            Source::Identity(_) => "the addresses for TLS stay closed",
            Source::Cookies(_) => "a secret made by chance is used, which no other server has",
        }
    }

    /// Where it is, or else the first place of several.
    fn path(&self) -> &Path {
        match self {
            Source::ZoneDir(path) | Source::Cookies(path) | Source::Identity([path, _]) => path,
        }
    }

    /// Says that it is there now.
    pub(super) fn tell_read(&self) {
        let path = self.path().display();
        match self {
            Source::ZoneDir(_) => tracing::info!("the folder {path} can be read now"),
            Source::Identity(_) => tracing::info!("the certificate {path} and its key are in force now"),
            Source::Cookies(_) => tracing::info!("the cookie secrets in {path} are in force now"),
        }
    }
}

impl Unread {
    /// Says why, what to do, and what is so meanwhile.
    pub(super) fn tell(&self) {
        let Unread { source, reason, gone, .. } = self;
        tracing::error!(
            "{reason}. It is tried again until it can be read; until then {}",
            source.meanwhile(*gone)
        );
    }

    /// The same while it is being read.
    pub(super) fn found(self) -> Unread {
        let again = if self.gone { " again" } else { "" };
        let reason = format!("the folder {} is there{again}, and is being read", self.path.display());
        Unread { reason, is_found: true, ..self }
    }

    /// Tries once more; `None` when nothing is new.
    pub(super) fn again(self) -> Option<(Source, Result<Content, Unread>)> {
        if self.is_found {
            return None;
        }
        let source = self.source.clone();
        match source.read() {
            Ok(content) => Some((source, Ok(content))),
            Err(fault) => {
                let unread = Unread { gone: self.gone, ..source.clone().unread(fault) };
                (unread != self).then_some((source, Err(unread)))
            }
        }
    }
}

/// Whether a folder of zones that nobody reads yet is among them, other than this one.
pub(super) fn lacks_folder(unread: &[Unread], but: Option<&Path>) -> bool {
    let is_lacking = |unread: &&Unread| matches!(unread.source, Source::ZoneDir(_)) && !unread.is_found;
    let folders = unread.iter().filter(is_lacking);
    folders.map(|unread| unread.source.path()).any(|folder| Some(folder) != but)
}

/// Those of folders that are named still and were not found to be unread when that was looked at again.
pub(super) fn found(before: &[Unread], named: &[Source], unread: &[Unread]) -> Vec<Unread> {
    let is_unread = |source: &Source| unread.iter().any(|unread| unread.source == *source);
    let is_found = |before: &&Unread| {
        let source = &before.source;
        matches!(source, Source::ZoneDir(_)) && named.contains(source) && !is_unread(source)
    };
    before.iter().filter(is_found).cloned().map(Unread::found).collect()
}

/// Why zones are missing of a folder of which not all was read yet, where that is so.
pub(super) fn missing_folder(unread: &[Unread]) -> Option<&str> {
    let is_missing = |unread: &&Unread| matches!(unread.source, Source::ZoneDir(_)) && !unread.gone;
    unread.iter().find(is_missing).map(|unread| unread.reason.as_str())
}

/// Why there is no certificate, where that is so.
pub(super) fn no_certificate(unread: &[Unread]) -> Option<&str> {
    let mut identities = unread.iter().filter(|unread| matches!(unread.source, Source::Identity(_)));
    identities.next().map(|unread| unread.reason.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread(source: &Source) -> Unread {
        source.clone().unread(source.read().unwrap_err())
    }

    #[test]
    fn what_cannot_be_read_is_tried_again_and_told_when_something_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cookies.key");
        let source = Source::Cookies(path.clone());
        let missing = unread(&source);
        assert!(missing.reason.contains("cookies.key: No such file"), "{missing:?}");
        assert!(missing.reason.contains("; put one secret"), "{missing:?}");
        assert_eq!(missing.clone().again(), None);
        fs::write(&path, "# still to come\n").unwrap();
        let what = format!("there is no cookie secret, in {}", path.display());
        let empty = source.clone().unread(Fault { path: path.clone(), what });
        assert_eq!(missing.again(), Some((source.clone(), Err(empty.clone()))));
        fs::write(&path, "11".repeat(16)).unwrap();
        let read = Content::Cookies(cookies::from_file(&path).unwrap());
        assert_eq!(empty.again(), Some((source, Ok(read))));
    }

    #[test]
    fn a_folder_is_there_once_it_can_be_listed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zones");
        let source = Source::ZoneDir(path.clone());
        let missing = unread(&source);
        assert_eq!(
            serde_json::json!(missing),
            serde_json::json!({ "what": "folder", "path": path, "reason": missing.reason, "gone": false })
        );
        fs::create_dir(&path).unwrap();
        assert_eq!(missing.again(), Some((source, Ok(Content::ZoneDir(path)))));
    }

    #[test]
    fn a_folder_that_went_away_is_gone_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zones");
        let source = Source::ZoneDir(path.clone());
        let lost = source.clone().lost().unwrap();
        assert!(lost.gone && lost.reason == unread(&source).reason, "{lost:?}");
        assert_eq!(lost.clone().again(), None);
        // A file stands there now, which is another reason and no other state.
        fs::write(&path, "").unwrap();
        let Some((_, Err(other))) = lost.again() else { panic!("nothing is new") };
        assert!(other.gone && other.reason.contains("Not a directory"), "{other:?}");
    }

    #[test]
    fn the_file_that_is_at_fault_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["dns.crt", "dns.key"].map(|name| folder.path().join(name));
        let identity = Source::Identity(files.clone());
        assert_eq!(unread(&identity).path, files[0]);
        let [made, other] = ["a.example", "b.example"]
            .map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap());
        fs::write(&files[0], made.cert.pem()).unwrap();
        let missing = unread(&identity);
        assert_eq!(missing.path, files[1]);
        assert_eq!(serde_json::json!(missing)["path"], serde_json::json!(files[1]));
        fs::write(&files[1], other.signing_key.serialize_pem()).unwrap();
        let strange = unread(&identity);
        assert!(strange.path == files[1] && strange.reason.contains("does not match"), "{strange:?}");
    }

    #[test]
    fn folders_are_told_from_what_else_is_missing() {
        let [folder, other] = ["none", "neither"].map(|path| Source::ZoneDir(path.into()));
        let mut all = vec![unread(&Source::Cookies("none".into()))];
        assert!(!lacks_folder(&all, None));
        all.push(unread(&folder));
        assert!(lacks_folder(&all, None) && !lacks_folder(&all, Some(Path::new("none"))));
        assert_eq!(missing_folder(&all), Some(&*all[1].reason));
        // Zones of one that went away are served.
        all[1].gone = true;
        assert_eq!(missing_folder(&all), None);
        all.push(unread(&other));
        assert!(lacks_folder(&all, Some(Path::new("none"))));
        // One that is being read lacks nothing for long, and what is in it is not served yet.
        all[2] = all[2].clone().found();
        assert!(!lacks_folder(&all, Some(Path::new("none"))));
        assert_eq!(all[2].clone().again(), None);
        let reason = missing_folder(&all).unwrap();
        assert_eq!(reason, "the folder neither is there, and is being read");
    }

    #[test]
    fn the_reason_of_closed_addresses_is_that_of_the_certificate() {
        let folder = Source::ZoneDir("none".into());
        let identity = Source::Identity(["none.crt".into(), "none.key".into()]);
        let all = [unread(&folder), unread(&identity)];
        assert_eq!(no_certificate(&all), Some(&*all[1].reason));
        assert_eq!(no_certificate(&all[..1]), None);
        assert!(all[1].reason.contains("none.crt"), "{all:?}");
    }

    #[test]
    fn pauses_grow_and_stay() {
        let seconds: Vec<u64> = pauses().map(|pause| pause.as_secs()).take(7).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10, 10]);
    }
}
