//! What is different between tidemark's answer and that of another make.

use super::ask::Question;
use super::name::Name;
use super::reply::{AA, Record, Reply, TC, type_name};
use super::world::Make;

/// One question and the replies to it, tidemark's first.
pub struct Case {
    pub question: Question,
    pub replies: Vec<(Make, Reply)>,
}

/// A part of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Rcode,
    Authoritative,
    Truncated,
    /// QR, opcode, RD, RA, AD, CD.
    Flags,
    Question,
    /// Whether there is an OPT record, its version and DO.
    Edns,
    Answer,
    Authority,
    Additional,
}

impl Case {
    pub fn ours(&self) -> &Reply {
        &self.replies[0].1
    }

    /// The reply of one make, when it was asked.
    pub fn of(&self, make: Make) -> Option<&Reply> {
        self.replies.iter().find(|(other, _)| *other == make).map(|(_, reply)| reply)
    }

    /// What is different at each other make.
    pub fn differences(&self) -> Vec<(Make, Part)> {
        let ours = self.ours();
        let peers = self.replies[1..].iter();
        peers.flat_map(|(make, reply)| differences(ours, reply).into_iter().map(|part| (*make, part))).collect()
    }

    /// Everything about the case, for people.
    pub fn text(&self) -> String {
        let mut text = format!("  {}\n", self.question.dig());
        for (make, reply) in &self.replies {
            let flags: Vec<&str> = [
                (AA, "aa"),
                (TC, "tc"),
                (0x100, "rd"),
                (0x80, "ra"),
                (0x20, "ad"),
                (0x10, "cd"),
            ]
            .iter()
            .filter(|(bit, _)| reply.has(*bit))
            .map(|(_, name)| *name)
            .collect();
            text += &format!("  {make:?}: rcode {} flags {flags:?} {} bytes, opt {:?}\n", reply.rcode, reply.length, reply.opt);
            for (name, records) in ["answer", "authority", "additional"].iter().zip(&reply.sections) {
                for record in records.iter().take(12) {
                    text += &format!("    {name:10} {}\n", record.text());
                }
                if records.len() > 12 {
                    text += &format!("    {name:10} and {} more\n", records.len() - 12);
                }
            }
        }
        text
    }

    pub fn name(&self) -> Name {
        self.question.name.lower()
    }

    pub fn type_name(&self) -> String {
        type_name(self.question.rtype)
    }
}

fn differences(ours: &Reply, theirs: &Reply) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut check = |part, same: bool| {
        if !same {
            parts.push(part);
        }
    };
    check(Part::Rcode, ours.rcode == theirs.rcode);
    check(Part::Authoritative, ours.has(AA) == theirs.has(AA));
    check(Part::Truncated, ours.has(TC) == theirs.has(TC));
    check(Part::Flags, (ours.flags ^ theirs.flags) & !(AA | TC) == 0);
    check(Part::Question, ours.question == theirs.question);
    check(Part::Edns, ours.opt == theirs.opt);
    // What is left of a truncated answer is nobody's promise; the whole of it is compared over TCP.
    if !ours.has(TC) && !theirs.has(TC) {
        check(Part::Answer, same(ours, theirs, 0));
        check(Part::Authority, same(ours, theirs, 1));
        check(Part::Additional, same(ours, theirs, 2));
    }
    parts
}

fn same(ours: &Reply, theirs: &Reply, section: usize) -> bool {
    let (a, b): (Vec<&Record>, Vec<&Record>) = (ours.sorted(section), theirs.sorted(section));
    a == b
}
