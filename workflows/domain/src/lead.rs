//! Leads: one candidacy of a contact for a purchase, from its receipt to its end.
//!
//! Owns the life cycle of a lead and its law: **an open lead has an owner and a due time, an ended one has neither**.
//! Who checks a lead and how is in [`crate::verification`]; who sells it is in [`crate::handoff`]. Both move the
//! lead only through the functions here.

pub mod editing;
mod following;
mod grade;
mod patience;
mod refusal;
mod stage;

pub use editing::{set_custom, tag};
pub use following::{HandoffStep, follow_handoff};
pub use grade::{FitGrade, Grade, IntentGrade};
pub use patience::Patience;
pub use refusal::Refusal;
pub use stage::Stage;

use crate::codes;
use crate::decision::{Decision, Fact, Job};
use crate::id::{AccountId, ContactId, EnrollmentId, LeadId, UserId};
use crate::normalise;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The priority of a lead where nobody says another, 0 to 100.
pub const USUAL_PRIORITY: u8 = 50;

codes! {
    /// The kind of an owner, without saying which person or enrolment it is.
    pub enum OwnerKind("lead owner") {
        /// Marketing.
        Marketing = "MARKETING",
        /// An enrolment in a sequence.
        Sequence = "SEQUENCE",
        /// The queue that SDRs take leads from.
        SdrQueue = "SDR_QUEUE",
        /// One SDR.
        Sdr = "SDR",
        /// Routing.
        Routing = "ROUTING",
        /// One person in sales.
        Sales = "SALES",
        /// Nobody: the lead's life is over.
        Nobody = "NOBODY",
    }
}

/// Who must move a lead next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Owner {
    /// Marketing.
    Marketing,
    /// An enrolment in a sequence.
    Sequence(EnrollmentId),
    /// The queue that SDRs take leads from.
    SdrQueue,
    /// One SDR.
    Sdr(UserId),
    /// Routing: an offer is out, is looked for, or a return is under review.
    Routing,
    /// One person in sales.
    Sales(UserId),
    /// Nobody: the lead's life is over.
    Nobody,
}

impl Owner {
    /// The kind alone.
    pub const fn kind(&self) -> OwnerKind {
        match self {
            Self::Marketing => OwnerKind::Marketing,
            Self::Sequence(_) => OwnerKind::Sequence,
            Self::SdrQueue => OwnerKind::SdrQueue,
            Self::Sdr(_) => OwnerKind::Sdr,
            Self::Routing => OwnerKind::Routing,
            Self::Sales(_) => OwnerKind::Sales,
            Self::Nobody => OwnerKind::Nobody,
        }
    }

    /// The person, where the owner is one.
    pub const fn user(&self) -> Option<UserId> {
        match self {
            Self::Sdr(user) | Self::Sales(user) => Some(*user),
            _ => None,
        }
    }
}

/// One candidacy of a contact for a purchase, from one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lead {
    /// Its id.
    pub id: LeadId,
    /// The person.
    pub contact: ContactId,
    /// The company, where it is known.
    pub account: Option<AccountId>,
    /// Where it came from: a code as the source gave it, in the form of [`normalise_source`].
    pub source: String,
    /// The id that the source gave it; unique per source.
    pub external_id: Option<String>,
    /// Where it is in its life.
    pub stage: Stage,
    /// Since when it is there.
    pub stage_since: DateTime<Utc>,
    /// Who must move it next.
    pub owner: Owner,
    /// When it is moved by a timer if nobody else does; none exactly when its life is over.
    pub due_at: Option<DateTime<Utc>>,
    /// Counts the changes: a timer planned under another revision does nothing.
    pub revision: u32,
    /// Fit by intent, once it was graded.
    pub grade: Option<Grade>,
    /// How urgent it is: 0 (least) to 100.
    pub priority: u8,
    /// Free labels.
    pub tags: BTreeSet<String>,
    /// Values of the custom fields defined for leads, by the field's key.
    pub custom: BTreeMap<String, Value>,
    /// When it came in.
    pub received_at: DateTime<Utc>,
    /// The reason code of the last move that had one.
    pub reason: Option<String>,
    /// The lead that it repeats, where it is a duplicate.
    #[serde(default)]
    pub duplicate_of: Option<LeadId>,
    /// The SDR who verified it last.
    #[serde(default)]
    pub verified_by: Option<UserId>,
    /// The person in sales who took it last.
    #[serde(default)]
    pub sold_by: Option<UserId>,
    /// How often a timer had to move it since a person last did.
    #[serde(default)]
    pub overdue: u32,
}

