//! `tidemark wait`, many at a time: when each ended, to be held against what was true.

use std::net::SocketAddr;
use std::process::Output;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::tidemark;

/// One that has ended.
pub struct Wait {
    pub serial: u32,
    /// Whom it waited for, by their numbers.
    pub servers: Vec<usize>,
    pub began: Instant,
    pub ended: Instant,
    pub output: Output,
}

/// Those that have begun.
#[derive(Default)]
pub struct Waits(Vec<JoinHandle<Wait>>);

impl Waits {
    /// Begins to wait until servers serve this serial or a newer one.
    pub fn begin(&mut self, zone: &str, serial: u32, servers: &[(usize, SocketAddr)]) {
        let (servers, at): (Vec<_>, Vec<_>) = servers.iter().map(|(who, at)| (*who, at.to_string())).unzip();
        let mut command = tidemark::command();
        command.args(["wait", zone, "--timeout", "60s", "--serial", &serial.to_string(), "--at"]).args(at);
        self.0.push(thread::spawn(move || {
            let began = Instant::now();
            let output = command.output().unwrap();
            Wait { serial, servers, began, ended: Instant::now(), output }
        }));
    }

    /// Waits until all have ended.
    pub fn ended(self) -> Vec<Wait> {
        self.0.into_iter().map(|wait| wait.join().unwrap()).collect()
    }
}
