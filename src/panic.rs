//! A panic made into an error, for work whose faults cost that work and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The work ended in a panic, which the program has told of on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ended in a fault of this program, told of on standard error: report that as a bug")]
pub struct Panicked;

/// Does the work, and returns if it panics. The caller drops whatever the work may have left half done: no invariant holds there.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_outcome() {
        assert_eq!(catch::<()>(|| panic!("a fault of this program")), Err(Panicked));
        assert_eq!(catch(|| 7), Ok(7));
    }
}
