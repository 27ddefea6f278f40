//! Commands on the verdict: answers to the checklist, and the four ways out of a verification.

use super::{case, token};
use crate::leads::{OptOut, check_other, opt_out};
use crate::sequence::{Enrolled, EnrollmentCreate};
use crate::{App, AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Map;
use tandem_domain::decision::Decision;
use tandem_domain::id::{LeadId, SequenceId, WorkItemId};
use tandem_domain::lead::Lead;
use tandem_domain::sequence::Enrollment;
use tandem_domain::verification::{self, Aside, Finding, Judged, Reason, Refusal};
use tandem_domain::work_item::{self, ItemKind, WorkItem};
use tandem_store::{StoreError, Tx};

/// How often a recycling that lost a race is tried.
const TRIES: usize = 5;

/// An item that verifies a lead, and that lead.
async fn judged(tx: &Tx, item: WorkItemId, verb: &'static str) -> Result<(WorkItem, Lead)> {
    match case(tx, item).await? {
        (item, Some(lead)) => Ok((item, lead)),
        (WorkItem { kind: kind @ ItemKind::Task, .. }, None) => {
            Err(Refusal::from(work_item::Refusal::WrongKind { kind, verb }).into())
        }
        (_, None) => Err(Refusal::Mismatch.into()),
    }
}

/// The refusal of one answer of many: what is about its item has its place in the field's path.
fn at_place(place: usize, refusal: Refusal) -> AppError {
    match refusal {
        Refusal::UnknownItem { .. } => {
            let path = format!("answers.{place}.item");
            AppError::refused(refusal.code(), refusal.to_string(), Some(&path))
        }
        other => other.into(),
    }
}

/// What was found out about one item of the checklist.
#[derive(Debug, Clone, Serialize)]
pub struct ChecklistAnswer {
    /// The key of the checklist's item.
    pub item: String,
    /// What was found out.
    pub finding: Finding,
}

/// Records answers to the checklist, all or none of them.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemAnswer {
    /// The work item.
    pub item: WorkItemId,
    /// The fencing token that the claim gave.
    pub token: u64,
    /// At least one.
    pub answers: Vec<ChecklistAnswer>,
}

impl Command for WorkItemAnswer {
    const NAME: &'static str = "workItemAnswer";
    type Output = WorkItem;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<WorkItem>> {
        let (token, now) = (token(call, self.token)?, call.now(env));
        let item = tx.get(self.item).await?.ok_or(AppError::NotFound { what: "WorkItem", id: self.item.into() })?;
        let mut decided: Option<Decision<WorkItem>> = None;
        for (place, answer) in self.answers.iter().enumerate() {
            let before = decided.as_ref().map_or(&item, |decision| &decision.next).clone();
            let checklist = &env.queue.checklist;
            let next = verification::answer(before, token, checklist, &answer.item, answer.finding.clone(), now);
            let next = next.map_err(|refusal| at_place(place, refusal))?;
            decided = Some(match decided {
                Some(earlier) => {
                    let facts = earlier.facts.into_iter().chain(next.facts).collect();
                    Decision { facts, ..next }
                }
                None => next,
            });
        }
        decided.ok_or_else(|| AppError::refused("VERIFICATION_NO_ANSWER", "give at least one answer", Some("answers")))
    }
}

/// The lead is complete.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemVerify {
    /// The work item.
    pub item: WorkItemId,
    /// The fencing token that the claim gave.
    pub token: u64,
    /// What sales should know.
    pub note: Option<String>,
}

impl Command for WorkItemVerify {
    const NAME: &'static str = "workItemVerify";
    type Output = Judged;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Judged>> {
        let (token, now) = (token(call, self.token)?, call.now(env));
        let (item, lead) = judged(tx, self.item, "verified").await?;
        let rules = &env.queue;
        Ok(verification::verify(item, lead, token, &rules.checklist, self.note.clone(), &rules.policy, now)?)
    }
}

