//! What the person who took it does with it, and how it is taken back when the promises are not kept.

use super::offer::again;
use super::state::{Handoff, HandoffState as S, Reason, Use};
use super::{Refusal, Terms, allow, check_note, check_reason};
use crate::decision::Decision;
use crate::id::UserId;
use chrono::{DateTime, Utc};

pub(super) fn mine(handoff: &Handoff, command: &'static str, by: UserId, states: &[S]) -> Result<(), Refusal> {
    allow(handoff, command, states)?;
    if handoff.assignee == Some(by) { Ok(()) } else { Err(Refusal::NotYours) }
}

/// Work begins; the clock of progress starts.
pub fn start(
    mut handoff: Handoff,
    by: UserId,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Handoff>, Refusal> {
    terms.check(&handoff)?;
    mine(&handoff, "start", by, &[S::Accepted])?;
    let due = terms.due(Some(by), terms.pool.progress_within, now)?;
    let fact = handoff.fact("handoff.started", S::Working).under(terms.pool.rule()).with("user", by);
    handoff.started_at = Some(now);
    Ok(handoff.rest(Vec::new(), fact, S::Working, Some(due)))
}

/// A sign of progress; the clock of progress starts again.
pub fn progress(
    mut handoff: Handoff,
    by: UserId,
    note: Option<String>,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Handoff>, Refusal> {
    terms.check(&handoff)?;
    mine(&handoff, "progress", by, &[S::Working])?;
    handoff.note = check_note(note)?.or(handoff.note);
    let due = terms.due(Some(by), terms.pool.progress_within, now)?;
    let fact = handoff.fact("handoff.progressed", S::Working).under(terms.pool.rule());
    let fact = fact.with("user", by).with("note", &handoff.note);
    Ok(handoff.rest(Vec::new(), fact, S::Working, Some(due)))
}

/// It was sold.
pub fn convert(handoff: Handoff, by: UserId, now: DateTime<Utc>) -> Result<Decision<Handoff>, Refusal> {
    mine(&handoff, "convert", by, &[S::Working])?;
    let fact = handoff.fact("handoff.converted", S::Converted).with("user", by);
    Ok(handoff.end(Vec::new(), fact, S::Converted, now))
}

/// It was worked and not sold.
pub fn lose(
    mut handoff: Handoff,
    by: UserId,
    reason: Reason,
    note: Option<String>,
    now: DateTime<Utc>,
) -> Result<Decision<Handoff>, Refusal> {
    mine(&handoff, "lose", by, &[S::Working])?;
    check_reason(reason, Use::Lose)?;
    handoff.note = check_note(note)?;
    handoff.reason = Some(reason);
    let fact = handoff.fact("handoff.lost", S::Lost).because(reason).with("user", by).with("note", &handoff.note);
    Ok(handoff.end(Vec::new(), fact, S::Lost, now))
}

/// A manager takes it back; it goes to the next in the pool.
pub fn reclaim(
    mut handoff: Handoff,
    by: UserId,
    reason: Reason,
    note: Option<String>,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Handoff>, Refusal> {
    check_reason(reason, Use::Reclaim)?;
    handoff.note = check_note(note)?;
    take_back(handoff, Some(by), reason, terms, now)
}

fn take_back(
    mut handoff: Handoff,
    by: Option<UserId>,
    reason: Reason,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Handoff>, Refusal> {
    terms.check(&handoff)?;
    allow(&handoff, "reclaim", &[S::Accepted, S::Working])?;
    let Some(user) = handoff.assignee else { return Err(Refusal::NotYours) };
    let fact = handoff.fact("handoff.reclaimed", S::Reclaimed).because(reason).under(terms.pool.rule());
    let fact = fact.with("user", user).with("by", by).with("due", handoff.due_at);
    let mut facts = Vec::new();
    handoff.pass(&mut facts, fact, S::Reclaimed);
    handoff.leave(user, S::Reclaimed, Some(reason), now);
    again(handoff, facts, terms, now)
}

/// The clock of `revision` ran out. Work that did not begin or stands still is taken back; an escalation or a review that
/// nobody answers is recorded as overdue, and its clock starts again.
///
/// None when the timer is stale: the handoff moved on, or the time has not come.
pub fn check_sla(
    handoff: Handoff,
    revision: u32,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Handoff>>, Refusal> {
    terms.check(&handoff)?;
    if handoff.revision != revision || handoff.due_at.is_none_or(|due| due > now) {
        return Ok(None);
    }
    match handoff.state {
        S::Accepted | S::Working => take_back(handoff, None, Reason::SlaBreach, terms, now).map(Some),
        state @ (S::Escalated | S::ReturnReview) => {
            let due = terms.due(None, terms.pool.progress_within, now)?;
            let fact = handoff.fact("handoff.overdue", state).because(Reason::SlaBreach).under(terms.pool.rule());
            let fact = fact.with("was_due", handoff.due_at).with("user", handoff.offered_to);
            Ok(Some(handoff.rest(Vec::new(), fact, state, Some(due))))
        }
        _ => Ok(None),
    }
}
