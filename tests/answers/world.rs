//! The same zones at servers of four makes, set up so that their answers can be compared.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use hickory_proto::op::Message;

use super::ask::Question;
use super::client::{self, Replies};
use super::compare::Case;
use super::generate::Zone;
use super::name::Name;
use super::reply::{Reply, TC};
use crate::support::daemon::Daemon;
use crate::support::{bind, knot, nsd, ports, tidemark, zones};

/// Who has made a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Make {
    Tidemark,
    Bind,
    Knot,
    Nsd,
}

/// BIND gives addresses of the hosts named in an answer, but not the zone's NS; ANY is answered in full; and zones are
/// loaded however odd their contents.
const BIND_OPTIONS: &str = "minimal-responses no-auth; minimal-any no; zero-no-soa-ttl no; max-query-restarts 15; check-names primary ignore; \
     check-integrity no; check-mx ignore; check-mx-cname ignore; check-srv-cname ignore; check-wildcard no;";
/// NSD does not add the zone's NS to answers.
const NSD_OPTIONS: &str = "    minimal-responses: yes\n    tcp-count: 200\n";

/// Running servers with the same zones; tidemark is the first.
pub struct World {
    pub zones: Vec<Zone>,
    servers: Vec<(Make, Daemon)>,
}

impl World {
    /// Starts servers of these makes besides tidemark.
    pub fn start(zones: Vec<Zone>, peers: &[Make]) -> World {
        let file = |zone: &Zone| zone.signed.clone().unwrap_or_else(|| zone.text());
        let files: Vec<zones::Zone> =
            zones.iter().map(|zone| zones::Zone::primary(&zone.apex.text(), file(zone))).collect();
        let start = |make| match make {
            Make::Tidemark => tidemark::start(ports::reserve(), &files).daemon,
            Make::Bind => bind::start_with(ports::reserve(), &files, BIND_OPTIONS),
            Make::Knot => knot::start(ports::reserve(), &files),
            Make::Nsd => nsd::start_with(ports::reserve(), &files, NSD_OPTIONS),
        };
        let makes = [&[Make::Tidemark], peers].concat();
        let servers: Vec<(Make, Daemon)> = makes.into_iter().map(|make| (make, start(make))).collect();
        for (_, daemon) in &servers {
            zones.iter().for_each(|zone| daemon.await_serial(&zone.apex.text(), 1, LOAD_LIMIT));
        }
        World { zones, servers }
    }

    /// Puts the questions to all servers, and those that some answer with TC once more over TCP.
    pub fn ask(&mut self, questions: Vec<Question>) -> Vec<Case> {
        let mut cases = self.ask_once(questions);
        let truncated = |case: &Case| case.replies.iter().any(|(_, reply)| reply.has(TC));
        let cut_off: Vec<usize> = (0..cases.len()).filter(|&index| truncated(&cases[index])).collect();
        let again = self.ask_once(cut_off.iter().map(|&index| cases[index].question.over_tcp()).collect());
        for (&index, whole) in cut_off.iter().zip(&again) {
            cases[index].whole = whole.replies.clone();
        }
        cases.extend(again);
        cases
    }

    /// What the zones have at and above a name and at wildcards beside it, for people.
    pub fn lines(&self, name: &Name) -> String {
        let mut text = String::new();
        for zone in self.zones.iter().filter(|zone| name.is_in(&zone.apex)) {
            for above in name.up().take_while(|above| above.is_below(&zone.apex)) {
                for owner in [above.clone(), above.parent().unwrap().child(b"*")] {
                    for line in zone.lines_at(&owner) {
                        text += &format!("    zone {}: {line}\n", zone.apex.text());
                    }
                }
            }
        }
        text
    }

    fn ask_once(&mut self, questions: Vec<Question>) -> Vec<Case> {
        let all: Vec<&Question> = questions.iter().collect();
        let first: Vec<Replies> = thread::scope(|scope| {
            let ask = |(_, daemon): &(Make, Daemon)| {
                let (addr, all) = (daemon.addr, &all);
                scope.spawn(move || client::ask(addr, all))
            };
            let threads: Vec<_> = self.servers.iter().map(ask).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let servers = self.servers.iter_mut().zip(first);
        let replies: Vec<(Make, Vec<Option<Vec<u8>>>)> = servers
            .map(|((make, daemon), first)| (*make, go_on(*make, daemon, &self.zones, &questions, first)))
            .collect();
        // A second opinion on tidemark's bytes: the library can read them.
        for (question, bytes) in questions.iter().zip(&replies[0].1) {
            let read = bytes.as_ref().map(|bytes| Message::from_vec(bytes));
            let good = matches!(read, Some(Ok(_)));
            assert!(good, "hickory-proto cannot read the reply to {}: {read:?}\n{bytes:x?}", question.dig());
        }
        let case = |(index, question): (usize, Question)| {
            let read = |(make, all): &(Make, Vec<Option<Vec<u8>>>)| {
                let bytes = all[index].as_ref()?;
                let read = Reply::read(bytes);
                let reply =
                    read.unwrap_or_else(|e| panic!("{make:?} to {}: {e}\n{bytes:x?}", question.dig()));
                Some((*make, reply))
            };
            Case { replies: replies.iter().filter_map(read).collect(), question, whole: Vec::new() }
        };
        questions.into_iter().enumerate().map(case).collect()
    }
}

/// Asks what a server that hung has not answered yet. Knot 3.2 runs into an endless loop over some questions: it is started
/// again (from the test's thread, with which it ends), and those questions stay without its answer.
fn go_on(
    make: Make,
    daemon: &mut Daemon,
    zones: &[Zone],
    questions: &[Question],
    first: Replies,
) -> Vec<Option<Vec<u8>>> {
    let Replies { mut bytes, mut stuck } = first;
    let mut silent = BTreeSet::new();
    while !stuck.is_empty() {
        assert!(make == Make::Knot, "{make:?} hangs over one of these: {:#?}", dig(questions, &stuck));
        restart(daemon, zones);
        for index in stuck {
            let one = client::ask(daemon.addr, &[&questions[index]]);
            bytes[index] = one.bytes.into_iter().next().flatten();
            if bytes[index].is_none() {
                println!("{make:?} hangs: {}", questions[index].dig());
                silent.insert(index);
                assert!(silent.len() <= MOST_SILENT, "{make:?} hangs too often");
                restart(daemon, zones);
            }
        }
        let left: Vec<usize> =
            (0..questions.len()).filter(|index| bytes[*index].is_none() && !silent.contains(index)).collect();
        let rest: Vec<&Question> = left.iter().map(|&index| &questions[index]).collect();
        let replies = client::ask(daemon.addr, &rest);
        left.iter().zip(replies.bytes).for_each(|(&index, reply)| bytes[index] = reply);
        stuck = replies.stuck.into_iter().map(|at| left[at]).collect();
    }
    bytes
}

fn restart(daemon: &mut Daemon, zones: &[Zone]) {
    daemon.kill();
    daemon.restart();
    zones.iter().for_each(|zone| daemon.await_serial(&zone.apex.text(), 1, LOAD_LIMIT));
}

fn dig(questions: &[Question], indices: &[usize]) -> Vec<String> {
    indices.iter().map(|&index| questions[index].dig()).collect()
}

/// So many questions may make Knot hang; each costs seconds.
pub const MOST_SILENT: usize = 5;
/// Until a server has loaded all zones; it takes a second or so.
const LOAD_LIMIT: Duration = Duration::from_secs(30);