/// Everything that is known of a lead when it comes in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewLead {
    /// Its id.
    pub id: LeadId,
    /// The person.
    pub contact: ContactId,
    /// The company, where it is known.
    pub account: Option<AccountId>,
    /// Where it came from, in any form.
    pub source: String,
    /// The id that the source gave it.
    pub external_id: Option<String>,
    /// Fit by intent, where the source knows it.
    pub grade: Option<Grade>,
    /// 0 to 100; 50 where nobody says otherwise.
    pub priority: u8,
    /// Free labels.
    pub tags: BTreeSet<String>,
    /// Checked values of custom fields.
    pub custom: BTreeMap<String, Value>,
}

/// The form in which a source is kept: trimmed, lower case, inner white space as `_`; 1 to 80 characters.
pub fn normalise_source(given: &str) -> Result<String, Refusal> {
    let text = given.split_whitespace().collect::<Vec<_>>().join("_").to_lowercase();
    if text.is_empty() || text.chars().count() > 80 { Err(Refusal::SourceInvalid) } else { Ok(text) }
}

impl Lead {
    /// Whether the lead keeps the law: open with an owner and a due time, or ended with neither.
    pub fn keeps_the_law(&self) -> bool {
        let open = self.stage.is_open();
        open == self.due_at.is_some() && open == (self.owner != Owner::Nobody)
    }

    /// A fact about this lead that names its account too.
    pub(crate) fn fact(&self, kind: &'static str) -> Fact {
        Fact::ledger(kind, self.id).lead(self.id).account(self.account)
    }

    /// The lead's own timer, for the revision it is at.
    fn timer(&self) -> Job {
        Job::WakeLead { lead: self.id, revision: self.revision }
    }

    /// Moves on; the caller has checked that the arrow exists. `due` is lifted to `now` where it has passed.
    fn moved(mut self, stage: Stage, owner: Owner, due: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        if self.stage != stage {
            self.stage_since = now;
        }
        (self.stage, self.owner, self.due_at) = (stage, owner, due.map(|at| at.max(now)));
        self.revision += 1;
        self
    }

    fn check_from(&self, to: Stage, allowed: &[Stage]) -> Result<(), Refusal> {
        match () {
            () if allowed.contains(&self.stage) => Ok(()),
            () if !self.stage.is_open() => Err(Refusal::Ended { stage: self.stage }),
            () => Err(Refusal::NotAllowed { from: self.stage, to }),
        }
    }
}

fn check_priority(given: u8) -> Result<(), Refusal> {
    if given > 100 { Err(Refusal::PriorityOutOfRange { given }) } else { Ok(()) }
}

/// A lead comes in: marketing owns it, and its triage ends at a due time.
pub fn receive(new: NewLead, patience: &Patience, now: DateTime<Utc>) -> Result<Decision<Lead>, Refusal> {
    check_priority(new.priority)?;
    let due = patience.triage(now);
    let external_id = new.external_id.as_deref().map(normalise::external_id).transpose();
    let lead = Lead {
        id: new.id,
        contact: new.contact,
        account: new.account,
        source: normalise_source(&new.source)?,
        external_id: external_id.map_err(|_| Refusal::ExternalIdInvalid)?,
        stage: Stage::Received,
        stage_since: now,
        owner: Owner::Marketing,
        due_at: Some(due),
        revision: 1,
        grade: new.grade,
        priority: new.priority,
        tags: new.tags,
        custom: new.custom,
        received_at: now,
        reason: None,
        duplicate_of: None,
        verified_by: None,
        sold_by: None,
        overdue: 0,
    };
    let fact = lead
        .fact("lead.received")
        .with("source", &lead.source)
        .with("external_id", &lead.external_id)
        .with("contact", lead.contact)
        .with("grade", lead.grade)
        .with("priority", lead.priority);
    let timer = lead.timer();
    Ok(Decision::new(lead, fact).plan(timer, due))
}

/// The longest name of a rule that grades leads, in characters.
pub const MOST_RULE: usize = 200;

