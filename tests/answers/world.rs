//! The same zones at servers of four makes, set up so that their answers can be compared.

use std::thread;

use hickory_proto::op::Message;

use super::ask::Question;
use super::client;
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
            for zone in &zones {
                daemon.await_serial(&zone.apex.text(), 1, LOAD_LIMIT);
            }
        }
        World { zones, servers }
    }

    /// Puts the questions to all servers, and those that some answer with TC once more over TCP.
    pub fn ask(&self, questions: Vec<Question>) -> Vec<Case> {
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

    fn ask_once(&self, questions: Vec<Question>) -> Vec<Case> {
        let replies: Vec<(Make, Vec<Vec<u8>>)> = thread::scope(|scope| {
            let questions = &questions;
            let ask = |(make, daemon): &(Make, Daemon)| {
                let (make, addr) = (*make, daemon.addr);
                scope.spawn(move || (make, client::ask(addr, questions)))
            };
            let threads: Vec<_> = self.servers.iter().map(ask).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        // A second opinion on tidemark's bytes: the library can read them.
        for (question, bytes) in questions.iter().zip(&replies[0].1) {
            let read = Message::from_vec(bytes);
            assert!(read.is_ok(), "hickory-proto cannot read the reply to {}: {read:?}\n{bytes:x?}", question.dig());
        }
        let case = |(index, question): (usize, Question)| {
            let read = |(make, all): &(Make, Vec<Vec<u8>>)| {
                let read = Reply::read(&all[index]);
                (*make, read.unwrap_or_else(|e| panic!("{make:?} to {}: {e}\n{:x?}", question.dig(), all[index])))
            };
            Case { replies: replies.iter().map(read).collect(), question, whole: Vec::new() }
        };
        questions.into_iter().enumerate().map(case).collect()
    }
}

/// Until a server has loaded all zones; it takes a second or so.
const LOAD_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
