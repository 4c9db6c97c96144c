//! Zone files as BIND, Knot and NSD read them: every file of the corpus is given to `named-checkzone`, `kzonecheck`,
//! `nsd-checkzone` and `tidemark check`. Where the three agree, tidemark agrees with them; every other file stands in
//! `tests/corpus/zones/differences` with the verdicts, ours, and the reason.
//!
//! `named-checkzone` runs with the settings of a server that loads the zone as a primary: names of hosts are checked and bad
//! ones refused (`-k fail`), addresses are looked for in the zone itself (`-i local`), all else is warned of.
//!
//! What was accepted is printed by `tidemark check --print` and read again by the others: BIND, Knot and NSD make the same
//! records of the print as of the original, and so does BIND of thousands of records made at random.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use ::tidemark::wire::rtype::Rtype;
use support::corpus::{self, Corpus, HEAD, ZONE};
use support::process::program;
use support::zones::Zone;
use support::{dig, knot, ports, rdata, seed, tidemark};

/// How many files are being looked at at a time.
const THREADS: usize = 2;
/// How many records of each type are made at random.
const OF_EACH_TYPE: usize = 40;
/// Records given with several TTLs, of which the lowest holds (RFC 2181 5.2), to BIND and NSD the first; and a name given
/// in both cases, of which we keep the first, and BIND the second.
const FIRST_OR_LAST: [&str; 5] = [
    "zone-rrset-ttls-differ-falling",
    "zone-same-soa-twice-other-ttl",
    "head-owner-like-ttl",
    "zone-cname-same-twice",
    "zone-duplicate-names-by-case",
];
/// To NSD, records of one RRset have TTLs of their own, one with the highest bit set is no TTL, and neither a TTL before nor
/// the SOA gives those that have none theirs; of a string nothing is left before an escaped line's end, or behind a NUL.
const NSD_OTHERWISE: [&str; 10] = [
    "ttl-absent-but-on-soa",
    "ttl-absent-everywhere",
    "ttl-directive-late",
    "syntax-quote-escaped-newline",
    "syntax-nul-in-string",
    "zone-rrset-ttls-differ",
    "ttl-max-plus-1",
    "ttl-max-32",
    "ttl-directive-max-plus-1",
    "soa-ttl-large",
];

/// The verdicts of BIND, Knot and NSD, and ours: `A`ccepted or `R`efused.
type Verdicts = [char; 4];

/// What is known of a file on which the three differ, or on which we differ from all of them.
struct Difference {
    verdicts: Verdicts,
    reason: String,
}

#[test]
fn files_are_accepted_and_refused_as_by_the_others() {
    let corpus = Corpus::lay_out();
    let known = differences();
    let mut wrong = String::new();
    let mut agreed = [0, 0];
    for (name, verdicts) in verdicts(&corpus) {
        let [bind, knot, nsd, ours] = verdicts;
        let agree = bind == knot && knot == nsd;
        match known.get(&name) {
            None if agree && ours == bind => agreed[usize::from(ours == 'R')] += 1,
            Some(difference) if difference.verdicts == verdicts => {}
            found => {
                let listed = found.map_or("not listed".to_owned(), |found| {
                    format!("listed as {} ({})", show(found.verdicts), found.reason)
                });
                writeln!(wrong, "{name}: {}, {listed}", show(verdicts)).unwrap();
            }
        }
    }
    println!(
        "{} files: {} accepted by all, {} refused by all, {} on which they differ",
        corpus.names.len(),
        agreed[0],
        agreed[1],
        known.len()
    );
    assert!(wrong.is_empty(), "BIND, Knot, NSD; tidemark:\n{wrong}");
    let gone: Vec<&String> = known.keys().filter(|name| !corpus.names.contains(name)).collect();
    assert!(gone.is_empty(), "listed, but not in the corpus: {gone:?}");
    assert!(agreed.iter().all(|&count| count > 150), "the corpus has lost its files: {agreed:?}");
}

