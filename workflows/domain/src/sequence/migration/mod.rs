//! Moving runs from older versions of a sequence to a newer one, or ending them: by whom, by which map, how far it came.
//!
//! ```text
//! PENDING -> RUNNING <-> PAUSED
//!      \________|__________|--> COMPLETED | CANCELLED
//! ```
//!
//! A job takes the runs in parts; each part is one transaction, which also says how far it came. What was moved stays moved.
//! Law: a run that was moved repeats no effect and skips none, unless the map says so ([`moving`]).

pub mod map;
pub mod moving;
pub mod preview;

pub use map::{MapEntry, Policy, Running};

use crate::codes;
use crate::decision::{Decision, Fact, Job};
use crate::id::{EnrollmentId, SequenceId, SequenceMigrationId, SequenceVersionId, UserId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many runs one part takes at most.
pub const PART: u64 = 200;

codes! {
    /// Where a migration is.
    pub enum MigrationState("migration state") {
        /// It was asked for, and no run was looked at yet.
        Pending = "PENDING",
        /// Its runs are moved or ended, part by part.
        Running = "RUNNING",
        /// It goes on when somebody resumes it.
        Paused = "PAUSED",
        /// Every run was looked at.
        Completed = "COMPLETED",
        /// Somebody ended it early, or the sequence was archived. What was moved stays moved.
        Cancelled = "CANCELLED",
    }
}

impl MigrationState {
    /// Whether it is not over.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Running | Self::Paused)
    }
}

/// One move of runs to a newer version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SequenceMigration {
    /// Its id.
    pub id: SequenceMigrationId,
    /// The sequence.
    pub sequence: SequenceId,
    /// The version that runs are moved to, or for which they end.
    pub target: SequenceVersionId,
    /// The number of that version.
    pub number: u32,
    /// Whether they are moved or end.
    pub policy: Policy,
    /// Where each step leads.
    pub map: Vec<MapEntry>,
    /// Where it is.
    pub state: MigrationState,
    /// Counts the pauses and resumptions: a part planned under another count does nothing.
    pub revision: u32,
    /// How many runs were live on older versions when it was asked for.
    pub total: u64,
    /// How many were moved.
    pub moved: u64,
    /// How many were ended.
    pub ended: u64,
    /// How many stayed where they were, by the code of the reason.
    pub refused: BTreeMap<String, u64>,
    /// The versions whose runs are still to be looked at; the first is in hand.
    pub left: Vec<SequenceVersionId>,
    /// The last run of the version in hand that was looked at.
    pub after: Option<EnrollmentId>,
    /// Who asked for it; none for the installation itself.
    pub by: Option<UserId>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
}

impl SequenceMigration {
    /// Whether it is what is asked for: of the same version, with the same policy and the same map.
    pub fn does(&self, running: &Running, target: SequenceVersionId) -> bool {
        self.target == target && self.policy == running.policy && self.map == running.map
    }
}

