use super::super::sample::{ask, at, name, records};
use super::*;
use crate::wire::message::{Message, flags};
use crate::wire::rtype::CLASS_IN;

fn positive(texts: &[&str]) -> Answer {
    Answer {
        rcode: Rcode::NOERROR,
        answer: records(texts),
        authority: Vec::new(),
        negative: None,
        rest: None,
    }
}

fn negative(rcode: Rcode, soa: &str, ttl: u32) -> Answer {
    Answer { rcode, answer: Vec::new(), authority: records(&[soa]), negative: Some(ttl), rest: None }
}

fn cache() -> Cache {
    Cache::new(&Config::default())
}

fn look(cache: &Cache, millis: u64, question: &str) -> Option<Arc<Entry>> {
    let ask = ask(question);
    cache.get(at(millis), &ask.name, ask.rtype, ask.flags)
}

fn fresh(cache: &Cache, millis: u64, question: &str) -> bool {
    look(cache, millis, question).is_some_and(|entry| entry.is_fresh(at(millis)))
}

/// The message made from an entry.
fn written(entry: &Entry, millis: u64) -> Message {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 1_232, 1, flags::QR);
    writer.question(&name("www.example."), Rtype::A, CLASS_IN).unwrap();
    entry.write(at(millis), &mut writer).unwrap();
    writer.finish();
    Message::read(&bytes).unwrap()
}

#[test]
fn ttls_count_down_to_the_second_and_then_the_entry_is_gone() {
    let cache = cache();
    cache.put(at(5_000), &ask("www.example. A"), &positive(&["www.example. 300 A 192.0.2.1"]));
    let ttl = |millis| written(&look(&cache, millis, "WWW.example. A").unwrap(), millis).answer[0].ttl;
    assert_eq!([5_000, 5_999, 6_000, 6_001, 7_000].map(ttl), [300, 300, 299, 299, 298]);
    assert_eq!([303_999, 304_000, 304_999].map(ttl), [2, 1, 1]);
    assert!(fresh(&cache, 304_999, "www.example. A"));
    assert!(!fresh(&cache, 305_000, "www.example. A"));
    assert!(look(&cache, 5_000, "www.example. AAAA").is_none());
    assert!(look(&cache, 5_000, "www.example. A do").is_none());
    assert!(look(&cache, 5_000, "www.example. A cd").is_none());
    assert!(look(&cache, 5_000, "example. A").is_none());
}

#[test]
fn a_chain_is_one_entry_with_the_lowest_ttl() {
    let cache = cache();
    let chain = positive(&[
        "www.example. 300 CNAME a.example.",
        "a.example. 20 A 192.0.2.1",
        "a.example. 60 A 192.0.2.2",
    ]);
    let entry = cache.put(at(0), &ask("www.example. A"), &chain);
    assert_eq!(entry.fresh_until(), at(20_000));
    let ttls: Vec<_> = written(&entry, 5_000).answer.iter().map(|record| record.ttl).collect();
    // The two addresses are one RRset and so have one TTL (RFC 2181 5.2).
    assert_eq!(ttls, [295, 15, 15]);
    assert_eq!(written(&entry, 0).answer[0], chain.answer[0]);
}

#[test]
fn max_ttl_caps_what_is_kept_and_what_is_said() {
    let cache = Cache::new(&Config { max_ttl: 600, ..Config::default() });
    let entry = cache.put(at(0), &ask("a. A"), &positive(&["a. 4294967295 A 192.0.2.1"]));
    assert_eq!((entry.fresh_until(), written(&entry, 0).answer[0].ttl), (at(600_000), 600));
}

#[test]
fn ttl_zero_is_passed_on_and_not_kept() {
    let cache = cache();
    let entry = cache.put(at(0), &ask("a. A"), &positive(&["a. 0 A 192.0.2.1"]));
    assert_eq!(written(&entry, 0).answer.len(), 1);
    assert!(look(&cache, 0, "a. A").is_none());
}

#[test]
fn negative_answers_keep_their_soa_and_count_it_down() {
    let cache = cache();
    let entry =
        cache.put(at(0), &ask("no.example. A"), &negative(Rcode::NXDOMAIN, "example. 900 SOA 900", 900));
    assert_eq!((entry.rcode(), entry.fresh_until()), (Rcode::NXDOMAIN, at(900_000)));
    let message = written(&entry, 100_000);
    assert_eq!((message.answer.len(), message.authority[0].ttl), (0, 800));
    let entry = cache.put(at(0), &ask("b. A"), &negative(Rcode::NOERROR, "b. 86400 SOA 86400", 86_400));
    assert_eq!(entry.fresh_until(), at(u64::from(MAX_NEGATIVE_TTL) * 1_000));
    assert_eq!(written(&entry, 0).authority[0].ttl, MAX_NEGATIVE_TTL);
}

