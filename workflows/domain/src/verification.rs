//! The verification of a lead: the SDR's work on it, and what the verdict does to the lead.
//!
//! Owns the rules in which a lead and its work item move together, so that the two never disagree: a lead is
//! `VERIFYING` exactly while somebody holds its item. A lead has one work item for all its rounds.

mod checklist;
mod intake;
mod judgement;

pub use checklist::{Answer, Category, Checklist, ChecklistItem, ChecklistRefusal, Finding, Round, Verdict};
pub use intake::{Cause, Ending, Moved, end, enqueue, fall_due, regrade};
pub use judgement::{Aside, Judged, answer, disqualify, mark_duplicate, recycle, verify};

use crate::codes;
use crate::decision::Decision;
use crate::id::UserId;
use crate::lead::{self, Lead, Patience};
use crate::work_item::{self, ItemKind, Lease, Token, Waiting, WorkItem};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

codes! {
    /// Why an SDR does not pass a lead on.
    pub enum Reason("disposition reason") {
        /// The data is wrong.
        BadData = "BAD_DATA",
        /// The number does not exist.
        EmptyNumber = "EMPTY_NUMBER",
        /// Nobody answered.
        NotReached = "NOT_REACHED",
        /// It is another person.
        IdentityMismatch = "IDENTITY_MISMATCH",
        /// It is in a region that is not served.
        RegionMismatch = "REGION_MISMATCH",
        /// The person is not interested.
        NotInterested = "NOT_INTERESTED",
        /// There is nothing to buy now.
        NoIntent = "NO_INTENT",
        /// The person asks to be contacted later.
        ContactLater = "CONTACT_LATER",
        /// The company is not one that is wanted.
        NotIcp = "NOT_ICP",
        /// The lead repeats another.
        Duplicate = "DUPLICATE",
        /// The company is a competitor.
        Competitor = "COMPETITOR",
        /// The person is a student.
        Student = "STUDENT",
        /// The person does not want to be contacted, ever.
        OptedOut = "OPTED_OUT",
    }
}

impl Reason {
    /// Whether the lead may end for this reason.
    pub const fn disqualifies(self) -> bool {
        !matches!(self, Self::Duplicate | Self::ContactLater)
    }

    /// Whether the lead may be put aside for this reason: only where time or better data can change it.
    pub const fn recycles(self) -> bool {
        matches!(
            self,
            Self::BadData
                | Self::EmptyNumber
                | Self::NotReached
                | Self::NotInterested
                | Self::NoIntent
                | Self::ContactLater
        )
    }

    /// Whether the person must be suppressed in the same transaction.
    pub const fn suppresses(self) -> bool {
        matches!(self, Self::OptedOut)
    }
}

/// How long everything about a verification may take.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How long leads may stay where they are.
    pub patience: Patience,
    /// How long claims last.
    pub lease: Lease,
}

/// Why a verification does not move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The work item says no.
    #[error(transparent)]
    WorkItem(#[from] work_item::Refusal),
    /// The lead says no.
    #[error(transparent)]
    Lead(#[from] lead::Refusal),
    /// Required items of the checklist are not confirmed.
    #[error("the checklist is not complete; confirm {}, or dispose of the lead otherwise", missing.join(", "))]
    Incomplete {
        /// The keys of the items.
        missing: Vec<String>,
    },
    /// The checklist has no such item.
    #[error("the checklist has no item `{key}`; its items are {known}")]
    UnknownItem {
        /// The key given.
        key: String,
        /// The keys that exist, separated by a comma and a space.
        known: String,
    },
    /// The reason does not go with the disposition.
    #[error("the reason {reason} is not one to {verb} a lead for; choose one of {known}")]
    ReasonNotFor {
        /// The reason given.
        reason: Reason,
        /// What was asked for.
        verb: &'static str,
        /// The reasons that go with it.
        known: String,
    },
    /// The lead and the work item do not belong together.
    #[error("the work item does not belong to this lead; read both again")]
    Mismatch,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WorkItem(refusal) => refusal.code(),
            Self::Lead(refusal) => refusal.code(),
            Self::Incomplete { .. } => "VERIFICATION_INCOMPLETE",
            Self::UnknownItem { .. } => "VERIFICATION_UNKNOWN_ITEM",
            Self::ReasonNotFor { .. } => "VERIFICATION_REASON_NOT_FOR_THIS",
            Self::Mismatch => "VERIFICATION_MISMATCH",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::WorkItem(refusal) => refusal.field(),
            Self::Lead(refusal) => refusal.field(),
            Self::UnknownItem { .. } => Some("item"),
            Self::ReasonNotFor { .. } => Some("reason"),
            Self::Incomplete { .. } | Self::Mismatch => None,
        }
    }
}

