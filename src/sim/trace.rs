//! What happened, as a hash that tells two runs apart, and as lines where somebody wants to read them.

use crate::time::Mono;

/// The trace of one run.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    keep: bool,
    lines: Vec<String>,
}

impl Trace {
    /// An empty trace; lines are only made when `keep` is set.
    pub fn new(keep: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, keep, lines: Vec::new() }
    }

    /// Takes in something that happened: its moment, a few numbers that say what, and the bytes concerned.
    pub fn mix(&mut self, at: Mono, what: &[u64], bytes: &[u8]) {
        self.word(at.0);
        what.iter().for_each(|&word| self.word(word));
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        self.word(bytes.len() as u64);
    }

    /// Adds a line, where lines are kept.
    pub fn note(&mut self, at: Mono, line: impl FnOnce() -> String) {
        if self.keep {
            self.lines.push(format!("{:>11.6} {}", at.0 as f64 / 1e6, line()));
        }
    }

    /// One number for all that happened.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines, if they were kept.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    fn word(&mut self, word: u64) {
        // FNV-1a by words, with the upper half folded in, since multiplication only carries upwards.
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        self.hash ^= self.hash >> 32;
    }
}
