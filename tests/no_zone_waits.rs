//! No zone waits for another: while a large zone arrives, is edited and compared, a node goes on to answer `/health`, to acknowledge
//! NOTIFY, to keep its timers and to serve changes of small zones, edited and pulled. All of them are watched at once, from outside,
//! and so is what the host gives to a program that shares nothing with the node but its processors and its disk.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use support::fake_primary::notify;
use support::tidemark::Tidemark;
use support::zones::Zone;
use support::{http, ports, process, soa, tidemark, zones};

/// Records of the large zone.
const RECORDS: u32 = 900_000;
const LARGE: &str = "large.";
/// A small zone whose file is edited.
const EDITED: &str = "edited.";
/// A small zone that is pulled from a server with nothing else to do.
const PULLED: &str = "pulled.";
/// A small zone of that server, too, of which it tells nothing: NOTIFYs for it come from here.
const NOTIFIED: &str = "notified.";
/// A small zone with a target for NOTIFY that answers the second only, which is sent ...
const TIMED: &str = "timed.";
/// ... this long after the first (`transfer/notify.rs`).
const NOTIFY_AGAIN: Duration = Duration::from_millis(100);
/// Changes within this time are announced together, so that the second of them waits for as long.
const ANNOUNCED_TOGETHER: Duration = Duration::from_millis(100);
/// How long anything may take at all.
const LIMIT: Duration = Duration::from_secs(120);
/// For how long the watching goes on once the large zone is served: what it replaced is taken to pieces, its content written down.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// Between two of a kind.
const PAUSE: Duration = Duration::from_millis(1);
/// What is promised of each kind, not counting what the host keeps everyone waiting for: it stands still ...
const PROMISED: Duration = Duration::from_millis(50);
/// ... where a thread that wants to run, or a page on its way to the disk, waits for longer than this.
const STILL: Duration = Duration::from_millis(5);

/// A version of the large zone: every record is another one in each.
fn large(serial: u32) -> String {
    text(serial, |_| serial)
}

/// The version behind `serial` that differs from it in every fourth record.
fn next_in_part(serial: u32) -> String {
    text(serial + 1, |host| serial + u32::from(host.is_multiple_of(4)))
}

fn text(serial: u32, serial_of: impl Fn(u32) -> u32) -> String {
    let mut text = zones::text(LARGE, serial, &[]);
    for host in 0..RECORDS {
        let [_, b, c, d] = host.to_be_bytes();
        writeln!(text, "h{host} {} A 10.{b}.{c}.{d}", 60 + serial_of(host)).unwrap();
    }
    text
}

/// The node that is watched, with what its small zones need.
struct Scene {
    node: Tidemark,
    /// The primary of the zones that are pulled.
    feeder: Tidemark,
    /// The target of NOTIFY of the timed zone.
    target: UdpSocket,
    /// A file beside the node's.
    file: File,
}

impl Scene {
    /// A node on `addr`, which has the small zones, and the large one by these lines of its configuration.
    fn start(addr: SocketAddr, large: &[Zone], more: &str) -> Scene {
        let target = ports::bind().0;
        target.set_read_timeout(Some(LIMIT)).unwrap();
        let primary = |name| Zone::primary(name, zones::text(name, 1, &[]));
        let feeder = tidemark::start(ports::reserve(), &[primary(PULLED).notify(&[addr]), primary(NOTIFIED)]);
        let secondary = |name| Zone::secondary(name, &[feeder.daemon.addr]);
        let timed = primary(TIMED).notify(&[target.local_addr().unwrap()]);
        let mut all = vec![primary(EDITED), timed, secondary(PULLED), secondary(NOTIFIED)];
        all.extend_from_slice(large);
        let node = tidemark::start_with(addr, &all, more);
        node.daemon.await_serial(PULLED, 1, LIMIT);
        node.daemon.await_serial(NOTIFIED, 1, LIMIT);
        let file = File::create(node.daemon.dir().join("host")).unwrap();
        let scene = Scene { node, feeder, target, file };
        // The first version is announced, too.
        scene.notified_again();
        scene
    }

