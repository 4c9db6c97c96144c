//! Pulling a transfer, and what follows from it.

use super::*;
use crate::publish::messages::{Messages, Unreadable};

/// A transfer that brings fewer bytes a second than this, counted from when [`STALLED`] has passed since its first message, has failed.
const SLOWEST: u64 = 1 << 10;
/// A transfer is slow that has not moved for so long...
const STUCK: Duration = Duration::from_secs(5);
/// ... or has brought fewer bytes a second, counted from so long after its first message. A slow one gives way where somebody else may
/// have the zone.
const BRISK: u64 = 64 << 10;

/// A transfer: the question for it and what has come of it.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) primary: SocketAddr,
    /// What is asked for.
    pub(super) kind: Kind,
    pub(super) question: Question,
    /// Until when its turn is waited for; `None` when nobody else could be asked.
    pub(super) patience: Option<Mono>,
    /// When the question left that is being answered, or the first one.
    pub(super) began: Now,
    /// When the first message was here, and when the last one; only once the answer has begun.
    pub(super) progress: Option<(Mono, Mono)>,
    pub(super) omission: Omission,
    pub(super) intake: Intake,
    /// What is asked of others meanwhile.
    pub(super) aside: Aside,
}

#[derive(Debug)]
pub(super) struct Pulled {
    pub(super) primary: SocketAddr,
    /// What was asked for, and what came.
    pub(super) asked: Kind,
    pub(super) kind: Kind,
    pub(super) began: Now,
    /// Bytes of its messages.
    pub(super) bytes: u64,
    /// From the question to the last message.
    pub(super) took: Duration,
    pub(super) have: Have,
    pub(super) word: Word,
    pub(super) expire: Option<u32>,
}

impl Pull {
    /// When it has failed unless something comes. How long its beginning is waited for is the question's business.
    pub(super) fn stalled_at(&self) -> Mono {
        let longest = self.began.mono + LONGEST_PULL;
        let Some((first, last)) = self.progress else { return longest };
        (last + STALLED).min(self.falls_behind(first, STALLED, SLOWEST)).min(longest)
    }

    /// When it has brought fewer bytes a second than this, counted from so long after its first message, unless more comes.
    fn falls_behind(&self, first: Mono, grace: Duration, rate: u64) -> Mono {
        first + grace + Duration::from_secs(self.intake.bytes() / rate)
    }

    /// Whether others are to be preferred who have what it is to bring.
    pub(super) fn is_slow(&self, now: Mono) -> bool {
        if self.question.is_waiting() {
            return false;
        }
        let falls_behind = self.progress.map(|(first, _)| self.falls_behind(first, STUCK, BRISK));
        self.is_stuck(now) || falls_behind.is_some_and(|at| at <= now)
    }

    /// Whether it is not under way, or slow: the zone is to be had from who has it before that expires.
    pub(super) fn is_late(&self, now: Mono) -> bool {
        self.question.is_waiting() || self.is_slow(now)
    }

    /// Whether it has not moved for long.
    fn is_stuck(&self, now: Mono) -> bool {
        self.progress.map_or(self.began.mono, |(_, last)| last) + STUCK <= now
    }

    /// When it gives way to others that are left to ask in this round, unless it has brought enough until then; the later the more
    /// often one did, and in the end not any more: all of them may be slow. One that stalls has failed.
    pub(super) fn gives_way_at(&self, passed_over: u32) -> Option<Mono> {
        let (first, last) = self.progress.filter(|_| passed_over < MOST_PATIENCE)?;
        let at = self.falls_behind(first, STALLED * (1 << passed_over), BRISK);
        (at < last + STALLED).then_some(at)
    }
}