/// A work item and, where it verifies one, its lead: they move together.
pub type Case = (WorkItem, Option<Lead>);

fn check_case(item: &WorkItem, lead: Option<&Lead>) -> Result<(), Refusal> {
    let fits = match (item.kind, lead) {
        (ItemKind::VerifyLead, Some(lead)) => item.lead == Some(lead.id),
        (ItemKind::Task, None) => true,
        _ => false,
    };
    if fits { Ok(()) } else { Err(Refusal::Mismatch) }
}

/// The lead is with its holder until the end of the item's lease.
fn held(decision: Decision<WorkItem>, lead: Option<Lead>, now: DateTime<Utc>) -> Result<Decision<Case>, Refusal> {
    let (item, Some(lead)) = (&decision.next, lead) else { return Ok(decision.map(|item| (item, None))) };
    let claim = item.claim.as_ref().ok_or(Refusal::Mismatch)?;
    let from = lead.stage;
    let lead = lead::verify_begun(lead, claim.holder, claim.lease_until, now)?;
    let fact = lead.fact("lead.verification_begun").moved(from, lead.stage).with("sdr", claim.holder);
    let moved = from != lead.stage;
    let decision = decision.map(|item| (item, Some(lead)));
    Ok(if moved { decision.record(fact) } else { decision })
}

/// The lead is back in the queue with its item.
fn unheld(
    decision: Decision<WorkItem>,
    lead: Option<Lead>,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Decision<Case>, Refusal> {
    let Some(lead) = lead else { return Ok(decision.map(|item| (item, None))) };
    let lead = lead::queue(lead, "lead.verification_dropped", None, &policy.patience, now)?;
    Ok(decision.and(lead.map(Some)))
}

/// Takes a queued item, and its lead with it.
pub fn claim(
    (item, lead): Case,
    holder: UserId,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Decision<Case>, Refusal> {
    check_case(&item, lead.as_ref())?;
    held(work_item::claim(item, holder, &policy.lease, now)?, lead, now)
}

/// Renews the lease.
pub fn heartbeat(
    (item, lead): Case,
    token: Token,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Decision<Case>, Refusal> {
    check_case(&item, lead.as_ref())?;
    held(work_item::heartbeat(item, token, &policy.lease, now)?, lead, now)
}

/// The holder begins.
pub fn start((item, lead): Case, token: Token, now: DateTime<Utc>) -> Result<Decision<Case>, Refusal> {
    check_case(&item, lead.as_ref())?;
    held(work_item::start(item, token, now)?, lead, now)
}

/// The holder gives it back.
pub fn release(
    (item, lead): Case,
    token: Token,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Decision<Case>, Refusal> {
    check_case(&item, lead.as_ref())?;
    unheld(work_item::release(item, token)?, lead, policy, now)
}

/// A manager takes it from its holder.
pub fn take_back(
    (item, lead): Case,
    by: UserId,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Decision<Case>, Refusal> {
    check_case(&item, lead.as_ref())?;
    unheld(work_item::take_back(item, by)?, lead, policy, now)
}

/// Ends the claim `fence` if its lease has run out. None where the timer is obsolete.
pub fn expire(
    (item, lead): Case,
    fence: u64,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Case>>, Refusal> {
    check_case(&item, lead.as_ref())?;
    work_item::expire(item, fence, now).map(|expired| unheld(expired, lead, policy, now)).transpose()
}

/// The holder waits for data or for an agreed time.
pub fn wait(
    (item, lead): Case,
    token: Token,
    waiting: Waiting,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Decision<Case>, Refusal> {
    check_case(&item, lead.as_ref())?;
    held(work_item::wait(item, token, waiting, &policy.lease, now)?, lead, now)
}

/// The holder goes on before the wait is over.
pub fn resume(
    (item, lead): Case,
    token: Token,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Decision<Case>, Refusal> {
    check_case(&item, lead.as_ref())?;
    held(work_item::resume(item, token, &policy.lease, now)?, lead, now)
}

/// The wait is over. None where the timer is obsolete.
pub fn wake(
    (item, lead): Case,
    revision: u32,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Case>>, Refusal> {
    check_case(&item, lead.as_ref())?;
    work_item::wake(item, revision, &policy.lease, now).map(|woken| held(woken, lead, now)).transpose()
}

/// The codes of the reasons that a disposition takes, separated by a comma and a space.
fn reasons(of: impl Fn(Reason) -> bool) -> String {
    Reason::ALL.iter().filter(|reason| of(**reason)).map(|reason| reason.as_str()).collect::<Vec<_>>().join(", ")
}
