//! What is different between tidemark's answer and that of another make.

use super::ask::Question;
use super::name::Name;
use super::reply::{AA, QR, RD, Record, Reply, TC, type_number};
use super::world::Make;

/// One question and the replies to it, tidemark's first.
pub struct Case {
    pub question: Question,
    pub replies: Vec<(Make, Reply)>,
    /// What was said over TCP, when one of the replies has TC.
    pub whole: Vec<(Make, Reply)>,
}

/// As many records of a section are shown to people.
const SHOWN: usize = 24;

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

impl Part {
    /// Whether it says something about the zones' data.
    pub fn is_content(self) -> bool {
        use Part::{Additional, Answer, Authority, Rcode, Truncated};
        [Rcode, Truncated, Answer, Authority, Additional].contains(&self)
    }

    /// The same, or whether the zone speaks for itself.
    pub fn is_verdict(self) -> bool {
        self.is_content() || self == Part::Authoritative
    }
}

impl Case {
    pub fn ours(&self) -> &Reply {
        &self.replies[0].1
    }

    /// The reply of one make, when it was asked.
    pub fn of(&self, make: Make) -> Option<&Reply> {
        self.replies.iter().find(|(other, _)| *other == make).map(|(_, reply)| reply)
    }

    /// What is wrong with tidemark's reply, whatever the others say.
    pub fn faults(&self) -> Vec<String> {
        let (question, reply) = (&self.question, self.ours());
        let mut faults = Vec::new();
        let mut check = |good: bool, fault: &str| {
            if !good {
                faults.push(fault.to_owned());
            }
        };
        let echoed = QR | if question.recursion { RD } else { 0 };
        check(reply.question == question.question(), "the question is not echoed byte by byte");
        check(
            reply.flags & !(AA | TC) == echoed,
            "header bits other than QR, AA, TC and the RD of the query",
        );
        check(reply.length <= question.limit(), "longer than the limit");
        check(reply.opt.is_some() == question.edns.is_some(), "OPT, which only answers OPT (RFC 6891 6.1.1)");
        check(!question.tcp || !reply.has(TC), "TC over TCP");
        let signatures = ![type_number("RRSIG"), type_number("ANY")].contains(&question.rtype);
        faults.extend(reply.check_order(signatures).err());
        match self.whole_of(Make::Tidemark) {
            Some(whole) if reply.has(TC) => {
                faults.extend(halves(reply, whole));
                if reply.rcode != whole.rcode {
                    faults.push("another response code than over TCP".to_owned());
                }
            }
            Some(whole) if !same(reply, whole, 0) || !same(reply, whole, 1) || reply.rcode != whole.rcode => {
                faults.push("less than over TCP without TC".to_owned());
            }
            _ => {}
        }
        faults
    }

    /// The reply of one make over TCP, when some reply was truncated.
    pub fn whole_of(&self, make: Make) -> Option<&Reply> {
        self.whole.iter().find(|(other, _)| *other == make).map(|(_, reply)| reply)
    }

    /// What is different at each other make.
    pub fn differences(&self) -> Vec<(Make, Part)> {
        let ours = self.ours();
        let peers = self.replies[1..].iter();
        peers
            .flat_map(|(make, reply)| differences(ours, reply).into_iter().map(|part| (*make, part)))
            .collect()
    }

    /// Everything about the case, for people: tidemark's reply, and what the others have instead.
    pub fn text(&self) -> String {
        let mut text = format!("  {}\n", self.question.dig());
        for (make, reply) in &self.replies {
            let names = [(AA, "aa"), (TC, "tc"), (0x100, "rd"), (0x80, "ra"), (0x20, "ad"), (0x10, "cd")];
            let set = names.iter().filter(|(bit, _)| reply.has(*bit));
            let flags: Vec<&str> = set.map(|(_, name)| *name).collect();
            let (rcode, length) = (reply.rcode, reply.length);
            let whole =
                self.whole_of(*make).map_or(String::new(), |whole| format!(", {} over TCP", whole.length));
            text +=
                &format!("  {make:?}: rcode {rcode}, {flags:?}, {length} bytes{whole}, {:?}\n", reply.opt);
            for (at, section) in ["answer", "authority", "additional"].iter().enumerate() {
                let (ours, theirs) = (self.ours().sorted(at), reply.sorted(at));
                let lines: Vec<String> = match *make {
                    Make::Tidemark => {
                        reply.sections[at].iter().map(|record| format!("  {}", record.text())).collect()
                    }
                    _ => {
                        let missing = ours.iter().filter(|record| !theirs.contains(record));
                        let added = theirs.iter().filter(|record| !ours.contains(record));
                        let missing = missing.map(|record| format!("- {}", record.text()));
                        missing.chain(added.map(|record| format!("+ {}", record.text()))).collect()
                    }
                };
                lines.iter().take(SHOWN).for_each(|line| text += &format!("    {section:10} {line}\n"));
                if lines.len() > SHOWN {
                    text += &format!("    {section:10}   and {} more\n", lines.len() - SHOWN);
                }
            }
        }
        text
    }

    pub fn name(&self) -> Name {
        self.question.name.lower()
    }
}

/// RRsets of a truncated reply that are not as in the whole one: RFC 2181 9 has them left out rather than cut.
fn halves(reply: &Reply, whole: &Reply) -> Vec<String> {
    let mut faults = Vec::new();
    for record in reply.sections.iter().flatten() {
        let set = |reply: &Reply| -> Vec<Record> {
            let all = reply.sections.iter().flatten();
            let mut set: Vec<Record> = all.filter(|other| other.is_beside(record)).cloned().collect();
            set.sort();
            set
        };
        if set(reply) != set(whole) {
            faults.push(format!("an RRset broken in half: {}", record.text()));
        }
    }
    faults
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
