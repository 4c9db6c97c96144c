//! The threads of a node, none of which it can do without: one that lost its journal's would serve on and change nothing any more, and
//! one that lost a worker would answer some queries and not others. A panic in one, and an error that it cannot go on with, ends the
//! process, so that whoever looks after it starts it again. Work whose faults cost that work only has them made errors of ([`catch`]).

use std::convert::Infallible;
use std::io;
use std::process;
use std::thread::{self, JoinHandle};

use crate::panic::catch;

/// Starts a thread that ends when it is done.
pub(super) fn start(name: &'static str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    spawn(name, move || {
        run();
        Ok(())
    })
}

/// Starts a thread that ends when it is done, or cannot go on.
pub(super) fn start_fallible(
    name: &'static str,
    run: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    spawn(name, run)
}

/// Starts a thread that is done when the process ends, or cannot go on.
pub(super) fn start_endless(
    name: &'static str,
    run: impl FnOnce() -> io::Result<Infallible> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    spawn(name, move || run().map(|never| match never {}))
}

fn spawn(
    name: &'static str,
    run: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        make_room();
        // What a panic leaves half done is looked at by nobody.
        let why = match catch(run) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("cannot go on ({error})"),
            Err(panicked) => panicked.to_string(),
        };
        tracing::error!("the thread `{name}` {why}. The node ends with it: start it again");
        process::abort();
    })
}

/// Has the calling thread find room in its part of the memory for some time. The allocator has the system extend a part by as little as
/// it can each time, which waits for whoever else has the map of memory in hand: for 100 ms while large pages were put together.
pub(super) fn make_room() {
    #[cfg(target_env = "gnu")]
    {
        const PIECES: usize = 8;
        /// Larger ones come from elsewhere (`server/memory`).
        const PIECE: usize = 512 << 10;
        // SAFETY: what is got is not used, and given back once.
        let pieces = [(); PIECES].map(|()| unsafe { libc::malloc(PIECE) });
        // SAFETY: as above; giving back nothing does nothing.
        std::hint::black_box(pieces).into_iter().rev().for_each(|piece| unsafe { libc::free(piece) });
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    /// Says to a test that it is a process of its own, and may end.
    const ALONE: &str = "TIDEMARK_TEST_ALONE";

    #[test]
    fn a_process_ends_with_a_thread_of_its() {
        ends_with("a_process_ends_with_a_thread_of_its", || {
            start("lost", || panic!("a fault of this program"))
        });
    }

    #[test]
    fn a_process_ends_with_a_thread_that_cannot_go_on() {
        ends_with("a_process_ends_with_a_thread_that_cannot_go_on", || {
            start_endless("lost", || Err(io::Error::other("its poll failed")))
        });
    }

    /// Has this test run in a process of its own, which is to end with the thread that `start` starts.
    fn ends_with(test: &str, start: impl FnOnce() -> io::Result<JoinHandle<()>>) {
        if std::env::var_os(ALONE).is_some() {
            // Without the rule the process would get behind this and end well.
            let _ = start().unwrap().join();
            return;
        }
        let mut own = Command::new(std::env::current_exe().unwrap());
        own.args(["--exact", &format!("server::threads::tests::{test}"), "--nocapture"]);
        let ended = own.env(ALONE, "1").output().unwrap();
        assert_eq!(ended.status.signal(), Some(libc::SIGABRT), "{ended:?}");
    }

    #[test]
    fn a_thread_that_is_done_ends_alone() {
        assert!(start("done", || ()).unwrap().join().is_ok());
    }
}
