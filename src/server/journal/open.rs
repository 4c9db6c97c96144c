//! What the folder holds at a start: read, told, and put in order before anything is added to it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::publish::journal::entry::{self, Replayed};
use crate::publish::journal::floor::Life;
use crate::publish::journal::frame::{Damage, FileKind, Framer};
use crate::publish::journal::old;
use crate::publish::journal::recovery::{FileFound, FileReader, Position, Recovered, Recovery};
use crate::publish::store::Checkpoint;
use crate::wire::name::{Name, NameRef};

use super::contents::{self, Live, References};
use super::file::FrameFile;
use super::folder::{Folder, FolderError, MAX_ASIDE, boot_id, io_error};
use super::rewrite::{Files, Rewrite};
use crate::server::clock;

/// What is read at once.
const CHUNK: usize = 256 << 10;
/// A journal below this size is never written anew for its size.
const SMALL: u64 = 512 << 10;
/// It may grow to so many times what it has to hold.
const GROWTH: u64 = 2;

/// A folder whose files have been read, and not yet put in order.
pub struct Opened {
    folder: Folder,
    recovered: Recovered,
    references: References,
    next_id: u64,
}

/// A journal that can be added to.
pub struct Ready {
    pub(super) folder: Folder,
    pub(super) files: Files,
    pub(super) ids: Arc<AtomicU64>,
    /// How long it may become before it is to be written anew.
    pub(super) most: u64,
}

impl Opened {
    /// Reads what the folder holds, and hands every entry to `each`.
    pub fn read(folder: Folder, mut each: impl FnMut(Name, Replayed)) -> Result<Opened, FolderError> {
        let mut recovery = Recovery::default();
        for path in folder.floors() {
            let found = read_file(&path, FileKind::Floors, &mut |position, payload| {
                recovery.floor(position, payload);
            })?;
            recovery.floors(found);
        }
        let dir = folder.contents();
        let (mut references, mut damaged, mut next_id) = (References::default(), Vec::new(), 1);
        let mut content = |zone: &NameRef, aside: entry::Aside| {
            next_id = next_id.max(aside.id + 1);
            let found = contents::read(&dir, zone, aside);
            let size = fs::metadata(contents::path(&dir, aside.id)).map_or(0, |file| file.len());
            if found.is_some() {
                references.add(zone, Live { aside, size: None });
                references.complete(zone, aside.id, size);
            } else if size > 0 {
                damaged.push((zone.to_name(), aside.id));
            }
            found
        };
        let journal = read_file(&folder.journal(), FileKind::Journal, &mut |_, payload| {
            recovery.entry(payload, &mut content, &mut each);
        })?;
        let recovered = recovery.finish(journal, Life::Running(boot_id()), &mut content, &mut each);
        for (zone, id) in damaged {
            let path = contents::path(&dir, id);
            let kept = keep(&folder, &path, &dir, false)?;
            tracing::error!("the content of zone `{zone}` in {} is damaged; {kept}", path.display());
        }
        let opened = Opened { folder, recovered, references, next_id };
        opened.tell();
        Ok(opened)
    }

    /// Whether versions may have been served that nothing here knows of.
    pub fn is_doubtful(&self) -> bool {
        self.recovered.is_doubtful
    }

    /// Whether they may have gone beyond all that was reserved for them as far as is known here.
    pub fn is_boundless(&self) -> bool {
        self.recovered.is_boundless
    }

    /// This node's id as a writer.
    pub fn node_id(&self) -> u64 {
        self.folder.node_id()
    }

    /// Puts the files in order. `checkpoint` is what the entries led to, and takes so many bytes of a journal.
    pub fn settle(self, bytes: u64, checkpoint: impl FnOnce() -> Checkpoint) -> Result<Ready, FolderError> {
        let Opened { folder, recovered, references, next_id } = self;
        let most = most(bytes, &references);
        let journal = &recovered.journal;
        let is_whole = |found: &FileFound| found.size > 0 && found.is_whole() && !found.is_earlier;
        let as_it_is = journal.size > 0
            && journal.is_whole_within()
            && !journal.is_old
            && !journal.is_earlier
            && journal.end + references.change_bytes() <= most
            && !recovered.is_doubtful
            && recovered.floors.iter().all(is_whole)
            && recovered
                .floors
                .iter()
                .all(|copy| copy.end <= most && copy.next() == recovered.floors[0].next());
        let places = [folder.journal()].into_iter().chain(folder.floors());
        for (path, found) in places.zip([journal].into_iter().chain(&recovered.floors)) {
            if found.size > 0 && !found.is_whole() {
                // What is cut off below would go from the copy too, were it only another name of the file.
                let kept = keep(&folder, &path, &path, as_it_is)?;
                tracing::error!("{} is damaged; {kept}", path.display());
            }
        }
        let ids = Arc::new(AtomicU64::new(next_id));
        let open = |path: &Path, found: &FileFound| {
            let framer = Framer::resume(found.generation, found.sequence);
            FrameFile::open(path, framer, found.end).map_err(io_error("open", path))
        };
        let files = if as_it_is {
            let [first, second] = folder.floors();
            Files {
                journal: open(&folder.journal(), journal)?,
                floors: [open(&first, &recovered.floors[0])?, open(&second, &recovered.floors[1])?],
                references,
            }
        } else {
            let generations = recovered.floors.iter().chain([journal]).map(|found| found.generation);
            let fresh = clock::now().utc.seconds() as u32;
            let generation = generations.max().unwrap_or_default().wrapping_add(1).max(fresh);
            let rewrite = Rewrite::new(&folder, generation, references, Arc::clone(&ids));
            let mut files = rewrite.write(|each| checkpoint().entries(each))?;
            files.put_in_place().map_err(io_error("write", &folder.journal()))?;
            files
        };
        sweep(&folder.contents(), &files.references);
        let mut ready = Ready { folder, files, ids, most };
        ready.begin_life().map_err(io_error("write", &ready.folder.floors()[0]))?;
        Ok(ready)
    }