/// Why runs are not moved, or a migration does not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The newer version does not have the step that the run stands before.
    #[error("version {number} has no step `{step}`; say in the map which step its runs go on with, or that they end")]
    StepGone {
        /// The step of the older version.
        step: String,
        /// The number of the newer version.
        number: u32,
    },
    /// What was done would be done again.
    #[error("from `{step}` on, version {number} would do again what these runs did before: {steps}; map the step elsewhere, or say `repeat`", steps = steps.join(", "))]
    Repeats {
        /// The step of the older version.
        step: String,
        /// The number of the newer version.
        number: u32,
        /// The steps whose effects would be repeated, by their ids in the newer version.
        steps: Vec<String>,
    },
    /// What was still to be done would never be.
    #[error("from `{step}` on, version {number} would leave out what these runs still have before them: {steps}; map the step elsewhere, or say `skip`", steps = steps.join(", "))]
    Skips {
        /// The step of the older version.
        step: String,
        /// The number of the newer version.
        number: u32,
        /// The steps whose effects would be left out, by their ids in the newer version.
        steps: Vec<String>,
    },
    /// The map names a step that does not exist.
    #[error("the map says `{step}`, but {why}{hint}")]
    StepUnknown {
        /// The step named.
        step: String,
        /// Which version does not have it.
        why: String,
        /// What was likely meant.
        hint: String,
    },
    /// The map says two things of one step.
    #[error("the map says twice where `{step}` leads; keep one of the two")]
    StepTwice {
        /// The step.
        step: String,
    },
    /// The map is too long.
    #[error("a map has at most {most} entries; leave out those that lead to the step of the same id", most = map::MOST)]
    MapTooLong,
    /// A map where nothing is moved.
    #[error("{policy} moves nobody and takes no map; leave it out, or take MIGRATE")]
    MapUnused {
        /// What was wanted.
        policy: Policy,
    },
    /// Another migration of the sequence is not over.
    #[error("a migration to version {number} is {state}; let it end or cancel it first")]
    Open {
        /// The version it moves to.
        number: u32,
        /// Where it is.
        state: MigrationState,
    },
    /// No run is live on an older version.
    #[error("no run is live on a version before {number}; nothing needs to be done")]
    Nothing {
        /// The newest version.
        number: u32,
    },
    /// Nobody is asked to do anything.
    #[error("STAY leaves everybody where they are; take MIGRATE or FINISH, or do nothing")]
    Stays,
    /// The state has no such arrow.
    #[error("the migration is {state}; {hint}")]
    NotAllowed {
        /// The state it is in.
        state: MigrationState,
        /// What to do instead.
        hint: &'static str,
    },
    /// The part was planned before the migration was paused or resumed.
    #[error("the part belongs to revision {given}; the migration is at revision {revision}")]
    Stale {
        /// The revision the part was planned for.
        given: u32,
        /// The revision the migration is at.
        revision: u32,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::StepGone { .. } => "SEQUENCE_MIGRATION_STEP_GONE",
            Self::Repeats { .. } => "SEQUENCE_MIGRATION_REPEATS",
            Self::Skips { .. } => "SEQUENCE_MIGRATION_SKIPS",
            Self::StepUnknown { .. } => "SEQUENCE_MIGRATION_STEP_UNKNOWN",
            Self::StepTwice { .. } => "SEQUENCE_MIGRATION_STEP_TWICE",
            Self::MapTooLong => "SEQUENCE_MIGRATION_MAP_TOO_LONG",
            Self::MapUnused { .. } => "SEQUENCE_MIGRATION_MAP_UNUSED",
            Self::Open { .. } => "SEQUENCE_MIGRATION_OPEN",
            Self::Nothing { .. } => "SEQUENCE_MIGRATION_NOTHING",
            Self::Stays => "SEQUENCE_MIGRATION_STAYS",
            Self::NotAllowed { .. } => "SEQUENCE_MIGRATION_NOT_ALLOWED",
            Self::Stale { .. } => "SEQUENCE_MIGRATION_STALE",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::StepGone { .. }
            | Self::Repeats { .. }
            | Self::Skips { .. }
            | Self::StepUnknown { .. }
            | Self::StepTwice { .. }
            | Self::MapTooLong
            | Self::MapUnused { .. } => Some("map"),
            Self::Stays => Some("policy"),
            _ => None,
        }
    }
}

/// A migration that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMigration {
    /// The id that it will have.
    pub id: SequenceMigrationId,
    /// The sequence.
    pub sequence: SequenceId,
    /// The version that runs are moved to.
    pub target: SequenceVersionId,
    /// The number of that version.
    pub number: u32,
    /// What becomes of the runs.
    pub running: Running,
    /// The older versions that have live runs, and how many they are together.
    pub left: (Vec<SequenceVersionId>, u64),
    /// Who asks.
    pub by: Option<UserId>,
}

fn recorded(migration: SequenceMigration, kind: &'static str) -> Decision<SequenceMigration> {
    let fact = Fact::audit(kind, migration.id)
        .with("sequence", migration.sequence)
        .with("number", migration.number)
        .with("policy", migration.policy);
    Decision::new(migration, fact)
}

fn planned(decision: Decision<SequenceMigration>, now: DateTime<Utc>) -> Decision<SequenceMigration> {
    let (migration, revision) = (decision.next.id, decision.next.revision);
    decision.plan(Job::MigrateEnrollments { migration, revision }, now)
}

/// Begins a migration, and plans its first part. That its map holds was looked at before ([`preview::judge`]).
pub fn begin(new: NewMigration, now: DateTime<Utc>) -> Result<Decision<SequenceMigration>, Refusal> {
    let NewMigration { id, sequence, target, number, running, left: (left, total), by } = new;
    if running.policy == Policy::Stay {
        return Err(Refusal::Stays);
    }
    if left.is_empty() {
        return Err(Refusal::Nothing { number });
    }
    let migration = SequenceMigration {
        id,
        sequence,
        target,
        number,
        policy: running.policy,
        map: running.map,
        state: MigrationState::Pending,
        revision: 0,
        total,
        moved: 0,
        ended: 0,
        refused: BTreeMap::new(),
        left,
        after: None,
        by,
        created_at: now,
        ended_at: None,
    };
    let mut decision = recorded(migration, "sequence_migration.begun");
    let (map, total) = (decision.next.map.clone(), decision.next.total);
    decision.facts = decision.facts.into_iter().map(|fact| fact.with("map", &map).with("runs", total)).collect();
    Ok(planned(decision, now))
}