impl Refresh {
    /// Asks a primary for a transfer.
    pub(super) fn pull(&mut self, step: &mut Step<'_>, primary: SocketAddr, kind: Kind) {
        let zone = &self.config.zone;
        let (query, asked, kind) = match (&self.have, kind) {
            (Some(have), Kind::Ixfr) => {
                (query::ixfr(&have.soa), Asked::Ixfr(have.timers().serial), Kind::Ixfr)
            }
            (have, _) => {
                let serial = have.as_ref().map(|have| have.timers().serial);
                (query::axfr(zone, serial), Asked::Axfr, Kind::Axfr)
            }
        };
        let kept = Messages::among(self.config.together.clone(), self.config.remains.clone());
        let intake = Intake::new(zone.clone(), asked, self.config.limits).keeping(kept);
        let call =
            &mut Call { now: step.now, rng: &mut self.rng, support: &mut self.support, out: &mut *step.out };
        let question = Question::start(primary, query, PULL_POLICY, call);
        let patience = self.patience(step);
        let pull = Box::new(Pull {
            primary,
            kind,
            question,
            patience,
            began: step.now,
            progress: None,
            omission: Omission::Absent,
            intake,
            aside: self.aside(step.now.mono, primary),
        });
        self.state = State::Pulling(pull);
    }

    /// Follows up on what came of the question for a transfer; `message` is what has just arrived.
    pub(super) fn pull_event(
        &mut self,
        step: &mut Step<'_>,
        event: Option<question::Event>,
        message: Vec<u8>,
    ) {
        match event {
            None => {}
            Some(question::Event::Transfer { omission: Omission::Doubtful, .. }) => {
                // What a secondary has left of EXPIRE, and how old its own word is, may be missing by accident. Asked once more, it
                // is told, or not to be had.
                if let Some(pull) = self.end_pull(step, Question::stop) {
                    self.pull(step, pull.primary, pull.kind);
                }
            }
            Some(question::Event::Transfer { asked, omission }) => {
                let State::Pulling(pull) = &mut self.state else { return };
                let first = pull.progress.map(|(first, _)| first);
                pull.progress = Some((first.unwrap_or(step.now.mono), step.now.mono));
                pull.began = asked;
                pull.omission = omission;
                self.pull_arrived(step, message, first.is_none());
            }
            Some(question::Event::Answered(reply)) => {
                // A reply without the records of a transfer: whatever its code is, there is none.
                let reason = Reason::of(reply.message.rcode()).unwrap_or(Reason::Malformed);
                self.pull_failed(step, reason, ExtendedError::of(&reply.message));
            }
            Some(question::Event::Failed { fault, .. }) => {
                self.pull_failed(step, Reason::of_transfer(fault), None);
            }
            Some(question::Event::Silent) => self.pull_failed(step, Reason::Timeout, None),
        }
    }

    fn pull_arrived(&mut self, step: &mut Step<'_>, message: Vec<u8>, is_first: bool) {
        let State::Pulling(pull) = &mut self.state else { return };
        let outcome = pull.intake.feed(message);
        let told = match &outcome {
            Outcome::Full(_, told) | Outcome::Differences(_, told) => told.as_ref(),
            Outcome::More | Outcome::Bad(_) | Outcome::UpToDate(_) => pull.intake.told(),
        };
        // Later ones came long after they were asked for.
        if let Some(told) = told.filter(|_| is_first) {
            self.clocks.hear(told, None, pull.began.mono, step.now.mono);
        }
        let refused = match (&outcome, pull.intake.announced()) {
            (Outcome::Bad(reason), _) => Some(*reason),
            // The rest would be carried here to be thrown away.
            (_, Some(announced)) if is_first && !self.forcing => self.withheld(announced),
            _ => None,
        };
        if let Some(reason) = refused {
            return self.pull_failed(step, reason, None);
        }
        match outcome {
            Outcome::More | Outcome::Bad(_) => {}
            Outcome::UpToDate(serial) => self.up_to_date(step, serial),
            Outcome::Full(content, told) => {
                // The digest of the outcome is known when it has been published.
                let have = Have { soa: content.soa.clone(), digest: Digest::default() };
                let stamp = told.as_ref().and_then(Told::served).copied();
                self.fetched(step, Kind::Axfr, Proposal::axfr(content, stamp), have, told);
            }
            Outcome::Differences(differences, told) => {
                let have = Have { soa: differences.soa.clone(), digest: Digest::default() };
                let stamps = told.as_ref().map(|told| told.stamps.clone()).unwrap_or_default();
                self.fetched(step, Kind::Ixfr, Proposal::ixfr(differences, stamps), have, told);
            }
        }
    }

