//! Types of sequences and enrolments.

use super::triggers::SequenceTrigger;
use super::versions::{SequenceMigrationNode, SequenceResumption};
use crate::access::UserNode;
use crate::accounts::{AccountNode, ContactNode};
use crate::channels::OutboundCallNode;
use crate::channels::query::call_page;
use crate::channels::types::OutboundCallState;
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::email_templates::SequenceTemplate;
use crate::error::ApiError;
use crate::ids::global;
use crate::insight::ExperimentNode;
use crate::insight::story::EnrollmentStoryEntry;
use crate::leads::LeadNode;
use crate::loaders::{BacklogKey, CountsKey};
use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, ID, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tandem_domain::sequence::enrollment::{self as domain, Enrollment};
use tandem_domain::sequence::simulation::Line;
use tandem_domain::sequence::steps::send_email::Letter;
use tandem_domain::sequence::{Problem, Sequence, SequenceVersion, publishing};
use tandem_store::reach::OutboundCallFilter;

/// Where a sequence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "publishing::SequenceState")]
pub enum SequenceState {
    /// Nothing is published yet.
    Draft,
    /// It takes enrolments, and they run.
    Active,
    /// It takes no enrolments, and none runs.
    Paused,
    /// It is over for good: what ran in it is ended, and nothing of it goes out any more.
    Archived,
}

/// Where an enrolment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::StateKind")]
pub enum EnrollmentState {
    /// It was made and has not begun.
    Pending,
    /// Its next step is due.
    Active,
    /// It waits for its due time; the reason is TIME, EMAIL, EVENT, WINDOW, CAP, TASK, BACKLOG or ANSWER.
    Waiting,
    /// It goes on when somebody resumes it; the reason is MANUAL, SEQUENCE, OUT_OF_OFFICE or OPS.
    Paused,
    /// It came to its end; the reason is GOAL, COMPLETED, REPLIED, MEETING_BOOKED or OPPORTUNITY_OPENED.
    Finished,
    /// It was left early; the reason is RULE, LIST_REMOVED, SUPERSEDED or MANUAL.
    Exited,
    /// The person does not want to be written to.
    OptedOut,
    /// The person cannot be written to.
    Bounced,
    /// A step could not be taken; `failure` says why.
    Failed,
}

/// Why an enrolment is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum EnrollmentPauseReason {
    /// Somebody paused this enrolment.
    Manual,
    /// The person is away.
    OutOfOffice,
    /// An operator stopped it.
    Ops,
}

impl From<EnrollmentPauseReason> for domain::PauseReason {
    fn from(reason: EnrollmentPauseReason) -> Self {
        match reason {
            EnrollmentPauseReason::Manual => Self::Manual,
            EnrollmentPauseReason::OutOfOffice => Self::OutOfOffice,
            EnrollmentPauseReason::Ops => Self::Ops,
        }
    }
}

/// How a finished enrolment came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::FinishReason")]
pub enum EnrollmentFinishReason {
    /// The goal was reached.
    Goal,
    /// It went through to the end.
    Completed,
    /// The person answered.
    Replied,
    /// A meeting was booked.
    MeetingBooked,
    /// An opportunity was opened at the company.
    OpportunityOpened,
}

/// Why an enrolment was left early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::ExitReason")]
pub enum EnrollmentExitReason {
    /// The exit condition held, or a step says so.
    Rule,
    /// The account left the target list.
    ListRemoved,
    /// Something newer took its place, or the sequence was archived.
    Superseded,
    /// Somebody ended it.
    Manual,
}

/// How many enrolments are in a state.
#[derive(Debug, Clone, SimpleObject)]
pub struct EnrollmentCount {
    /// The state.
    state: EnrollmentState,
    /// How many.
    count: i32,
}

/// A nurture programme.
pub struct SequenceNode(pub Sequence);

