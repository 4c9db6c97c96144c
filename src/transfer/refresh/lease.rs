//! For how long the word of a primary holds that there is nothing newer.
//!
//! A secondary asks at least once a lease, whatever REFRESH says, so that what it knows is never much older than that though every
//! NOTIFY be lost. A word that is not renewed in time holds no longer: the content may still be current, but nobody knows.
//!
//! ```text
//!                 word of a primary that would know of a newer version
//!   unverified ----------------------------------------------------------> verified
//!             <----------------------------------------------------------
//!               the lease is over, or a round found nobody with such a word
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;

use crate::time::{Mono, Now};
use crate::transfer::timers;
use crate::zone::soa::Timers;

use super::Refresh;
use super::known::{Doubt, Word};

/// Polls a second that one primary gets from all zones of a node because of their leases: where many zones share a primary, they last
/// longer.
const RATE: u32 = 500;
/// A primary's word holds for so much longer than the time between two polls: for the next one's answer to come.
const GRACE: f64 = 1.5;
/// A primary is believed that it would know of newer versions while what it serves is known to have been current any later than so
/// many polls ago...
const BELIEVED_POLLS: u32 = 3;
/// ... or than this, if twice REFRESH is not less: secondaries that pull from each other would else assure each other for ever.
const BELIEVED: Duration = Duration::from_secs(300);

/// What a zone's primaries are trusted for.
#[derive(Debug)]
pub(super) struct Lease {
    /// How long it lasts; `None` for REFRESH alone.
    span: Option<Duration>,
    /// How many zones ask the same primary.
    zones: u32,
    /// The last word...
    word: Held,
    /// ... and the last one that does not rest on belief.
    vouched: Held,
    /// When a primary that knows no stamps was last asked and seen to be a secondary: right after a refresh of its own it looks like the source.
    secondaries: Vec<(SocketAddr, Mono)>,
    /// Whose word was not enough in the last round that had one, and why; of several that of the first one that was asked for it.
    doubt: Option<(SocketAddr, Doubt)>,
    /// Whether that is of the round under way.
    is_doubted: bool,
    /// When an answer last showed the content to have been current later than was known.
    freshened: Option<Mono>,
    /// When the last word was asked for.
    asked: Option<Mono>,
}

/// For how long words hold.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    until: Option<Mono>,
    /// Whether one was given in the round under way.
    is_renewed: bool,
}

impl Held {
    fn renew(&mut self, until: Mono) {
        *self = Held { until: self.until.max(Some(until)), is_renewed: true };
    }

    fn round_begins(&mut self) {
        self.is_renewed = false;
    }

    fn round_ended(&mut self) {
        self.until = self.until.filter(|_| self.is_renewed);
    }
}

impl Lease {
    pub(super) fn new(span: Option<Duration>) -> Lease {
        Lease {
            span,
            zones: 1,
            word: Held::default(),
            vouched: Held::default(),
            secondaries: Vec::new(),
            doubt: None,
            is_doubted: false,
            freshened: None,
            asked: None,
        }
    }

    /// Takes note of how many zones ask the same primary.
    pub(super) fn shared_by(&mut self, zones: usize) {
        self.zones = u32::try_from(zones).unwrap_or(u32::MAX);
    }

    /// When the last word ceases to hold.
    pub(super) fn ends(&self) -> Option<Mono> {
        self.word.until
    }

    /// The same of the last word that does not rest on belief.
    pub(super) fn vouched(&self) -> Option<Mono> {
        self.vouched.until
    }

    pub(super) fn check(&mut self, now: Mono) {
        for held in [&mut self.word, &mut self.vouched] {
            held.until = held.until.filter(|until| *until > now);
        }
    }

    /// Forgets all words: something else is served now.
    pub(super) fn forget(&mut self) {
        (self.word, self.vouched, self.is_doubted) = (Held::default(), Held::default(), false);
    }

    pub(super) fn round_begins(&mut self) {
        [&mut self.word, &mut self.vouched].into_iter().for_each(Held::round_begins);
        self.is_doubted = false;
    }

    /// A round is over.
    pub(super) fn round_ended(&mut self) {
        [&mut self.word, &mut self.vouched].into_iter().for_each(Held::round_ended);
    }