    /// The transfer has nothing newer.
    fn up_to_date(&mut self, step: &mut Step<'_>, serial: Serial) {
        let own = self.have.as_ref().map(|have| have.timers().serial);
        // A whole zone that nobody needs may follow (see `Intake`).
        let Some(pull) = self.end_pull(step, Question::stop) else { return };
        if own != Some(serial) {
            let reason = Reason::Older { theirs: serial, ours: own.unwrap_or(serial) };
            step.events.push(Event::failed(pull.primary, Kind::Ixfr, reason));
            return self.next_primary(step);
        }
        let left = pull.intake.expire();
        let timers = self.have.as_ref().map(Have::timers).unwrap_or_default();
        let word = self.word(pull.intake.told(), (pull.began, pull.omission), left, timers);
        self.confirm(step, pull.primary, pull.began, word, left, false);
        self.end_round(step, pull.primary);
    }

    /// Whether a transfer that ends at this serial brings nothing of the newer version that the primary's SOA has just shown. To call
    /// what is served current would be to believe the one half of a primary that contradicts itself.
    fn withheld(&self, given: Serial) -> Option<Reason> {
        let own = self.have.as_ref()?.timers().serial;
        let is_newer = |shown: &Serial| shown.is_newer_than(given) && shown.is_newer_than(own);
        let shown = self.shown.serial.filter(is_newer)?;
        (!given.is_newer_than(own)).then_some(Reason::NotGiven { shown, given })
    }

    fn fetched(
        &mut self,
        step: &mut Step<'_>,
        kind: Kind,
        proposal: Proposal,
        have: Have,
        told: Option<Told>,
    ) {
        let Some(pull) = self.end_pull(step, Question::finish) else { return };
        if pull.kind == Kind::Ixfr && kind == Kind::Axfr {
            step.events.push(Event::Fallback { reason: Reason::AxfrStyle });
        }
        // What the SOA answer of this round said counts where the transfer says nothing, less what has passed since: the transfer may have
        // waited long for its turn.
        let expire = pull.intake.expire().or_else(|| self.shown.left_at(pull.began.mono));
        if expire == Some(0) && have.timers().expire > 0 {
            // RFC 7314 section 4: it would expire here at once, as it does there.
            step.events.push(Event::failed(pull.primary, kind, Reason::NotAuth));
            return self.next_primary(step);
        }
        let (whole, until) = have.expires(pull.began, expire);
        let proposal = proposal.counted_from(pull.began.utc - whole.since(until));
        let proposal = if self.forcing { proposal.whatever_its_serial() } else { proposal };
        step.events.push(Event::Fetched { proposal: Box::new(proposal), from: pull.primary });
        self.state = State::Publishing(Pulled {
            primary: pull.primary,
            asked: pull.kind,
            kind,
            began: pull.began,
            bytes: pull.intake.bytes(),
            took: step.now.mono.since(pull.began.mono),
            word: self.word(told.as_ref(), (pull.began, pull.omission), expire, have.timers()),
            have,
            expire,
        });
    }

