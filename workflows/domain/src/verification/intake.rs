//! How leads enter the queue and leave it without a verdict: by marketing, by a grade, by a timer, by a return.

use super::{Judged, Policy, Reason, Refusal, Round, check_case, reasons};
use crate::codes;
use crate::decision::Decision;
use crate::id::{LeadId, WorkItemId};
use crate::lead::{self, Grade, Lead, Stage};
use crate::work_item::{self, ItemKind, ItemState, WorkItem};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A lead that moved, and its work item where that moved too.
pub type Moved = (Option<WorkItem>, Lead);

codes! {
    /// What brings a lead into the queue.
    pub enum Cause("cause of queueing") {
        /// Marketing qualified it (MQL).
        Qualified = "QUALIFIED",
        /// Marketing did not decide in time.
        NotTriaged = "NOT_TRIAGED",
        /// Its sequence did not move it in time.
        NurtureOver = "NURTURE_OVER",
        /// The date it was put aside to has come.
        DateCame = "DATE_CAME",
        /// Its grade improved while it was put aside.
        BetterGrade = "BETTER_GRADE",
        /// The SDR did not dispatch it in time.
        NotDispatched = "NOT_DISPATCHED",
        /// Sales gave it back, and the review sent it to the SDR.
        ReturnedBySales = "RETURNED_BY_SALES",
    }
}

impl Cause {
    const fn fact(self) -> &'static str {
        match self {
            Self::Qualified => "lead.qualified",
            _ => "lead.queued",
        }
    }

    const fn from(self) -> &'static [Stage] {
        match self {
            Self::Qualified => &[Stage::Received, Stage::Nurturing, Stage::Recycled],
            Self::NotTriaged => &[Stage::Received],
            Self::NurtureOver => &[Stage::Nurturing],
            Self::DateCame | Self::BetterGrade => &[Stage::Recycled],
            Self::NotDispatched => &[Stage::Verified],
            Self::ReturnedBySales => &[Stage::Returned],
        }
    }
}

