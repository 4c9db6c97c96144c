//! What the command line asks for.

use clap::{Parser, ValueEnum};

/// tidemark, NSD, Knot and BIND side by side: CPU per query, memory, loading, and what goes on while zones change.
///
/// As a cache it is compared with Unbound and dnsdist.
///
/// Needs two cores and Debian's packages nsd, knot, bind9, bind9-utils, unbound, dnsdist and dnsperf. Everything stays on loopback and in
/// a temporary folder.
#[derive(Parser, Clone, Debug)]
#[command(name = "cargo bench --bench peers --")]
pub(crate) struct Options {
    /// Measure only these; then no results file is written
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Part>,
    /// Rounds of each measurement of CPU and of loading, whose median counts; half as many over TCP and with two workers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=15))]
    pub(crate) rounds: u32,
    /// Seconds of each run of dnsperf
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=30))]
    pub(crate) seconds: u32,
    /// Shrink the zones to this share of their size, for a quick look; then no results file is written
    #[arg(long, default_value_t = 1.0)]
    pub(crate) scale: f64,
    /// The nice value of all that is run: a negative one, as root, on a machine that is not left alone
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-20..=19))]
    pub(crate) nice: i32,
    /// Measure transfers of a zone of 5,000,000 records too, which takes some minutes and gigabytes
    #[arg(long)]
    pub(crate) large: bool,
    /// Print the figures as JSON too, one object on the last line
    #[arg(long)]
    pub(crate) json: bool,
    /// Leave the results file alone
    #[arg(long)]
    pub(crate) no_write: bool,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the benchmark that can be run alone.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// CPU per query and throughput, names that exist
    Flat,
    /// CPU per query and throughput, referrals and NXDOMAIN
    Registry,
    /// CPU per query of signed zones (NSEC, NSEC3 with opt-out), and of unsigned ones, asked as resolvers ask
    Signed,
    /// Both over 100 TCP connections
    Tcp,
    /// CPU per query of caches: answers that are known, and answers that have to be asked for
    Cache,
    /// Memory with both zones loaded
    Memory,
    /// Start to first answer of both zones, on one core and on two
    Load,
    /// 100,000 small zones
    Zones,
    /// One record changed in the registry zone's file, without and with queries meanwhile
    Edit,
    /// Zones of 10,000 to 5,000,000 records loaded and edited, and a small file edited
    Sizes,
    /// The registry zone transferred in, with queries meanwhile
    Transfer,
    /// Zones of 10,000 to 1,000,000 records (5,000,000 with `--large`) sent, taken in, and one change of them sent
    TransferSizes,
    /// A secondary of 10,000 zones, started empty and again
    Secondaries,
    /// Many servers of many zones watched, and scrapes of many zones
    Watching,
    /// Two workers on two cores
    Workers,
    /// Which functions tidemark's time in user space is spent in, by perf where it is installed
    Profile,
}

impl Options {
    /// Rounds of what takes longest.
    pub(crate) fn fewer_rounds(&self) -> u32 {
        self.rounds.div_ceil(2)
    }

    /// Whether this part is asked for.
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Whether this is the whole benchmark, whose results may be kept.
    pub(crate) fn is_whole(&self) -> bool {
        self.only.is_empty() && self.scale >= 1.0
    }

    /// A count at this scale, at least 100.
    pub(crate) fn scaled(&self, count: usize) -> usize {
        ((count as f64 * self.scale) as usize).max(100)
    }
}