    fn tell(&self) {
        let Recovered { journal, floors, lost_contents, is_exact, is_doubtful, is_boundless, zones } =
            &self.recovered;
        let path = self.folder.journal();
        tell_file(&path, journal);
        self.folder.floors().iter().zip(floors).for_each(|(path, found)| tell_file(path, found));
        if *lost_contents > 0 {
            tracing::debug!(
                "{lost_contents} large contents are not in {}: they were replaced, or not written by the last stop",
                self.folder.contents().display()
            );
        }
        let had_floors = floors.iter().any(|copy| copy.size > 0);
        if journal.size == 0 && had_floors {
            tracing::error!(
                "{} is gone; {zones} zones go on above the serials in {}; find out what removed it",
                path.display(),
                self.folder.floors()[0].display()
            );
        }
        if journal.size == 0 && !had_floors && !self.folder.is_new {
            tracing::error!(
                "both the journal and the floors of serials are gone from {}: which serials were served cannot be known; \
                 compare with the secondaries, and raise the serials in the zone files above theirs",
                self.folder.path().display()
            );
        }
        if journal.size > 0 && !had_floors && !journal.is_old {
            tracing::error!(
                "the floors of serials are gone from {}: if the journal lost entries too, that cannot be known; \
                 compare the serials with those of the secondaries",
                self.folder.path().display()
            );
        }
        if *is_boundless {
            tracing::error!(
                "the journal and both copies of the floors of serials in {} are damaged: primary zones that change number on far \
                 above all serials that are still known, which may not be far enough; compare them with the secondaries",
                self.folder.path().display()
            );
        } else if *is_doubtful {
            tracing::error!(
                "versions may have been served that nothing in {} tells of: primary zones that change number on above all \
                 serials they can have issued",
                self.folder.path().display()
            );
        } else if *is_exact && !journal.is_whole() {
            tracing::info!("what the journal lacks is known from the floors of serials: no serial goes back");
        }
    }
}

impl Ready {
    /// Notes that from here on the floors are exact only while the system runs.
    fn begin_life(&mut self) -> io::Result<()> {
        let mut frames = Vec::new();
        let mut framer = self.files.floors[0].framer;
        framer.frame(&mut frames, |out| Life::Running(boot_id()).write(out));
        for floors in &mut self.files.floors {
            floors.append(&frames, framer)?;
            floors.sync()?;
        }
        Ok(())
    }
}

/// How long a journal may become that has to hold so many bytes. Large contents are written anew at times, which is to be rare.
pub(super) fn most(bytes: u64, references: &References) -> u64 {
    GROWTH * (bytes + references.content_bytes() / 4).max(SMALL / GROWTH)
}

/// Reads a file of frames; one that does not exist holds nothing.
pub(super) fn read_file(
    path: &Path,
    kind: FileKind,
    each: &mut dyn FnMut(Position, &[u8]),
) -> Result<FileFound, FolderError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FileFound::default()),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let mut reader = FileReader::new(kind);
    let mut bytes = vec![0; CHUNK];
    loop {
        let read = file.read(&mut bytes).map_err(io_error("read", path))?;
        reader.feed(&bytes[..read], each);
        if read == 0 {
            break;
        }
    }
    let mut found = reader.finish();
    if found.is_old {
        found = old::read(found.size, |at, bytes| file.read_exact_at(bytes, at), each)
            .map_err(io_error("read", path))?;
    }
    match found.unknown_version {
        Some(version) => Err(FolderError::Version { path: path.to_owned(), version }),
        None => Ok(found),
    }
}

/// Keeps a damaged file aside; how to say so.
fn keep(folder: &Folder, path: &Path, name: &Path, is_copied: bool) -> Result<String, FolderError> {
    Ok(match folder.keep_aside(path, name, is_copied)? {
        Some(copy) => format!("it is kept as {}", copy.display()),
        None => format!(
            "it is not kept: there are {MAX_ASIDE} such files beside {} already; look at them, and remove them",
            name.display()
        ),
    })
}