    /// Watches while `change` is made and until the large zone has `serial`, and judges.
    fn watch(&self, what: &str, serial: u32, change: impl FnOnce()) {
        let ended = AtomicBool::new(false);
        let again_and_again = |once: &dyn Fn() -> Wait| {
            let mut waits = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                waits.push(once());
                thread::sleep(PAUSE);
            }
            waits
        };
        // What it is, whether anything is written for it, and how long it takes.
        let watch: [(&str, bool, &(dyn Fn() -> Wait + Sync)); 5] = [
            ("/health", false, &|| self.health()),
            ("a NOTIFY's answer", false, &|| self.notify_answered()),
            ("a timer, late", false, &|| self.timer_late()),
            ("a change, edited", true, &|| self.edited()),
            ("a change, pulled", true, &|| self.pulled()),
        ];
        let (turns, syncs, node) = thread::scope(|scope| {
            let on_core = |core| {
                scope.spawn(move || {
                    process::stay_on(core);
                    again_and_again(&turn)
                })
            };
            let cores = thread::available_parallelism().unwrap().get();
            let turns: Vec<_> = (0..cores).map(on_core).collect();
            let syncs = scope.spawn(|| again_and_again(&|| self.sync()));
            let node = watch.map(|(_, _, once)| scope.spawn(|| again_and_again(once)));
            change();
            self.node.daemon.await_serial(LARGE, serial, LIMIT);
            thread::sleep(AFTERWARDS);
            ended.store(true, Ordering::Relaxed);
            let turns: Vec<_> = turns.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            (turns, syncs.join().unwrap(), node.map(|thread| thread.join().unwrap()))
        });
        println!("{what}: {}", told("the host's turns, late", &turns));
        println!("{what}: {}", told("the host's writes", &syncs));
        let still =
            |waits: &[Wait]| waits.iter().filter(|wait| wait.took() > STILL).copied().collect::<Vec<_>>();
        let cores = together(still(&turns));
        let all = together([still(&turns), still(&syncs)].concat());
        for ((kind, is_written, _), waits) in watch.iter().zip(&node) {
            println!("{what}: {}", told(kind, waits));
            let host = if *is_written { &all } else { &cores };
            let own =
                |wait: &Wait| wait.took() - host.iter().map(|still| still.within(wait)).sum::<Duration>();
            let longest = waits.iter().max_by_key(|wait| own(wait)).unwrap();
            let (longest, took) = (own(longest), longest.took());
            println!("{what}: {kind}: longest without the host's part {longest:?} of {took:?}");
            assert!(
                longest <= PROMISED,
                "{what}: {kind} took {took:?}, {longest:?} of it while the host did not stand still"
            );
        }
    }

    /// A page behind the last one, and its way to the disk.
    fn sync(&self) -> Wait {
        let begun = Instant::now();
        (&self.file).write_all(&[b'x'; 4096]).unwrap();
        self.file.sync_data().unwrap();
        Wait::from(begun)
    }

    fn health(&self) -> Wait {
        let asked = Instant::now();
        assert_eq!(http::get(self.node.http, "/health").unwrap().status, 200);
        Wait::from(asked)
    }

    fn notify_answered(&self) -> Wait {
        let sent = Instant::now();
        assert_eq!(notify("127.0.0.1", self.node.daemon.addr, NOTIFIED, 1), ResponseCode::NoError);
        Wait::from(sent)
    }

    /// By how much the second NOTIFY for a change is late.
    fn timer_late(&self) -> Wait {
        publish(&self.node, TIMED);
        self.notified_again()
    }

    /// From when the second NOTIFY for a version is due to its arrival. It is answered, so that none follows.
    fn notified_again(&self) -> Wait {
        self.next_notify();
        let due = Instant::now() + NOTIFY_AGAIN;
        let (mut message, from) = self.next_notify();
        let wait = Wait::from(due);
        message.metadata.message_type = MessageType::Response;
        self.target.send_to(&message.to_vec().unwrap(), from).unwrap();
        wait
    }

    /// The target is asked for its serial, too, and says nothing to that.
    fn next_notify(&self) -> (Message, SocketAddr) {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = self.target.recv_from(&mut buffer).unwrap();
            let message = Message::from_vec(&buffer[..length]).unwrap();
            if message.metadata.op_code == OpCode::Notify {
                return (message, from);
            }
        }
    }

    fn edited(&self) -> Wait {
        let begun = Instant::now();
        let serial = publish(&self.node, EDITED);
        served(&self.node, EDITED, serial);
        Wait::from(begun)
    }

    /// From a change's being served by its primary to its being served by the node.
    fn pulled(&self) -> Wait {
        thread::sleep(ANNOUNCED_TOGETHER);
        let serial = publish(&self.feeder, PULLED);
        served(&self.feeder, PULLED, serial);
        let begun = Instant::now();
        served(&self.node, PULLED, serial);
        Wait::from(begun)
    }
}

