//! What one thread leaves for another that waits in a poll.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mio::Waker;

/// The mail of one thread.
pub struct Mailbox<T> {
    mail: Mutex<Vec<T>>,
    waker: Waker,
    limit: usize,
}

impl<T> Mailbox<T> {
    /// An empty mailbox for at most `limit` items; `waker` belongs to the poll of the thread that reads it.
    pub fn new(waker: Waker, limit: usize) -> Mailbox<T> {
        Mailbox { mail: Mutex::default(), waker, limit }
    }

    /// Leaves an item, and wakes the thread unless it has been woken already. Returns the item when the mailbox is full.
    pub fn post(&self, item: T) -> Result<(), T> {
        let is_first = {
            let mut mail = self.open();
            if mail.len() >= self.limit {
                return Err(item);
            }
            mail.push(item);
            mail.len() == 1
        };
        if is_first {
            // Fails only without an epoll, and then there is no thread to wake.
            let _ = self.waker.wake();
        }
        Ok(())
    }

    /// Exchanges everything in it for an empty list.
    pub fn take(&self, emptied: &mut Vec<T>) {
        std::mem::swap(&mut *self.open(), emptied);
    }

    /// No panic can leave a list broken that is only added to and exchanged.
    fn open(&self) -> MutexGuard<'_, Vec<T>> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};

    use super::*;

    #[test]
    fn a_full_mailbox_gives_back_what_it_cannot_hold() {
        let poll = Poll::new().unwrap();
        let mailbox = Mailbox::new(Waker::new(poll.registry(), Token(0)).unwrap(), 2);
        assert_eq!([mailbox.post(1), mailbox.post(2), mailbox.post(3)], [Ok(()), Ok(()), Err(3)]);
        let mut mail = Vec::new();
        mailbox.take(&mut mail);
        assert_eq!(mail, [1, 2]);
        assert_eq!(mailbox.post(4), Ok(()));
    }
}