fn tell_file(path: &Path, found: &FileFound) {
    let path = path.display();
    if found.is_headless {
        tracing::error!("the head of {path} is damaged; its entries are read all the same");
    }
    for Damage { offset, length, beginning } in &found.damage {
        let zone = match entry::zone_of(beginning) {
            Some(zone) => format!(", in an entry of what may be zone `{zone}`"),
            None => String::new(),
        };
        tracing::error!(
            "{length} bytes of {path} at offset {offset} cannot be read{zone}; what follows is read"
        );
    }
    if found.damaged > found.damage.len() as u64 {
        tracing::error!("{path} is damaged in {} more places", found.damaged - found.damage.len() as u64);
    }
    if found.missing > 0 {
        tracing::error!("{} entries are missing from {path}", found.missing);
    }
    if let Some(torn) = &found.torn {
        tracing::error!(
            "{} bytes at the end of {path}, from offset {} on, are no whole entry",
            torn.length,
            torn.offset
        );
    }
}

/// Removes contents that nothing refers to.
fn sweep(dir: &Path, references: &References) {
    let Ok(files) = fs::read_dir(dir) else { return };
    for file in files.flatten() {
        let name = file.file_name();
        let id = name.to_str().and_then(|name| u64::from_str_radix(name, 16).ok());
        if id.is_none_or(|id| !references.has(id)) {
            let _ = fs::remove_file(file.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::journal::frame::HEAD;
    use crate::publish::store::ZoneStore;
    use crate::time::Utc;
    use crate::zone::fixture;
    use crate::zone::serial::Serial;
    use crate::zone::stamp::Stamp;

    const ZONES: [(&str, u32); 2] = [("small.", 1), ("large.", 12_000)];

    fn opened(dir: &Path) -> Result<(Opened, ZoneStore), FolderError> {
        let store = ZoneStore::new(7);
        let folder = Folder::open(dir, 7)?;
        let opened = Opened::read(folder, |zone, happened| store.replay(&zone, happened))?;
        Ok((opened, store))
    }

    /// Puts the folder in order; all that is known of the zones is there.
    fn settle(dir: &Path) {
        let (opened, store) = opened(dir).unwrap();
        assert!(!opened.is_doubtful() && opened.recovered.lost_contents == 0);
        for (zone, _) in ZONES {
            let zone: Name = zone.parse().unwrap();
            assert_eq!(store.last_stamp(&zone).map(|stamp| stamp.serial), Some(Serial(5)), "{zone}");
        }
        opened.settle(store.checkpoint_bytes(), || store.checkpoint()).unwrap();
    }

    fn set_version(path: &Path, version: u16) {
        let mut bytes = fs::read(path).unwrap();
        bytes[8..10].copy_from_slice(&version.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..HEAD - 4]);
        bytes[HEAD - 4..HEAD].copy_from_slice(&sum.to_le_bytes());
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn files_of_the_version_before_are_written_anew_and_those_of_a_later_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (first, store) = opened(dir.path()).unwrap();
        for (zone, hosts) in ZONES {
            let hosts = (0..hosts).map(|host| (host, host.to_be_bytes()));
            let content = fixture::hosts(zone, 5, hosts).finish().unwrap().0;
            let stamp =
                Stamp { serial: content.serial(), published: None, digest: content.digest(), writer: 7 };
            store.replay(&zone.parse::<Name>().unwrap(), Replayed::Full(content, stamp, Utc(5)));
        }
        first.settle(store.checkpoint_bytes(), || store.checkpoint()).unwrap();
        let files = ["journal", "floors", "floors.copy"].map(|name| dir.path().join(name));
        let contents = fs::read_dir(dir.path().join("content")).unwrap().map(|file| file.unwrap().path());
        let contents: Vec<_> = contents.collect();
        assert_eq!(contents.len(), 1);
        files.iter().chain(&contents).for_each(|path| set_version(path, 2));
        let before = files[..1].iter().chain(&contents).map(|path| (path, fs::read(path).unwrap()));
        let before: Vec<_> = before.collect();
        settle(dir.path());
        let versions = || files.each_ref().map(|path| fs::read(path).unwrap()[8]);
        assert_eq!(versions(), [3, 3, 3]);
        // As after a crash when the new floors had their names and the new journal had not.
        before.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        settle(dir.path());
        assert_eq!(versions(), [3, 3, 3]);
        settle(dir.path());
        for path in &files {
            set_version(path, 4);
            let refused = opened(dir.path()).err().unwrap().to_string();
            let said = "is of version 4, which this program does not know; start the program that wrote it";
            assert!(refused.contains(said) && refused.contains(&path.display().to_string()), "{refused}");
            set_version(path, 3);
        }
    }
}