/// What became of the runs of one part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// How many were moved.
    pub moved: u64,
    /// How many were ended.
    pub ended: u64,
    /// Those that stay where they are, each with the code of the reason.
    pub refused: Vec<(EnrollmentId, &'static str)>,
    /// The last run that was looked at; none where there was none.
    pub last: Option<EnrollmentId>,
    /// Whether the version in hand may have more.
    pub more: bool,
}

/// Whether a part of this revision is still wanted.
pub fn wanted(migration: &SequenceMigration, revision: u32) -> Result<(), Refusal> {
    if migration.revision != revision {
        return Err(Refusal::Stale { given: revision, revision: migration.revision });
    }
    match migration.state {
        MigrationState::Pending | MigrationState::Running => Ok(()),
        state => Err(Refusal::NotAllowed { state, hint: "only one that is PENDING or RUNNING moves anybody" }),
    }
}

/// Records a part, and plans the next while there is more.
pub fn went_on(mut migration: SequenceMigration, part: Part, now: DateTime<Utc>) -> Decision<SequenceMigration> {
    let before = migration.state;
    migration.moved = migration.moved.saturating_add(part.moved);
    migration.ended = migration.ended.saturating_add(part.ended);
    for (_, code) in &part.refused {
        let count = migration.refused.entry((*code).to_owned()).or_default();
        *count = count.saturating_add(1);
    }
    if part.more {
        migration.after = part.last.or(migration.after);
    } else {
        migration.after = None;
        if !migration.left.is_empty() {
            migration.left.remove(0);
        }
    }
    let over = migration.left.is_empty();
    migration.state = if over { MigrationState::Completed } else { MigrationState::Running };
    migration.ended_at = over.then_some(now);
    let state = migration.state;
    let kind = if over { "sequence_migration.completed" } else { "sequence_migration.went_on" };
    let mut decision = recorded(migration, kind);
    let refused: Vec<_> =
        part.refused.iter().map(|(run, code)| serde_json::json!({"enrollment": run, "code": code})).collect();
    let said = |fact: Fact| {
        let fact = fact.with("moved", part.moved).with("ended", part.ended).with("refused", &refused);
        if before == state { fact } else { fact.moved(before, state) }
    };
    decision.facts = decision.facts.into_iter().map(said).collect();
    if over { decision } else { planned(decision, now) }
}

fn turn(mut migration: SequenceMigration, state: MigrationState, kind: &'static str) -> Decision<SequenceMigration> {
    let before = migration.state;
    migration.state = state;
    migration.revision = migration.revision.saturating_add(1);
    let mut decision = recorded(migration, kind);
    decision.facts = decision.facts.into_iter().map(|fact| fact.moved(before, state)).collect();
    decision
}

/// Pauses a migration: after the part that is under way, no more follows.
pub fn pause(migration: SequenceMigration) -> Result<Decision<SequenceMigration>, Refusal> {
    match migration.state {
        MigrationState::Pending | MigrationState::Running => {
            Ok(turn(migration, MigrationState::Paused, "sequence_migration.paused"))
        }
        state => Err(Refusal::NotAllowed { state, hint: "only one that is PENDING or RUNNING can be paused" }),
    }
}

/// Lets a paused migration go on where it stopped.
pub fn resume(migration: SequenceMigration, now: DateTime<Utc>) -> Result<Decision<SequenceMigration>, Refusal> {
    match migration.state {
        MigrationState::Paused => {
            Ok(planned(turn(migration, MigrationState::Running, "sequence_migration.resumed"), now))
        }
        state => Err(Refusal::NotAllowed { state, hint: "only a PAUSED one can be resumed" }),
    }
}

/// Ends a migration early. Who was moved stays there; the others stay on their versions.
pub fn cancel(
    migration: SequenceMigration,
    because: &str,
    now: DateTime<Utc>,
) -> Result<Decision<SequenceMigration>, Refusal> {
    if !migration.state.is_open() {
        return Err(Refusal::NotAllowed { state: migration.state, hint: "it is over; nothing needs to be done" });
    }
    let mut decision = turn(migration, MigrationState::Cancelled, "sequence_migration.cancelled");
    decision.next.ended_at = Some(now);
    decision.facts = decision.facts.into_iter().map(|fact| fact.because(because)).collect();
    Ok(decision)
}
