//! A zone file: whatever is taken makes a zone, the same one by each of the ways that lead to it.

use tidemark::text::file::read::{MAX_ERRORS, MAX_WARNINGS, Outcome, read};
use tidemark::text::rdata::{read as rdata, write};
use tidemark::wire::name::{Name, NameRef};
use tidemark::wire::rdata as layout;
use tidemark::wire::rtype::Rtype;
use tidemark::zone::builder::Builder;
use tidemark::zone::canonical;
use tidemark::zone::diff::between;
use tidemark::zone::edit::Edit;
use tidemark::zone::lint::lint;
use tidemark::zone::snapshot::Snapshot;

use super::reached::reached;

/// Longer `$GENERATE` ranges say nothing more, and take long; a number of so many digits could be one.
const GENERATED_DIGITS: usize = 4;

struct Taken {
    owner: Name,
    rtype: Rtype,
    ttl: u32,
    rdata: Vec<u8>,
}

pub fn holds(text: &[u8]) {
    if generates_much(text) {
        return;
    }
    let apex: Name = "example.".parse().unwrap();
    let (records, outcome) = records(text, &apex);
    assert!(outcome.diagnostics.len() <= MAX_ERRORS + MAX_WARNINGS);
    for diagnostic in &outcome.diagnostics {
        let characters = diagnostic.source_line.chars().count();
        assert!(characters == 0 || diagnostic.column as usize <= characters + 1, "{diagnostic}");
    }
    for Taken { rtype, ttl, rdata, .. } in &records {
        assert!(*ttl <= i32::MAX as u32);
        assert_eq!(layout::check(*rtype, rdata), Ok(()), "{rtype}");
        let mut text = String::new();
        write::write(*rtype, rdata, &mut text);
        assert_eq!(rdata::parse(*rtype, &text, None).as_ref(), Ok(rdata), "{rtype} {text}");
    }
    if outcome.is_ok()
        && let Some(zone) = built(&records, &apex)
    {
        reached("a zone");
        lint(&zone);
        returns(&zone);
        edited(&zone, &records);
        emptied(&zone, &records);
    }
}

fn generates_much(text: &[u8]) -> bool {
    let is_generated = text.windows(9).any(|word| word.eq_ignore_ascii_case(b"$generate"));
    is_generated
        && text
            .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
            .any(|run| run[0].is_ascii_digit() && run.len() >= GENERATED_DIGITS)
}

/// Reads a file; what it may include is itself, and a few others.
fn records(text: &[u8], origin: &NameRef) -> (Vec<Taken>, Outcome) {
    let mut include = |path: &str, from: &str| match path {
        "f" => Ok(("f".to_owned(), text.to_vec())),
        "g" => Ok((format!("{from}g"), b"$INCLUDE g\nb A 192.0.2.1\n".to_vec())),
        "h" => Ok(("h".to_owned(), b"$ORIGIN h\n A 192.0.2.1\n( TXT \"\n".to_vec())),
        _ => Err("there is none".to_owned()),
    };
    let mut records = Vec::new();
    let outcome = read("f", text, Some(origin), &mut include, &mut |entry| {
        records.push(Taken {
            owner: entry.owner.to_name(),
            rtype: entry.rtype,
            ttl: entry.ttl,
            rdata: entry.rdata.to_vec(),
        });
    });
    (records, outcome)
}

fn built(records: &[Taken], apex: &NameRef) -> Option<Snapshot> {
    let mut builder = Builder::new(apex.to_name());
    for Taken { owner, rtype, ttl, rdata } in records {
        builder.add(owner, *rtype, *ttl, rdata);
    }
    Some(builder.finish().ok()?.0)
}

fn are_one(a: &Snapshot, b: &Snapshot) {
    assert!(between(a, b).is_none_or(|delta| delta.is_empty()), "{:?}", between(a, b));
    let facts = |zone: &Snapshot| (zone.serial(), zone.records(), zone.names(), zone.digest());
    assert_eq!(facts(a), facts(b));
    assert_eq!(a.signed().is_some(), b.signed().is_some());
}

/// What is printed reads as the same zone.
fn returns(zone: &Snapshot) {
    let mut text = String::new();
    for record in canonical::records(zone) {
        write::record(record.owner, record.ttl, record.rtype, record.rdata, &mut text);
        text.push('\n');
    }
    let (again, outcome) = records(text.as_bytes(), NameRef::ROOT);
    assert!(outcome.diagnostics.is_empty(), "{}\n{text}", outcome.diagnostics[0]);
    are_one(zone, &built(&again, zone.apex()).expect("what was printed is a zone"));
}

/// Comparing while reading leads to the same as building: from the zone itself, and from one with a record less each of half of its names.
fn edited(zone: &Snapshot, records: &[Taken]) {
    let less: Vec<Taken> = records
        .iter()
        .enumerate()
        .filter(|(at, taken)| at % 2 == 0 || *taken.owner == **zone.apex())
        .map(|(_, taken)| Taken { owner: taken.owner.clone(), rdata: taken.rdata.clone(), ..*taken })
        .collect();
    for base in [Some(zone.clone()), built(&less, zone.apex())].into_iter().flatten() {
        let mut edit = Edit::new(base);
        for Taken { owner, rtype, ttl, rdata } in records {
            edit.add(owner, *rtype, *ttl, rdata);
        }
        are_one(zone, &edit.finish_within(u64::MAX).expect("what was built can be an edit").0);
    }
}

/// When all but the apex is taken out again, no name is left: what is counted at each name is right.
fn emptied(zone: &Snapshot, records: &[Taken]) {
    let mut builder = Builder::new(zone.apex().clone());
    for Taken { owner, rtype, ttl, rdata } in records.iter().filter(|taken| *taken.owner == **zone.apex()) {
        builder.add(owner, *rtype, *ttl, rdata);
    }
    let apex = builder.finish().unwrap().0;
    if let Some(delta) = between(zone, &apex) {
        are_one(&zone.apply(&delta).unwrap(), &apex);
    }
    assert_eq!(apex.names(), 1);
}
