//! What lies between hosts: delay, loss, duplication, reordering, links that are cut one way or both, and a seed for all of it.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Shares are in thousandths.
const WHOLE: u32 = 1_000;
/// What is reordered comes up to this much later.
const STRAGGLING: Duration = Duration::from_millis(1_500);

/// How the network behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// The shortest way of a datagram or segment.
    pub fastest: Duration,
    /// What is added to it at most.
    pub jitter: Duration,
    /// Datagrams lost, of a thousand.
    pub loss: u32,
    /// Datagrams that arrive twice, of a thousand.
    pub duplicated: u32,
    /// Datagrams that straggle behind later ones, of a thousand.
    pub straggling: u32,
    /// Segments of a connection upon which it breaks, of a thousand.
    pub broken: u32,
    /// Datagrams to a closed port that are answered by silence, of a thousand.
    pub silent: u32,
}

impl Weather {
    /// Nothing goes wrong.
    pub const CALM: Weather = Weather {
        fastest: Duration::from_millis(1),
        jitter: Duration::from_millis(4),
        loss: 0,
        duplicated: 0,
        straggling: 0,
        broken: 0,
        silent: 0,
    };
}

/// What becomes of a segment of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// It arrives after this time.
    Arrives(Duration),
    /// There is no way now; it will be tried again.
    Held,
    /// The connection breaks.
    Breaks,
}

/// All links. Hosts are named by their index.
#[derive(Debug)]
pub struct Net {
    rng: StdRng,
    weather: Weather,
    cut: BTreeSet<(usize, usize)>,
}

impl Net {
    /// A calm network.
    pub fn new(seed: u64) -> Net {
        Net { rng: StdRng::seed_from_u64(seed), weather: Weather::CALM, cut: BTreeSet::new() }
    }

    /// Lets the network behave otherwise from now on.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Cuts the way from one host to another, not the way back.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    /// Mends the way from one host to another.
    pub fn mend(&mut self, from: usize, to: usize) {
        self.cut.remove(&(from, to));
    }

    /// Mends all ways.
    pub fn mend_all(&mut self) {
        self.cut.clear();
    }

    /// Whether packets pass this way.
    pub fn passes(&self, from: usize, to: usize) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// A datagram: after which times it arrives, once, twice or not at all.
    pub fn datagram(&mut self, from: usize, to: usize) -> impl Iterator<Item = Duration> + use<> {
        let lost = !self.passes(from, to) || self.happens(self.weather.loss);
        let first = (!lost).then(|| self.delay());
        let second = (!lost && self.happens(self.weather.duplicated)).then(|| self.delay());
        first.into_iter().chain(second)
    }

    /// A segment of a connection that is open.
    pub fn segment(&mut self, from: usize, to: usize) -> Segment {
        if !self.passes(from, to) || !self.passes(to, from) {
            return Segment::Held;
        }
        if self.happens(self.weather.broken) {
            return Segment::Breaks;
        }
        // A segment that is lost is sent again a little later.
        let again = if self.happens(self.weather.loss) { Duration::from_millis(200) } else { Duration::ZERO };
        Segment::Arrives(self.delay() + again)
    }

    /// Whether a closed port stays silent instead of refusing.
    pub fn stays_silent(&mut self) -> bool {
        self.happens(self.weather.silent)
    }

    fn delay(&mut self) -> Duration {
        let usual = self.weather.fastest + self.up_to(self.weather.jitter);
        if self.happens(self.weather.straggling) { usual + self.up_to(STRAGGLING) } else { usual }
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.rng.random_range(0..=most.as_micros() as u64))
    }

    fn happens(&mut self, share: u32) -> bool {
        share > 0 && self.rng.random_range(0..WHOLE) < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_cut_one_by_one() {
        let mut net = Net::new(1);
        net.cut(0, 1);
        assert_eq!(net.datagram(0, 1).count(), 0);
        assert_eq!(net.datagram(1, 0).count(), 1);
        assert_eq!(net.segment(1, 0), Segment::Held);
        net.mend(0, 1);
        assert_eq!(net.datagram(0, 1).count(), 1);
    }

    #[test]
    fn weather_is_as_set() {
        let mut net = Net::new(1);
        net.set_weather(Weather { loss: 500, duplicated: 500, ..Weather::CALM });
        let mut counts = [0; 3];
        (0..1_000).for_each(|_| counts[net.datagram(0, 1).count()] += 1);
        assert!(counts[0] > 400 && counts[1] > 200 && counts[2] > 200, "{counts:?}");
    }
}
