//! Moving runs to another version, part by part, and what people do with such a migration.
//!
//! Locks are taken in one order: the migration, the runs, their leads, their tasks.

use super::enrolling::{lead_of, let_go};
use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tandem_domain::decision::Decision;
use tandem_domain::id::{SequenceId, SequenceMigrationId, SequenceVersionId};
use tandem_domain::lead::Lead;
use tandem_domain::sequence::migration::moving::{self, Route};
use tandem_domain::sequence::migration::{self, PART, Part, Policy};
use tandem_domain::sequence::{Enrollment, Sequence, SequenceMigration, SequenceState, SequenceVersion, publishing};
use tandem_domain::work_item::WorkItem;
use tandem_store::Tx;
use uuid::Uuid;

async fn load(tx: &Tx, id: SequenceMigrationId) -> Result<SequenceMigration> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "SequenceMigration", id: id.into() })
}

async fn version(tx: &Tx, id: SequenceVersionId) -> Result<SequenceVersion> {
    tx.peek(id).await?.ok_or(AppError::NotFound { what: "SequenceVersion", id: id.into() })
}

/// Pauses a migration: after the part that is under way, no more follows.
#[derive(Debug, Clone, Serialize)]
pub struct SequenceMigrationPause {
    /// The migration.
    pub migration: SequenceMigrationId,
}

impl Command for SequenceMigrationPause {
    const NAME: &'static str = "sequenceMigrationPause";
    type Output = SequenceMigration;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<SequenceMigration>> {
        Ok(migration::pause(load(tx, self.migration).await?)?)
    }
}

/// Lets a paused migration go on where it stopped.
#[derive(Debug, Clone, Serialize)]
pub struct SequenceMigrationResume {
    /// The migration.
    pub migration: SequenceMigrationId,
}

impl Command for SequenceMigrationResume {
    const NAME: &'static str = "sequenceMigrationResume";
    type Output = SequenceMigration;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<SequenceMigration>> {
        Ok(migration::resume(load(tx, self.migration).await?, call.now(env))?)
    }
}

/// Ends a migration early: who was moved stays there, the others stay on their versions.
#[derive(Debug, Clone, Serialize)]
pub struct SequenceMigrationCancel {
    /// The migration.
    pub migration: SequenceMigrationId,
}

impl Command for SequenceMigrationCancel {
    const NAME: &'static str = "sequenceMigrationCancel";
    type Output = SequenceMigration;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<SequenceMigration>> {
        Ok(migration::cancel(load(tx, self.migration).await?, "MANUAL", call.now(env))?)
    }
}

/// A migration after a part, the runs that were moved or ended, and what followed from their ends.
pub type WentOn = (SequenceMigration, Vec<Enrollment>, Vec<Lead>, Vec<WorkItem>);

/// Moves or ends the next runs of a migration, and plans the part after. Tandem's own.
#[derive(Debug, Clone, Serialize)]
pub struct SequenceMigrationPart {
    /// The migration.
    pub migration: SequenceMigrationId,
    /// The revision that the part was planned for.
    pub revision: u32,
}

impl Command for SequenceMigrationPart {
    const NAME: &'static str = "sequenceMigrationPart";
    type Output = WentOn;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<WentOn>> {
        let now = call.now(env);
        let migration = load(tx, self.migration).await?;
        migration::wanted(&migration, self.revision)?;
        let alone = |decision: Decision<SequenceMigration>| {
            decision.map(|migration| (migration, Vec::new(), Vec::new(), Vec::new()))
        };
        let sequence: Option<Sequence> = tx.peek(migration.sequence).await?;
        if sequence.is_none_or(|sequence| sequence.state == SequenceState::Archived) {
            // What runs in an archived sequence ends with it.
            return Ok(alone(migration::cancel(migration, "SEQUENCE_ARCHIVED", now)?));
        }
        let Some(hand) = migration.left.first().copied() else {
            return Ok(alone(migration::went_on(migration, Part::default(), now)));
        };
        let (older, target) = (version(tx, hand).await?, version(tx, migration.target).await?);
        let runs = tx.live_runs_of(hand, migration.after, PART).await?;
        let mut part = Part { last: runs.last().map(|run| run.id), more: runs.len() as u64 == PART, ..Part::default() };
        if migration.policy == Policy::Finish || migration.map.iter().any(|entry| entry.to.is_none()) {
            tx.get_ahead::<Lead>(runs.iter().filter_map(|run| run.lead).map(Uuid::from)).await?;
        }
        let (mut facts, mut jobs) = (Vec::new(), Vec::new());
        let (mut after, mut leads, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
        let route = migration.route(&older, &target);
        // One that ended or was moved before its row could be locked is none of this part any more.
        for run in runs.into_iter().filter(|run| run.state.is_live() && run.version == hand) {
            let id = run.id;
            let decided = decide(&migration, &route, run, now);
            let decision = match decided {
                Ok(decision) => decision,
                Err(refusal) => {
                    part.refused.push((id, refusal.code()));
                    continue;
                }
            };
            let count = if decision.next.state.is_live() { &mut part.moved } else { &mut part.ended };
            *count = count.saturating_add(1);
            let lead = if decision.next.state.is_live() { None } else { lead_of(tx, &decision.next).await? };
            let gone = let_go(tx, decision, lead, env, now).await?;
            facts.extend(gone.facts);
            jobs.extend(gone.jobs);
            let (run, (lead, closed)) = gone.next;
            after.push(run);
            leads.extend(lead);
            tasks.extend(closed);
        }
        let mut decision = migration::went_on(migration, part, now);
        decision.facts.extend(facts);
        decision.jobs.extend(jobs);
        Ok(decision.map(|migration| (migration, after, leads, tasks)))
    }
}

fn decide(
    migration: &SequenceMigration,
    route: &Route<'_>,
    run: Enrollment,
    now: DateTime<Utc>,
) -> std::result::Result<Decision<Enrollment>, migration::Refusal> {
    match migration.policy {
        Policy::Migrate => moving::migrate(run, route, migration.id, now),
        Policy::Finish => Ok(moving::finish(run, migration.id, now)),
        Policy::Stay => Err(migration::Refusal::Stays),
    }
}

/// Resumes a sequence whose pause came to its planned end. Tandem's own.
#[derive(Debug, Clone, Serialize)]
pub struct SequenceWake {
    /// The sequence.
    pub sequence: SequenceId,
    /// The sequence's revision that planned it.
    pub revision: u32,
}

impl Command for SequenceWake {
    const NAME: &'static str = "sequenceWake";
    type Output = Sequence;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Sequence>> {
        let sequence = super::publishing::load(tx, self.sequence).await?;
        let runs = tx.count_paused_with(self.sequence).await?;
        Ok(publishing::wake(sequence, self.revision, runs, call.now(env))?)
    }
}
