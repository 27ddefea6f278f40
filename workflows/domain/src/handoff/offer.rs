//! From the dispatch to the answer: looking for somebody, the offer, its acceptance, rejection and time-out, the next
//! in the pool, and escalation.

use super::state::{Handoff, HandoffState as S, Reason, Tried, Turn, Use};
use super::{Refusal, Terms, allow, check_note, check_reason};
use crate::decision::{Decision, Fact};
use crate::id::{AccountId, HandoffId, LeadId, OpportunityId, UserId};
use crate::routing::{Pool, Receipt, Verdict};
use chrono::{DateTime, Utc};

/// What is known of a handoff when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHandoff {
    /// Its id.
    pub id: HandoffId,
    /// The opportunity.
    pub opportunity: OpportunityId,
    /// The lead it came from.
    pub lead: LeadId,
    /// The company, where it is known.
    pub account: Option<AccountId>,
    /// Who dispatches it.
    pub by: UserId,
    /// The version of the rule that chose the pool, e.g. `routing@3#enterprise`.
    pub route: String,
}

/// A handoff begins: it looks for somebody in `pool` at once.
///
/// `earlier` is the last handoff of the same lead, if there was one. Whoever returned it stays in cool-down, and where it was
/// the same opportunity, whoever had it before is not offered it again.
pub fn dispatch(new: NewHandoff, pool: &Pool, earlier: Option<&Handoff>, now: DateTime<Utc>) -> Decision<Handoff> {
    let same = earlier.filter(|earlier| earlier.opportunity == new.opportunity);
    let cooling = earlier.into_iter().flat_map(|earlier| &earlier.cool_downs).filter(|cool| cool.until > now);
    let handoff = Handoff {
        id: new.id,
        opportunity: new.opportunity,
        lead: new.lead,
        account: new.account,
        pool: pool.id,
        route: new.route,
        dispatched_by: new.by,
        state: S::Pending,
        attempt: 1,
        revision: 0,
        offered_to: None,
        assignee: None,
        turn: None,
        tried: same.map(|earlier| earlier.tried.clone()).unwrap_or_default(),
        cool_downs: cooling.copied().collect(),
        held_for: None,
        reason: None,
        note: None,
        due_at: None,
        created_at: now,
        offered_at: None,
        accepted_at: None,
        started_at: None,
        returned_at: None,
        ended_at: None,
        previous: same.map(|earlier| earlier.id),
    };
    let fact = Fact::ledger("handoff.dispatched", handoff.id)
        .lead(handoff.lead)
        .account(handoff.account)
        .under(&handoff.route)
        .with("opportunity", handoff.opportunity)
        .with("pool", &pool.key)
        .with("by", new.by)
        .with("previous", handoff.previous);
    handoff.rest(Vec::new(), fact, S::Pending, Some(now))
}

