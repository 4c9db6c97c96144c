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

mod zones;

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use tidemark::answer::context::{Client, Recursion, Served};
use tidemark::answer::door::GROUP;
use tidemark::answer::fast::{Fast, REPLY, Versions};
use tidemark::answer::respond::answer;
use tidemark::publish::access::Access;
use tidemark::publish::proposal::Proposal;
use tidemark::publish::store::ZoneStore;
use tidemark::resolve::cache::{Answer, Ask, AskFlags, Cache, Config};
use tidemark::resolve::settings::Reach;
use tidemark::resolve::special_use::SpecialUse;
use tidemark::time::{Mono, Now, Utc};
use tidemark::wire::cookie::{Cookie, Secret, Secrets};
use tidemark::wire::edns::{COOKIE, push_option};
use tidemark::wire::message::{Request, flags};
use tidemark::wire::name::Name;
use tidemark::wire::plain::Names;
use tidemark::wire::rtype::{CLASS_IN, Rcode, Rtype};
use tidemark::wire::via::Via;
use tidemark::wire::writer::Writer;
use tidemark::zone::serial::Policy;
use tidemark::zone::snapshot::Snapshot;

// callgrind knows no SHA instructions, so that each hash of an NSEC3 answer counts some 1,100 more than it takes.

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The fast path, from the zone.
    Fast,
    /// The fast path, from a cache that knows every answer.
    Hit,
    /// The general path, which every query can take.
    General,
}

/// A fixed set of questions.
struct Mix {
    name: &'static str,
    way: Way,
    /// The most instructions that an answer may take: what is counted, and a twelfth more, as other machines copy memory in other
    /// ways.
    limit: u64,
    /// What is asked for.
    zone: fn() -> Snapshot,
    questions: Questions,
}

// Plain queries of unsigned zones (flat, referral, nxdomain) took 1,375, 3,203 and 2,178 instructions until the fast path came to
// answer the queries of real resolvers (DO, a cookie, signed zones) and of the cache, which took the general path before; they take
// 1,252, 3,396 and 1,326 now. The second is to be won back.
const MIXES: [Mix; 20] = [
    fast("flat", 1_356, zones::flat, || asked("n", ".flat.", Rtype::A, &PLAIN)),
    fast("referral", 3_679, zones::registry, || asked("www.d", ".example.", Rtype::A, &PLAIN)),
    fast("nxdomain", 1_436, zones::registry, || asked("x", ".example.", Rtype::A, &PLAIN)),
    general("flat-whole", 2_705, zones::flat, || asked("n", ".flat.", Rtype::A, &PLAIN)),
    general("referral-whole", 5_386, zones::registry, || asked("www.d", ".example.", Rtype::A, &PLAIN)),
    general("nxdomain-whole", 3_805, zones::registry, || asked("x", ".example.", Rtype::A, &PLAIN)),
    general("cname", 5_445, zones::flat, || asked("c", ".flat.", Rtype::A, &PLAIN)),
    fast("flat-cookie", 1_906, zones::flat, || asked("n", ".flat.", Rtype::A, &resolver())),
    fast("referral-cookie", 4_228, zones::registry, || asked("www.d", ".example.", Rtype::A, &resolver())),
    hit("hit", 1_401, zones::flat, || asked("n", ".flat.", Rtype::A, &PLAIN)),
    hit("hit-cookie", 1_969, zones::flat, || asked("n", ".flat.", Rtype::A, &resolver())),
    fast("nsec-positive", 2_208, zones::nsec, || asked("n", ".signed.", Rtype::A, &resolver())),
    fast("nsec-nodata", 3_045, zones::nsec, || asked("n", ".signed.", Rtype::TXT, &resolver())),
    fast("nsec-nxdomain", 3_953, zones::nsec, || asked("x", ".signed.", Rtype::A, &resolver())),
    fast("nsec-referral", 5_146, zones::nsec, || asked("www.d", ".signed.", Rtype::A, &resolver())),
    fast("optout-positive", 2_201, zones::optout, || asked("n", ".signed.", Rtype::A, &resolver())),
    fast("optout-nodata", 6_277, zones::optout, || asked("n", ".signed.", Rtype::TXT, &resolver())),
    fast("optout-nxdomain", 7_206, zones::optout, || asked("x", ".signed.", Rtype::A, &resolver())),
    fast("optout-referral", 9_599, zones::optout, || asked("www.d", ".signed.", Rtype::A, &resolver())),
    general("optout-whole", 12_852, zones::optout, || asked("x", ".signed.", Rtype::A, &resolver())),
];

type Questions = fn() -> Vec<Vec<u8>>;

const fn fast(name: &'static str, limit: u64, zone: fn() -> Snapshot, questions: Questions) -> Mix {
    Mix { name, way: Way::Fast, limit, zone, questions }
}

const fn hit(name: &'static str, limit: u64, zone: fn() -> Snapshot, questions: Questions) -> Mix {
    Mix { name, way: Way::Hit, limit, zone, questions }
}

