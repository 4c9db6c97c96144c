//! One round: which primary is asked, when, and what follows from its SOA.

use super::*;

/// A question for the SOA, of a round or beside a transfer.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) primary: SocketAddr,
    pub(super) question: Question,
    /// Until when its turn is waited for; `None` when nobody else could be asked.
    pub(super) patience: Option<Mono>,
}

impl Asking {
    /// Until when its turn is waited for, while that has not come.
    pub(super) fn patience_ends(&self) -> Option<Mono> {
        self.patience.filter(|_| self.question.is_waiting())
    }
}

/// How long a turn is waited for where others are left to be asked, after so many were passed over.
pub(super) fn longest_wait(passed_over: u32) -> Duration {
    PATIENCE * (1 << passed_over.min(MOST_PATIENCE))
}

/// What a primary's answer to the question for its SOA showed.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) serial: Option<Serial>,
    /// The EXPIRE option, and when it was asked for.
    pub(super) expire: Option<(u32, Mono)>,
}

impl Shown {
    /// What is left at a later time of what was left of EXPIRE then (RFC 7314 section 4), in seconds.
    pub(super) fn left_at(&self, at: Mono) -> Option<u32> {
        let (left, asked) = self.expire?;
        let passed = at.since(asked).as_micros().div_ceil(1_000_000);
        Some(left.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX)))
    }
}

impl Refresh {
    /// Begins a round with the primary that announced something, if one did.
    pub(super) fn begin_round(&mut self, step: &mut Step<'_>, announcer: Option<IpAddr>) {
        let apart = self.last_began.is_none_or(|last| step.now.mono.since(last) >= ROUND_GAP);
        self.fruitless = if apart { 0 } else { self.fruitless + 1 };
        self.last_began = Some(step.now.mono);
        self.due = None;
        self.confirmed_by = None;
        self.forcing = std::mem::take(&mut self.force_next);
        self.lease.round_begins();
        self.passed_over = 0;
        let primaries = &self.config.primaries;
        // What is to be taken by order is the first one's word, not that of who served well up to now.
        let first = if self.forcing { 0 } else { self.last_good };
        let from_last_good = (0..primaries.len()).map(|at| (at + first) % primaries.len());
        self.untried = from_last_good.map(|at| primaries[at]).collect();
        // One that announces and does not answer would cost its timeouts again each time.
        let announcer =
            announcer.filter(|announcer| self.silent.is_none_or(|silent| silent.ip() != *announcer));
        // A zone that has expired is taken from whoever has it, and what an order went back from only where nobody has anything else.
        let is_any_good = self.have.is_none() && !self.forcing;
        let is_last = |primary: &SocketAddr| is_any_good && self.odds.holds_out(*primary);
        let key = |primary: &SocketAddr| (is_last(primary), announcer != Some(primary.ip()));
        self.untried.make_contiguous().sort_by_key(key);
        self.next_primary(step);
    }

    /// Turns to the next primary, or ends the round as a failed one.
    pub(super) fn next_primary(&mut self, step: &mut Step<'_>) {
        self.state = State::Idle;
        self.shown = Shown::default();
        match (self.untried.pop_front(), self.confirmed_by) {
            (None, Some(good)) => self.end_round(step, good),
            (None, None) => {
                self.failed_rounds = self.failed_rounds.saturating_add(1);
                // The order stands until it has been carried out.
                self.force_next |= std::mem::take(&mut self.forcing);
                self.lease.round_ended();
                self.await_retry(step);
                self.follow_up(step);
            }
            // Without content there is nothing that a serial could be compared with; by order it does not matter.
            (Some(primary), _) if self.have.is_none() || self.forcing => self.pull(step, primary, Kind::Axfr),
            (Some(primary), _) => self.ask(step, primary),
        }
    }

    /// Sets the timer that follows a failed round.
    pub(super) fn await_retry(&mut self, step: &mut Step<'_>) {
        let wait = match &self.have {
            Some(have) => self.lease.next_attempt(have.timers(), &mut self.rng),
            None => timers::pause(self.failed_rounds, &mut self.rng),
        };
        self.begin_after(step, wait);
    }

    /// Sets the timer of the next round, sooner where a primary that turned a transfer away may soon have room again.
    fn begin_after(&mut self, step: &Step<'_>, wait: Duration) {
        let next = step.now.mono + wait;
        self.due = Some(self.holds.soon(step.now.mono).map_or(next, |soon| soon.min(next)));
    }

