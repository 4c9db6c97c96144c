//! How many instructions an answer takes, counted by callgrind: the same number on every run, however busy the machine is.
//!
//! ```text
//! cargo bench --profile measure --bench instructions             # counts, and compares with the limits below
//! cargo bench --profile measure --bench instructions -- flat     # one mix alone, without callgrind: to be profiled
//! ```
//!
//! Each mix is answered once to warm up and then counted. A count above its limit ends the program with status 1: either the
//! change that caused it is mended, or the limit is raised together with the reason.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot go on may end")]

use std::fmt::Write;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use tidemark::answer::context::{Served, Source};
use tidemark::answer::fast::{REPLY, Straight, Versions};
use tidemark::answer::respond::answer;
use tidemark::publish::access::Access;
use tidemark::publish::proposal::Proposal;
use tidemark::publish::store::ZoneStore;
use tidemark::text::file::read::read;
use tidemark::time::{Mono, Now, Utc};
use tidemark::wire::cookie::{Secret, Secrets};
use tidemark::wire::message::flags;
use tidemark::wire::name::Name;
use tidemark::wire::rtype::{CLASS_IN, Rcode, Rtype};
use tidemark::wire::via::Via;
use tidemark::wire::writer::Writer;
use tidemark::zone::serial::Policy;
use tidemark::zone::snapshot::{Builder, Snapshot};

/// A fixed set of questions.
struct Mix {
    name: &'static str,
    /// Whether the straight path answers it, or the whole of it that every query can take.
    is_straight: bool,
    /// The most instructions that an answer may take: what is counted, and a twelfth more, as other machines copy memory in other
    /// ways.
    limit: u64,
    questions: fn() -> Vec<Vec<u8>>,
}

const MIXES: [Mix; 7] = [
    Mix { name: "flat", is_straight: true, limit: 1_490, questions: || asked("n", ".flat.", Rtype::A) },
    Mix {
        name: "referral",
        is_straight: true,
        limit: 3_470,
        questions: || asked("www.d", ".example.", Rtype::A),
    },
    Mix {
        name: "nxdomain",
        is_straight: true,
        limit: 2_360,
        questions: || asked("x", ".example.", Rtype::A),
    },
    Mix {
        name: "flat-whole",
        is_straight: false,
        limit: 2_830,
        questions: || asked("n", ".flat.", Rtype::A),
    },
    Mix {
        name: "referral-whole",
        is_straight: false,
        limit: 5_880,
        questions: || asked("www.d", ".example.", Rtype::A),
    },
    Mix {
        name: "nxdomain-whole",
        is_straight: false,
        limit: 4_130,
        questions: || asked("x", ".example.", Rtype::A),
    },
    Mix { name: "cname", is_straight: false, limit: 5_870, questions: || asked("c", ".flat.", Rtype::A) },
];

/// Questions in a mix.
const QUESTIONS: usize = 1_000;
/// Names of each kind in the zones.
const NAMES: usize = 20_000;

fn asked(before: &str, behind: &str, rtype: Rtype) -> Vec<Vec<u8>> {
    let query = |number: usize| {
        let name: Name = format!("{before}{}{behind}", number * 7_919 % NAMES).parse().unwrap();
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, 512, number as u16, flags::RD);
        writer.question(&name, rtype, CLASS_IN).unwrap();
        writer.opt(1_232, Rcode::NOERROR, false, &[]).unwrap();
        writer.finish();
        bytes
    };
    (0..QUESTIONS).map(query).collect()
}

fn main() -> ExitCode {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    match wanted {
        Some(name) => {
            let mix = MIXES.iter().find(|mix| mix.name == name).expect("one of the mixes");
            play(mix);
            ExitCode::SUCCESS
        }
        None => {
            let failed = MIXES.iter().filter(|mix| !count(mix)).count();
            ExitCode::from(u8::from(failed > 0))
        }
    }
}

