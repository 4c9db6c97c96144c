//! Messages of a transfer, kept as they came. Their end has been looked for, which takes little time and no memory; they are read by
//! whoever makes a version of a zone of them, in a thread that other zones do not wait for.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use crate::wire::message::{Answers, MessageError, RecordRef};
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::CLASS_IN;

use super::zone::Remains;

/// Messages that are let go of as fast as they are handed to another thread.
const FEW: usize = 64;

/// Bytes counted for each record beside its name and data: what it takes to hold it.
const RECORD: u64 = 48;

/// Why messages are of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// One is broken.
    #[error("record {record} of the transfer cannot be read: {error}")]
    Broken {
        /// Which record could not be read, the first SOA being number 1.
        record: u64,
        /// Why.
        error: MessageError,
    },
    /// One is of another class than the zone: what all is, nobody can tell.
    #[error(
        "record {record} of the transfer, of `{owner}`, is of class {class} and not IN: see what the primary has there"
    )]
    OtherClass {
        /// Which record it is, the first SOA being number 1.
        record: u64,
        /// Its owner.
        owner: Name,
        /// Its class.
        class: u16,
    },
    /// There is more in them than may be held.
    #[error("the transfer holds more than allowed")]
    TooMuch,
}

/// Records of a transfer that were left out, because their owners are outside the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// How many.
    pub records: u64,
    /// The owner of the first.
    pub first: Name,
}

/// What the messages of several transfers take together.
#[derive(Clone, Debug, Default)]
pub struct Together(Arc<AtomicU64>);

/// The messages of one transfer, in the order in which they came.
#[derive(Debug, Default)]
pub struct Messages {
    messages: Vec<Vec<u8>>,
    bytes: u64,
    /// What is counted of them there.
    counted: u64,
    together: Together,
    /// Who gets what is not read.
    to: Option<mpsc::Sender<Remains>>,
}

impl Messages {
    /// What it takes to hold a message, beside its bytes.
    pub const EACH: u64 = 64;

    /// None yet. They are counted among others for as long as they are kept, and until a version has been made of them. Those that nobody
    /// reads, as of a transfer that fails, are left to `to`: each is a piece of memory by itself, and a primary can send millions of small
    /// ones.
    pub fn among(together: Together, to: Option<mpsc::Sender<Remains>>) -> Messages {
        Messages { messages: Vec::new(), bytes: 0, counted: 0, together, to }
    }

    /// Keeps a message, in the memory that it arrived in. Whoever keeps it may be a thread that others wait for, and memory for a large
    /// transfer has to be got from the system, which may keep it waiting for as long as it moves other memory of the process. All of that
    /// memory is counted: what stood behind the answer has been cut off, and takes as much room as before.
    pub fn keep(&mut self, message: Vec<u8>) {
        let taken = message.capacity() as u64 + Messages::EACH;
        self.bytes += message.len() as u64;
        self.counted += taken;
        self.together.0.fetch_add(taken, Ordering::Relaxed);
        self.messages.push(message);
    }

    /// What it takes to keep these.
    pub fn held(&self) -> u64 {
        self.counted
    }

    /// What is kept of all transfers that these are counted among.
    pub fn together(&self) -> u64 {
        self.together.0.load(Ordering::Relaxed)
    }