/// A nurture programme.
#[Object(name = "Sequence")]
impl SequenceNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Its stable name; unique.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// Where it is.
    async fn state(&self) -> SequenceState {
        self.0.state.into()
    }
    /// The newest version; null while nothing is published.
    async fn latest_version(&self, ctx: &Context<'_>) -> Option<Result<SequenceVersionNode, ApiError>> {
        let version = ctx.load(self.0.latest_version?).await.map_err(ApiError::from).transpose()?;
        Some(version.map(SequenceVersionNode))
    }
    /// Every version, oldest first.
    async fn versions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Option<Result<Connection<String, SequenceVersionNode>, ApiError>> {
        let read = async {
            let page = page(first, after, last, before)?;
            let versions = ctx.app().store.sequence_version_page(self.0.id, &page).await?;
            Ok(connection(versions, |version| version.id, SequenceVersionNode))
        };
        Some(read.await)
    }
    /// A definition that was saved and not published yet, as written.
    async fn draft(&self) -> Option<&str> {
        self.0.draft.as_deref()
    }
    /// How many enrolments are in each state; states without any are left out.
    async fn enrollment_counts(&self, ctx: &Context<'_>) -> Option<Result<Vec<EnrollmentCount>, ApiError>> {
        let counts = ctx.loader().load_one(CountsKey(self.0.id)).await;
        let counts = counts.map_err(|failed| ApiError::from(failed.into_app()));
        Some(counts.map(|counts| {
            let counted = |(state, count): (domain::StateKind, i64)| EnrollmentCount {
                state: state.into(),
                count: i32::try_from(count).unwrap_or(i32::MAX),
            };
            counts.unwrap_or_default().into_iter().map(counted).collect()
        }))
    }
    /// The experiments on its steps, in the order they were registered.
    async fn experiments(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Option<Result<Connection<String, ExperimentNode>, ApiError>> {
        let read = async {
            let page = page(first, after, last, before)?;
            let experiments = ctx.app().store.experiment_page(self.0.id, &page).await?;
            Ok(connection(experiments, |experiment| experiment.id, ExperimentNode))
        };
        Some(read.await)
    }
    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// While it is paused: when it goes on by itself; null where somebody must resume it.
    async fn paused_until(&self) -> Option<DateTime<Utc>> {
        self.0.paused_until
    }
    /// How many enrolments fell due while it was paused, or have an e-mail that is held with it, and have not been resumed since.
    async fn backlog_count(&self, ctx: &Context<'_>) -> Option<Result<i32, ApiError>> {
        let count = ctx.loader().load_one(BacklogKey(self.0.id)).await;
        let count = count.map_err(|failed| ApiError::from(failed.into_app()));
        Some(count.map(|count| i32::try_from(count.unwrap_or(0)).unwrap_or(i32::MAX)))
    }
    /// After a pause: what becomes of what fell due meanwhile.
    async fn resumption(&self) -> Option<SequenceResumption> {
        self.0.resumption.as_ref().map(Into::into)
    }
    /// Its migrations, in the order in which they were asked for.
    async fn migrations(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Option<Result<Connection<String, SequenceMigrationNode>, ApiError>> {
        let read = async {
            let page = page(first, after, last, before)?;
            let migrations = ctx.app().store.sequence_migration_page(self.0.id, &page).await?;
            Ok(connection(migrations, |migration| migration.id, SequenceMigrationNode))
        };
        Some(read.await)
    }
}

/// One step of a version.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceStep {
    /// Its name within the sequence.
    id: String,
    /// Its kind, e.g. `send_email`.
    kind: String,
    /// Every step that may come right after it.
    next: Vec<String>,
    /// Its settings, as in the definition.
    settings: Json<Map<String, Value>>,
}

/// One published version of a sequence. It never changes.
pub struct SequenceVersionNode(pub SequenceVersion);