fn show(verdicts: Verdicts) -> String {
    let [bind, knot, nsd, ours] = verdicts;
    format!("{bind}{knot}{nsd} {ours}")
}

/// All files with what the four make of them.
fn verdicts(corpus: &Corpus) -> Vec<(String, Verdicts)> {
    for_each(&corpus.names, |name| (name.clone(), judge(corpus.dir(), name)))
}

/// Does something with each name, several at a time.
fn for_each<T: Send>(names: &[String], each: impl Fn(&String) -> T + Sync) -> Vec<T> {
    let each = &each;
    thread::scope(|scope| {
        let part = |names| scope.spawn(move || <[String]>::iter(names).map(each).collect::<Vec<_>>());
        let parts: Vec<_> = names.chunks(names.len().div_ceil(THREADS)).map(part).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

fn judge(dir: &Path, name: &str) -> Verdicts {
    let file = format!("{name}.zone");
    let mut bind = Command::new(program("named-checkzone"));
    bind.args(["-k", "fail", "-n", "ignore", "-m", "warn", "-r", "warn", "-i", "local"]);
    bind.args(["-M", "warn", "-S", "warn", "-W", "warn", ZONE, &file]);
    let mut knot = Command::new(program("kzonecheck"));
    knot.args(["-o", ZONE, &file]);
    let mut nsd = Command::new(program("nsd-checkzone"));
    nsd.args([ZONE, &file]);
    let mut ours = tidemark::command();
    ours.args(["check", "--origin", ZONE, &file]);
    [bind, knot, nsd, ours].map(|mut command| {
        let status = command.current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        // A program that dies of a file does not take it: kzonecheck 3.2 does, of a name in `\#` that is a pointer.
        if status.success() { 'A' } else { 'R' }
    })
}

/// The list: blocks of a line `= BKN T reason` and a line of names for each.
fn differences() -> BTreeMap<String, Difference> {
    let text = fs::read_to_string(corpus::folder().join("differences")).unwrap();
    let mut known = BTreeMap::new();
    for block in text.split("\n= ").skip(1) {
        let (head, names) = block.split_once('\n').unwrap();
        let verdicts: Vec<char> = head.chars().filter(|letter| *letter != ' ').take(4).collect();
        for name in names.split_whitespace() {
            let verdicts = verdicts.clone().try_into().unwrap();
            let difference = Difference { verdicts, reason: head[5..].trim().to_owned() };
            assert!(known.insert(name.to_owned(), difference).is_none(), "{name} is listed twice");
        }
    }
    known
}

#[test]
fn what_is_printed_holds_the_same_records() {
    let corpus = Corpus::lay_out();
    let dir = corpus.dir();
    let compared = for_each(&corpus.names, |name| {
        let original = format!("{name}.zone");
        let Some(printed) = print(dir, &original) else { return (0, 0, String::new()) };
        let file = format!("{name}.printed");
        fs::write(dir.join(&file), &printed).unwrap();
        let again = print(dir, &file);
        assert_eq!(again.as_deref(), Some(&*printed), "{name}: the print of the print is another");
        let mut wrong = String::new();
        let mut same = |who: &str, of: fn(&Path, &str) -> Option<BTreeSet<String>>, but: &[&str]| {
            let Some(expected) = of(dir, &original) else { return 0 };
            let found = of(dir, &file).unwrap_or_default();
            let lost: Vec<_> = expected.difference(&found).collect();
            let more: Vec<_> = found.difference(&expected).collect();
            if !lost.is_empty() || !more.is_empty() {
                let known = FIRST_OR_LAST.contains(&&**name) || but.contains(&&**name);
                if !known {
                    writeln!(wrong, "{name} to {who}: lost {lost:?}, more {more:?}").unwrap();
                }
            }
            1
        };
        (same("BIND", by_bind, &[]), same("NSD", by_nsd, &NSD_OTHERWISE), wrong)
    });
    let (mut to_bind, mut to_nsd, mut wrong) = (0, 0, String::new());
    for (bind, nsd, differences) in compared {
        (to_bind, to_nsd) = (to_bind + bind, to_nsd + nsd);
        wrong += &differences;
    }
    println!("the same records to BIND in {to_bind} files, to NSD in {to_nsd}");
    assert!(wrong.is_empty(), "{wrong}");
    assert!(to_bind > 250 && to_nsd > 250);
}

/// Knot 3.2 has no program that prints a zone: the records are those that it transfers.
#[test]
fn what_is_printed_holds_the_same_records_to_knot() {
    let corpus = Corpus::lay_out();
    let of_types: Vec<String> =
        corpus.names.iter().filter(|name| name.starts_with("type-")).cloned().collect();
    let taken = for_each(&of_types, |name| {
        let mut knot = Command::new(program("kzonecheck"));
        knot.args(["-o", ZONE, &format!("{name}.zone")]);
        let status = knot.current_dir(corpus.dir()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.unwrap().success() && print(corpus.dir(), &format!("{name}.zone")).is_some()
    });
    let mut text = HEAD.to_owned();
    for (number, name) in of_types.iter().enumerate().filter(|(number, _)| taken[*number]) {
        let case = String::from_utf8(corpus.text(name)).unwrap();
        // All of these begin with an `r`, and each gets a name of its own.
        let records = case.strip_prefix(HEAD).unwrap().replace("\nr", &format!("\nc{number}-"));
        writeln!(text, "c{number}-{}", records.strip_prefix('r').unwrap()).unwrap();
    }
    fs::write(corpus.dir().join("all.zone"), &text).unwrap();
    let printed = print(corpus.dir(), "all.zone").expect("all of it is accepted");
    let [original, print] = ports::reserve_many();
    let _original = knot::start(original, &[Zone::primary(ZONE, text)]);
    let _print = knot::start(print, &[Zone::primary(ZONE, printed)]);
    let transfer = |addr| {
        let lines = dig::kdig(addr, &[ZONE, "AXFR", "+generic", "+noall", "+answer"]);
        lines.lines().filter_map(dig::normal).collect::<BTreeSet<_>>()
    };
    let (expected, found) = (transfer(original), transfer(print));
    println!("the same {} records to Knot", expected.len());
    assert_eq!(found, expected);
    assert!(expected.len() > 120);
}

#[test]
fn records_made_at_random_are_printed_as_bind_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = seed::generator();
    // One of these stands alone at the apex, alone at its name, or is refused in a file.
    let apart = [Rtype::SOA, Rtype::MD, Rtype::MF];
    let types = Rtype::named().chain([Rtype(65_280)]);
    let types: Vec<Rtype> =
        types.filter(|t| !t.is_meta() && !apart.contains(t) && !rdata::NEWER.contains(t)).collect();
    let mut lines: Vec<(Rtype, String)> = Vec::new();
    for &rtype in &types {
        for _ in 0..OF_EACH_TYPE {
            let data = rdata::of_type(&mut rng, rtype);
            let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
            let owner = lines.len();
            lines.push((rtype, format!("g{owner} TYPE{} \\# {} {hex}", rtype.0, data.len())));
        }
    }
    // BIND refuses some of what has the layout of its type; tidemark must read all that BIND does.
    let expected = loop {
        let text: String = lines.iter().flat_map(|(_, line)| [line, "\n"]).collect();
        fs::write(dir.path().join("random.zone"), format!("{HEAD}{text}")).unwrap();
        match compile(dir.path(), "random.zone") {
            Ok(records) => break records,
            Err(refused) => {
                let first = HEAD.lines().count() + 1;
                assert!(!refused.is_empty(), "BIND refuses the file, and no line of it");
                let mut line = first..;
                lines.retain(|_| !refused.contains(&line.next().unwrap()));
            }
        }
    };
    let left = |rtype: &&Rtype| lines.iter().filter(|(other, _)| other == *rtype).count();
    let few: Vec<&Rtype> = types.iter().filter(|rtype| left(rtype) < OF_EACH_TYPE / 8).collect();
    assert!(few.is_empty(), "BIND takes hardly any of these: {few:?}");
    let printed = print(dir.path(), "random.zone").expect("tidemark refuses what BIND takes");
    fs::write(dir.path().join("random.printed"), &printed).unwrap();
    let found = match compile(dir.path(), "random.printed") {
        Ok(found) => found,
        Err(lines) => {
            let lines: Vec<_> = lines.iter().map(|line| printed.lines().nth(line - 1)).take(5).collect();
            panic!("BIND refuses {lines:#?}");
        }
    };
    let generic = printed.lines().filter(|line| line.contains(" \\# ")).count();
    println!("{} records of {} types, {generic} of them printed in \\#", found.len(), types.len());
    let lost: Vec<_> = expected.difference(&found).take(5).collect();
    let more: Vec<_> = found.difference(&expected).take(5).collect();
    assert!(lost.is_empty() && more.is_empty(), "lost {lost:#?}, more {more:#?}");
    assert!(generic < found.len() / 8, "too many records have no text");
}

/// The zone in canonical form, if the file is accepted.
fn print(dir: &Path, file: &str) -> Option<String> {
    let mut ours = tidemark::command();
    ours.args(["check", "--print", "--origin", ZONE, file]);
    let output = ours.current_dir(dir).stderr(Stdio::null()).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// The records as `named-compilezone` reads them, if it does.
fn by_bind(dir: &Path, file: &str) -> Option<BTreeSet<String>> {
    compile(dir, file).ok()
}

/// The records as `named-compilezone` reads them, in wire form, or the numbers of the lines that it refuses.
fn compile(dir: &Path, file: &str) -> Result<BTreeSet<String>, BTreeSet<usize>> {
    let raw = dir.join(format!("{file}.raw"));
    let mut bind = Command::new(program("named-compilezone"));
    bind.args(["-i", "none", "-k", "ignore", "-n", "ignore", "-m", "ignore", "-r", "ignore"]);
    bind.args(["-W", "ignore", "-F", "raw", "-o"]).arg(&raw).args([ZONE, file]);
    let output = bind.current_dir(dir).output().unwrap();
    if output.status.success() {
        return Ok(raw_records(&fs::read(raw).unwrap()));
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let place = format!("{file}:");
    let places = said.split(&place).skip(1);
    Err(places.filter_map(|place| place.split(':').next()?.parse().ok()).collect())
}

/// The records of a file in BIND's raw format: a head, then RRsets.
fn raw_records(file: &[u8]) -> BTreeSet<String> {
    const HEAD: usize = 24;
    let mut records = BTreeSet::new();
    let mut rest = &file[HEAD..];
    while !rest.is_empty() {
        let mut take = |count: usize| {
            let (taken, tail) = rest.split_at(count);
            rest = tail;
            taken
                .iter()
                .fold((0_usize, taken), |(number, taken), &byte| (number << 8 | usize::from(byte), taken))
        };
        let (_length, _class) = (take(4), take(2));
        let ((rtype, _), _covers, (ttl, _), (count, _)) = (take(2), take(2), take(4), take(4));
        let name_length = take(2).0;
        let name = take(name_length).1.to_ascii_lowercase();
        let rtype = Rtype(rtype as u16);
        for _ in 0..count {
            let length = take(2).0;
            records.insert(format!(
                "{} {ttl} {rtype} {}",
                name.escape_ascii(),
                take(length).1.escape_ascii()
            ));
        }
    }
    records
}

/// The records as `nsd-checkzone` reads and prints them, if it does; it names an owner only where it changes.
fn by_nsd(dir: &Path, file: &str) -> Option<BTreeSet<String>> {
    let mut nsd = Command::new(program("nsd-checkzone"));
    let output = nsd.args(["-p", ZONE, file]).current_dir(dir).stderr(Stdio::null()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut owner = "";
    let lines = printed.lines().filter(|line| !line.starts_with([';', '$'])).map(|line| {
        let (own, data) = line.split_once('\t').unwrap_or((line, ""));
        if !own.is_empty() {
            owner = own;
        }
        format!("{owner} {data}")
    });
    output.status.success().then(|| lines.collect())
}