    /// How many bytes there are to be read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the records of a zone, in the order in which they came, `most` bytes of records without compression in all. Those outside
    /// the zone (RFC 5936 3.1 and 6) are left out and told; one of another class makes all of them unreadable: what is asked for, and a
    /// zone, is of one class (RFC 5936 2.1.2, RFC 1034 4.2).
    pub(super) fn read(
        mut self,
        apex: &NameRef,
        most: u64,
        mut each: impl FnMut(RecordRef<'_>),
    ) -> Result<Option<Outside>, Unreadable> {
        let (mut held, mut number, mut outside) = (0, 1, None);
        // Each goes back once it has been read.
        for message in mem::take(&mut self.messages) {
            let broken = |record| move |error| Unreadable::Broken { record, error };
            let mut answers = Answers::read(&message).map_err(broken(number))?;
            while let Some(record) = answers.next().map_err(broken(number))? {
                let owner = record.owner;
                if record.class != CLASS_IN {
                    let (owner, class) = (owner.to_name(), record.class);
                    return Err(Unreadable::OtherClass { record: number, owner, class });
                }
                number += 1;
                held += (owner.as_wire().len() + record.rdata.len()) as u64 + RECORD;
                if held > most {
                    return Err(Unreadable::TooMuch);
                }
                if owner.is_in(apex) {
                    each(record);
                } else {
                    let outside =
                        outside.get_or_insert_with(|| Outside { records: 0, first: owner.to_name() });
                    outside.records += 1;
                }
            }
        }
        Ok(outside)
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.together.0.fetch_sub(self.counted, Ordering::Relaxed);
        if let Some(to) = self.to.take().filter(|_| self.messages.len() > FEW) {
            // Where nobody takes them, they are let go of here.
            drop(to.send(Remains::Messages(mem::take(&mut self.messages))));
        }
    }
}

#[cfg(test)]
impl Messages {
    /// These records in messages of a hundred.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r crate::wire::message::Record>) -> Messages {
        use crate::wire::message::flags;
        use crate::wire::writer::{Section, Writer};
        let (mut messages, mut records) = (Messages::default(), records.into_iter().peekable());
        while records.peek().is_some() {
            let mut message = Vec::new();
            let mut writer = Writer::new(&mut message, 65_535, 1, flags::QR);
            records.by_ref().take(100).for_each(|record| writer.push(Section::Answer, record).unwrap());
            writer.finish();
            messages.keep(message);
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::Record;
    use crate::wire::name::Name;
    use crate::wire::rtype::Rtype;
    use crate::wire::writer::{Section, Writer};

    #[test]
    fn messages_of_any_length_are_kept_in_their_order() {
        let apex: Name = "example.".parse().unwrap();
        let mut messages = Messages::default();
        for number in 0..20 {
            let mut longest = Vec::new();
            let mut writer = Writer::new(&mut longest, 65_535, 1, 0);
            for owner in ["h.example.", "h.test."] {
                let rdata = [&[200][..], &[number; 200]].concat().into();
                let text = Record { owner: owner.parse().unwrap(), rtype: Rtype::TXT, ttl: 60, rdata };
                writer.push(Section::Answer, &text).unwrap();
            }
            writer.finish();
            // Bytes behind the answer section are nobody's.
            longest.resize(65_535, 0);
            messages.keep(longest);
        }
        assert_eq!(messages.bytes(), 20 * 65_535);
        let mut numbers = Vec::new();
        let outside = messages.read(&apex, u64::MAX, |record| numbers.push(record.rdata[1])).unwrap();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
        assert_eq!(outside, Some(Outside { records: 20, first: "h.test.".parse().unwrap() }));
    }

    #[test]
    fn what_may_be_held_is_counted_without_compression() {
        let owner: Name = "a-long-name-that-is-written-once.example.".parse().unwrap();
        let mx = |preference: u8| {
            let rdata = [&[0, preference], owner.as_wire()].concat().into();
            Record { owner: owner.clone(), rtype: Rtype::MX, ttl: 60, rdata }
        };
        let records: Vec<Record> = (0..100).map(mx).collect();
        let held = 100 * (2 * owner.as_wire().len() as u64 + 2 + RECORD);
        let read = |most| {
            let messages = Messages::of(&records);
            assert!(messages.bytes() < held / 4, "compressed");
            messages.read(&owner, most, |_| {})
        };
        assert_eq!((read(held), read(held - 1)), (Ok(None), Err(Unreadable::TooMuch)));
    }

    #[test]
    fn many_that_nobody_reads_are_left_to_who_takes_them_to_pieces() {
        let (to, left) = mpsc::channel();
        let kept = |count| {
            let mut messages = Messages::among(Together::default(), Some(to.clone()));
            (0..count).for_each(|_| messages.keep(vec![0; 12]));
            messages
        };
        drop(kept(FEW));
        assert!(left.try_recv().is_err());
        drop(kept(FEW + 1));
        let Ok(Remains::Messages(messages)) = left.try_recv() else { panic!("nothing is left") };
        assert_eq!(messages.len(), FEW + 1);
        kept(FEW + 1).read(&Name::root(), u64::MAX, |_| {}).unwrap();
        assert!(left.try_recv().is_err(), "each went back where it was read");
    }

    #[test]
    fn messages_count_among_all_until_they_have_been_read_or_dropped() {
        let together = Together::default();
        let kept = |count: usize| {
            let mut messages = Messages::among(together.clone(), None);
            (0..count).for_each(|_| messages.keep(vec![0; 12]));
            messages
        };
        let each = 12 + Messages::EACH;
        let (one, other) = (kept(1), kept(2));
        assert_eq!((one.together(), other.together()), (3 * each, 3 * each));
        drop(one);
        assert_eq!(other.together(), 2 * each);
        other.read(&Name::root(), u64::MAX, |_| {}).unwrap();
        assert_eq!(kept(0).together(), 0);
    }

    #[test]
    fn the_memory_of_what_was_cut_off_counts() {
        let mut messages = Messages::default();
        let mut message = vec![0; 65_535];
        message.truncate(12);
        messages.keep(message);
        assert_eq!(messages.bytes(), 12);
        let taken = 65_535 + Messages::EACH;
        assert!(messages.held() >= taken && messages.together() >= taken, "{}", messages.held());
    }

    #[test]
    fn a_broken_message_is_told() {
        let mut messages = Messages::default();
        let mut message = Vec::new();
        let mut writer = Writer::new(&mut message, 512, 1, 0);
        let a = |data: &[u8]| Record {
            owner: Name::root(),
            rtype: Rtype::A,
            ttl: 60,
            rdata: data.to_vec().into(),
        };
        writer.push(Section::Answer, &a(&[10, 1, 2, 3])).unwrap();
        writer.finish();
        // An address of three bytes.
        let length = message.len();
        message[length - 5] = 3;
        message.truncate(length - 1);
        messages.keep(message);
        let read = messages.read(&Name::root(), u64::MAX, |_| {});
        assert!(
            matches!(read, Err(Unreadable::Broken { record: 1, error: MessageError::Rdata(_) })),
            "{read:?}"
        );
    }
}