/// One published version of a sequence. It never changes.
#[Object(name = "SequenceVersion")]
impl SequenceVersionNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The sequence.
    async fn sequence(&self, ctx: &Context<'_>) -> Option<Result<SequenceNode, ApiError>> {
        let sequence = ctx.load(self.0.sequence).await.map_err(ApiError::from).transpose()?;
        Some(sequence.map(SequenceNode))
    }
    /// Counted from 1.
    async fn number(&self) -> i32 {
        i32::try_from(self.0.number).unwrap_or(i32::MAX)
    }
    /// The text it was published from.
    async fn source(&self) -> &str {
        &self.0.source
    }
    /// Lower-case hexadecimal SHA-256 of the definition in canonical form.
    async fn hash(&self) -> &str {
        &self.0.hash
    }
    /// The steps, in the order of the definition.
    async fn steps(&self) -> Vec<SequenceStep> {
        let definition = &self.0.definition;
        let step = |(at, step): (usize, &tandem_domain::sequence::Step)| {
            let next = definition.ways(at).into_iter().map(str::to_owned).collect();
            let settings = match serde_json::to_value(&step.kind) {
                Ok(Value::Object(mut settings)) => {
                    settings.remove("kind");
                    settings
                }
                _ => Map::new(),
            };
            SequenceStep { id: step.id.clone(), kind: step.kind.name().to_owned(), next, settings: Json(settings) }
        };
        definition.steps.iter().enumerate().map(step).collect()
    }
    /// The templates that its e-mails were taken from, in the order of the steps.
    async fn templates(&self) -> Vec<SequenceTemplate> {
        let uses = self.0.definition.templates_by_step();
        uses.map(|(step, uses)| SequenceTemplate { step: step.to_owned(), uses: uses.clone() }).collect()
    }
    /// What starts it by itself, in the order of the definition.
    async fn triggers(&self) -> Vec<SequenceTrigger> {
        self.0.definition.header.triggers.iter().map(Into::into).collect()
    }
    /// Who published it; null for the installation itself.
    async fn published_by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.published_by?).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// When it was published.
    async fn published_at(&self) -> DateTime<Utc> {
        self.0.published_at
    }
}

/// Why a step could not be taken.
#[derive(Debug, Clone, SimpleObject)]
pub struct EnrollmentFailure {
    /// The stable code.
    code: String,
    /// A sentence.
    message: String,
}

/// How the task that a run waited for came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "tandem_domain::sequence::enrollment::TaskEnd")]
pub enum TaskEnd {
    /// It is done.
    Done,
    /// The person was not reached.
    NoAnswer,
    /// The person asks for another time.
    CallBack,
    /// The person is interested.
    Interested,
    /// The person is not interested.
    NotInterested,
    /// A meeting was agreed.
    MeetingBooked,
    /// The number, the address or the person is wrong.
    BadData,
    /// Somebody found that it need not be done.
    Cancelled,
    /// The run did not wait any longer.
    TimedOut,
}

/// The variant that a run was given by a step that splits.
#[derive(Debug, Clone, SimpleObject)]
pub struct EnrollmentVariant {
    /// The id of the step.
    step: String,
    /// The key of the variant.
    variant: String,
}

/// One subject's run through one version of a sequence.
pub struct EnrollmentNode(pub Enrollment);