/// For what, from when to when.
#[derive(Clone, Copy)]
struct Wait {
    begun: Instant,
    ended: Instant,
}

impl Wait {
    /// Until now; of no length where `begun` is still to come.
    fn from(begun: Instant) -> Wait {
        Wait { begun, ended: Instant::now().max(begun) }
    }

    fn took(&self) -> Duration {
        self.ended - self.begun
    }

    /// How much of it falls into another.
    fn within(&self, other: &Wait) -> Duration {
        self.ended.min(other.ended).saturating_duration_since(self.begun.max(other.begun))
    }
}

/// The same time, without any of it twice.
fn together(mut waits: Vec<Wait>) -> Vec<Wait> {
    waits.sort_by_key(|wait| wait.begun);
    waits.dedup_by(|later, before| {
        let overlaps = later.begun <= before.ended;
        if overlaps {
            before.ended = before.ended.max(later.ended);
        }
        overlaps
    });
    waits
}

/// How late a sleep ends.
fn turn() -> Wait {
    let due = Instant::now() + PAUSE;
    thread::sleep(PAUSE);
    Wait::from(due)
}

/// How often and how long.
fn told(kind: &str, waits: &[Wait]) -> String {
    let mut sorted: Vec<Duration> = waits.iter().map(Wait::took).collect();
    sorted.sort();
    let (count, median, slowest) = (sorted.len(), sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    format!("{kind}: {count} times, median {median:?}, slowest {slowest:?}")
}

/// Edits a zone's file at its primary, and returns the serial to come.
fn publish(primary: &Tidemark, zone: &str) -> u32 {
    let serial = soa::serial(primary.daemon.addr, zone).expect("the zone is served") + 1;
    primary.daemon.publish(zone, &zones::text(zone, serial, &[]));
    serial
}

/// Waits until the zone is served with `serial`.
fn served(node: &Tidemark, zone: &str, serial: u32) {
    let begun = Instant::now();
    let mut probe = soa::Client::new(node.daemon.addr, zone);
    while probe.ask().and_then(|answer| answer.serial) != Some(serial) {
        assert!(begun.elapsed() < LIMIT, "{zone} is not served with serial {serial}");
        thread::sleep(PAUSE / 4);
    }
}

#[test]
fn a_large_zone_keeps_no_other_waiting() {
    let [primary, node] = ports::reserve_many();
    let source = tidemark::start(primary, &[Zone::primary(LARGE, large(1)).notify(&[node])]);
    source.daemon.await_serial(LARGE, 1, LIMIT);
    // Configured besides the zones that the start waits for.
    let pulled = format!("[[zone]]\nname = \"{LARGE}\"\nprimaries = [\"{primary}\"]\n");
    let scene = Scene::start(node, &[], &pulled);
    scene.watch("pulled for the first time", 1, || {});
    // The secondary pulls it as a whole, and compares.
    let text = large(2);
    scene.watch("changed at its primary", 2, || source.daemon.publish(LARGE, &text));
    // It pulls differences.
    let text = next_in_part(2);
    scene.watch("changed in part", 3, || source.daemon.publish(LARGE, &text));
}

#[test]
fn the_file_of_a_large_zone_keeps_no_other_waiting() {
    let scene = Scene::start(ports::reserve(), &[Zone::primary(LARGE, large(1))], "");
    scene.node.daemon.await_serial(LARGE, 1, LIMIT);
    for serial in [2, 3] {
        let text = large(serial);
        scene.watch("edited", serial, || scene.node.daemon.publish(LARGE, &text));
    }
}
