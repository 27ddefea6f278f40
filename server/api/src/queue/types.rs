//! Types of the SDR queue.

use crate::access::{TeamNode, UserNode};
use crate::accounts::{AccountNode, ContactNode};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use crate::leads::LeadNode;
use crate::leads::types::Grade;
use crate::sequences::EnrollmentNode;
use async_graphql::{Context, Enum, ID, Object};
use chrono::{DateTime, Utc};
use tandem_domain::verification::{self, Answer};
use tandem_domain::work_item;

/// What kind of work it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "work_item::ItemKind")]
pub enum WorkItemKind {
    /// Verify a lead; at most one per lead.
    VerifyLead,
    /// Any other thing to do.
    Task,
}

/// Where a work item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "work_item::ItemState")]
pub enum WorkItemState {
    /// Anybody of the queue may claim it.
    Queued,
    /// Somebody holds it and has not begun.
    Claimed,
    /// The holder works on it.
    InProgress,
    /// The holder waits for an answer.
    Waiting,
    /// The lead is complete.
    Verified,
    /// Sales gave the lead back; it goes to the queue next.
    Reopened,
    /// The lead is put aside.
    Recycled,
    /// The lead is not one.
    Disqualified,
    /// The lead repeats another.
    Duplicate,
    /// The task is done.
    Done,
    /// Nobody needs it any more.
    Cancelled,
}

/// What a holder waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "work_item::WaitFor")]
pub enum WaitFor {
    /// For data about the lead.
    Enrichment,
    /// To call at an agreed time.
    Callback,
}

/// By which way a task is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "work_item::TaskChannel")]
pub enum TaskChannel {
    /// By phone.
    Call,
    /// In a social network.
    Social,
    /// By letter or parcel.
    Letter,
    /// In any other way.
    Other,
}

/// What came of a task that somebody has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "work_item::TaskOutcome")]
pub enum TaskOutcome {
    /// It is done; there is nothing more to say.
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
}

/// Why a lead is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "verification::Reason")]
pub enum DispositionReason {
    /// The data is wrong.
    BadData,
    /// The number does not exist.
    EmptyNumber,
    /// Nobody answered.
    NotReached,
    /// It is another person.
    IdentityMismatch,
    /// It is in a region that is not served.
    RegionMismatch,
    /// The person is not interested.
    NotInterested,
    /// There is nothing to buy now.
    NoIntent,
    /// The person asks to be contacted later.
    ContactLater,
    /// The company is not one that is wanted.
    NotIcp,
    /// The lead repeats another.
    Duplicate,
    /// The company is a competitor.
    Competitor,
    /// The person is a student.
    Student,
    /// The person does not want to be contacted, ever; the address is suppressed with it.
    OptedOut,
}

/// What an item of the checklist establishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "verification::Category")]
pub enum ChecklistCategory {
    /// The person is who the data says.
    Identity,
    /// The person can be reached.
    Reachability,
    /// The company is one that sales wants.
    Fit,
    /// There is something to buy.
    Need,
    /// The person may be and wants to be contacted by sales.
    Consent,
}

/// What checking an item of the checklist showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "verification::Verdict")]
pub enum ChecklistVerdict {
    /// It is so.
    Confirmed,
    /// It is not so.
    Refuted,
    /// It could not be found out.
    Unknown,
}

/// One thing to check, in the edition of the checklist that is in force.
pub struct ChecklistItemNode(pub verification::ChecklistItem);

/// One thing to check, in the edition of the checklist that is in force.
#[Object(name = "ChecklistItem")]
impl ChecklistItemNode {
    /// The stable key, to answer by.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// What to check, in the language asked for where there is a text in it, else in English.
    async fn label(
        &self,
        #[graphql(desc = "A language tag, e.g. `zh-CN`.", default = "en")] language: String,
    ) -> Option<&str> {
        self.0.label.get(&language).or_else(|| self.0.label.get("en")).map(String::as_str)
    }
    /// What it establishes.
    async fn category(&self) -> ChecklistCategory {
        self.0.category.into()
    }
    /// Whether a lead cannot be verified without it.
    async fn required(&self) -> bool {
        self.0.required
    }
}

/// What must be confirmed of a lead before it may be dispatched.
pub struct ChecklistNode(pub verification::Checklist);

/// What must be confirmed of a lead before it may be dispatched.
#[Object(name = "Checklist")]
impl ChecklistNode {
    /// The stable key.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// Counts the editions.
    async fn version(&self) -> u32 {
        self.0.version
    }
    /// What to check, in the order to show.
    async fn items(&self) -> Vec<ChecklistItemNode> {
        self.0.items.iter().cloned().map(ChecklistItemNode).collect()
    }
}

/// One answer to the checklist.
pub struct ChecklistAnswerNode {
    key: String,
    answer: Answer,
}

/// One answer to the checklist.
#[Object(name = "ChecklistAnswer")]
impl ChecklistAnswerNode {
    /// The key of the checklist's item.
    async fn item(&self) -> &str {
        &self.key
    }
    /// What checking showed.
    async fn verdict(&self) -> ChecklistVerdict {
        self.answer.verdict.into()
    }
    /// What was found.
    async fn value(&self) -> Option<&str> {
        self.answer.value.as_deref()
    }
    /// What proves it.
    async fn evidence(&self) -> Option<&str> {
        self.answer.evidence.as_deref()
    }
    /// Who answered.
    async fn by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.answer.by).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.answer.at
    }
}

/// Who holds a work item, under which token, until when.
pub struct ClaimNode(work_item::Claim);