/// Sets the grade; a lead whose life is over keeps the one it had.
pub fn grade(lead: Lead, grade: Grade, rule: &str) -> Result<Decision<Lead>, Refusal> {
    normalise::at_most("rule", rule, MOST_RULE)?;
    if !lead.stage.is_open() {
        return Err(Refusal::Ended { stage: lead.stage });
    }
    // The revision stays: a grade moves nothing, so the timers that run are still right.
    let fact = lead.fact("lead.graded").under(rule).with("from", lead.grade).with("to", grade);
    Ok(Decision::new(Lead { grade: Some(grade), ..lead }, fact))
}

/// Sets the priority, 0 to 100.
pub fn prioritise(lead: Lead, priority: u8) -> Result<Decision<Lead>, Refusal> {
    check_priority(priority)?;
    if !lead.stage.is_open() {
        return Err(Refusal::Ended { stage: lead.stage });
    }
    let fact = lead.fact("lead.prioritised").with("from", lead.priority).with("to", priority);
    Ok(Decision::new(Lead { priority, ..lead }, fact))
}

/// A sequence takes the lead up; it comes back for review at `review_at` if the sequence has not moved it by then.
pub fn nurture(
    lead: Lead,
    enrollment: EnrollmentId,
    review_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Decision<Lead>, Refusal> {
    lead.check_from(Stage::Nurturing, &[Stage::Received, Stage::Recycled, Stage::Nurturing])?;
    if review_at <= now {
        return Err(Refusal::DuePassed { at: review_at });
    }
    let from = lead.stage;
    let lead = Lead { overdue: 0, ..lead.moved(Stage::Nurturing, Owner::Sequence(enrollment), Some(review_at), now) };
    let fact = lead.fact("lead.nurtured").moved(from, lead.stage).with("enrollment", enrollment);
    let timer = lead.timer();
    Ok(Decision::new(lead, fact).plan(timer, review_at))
}

/// The sequence let go of the lead: marketing decides again, within the time of triage.
pub fn nurture_ended(
    lead: Lead,
    reason: &str,
    patience: &Patience,
    now: DateTime<Utc>,
) -> Result<Decision<Lead>, Refusal> {
    lead.check_from(Stage::Received, &[Stage::Nurturing])?;
    let (from, due) = (lead.stage, patience.triage(now));
    let mut lead = lead.moved(Stage::Received, Owner::Marketing, Some(due), now);
    lead.reason = Some(reason.to_owned());
    let fact = lead.fact("lead.nurture_ended").moved(from, lead.stage).because(reason);
    let timer = lead.timer();
    Ok(Decision::new(lead, fact).plan(timer, due))
}

/// Puts the lead into the SDR queue. [`crate::verification`] makes or wakes the work item that goes with it.
pub(crate) fn queue(
    lead: Lead,
    kind: &'static str,
    reason: Option<&str>,
    patience: &Patience,
    now: DateTime<Utc>,
) -> Result<Decision<Lead>, Refusal> {
    let (from, due) = (lead.stage, patience.queue(now));
    lead.check_from(
        Stage::Queued,
        &[Stage::Received, Stage::Nurturing, Stage::Recycled, Stage::Verifying, Stage::Verified, Stage::Returned],
    )?;
    let mut lead = lead.moved(Stage::Queued, Owner::SdrQueue, Some(due), now);
    let mut fact = lead.fact(kind).moved(from, lead.stage).with("grade", lead.grade).with("priority", lead.priority);
    if let Some(reason) = reason {
        lead.reason = Some(reason.to_owned());
        fact = fact.because(reason);
    }
    let timer = lead.timer();
    Ok(Decision::new(lead, fact).plan(timer, due))
}

/// An SDR holds the lead until `due` (the end of the lease, or of a wait), whose timer is the work item's.
pub(crate) fn verify_begun(lead: Lead, sdr: UserId, due: DateTime<Utc>, now: DateTime<Utc>) -> Result<Lead, Refusal> {
    lead.check_from(Stage::Verifying, &[Stage::Queued, Stage::Verifying])?;
    Ok(Lead { overdue: 0, ..lead.moved(Stage::Verifying, Owner::Sdr(sdr), Some(due), now) })
}

/// The lead is complete; the SDR dispatches it within the time given.
pub(crate) fn verified(
    lead: Lead,
    sdr: UserId,
    patience: &Patience,
    now: DateTime<Utc>,
) -> Result<Decision<Lead>, Refusal> {
    lead.check_from(Stage::Verified, &[Stage::Verifying])?;
    let (from, due) = (lead.stage, patience.dispatch(now));
    let mut lead = lead.moved(Stage::Verified, Owner::Sdr(sdr), Some(due), now);
    lead.verified_by = Some(sdr);
    let fact = lead.fact("lead.verified").moved(from, lead.stage).with("sdr", sdr);
    let timer = lead.timer();
    Ok(Decision::new(lead, fact).plan(timer, due))
}

/// Puts the lead aside until `until`, or until its grade improves. Marketing owns it meanwhile.
pub fn recycle(lead: Lead, reason: &str, until: DateTime<Utc>, now: DateTime<Utc>) -> Result<Decision<Lead>, Refusal> {
    lead.check_from(Stage::Recycled, &[Stage::Received, Stage::Nurturing, Stage::Verifying, Stage::Returned])?;
    if until <= now {
        return Err(Refusal::DuePassed { at: until });
    }
    let from = lead.stage;
    let mut lead = lead.moved(Stage::Recycled, Owner::Marketing, Some(until), now);
    lead.reason = Some(reason.to_owned());
    let fact = lead.fact("lead.recycled").moved(from, lead.stage).because(reason).with("until", until);
    let timer = lead.timer();
    Ok(Decision::new(lead, fact).plan(timer, until))
}

fn end(
    lead: Lead,
    stage: Stage,
    kind: &'static str,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Decision<Lead>, Refusal> {
    if reason.trim().is_empty() {
        return Err(Refusal::ReasonMissing);
    }
    let from = lead.stage;
    let mut lead = lead.moved(stage, Owner::Nobody, None, now);
    lead.reason = Some(reason.to_owned());
    let fact = lead.fact(kind).moved(from, stage).because(reason);
    Ok(Decision::new(lead, fact))
}

/// The lead is not one. Marketing may say so before the queue, an SDR during verification.
pub fn disqualify(lead: Lead, reason: &str, now: DateTime<Utc>) -> Result<Decision<Lead>, Refusal> {
    lead.check_from(
        Stage::Disqualified,
        &[Stage::Received, Stage::Nurturing, Stage::Queued, Stage::Recycled, Stage::Verifying],
    )?;
    end(lead, Stage::Disqualified, "lead.disqualified", reason, now)
}

/// The lead repeats another one, which goes on.
pub fn mark_duplicate(lead: Lead, of: LeadId, now: DateTime<Utc>) -> Result<Decision<Lead>, Refusal> {
    lead.check_from(
        Stage::Duplicate,
        &[Stage::Received, Stage::Nurturing, Stage::Queued, Stage::Recycled, Stage::Verifying],
    )?;
    if lead.id == of {
        return Err(Refusal::DuplicateOfItself);
    }
    let mut decision = end(lead, Stage::Duplicate, "lead.marked_duplicate", "DUPLICATE", now)?;
    decision.next.duplicate_of = Some(of);
    for fact in &mut decision.facts {
        fact.detail.insert("duplicate_of".to_owned(), Value::String(of.to_string()));
    }
    Ok(decision)
}

/// Ends an open lead that is not in an SDR's hands, for a reason that is none of the other ends.
pub fn close(lead: Lead, reason: &str, now: DateTime<Utc>) -> Result<Decision<Lead>, Refusal> {
    lead.check_from(
        Stage::Closed,
        &[
            Stage::Received,
            Stage::Nurturing,
            Stage::Queued,
            Stage::Recycled,
            Stage::Verified,
            Stage::Dispatched,
            Stage::Returned,
        ],
    )?;
    end(lead, Stage::Closed, "lead.closed", reason, now)
}

/// A timer found the queued lead still waiting: it becomes ten points more urgent and waits once more.
pub(crate) fn escalate(lead: Lead, patience: &Patience, now: DateTime<Utc>) -> Result<Decision<Lead>, Refusal> {
    lead.check_from(Stage::Queued, &[Stage::Queued])?;
    let (before, due) = (lead.priority, patience.queue(now));
    let mut lead = lead.moved(Stage::Queued, Owner::SdrQueue, Some(due), now);
    lead.priority = before.saturating_add(10).min(100);
    let fact = lead.fact("lead.escalated").with("priority", (before, lead.priority)).with("overdue", lead.overdue);
    let timer = lead.timer();
    Ok(Decision::new(lead, fact).plan(timer, due))
}

#[cfg(test)]
mod tests;