    /// Asks a primary for its SOA.
    fn ask(&mut self, step: &mut Step<'_>, primary: SocketAddr) {
        let serial = self.have.as_ref().map(|have| have.timers().serial);
        let policy = if self.confirmed_by.is_some() { OPINION_POLICY } else { SOA_POLICY };
        let call =
            &mut Call { now: step.now, rng: &mut self.rng, support: &mut self.support, out: &mut *step.out };
        let question = Question::start(primary, query::soa(&self.config.zone, serial), policy, call);
        let patience = self.patience(step);
        self.state = State::AskingSoa(Box::new(Asking { primary, question, patience }));
    }

    /// Until when a turn at a primary is waited for that is asked now; `None` when the round cannot do without it. An order is for the
    /// first primary that has the zone, however many stand in line there.
    pub(super) fn patience(&self, step: &Step<'_>) -> Option<Mono> {
        let is_spared = (!self.untried.is_empty() || self.confirmed_by.is_some()) && !self.forcing;
        is_spared.then(|| step.now.mono + longest_wait(self.passed_over))
    }

    /// Until when the turn is waited for that has not come.
    pub(super) fn patience_ends(&self) -> Option<Mono> {
        match &self.state {
            State::AskingSoa(asking) => asking.patience_ends(),
            State::Pulling(pull) => pull.patience.filter(|_| pull.question.is_waiting()),
            State::Idle | State::Publishing(_) => None,
        }
    }

    /// Turns to the next primary because this one has too many exchanges before ours, or is slow, and comes back to it after the
    /// others. It has not failed.
    pub(super) fn pass_over(&mut self, step: &mut Step<'_>) {
        let (primary, was_asked) = match &self.state {
            State::AskingSoa(asking) => (asking.primary, false),
            State::Pulling(pull) => (pull.primary, !pull.question.is_waiting()),
            State::Idle | State::Publishing(_) => return,
        };
        self.hang_up(step);
        self.end_pull(step, Question::stop);
        self.passed_over += 1;
        // A second opinion is not worth the wait.
        if was_asked || self.confirmed_by.is_none() {
            self.untried.push_back(primary);
        }
        self.next_primary(step);
    }

    /// Follows up on what came of the question for the SOA.
    pub(super) fn soa_event(&mut self, step: &mut Step<'_>, event: Option<question::Event>) {
        let (Some(event), State::AskingSoa(asking)) = (event, &self.state) else { return };
        let answers = matches!(event, question::Event::Answered(_));
        let silent = self.silent.filter(|silent| *silent != asking.primary);
        self.silent = if answers { silent } else { Some(asking.primary) };
        match event {
            question::Event::Answered(reply) => self.soa_answered(step, &reply),
            question::Event::Failed { fault, .. } => self.ask_failed(step, Reason::of_question(fault), None),
            question::Event::Silent | question::Event::Transfer { .. } => {
                self.ask_failed(step, Reason::Timeout, None);
            }
        }
    }

    fn soa_answered(&mut self, step: &mut Step<'_>, reply: &Reply) {
        let State::AskingSoa(asking) = &self.state else { return };
        let primary = asking.primary;
        if reply.omission == Omission::Doubtful {
            // As with transfers: what is missing is asked for once more.
            return self.ask(step, primary);
        }
        match query::read_soa(&self.config.zone, &reply.message) {
            Err(reason) => self.ask_failed(step, reason, ExtendedError::of(&reply.message)),
            Ok(answer) => {
                self.state = State::Idle;
                self.compare(step, primary, reply, answer);
            }
        }
    }

    fn ask_failed(&mut self, step: &mut Step<'_>, reason: Reason, because: Option<ExtendedError>) {
        let State::AskingSoa(asking) = &self.state else { return };
        // The zone is current by what another primary said: to hear nothing more is no failure.
        if self.confirmed_by.is_none() {
            let primary = asking.primary;
            step.events.push(Event::Failed { primary, kind: Kind::Soa, reason, because, detail: None });
        }
        self.hang_up(step);
        self.next_primary(step);
    }

    fn hang_up(&mut self, step: &mut Step<'_>) {
        if let State::AskingSoa(asking) = &mut self.state {
            asking.question.stop(step.out);
            self.state = State::Idle;
        }
    }

