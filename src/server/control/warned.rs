//! Which warnings about zone files have been logged: each stands in the log once, however often its file is edited besides.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::text::file::diagnostic::Diagnostic;
use crate::wire::name::{Name, NameRef};

/// What was said last of each zone that there was something to say of.
#[derive(Debug, Default)]
pub struct Warned(HashMap<Name, u64>);

impl Warned {
    /// Whether these warnings about a zone are others than the last ones.
    pub(super) fn is_news(&mut self, zone: &NameRef, warnings: &[Diagnostic]) -> bool {
        if warnings.is_empty() {
            self.0.remove(zone);
            return false;
        }
        let mut hasher = DefaultHasher::new();
        for warning in warnings {
            // Lines move when something is put in above them.
            (&warning.file, &warning.message).hash(&mut hasher);
        }
        let what = hasher.finish();
        self.0.insert(zone.to_name(), what) != Some(what)
    }

    /// Forgets a zone that went.
    pub(super) fn forget(&mut self, zone: &NameRef) {
        self.0.remove(zone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::file::diagnostic::Severity;
    use crate::text::lexer::Span;

    #[test]
    fn a_warning_is_news_until_it_was_told_and_again_when_it_comes_back() {
        let warning = |line: u32, message: &str| {
            let at =
                Diagnostic::at(Severity::Warning, "a.zone", b"x", Span::default(), message.to_owned(), None);
            Diagnostic { line, ..at }
        };
        let zone: Name = "a.".parse().unwrap();
        let mut warned = Warned::default();
        assert!(warned.is_news(&zone, &[warning(1, "odd")]));
        assert!(!warned.is_news(&zone, &[warning(2, "odd")]));
        assert!(warned.is_news(&zone, &[warning(2, "odd"), warning(3, "odder")]));
        assert!(!warned.is_news(&zone, &[]));
        assert!(warned.is_news(&zone, &[warning(2, "odd"), warning(3, "odder")]));
        warned.forget(&zone);
        assert!(warned.is_news(&zone, &[warning(2, "odd"), warning(3, "odder")]));
    }
}
