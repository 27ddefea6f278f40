//! Versions beside each other: what differs, who runs on older ones, and migrations from one to another.

use super::types::{EnrollmentState, SequenceNode, SequenceProblem, SequenceVersionNode};
use crate::access::UserNode;
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use async_graphql::{Context, Enum, ID, InputObject, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tandem_app::AppError;
use tandem_app::sequence::{Compared, sequence_validate};
use tandem_domain::email_template::Library;
use tandem_domain::sequence::backlog;
use tandem_domain::sequence::diff::{self as differences, FieldChange, StepChange};
use tandem_domain::sequence::migration::preview::{Fate, Preview, StepPreview, VersionPreview};
use tandem_domain::sequence::migration::{self as domain, MapEntry, Running};
use tandem_domain::sequence::{Problem, SequenceMigration, migration};

/// A count, as far as the schema can say it.
fn count(many: u64) -> i32 {
    i32::try_from(many).unwrap_or(i32::MAX)
}

/// What becomes of those who run on older versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Policy")]
pub enum RunningPolicy {
    /// They stay on their versions, and go through to the end there.
    Stay,
    /// They are moved to the newer version: to the step of the same id, or to where the map says.
    Migrate,
    /// They end as EXITED (SUPERSEDED), and the tasks that nobody has claimed are closed.
    Finish,
}

/// What becomes of what fell due while a sequence was paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "backlog::Backlog")]
pub enum SequenceBacklog {
    /// It happens now, all of it at once.
    Send,
    /// It is left out; each run goes on at its next wait. Fields are set all the same.
    Skip,
    /// Of the e-mails that each run missed, only the newest is sent.
    Latest,
    /// It happens over some days, in the order in which it fell due.
    Spread,
}

/// Where a migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::MigrationState")]
pub enum SequenceMigrationState {
    /// It was asked for, and no run was looked at yet.
    Pending,
    /// Its runs are moved or ended, part by part.
    Running,
    /// It goes on when somebody resumes it.
    Paused,
    /// Every run was looked at.
    Completed,
    /// Somebody ended it early, or the sequence was archived. What was moved stays moved.
    Cancelled,
}

/// Where runs that stand before a step of an older version go on.
#[derive(InputObject)]
pub struct SequenceMapEntryInput {
    /// For runs of the version of this number alone; absent for those of every older version that has the step.
    version: Option<i32>,
    /// The step that would run next.
    from: String,
    /// The step of the newer version that runs next instead. Either this or `end`.
    to: Option<String>,
    /// Whether the runs end as EXITED (SUPERSEDED). Either this or `to`.
    #[graphql(default)]
    end: bool,
    /// Whether effects that a run took before may be taken again.
    #[graphql(default)]
    repeat: bool,
    /// Whether effects that a run still had before it may be left out.
    #[graphql(default)]
    skip: bool,
}

/// What becomes of those who run on older versions.
#[derive(InputObject)]
pub struct SequenceRunningInput {
    /// What.
    policy: RunningPolicy,
    /// Where each step leads; for MIGRATE alone. A step that is not named leads to the one of the same id.
    #[graphql(default)]
    map: Vec<SequenceMapEntryInput>,
}

impl SequenceRunningInput {
    /// The input in the words of the domain.
    pub(super) fn running(self) -> Result<Running, AppError> {
        let map = self.map.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        Ok(Running { policy: self.policy.into(), map })
    }
}

fn entry(input: SequenceMapEntryInput) -> Result<MapEntry, AppError> {
    let SequenceMapEntryInput { version, from, to, end, repeat, skip } = input;
    if to.is_some() == end {
        let message = format!("say of `{from}` either which step its runs go on `to`, or that they `end`");
        return Err(AppError::refused("SEQUENCE_MIGRATION_ENTRY_INVALID", message, Some("map")));
    }
    // There is no version 0, so whoever is named so is told that it has no runs.
    let version = version.map(|number| u32::try_from(number).unwrap_or(0));
    Ok(MapEntry { version, from, to, repeat, skip })
}

/// What somebody is refused for.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceMigrationProblem {
    /// The stable code.
    code: String,
    /// What is wrong and what to do.
    message: String,
}