    /// Takes note of the word of a primary that there was nothing newer when `asked`; `is_fresher` if it showed what is served here to have
    /// been current later than was known.
    pub(super) fn word(
        &mut self,
        primary: SocketAddr,
        word: Word,
        is_fresher: bool,
        asked: Now,
        timers: Timers,
    ) {
        if is_fresher {
            self.freshened = Some(asked.mono);
        }
        self.asked(asked);
        let poll = self.longest_poll(timers);
        let believed = (timers::longest_refresh(timers) * 2).min(BELIEVED).max(poll * BELIEVED_POLLS);
        let is_belief = self.is_belief(primary, word, asked.mono, believed);
        let is_believed = || self.freshened.is_some_and(|at| asked.mono <= at + believed);
        let doubt = word.doubt.or_else(|| (!word.is_source && !is_believed()).then_some(Doubt::Circle));
        match doubt {
            None => {
                let until = asked.mono + poll.mul_f64(GRACE);
                self.doubt = None;
                self.word.renew(until);
                if !is_belief {
                    self.vouched.renew(until);
                }
            }
            // Somebody else's word was enough in this round, or was doubted first: what is told would else change with each answer.
            Some(_) if self.word.is_renewed || self.is_doubted => {}
            Some(doubt) => {
                self.is_doubted = true;
                self.doubt = Some((primary, doubt));
            }
        }
    }

    /// Whether a word rests on belief: by itself, or because its primary that looks like the source was a secondary a while ago.
    fn is_belief(&mut self, primary: SocketAddr, word: Word, asked: Mono, within: Duration) -> bool {
        if word.is_source && word.is_belief {
            self.secondaries.retain(|(known, _)| *known != primary);
            self.secondaries.push((primary, asked));
        }
        let was_secondary = |(known, at): &(SocketAddr, Mono)| *known == primary && asked <= *at + within;
        word.is_belief || (word.is_source && self.secondaries.iter().any(was_secondary))
    }

    /// Takes note that a primary was asked then whose word says nothing of whether there is anything newer.
    pub(super) fn asked(&mut self, asked: Now) {
        self.asked = Some(asked.mono);
    }

    /// How long after `now` the next round begins, when one has just ended to the purpose.
    pub(super) fn next_poll(&self, now: Now, timers: Timers, rng: &mut StdRng) -> Duration {
        let wait = timers::refresh(timers, rng);
        match self.span() {
            // From the question on, not from the end of the transfer that came of it.
            Some(span) if span < wait => {
                let passed = self.asked.map_or(Duration::ZERO, |asked| now.mono.since(asked));
                timers::spread(span, rng).saturating_sub(passed).max(timers::SHORTEST)
            }
            _ => wait,
        }
    }

    /// How long after a failed round the next one begins.
    pub(super) fn next_attempt(&self, timers: Timers, rng: &mut StdRng) -> Duration {
        let wait = timers::retry(timers, rng);
        self.span().map_or(wait, |span| wait.min(timers::spread(span, rng)))
    }

    /// The longest time between two polls that are answered.
    fn longest_poll(&self, timers: Timers) -> Duration {
        let refresh = timers::longest_refresh(timers);
        self.span().map_or(refresh, |span| span.min(refresh))
    }

    fn span(&self) -> Option<Duration> {
        self.span.map(|span| span.max(Duration::from_secs(1) * self.zones / RATE))
    }
}

