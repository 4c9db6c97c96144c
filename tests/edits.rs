//! What an edit of a zone file costs, and how soon it is served, on a host and in a node that have much else to do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::fmt::Write;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use support::daemon::{Daemon, Reload, prepare, words};
use support::{ports, process, tidemark, zones};

/// How long the large zone may take to be served.
const LIMIT: Duration = Duration::from_secs(60);
/// Names in the large zone.
const NAMES: u32 = 300_000;
/// The large zone.
const LARGE: &str = "large.";

/// A node with the large zone.
fn start(more: &str) -> Daemon {
    let (dir, addr) = (prepare(&[]), ports::reserve());
    zones::write(&dir.path().join("large.zone"), &large(1));
    let config = format!(
        "[server]\nlisten = [\"{addr}\"]\ndata-dir = \"state\"\n\
         [[zone]]\nname = \"{LARGE}\"\nfile = \"large.zone\"\n{more}"
    );
    let file = dir.path().join("tidemark.toml");
    std::fs::write(&file, config).unwrap();
    let command = words([&tidemark::PROGRAM, &"serve", &"--config", &file]);
    Daemon::start(dir, addr, &[], command, Reload::Watches)
}

fn large(serial: u32) -> String {
    let mut text = zones::text(LARGE, serial, &[]);
    for number in 0..NAMES {
        writeln!(text, "name{number} 60 A 10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255)
            .unwrap();
    }
    text
}

/// What `during` returns, while every core has two other programs to run for as long as they like; and how much processor time
/// each of those had, on average.
fn on_a_busy_host<T>(during: impl FnOnce() -> T) -> (T, Duration) {
    struct End<'e>(&'e AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let ended = AtomicBool::new(false);
    let compute = || {
        while !ended.load(Ordering::Relaxed) {
            black_box(());
        }
        process::thread_cpu()
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().unwrap().get();
        let others: Vec<_> = (0..2 * cores).map(|_| scope.spawn(compute)).collect();
        let end = End(&ended);
        let outcome = during();
        drop(end);
        let count = others.len() as u32;
        let total: Duration = others.into_iter().map(|other| other.join().unwrap()).sum();
        (outcome, total / count)
    })
}

/// One reader, which gives way to this node's queries and not to all the programs of the host.
#[test]
fn a_large_edit_on_a_busy_host_costs_a_load_and_gets_its_share() {
    let mut node = start("");
    node.await_serial(LARGE, 1, LIMIT);
    let load = node.process().cpu();
    let text = large(2);
    let before = node.process().cpu();
    let (cpu, of_each_other) = on_a_busy_host(|| {
        zones::write(&node.dir().join("large.zone"), &text);
        node.await_serial(LARGE, 2, LIMIT);
        node.process().cpu() - before
    });
    assert!(cpu.mul_f64(4.0) >= of_each_other, "an edit of {cpu:?} beside {of_each_other:?} of each other");
    // Whoever goes on for nobody is to be seen.
    thread::sleep(2 * cpu);
    let cpu = node.process().cpu() - before;
    println!("load {load:?} of CPU, edit {cpu:?}, meanwhile each other program {of_each_other:?}");
    assert!(cpu <= load.mul_f64(1.2), "an edit of {cpu:?} for a load of {load:?}");
}