impl From<migration::Refusal> for SequenceMigrationProblem {
    fn from(refusal: migration::Refusal) -> Self {
        Self { code: refusal.code().to_owned(), message: refusal.to_string() }
    }
}

/// What would become of the runs that stand before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SequenceStepFate {
    /// They stay on their version.
    Stays,
    /// They go on before a step of the newer version; what they wait for and until when stay as they are.
    Moves,
    /// They end as EXITED (SUPERSEDED).
    Ends,
    /// None of them can be moved so: nothing is published or begun.
    Refused,
}

/// How many runs are in a state.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceCrowd {
    /// The state.
    state: EnrollmentState,
    /// The code of the state's reason, where it has one.
    state_reason: Option<String>,
    /// How many.
    count: i32,
}

/// The runs of an older version that stand before one step.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceStepPreview {
    /// The step that runs next: while a run waits, the one after the wait.
    step: String,
    /// How many they are.
    count: i32,
    /// How many are in each state.
    states: Vec<SequenceCrowd>,
    /// What would become of them.
    fate: SequenceStepFate,
    /// Where they go on, where they move.
    to: Option<String>,
    /// Steps whose effect some of them may have taken and that would come again: those runs stay where they are.
    may_repeat: Vec<String>,
    /// Steps with an effect that some of them may not have had and would not come to: those runs stay where they are.
    may_skip: Vec<String>,
    /// Steps with an effect that the newer version has anew and that they do not come to.
    passed: Vec<String>,
    /// Why they cannot be moved so.
    problem: Option<SequenceMigrationProblem>,
}

impl From<StepPreview> for SequenceStepPreview {
    fn from(preview: StepPreview) -> Self {
        let states = preview.states.into_iter().map(|((state, reason), many)| SequenceCrowd {
            state: state.into(),
            state_reason: reason,
            count: count(many),
        });
        let nothing = Self {
            step: preview.step,
            count: count(preview.count),
            states: states.collect(),
            fate: SequenceStepFate::Stays,
            to: None,
            may_repeat: Vec::new(),
            may_skip: Vec::new(),
            passed: Vec::new(),
            problem: None,
        };
        match preview.fate {
            Fate::Stays => nothing,
            Fate::Ends => Self { fate: SequenceStepFate::Ends, ..nothing },
            Fate::Moves { to, may_repeat, may_skip, passed } => {
                Self { fate: SequenceStepFate::Moves, to: Some(to), may_repeat, may_skip, passed, ..nothing }
            }
            Fate::Refused(refusal) => {
                Self { fate: SequenceStepFate::Refused, problem: Some(refusal.into()), ..nothing }
            }
        }
    }
}

/// The live runs of one older version.
pub struct SequenceVersionPreviewNode(VersionPreview);

/// The live runs of one older version.
#[Object(name = "SequenceVersionPreview")]
impl SequenceVersionPreviewNode {
    /// The version.
    async fn version(&self, ctx: &Context<'_>) -> Option<Result<SequenceVersionNode, ApiError>> {
        let version = ctx.load(self.0.version).await.map_err(ApiError::from).transpose()?;
        Some(version.map(SequenceVersionNode))
    }
    /// Its number.
    async fn number(&self) -> i32 {
        i32::try_from(self.0.number).unwrap_or(i32::MAX)
    }
    /// How many they are.
    async fn count(&self) -> i32 {
        count(self.0.count)
    }
    /// Where they stand, in the order of the version's steps.
    async fn steps(&self) -> Vec<SequenceStepPreview> {
        self.0.steps.iter().cloned().map(Into::into).collect()
    }
}

/// Who runs on older versions, and what would become of them.
#[derive(SimpleObject)]
pub struct SequencePreview {
    /// The number that the definition has or would have; null where it has problems.
    number: Option<i32>,
    /// How many run on older versions.
    count: i32,
    /// The older versions that have live runs, oldest first.
    versions: Vec<SequenceVersionPreviewNode>,
    /// What is wrong with the map itself, or that another migration is not over.
    map_problems: Vec<SequenceMigrationProblem>,
    /// Everything that is wrong with the definition, or what it names and is not there.
    problems: Vec<SequenceProblem>,
}

