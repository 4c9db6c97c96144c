//! What goes wrong in the hierarchy that `peer_judge` judges, and when.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};

use super::hierarchy::{
    BEHIND_KNOT, BIND, CHAINED, KNOT, Kind, NAMES, OF_TWO, PRIMARY, SECONDARY, Scene, UNBOUND, ZONE, text,
};
use super::path::Weather;
use super::waits::Waits;

/// Waits for each change.
const WAITS: usize = 3;
/// How long after it is back a primary without data is left alone.
const RECOVERY: Duration = Duration::from_secs(2);
/// By how much the serial is raised when the primary has lost its data, and numbers on above what its file says.
const RAISED: u32 = 1_000;
/// How often Knot is killed at most: what is said after that is judged less strictly for a while.
const MOST_CRASHES: usize = 10;
/// Who is stopped and killed: all but NSD, which is several processes.
const PROCESSES: [usize; 8] = [PRIMARY, SECONDARY, CHAINED, BEHIND_KNOT, OF_TWO, KNOT, BIND, UNBOUND];

/// Something that goes wrong for a while.
#[derive(Debug)]
enum Trouble {
    Way(Kind, usize),
    Stopped(usize),
    Dead(usize),
    /// The primary comes back without its data.
    Lost,
}

impl Scene<'_> {
    /// Edits the zone for so long, with up to three things going wrong at a time, and has every change waited for.
    pub fn trouble(&mut self, rng: &mut StdRng, sitting: Duration) -> Waits {
        let began = Instant::now();
        let until = began + sitting;
        let (mut serial, mut waits) = (1, Waits::default());
        let mut going_on: Vec<(Instant, Trouble)> = Vec::new();
        let (mut edit, mut next) = (Instant::now(), Instant::now() + Duration::from_secs(2));
        loop {
            let now = Instant::now();
            let (over, rest) = going_on.into_iter().partition(|(end, _)| *end <= now || until <= now);
            going_on = rest;
            let over: Vec<(Instant, Trouble)> = over;
            over.into_iter().for_each(|(_, trouble)| self.mend(trouble));
            if until <= now {
                return waits;
            }
            if edit <= now {
                serial += 1;
                for _ in 0..WAITS {
                    let count = rng.random_range(1..4);
                    let servers = (0..NAMES.len()).zip(self.addresses).sample(rng, count);
                    waits.begin(ZONE, serial, &servers);
                }
                self.tidemarks[PRIMARY].daemon.publish(ZONE, &text(serial));
                edit = now + Duration::from_millis(rng.random_range(200..2_500));
            }
            if next <= now {
                if going_on.len() < 3
                    && let Some(trouble) = self.begin(rng, &going_on)
                {
                    let span = Duration::from_millis(rng.random_range(500..6_000));
                    println!("after {:?}, for {span:?}: {trouble:?}", now - began);
                    serial += if matches!(trouble, Trouble::Lost) { RAISED } else { 0 };
                    going_on.push((now + span, trouble));
                }
                next = now + Duration::from_millis(rng.random_range(200..2_000));
                // Who lost its data has to find somebody who knows what it had published.
                let lost = going_on.iter().find(|(_, trouble)| matches!(trouble, Trouble::Lost));
                next = lost.map_or(next, |(end, _)| next.max(*end + RECOVERY));
            }
            let wake = going_on.iter().map(|(end, _)| *end).chain([edit, next, until]).min().unwrap();
            thread::sleep(wake.saturating_duration_since(Instant::now()));
        }
    }

    fn begin(&mut self, rng: &mut StdRng, going_on: &[(Instant, Trouble)]) -> Option<Trouble> {
        // However short the sitting is, Knot is killed once.
        if self.crashes.is_empty() {
            return Some(self.kill(KNOT));
        }
        let is_free = |server: usize| {
            !going_on.iter().any(|(_, trouble)| match trouble {
                Trouble::Stopped(other) | Trouble::Dead(other) => *other == server,
                Trouble::Lost => server == PRIMARY,
                Trouble::Way(..) => false,
            })
        };
        if going_on.is_empty() && rng.random_bool(0.2) {
            let primary = &mut self.tidemarks[PRIMARY];
            primary.daemon.kill();
            fs::remove_dir_all(primary.data_dir()).unwrap();
            return Some(Trouble::Lost);
        }
        match rng.random_range(0..10) {
            0..=5 => {
                let kind = *[Kind::Pulling, Kind::Telling, Kind::Watching, Kind::Asking].choose(rng).unwrap();
                let number = rng.random_range(0..self.ways(kind));
                let fair = Weather::default();
                let weather = *[
                    Weather { is_cut: true, ..fair },
                    Weather { loss: 0.3, ..fair },
                    Weather { delay: Duration::from_millis(rng.random_range(50..1_500)), ..fair },
                ]
                .choose(rng)
                .unwrap();
                self.way(kind, number).set(weather);
                Some(Trouble::Way(kind, number))
            }
            6..=7 => {
                let server = *PROCESSES.choose(rng).unwrap();
                is_free(server).then(|| {
                    self.daemon(server).process().signal(libc::SIGSTOP);
                    Trouble::Stopped(server)
                })
            }
            _ => {
                let is_spared = |server| server == KNOT && self.crashes.len() >= MOST_CRASHES;
                let server = *PROCESSES.choose(rng).unwrap();
                (is_free(server) && !is_spared(server)).then(|| self.kill(server))
            }
        }
    }

    fn kill(&mut self, server: usize) -> Trouble {
        self.daemon(server).kill();
        if server == KNOT {
            self.crashes.push(Instant::now());
        }
        Trouble::Dead(server)
    }

    fn mend(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Way(kind, number) => self.way(kind, number).set(Weather::default()),
            Trouble::Stopped(server) => self.daemon(server).process().signal(libc::SIGCONT),
            // It answers again before anything else goes wrong.
            Trouble::Dead(KNOT) => self.daemon(KNOT).restart(),
            Trouble::Dead(server) => self.daemon(server).launch(),
            Trouble::Lost => self.daemon(PRIMARY).launch(),
        }
    }
}