    /// What follows from a primary's SOA.
    fn compare(&mut self, step: &mut Step<'_>, primary: SocketAddr, reply: &Reply, answer: SoaAnswer) {
        let SoaAnswer { soa, told, expire } = answer;
        let Some(have) = &self.have else { return self.pull(step, primary, Kind::Axfr) };
        let timers = have.timers();
        let own = timers.serial;
        let theirs = Timers::read(&soa.rdata).serial;
        let expire_asked = expire.map(|left| (left, reply.asked.mono));
        self.shown = Shown { serial: Some(theirs), expire: expire_asked };
        self.unshown.iter_mut().for_each(|unshown| unshown.shows(primary, theirs));
        if std::mem::take(&mut self.is_hearsay) {
            // Who answers tells it, or does not know it.
            self.newer.iter_mut().for_each(|newer| newer.successor = None);
        }
        told.iter().for_each(|told| self.clocks.hear(told, None, reply.asked.mono, step.now.mono));
        let stamps = told.as_ref().map_or(&[][..], |told| &told.stamps);
        let (is_newer, differs) = (theirs.is_newer_than(own), self.differs(own, stamps));
        let is_set_aside = (is_newer || differs) && self.odds.sets_aside(primary, theirs);
        self.note_odds(step, primary, Comparison { theirs, ours: own, differs }, is_set_aside);
        if is_set_aside {
            return self.next_primary(step);
        }
        if is_newer {
            let successor = told.as_ref().and_then(Told::successor).copied();
            self.learn(step, &[primary], theirs, successor);
            if self.holds.holds(step.now.mono, primary, theirs) {
                return self.next_primary(step);
            }
            if self.holds.is_without_ixfr(primary) {
                step.events.push(Event::Fallback { reason: Reason::Timeout });
                return self.pull(step, primary, Kind::Axfr);
            }
            return self.pull(step, primary, Kind::Ixfr);
        }
        self.nothing_newer(primary, reply.asked.mono, own);
        if self.confirmed_by.is_some() && (theirs != own || differs) {
            // Of two primaries at odds the one that was asked first is followed.
            return self.next_primary(step);
        }
        if theirs != own {
            let reason = Reason::Older { theirs, ours: own };
            step.events.push(Event::failed(primary, Kind::Soa, reason));
            return self.next_primary(step);
        }
        if differs {
            return self.repair(step, primary, timers);
        }
        self.confirm_by(step, primary, reply, told.as_ref(), expire);
        self.confirmed_by.get_or_insert(primary);
        self.next_primary(step);
    }

    /// Notes whether what a primary shows is at odds with what is served (and set aside by order), and tells of it where nothing fails by
    /// that.
    fn note_odds(&mut self, step: &mut Step<'_>, primary: SocketAddr, shown: Comparison, is_set_aside: bool) {
        let is_due = self.odds.shown(step.now, primary, shown, is_set_aside);
        // Else it is followed by a failure, or by a transfer.
        if is_due && (self.confirmed_by.is_some() || is_set_aside) {
            step.events.push(Event::AtOdds { primary, odd: Odd::of(shown.theirs, shown.ours) });
        }
    }

    /// Notes that a primary's SOA, with what came with it, shows nothing else than what is served.
    pub(super) fn confirm_by(
        &mut self,
        step: &mut Step<'_>,
        primary: SocketAddr,
        reply: &Reply,
        told: Option<&Told>,
        expire: Option<u32>,
    ) {
        let timers = self.have.as_ref().map(Have::timers).unwrap_or_default();
        let word = self.word(told, (reply.asked, reply.omission), expire, timers);
        self.confirm(step, primary, reply.asked, word, expire, false);
    }

    /// Notes that a primary had nothing newer when `asked`.
    pub(super) fn confirm(
        &mut self,
        step: &mut Step<'_>,
        primary: SocketAddr,
        asked: Now,
        word: Word,
        expire: Option<u32>,
        replaced: bool,
    ) {
        let Some(have) = &self.have else { return };
        let (timers, serial) = (have.timers(), have.timers().serial);
        let (whole, until) = have.expires(asked, expire);
        // RFC 7314 section 4: what a primary has left itself does not shorten what is left here, unless the content is new.
        let kept = self.expires_at.filter(|_| expire.is_some() && !replaced);
        let expires_at = kept.map_or(until, |kept| kept.max(until));
        self.expires_at = Some(expires_at);
        // The SOA of this round showed more than its transfer brought, or that of an earlier one where an order asks for no SOA: of what
        // there is that says nothing, and takes nothing back.
        let known = self.newer.as_ref().filter(|_| self.forcing).map(|newer| newer.serial);
        let contradicts = self.shown.serial.or(known).is_some_and(|shown| shown.is_newer_than(serial));
        if !contradicts {
            self.nothing_newer(primary, asked.mono, serial);
        }
        // While another primary knows of more, this one's word says nothing of how fresh this is.
        let counts = !contradicts && (self.newer.is_none() || self.tellings.are_only_of(primary));
        let is_fresher = counts && word.current > self.fresh_at;
        if is_fresher {
            self.fresh_at = word.current;
        }
        if counts {
            self.lease.word(primary, word, is_fresher, asked, timers);
        } else {
            self.lease.asked(asked);
        }
        let fresh_at = self.fresh_at;
        let counted_from = asked.utc - whole.since(expires_at);
        let verified_at = asked.utc;
        step.events.push(Event::Confirmed { primary, verified_at, fresh_at, expires_at, counted_from });
    }

