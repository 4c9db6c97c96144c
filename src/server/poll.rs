//! Waiting for the events of a poll.

use std::io::{self, ErrorKind};
use std::time::Duration;

use mio::{Events, Poll};

/// Waits for events, at most for `timeout`. An error says that this poll will never again tell of anything: a worker without it
/// would hold its sockets and answer nobody.
pub(super) fn wait(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
    match poll.poll(events, timeout) {
        Err(error) if error.kind() != ErrorKind::Interrupted => {
            Err(io::Error::new(error.kind(), format!("waiting for events: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_poll_that_tells_of_nothing_is_an_error() {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(1));
        assert!(wait(&mut poll, &mut events, Some(Duration::ZERO)).is_ok());
        let other = File::open("/dev/null").unwrap();
        // SAFETY: both are open; the poll owns a descriptor of `/dev/null` from here on, and closes it.
        assert_eq!(unsafe { libc::dup2(other.as_raw_fd(), poll.as_raw_fd()) }, poll.as_raw_fd());
        let error = wait(&mut poll, &mut events, Some(Duration::ZERO)).unwrap_err();
        assert!(error.to_string().starts_with("waiting for events: "), "{error}");
    }
}
