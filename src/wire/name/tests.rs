//! Names as text, in messages, and in order.

use std::cmp::Ordering;

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn text_goes_round() {
    for text in [".", "example.", "a\\.b.example.", "\\000\\255.x.", "*.w.example.", "\\@.x."] {
        assert_eq!(name(text).to_string(), text);
    }
    assert_eq!(Name::parse(b"www", Some(&name("example."))).unwrap(), name("WWW.Example."));
    assert_eq!(Name::parse(b"@", Some(&name("example."))).unwrap(), name("example."));
    assert_eq!(Name::parse(b"www", None), Err(NameError::Relative));
    assert_eq!(Name::parse(b"a..b.", None), Err(NameError::EmptyLabel));
    assert_eq!(Name::parse(b"..", None), Err(NameError::EmptyLabel));
    assert_eq!(Name::parse(b"\\25", None), Err(NameError::BadEscape));
    assert_eq!(Name::parse(b"\\256.", None), Err(NameError::BadEscape));
    assert_eq!(Name::parse(&[b'a'; 64], Some(NameRef::ROOT)), Err(NameError::LongLabel));
}

#[test]
fn longest_name() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}.", "b".repeat(61));
    assert_eq!(name(&longest).as_wire().len(), MAX_NAME);
    assert_eq!(
        format!("{label}.{label}.{label}.{}.", "b".repeat(62)).parse::<Name>(),
        Err(NameError::LongName)
    );
    assert_eq!(name(&longest).child(b"c"), Err(NameError::LongName));
    assert_eq!("a.".repeat(127).parse::<Name>().unwrap().label_starts().len(), 127);
}

#[test]
fn below_and_above() {
    assert!(name("a.Example.").is_in(&name("eXample.")));
    assert!(name("example.").is_in(NameRef::ROOT));
    assert!(!name("aexample.").is_in(&name("example.")));
    assert!(!name("example.").is_in(&name("a.example.")));
    assert_eq!(name("a.b.").parent(), Some(&*name("b.")));
    assert_eq!(NameRef::ROOT.parent(), None);
}

#[test]
fn canonical_order_of_rfc_4034() {
    let sorted = [
        "example.",
        "a.example.",
        "yljkjljk.a.example.",
        "Z.a.example.",
        "zABC.a.EXAMPLE.",
        "z.example.",
        "\\001.z.example.",
        "*.z.example.",
        "\\200.z.example.",
    ];
    for pair in sorted.windows(2) {
        assert_eq!(name(pair[0]).cmp(&name(pair[1])), Ordering::Less, "{pair:?}");
    }
}

#[test]
fn compression_pointers_only_go_back() {
    let message = [3, b'w', b'w', b'w', 0, 1, b'a', 0xc0, 0, 0xc0, 9, 0xc0, 12];
    let mut at = 5;
    assert_eq!(Name::read_compressed(&message, &mut at), Ok(name("a.www.")));
    assert_eq!(at, 9);
    assert_eq!(Name::read_compressed(&message, &mut 9), Err(NameError::BadPointer));
    assert_eq!(Name::read_compressed(&message, &mut 11), Err(NameError::BadPointer));
    assert_eq!(Name::read_compressed(&message, &mut 13), Err(NameError::Truncated));
    assert_eq!(Name::read_compressed(&[0x40, 0], &mut 0), Err(NameError::BadPointer));
}