    /// Ends the transfer's exchange and leaves its state.
    pub(super) fn end_pull(
        &mut self,
        step: &mut Step<'_>,
        end: fn(&mut Question, &mut Outbox),
    ) -> Option<Box<Pull>> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Pulling(mut pull) => {
                end(&mut pull.question, step.out);
                pull.aside.stop(step.out);
                Some(pull)
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// When the transfer under way gives way to the primaries that are left, if that is slow then. An order is for the first primary that
    /// has the zone, however slow.
    pub(super) fn gives_way_at(&self) -> Option<Mono> {
        let State::Pulling(pull) = &self.state else { return None };
        let is_spared = !self.untried.is_empty() && !self.forcing;
        pull.gives_way_at(self.passed_over).filter(|_| is_spared)
    }

    /// Has a transfer that is slow give way to the primaries that are left, and comes back to it after them; whether one is left. The
    /// order that it was to carry out stands.
    pub(super) fn prefer_others(&mut self, step: &mut Step<'_>) -> bool {
        let State::Pulling(pull) = &self.state else { return false };
        if self.untried.is_empty() {
            return false;
        }
        step.events.push(Event::failed(pull.primary, pull.kind, Reason::Slow));
        self.force_next |= std::mem::take(&mut self.forcing);
        self.pass_over(step);
        true
    }

    /// Has a slow transfer give way because somebody wants the primaries to be asked. Where none is left it goes on, unless it does not move
    /// or is not what was ordered.
    pub(super) fn give_up_if_slow(&mut self, step: &mut Step<'_>) {
        let State::Pulling(pull) = &self.state else { return };
        if !pull.is_slow(step.now.mono) || (!self.force_next && self.prefer_others(step)) {
            return;
        }
        let State::Pulling(pull) = &self.state else { return };
        let is_ordered = self.forcing || !self.force_next;
        if is_ordered && !pull.is_stuck(step.now.mono) {
            return;
        }
        let Some(pull) = self.end_pull(step, Question::stop) else { return };
        step.events.push(Event::failed(pull.primary, pull.kind, Reason::Slow));
        self.force_next |= self.forcing;
    }

    /// After differences comes the whole zone, from the same primary as far as it can be reached and says something, or nobody else can
    /// be asked, and as far as there is room for it; after that the next primary. The whole zone of one that said nothing is for the next
    /// round.
    pub(super) fn pull_failed(
        &mut self,
        step: &mut Step<'_>,
        reason: Reason,
        because: Option<ExtendedError>,
    ) {
        let Some(pull) = self.end_pull(step, Question::stop) else { return };
        let (primary, kind) = (pull.primary, pull.kind);
        step.events.push(Event::Failed { primary, kind, reason, because, detail: None });
        let is_silent = reason == Reason::Timeout && !self.untried.is_empty();
        let is_lost = matches!(reason, Reason::Unreachable(_) | Reason::NoRoom { .. });
        if kind == Kind::Axfr || is_silent || is_lost {
            return self.hold(step, primary, (kind, reason));
        }
        step.events.push(Event::Fallback { reason });
        self.pull(step, primary, Kind::Axfr);
    }

    /// Turns to the next primary because the transfer of this one failed, and notes for how long not to try that again.
    fn hold(&mut self, step: &mut Step<'_>, primary: SocketAddr, failed: (Kind, Reason)) {
        if let (Some(have), Some(serial)) = (&self.have, self.shown.serial) {
            self.holds.failed(step.now.mono, (primary, serial), failed, have.timers(), &mut self.rng);
        }
        self.next_primary(step);
    }

    /// What follows from the store's answer.
    pub(super) fn conclude(
        &mut self,
        step: &mut Step<'_>,
        pulled: Pulled,
        result: &Result<Option<Publication>, PublishError>,
    ) {
        let publication = match result {
            Ok(publication) => publication,
            Err(error) => return self.unpublished(step, &pulled, error),
        };
        let Pulled { primary, kind, began, bytes, took, mut have, word, expire, .. } = pulled;
        step.events.push(Event::Pulled { kind, from: primary, bytes, took });
        let outside = publication.as_ref().and_then(|publication| publication.outside.clone());
        step.events.extend(outside.map(|outside| Event::LeftOut { primary, outside }));
        have.digest = match (publication, &self.have) {
            (Some(publication), _) => publication.stamp.digest,
            // It changed nothing.
            (None, Some(before)) => before.digest,
            // It was what was served, and that has expired meanwhile.
            (None, None) => return self.next_primary(step),
        };
        let (timers, serial) = (have.timers(), have.timers().serial);
        let before = self.serves(have);
        if self.forcing {
            self.odds.ordered(primary, (before, serial), &self.config.primaries);
        }
        self.odds.replaced(primary, (before, serial));
        self.holds.forget(primary);
        self.fruitless = 0;
        self.confirm(step, primary, began, word, expire, true);
        let differs = publication.as_ref().is_some_and(|publication| publication.mismatch.is_some());
        if differs && kind == Kind::Ixfr {
            return self.repair(step, primary, timers);
        }
        if differs {
            // It is what the primary sent: asking for it again would bring the same.
            let reason = Reason::DigestMismatch;
            self.repairs.failed(
                step.now.mono,
                (primary, serial),
                (Kind::Axfr, reason),
                timers,
                &mut self.rng,
            );
            step.events.push(Event::failed(primary, kind, reason));
        }
        self.still_behind(step);
        self.end_round(step, primary);
    }

    /// What follows where it could not be published.
    fn unpublished(&mut self, step: &mut Step<'_>, pulled: &Pulled, error: &PublishError) {
        let Pulled { primary, asked, kind, .. } = *pulled;
        let (reason, detail) = match error {
            PublishError::Apply(why) => (Reason::DoesNotApply, Some(why.to_string())),
            PublishError::TooMuchWork => (Reason::TooMuchWork, None),
            PublishError::NotNewer { served, found } => {
                (Reason::Older { theirs: *found, ours: *served }, None)
            }
            PublishError::NoZone(fault) => (Reason::InvalidZone, Some(fault.to_string())),
            PublishError::Unreadable(why @ (Unreadable::Broken { .. } | Unreadable::OtherClass { .. })) => {
                (Reason::Malformed, Some(why.to_string()))
            }
            PublishError::Unreadable(Unreadable::TooMuch) => (Reason::TooLarge, None),
            other => (Reason::NotStored, Some(other.to_string())),
        };
        step.events.push(Event::Failed { primary, kind, reason, because: None, detail });
        match (asked, reason) {
            // What came may be the whole zone in place of differences, and none, where a primary has no history.
            (
                Kind::Ixfr,
                Reason::DoesNotApply
                | Reason::TooMuchWork
                | Reason::InvalidZone
                | Reason::Malformed
                | Reason::TooLarge,
            ) => {
                step.events.push(Event::Fallback { reason });
                self.pull(step, primary, Kind::Axfr)
            }
            // Another primary's copy could not be stored either.
            (_, Reason::NotStored) => {
                self.untried.clear();
                self.hold(step, primary, (asked, reason))
            }
            _ => self.hold(step, primary, (asked, reason)),
        }
    }

    /// Pulls the whole zone because what is served under a serial is not what the primary has, unless that was tried lately.
    pub(super) fn repair(&mut self, step: &mut Step<'_>, primary: SocketAddr, timers: Timers) {
        let serial = timers.serial;
        let reason = Reason::DigestMismatch;
        if self.repairs.holds(step.now.mono, primary, serial) {
            step.events.push(Event::failed(primary, Kind::Soa, reason));
            return self.next_primary(step);
        }
        self.repairs.failed(step.now.mono, (primary, serial), (Kind::Axfr, reason), timers, &mut self.rng);
        step.events.push(Event::Fallback { reason });
        self.pull(step, primary, Kind::Axfr);
    }

    /// What is known to be newer than what has just been published was known to be so when it was told of last; when a version
    /// newer than the former content was first heard of says nothing of this one.
    fn still_behind(&mut self, step: &mut Step<'_>) {
        let told = self.newest_told();
        if let (Some(newer), Some((_, at))) = (&mut self.newer, told) {
            newer.successor = None;
            newer.learned_at = at;
            step.events.push(Event::Behind(*newer));
        }
    }
}