#[test]
fn negative_answers_without_soa_are_not_kept() {
    let cache = cache();
    let unproven = Answer {
        rcode: Rcode::NXDOMAIN,
        answer: Vec::new(),
        authority: Vec::new(),
        negative: Some(0),
        rest: None,
    };
    cache.put(at(0), &ask("a. A"), &unproven);
    assert!(look(&cache, 0, "a. A").is_none());
}

#[test]
fn failures_are_kept_for_a_moment_and_never_stale() {
    let cache = cache();
    let entry = cache.put_failure(at(0), &ask("a. A"));
    assert_eq!(entry.rcode(), Rcode::SERVFAIL);
    assert!(fresh(&cache, 1_999, "a. A"));
    assert!(look(&cache, 2_000, "a. A").is_none());
}

#[test]
fn stale_entries_are_kept_for_the_window_and_served_with_what_is_left_of_thirty_seconds() {
    let cache = Cache::new(&Config { serve_stale: Some(Duration::from_secs(100)), ..Config::default() });
    let question = ask("www.example. A");
    cache.put(at(0), &question, &positive(&["www.example. 10 A 192.0.2.1"]));
    let old = look(&cache, 50_000, "www.example. A").unwrap();
    assert!(!old.is_fresh(at(50_000)) && !old.is_stale());
    let stale = cache.revive(at(50_000), &question, Duration::MAX).unwrap();
    assert!(stale.is_fresh(at(79_999)) && !stale.is_fresh(at(80_000)) && stale.is_stale());
    assert_eq!([50_000, 70_000, 79_500].map(|now| written(&stale, now).answer[0].ttl), [STALE_TTL, 10, 1]);
    let short = cache.revive(at(50_000), &question, Duration::from_millis(2_500)).unwrap();
    assert!(short.is_fresh(at(52_499)) && !short.is_fresh(at(52_500)));
    assert_eq!([50_000, 51_000, 52_000].map(|now| written(&short, now).answer[0].ttl), [3, 2, 1]);
    assert!(look(&cache, 109_999, "www.example. A").is_some());
    assert!(look(&cache, 110_000, "www.example. A").is_none());
    let strict = Cache::new(&Config { serve_stale: None, ..Config::default() });
    strict.put(at(0), &question, &positive(&["www.example. 10 A 192.0.2.1"]));
    assert!(look(&strict, 10_000, "www.example. A").is_none());
}

#[test]
fn the_bound_on_entries_holds() {
    let cache = Cache::new(&Config { max_entries: 200, ..Config::default() });
    for number in 0..2_000 {
        let owner = format!("n{number}.example.");
        let answer = positive(&[&format!("{owner} 300 A 192.0.2.1")]);
        cache.put(at(0), &ask(&format!("{owner} A")), &answer);
    }
    let kept = cache.entry_count();
    assert!((100..=200).contains(&kept), "{kept}");
}

#[test]
fn a_large_entry_counts_as_several() {
    let cache = Cache::new(&Config { max_entries: 200, ..Config::default() });
    let text = "x".repeat(250);
    for number in 0..400 {
        let owner = format!("n{number}.example.");
        let large: Vec<_> = (0..16).map(|_| format!("{owner} 300 TXT {text}")).collect();
        let large: Vec<_> = large.iter().map(String::as_str).collect();
        cache.put(at(0), &ask(&format!("{owner} TXT")), &positive(&large));
    }
    let kept = cache.entry_count();
    assert!((20..=50).contains(&kept), "{kept}");
}

#[test]
fn flush_takes_names_below_and_answers_that_hold_them() {
    let cache = cache();
    for (question, texts) in [
        ("example. A", &["example. 60 A 192.0.2.1"][..]),
        ("www.example. A", &["www.example. 60 A 192.0.2.1"]),
        ("alias.test. A", &["alias.test. 60 CNAME www.example.", "www.example. 60 A 192.0.2.1"]),
        ("other.test. A", &["other.test. 60 A 192.0.2.1"]),
    ] {
        cache.put(at(0), &ask(question), &positive(texts));
    }
    assert_eq!(cache.flush_below(&name("WWW.example.")), 2);
    assert!(fresh(&cache, 0, "example. A") && fresh(&cache, 0, "other.test. A"));
    assert!(!fresh(&cache, 0, "www.example. A") && !fresh(&cache, 0, "alias.test. A"));
    assert_eq!(cache.flush_all(), 2);
    assert!(!fresh(&cache, 0, "example. A") && !fresh(&cache, 0, "other.test. A"));
}

#[test]
fn what_does_not_fit_is_said() {
    let cache = cache();
    let entry = cache.put(at(0), &ask("www.example. A"), &positive(&["www.example. 60 A 192.0.2.1"]));
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 40, 1, flags::QR);
    writer.question(&name("www.example."), Rtype::A, CLASS_IN).unwrap();
    assert_eq!(entry.write(at(0), &mut writer), Err(Full));
}
