//! The differences that are known, each with who differs, the RFC that decides, and why.

use super::compare::{Case, Part};
use super::world::Make;

/// One class of differences.
pub struct Class {
    pub name: &'static str,
    /// The RFC and section that decides.
    pub decides: &'static str,
    pub why: &'static str,
    pub applies: fn(&Case, Make, Part) -> bool,
}

/// All of them; the first that applies counts.
pub const CLASSES: &[Class] = &[];

/// The class of a difference, when it is known.
pub fn class(case: &Case, make: Make, part: Part) -> Option<&'static Class> {
    CLASSES.iter().find(|class| (class.applies)(case, make, part))
}
