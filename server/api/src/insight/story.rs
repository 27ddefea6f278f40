//! Types of the story of an enrolment.

use crate::access::UserNode;
use crate::context::ContextExt;
use crate::emails::EmailNode;
use crate::error::ApiError;
use crate::interactions::InteractionNode;
use crate::queue::WorkItemNode;
use async_graphql::{Context, Enum, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tandem_app::insight::StoryEntry;
use tandem_domain::sequence::story;

/// What an entry of a story is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "story::BeatKind")]
pub enum EnrollmentStoryKind {
    /// The run began.
    Started,
    /// Steps were taken, or one was put off.
    Advanced,
    /// The run paused, or pauses for longer.
    Paused,
    /// The run goes on after a pause.
    Resumed,
    /// The run is over.
    Ended,
    /// Something became of an e-mail of the run.
    Email,
    /// Something became of a task of the run.
    Task,
    /// The person did something with an e-mail of the run.
    Interaction,
    /// Anything else on the record of the run.
    Other,
}

/// A step that was taken.
#[derive(Debug, Clone, SimpleObject)]
pub struct EnrollmentStoryStep {
    /// The step's id.
    step: String,
    /// Its kind, e.g. `send_email`.
    kind: String,
    /// The visit under which it was taken.
    visit: u32,
    /// The variant that a split chose.
    variant: Option<String>,
    /// The code of why its effect was left out, where it was.
    skipped: Option<String>,
    /// The condition that decided where to go, in CEL.
    condition: Option<String>,
    /// Whether that held.
    held: Option<bool>,
    /// The version of the stored template that its e-mail was taken from, e.g. `welcome_mail@3`.
    template: Option<String>,
    /// The code of why its effect was refused, where it was and the run goes on all the same.
    refused: Option<String>,
}

impl From<story::StepTaken> for EnrollmentStoryStep {
    fn from(taken: story::StepTaken) -> Self {
        let story::StepTaken { step, kind, visit, variant, skipped, condition, held, template, refused } = taken;
        let refused = refused.map(|refused| refused.code);
        Self { step, kind, visit, variant, skipped, condition, held, template, refused }
    }
}

/// What a run waits or pauses for.
#[derive(Debug, Clone, SimpleObject)]
pub struct EnrollmentStoryWait {
    /// The code of the reason: of a wait, or of a pause.
    reason: String,
    /// Until when at the latest; null for a pause that somebody must end.
    until: Option<DateTime<Utc>>,
    /// What put the step off, where the reason does not say it, e.g. `CONSENT_UNKNOWN` or `POOL_WITHOUT_MAILBOX`.
    held_by: Option<String>,
}

/// The rule that ended a run.
#[derive(Debug, Clone, SimpleObject)]
pub struct EnrollmentStoryGrounds {
    /// `goal`, `exit` or `standing`.
    rule: String,
    /// The condition that held, in CEL; or the standing of the person.
    text: String,
}

/// What a person did with an e-mail. Machines are left out.
#[derive(Debug, Clone, SimpleObject)]
pub struct EnrollmentStoryFate {
    /// When it was first opened.
    opened_at: Option<DateTime<Utc>>,
    /// When a link of it was first followed.
    clicked_at: Option<DateTime<Utc>>,
    /// When it was first answered.
    replied_at: Option<DateTime<Utc>>,
}

/// One entry of the story of an enrolment: what the ledger says, and why.
pub struct EnrollmentStoryEntry(pub StoryEntry);

/// One entry of the story of an enrolment: what the ledger says, and why.
#[Object]
impl EnrollmentStoryEntry {
    /// The place in the ledger.
    async fn seq(&self) -> i64 {
        self.0.link.entry.seq
    }
    /// When it happened.
    async fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.link.entry.at).unwrap_or_default()
    }
    /// What it is about.
    async fn kind(&self) -> EnrollmentStoryKind {
        self.0.beat.kind.into()
    }
    /// The name of the fact in the ledger, e.g. `enrollment.advanced`.
    async fn fact(&self) -> &str {
        &self.0.link.entry.kind
    }
    /// All of it in one sentence.
    async fn sentence(&self) -> &str {
        &self.0.beat.sentence
    }
    /// Who acted; null for Tandem itself.
    async fn actor(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.link.entry.actor_id?).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// The role acted in, or `SYSTEM`.
    async fn actor_role(&self) -> &str {
        &self.0.link.entry.actor_role
    }
    /// The version of the rule that decided, e.g. `sequence:welcome@3`.
    async fn rule(&self) -> Option<&str> {
        self.0.link.entry.rule.as_deref()
    }
    /// The state before, for a transition, e.g. `WAITING(TIME)`.
    async fn state_before(&self) -> Option<&str> {
        self.0.link.entry.state_before.as_deref()
    }
    /// The state after, for a transition.
    async fn state_after(&self) -> Option<&str> {
        self.0.link.entry.state_after.as_deref()
    }
    /// The reason code.
    async fn reason(&self) -> Option<&str> {
        self.0.link.entry.reason.as_deref()
    }
    /// The steps that were taken, in their order.
    async fn steps(&self) -> Vec<EnrollmentStoryStep> {
        self.0.beat.steps.iter().cloned().map(Into::into).collect()
    }
    /// What the run waits or pauses for after it.
    async fn waits(&self) -> Option<EnrollmentStoryWait> {
        let story::Waits { reason, until, held_by } = self.0.beat.waits.clone()?;
        Some(EnrollmentStoryWait { reason, until, held_by })
    }
    /// The rule that ended the run.
    async fn grounds(&self) -> Option<EnrollmentStoryGrounds> {
        let story::Grounds { rule, text } = self.0.beat.grounds.clone()?;
        Some(EnrollmentStoryGrounds { rule, text })
    }
    /// The e-mail it is about, as it is now.
    async fn email(&self) -> Option<EmailNode> {
        self.0.email.as_ref().map(|(email, _)| EmailNode(email.clone()))
    }
    /// What the person did with that e-mail so far.
    async fn email_fate(&self) -> Option<EnrollmentStoryFate> {
        let (_, fate) = self.0.email.as_ref()?;
        let at = |ms: Option<i64>| ms.and_then(DateTime::from_timestamp_millis);
        Some(EnrollmentStoryFate {
            opened_at: at(fate.opened_at),
            clicked_at: at(fate.clicked_at),
            replied_at: at(fate.replied_at),
        })
    }
    /// The task it is about, as it is now.
    async fn work_item(&self) -> Option<WorkItemNode> {
        self.0.task.clone().map(WorkItemNode)
    }
    /// What the person did.
    async fn interaction(&self) -> Option<InteractionNode> {
        self.0.interaction.clone().map(InteractionNode)
    }
    /// Everything else that the ledger says.
    async fn detail(&self) -> Json<Map<String, Value>> {
        Json(self.0.link.entry.detail.clone())
    }
}