/// One subject's run through one version of a sequence.
#[Object(name = "Enrollment")]
impl EnrollmentNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The sequence.
    async fn sequence(&self, ctx: &Context<'_>) -> Option<Result<SequenceNode, ApiError>> {
        let sequence = ctx.load(self.0.sequence).await.map_err(ApiError::from).transpose()?;
        Some(sequence.map(SequenceNode))
    }
    /// The version; another one once it was moved there.
    async fn version(&self, ctx: &Context<'_>) -> Option<Result<SequenceVersionNode, ApiError>> {
        let version = ctx.load(self.0.version).await.map_err(ApiError::from).transpose()?;
        Some(version.map(SequenceVersionNode))
    }
    /// The person.
    async fn contact(&self, ctx: &Context<'_>) -> Option<Result<ContactNode, ApiError>> {
        let contact = ctx.load(self.0.contact).await.map_err(ApiError::from).transpose()?;
        Some(contact.map(ContactNode))
    }
    /// The lead.
    async fn lead(&self, ctx: &Context<'_>) -> Option<Result<LeadNode, ApiError>> {
        let lead = ctx.load(self.0.lead?).await.map_err(ApiError::from).transpose()?;
        Some(lead.map(LeadNode))
    }
    /// The company.
    async fn account(&self, ctx: &Context<'_>) -> Option<Result<AccountNode, ApiError>> {
        let account = ctx.load(self.0.account?).await.map_err(ApiError::from).transpose()?;
        Some(account.map(AccountNode))
    }
    /// At most one live enrolment has the same sequence, subject and re-entry key.
    async fn reentry_key(&self) -> &str {
        &self.0.reentry_key
    }
    /// Where it is.
    async fn state(&self) -> EnrollmentState {
        self.0.state.kind().into()
    }
    /// The code of the reason, where the state has one; see the states.
    async fn state_reason(&self) -> Option<&'static str> {
        self.0.state.reason()
    }
    /// The step that runs next; after the end, the last one.
    async fn step(&self) -> &str {
        &self.0.step
    }
    /// Counts the steps and the waits.
    async fn visit(&self) -> i32 {
        i32::try_from(self.0.visit).unwrap_or(i32::MAX)
    }
    /// When the next step runs; null when it is paused or over.
    async fn due_at(&self) -> Option<DateTime<Utc>> {
        self.0.due_at
    }
    /// When it goes on by itself, where it is paused until a moment.
    async fn paused_until(&self) -> Option<DateTime<Utc>> {
        self.0.held?.until
    }
    /// The group of sequences of which the person runs through one at a time; null where its version names none.
    async fn exclusive_group(&self) -> Option<&str> {
        self.0.exclusive.as_ref().map(|place| place.group.as_str())
    }
    /// Values for conditions and templates: those given at the start, and what calls were answered.
    async fn vars(&self) -> Json<Map<String, Value>> {
        Json(self.0.vars.clone())
    }
    /// The variants that it was given by steps of kind `split`, in the order of the steps' ids.
    async fn variants(&self) -> Vec<EnrollmentVariant> {
        let given = self.0.memory.variants.iter();
        given.map(|(step, variant)| EnrollmentVariant { step: step.clone(), variant: variant.clone() }).collect()
    }
    /// How the last task that it waited for came to its end; null where it waited for none.
    async fn last_task_outcome(&self) -> Option<TaskEnd> {
        self.0.memory.last_task_outcome.map(TaskEnd::from)
    }
    /// The enrolment whose step started this one; null where a person, a webhook or a rule did.
    async fn started_by(&self, ctx: &Context<'_>) -> Option<Result<EnrollmentNode, ApiError>> {
        let enrollment = ctx.load(self.0.memory.chain?.by).await.map_err(ApiError::from).transpose()?;
        Some(enrollment.map(EnrollmentNode))
    }
    /// What the last step that waited for an event heard: a map with `id kind name url seconds occurred_at properties`; null
    /// after a time-out.
    async fn event(&self) -> Option<Json<Value>> {
        self.0.hearing.event.as_ref().map(|event| Json(event.data()))
    }
    /// When it was made.
    async fn started_at(&self) -> DateTime<Utc> {
        self.0.started_at
    }
    /// When it ended.
    async fn ended_at(&self) -> Option<DateTime<Utc>> {
        self.0.ended_at
    }
    /// Why it failed.
    async fn failure(&self) -> Option<EnrollmentFailure> {
        let failure = self.0.failure.as_ref()?;
        Some(EnrollmentFailure { code: failure.code.clone(), message: failure.message.clone() })
    }
    /// The calls of other systems that its steps made, in the order they were planned. Kept for ninety days.
    async fn calls(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "In one of these states; none means any.")] states: Vec<OutboundCallState>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Option<Result<Connection<String, OutboundCallNode>, ApiError>> {
        let read = async {
            let page = page(first, after, last, before)?;
            let filter = OutboundCallFilter { enrollment: Some(self.0.id), ..OutboundCallFilter::default() };
            let found = call_page(ctx, filter, states, &page).await?;
            Ok(connection(found, |call| call.id, OutboundCallNode))
        };
        Some(read.await)
    }
    /// Everything that happened to it, oldest first: every decision with its inputs and the rule that made it.
    async fn story(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Option<Result<Connection<String, EnrollmentStoryEntry>, ApiError>> {
        let read = async {
            let page = page(first, after, last, before)?;
            let story = ctx.app().enrollment_story(self.0.id, &page).await?;
            Ok(connection(story, |entry| entry.link.entry.seq, EnrollmentStoryEntry))
        };
        Some(read.await)
    }
}