/// The item of a lead that enters the queue: a new one, or the one it had, with its answers put on record.
fn item_for(
    lead: &Lead,
    had: Option<WorkItem>,
    new: WorkItemId,
    cause: Cause,
    due: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Decision<WorkItem>, Refusal> {
    let Some(item) = had else {
        let item = WorkItem {
            id: new,
            kind: ItemKind::VerifyLead,
            lead: Some(lead.id),
            contact: lead.contact,
            account: lead.account,
            title: format!("Verify the lead from {}", lead.source),
            team: None,
            priority: lead.priority,
            grade: lead.grade,
            due_at: due,
            state: ItemState::Queued,
            claim: None,
            fence: 0,
            revision: 1,
            answers: BTreeMap::new(),
            waiting: None,
            outcome: None,
            notes: None,
            enrollment: None,
            visit: None,
            channel: None,
            earlier: Vec::new(),
            created_at: now,
        };
        let fact = item.fact("work_item.queued").because(cause).with("due_at", due);
        return Ok(Decision::new(item, fact));
    };
    check_case(&item, Some(lead))?;
    let reopened = match item.state {
        ItemState::Verified => {
            let from = item.state;
            let item = item.moved(ItemState::Reopened);
            let fact = item.fact("verification.reopened").moved(from, item.state).because(cause);
            Decision::new(item, fact)
        }
        ItemState::Recycled => {
            let fact = item.fact("verification.reconsidered").because(cause);
            Decision::new(item, fact)
        }
        from => return Err(work_item::Refusal::NotAllowed { from, verb: "queued again" }.into()),
    };
    let from = reopened.next.state;
    let mut fact = None;
    let mut decision = reopened.map(|item| {
        let mut item = item.moved(ItemState::Queued);
        let round = Round { answers: std::mem::take(&mut item.answers), outcome: item.outcome.take() };
        item.earlier.push(round);
        (item.priority, item.grade, item.account, item.due_at) = (lead.priority, lead.grade, lead.account, due);
        fact = Some(item.fact("work_item.queued").moved(from, item.state).because(cause).with("due_at", due));
        item
    });
    decision.facts.extend(fact);
    Ok(decision)
}

/// Puts a lead into the SDR queue with its work item. `had` is the lead's item where it has one, `new` the id of
/// the one that is made otherwise. `reason` is the reason code of a return, where there is one.
pub fn enqueue(
    lead: Lead,
    had: Option<WorkItem>,
    new: WorkItemId,
    cause: Cause,
    reason: Option<&str>,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Decision<Judged>, Refusal> {
    if !cause.from().contains(&lead.stage) {
        return Err(match lead.stage.is_open() {
            true => lead::Refusal::NotAllowed { from: lead.stage, to: Stage::Queued },
            false => lead::Refusal::Ended { stage: lead.stage },
        }
        .into());
    }
    let reason = reason.unwrap_or(cause.as_str());
    let lead = lead::queue(lead, cause.fact(), Some(reason), &policy.patience, now)?;
    let due = policy.patience.queue(now);
    Ok(item_for(&lead.next, had, new, cause, due, now)?.and(lead))
}

/// Grades a lead. A better grade brings a recycled lead back into the queue; a queued item takes its new place.
pub fn regrade(
    lead: Lead,
    had: Option<WorkItem>,
    new: WorkItemId,
    grade: Grade,
    rule: &str,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Decision<Moved>, Refusal> {
    let better = grade.is_better_than(lead.grade);
    let graded = lead::grade(lead, grade, rule)?;
    if better && graded.next.stage == Stage::Recycled {
        let Decision { next, facts, jobs } = graded;
        let mut decision = enqueue(next, had, new, Cause::BetterGrade, None, policy, now)?;
        decision.facts.splice(0..0, facts);
        decision.jobs.splice(0..0, jobs);
        return Ok(decision.map(|(item, lead)| (Some(item), lead)));
    }
    let item = had.filter(|item| item.state.is_open()).map(|item| WorkItem { grade: Some(grade), ..item });
    Ok(graded.map(|lead| (item, lead)))
}

/// How a lead ends outside a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// It is not a lead, for this reason.
    Disqualified(Reason),
    /// It repeats this lead.
    DuplicateOf(LeadId),
    /// Another reason, as a code.
    Closed(String),
}

/// Ends a lead that no SDR holds; its queued item goes with it.
pub fn end(lead: Lead, had: Option<WorkItem>, ending: Ending, now: DateTime<Utc>) -> Result<Decision<Moved>, Refusal> {
    if let Some(claim) = had.as_ref().and_then(|item| item.claim.as_ref()) {
        return Err(work_item::Refusal::Held { until: claim.lease_until }.into());
    }
    let decision = match ending {
        Ending::Disqualified(reason) if !reason.disqualifies() => {
            let known = reasons(Reason::disqualifies);
            return Err(Refusal::ReasonNotFor { reason, verb: "disqualify", known });
        }
        Ending::Disqualified(reason) => lead::disqualify(lead, reason.as_str(), now)?,
        Ending::DuplicateOf(of) => lead::mark_duplicate(lead, of, now)?,
        Ending::Closed(reason) => lead::close(lead, &reason, now)?,
    };
    let reason = decision.next.reason.clone().unwrap_or_default();
    match had.filter(|item| item.state == ItemState::Queued) {
        Some(item) => {
            let item = work_item::cancel(item, &reason, now)?;
            Ok(item.map(Some).and(decision))
        }
        None => Ok(decision.map(|lead| (None, lead))),
    }
}

/// A lead's own timer fires: nothing stays where it is for ever. None where the timer is obsolete, because the lead
/// moved since (`revision`), is not due yet, or is under the timer of a claim or a handoff.
pub fn fall_due(
    lead: Lead,
    had: Option<WorkItem>,
    new: WorkItemId,
    revision: u32,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Moved>>, Refusal> {
    if lead.revision != revision || lead.due_at.is_none_or(|due| due > now) {
        return Ok(None);
    }
    let cause = match lead.stage {
        Stage::Received => Some(Cause::NotTriaged),
        Stage::Nurturing => Some(Cause::NurtureOver),
        Stage::Recycled => Some(Cause::DateCame),
        Stage::Verified => Some(Cause::NotDispatched),
        Stage::Queued => None,
        _ => return Ok(None),
    };
    let mut lead = lead;
    lead.overdue += 1;
    if lead.overdue > policy.patience.moves_by_timer {
        return end(lead, had, Ending::Closed("NOT_MOVED".to_owned()), now).map(Some);
    }
    if let Some(cause) = cause {
        let decision = enqueue(lead, had, new, cause, None, policy, now)?;
        return Ok(Some(decision.map(|(item, lead)| (Some(item), lead))));
    }
    let decision = lead::escalate(lead, &policy.patience, now)?;
    let item = had.map(|item| WorkItem { priority: decision.next.priority, ..item });
    Ok(Some(decision.map(|lead| (item, lead))))
}
