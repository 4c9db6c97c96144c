//! A server that is cut off, beside others with the same content.

use super::*;

/// What a server tells of its serial 7: how old that is, whether it is verified, and whether by belief.
fn tells(number: u8, second: u64, age: u64, is_verified: bool, is_belief: bool) -> Sighting {
    let age = Duration::from_secs(age);
    let told = Told { age, is_verified, is_belief, stamps: vec![stamp(7, at(1))], ..Told::default() };
    Sighting { told: Some(told), ..sighting(number, 7, second) }
}

#[test]
fn who_only_believes_vouches_for_nobody_else() {
    let mut ledger = Ledger::default();
    ledger.observe(&tells(1, 101, 90, false, false));
    assert_eq!(ledger.staleness(server(1), at(102)), Some(seconds(0, Some(92), None)));
    ledger.observe(&tells(2, 103, 80, true, true));
    assert_eq!(ledger.staleness(server(2), at(104)), Some(seconds(0, Some(82), Some(0))));
    // When the content was current holds for all who have it.
    assert_eq!(ledger.staleness(server(1), at(104)), Some(seconds(0, Some(82), None)));
    // An older moment widens nothing.
    ledger.observe(&tells(2, 105, 200, true, true));
    assert_eq!(ledger.staleness(server(1), at(106)), Some(seconds(0, Some(84), None)));
    ledger.observe(&tells(3, 107, 5, true, false));
    assert_eq!(ledger.staleness(server(1), at(108)), Some(seconds(0, Some(7), Some(0))));
}

#[test]
fn a_word_about_others_holds_until_the_next_one_of_the_same_server() {
    for (is_verified, is_belief) in [(true, true), (false, false)] {
        let mut ledger = Ledger::default();
        ledger.observe(&tells(1, 101, 90, false, false));
        ledger.observe(&tells(2, 103, 5, true, false));
        assert_eq!(ledger.staleness(server(1), at(104)).unwrap().estimate, Some(Duration::ZERO));
        ledger.observe(&tells(2, 105, 7, is_verified, is_belief));
        assert_eq!(ledger.staleness(server(1), at(106)).unwrap().estimate, None);
    }
}

#[test]
fn a_word_about_another_version_is_none_about_this_one() {
    let mut ledger = Ledger::default();
    ledger.observe(&tells(1, 101, 90, false, false));
    let other = tells(2, 103, 5, true, false);
    let mut told = other.told.clone().unwrap();
    told.stamps = vec![stamp(6, at(1))];
    ledger.observe(&Sighting { told: Some(told), ..other });
    assert_eq!(ledger.staleness(server(1), at(104)).unwrap().estimate, None);
}
