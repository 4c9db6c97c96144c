//! What is asked beside a transfer. While one is under way its round asks nobody else, and a large one may take longer than is left of
//! EXPIRE: the other primaries are asked for their SOA shortly before that ends. One that shows what is served confirms it, and one that
//! shows a newer version is asked for that in place of a transfer that is slow.

use super::round::longest_wait;
use super::*;

/// They are asked so long before the zone expires, or when half of what is left has passed.
const AHEAD: Duration = Duration::from_secs(10);

/// The questions beside one transfer.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// When the first is asked; `None` from then on.
    due: Option<Mono>,
    /// Who is asked after the one that is being asked.
    others: VecDeque<SocketAddr>,
    asking: Option<Asking>,
    /// How often one of them was passed over because no turn came.
    passed_over: u32,
}

impl Aside {
    /// None yet: others are to be asked before the zone expires at this time.
    pub(super) fn before(expires_at: Mono, now: Mono, others: VecDeque<SocketAddr>) -> Aside {
        let left = expires_at.since(now);
        let due = (!others.is_empty()).then(|| now + (left - AHEAD.min(left / 2)));
        Aside { due, others, asking: None, passed_over: 0 }
    }

    /// When something is to be done.
    pub(super) fn next_timeout(&self) -> Option<Mono> {
        let Some(asking) = &self.asking else { return self.due };
        asking.patience_ends().or(asking.question.next_timeout())
    }

    /// The question that an exchange belongs to.
    pub(super) fn question(&mut self, token: Token) -> Option<&mut Question> {
        let question = self.asking.as_mut().map(|asking| &mut asking.question);
        question.filter(|question| question.tokens().any(|own| own == token))
    }

    /// Ends them.
    pub(super) fn stop(&mut self, out: &mut Outbox) {
        if let Some(mut asking) = self.asking.take() {
            asking.question.stop(out);
        }
        self.due = None;
    }
}

impl Refresh {
    /// The questions beside a transfer from this primary that begins now.
    pub(super) fn aside(&self, now: Mono, primary: SocketAddr) -> Aside {
        let others = self.config.primaries.iter().copied().filter(|other| *other != primary).collect();
        self.expires_at().map(|at| Aside::before(at, now, others)).unwrap_or_default()
    }

    /// Does what is due beside a transfer.
    pub(super) fn aside_due(&mut self, step: &mut Step<'_>) {
        let State::Pulling(pull) = &mut self.state else { return };
        let call =
            &mut Call { now: step.now, rng: &mut self.rng, support: &mut self.support, out: &mut *step.out };
        match &mut pull.aside.asking {
            Some(asking) if asking.patience_ends().is_some() => {
                // As in rounds: it comes back to it after the others.
                pull.aside.others.push_back(asking.primary);
                pull.aside.passed_over += 1;
                self.ask_aside(step);
            }
            Some(asking) => {
                let event = asking.question.handle_timeout(call);
                self.aside_event(step, event);
            }
            None => self.ask_aside(step),
        }
    }

    /// Asks the next one for its SOA.
    fn ask_aside(&mut self, step: &mut Step<'_>) {
        let serial = self.have.as_ref().map(|have| have.timers().serial);
        let State::Pulling(pull) = &mut self.state else { return };
        pull.aside.stop(step.out);
        // Nothing is left to be confirmed once it has expired.
        let Some(primary) = pull.aside.others.pop_front().filter(|_| serial.is_some()) else { return };
        let call =
            &mut Call { now: step.now, rng: &mut self.rng, support: &mut self.support, out: &mut *step.out };
        let question = Question::start(primary, query::soa(&self.config.zone, serial), SOA_POLICY, call);
        let wait = longest_wait(pull.aside.passed_over);
        let patience = (!pull.aside.others.is_empty()).then(|| step.now.mono + wait);
        pull.aside.asking = Some(Asking { primary, question, patience });
    }

    /// Follows up on what came of a question beside a transfer. That one does not serve the purpose is no failure: it is asked again, and
    /// told of, when the transfer has come to nothing.
    pub(super) fn aside_event(&mut self, step: &mut Step<'_>, event: Option<question::Event>) {
        let Some(event) = event else { return };
        let State::Pulling(pull) = &mut self.state else { return };
        let (from, Some(asking)) = (pull.primary, &pull.aside.asking) else { return };
        let primary = asking.primary;
        if let question::Event::Answered(reply) = event {
            if reply.omission == Omission::Doubtful {
                // As in rounds: what is missing is asked for once more.
                pull.aside.others.push_front(primary);
            } else if let Ok(answer) = query::read_soa(&self.config.zone, &reply.message) {
                if self.is_preferred(step, primary, &answer) {
                    self.untried.retain(|other| *other != primary);
                    self.untried.push_front(primary);
                    self.prefer_others(step);
                    return;
                }
                if self.is_prolonged(step, primary, &reply, &answer) {
                    let next = self.aside(step.now.mono, from);
                    let State::Pulling(pull) = &mut self.state else { return };
                    pull.aside.stop(step.out);
                    pull.aside = next;
                    return;
                }
            }
        }
        self.ask_aside(step);
    }

    /// Takes in a newer version that a primary's SOA shows; whether that is to be had from there, and not soon by the transfer.
    fn is_preferred(&mut self, step: &mut Step<'_>, primary: SocketAddr, answer: &SoaAnswer) -> bool {
        let Some(own) = self.have.as_ref().map(|have| have.timers().serial) else { return false };
        let theirs = Timers::read(&answer.soa.rdata).serial;
        if !theirs.is_newer_than(own) || self.odds.sets_aside(primary, theirs) {
            return false;
        }
        self.learn(step, &[primary], theirs, answer.told.as_ref().and_then(Told::successor).copied());
        let is_late = matches!(&self.state, State::Pulling(pull) if pull.is_late(step.now.mono));
        is_late && !self.holds.holds(step.now.mono, primary, theirs)
    }

    /// Takes in that a primary's SOA shows what is served; whether that expires later by it.
    fn is_prolonged(
        &mut self,
        step: &mut Step<'_>,
        primary: SocketAddr,
        reply: &Reply,
        answer: &SoaAnswer,
    ) -> bool {
        let Some(own) = self.have.as_ref().map(|have| have.timers().serial) else { return false };
        let stamps = answer.told.as_ref().map_or(&[][..], |told| &told.stamps);
        if Timers::read(&answer.soa.rdata).serial != own || self.differs(own, stamps) {
            return false;
        }
        let before = self.expires_at;
        self.confirm_by(step, primary, reply, answer.told.as_ref(), answer.expire);
        self.expires_at > before
    }
}
