//! The hooks of `deploy/acme` for clients of ACME, by the test that lies beside them: by themselves, and with the clients and the ACME
//! server that Debian has, all on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::await_until::becomes_true;
use support::ports;
use support::process::Process;
use support::tidemark::PROGRAM;

/// What a client may take to get its certificates and renew them; between two names lego waits for six seconds.
const LIMIT: Duration = Duration::from_secs(55);

/// Runs the part of the test that is about this client.
fn runs(client: &str) {
    let folder = tempfile::tempdir().unwrap();
    let ports = ports::reserve_many::<4>().map(|addr| addr.port().to_string());
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/acme/test"));
    command.arg(client).env("TIDEMARK", PROGRAM).env("TEST_PORTS", ports.join(" "));
    command.env("TMPDIR", folder.path());
    let mut process = Process::start(command, &folder.path().join("said"));
    let has_ended = becomes_true(LIMIT, || !process.is_running());
    // It ends what it has started, which it could not do if it were killed.
    let status = process.stop();
    assert!(has_ended && status.success(), "{status}: {}", process.log());
}

/// The same, unless the client or the ACME server is not there: `tests/run` installs them where Debian has them.
fn runs_where_installed(client: &str) {
    let is_there = |program: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
    };
    match ["pebble", client].iter().find(|program| !is_there(program)) {
        Some(missing) => println!("not run with {client}: there is no {missing}"),
        None => runs(client),
    }
}

#[test]
fn hooks_put_records_into_the_zone_and_wait_for_all_servers() {
    runs("hooks");
}

#[test]
fn certbot_gets_and_renews_certificates() {
    runs_where_installed("certbot");
}

#[test]
fn lego_gets_and_renews_certificates() {
    runs_where_installed("lego");
}
