//! Texts that nobody writes: whatever they are, they end in records or errors, and the records are sound.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::text::rdata::read as rdata;

fn fragment() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        " ",
        "\n",
        "\t",
        "(",
        ")",
        "\"",
        ";",
        "\\",
        "@",
        "a",
        "a.b.",
        "x",
        "$ORIGIN ",
        "$TTL ",
        "$INCLUDE f",
        "$GENERATE ",
        "1-3",
        "$",
        "${1,2,n}",
        "IN ",
        "A ",
        "TXT ",
        "192.0.2.1",
        "1h",
        "\\# ",
        "4 ",
        "ff",
        "SVCB 1 . ",
        "alpn=\"",
        "LOC ",
        "SOA ",
        "NSEC ",
        "=",
        ",",
        "\r",
        "é",
        "APL 1:",
        "/",
        "HIP ",
        "-",
    ])
    .prop_map(str::to_owned)
}

/// The files that are compared with the other servers, with the line before each case.
const CORPUS: [&str; 15] = [
    include_str!("../../../../../tests/corpus/zones/address.zones"),
    include_str!("../../../../../tests/corpus/zones/class.zones"),
    include_str!("../../../../../tests/corpus/zones/directive.zones"),
    include_str!("../../../../../tests/corpus/zones/generate.zones"),
    include_str!("../../../../../tests/corpus/zones/generic.zones"),
    include_str!("../../../../../tests/corpus/zones/head.zones"),
    include_str!("../../../../../tests/corpus/zones/include.zones"),
    include_str!("../../../../../tests/corpus/zones/origin.zones"),
    include_str!("../../../../../tests/corpus/zones/owner.zones"),
    include_str!("../../../../../tests/corpus/zones/soa.zones"),
    include_str!("../../../../../tests/corpus/zones/structure.zones"),
    include_str!("../../../../../tests/corpus/zones/syntax.zones"),
    include_str!("../../../../../tests/corpus/zones/ttl.zones"),
    include_str!("../../../../../tests/corpus/zones/txt.zones"),
    include_str!("../../../../../tests/corpus/zones/types.zones"),
];

/// The text of a case of the corpus, without what comes before it in most.
fn case() -> impl Strategy<Value = Vec<u8>> {
    let cases: Vec<&str> = CORPUS
        .iter()
        .flat_map(|cases| cases.split("==== ").filter_map(|case| Some(case.split_once('\n')?.1)))
        .collect();
    proptest::sample::select(cases).prop_map(|case| case.as_bytes().to_vec())
}

/// One change to a text.
#[derive(Clone, Debug)]
enum Change {
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    Insert(Index, Vec<u8>),
    Replace(Index, u8),
    End(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 1_usize..20).prop_map(|(at, length)| Change::Remove(at, length)),
        (at(), 1_usize..40, 1_usize..20).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        (at(), fragment()).prop_map(|(at, text)| Change::Insert(at, text.into_bytes())),
        (at(), case()).prop_map(|(at, text)| Change::Insert(at, text)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        at().prop_map(Change::End),
    ]
}

fn changed(mut text: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let place = |at: &Index| at.index(text.len() + 1);
        match change {
            Change::Remove(at, length) => {
                let start = place(at);
                text.drain(start..text.len().min(start + length));
            }
            Change::Repeat(at, length, times) => {
                let start = place(at);
                let part = text[start..text.len().min(start + length)].repeat(*times);
                text.splice(start..start, part);
            }
            Change::Insert(at, part) => {
                let start = place(at);
                text.splice(start..start, part.iter().copied());
            }
            Change::Replace(at, byte) => {
                let start = place(at);
                text.get_mut(start).into_iter().for_each(|old| *old = *byte);
            }
            Change::End(at) => text.truncate(place(at)),
        }
    }
    text
}

/// Whether the data has the layout of its type, and its text is that of the same data.
fn reads_back(rtype: Rtype, data: &[u8]) -> bool {
    let mut text = String::new();
    write::write(rtype, data, &mut text);
    crate::wire::rdata::check(rtype, data).is_ok() && rdata::parse(rtype, &text, None).as_deref() == Ok(data)
}

fn holds(text: &[u8]) -> Result<(), TestCaseError> {
    let mut records = 0_usize;
    let mut include = |_: &str, from: &str| Ok((format!("{from}f"), b"$INCLUDE g\nb A 192.0.2.1\n".to_vec()));
    let origin: Name = "x.".parse().unwrap();
    let mut sound = true;
    let outcome = read("f", text, Some(&origin), &mut include, &mut |entry| {
        records += 1;
        sound &= entry.ttl <= i32::MAX as u32 && reads_back(entry.rtype, entry.rdata);
    });
    prop_assert!(sound);
    prop_assert!(records <= text.len() + MAX_INCLUDES + MAX_GENERATED as usize);
    prop_assert!(outcome.diagnostics.len() <= MAX_ERRORS + MAX_WARNINGS);
    for diagnostic in &outcome.diagnostics {
        let characters = diagnostic.source_line.chars().count();
        prop_assert!(characters == 0 || diagnostic.column as usize <= characters + 1, "{}", diagnostic);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_end_in_records_or_errors(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        holds(&text)?;
    }

    #[test]
    fn changed_files_end_in_records_or_errors(text in case(), changes in proptest::collection::vec(change(), 1..5)) {
        holds(&changed(text, &changes))?;
    }

    #[test]
    fn any_fragments_end_in_records_or_errors(parts in proptest::collection::vec(fragment(), 0..60)) {
        holds(parts.concat().as_bytes())?;
    }
}
