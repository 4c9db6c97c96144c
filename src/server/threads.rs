//! The threads of a node, none of which it can do without: one that lost its journal's would serve on and change nothing any more, and
//! one that lost a worker would answer some queries and not others. A panic in one is a fault of this program; it ends the process, so
//! that whoever looks after it starts it again. Work whose faults cost that work only has them made errors of ([`catch`]).

use std::io;
use std::process;
use std::thread::{self, JoinHandle};

use crate::panic::catch;

/// Starts a thread.
pub(super) fn start(name: &'static str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        // What a panic leaves half done is looked at by nobody.
        if let Err(error) = catch(run) {
            tracing::error!("the thread `{name}` {error}. The node ends with it: start it again");
            process::abort();
        }
    })
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
        if std::env::var_os(ALONE).is_some() {
            let lost = start("lost", || panic!("a fault of this program")).unwrap();
            // Without the rule the process would get here and end well.
            let _ = lost.join();
            return;
        }
        let mut own = Command::new(std::env::current_exe().unwrap());
        own.args(["--exact", "server::threads::tests::a_process_ends_with_a_thread_of_its", "--nocapture"]);
        let ended = own.env(ALONE, "1").output().unwrap();
        assert_eq!(ended.status.signal(), Some(libc::SIGABRT), "{ended:?}");
    }

    #[test]
    fn a_thread_that_is_done_ends_alone() {
        assert!(start("done", || ()).unwrap().join().is_ok());
    }
}
