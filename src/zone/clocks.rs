//! The clocks of the nodes that publish a zone, which stamps are readings of, as they were told along the chain of servers.

use std::time::Duration;

use crate::time::remote::{Offset, RemoteClock};
use crate::time::{Mono, Now};

use super::stamp::{Stamp, Told};

/// Nodes whose clocks are kept: a zone has one primary, or a few.
const MOST: usize = 8;

/// What is known of them. A clock of which nobody has told is taken to show what this machine's does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clocks {
    /// By the number of the node, the one heard of last at the end.
    known: Vec<(u64, RemoteClock)>,
}

impl Clocks {
    /// Takes in what was told in answer to a question that left at `sent`: of the clock of the node that published what the server
    /// serves. This node's own clock nobody has to tell it: `own` is its number.
    pub fn hear(&mut self, told: &Told, own: Option<u64>, sent: Mono, received: Mono) {
        let writer = told.served().map(|stamp| stamp.writer).filter(|writer| Some(*writer) != own);
        let Some((writer, clock)) = writer.zip(told.clock(sent, received)) else { return };
        let mut known = self.of(writer);
        RemoteClock::take(&mut known, clock);
        self.known.retain(|(other, _)| *other != writer);
        if self.known.len() == MOST {
            self.known.remove(0);
        }
        self.known.extend(known.map(|clock| (writer, clock)));
    }

    /// The clock of a node.
    pub fn of(&self, writer: u64) -> Option<RemoteClock> {
        self.known.iter().find(|(other, _)| *other == writer).map(|(_, clock)| *clock)
    }

    /// How long before a moment a stamp was taken.
    pub fn since(&self, stamp: &Stamp, at: Now) -> Option<Duration> {
        let shown = self.of(stamp.writer).map_or(at.utc, |clock| clock.shows(at.mono));
        stamp.published.map(|published| shown.since(published.utc()))
    }

    /// How far that clock is ahead of this machine's that was heard of last: one that publishes no more is of no interest.
    pub fn offset(&self, now: Now) -> Option<Offset> {
        self.known.last().map(|(_, clock)| clock.offset(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Hlc, Utc};
    use crate::zone::digest::Digest;
    use crate::zone::serial::Serial;

    fn told(writer: u64, clock: u64) -> Told {
        let published = Some(Hlc::at(Utc(40_000_000)));
        let stamp = Stamp { serial: Serial(1), published, digest: Digest::default(), writer };
        Told { clock: Some((Utc(clock), Duration::ZERO)), stamps: vec![stamp], ..Told::default() }
    }

    #[test]
    fn each_stamp_is_compared_with_the_clock_of_its_node() {
        let now = Now { mono: Mono(1_000_000), utc: Utc(50_000_000) };
        let mut clocks = Clocks::default();
        clocks.hear(&told(1, 60_000_000), None, now.mono, now.mono);
        clocks.hear(&told(2, 47_000_000), None, now.mono, now.mono);
        clocks.hear(&told(3, 99_000_000), Some(3), now.mono, now.mono);
        let since = |writer: u64| clocks.since(&told(writer, 1).stamps[0], now).map(|span| span.as_secs());
        assert_eq!([1, 2, 3, 4].map(since), [20, 7, 10, 10].map(Some));
        assert_eq!(clocks.offset(now).map(|offset| offset.seconds), Some(-3.0));
        assert_eq!(Clocks::default().offset(now), None);
        for writer in 10..30 {
            clocks.hear(&told(writer, 50_000_000), None, now.mono, now.mono);
        }
        assert_eq!((clocks.known.len(), clocks.of(29).is_some(), clocks.of(1)), (MOST, true, None));
    }
}
