//! The door for requests: a group that arrived together goes in, replies and outcomes come out.
//!
//! ```text
//! requests -> fast (read, fetch from memory, answer) ----> reply, Outcome::Reply
//!                  | not plain
//!                  +-> respond (whatever it is) ---------> reply, any Outcome
//! ```
//!
//! UDP, TCP, TLS and the simulator all come through here, so what one of them tests holds for all.

use crate::time::Now;
use crate::wire::plain::Names;

use super::context::{Client, Outcome, Served};
use super::fast::{Fast, Versions};
use super::reply::Reply;
use super::respond;

/// Requests of one group: enough to keep the processor busy while memory is slow, few enough for the nearest cache.
pub const GROUP: usize = 16;

/// A request as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'q> {
    /// The message.
    pub bytes: &'q [u8],
    /// Who sent it.
    pub from: Client,
}

/// Answers a group of at most `N` requests; missing ones are skipped. Calls `each` with the number of every request, its
/// outcome and its reply, which is empty unless the outcome says that there is one.
pub fn answer<const N: usize>(
    served: &Served,
    now: Now,
    requests: &[Option<Asked<'_>>],
    replies: &mut [Reply],
    mut each: impl FnMut(usize, Outcome, &mut Reply),
) {
    let directory = served.store.directory();
    let versions = Versions::<N>::default();
    // What one query has to wait for from memory comes while the others are worked on.
    let mut plain = [const { None }; N];
    for (plain, asked) in plain.iter_mut().zip(requests) {
        *plain = asked.as_ref().and_then(|asked| Fast::read(served, &directory, &versions, asked.bytes));
    }
    plain.iter_mut().flatten().for_each(Fast::fetch);
    let mut names = Names::default();
    for (number, ((asked, plain), reply)) in requests.iter().zip(&plain).zip(replies).enumerate() {
        let Some(asked) = asked else { continue };
        let written = plain
            .as_ref()
            .filter(|plain| reply.fill(|room| plain.answer(served, now, asked.from, room, &mut names)));
        let outcome = match written {
            Some(plain) => Outcome::Reply(plain.path()),
            None => reply.append(|reply| respond::answer(served, now, asked.bytes, asked.from, reply)),
        };
        each(number, outcome, reply);
    }
}

/// Answers one request.
pub fn answer_one(served: &Served, now: Now, asked: Asked<'_>, reply: &mut Reply) -> Outcome {
    let mut outcome = Outcome::Drop;
    answer::<1>(served, now, &[Some(asked)], std::slice::from_mut(reply), |_, found, _| outcome = found);
    outcome
}