/// The lead is not one. Where the person opted out, the consent ends and the address is suppressed in the same
/// transaction.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemDisqualify {
    /// The work item.
    pub item: WorkItemId,
    /// The fencing token that the claim gave.
    pub token: u64,
    /// Why.
    pub reason: Reason,
    /// In words.
    pub note: Option<String>,
}

impl Command for WorkItemDisqualify {
    const NAME: &'static str = "workItemDisqualify";
    type Output = (Judged, Option<OptOut>);

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Self::Output>> {
        let (token, now) = (token(call, self.token)?, call.now(env));
        let (item, lead) = judged(tx, self.item, "disqualified").await?;
        let contact = lead.contact;
        let ended = verification::disqualify(item, lead, token, self.reason, self.note.clone(), now)?;
        if !self.reason.suppresses() {
            return Ok(ended.map(|judged| (judged, None)));
        }
        Ok(ended.and(opt_out(tx, contact, "opt-out told to an SDR", env, now).await?.map(Some)))
    }
}

/// Puts the lead aside until a date.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemRecycle {
    /// The work item.
    pub item: WorkItemId,
    /// The fencing token that the claim gave.
    pub token: u64,
    /// Why: a reason that time or better data can change.
    pub reason: Reason,
    /// When the lead comes back; by default after the time that the policy gives.
    pub until: Option<DateTime<Utc>>,
    /// In words.
    pub note: Option<String>,
}

impl Command for WorkItemRecycle {
    const NAME: &'static str = "workItemRecycle";
    type Output = Judged;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Judged>> {
        let (token, now) = (token(call, self.token)?, call.now(env));
        let (item, lead) = judged(tx, self.item, "recycled").await?;
        let aside = Aside { reason: self.reason, until: self.until, note: self.note.clone() };
        Ok(verification::recycle(item, lead, token, aside, &env.queue.policy, now)?)
    }
}

impl App {
    /// Puts a lead aside into a sequence: recycled and enrolled in one transaction, or neither. The sequence owns the
    /// lead then; where it ends, marketing decides again.
    pub async fn recycle_into_sequence(
        &self,
        call: &Call,
        recycle: WorkItemRecycle,
        sequence: SequenceId,
    ) -> Result<(Judged, Enrollment)> {
        let mut tries = 1;
        loop {
            match self.recycle_and_enroll(call, &recycle, sequence).await {
                Err(AppError::Store(StoreError::Conflict)) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn recycle_and_enroll(
        &self,
        call: &Call,
        recycle: &WorkItemRecycle,
        sequence: SequenceId,
    ) -> Result<(Judged, Enrollment)> {
        // The second command has a key of its own, so that a repetition finds both answers.
        let key = call.idempotency_key.as_ref().map(|key| format!("{key}\u{1f}enroll"));
        let mut batch = self.batch().await?;
        let (item, lead) = batch.run(call, recycle).await?;
        let enroll = EnrollmentCreate { sequence, contact: Some(lead.contact), lead: Some(lead.id), vars: Map::new() };
        let Enrolled(enrollment, nurtured, _) = batch.run(&call.clone().with_key(key), &enroll).await?;
        batch.commit().await?;
        Ok(((item, nurtured.unwrap_or(lead)), enrollment))
    }
}

/// The lead repeats another, which goes on.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemMarkDuplicate {
    /// The work item.
    pub item: WorkItemId,
    /// The fencing token that the claim gave.
    pub token: u64,
    /// The lead that goes on.
    pub duplicate_of: LeadId,
    /// In words.
    pub note: Option<String>,
}

impl Command for WorkItemMarkDuplicate {
    const NAME: &'static str = "workItemMarkDuplicate";
    type Output = Judged;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Judged>> {
        let (token, now) = (token(call, self.token)?, call.now(env));
        check_other(tx, self.duplicate_of).await?;
        let (item, lead) = judged(tx, self.item, "marked a duplicate").await?;
        Ok(verification::mark_duplicate(item, lead, token, self.duplicate_of, self.note.clone(), now)?)
    }
}
