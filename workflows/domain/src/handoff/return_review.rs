//! The return: sales gives it back with a reason, and a manager says what becomes of it.

use super::state::{CoolDown, Handoff, HandoffState as S, Reason, Use};
use super::work::mine;
use super::{Refusal, Terms, allow, check_note, check_reason};
use crate::codes;
use crate::decision::Decision;
use crate::id::UserId;
use crate::routing::Pool;
use chrono::{DateTime, TimeDelta, Utc};

codes! {
    /// What becomes of a return.
    pub enum ReviewVerdict("return verdict") {
        /// Somebody else in sales gets it: another handoff begins.
        ReRoute = "RE_ROUTE",
        /// The lead is verified again.
        ToSdr = "TO_SDR",
        /// The lead goes back to nurture.
        ToNurture = "TO_NURTURE",
        /// Nobody goes on with it.
        Close = "CLOSE",
        /// The return is not accepted: the same person works on.
        Refuse = "REFUSE",
    }
}

/// Sales gives it back. It goes under review at once; the person stays named until the review is over.
pub fn give_back(
    mut handoff: Handoff,
    by: UserId,
    reason: Reason,
    note: Option<String>,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Handoff>, Refusal> {
    terms.check(&handoff)?;
    mine(&handoff, "return", by, &[S::Working])?;
    check_reason(reason, Use::Return)?;
    handoff.note = check_note(note)?;
    let due = terms.due(None, terms.pool.progress_within, now)?;
    let fact = handoff.fact("handoff.returned", S::Returned).because(reason).under(terms.pool.rule());
    let fact = fact.with("user", by).with("note", &handoff.note);
    let mut facts = Vec::new();
    handoff.pass(&mut facts, fact, S::Returned);
    handoff.reason = Some(reason);
    handoff.returned_at = Some(now);
    let fact = handoff.fact("handoff.review_opened", S::ReturnReview).because(reason).under(terms.pool.rule());
    Ok(handoff.rest(facts, fact, S::ReturnReview, Some(due)))
}

/// A manager says what becomes of a return. Unless it is refused, the returner goes into cool-down, and gets the turn back
/// where the reason is one that [`Reason::gives_turn_back`]; the second part is the pool where that changed it.
///
/// A re-route ends this handoff: the caller begins the next with [`super::dispatch`].
pub fn review(
    mut handoff: Handoff,
    verdict: ReviewVerdict,
    by: UserId,
    note: Option<String>,
    terms: Terms<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<(Handoff, Option<Pool>)>, Refusal> {
    terms.check(&handoff)?;
    allow(&handoff, "reviewReturn", &[S::ReturnReview])?;
    let Some(user) = handoff.assignee else { return Err(Refusal::NotYours) };
    let note = check_note(note)?;
    let (to, kind) = match verdict {
        ReviewVerdict::ReRoute => (S::ReRouted, "handoff.re_routed"),
        ReviewVerdict::ToSdr => (S::ToSdr, "handoff.sent_to_sdr"),
        ReviewVerdict::ToNurture => (S::ToNurture, "handoff.sent_to_nurture"),
        ReviewVerdict::Close => (S::Closed, "handoff.closed"),
        ReviewVerdict::Refuse => (S::ReturnRefused, "handoff.return_refused"),
    };
    let mut fact =
        handoff.fact(kind, to).under(terms.pool.rule()).with("by", by).with("note", &note).with("user", user);
    if let Some(reason) = handoff.reason {
        fact = fact.because(reason);
    }
    if verdict == ReviewVerdict::Refuse {
        let due = terms.due(Some(user), terms.pool.progress_within, now)?;
        let mut facts = Vec::new();
        handoff.pass(&mut facts, fact, S::ReturnRefused);
        let fact = handoff.fact("handoff.resumed", S::Working).under(terms.pool.rule()).with("user", user);
        handoff.returned_at = None;
        return Ok(handoff.rest(facts, fact, S::Working, Some(due)).map(|handoff| (handoff, None)));
    }
    let since = handoff.returned_at.unwrap_or(now);
    let until = since + TimeDelta::days(i64::from(terms.pool.cooldown_days));
    handoff.cool_downs.retain(|cool| cool.user != user);
    handoff.cool_downs.push(CoolDown { user, until });
    let turn = handoff.turn.filter(|turn| turn.user == user && handoff.reason.is_some_and(Reason::gives_turn_back));
    let pool = turn.map(|turn| {
        let mut pool = terms.pool.clone();
        pool.give_turn_back(turn.user, turn.cost);
        pool
    });
    let fact = fact.with("turn_given_back", pool.is_some()).with("cool_down_until", until);
    Ok(handoff.end(Vec::new(), fact, to, now).map(|handoff| (handoff, pool)))
}