/// What the choice among the pool's members made of it: an offer, a wait, or an escalation. A wait that goes on for the
/// same reason records nothing: only its next try is planned.
///
/// None when the receipt is not for this attempt, or nobody is to be looked for now: the timer is stale.
pub fn matched(
    mut handoff: Handoff,
    receipt: &Receipt,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Handoff>>, Refusal> {
    terms.check(&handoff)?;
    if !is_looking(&handoff, receipt.attempt, now) || receipt.handoff != handoff.id {
        return Ok(None);
    }
    let mut facts = Vec::new();
    let under = |fact: Fact| fact.under(&receipt.rule).with("receipt", receipt.id);
    let waited_for = handoff.held_for.take();
    match receipt.verdict {
        Verdict::Chosen { user, cost } => {
            let due = terms.due(Some(user), terms.pool.accept_within, now)?;
            let fact = under(handoff.fact("handoff.matched", S::Matched)).with("user", user).with("cost", cost);
            handoff.pass(&mut facts, fact, S::Matched);
            handoff.offered_to = Some(user);
            handoff.offered_at = Some(now);
            handoff.turn = Some(Turn { user, cost });
            let fact = under(handoff.fact("handoff.offered", S::Offered)).with("user", user);
            Ok(Some(handoff.rest(facts, fact, S::Offered, Some(due))))
        }
        Verdict::Held { reason, until } => {
            let fact = under(handoff.fact("handoff.held", S::Held)).because(reason);
            handoff.held_for = Some(reason);
            // A moment that has come already would try again at once, and again.
            let until = until.max(now + chrono::TimeDelta::minutes(1));
            if waited_for == Some(reason) {
                return Ok(Some(handoff.wait_on(until)));
            }
            Ok(Some(handoff.rest(facts, fact, S::Held, Some(until))))
        }
        Verdict::Exhausted => escalate(handoff, facts, terms, now).map(Some),
    }
}

/// Whether a handoff looks for somebody under `attempt`, and the time to do so has come.
pub(super) fn is_looking(handoff: &Handoff, attempt: u32, now: DateTime<Utc>) -> bool {
    matches!(handoff.state, S::Pending | S::Held)
        && handoff.attempt == attempt
        && handoff.due_at.is_some_and(|due| due <= now)
}

impl Handoff {
    /// Whether [`matched`] would do something under `attempt` at `now`: ask before the pool is locked and turns are played.
    pub fn is_looking(&self, attempt: u32, now: DateTime<Utc>) -> bool {
        is_looking(self, attempt, now)
    }
}

fn answer(handoff: &Handoff, command: &'static str, by: UserId, now: DateTime<Utc>) -> Result<(), Refusal> {
    allow(handoff, command, &[S::Offered, S::Escalated])?;
    if handoff.offered_to != Some(by) {
        return Err(Refusal::NotOfferedToYou);
    }
    // The timer that takes the offer back may be late; the promise is not. An escalated offer does not run out.
    match handoff.due_at {
        Some(at) if handoff.state == S::Offered && at <= now => Err(Refusal::OfferRanOut { at }),
        _ => Ok(()),
    }
}

/// The person it was offered to takes it.
pub fn accept(
    handoff: Handoff,
    by: UserId,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Handoff>, Refusal> {
    terms.check(&handoff)?;
    answer(&handoff, "accept", by, now)?;
    let fact = handoff.fact("handoff.accepted", S::Accepted).under(terms.pool.rule()).with("user", by);
    take(handoff, by, fact, terms, now)
}

fn take(
    mut handoff: Handoff,
    by: UserId,
    fact: Fact,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Handoff>, Refusal> {
    let due = terms.due(Some(by), terms.pool.work_within, now)?;
    handoff.turn = handoff.turn.filter(|turn| turn.user == by);
    handoff.assignee = Some(by);
    handoff.offered_to = None;
    handoff.held_for = None;
    handoff.accepted_at = Some(now);
    Ok(handoff.rest(Vec::new(), fact, S::Accepted, Some(due)))
}

/// The person it was offered to does not take it: the next in the pool, or escalation after the last attempt. The turn is
/// spent. Who rejects an escalated offer leaves it to a manager.
pub fn reject(
    mut handoff: Handoff,
    by: UserId,
    reason: Reason,
    note: Option<String>,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Handoff>, Refusal> {
    terms.check(&handoff)?;
    answer(&handoff, "reject", by, now)?;
    check_reason(reason, Use::Reject)?;
    handoff.note = check_note(note)?;
    let fact = handoff.fact("handoff.rejected", S::Rejected).because(reason).under(terms.pool.rule());
    let fact = fact.with("user", by).with("note", &handoff.note);
    let escalated = handoff.state == S::Escalated;
    let mut facts = Vec::new();
    handoff.pass(&mut facts, fact, S::Rejected);
    handoff.leave(by, S::Rejected, Some(reason), now);
    if escalated { escalate(handoff, facts, terms, now) } else { again(handoff, facts, terms, now) }
}

/// Nobody answered in time: the next in the pool, or escalation after the last attempt.
///
/// None when the timer is stale: the offer of that attempt was answered, or its time has not come.
pub fn expire(
    mut handoff: Handoff,
    attempt: u32,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Handoff>>, Refusal> {
    terms.check(&handoff)?;
    let due = handoff.due_at.is_some_and(|due| due <= now);
    let (S::Offered, Some(user), true) = (handoff.state, handoff.offered_to, due && handoff.attempt == attempt) else {
        return Ok(None);
    };
    let fact = handoff.fact("handoff.timed_out", S::TimedOut).under(terms.pool.rule()).with("user", user);
    let mut facts = Vec::new();
    handoff.pass(&mut facts, fact, S::TimedOut);
    handoff.leave(user, S::TimedOut, None, now);
    again(handoff, facts, terms, now).map(Some)
}

/// A manager gives it to somebody by hand, in the pool or not. Whoever had the offer keeps the turn: the second part is the
/// pool where that changed it.
pub fn assign(
    handoff: Handoff,
    to: UserId,
    by: UserId,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<(Handoff, Option<Pool>)>, Refusal> {
    terms.check(&handoff)?;
    allow(&handoff, "assign", &[S::Pending, S::Held, S::Offered, S::Escalated])?;
    if handoff.tried.iter().any(|tried| tried.user == to) {
        return Err(Refusal::AlreadyTried { user: to });
    }
    if let Some(cool) = handoff.cool_downs.iter().find(|cool| cool.user == to && cool.until > now) {
        return Err(Refusal::CoolDown { user: to, until: cool.until });
    }
    let pool = handoff.turn.filter(|turn| turn.user != to).map(|turn| {
        let mut pool = terms.pool.clone();
        pool.give_turn_back(turn.user, turn.cost);
        pool
    });
    let fact = handoff.fact("handoff.assigned", S::Accepted).under(terms.pool.rule());
    let fact = fact.with("user", to).with("by", by).with("instead_of", handoff.offered_to);
    Ok(take(handoff, to, fact, terms, now)?.map(|handoff| (handoff, pool)))
}

impl Handoff {
    /// Somebody no longer has it and is not offered it again.
    pub(super) fn leave(&mut self, user: UserId, outcome: S, reason: Option<Reason>, now: DateTime<Utc>) {
        self.tried.push(Tried { user, outcome, reason, at: now });
        self.reason = reason.or(self.reason);
        self.offered_to = None;
        self.assignee = None;
        self.turn = None;
        (self.accepted_at, self.started_at) = (None, None);
    }
}

/// The next attempt, or escalation after the last.
pub(super) fn again(
    mut handoff: Handoff,
    facts: Vec<Fact>,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Handoff>, Refusal> {
    if handoff.attempt >= terms.pool.max_attempts {
        return escalate(handoff, facts, terms, now);
    }
    handoff.attempt += 1;
    let fact = handoff.fact("handoff.requeued", S::Pending).under(terms.pool.rule());
    Ok(handoff.rest(facts, fact, S::Pending, Some(now)))
}

/// The pool's escalation person gets it, unless that is somebody who had it; then it waits for a manager. Its due time
/// reminds, it takes nothing away.
fn escalate(
    mut handoff: Handoff,
    facts: Vec<Fact>,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Handoff>, Refusal> {
    let barred = handoff.barred(now);
    let to = terms.pool.escalate_to.filter(|user| barred.iter().all(|bar| bar.user != *user));
    let due = terms.due(to, terms.pool.accept_within, now)?;
    let fact = handoff.fact("handoff.escalated", S::Escalated).under(terms.pool.rule()).with("user", to);
    handoff.offered_to = to;
    handoff.offered_at = to.map(|_| now);
    handoff.turn = None;
    Ok(handoff.rest(facts, fact, S::Escalated, Some(due)))
}