impl From<Result<Preview, Vec<Problem>>> for SequencePreview {
    fn from(done: Result<Preview, Vec<Problem>>) -> Self {
        match done {
            Ok(preview) => Self {
                number: Some(i32::try_from(preview.number).unwrap_or(i32::MAX)),
                count: count(preview.count),
                versions: preview.versions.into_iter().map(SequenceVersionPreviewNode).collect(),
                map_problems: preview.problems.into_iter().map(Into::into).collect(),
                problems: Vec::new(),
            },
            Err(problems) => {
                let problems = problems.into_iter().map(Into::into).collect();
                Self { number: None, count: 0, versions: Vec::new(), map_problems: Vec::new(), problems }
            }
        }
    }
}

/// The problems of a definition that is not valid; every other error stays one.
fn problems_of(source: &str, library: &Library, error: AppError) -> Result<Vec<SequenceProblem>, ApiError> {
    match sequence_validate(source, library).err() {
        Some(problems) if error.code() == "SEQUENCE_INVALID" => Ok(problems.into_iter().map(Into::into).collect()),
        _ => Err(error.into()),
    }
}

/// One field before and after.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceFieldChange {
    /// Where, e.g. `template.subject`.
    path: String,
    /// The value before; null where there was none.
    before: Option<Json<Value>>,
    /// The value after; null where there is none.
    after: Option<Json<Value>>,
}

impl From<FieldChange> for SequenceFieldChange {
    fn from(change: FieldChange) -> Self {
        Self { path: change.path, before: change.before.map(Json), after: change.after.map(Json) }
    }
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "differences::StepChangeKind")]
pub enum SequenceStepChangeKind {
    /// The older definition does not have it.
    Added,
    /// The newer definition does not have it.
    Removed,
    /// Its settings, its place in the order or the ways out of it changed.
    Changed,
}

/// One step that is not as it was. Two steps are the same where they have the same id.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceStepChange {
    /// Its id.
    id: String,
    /// What became of it.
    change: SequenceStepChangeKind,
    /// Its kind: the newer one where it has two.
    kind: String,
    /// Its place in the older list, from 1; null where it is added.
    place_before: Option<i32>,
    /// Its place in the newer list, from 1; null where it is removed.
    place_after: Option<i32>,
    /// Whether it stands in another order among the steps that both have.
    moved: bool,
    /// The settings that differ; for a step that is added or removed, all of them.
    fields: Vec<SequenceFieldChange>,
    /// Every step that could come right after it.
    next_before: Vec<String>,
    /// Every step that can come right after it now.
    next_after: Vec<String>,
}

impl From<StepChange> for SequenceStepChange {
    fn from(change: StepChange) -> Self {
        let place = |place: Option<usize>| place.and_then(|place| i32::try_from(place).ok());
        Self {
            id: change.id,
            change: change.change.into(),
            kind: change.kind.to_owned(),
            place_before: place(change.place_before),
            place_after: place(change.place_after),
            moved: change.moved,
            fields: change.fields.into_iter().map(Into::into).collect(),
            next_before: change.ways_before,
            next_after: change.ways_after,
        }
    }
}

/// Everything that differs between two definitions of a sequence.
#[derive(SimpleObject)]
pub struct SequenceDiff {
    /// What it was compared with; null where there was nothing, so that everything is new.
    against: Option<SequenceVersionNode>,
    /// The fields before the steps.
    header: Vec<SequenceFieldChange>,
    /// The steps: those of the newer definition in its order, then those that are gone.
    steps: Vec<SequenceStepChange>,
    /// Everything that is wrong with the definition.
    problems: Vec<SequenceProblem>,
}

impl SequenceDiff {
    /// What a comparison came to; a definition that is not valid has problems instead.
    pub(super) fn of(source: Option<(&str, &Library)>, done: Result<Compared, AppError>) -> Result<Self, ApiError> {
        match (done, source) {
            (Ok(Compared { against, diff }), _) => Ok(Self {
                against: against.map(SequenceVersionNode),
                header: diff.header.into_iter().map(Into::into).collect(),
                steps: diff.steps.into_iter().map(Into::into).collect(),
                problems: Vec::new(),
            }),
            (Err(error), Some((source, library))) => {
                let problems = problems_of(source, library, error)?;
                Ok(Self { against: None, header: Vec::new(), steps: Vec::new(), problems })
            }
            (Err(error), None) => Err(error.into()),
        }
    }
}

