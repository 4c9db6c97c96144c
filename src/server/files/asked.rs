//! What files are read for, and who waits for it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
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
    /// Files that hold no zone to be served, by their paths: they may be as many as there are zones.
    refused: RefCell<BTreeMap<PathBuf, Refused>>,
}

impl Asker {
    pub(super) fn new(done: Answer) -> Rc<Asker> {
        Rc::new(Asker { done: Cell::new(Some(done)), refused: RefCell::default() })
    }

    /// A file that these have asked for holds no zone to be served.
    pub(super) fn refuse(askers: &[Rc<Asker>], refused: &Refused) {
        for asker in askers {
            // Who waits for several reads of a file hears of it once, as it was last.
            asker.refused.borrow_mut().insert(refused.path.clone(), refused.clone());
        }
        tracing::error!("{}", refused.why);
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(self.refused.take().into_values().collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn refused(number: usize, why: &str) -> Refused {
        Refused { path: format!("z/{number}.zone").into(), zone: None, why: why.to_owned() }
    }

    fn told(each: impl FnOnce(&[Rc<Asker>])) -> Vec<Refused> {
        let (done, told) = mpsc::channel();
        let asker = Asker::new(Box::new(move |refused| done.send(refused).unwrap()));
        each(&[asker]);
        told.recv().unwrap()
    }

    #[test]
    fn a_file_that_is_read_several_times_is_told_of_once_as_it_was_last() {
        let all = told(|askers| {
            let reads = [(2, "open"), (1, "of another"), (2, "open"), (2, "of another")];
            reads.iter().for_each(|(number, why)| Asker::refuse(askers, &refused(*number, why)));
        });
        assert_eq!(all, [refused(1, "of another"), refused(2, "of another")]);
    }

    /// Two folders may have the same zones. To compare each file with all others would take minutes.
    #[test]
    fn a_hundred_thousand_files_may_hold_no_zone() {
        let number = 100_000;
        let start = Instant::now();
        let all =
            told(|askers| (0..number).for_each(|file| Asker::refuse(askers, &refused(file, "of another"))));
        assert_eq!(all.len(), number);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}