/// Counts a mix in a process of its own; whether it keeps its limit.
fn count(mix: &Mix) -> bool {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*count_all*")
        .arg(std::env::current_exe().unwrap())
        .arg(mix.name)
        .output()
        .expect("valgrind; on Debian: apt-get install valgrind");
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count);
    let Some(instructions) = collected.and_then(|count| count.trim().parse::<u64>().ok()) else {
        panic!("callgrind did not count {}: {said}", mix.name)
    };
    let each = instructions / QUESTIONS as u64;
    let verdict = if each <= mix.limit { "" } else { "   TOO MANY" };
    println!("{:<12} {each:>6} instructions an answer, limit {:>6}{verdict}", mix.name, mix.limit);
    each <= mix.limit
}

fn play(mix: &Mix) {
    let store = Arc::new(ZoneStore::new(1));
    for zone in [flat(), registry()] {
        store.configure(zone.apex(), Access::default());
        store.publish(now(), Proposal::file(zone, Policy::Increment), |_| Ok(())).unwrap();
    }
    let cookies = Arc::new(Secrets::new(Secret::new([7; 16]), Vec::new()));
    let served = Served { store, recursion: None, nsid: None, cookies };
    let questions = (mix.questions)();
    let mut reply = Vec::with_capacity(2_048);
    let mut room = vec![0; REPLY];
    let from = Source { addr: "127.0.0.1:53".parse().unwrap(), via: Via::Udp };
    answer_all(mix, &served, from, &questions, &mut reply, &mut room);
    count_all(mix, &served, from, &questions, &mut reply, &mut room);
}

#[inline(never)]
fn count_all(
    mix: &Mix,
    served: &Served,
    from: Source,
    questions: &[Vec<u8>],
    reply: &mut Vec<u8>,
    room: &mut [u8],
) {
    answer_all(mix, served, from, questions, reply, room);
}

fn answer_all(
    mix: &Mix,
    served: &Served,
    from: Source,
    questions: &[Vec<u8>],
    reply: &mut Vec<u8>,
    room: &mut [u8],
) {
    let directory = served.store.directory();
    for question in questions {
        let question = black_box(question);
        if mix.is_straight {
            let versions = Versions::<1>::default();
            let plain = Straight::read(&directory, &versions, question).expect("a plain query");
            plain.fetch();
            assert!(plain.answer(false, Via::Udp, room).is_some(), "not a plain answer");
        } else {
            reply.clear();
            black_box(answer(served, now(), question, from, reply));
        }
    }
}

fn now() -> Now {
    Now { mono: Mono(1_000_000), utc: Utc(1_700_000_000_000_000) }
}

const HEAD: &str = "$TTL 3600\n@ SOA ns1 h 1 7200 900 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n";

fn flat() -> Snapshot {
    let mut text = format!("$ORIGIN flat.\n{HEAD}");
    for number in 0..NAMES {
        let _ = writeln!(text, "n{number} A 10.0.{}.{}", number / 250, number % 250);
        let _ = writeln!(text, "c{number} CNAME n{number}");
    }
    load("flat.", &text)
}

fn registry() -> Snapshot {
    let mut text = format!("$ORIGIN example.\n{HEAD}");
    for number in 0..NAMES {
        let _ = writeln!(text, "d{number} NS ns1.d{number}\nd{number} NS ns2.o{}.test.", number % 1_000);
        let _ = writeln!(text, "ns1.d{number} A 192.0.2.{}", number % 250);
    }
    load("example.", &text)
}

fn load(apex: &str, text: &str) -> Snapshot {
    let mut builder = Builder::new(apex.parse().unwrap());
    let mut none = |_: &str, _: &str| Err("no includes".to_owned());
    let outcome = read("zone", text.as_bytes(), None, &mut none, &mut |entry| {
        builder.add(entry.owner, entry.rtype, entry.ttl, entry.rdata);
    });
    assert!(outcome.is_ok());
    builder.finish().unwrap().0
}