/// How a sequence went on after a pause.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceResumption {
    /// What becomes of what fell due meanwhile.
    backlog: SequenceBacklog,
    /// Over how many days it happens; null where it happens at once.
    days: Option<i32>,
    /// How many runs it concerns.
    runs: i32,
    /// When the sequence was resumed.
    at: DateTime<Utc>,
}

impl From<&backlog::Resumption> for SequenceResumption {
    fn from(resumption: &backlog::Resumption) -> Self {
        Self {
            backlog: resumption.backlog.into(),
            days: resumption.days.and_then(|days| i32::try_from(days).ok()),
            runs: count(resumption.runs),
            at: resumption.at,
        }
    }
}

/// Where runs that stand before a step of an older version go on.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceMapEntry {
    /// The number of the version that it is for; null where it is for every older one that has the step.
    version: Option<i32>,
    /// The step that would run next.
    from: String,
    /// The step of the newer version that runs next instead; null where the runs end.
    to: Option<String>,
    /// Whether effects that a run took before may be taken again.
    repeat: bool,
    /// Whether effects that a run still had before it may be left out.
    skip: bool,
}

impl From<&MapEntry> for SequenceMapEntry {
    fn from(entry: &MapEntry) -> Self {
        Self {
            version: entry.version.and_then(|number| i32::try_from(number).ok()),
            from: entry.from.clone(),
            to: entry.to.clone(),
            repeat: entry.repeat,
            skip: entry.skip,
        }
    }
}

/// How many runs stay where they were, for one reason.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceMigrationRefused {
    /// The code of the reason.
    code: String,
    /// How many.
    count: i32,
}

/// One move of runs from older versions of a sequence to a newer one.
pub struct SequenceMigrationNode(pub SequenceMigration);

/// One move of runs from older versions of a sequence to a newer one.
#[Object(name = "SequenceMigration")]
impl SequenceMigrationNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The sequence.
    async fn sequence(&self, ctx: &Context<'_>) -> Option<Result<SequenceNode, ApiError>> {
        let sequence = ctx.load(self.0.sequence).await.map_err(ApiError::from).transpose()?;
        Some(sequence.map(SequenceNode))
    }
    /// The version that runs are moved to, or for which they end.
    async fn version(&self, ctx: &Context<'_>) -> Option<Result<SequenceVersionNode, ApiError>> {
        let version = ctx.load(self.0.target).await.map_err(ApiError::from).transpose()?;
        Some(version.map(SequenceVersionNode))
    }
    /// Whether they are moved or end.
    async fn policy(&self) -> RunningPolicy {
        self.0.policy.into()
    }
    /// Where each step leads.
    async fn map(&self) -> Vec<SequenceMapEntry> {
        self.0.map.iter().map(Into::into).collect()
    }
    /// Where it is.
    async fn state(&self) -> SequenceMigrationState {
        self.0.state.into()
    }
    /// How many runs were live on older versions when it was asked for.
    async fn total(&self) -> i32 {
        count(self.0.total)
    }
    /// How many were moved.
    async fn moved(&self) -> i32 {
        count(self.0.moved)
    }
    /// How many were ended.
    async fn ended(&self) -> i32 {
        count(self.0.ended)
    }
    /// How many stay where they were, by the reason; the ledger names each of them.
    async fn refused(&self) -> Vec<SequenceMigrationRefused> {
        let refused = self.0.refused.iter();
        refused.map(|(code, many)| SequenceMigrationRefused { code: code.clone(), count: count(*many) }).collect()
    }
    /// Who asked for it; null for the installation itself.
    async fn requested_by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.by?).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// When it was asked for.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When it was over.
    async fn ended_at(&self) -> Option<DateTime<Utc>> {
        self.0.ended_at
    }
}
