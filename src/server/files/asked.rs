//! What files are read for, and who waits for it.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::wire::name::{Name, NameRef};

/// A file that is open for writing, and who waits for it.
pub(super) struct Awaited {
    pub(super) what: What,
    /// The file itself, or one that it includes.
    pub(super) open: PathBuf,
    /// Where that is, free of links.
    pub(super) place: PathBuf,
    pub(super) until: Instant,
    pub(super) askers: Vec<Rc<Asker>>,
}

impl Awaited {
    pub(super) fn is_of_zone(&self, zone: &NameRef) -> bool {
        matches!(&self.what, What::Zone(name) if **name == *zone)
    }

    pub(super) fn is_of_file(&self, path: &Path) -> bool {
        matches!(&self.what, What::File(file) if *file.path == *path)
    }
}

/// A file that is being read.
pub(super) struct Read {
    pub(super) what: What,
    /// The search that it belongs to.
    pub(super) search: Option<u64>,
    /// Who waits for it.
    pub(super) askers: Vec<Rc<Asker>>,
    /// Set once nobody wants to know any more.
    pub(super) is_needless: Arc<AtomicBool>,
}

/// What is read.
pub(super) enum What {
    /// A zone's content, wherever that is.
    Zone(Name),
    /// A file, whichever zone it holds.
    File(File),
}

/// A file in which a zone is looked for.
pub(super) struct File {
    pub(super) path: Arc<Path>,
    /// The index of the folder that it was found in.
    pub(super) dir: Option<usize>,
    /// Whether there is a way to it that is to be watched: it is a link, or named by itself.
    pub(super) is_link: bool,
}

/// A file that holds no zone to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub path: PathBuf,
    /// The zone that it says it holds and that comes from somewhere else.
    pub zone: Option<Name>,
    /// Why, naming the file.
    pub why: String,
}

/// Called with the files that hold no zone to be served.
pub(super) type Answer = Box<dyn FnOnce(Vec<Refused>) + Send>;

/// Who waits for all that was asked for to be reported; told when the last part of it lets go of this.
pub(super) struct Asker {
    done: Cell<Option<Answer>>,
    /// Files that hold no zone to be served.
    refused: RefCell<Vec<Refused>>,
}

impl Asker {
    pub(super) fn new(done: Answer) -> Rc<Asker> {
        Rc::new(Asker { done: Cell::new(Some(done)), refused: RefCell::default() })
    }

    /// A file that these have asked for holds no zone to be served.
    pub(super) fn refuse(askers: &[Rc<Asker>], refused: &Refused) {
        for asker in askers {
            let mut known = asker.refused.borrow_mut();
            // Who waits for several reads of a file hears of it once.
            if !known.contains(refused) {
                known.push(refused.clone());
            }
        }
        tracing::error!("{}", refused.why);
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.done.take().into_iter().for_each(|done| done(self.refused.take()));
    }
}
