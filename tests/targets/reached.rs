//! How often the targets got to where there is something to hold, on this thread: all of them hold of inputs that nobody takes.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// What was got to, and how often.
pub type Counts = BTreeMap<&'static str, usize>;

thread_local! {
    static COUNTS: RefCell<Counts> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts an input that got there.
pub fn reached(what: &'static str) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(what).or_default() += 1);
}

/// What was counted so far.
pub fn counts() -> Counts {
    COUNTS.with_borrow(Clone::clone)
}
