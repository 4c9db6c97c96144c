//! The targets of `fuzz/` over their corpus, and over changes to it made by chance: any bytes end in an answer or an error.
//!
//! A failure prints the seed, and the input as a line for the corpus (`tests/corpus/fuzz`), where it is run first of all from then on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may end")]

mod mutation;
#[path = "support/seed.rs"]
#[allow(dead_code, unreachable_pub)]
mod seed;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use mutation::Mutator;
use targets::{TARGETS, corpus, reached};
use tidemark::text::rdata::read;
use tidemark::wire::name::NameRef;
use tidemark::wire::rdata::{self as layout, Field};
use tidemark::wire::rtype::Rtype;

/// The seed where none is asked for: a change that breaks nothing fails no run by chance.
const SEED: u64 = 4_096;

fn inputs(target: &str) -> Vec<Vec<u8>> {
    corpus::inputs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus"), target)
}

/// Puts the corpus and so many changed inputs to a target, which get so far at least so many times.
fn run(target: &str, changed: usize, least: &[(&str, usize)]) {
    let holds = TARGETS.iter().find(|(name, _)| *name == target).unwrap().1;
    let holds = |input: &[u8]| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| holds(input))) {
            println!("this input, as a line of tests/corpus/fuzz/{target}:\n{}", corpus::line(input));
            resume_unwind(panic);
        }
    };
    let random = seed::generator_or(SEED);
    let reached = || reached::counts().values().sum::<usize>();
    let (taken, refused): (Vec<_>, Vec<_>) = inputs(target).into_iter().partition(|input| {
        let before = reached();
        holds(input);
        reached() > before
    });
    // Most that is changed is refused; few of so many inputs are not to begin with.
    let mut mutator = Mutator::new(random, [&taken, &refused]);
    (0..changed).for_each(|_| holds(&mutator.next()));
    let counts = reached::counts();
    println!("{} and {} inputs, {changed} changed ones: {counts:?}", taken.len(), refused.len());
    for (what, least) in least {
        let count = counts.get(what).copied().unwrap_or_default();
        assert!(count >= *least, "{what}: {count} times, not {least}");
    }
}

#[test]
fn any_message_gets_what_is_due() {
    run(
        "message",
        150_000,
        &[
            ("read by hickory-proto too", 10_000),
            ("answered by the fast path", 8_000),
            ("transferred", 1_000),
        ],
    );
}

#[test]
fn any_zone_file_ends_in_a_zone_or_errors() {
    run("zone_file", 40_000, &[("a zone", 2_000)]);
}

#[test]
fn any_rdata_reads_as_it_is_written() {
    run(
        "rdata",
        500_000,
        &[
            ("of its type's layout", 100_000),
            ("text of its type", 50_000),
            ("read by hickory-proto too", 100_000),
        ],
    );
}

/// Chance finds no type: each must be there.
#[test]
fn the_corpus_has_rdata_of_every_type() {
    let inputs = inputs("rdata");
    let of =
        |rtype: Rtype| inputs.iter().filter_map(move |input| input.strip_prefix(&rtype.0.to_be_bytes()[..]));
    let is_text = |rtype, text: &[u8]| {
        std::str::from_utf8(text).is_ok_and(|text| read::parse(rtype, text, Some(NameRef::ROOT)).is_ok())
    };
    let known = (0..=u16::MAX).map(Rtype).filter(|rtype| *layout::fields(*rtype) != [Field::Unknown]);
    let missing = known.flat_map(|rtype| {
        let data = of(rtype).any(|rdata| layout::check(rtype, rdata).is_ok());
        let text = of(rtype).any(|text| is_text(rtype, text));
        [(data, "data"), (text, "text")].map(|(found, what)| (!found).then(|| format!("{rtype}: no {what}")))
    });
    assert_eq!(missing.flatten().collect::<Vec<_>>(), Vec::<String>::new());
}
