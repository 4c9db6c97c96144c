//! Letting go of content whose EXPIRE has passed (RFC 1034 4.3.5).

use super::*;

impl Refresh {
    pub(super) fn check_expiry(&mut self, step: &mut Step<'_>) {
        let expires_at = self.expires_at.filter(|at| self.have.is_some() && *at <= step.now.mono);
        if let Some(at) = expires_at {
            self.expire(step, step.now.utc - step.now.mono.since(at));
        }
    }

    /// Lets go of what is served, because its EXPIRE passed at this time.
    pub(super) fn expire(&mut self, step: &mut Step<'_>, at: Utc) {
        self.have = None;
        self.odds.expired();
        self.confirmed_by = None;
        self.expires_at = None;
        self.failed_rounds = 1;
        step.events.push(Event::Expired(at));
        if matches!(&self.state, State::Pulling(pull) if pull.is_late(step.now.mono)) {
            self.prefer_others(step);
        }
        if matches!(self.state, State::Idle) && self.due.is_some() {
            self.await_retry(step);
        }
    }
}