const fn general(name: &'static str, limit: u64, zone: fn() -> Snapshot, questions: Questions) -> Mix {
    Mix { name, way: Way::General, limit, zone, questions }
}

/// Questions in a mix.
const QUESTIONS: usize = 1_000;
/// Names of each kind in the zones.
const NAMES: usize = 20_000;

/// What stands in the OPT record of a query.
struct Edns {
    dnssec_ok: bool,
    options: Vec<u8>,
}

/// Nothing but a size.
const PLAIN: Edns = Edns { dnssec_ok: false, options: Vec::new() };

/// What resolvers send: DO, and a cookie that is good.
fn resolver() -> Edns {
    let client = Cookie { client: b"clientck", server: &[] };
    let seconds = now().utc.0 / 1_000_000;
    let (_, cookie) = secrets().exchange(client, asker().addr.ip(), seconds - 60);
    let mut options = Vec::new();
    push_option(&mut options, COOKIE, &cookie);
    Edns { dnssec_ok: true, options }
}

fn secrets() -> Secrets {
    Secrets::new(Secret::new([7; 16]), Vec::new())
}

fn asker() -> Client {
    Client { addr: "127.0.0.1:53".parse().unwrap(), via: Via::Udp }
}

fn asked(before: &str, behind: &str, rtype: Rtype, edns: &Edns) -> Vec<Vec<u8>> {
    let query = |number: usize| {
        let name: Name = format!("{before}{}{behind}", number * 7_919 % NAMES).parse().unwrap();
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, 512, number as u16, flags::RD);
        writer.question(&name, rtype, CLASS_IN).unwrap();
        writer.opt(1_232, Rcode::NOERROR, edns.dnssec_ok, &edns.options).unwrap();
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
    println!("{:<16} {each:>6} instructions an answer, limit {:>6}{verdict}", mix.name, mix.limit);
    each <= mix.limit
}

fn play(mix: &Mix) {
    let store = Arc::new(ZoneStore::new(1));
    let zone = (mix.zone)();
    let questions = (mix.questions)();
    let recursion = (mix.way == Way::Hit).then(|| {
        let cache = Arc::new(Cache::new(&Config::default()));
        questions.iter().for_each(|question| know(&cache, &zone, question));
        Recursion {
            cache,
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            special_use: SpecialUse::default(),
            reach: Reach::default(),
        }
    });
    if recursion.is_none() {
        let name = zone.apex().clone();
        store.configure(&name, Access::default());
        store.publish(now(), Proposal::file(zone, Policy::Increment), |_| Ok(())).unwrap();
    }
    let served = Served { store, recursion, nsid: None, cookies: Arc::new(secrets()) };
    let (way, from) = (mix.way, asker());
    let (reply, room) = (Vec::with_capacity(2_048), vec![0; REPLY]);
    let mut round = Round { way, served, from, questions, reply, room };
    round.answer_all();
    round.count_all();
}

/// All questions of a mix, and what answers them.
struct Round {
    way: Way,
    served: Served,
    from: Client,
    questions: Vec<Vec<u8>>,
    reply: Vec<u8>,
    room: Vec<u8>,
}

/// Has the cache know what the zone says, and have it ready.
fn know(cache: &Cache, zone: &Snapshot, question: &[u8]) {
    let request = Request::read(question).unwrap();
    let owner = zone.owner(request.name).unwrap();
    let answer = owner.records().filter(|record| record.rtype == request.rtype).collect();
    let dnssec_ok = request.opt.is_some_and(|opt| opt.dnssec_ok);
    let ask = Ask {
        name: request.name.to_name(),
        rtype: request.rtype,
        flags: AskFlags::of(request.header.flags, dnssec_ok),
    };
    let answer = Answer { rcode: Rcode::NOERROR, answer, authority: Vec::new(), negative: None, rest: None };
    cache.put(now().mono, &ask, &answer);
    assert!(cache.get(now().mono, &ask.name, ask.rtype, ask.flags).is_some());
}

impl Round {
    #[inline(never)]
    fn count_all(&mut self) {
        self.answer_all();
    }

    fn answer_all(&mut self) {
        let Round { way, served, from, questions, reply, room } = self;
        let now = now();
        if *way == Way::General {
            for question in questions {
                reply.clear();
                black_box(answer(served, now, black_box(question), *from, reply));
            }
            return;
        }
        let directory = served.store.directory();
        for group in questions.chunks(GROUP) {
            let versions = Versions::<GROUP>::default();
            let mut plain: Vec<Fast<'_>> = group
                .iter()
                .map(|question| {
                    Fast::read(served, &directory, &versions, black_box(question)).expect("a plain query")
                })
                .collect();
            plain.iter_mut().for_each(Fast::fetch);
            let mut names = Names::default();
            for plain in &plain {
                assert!(plain.answer(served, now, *from, room, &mut names).is_some(), "not a plain answer");
            }
        }
    }
}

fn now() -> Now {
    Now { mono: Mono(1_000_000), utc: Utc(1_700_000_000_000_000) }
}
