//! The verdict on a lead: the answers to the checklist, and the four ways out of a verification.

use super::{Answer, Checklist, Finding, Policy, Reason, Refusal, check_case, reasons};
use crate::decision::Decision;
use crate::id::LeadId;
use crate::lead::{self, Lead};
use crate::work_item::{ItemKind, ItemState, Outcome, Token, WorkItem};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An item whose work is over, and its lead.
pub type Judged = (WorkItem, Lead);

/// Why and until when a lead is put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// Why: one of the reasons that [`Reason::recycles`].
    pub reason: Reason,
    /// Until when; without a date, for the time that the policy gives.
    pub until: Option<DateTime<Utc>>,
    /// What to remember.
    pub note: Option<String>,
}

/// Records an answer to an item of the checklist; a later answer replaces an earlier one of the same round.
pub fn answer(
    item: WorkItem,
    token: Token,
    checklist: &Checklist,
    key: &str,
    finding: Finding,
    now: DateTime<Utc>,
) -> Result<Decision<WorkItem>, Refusal> {
    item.check_kind("checked", ItemKind::VerifyLead)?;
    item.check_working("checked", token, now)?;
    if checklist.item(key).is_none() {
        let known = checklist.items.iter().map(|item| item.key.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Refusal::UnknownItem { key: key.chars().take(60).collect(), known });
    }
    let mut item = item;
    let Finding { verdict, value, evidence } = finding;
    let fact = item
        .fact("verification.answered")
        .under(checklist.rule())
        .with("item", key)
        .with("verdict", verdict)
        .with("value", &value)
        .with("evidence", &evidence)
        .with("by", token.holder);
    item.answers.insert(key.to_owned(), Answer { verdict, value, evidence, by: token.holder, at: now });
    Ok(Decision::new(item, fact))
}

/// Ends the item in `state`; the caller has checked the token.
fn ended(item: WorkItem, state: ItemState, kind: &'static str, outcome: Outcome) -> Decision<WorkItem> {
    let from = item.state;
    let mut item = item.moved(state);
    let mut fact = item.fact(kind).moved(from, state).with("by", outcome.by).with("note", &outcome.note);
    if let Some(reason) = &outcome.reason {
        fact = fact.because(reason);
    }
    item.outcome = Some(outcome);
    Decision::new(item, fact)
}

fn check_verdict(
    item: &WorkItem,
    lead: &Lead,
    verb: &'static str,
    token: Token,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    item.check_kind(verb, ItemKind::VerifyLead)?;
    check_case(item, Some(lead))?;
    Ok(item.check_working(verb, token, now)?)
}

/// The lead is complete: every required item of the checklist is confirmed. The SDR dispatches it next.
pub fn verify(
    item: WorkItem,
    lead: Lead,
    token: Token,
    checklist: &Checklist,
    note: Option<String>,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Decision<Judged>, Refusal> {
    check_verdict(&item, &lead, "verified", token, now)?;
    let missing = checklist.missing(&item.answers);
    if !missing.is_empty() {
        return Err(Refusal::Incomplete { missing });
    }
    let outcome = Outcome { reason: None, note, by: Some(token.holder), task: None, at: now };
    let mut decision = ended(item, ItemState::Verified, "verification.verified", outcome);
    for fact in &mut decision.facts {
        fact.rule = Some(checklist.rule());
    }
    Ok(decision.and(lead::verified(lead, token.holder, &policy.patience, now)?))
}

/// The lead is not one. Where the reason [`Reason::suppresses`], the caller suppresses the person in the same commit.
pub fn disqualify(
    item: WorkItem,
    lead: Lead,
    token: Token,
    reason: Reason,
    note: Option<String>,
    now: DateTime<Utc>,
) -> Result<Decision<Judged>, Refusal> {
    check_verdict(&item, &lead, "disqualified", token, now)?;
    if !reason.disqualifies() {
        return Err(Refusal::ReasonNotFor { reason, verb: "disqualify", known: reasons(Reason::disqualifies) });
    }
    let outcome = Outcome { reason: Some(reason.to_string()), note, by: Some(token.holder), task: None, at: now };
    let decision = ended(item, ItemState::Disqualified, "verification.disqualified", outcome);
    Ok(decision.and(lead::disqualify(lead, reason.as_str(), now)?))
}

/// Puts the lead aside until `until`; without a date, for the time that the policy gives.
pub fn recycle(
    item: WorkItem,
    lead: Lead,
    token: Token,
    aside: Aside,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Decision<Judged>, Refusal> {
    check_verdict(&item, &lead, "recycled", token, now)?;
    let Aside { reason, until, note } = aside;
    if !reason.recycles() {
        return Err(Refusal::ReasonNotFor { reason, verb: "recycle", known: reasons(Reason::recycles) });
    }
    let outcome = Outcome { reason: Some(reason.to_string()), note, by: Some(token.holder), task: None, at: now };
    let decision = ended(item, ItemState::Recycled, "verification.recycled", outcome);
    let until = until.unwrap_or_else(|| policy.patience.recycle(now));
    Ok(decision.and(lead::recycle(lead, reason.as_str(), until, now)?))
}

/// The lead repeats another, which goes on.
pub fn mark_duplicate(
    item: WorkItem,
    lead: Lead,
    token: Token,
    of: LeadId,
    note: Option<String>,
    now: DateTime<Utc>,
) -> Result<Decision<Judged>, Refusal> {
    check_verdict(&item, &lead, "marked a duplicate", token, now)?;
    let outcome =
        Outcome { reason: Some(Reason::Duplicate.to_string()), note, by: Some(token.holder), task: None, at: now };
    let decision = ended(item, ItemState::Duplicate, "verification.marked_duplicate", outcome);
    Ok(decision.and(lead::mark_duplicate(lead, of, now)?))
}