    /// Ends a round in which a primary answered to the purpose.
    pub(super) fn end_round(&mut self, step: &mut Step<'_>, primary: SocketAddr) {
        self.state = State::Idle;
        self.untried.clear();
        self.confirmed_by = None;
        self.forcing = false;
        self.failed_rounds = 0;
        self.lease.round_ended();
        self.last_good = self.config.primaries.iter().position(|known| *known == primary).unwrap_or(0);
        let Some(have) = &self.have else { return };
        let wait = match self.newer {
            // An order has to be carried out yet.
            _ if self.force_next => self.lease.next_attempt(have.timers(), &mut self.rng),
            None => self.lease.next_poll(step.now, have.timers(), &mut self.rng),
            // Somebody else knows of more than this primary.
            Some(_) => self.lease.next_attempt(have.timers(), &mut self.rng),
        };
        // A primary that is a secondary itself may have little left of EXPIRE. It asks before that is used up, and so it has to
        // be asked again before then, or a chain of healthy servers would expire at its end.
        let left = self.expires_at.map_or(wait, |at| at.since(step.now.mono));
        let lent = left + timers::MIN_INTERVAL < timers::expire(have.timers(), None);
        let wait = if lent { wait.min(left / 2).max(timers::MIN_INTERVAL) } else { wait };
        let wait = self.until_shown(step).map_or(wait, |soon| wait.min(soon));
        self.begin_after(step, wait);
        self.follow_up(step);
    }

    /// How long to wait before an announced serial that has not been shown is asked for again. Tells of one that was asked for in vain.
    fn until_shown(&mut self, step: &mut Step<'_>) -> Option<Duration> {
        let mut unshown = self.unshown.take().filter(|unshown| !self.is_known(unshown.serial))?;
        let wait = unshown.next_round();
        if let Some(older) = unshown.older().filter(|_| wait.is_none()) {
            let (primary, announced) = (unshown.primary, unshown.serial);
            self.not_shown(announced);
            if unshown.is_to_be_told() {
                step.events.push(Event::NotShown { primary, announced, shown: older });
            }
        }
        self.unshown = Some(unshown);
        wait
    }

    /// Remembers that something is to be asked, and asks when nothing is going on.
    pub(super) fn announce(&mut self, step: &mut Step<'_>, announced: Announced) {
        let newest = match (&self.announced, announced.serial) {
            (Some(known), Some(serial)) => known.serial.is_none_or(|known| serial.is_newer_than(known)),
            (Some(_), None) => false,
            (None, _) => true,
        };
        if newest {
            self.announced = Some(announced);
        }
        self.holds.lift(step.now.mono);
        match (&self.state, self.confirmed_by) {
            (State::Idle, _) => self.follow_up(step),
            // News is worth more than the second opinion that is being waited for.
            (State::AskingSoa(_), Some(good)) => {
                self.hang_up(step);
                self.end_round(step, good);
            }
            _ => {}
        }
    }

    /// Begins another round when something was announced that is not here yet.
    fn follow_up(&mut self, step: &mut Step<'_>) {
        let Some(announced) = self.announced else { return };
        // An order counts whatever was announced before it.
        if !self.force_next && announced.serial.is_some_and(|serial| self.is_known(serial)) {
            self.announced = None;
            return;
        }
        let next = self.last_began.map_or(step.now.mono, |last| last + ROUND_GAP);
        if self.fruitless < FRUITLESS_ROUNDS || next <= step.now.mono {
            self.announced = None;
            return self.begin_round(step, announced.from);
        }
        self.due = Some(self.due.map_or(next, |due| due.min(next)));
    }
}