/// Who holds a work item, under which token, until when.
#[Object(name = "WorkItemClaimInfo")]
impl ClaimNode {
    /// Who.
    async fn holder(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.holder).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// The fencing token: every change of the holder names it. It is good only in the holder's hand.
    async fn token(&self) -> i32 {
        i32::try_from(self.0.fence).unwrap_or(i32::MAX)
    }
    /// When the claim ends unless it is renewed.
    async fn lease_until(&self) -> DateTime<Utc> {
        self.0.lease_until
    }
}

/// What the holder of a work item waits for.
pub struct WaitingNode(work_item::Waiting);

/// What the holder of a work item waits for.
#[Object(name = "WorkItemWaiting")]
impl WaitingNode {
    /// What for.
    async fn wait_for(&self) -> WaitFor {
        self.0.wait_for.into()
    }
    /// When the wait ends by itself.
    async fn until(&self) -> DateTime<Utc> {
        self.0.until
    }
    /// What to remember.
    async fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }
}

/// How a work item ended.
pub struct OutcomeNode(work_item::Outcome);

/// How a work item ended.
#[Object(name = "WorkItemOutcome")]
impl OutcomeNode {
    /// The reason code; null for a verified lead or a finished task.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }
    /// What the person wrote.
    async fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }
    /// What came of a task that was done; null for everything else.
    async fn task_outcome(&self) -> Option<TaskOutcome> {
        self.0.task.map(TaskOutcome::from)
    }
    /// Who; null where a timer or a rule did.
    async fn by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.by?).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }
}

/// An entry of a human queue.
pub struct WorkItemNode(pub work_item::WorkItem);

/// An entry of a human queue.
#[Object(name = "WorkItem")]
impl WorkItemNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// What kind of work it is.
    async fn kind(&self) -> WorkItemKind {
        self.0.kind.into()
    }
    /// Where it is.
    async fn state(&self) -> WorkItemState {
        self.0.state.into()
    }
    /// What to do, in one line.
    async fn title(&self) -> &str {
        &self.0.title
    }
    /// The lead it is about.
    async fn lead(&self, ctx: &Context<'_>) -> Option<Result<LeadNode, ApiError>> {
        let lead = ctx.load(self.0.lead?).await.map_err(ApiError::from).transpose()?;
        Some(lead.map(LeadNode))
    }
    /// The person it is about.
    async fn contact(&self, ctx: &Context<'_>) -> Option<Result<ContactNode, ApiError>> {
        let contact = ctx.load(self.0.contact).await.map_err(ApiError::from).transpose()?;
        Some(contact.map(ContactNode))
    }
    /// The person's company, where it is known.
    async fn account(&self, ctx: &Context<'_>) -> Option<Result<AccountNode, ApiError>> {
        let account = ctx.load(self.0.account?).await.map_err(ApiError::from).transpose()?;
        Some(account.map(AccountNode))
    }
    /// The enrolment whose step made it.
    async fn enrollment(&self, ctx: &Context<'_>) -> Option<Result<EnrollmentNode, ApiError>> {
        let enrollment = ctx.load(self.0.enrollment?).await.map_err(ApiError::from).transpose()?;
        Some(enrollment.map(EnrollmentNode))
    }
    /// By which way it is done; null where nobody says so.
    async fn channel(&self) -> Option<TaskChannel> {
        self.0.channel.map(TaskChannel::from)
    }
    /// The team whose queue it is in; null means everybody's.
    async fn team(&self, ctx: &Context<'_>) -> Option<Result<TeamNode, ApiError>> {
        let team = ctx.load(self.0.team?).await.map_err(ApiError::from).transpose()?;
        Some(team.map(TeamNode))
    }
    /// How urgent it is: 0 (least) to 100.
    async fn priority(&self) -> i32 {
        i32::from(self.0.priority)
    }
    /// The lead's grade.
    async fn grade(&self) -> Option<Grade> {
        self.0.grade.map(Grade::from)
    }
    /// When it should be done.
    async fn due_at(&self) -> DateTime<Utc> {
        self.0.due_at
    }
    /// Who holds it; null while nobody does.
    async fn claim(&self) -> Option<ClaimNode> {
        self.0.claim.clone().map(ClaimNode)
    }
    /// What the holder waits for; null while nobody waits.
    async fn waiting(&self) -> Option<WaitingNode> {
        self.0.waiting.clone().map(WaitingNode)
    }
    /// The answers to the checklist of this round.
    async fn answers(&self) -> Vec<ChecklistAnswerNode> {
        let answers = self.0.answers.iter();
        answers.map(|(key, answer)| ChecklistAnswerNode { key: key.clone(), answer: answer.clone() }).collect()
    }
    /// The required items of the checklist that are not confirmed yet; empty for a task.
    async fn missing(&self, ctx: &Context<'_>) -> Vec<ChecklistItemNode> {
        if self.0.kind == work_item::ItemKind::Task {
            return Vec::new();
        }
        let checklist = &ctx.app().env.queue.checklist;
        let missing = checklist.missing(&self.0.answers);
        let items = checklist.items.iter().filter(|item| missing.contains(&item.key));
        items.cloned().map(ChecklistItemNode).collect()
    }
    /// How it ended, once it has.
    async fn outcome(&self) -> Option<OutcomeNode> {
        self.0.outcome.clone().map(OutcomeNode)
    }
    /// More words about it.
    async fn notes(&self) -> Option<&str> {
        self.0.notes.as_deref()
    }
    /// The rounds of verification, with this one: more than 1 where the lead was recycled or returned.
    async fn round(&self) -> i32 {
        i32::try_from(self.0.earlier.len()).unwrap_or(i32::MAX).saturating_add(1)
    }
    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}
