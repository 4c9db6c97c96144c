//! What a reload came to.

use std::collections::BTreeMap;

use crate::wire::name::Name;
use crate::zone::serial::Serial;

use super::super::files::watch::Refused;
use super::super::settings::takes_restart;

/// What a reload brought into force, and what not.
pub struct Reloaded {
    /// The primary zones whose files were read, each with the serial that is served now.
    pub zones: BTreeMap<Name, Option<Serial>>,
    /// Those that could not be brought up to date and are as they were before, or that several files hold, each with the reason.
    pub failed: BTreeMap<Name, String>,
    /// The zones that came: among those are the primary zones of [`Reloaded::zones`] that were not there before.
    pub added: Vec<Name>,
    /// The zones that went.
    pub removed: Vec<Name>,
    /// Files that hold no zone to be served, unless that is told of a zone.
    pub refused: Vec<Refused>,
    /// Keys that changed in the configuration and take effect only after a restart.
    pub needs_restart: Vec<&'static str>,
}

impl Reloaded {
    /// What is said where zones could not be brought up to date, or files not taken in: the rest is in force.
    pub fn complaint(&self) -> Option<String> {
        self.complaint_of("reloaded, but ")
    }

    /// The same of a start, which was given up for that.
    pub fn complaint_of_start(&self) -> Option<String> {
        self.complaint_of("not started: ")
    }

    fn complaint_of(&self, outcome: &str) -> Option<String> {
        let changed = [("added", &self.added), ("removed", &self.removed)];
        let changed = changed.iter().filter(|(_, zones)| !zones.is_empty()).map(|(verb, zones)| {
            let zones: Vec<String> = zones.iter().map(ToString::to_string).collect();
            format!("{verb} {}", zones.join(" "))
        });
        let stale = match self.failed.len() {
            0 => None,
            1 => Some("one zone is not in order".to_owned()),
            many => Some(format!("{many} zones are not in order")),
        };
        let left = match self.refused.len() {
            0 => None,
            1 => Some("one file is left out".to_owned()),
            many => Some(format!("{many} files are left out")),
        };
        let wrong: Vec<String> = stale.into_iter().chain(left).collect();
        if wrong.is_empty() {
            return None;
        }
        let wrong = format!("{outcome}{}:", wrong.join(" and "));
        let head = changed.chain([wrong]).collect::<Vec<_>>().join("; ");
        let failed = self.failed.iter().map(|(zone, error)| format!("{zone}: {error}"));
        let refused = self.refused.iter().map(|file| file.why.clone());
        let hint = takes_restart(&self.needs_restart);
        Some([head].into_iter().chain(failed).chain(refused).chain(hint).collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn files_that_are_left_out_are_complained_of_like_zones_that_fail() {
        let mut reloaded = Reloaded {
            zones: BTreeMap::new(),
            failed: BTreeMap::new(),
            added: vec!["new.".parse().unwrap()],
            removed: Vec::new(),
            refused: Vec::new(),
            needs_restart: Vec::new(),
        };
        assert_eq!(reloaded.complaint(), None);
        let (path, why) = (PathBuf::from("z/9.zone"), "z/9.zone holds what?".to_owned());
        reloaded.refused.push(Refused { path, zone: None, why });
        let expected = "added new.; reloaded, but one file is left out:\nz/9.zone holds what?";
        assert_eq!(reloaded.complaint().as_deref(), Some(expected));
        reloaded.failed.insert("a.".parse().unwrap(), "broken".to_owned());
        let expected = "added new.; reloaded, but one zone is not in order and one file is left out:\na.: broken\nz/9.zone holds what?";
        assert_eq!(reloaded.complaint().as_deref(), Some(expected));
        let of_start = expected.replace("reloaded, but", "not started:");
        assert_eq!(reloaded.complaint_of_start(), Some(of_start));
    }
}
