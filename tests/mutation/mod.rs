//! Changes to inputs, by chance: bits flipped, parts cut, doubled, and put together with those of others.

use rand::RngExt;
use rand::rngs::StdRng;

/// The most changes to one input.
const MAX_CHANGES: usize = 6;
/// The longest input: longer ones take longer and say nothing more.
const MAX_LENGTH: usize = 2_000;
/// Bytes, numbers and words that mean something somewhere.
const WORDS: [&[u8]; 45] = [
    b"\0",
    b"\xff",
    b"\xff\xff",
    b"\x7f",
    b"\xc0\x0c",
    b"\xc0",
    b"\x3f",
    b"\x40",
    b"\0\x29",
    b"\0\x01\0\x01",
    b"\0\0\x29\x04\xd0\0\0\x80\0\0\0",
    b"\0\x0a\0\x08",
    b"\0\x0c\0\0",
    b"\x07example\0",
    b"\x01*",
    b"\x01a",
    b"\x04nsec\0",
    b"\x05nsec3\0",
    b"\xfd\xe9",
    b"\0\xff",
    b"\0\xfc",
    b"\n",
    b" ",
    b"\t",
    b"(",
    b")",
    b"\"",
    b"\\",
    b";",
    b"@",
    b".",
    b"$",
    b"$ORIGIN ",
    b"$TTL ",
    b"$INCLUDE f",
    b"$INCLUDE g\n",
    b"$GENERATE 1-3 ",
    b"${1,2,n}",
    b"\\# ",
    b" TXT ",
    b" A 192.0.2.1\n",
    b"4294967295",
    b"65536",
    b"-",
    b"=",
];

/// Makes new inputs of those there are.
pub(crate) struct Mutator<'c> {
    random: StdRng,
    corpora: [&'c [Vec<u8>]; 2],
}

impl<'c> Mutator<'c> {
    /// Of two corpora, neither of them empty, which are used equally often.
    pub(crate) fn new(random: StdRng, corpora: [&'c [Vec<u8>]; 2]) -> Mutator<'c> {
        Mutator { random, corpora }
    }

    /// One of them, changed.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut input = self.any().to_vec();
        // Mostly one: what is changed more often is mostly refused at once.
        for _ in 0..MAX_CHANGES {
            self.change(&mut input);
            if self.random.random() {
                break;
            }
        }
        input.truncate(MAX_LENGTH);
        input
    }

    fn any(&mut self) -> &'c [u8] {
        let corpus = self.corpora[self.random.random_range(0..2)];
        &corpus[self.random.random_range(0..corpus.len())]
    }

    /// A stretch of this many bytes, of at most this length.
    fn stretch(&mut self, bytes: &[u8], most: usize) -> std::ops::Range<usize> {
        let start = self.random.random_range(0..=bytes.len());
        let length = self.random.random_range(0..=most);
        start..bytes.len().min(start + length)
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.random_range(0..=input.len());
        // Those come first that leave the lengths right which stand elsewhere.
        match self.random.random_range(0..11) {
            0..=2 => {
                let bit = 1 << self.random.random_range(0..8);
                input.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
            }
            3 | 4 => {
                let new = self.random.random();
                input.get_mut(at).into_iter().for_each(|byte| *byte = new);
            }
            5 => input.truncate(at),
            6 => {
                let gone = self.stretch(input, 16);
                input.drain(gone);
            }
            7 => {
                let part = self.stretch(input, 64);
                let times = self.random.random_range(1..8);
                let doubled = input[part].repeat(times);
                input.splice(at..at, doubled);
            }
            8 => {
                let word = WORDS[self.random.random_range(0..WORDS.len())];
                let over = if self.random.random() { word.len().min(input.len() - at) } else { 0 };
                input.splice(at..at + over, word.iter().copied());
            }
            9 => {
                let other = self.any();
                let part = self.stretch(other, 200);
                input.splice(at..at, other[part].iter().copied());
            }
            _ => {
                let other = self.any();
                let from = self.random.random_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
}