impl Refresh {
    /// Whose word is not enough to call what is served current, and why; `None` while somebody's is, and where none has been heard.
    pub fn doubt(&self) -> Option<(SocketAddr, Doubt)> {
        self.lease.doubt.filter(|_| self.lease.word.until.is_none())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::time::Utc;

    const HOUR: u32 = 3_600;

    fn at(seconds: u64) -> Now {
        Now { mono: Mono(seconds * 1_000_000), utc: Utc(seconds * 1_000_000) }
    }

    fn primary(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 53))
    }

    fn timers() -> Timers {
        Timers { refresh: HOUR, retry: HOUR / 4, expire: 7 * HOUR, ..Timers::default() }
    }

    #[test]
    fn a_word_that_is_not_renewed_holds_no_longer() {
        let word = Word { current: None, is_source: true, is_belief: false, doubt: None };
        let mut lease = Lease::new(Some(Duration::from_secs(10)));
        assert!(lease.ends().is_none());
        lease.word(primary(1), word, true, at(100), timers());
        assert_eq!(lease.ends(), Some(at(115).mono));
        lease.check(at(114).mono);
        assert!(lease.ends().is_some());
        lease.check(at(115).mono);
        assert!(lease.ends().is_none());
    }

    #[test]
    fn a_word_that_is_not_enough_is_remembered_with_the_reason_until_one_is() {
        let silent = Word { current: None, is_source: false, is_belief: false, doubt: Some(Doubt::Silent) };
        let good = Word { current: None, is_source: true, is_belief: false, doubt: None };
        let mut lease = Lease::new(Some(Duration::from_secs(10)));
        lease.round_begins();
        lease.word(primary(1), silent, false, at(100), timers());
        assert_eq!(lease.doubt, Some((primary(1), Doubt::Silent)));
        lease.word(primary(2), good, true, at(100), timers());
        lease.word(primary(3), silent, false, at(100), timers());
        assert!(lease.doubt.is_none() && lease.ends().is_some());
        lease.round_ended();
        lease.round_begins();
        // Secondaries that assure each other.
        let assured = Word { current: None, is_source: false, is_belief: false, doubt: None };
        lease.word(primary(1), assured, false, at(100 + 10 * u64::from(HOUR)), timers());
        lease.round_ended();
        assert_eq!((lease.ends(), lease.doubt), (None, Some((primary(1), Doubt::Circle))));
    }

    #[test]
    fn a_word_that_rests_on_belief_holds_and_vouches_for_nobody() {
        let believed = Word { current: None, is_source: true, is_belief: true, doubt: None };
        let known = Word { is_belief: false, ..believed };
        let passed_on = Word { is_source: false, ..believed };
        let mut lease = Lease::new(Some(Duration::from_secs(10)));
        let mut round = |seconds, words: &[(u8, Word)]| {
            lease.round_begins();
            for (number, word) in words {
                lease.word(primary(*number), *word, true, at(seconds), timers());
            }
            lease.round_ended();
            [lease.ends(), lease.vouched()].map(|until| until.map(|until| until.0 / 1_000_000))
        };
        assert_eq!(round(100, &[(1, passed_on)]), [Some(115), None]);
        // One that knows is enough, for as long as it is there.
        assert_eq!(round(110, &[(2, known), (1, passed_on)]), [Some(125), Some(125)]);
        assert_eq!(round(120, &[(1, passed_on)]), [Some(135), None]);
        // Right after a refresh of its own a secondary without stamps looks like the source.
        assert_eq!(round(130, &[(3, believed)]), [Some(145), None]);
        assert_eq!(round(140, &[(3, known)]), [Some(155), None]);
        assert_eq!(round(150, &[(2, known)]), [Some(165), Some(165)], "another one");
        // It may have become the source.
        assert_eq!(round(1_000, &[(3, known)]), [Some(1_015), Some(1_015)]);
    }

    #[test]
    fn of_several_doubts_of_a_round_the_first_is_told() {
        let silent = Word { current: None, is_source: false, is_belief: false, doubt: Some(Doubt::Silent) };
        let overdue = Word { doubt: Some(Doubt::Overdue), ..silent };
        let mut lease = Lease::new(Some(Duration::from_secs(10)));
        for round in 1..4 {
            lease.round_begins();
            for (number, word) in [(1, silent), (2, overdue)] {
                lease.word(primary(number), word, false, at(100 * round), timers());
                assert_eq!(lease.doubt, Some((primary(1), Doubt::Silent)), "round {round}");
            }
            lease.round_ended();
        }
        // The first one is away.
        lease.round_begins();
        lease.word(primary(2), overdue, false, at(400), timers());
        assert_eq!(lease.doubt, Some((primary(2), Doubt::Overdue)));
    }

    #[test]
    fn many_zones_of_one_primary_ask_it_no_oftener_than_it_bears() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut lease = Lease::new(Some(Duration::from_secs(10)));
        for (zones, seconds) in [(1, 10), (5_000, 10), (100_000, 200), (10_000_000, 3_600)] {
            lease.shared_by(zones);
            let wait = lease.next_poll(at(0), timers(), &mut rng).as_secs_f64();
            let most = f64::from(seconds);
            assert!((0.8 * most - 0.1..=most).contains(&wait), "{zones} zones: {wait}");
        }
        assert!(lease.next_attempt(timers(), &mut rng) <= Duration::from_secs(900));
    }

    #[test]
    fn what_took_long_is_asked_about_again_at_once() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut lease = Lease::new(Some(Duration::from_secs(10)));
        let word = Word { current: None, is_source: true, is_belief: false, doubt: None };
        lease.word(primary(1), word, true, at(100), timers());
        assert_eq!(lease.next_poll(at(130), timers(), &mut rng), timers::SHORTEST);
    }
}