/// One thing that is wrong with a definition.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceProblem {
    /// Where, e.g. `steps[3].template.subject`; empty for the document as a whole.
    path: String,
    /// The code of the rule that is broken.
    rule: String,
    /// What is wrong and what to do.
    message: String,
    /// The line of the source, counted from 1, where it is known.
    line: Option<i32>,
    /// The column in that line, counted from 1 in characters, where it is known.
    column: Option<i32>,
    /// The stored template in whose document all of this is, e.g. `welcome_mail@3`; null where it is in the definition itself.
    template: Option<String>,
}

impl From<Problem> for SequenceProblem {
    fn from(problem: Problem) -> Self {
        let number = |number: Option<usize>| number.and_then(|number| i32::try_from(number).ok());
        let (line, column) = (number(problem.line), number(problem.column));
        let Problem { path, rule, message, template, .. } = problem;
        Self { path, rule: rule.to_string(), message, line, column, template }
    }
}

/// What checking a definition came to.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceValidation {
    /// Whether it could be published.
    pub(super) valid: bool,
    /// Everything that is wrong, in the order of the document.
    pub(super) problems: Vec<SequenceProblem>,
    /// Advice on the e-mails of a valid definition: what would go wrong for some of those who get them.
    pub(super) advice: Vec<SequenceProblem>,
}

/// An e-mail of a sequence as one person would get it, or why there is none.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceEmailPreview {
    /// The tag of the language that was chosen; null for the template that everybody else gets.
    language: Option<String>,
    /// The subject; null where the definition is not valid.
    subject: Option<String>,
    /// The plain text; null where the definition is not valid. The link to unsubscribe by is put in as it goes out.
    text: Option<String>,
    /// The HTML; null where there is none.
    html: Option<String>,
    /// Everything that is wrong with the definition.
    problems: Vec<SequenceProblem>,
}

impl From<Result<Letter, Vec<Problem>>> for SequenceEmailPreview {
    fn from(letter: Result<Letter, Vec<Problem>>) -> Self {
        match letter {
            Ok(Letter { language, subject, text, html }) => {
                Self { language, subject: Some(subject), text: Some(text), html, problems: Vec::new() }
            }
            Err(problems) => {
                let problems = problems.into_iter().map(Into::into).collect();
                Self { language: None, subject: None, text: None, html: None, problems }
            }
        }
    }
}

/// One line of a simulated run.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequencePlanLine {
    /// The calendar day, where that of the beginning is 1: in the zone that is asked for; over contacts, in UTC.
    day: i32,
    /// When.
    at: DateTime<Utc>,
    /// The step.
    step: String,
    /// The visit.
    visit: i32,
    /// What happens, in one line.
    what: String,
    /// What would be sent, created or set, in full.
    effect: Option<Json<Value>>,
}

impl From<Line> for SequencePlanLine {
    fn from(line: Line) -> Self {
        Self {
            day: i32::try_from(line.day).unwrap_or(i32::MAX),
            at: line.at,
            step: line.step,
            visit: i32::try_from(line.visit).unwrap_or(i32::MAX),
            what: line.what,
            effect: line.effect.and_then(|effect| serde_json::to_value(effect).ok()).map(Json),
        }
    }
}

/// A simulated run, or why there is none.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceSimulation {
    /// The plan, day by day; empty where the definition is not valid.
    pub(super) lines: Vec<SequencePlanLine>,
    /// Everything that is wrong with the definition.
    pub(super) problems: Vec<SequenceProblem>,
}
