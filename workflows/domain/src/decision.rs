//! What a rule decided: the next state, why (facts), and what must follow (jobs).

use crate::id::{
    AccountId, ChangeRequestId, ContactId, EmailId, EnrollmentId, HandoffId, InboundDeliveryId, LeadId, ListId,
    OpportunityId, WorkItemId,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Which book a fact belongs to. Both are the same hash-chained, append-only record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Book {
    /// Business: something happened to an account, a lead, an opportunity or a list.
    Ledger,
    /// Administration: users, tokens, definitions and settings.
    Audit,
}

/// What a fact is about: the kind of thing (its GraphQL type name) and its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The type name, e.g. `Lead`.
    pub kind: &'static str,
    /// The thing's id.
    pub id: Uuid,
}

impl Subject {
    /// Names a thing by its type and id.
    pub fn new(kind: &'static str, id: impl Into<Uuid>) -> Self {
        Self { kind, id: id.into() }
    }
}

macro_rules! subjects {
    ($($id:ty => $kind:literal),+ $(,)?) => { $(
        impl From<$id> for Subject { fn from(id: $id) -> Self { Self::new($kind, id) } }
    )+ };
}
subjects! {
    AccountId => "Account",
    ContactId => "Contact",
    LeadId => "Lead",
    ListId => "TargetAccountList",
    crate::id::MembershipId => "ListMembership",
    ChangeRequestId => "ChangeRequest",
    crate::id::ListVersionId => "ListVersion",
    crate::id::SequenceId => "Sequence",
    crate::id::SequenceVersionId => "SequenceVersion",
    EnrollmentId => "Enrollment",
    EmailId => "Email",
    crate::id::SuppressionId => "Suppression",
    WorkItemId => "WorkItem",
    OpportunityId => "Opportunity",
    HandoffId => "Handoff",
    crate::id::UserId => "User",
    crate::id::TeamId => "Team",
    crate::id::TokenId => "AccessToken",
    crate::id::CustomFieldId => "CustomField",
    crate::id::TermId => "TaxonomyTerm",
    crate::id::CalendarId => "WorkingCalendar",
    crate::id::PoolId => "Pool",
    crate::id::RoutingTableId => "RoutingTable",
    crate::id::InboundWebhookId => "InboundWebhook",
    InboundDeliveryId => "InboundDelivery",
    crate::id::OutboundWebhookId => "OutboundWebhook",
    crate::id::OutboundDeliveryId => "OutboundDelivery",
    crate::id::EventSourceId => "EventSource",
    crate::id::EventBatchId => "EventBatch",
    crate::id::IngestedEventId => "IngestedEvent",
    crate::id::VisitorId => "Visitor",
    crate::id::InteractionId => "Interaction",
    crate::id::ReceivedEmailId => "ReceivedEmail",
    crate::id::SequenceMigrationId => "SequenceMigration",
    crate::id::ExperimentId => "Experiment",
    crate::id::OutboundChannelId => "OutboundChannel",
    crate::id::OutboundCallId => "OutboundCall",
    crate::id::TriggerSkipId => "TriggerSkip",
    crate::id::ContactPolicyId => "ContactPolicy",
    crate::id::SendingMailboxId => "SendingMailbox",
    crate::id::EmailTemplateId => "EmailTemplate",
    crate::id::EmailTemplateVersionId => "EmailTemplateVersion",
}

/// The id in the sentence of a refusal: that by which others know the thing.
pub(crate) fn known_as<I: Copy + Into<Subject>>(id: &I) -> String {
    let Subject { kind, id } = (*id).into();
    crate::id::global(kind, id)
}

/// Something that happened, in the words of the ledger. Facts are never changed or removed.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// Past tense, `family.verb`, e.g. `handoff.accepted`. Stable.
    pub kind: &'static str,
    /// Which book it goes into.
    pub book: Book,
    /// What it is about.
    pub subject: Subject,
    /// The lead it concerns, where it concerns one: the ledger is read lead by lead.
    pub lead: Option<LeadId>,
    /// The account it concerns, where it concerns one.
    pub account: Option<AccountId>,
    /// The states before and after, where it is a transition.
    pub moved: Option<(String, String)>,
    /// The reason code, where one was given or decided.
    pub reason: Option<String>,
    /// The version of the rule that decided, e.g. `pool:enterprise@3`.
    pub rule: Option<String>,
    /// Everything else that a reader of the record needs.
    pub detail: Map<String, Value>,
}

impl Fact {
    fn new(book: Book, kind: &'static str, subject: impl Into<Subject>) -> Self {
        let (subject, detail) = (subject.into(), Map::new());
        Self { kind, book, subject, lead: None, account: None, moved: None, reason: None, rule: None, detail }
    }

    /// A fact of the business.
    pub fn ledger(kind: &'static str, subject: impl Into<Subject>) -> Self {
        Self::new(Book::Ledger, kind, subject)
    }

    /// A fact of administration.
    pub fn audit(kind: &'static str, subject: impl Into<Subject>) -> Self {
        Self::new(Book::Audit, kind, subject)
    }

    /// Names the lead concerned.
    pub fn lead(mut self, lead: impl Into<Option<LeadId>>) -> Self {
        self.lead = lead.into();
        self
    }

    /// Names the account concerned.
    pub fn account(mut self, account: impl Into<Option<AccountId>>) -> Self {
        self.account = account.into();
        self
    }

    /// Records a transition.
    pub fn moved(mut self, from: impl std::fmt::Display, to: impl std::fmt::Display) -> Self {
        self.moved = Some((from.to_string(), to.to_string()));
        self
    }

    /// Records the reason code.
    pub fn because(mut self, reason: impl std::fmt::Display) -> Self {
        self.reason = Some(reason.to_string());
        self
    }

    /// Records the version of the rule that decided.
    pub fn under(mut self, rule: impl std::fmt::Display) -> Self {
        self.rule = Some(rule.to_string());
        self
    }

    /// Adds a detail. A value that has no JSON form is recorded as null.
    pub fn with(mut self, key: &str, value: impl Serialize) -> Self {
        self.detail.insert(key.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
        self
    }
}

/// Work that must follow a decision. The form is stored, so a variant is never renamed.
///
/// Every handler looks again at the state it finds: a timer whose moment has passed does nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Job {
    /// Run the next step of an enrolment; `visit` is the visit it was planned for.
    AdvanceEnrollment {
        /// The enrolment.
        enrollment: EnrollmentId,
        /// The visit counter at the time of planning: another visit makes the job obsolete.
        visit: u32,
    },
    /// Resume a part of the enrolments that paused with their sequence, and plan itself again while there are more.
    ResumeEnrollments {
        /// The sequence.
        sequence: crate::id::SequenceId,
        /// The sequence's revision at the time of planning.
        revision: u32,
        /// How many earlier parts resumed.
        #[serde(default)]
        done: u64,
    },
    /// Deliver an e-mail whose attempt has been planned.
    DeliverEmail {
        /// The e-mail.
        email: EmailId,
    },
    /// Look for somebody to offer a handoff to.
    MatchHandoff {
        /// The handoff.
        handoff: HandoffId,
        /// The attempt it was planned for.
        attempt: u32,
    },
    /// Take back an offer that nobody answered.
    ExpireOffer {
        /// The handoff.
        handoff: HandoffId,
        /// The attempt whose offer runs out.
        attempt: u32,
    },
    /// Take an accepted opportunity back when the promise to work it was broken.
    CheckHandoffSla {
        /// The handoff.
        handoff: HandoffId,
        /// The revision whose clock runs out.
        revision: u32,
    },
    /// Put a claimed work item back when its lease has run out.
    ExpireClaim {
        /// The work item.
        item: WorkItemId,
        /// The fencing token of the claim.
        fence: u64,
    },
    /// Bring a waiting work item back into progress or the queue.
    WakeWorkItem {
        /// The work item.
        item: WorkItemId,
        /// The revision that planned it.
        revision: u32,
    },
    /// Bring a recycled lead back when its date has come.
    WakeLead {
        /// The lead.
        lead: LeadId,
        /// The revision that planned it.
        revision: u32,
    },
    /// End an emergency suspension that was not made permanent.
    EndSuspension {
        /// The list.
        list: ListId,
        /// The suspended account.
        account: AccountId,
        /// The membership revision that planned it.
        revision: u32,
    },
    /// End a change request that was not agreed in time.
    ExpireChangeRequest {
        /// The change request.
        request: ChangeRequestId,
    },
    /// Do what an inbound webhook does with a delivery.
    RunInboundDelivery {
        /// The delivery.
        delivery: InboundDeliveryId,
        /// The round it was planned for.
        round: u32,
    },
    /// Apply events that were stored, and plan itself again while there are more.
    ApplyEvents {
        /// Where they came from.
        source: crate::id::EventSourceId,
        /// Which.
        batch: crate::id::EventBatchId,
    },
    /// Try to deliver an event to a webhook.
    DeliverWebhook {
        /// The delivery.
        delivery: crate::id::OutboundDeliveryId,
        /// The round it was planned for.
        round: u32,
    },
    /// Deliver once more what failed, and plan itself again while there is more.
    ReplayWebhook {
        /// The webhook.
        webhook: crate::id::OutboundWebhookId,
        /// From when on.
        since: DateTime<Utc>,
        /// When that was asked for.
        until: DateTime<Utc>,
        /// The last delivery of the part before.
        after: Option<crate::id::OutboundDeliveryId>,
    },
    /// Let an enrolment go on that paused until a moment.
    WakeEnrollment {
        /// The enrolment.
        enrollment: EnrollmentId,
        /// The visit that planned it.
        visit: u32,
    },
    /// Do what an e-mail that arrived does.
    ApplyReceivedEmail {
        /// The e-mail.
        received: crate::id::ReceivedEmailId,
    },
    /// Resume a sequence that paused until a moment.
    WakeSequence {
        /// The sequence.
        sequence: crate::id::SequenceId,
        /// The sequence's revision at the time of planning.
        revision: u32,
    },
    /// Move or end a part of the enrolments that a migration is about, and plan itself again while there are more.
    MigrateEnrollments {
        /// The migration.
        migration: crate::id::SequenceMigrationId,
        /// The migration's revision at the time of planning.
        revision: u32,
    },
    /// Try to make the call that a step asks for.
    MakeCall {
        /// The call.
        call: crate::id::OutboundCallId,
        /// The round it was planned for.
        round: u32,
    },
    /// Look for new e-mails in the mailbox that answers come to.
    PollInbox {},
    /// Move leads that their timers should have moved.
    SweepLeads {},
    /// Forget what nobody can ask for any more.
    Prune {},
    /// Start the runs of those whom a trigger means, part by part.
    StartByTrigger {
        /// The sequence.
        sequence: crate::id::SequenceId,
        /// The version that has the trigger.
        version: crate::id::SequenceVersionId,
        /// The trigger's key.
        trigger: String,
        /// What set it off.
        cause: crate::sequence::trigger::Cause,
        /// Behind whom this part begins.
        after: Option<Uuid>,
    },
    /// Let runs hear of a stretch of the ledger, part by part.
    HearFacts {
        /// Behind this place.
        from: i64,
        /// Up to this place.
        to: i64,
        /// Behind which run this part begins.
        after: Option<EnrollmentId>,
    },
    /// Give the next e-mails that wait for a mailbox their moments, and plan itself again while there are more.
    SpreadMailbox {
        /// The mailbox.
        mailbox: crate::id::SendingMailboxId,
        /// The round it was planned for.
        round: u32,
    },
}

impl Job {
    /// The stable name, as stored.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::AdvanceEnrollment { .. } => "advance_enrollment",
            Self::ResumeEnrollments { .. } => "resume_enrollments",
            Self::DeliverEmail { .. } => "deliver_email",
            Self::MatchHandoff { .. } => "match_handoff",
            Self::ExpireOffer { .. } => "expire_offer",
            Self::CheckHandoffSla { .. } => "check_handoff_sla",
            Self::ExpireClaim { .. } => "expire_claim",
            Self::WakeWorkItem { .. } => "wake_work_item",
            Self::WakeLead { .. } => "wake_lead",
            Self::EndSuspension { .. } => "end_suspension",
            Self::ExpireChangeRequest { .. } => "expire_change_request",
            Self::RunInboundDelivery { .. } => "run_inbound_delivery",
            Self::ApplyEvents { .. } => "apply_events",
            Self::DeliverWebhook { .. } => "deliver_webhook",
            Self::ReplayWebhook { .. } => "replay_webhook",
            Self::WakeEnrollment { .. } => "wake_enrollment",
            Self::ApplyReceivedEmail { .. } => "apply_received_email",
            Self::WakeSequence { .. } => "wake_sequence",
            Self::MigrateEnrollments { .. } => "migrate_enrollments",
            Self::MakeCall { .. } => "make_call",
            Self::PollInbox {} => "poll_inbox",
            Self::SweepLeads {} => "sweep_leads",
            Self::Prune {} => "prune",
            Self::StartByTrigger { .. } => "start_by_trigger",
            Self::HearFacts { .. } => "hear_facts",
            Self::SpreadMailbox { .. } => "spread_mailbox",
        }
    }
}

impl Job {
    /// The queue it waits in: what an operator pauses or limits as a whole.
    pub const fn queue(&self) -> &'static str {
        match self {
            Self::AdvanceEnrollment { .. } | Self::WakeEnrollment { .. } => "steps",
            Self::DeliverEmail { .. } => "mail",
            Self::DeliverWebhook { .. } | Self::MakeCall { .. } => "webhooks",
            Self::ResumeEnrollments { .. }
            | Self::ReplayWebhook { .. }
            | Self::MigrateEnrollments { .. }
            | Self::SweepLeads {}
            | Self::Prune {} => "bulk",
            _ => "default",
        }
    }

    /// How soon it is taken among the jobs that are due.
    pub const fn priority(&self) -> Priority {
        match self {
            // Somebody waits for it, or holds what somebody else could have.
            Self::MatchHandoff { .. } | Self::ExpireOffer { .. } | Self::ExpireClaim { .. } => Priority::High,
            Self::ResumeEnrollments { .. } | Self::MigrateEnrollments { .. } | Self::SweepLeads {} | Self::Prune {} => {
                Priority::Low
            }
            _ => Priority::Normal,
        }
    }

    /// Jobs of one key run one at a time, in the order in which they fell due; none for jobs that stand alone.
    pub fn ordering_key(&self) -> Option<String> {
        match self {
            Self::MatchHandoff { handoff, .. }
            | Self::ExpireOffer { handoff, .. }
            | Self::CheckHandoffSla { handoff, .. } => Some(format!("handoff:{handoff}")),
            Self::ResumeEnrollments { sequence, .. } => Some(format!("sequence:{sequence}")),
            Self::MigrateEnrollments { migration, .. } => Some(format!("migration:{migration}")),
            // A later event of a person finds what an earlier one said.
            Self::ApplyEvents { source, .. } => Some(format!("events:{source}")),
            Self::ReplayWebhook { webhook, .. } => Some(format!("webhook:{webhook}")),
            // What a trigger remembers is read and written by one at a time, and looks begun earlier end earlier.
            Self::StartByTrigger { sequence, trigger, .. } => Some(format!("trigger:{sequence}:{trigger}")),
            // Two at once would read the same part.
            Self::PollInbox {} => Some("inbox".to_owned()),
            _ => None,
        }
    }
}

/// How soon a job is taken among those that are due. A job of high priority goes before jobs that have waited for less
/// than five minutes, and one of low priority after jobs that fell due up to five minutes after it; so none starves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Priority {
    /// Somebody waits for it.
    High,
    /// As it comes.
    #[default]
    Normal,
    /// Work in bulk.
    Low,
}

/// A job and when it falls due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What to do.
    pub job: Job,
    /// Not before this moment.
    pub due: DateTime<Utc>,
    /// What the limits per key of its queue count it under; none where they do not concern it.
    pub limit_key: Option<String>,
}

impl Planned {
    /// A job that no limit per key concerns.
    pub const fn new(job: Job, due: DateTime<Utc>) -> Self {
        Self { job, due, limit_key: None }
    }
}

/// The next state, why, and what must follow. It always records at least one fact.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision changes nothing until it is committed"]
pub struct Decision<T> {
    /// The state after the decision.
    pub next: T,
    /// Why: at least one.
    pub facts: Vec<Fact>,
    /// What must follow.
    pub jobs: Vec<Planned>,
}

impl<T> Decision<T> {
    /// A decision and the fact that explains it.
    pub fn new(next: T, fact: Fact) -> Self {
        Self { next, facts: vec![fact], jobs: Vec::new() }
    }

    /// No change and so no fact: for a command that finds everything as it was asked to be. What it gives back must
    /// write nothing.
    pub fn unchanged(next: T) -> Self {
        Self { next, facts: Vec::new(), jobs: Vec::new() }
    }

    /// Adds a fact.
    pub fn record(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    /// Adds a job that falls due at `due`.
    pub fn plan(mut self, job: Job, due: DateTime<Utc>) -> Self {
        self.jobs.push(Planned::new(job, due));
        self
    }

    /// Adds a job that falls due at `due`, and that its queue's limits per key count under `key`.
    pub fn plan_under(mut self, key: impl Into<String>, job: Job, due: DateTime<Utc>) -> Self {
        self.jobs.push(Planned { limit_key: Some(key.into()), ..Planned::new(job, due) });
        self
    }

    /// Turns the state into another, keeping facts and jobs.
    pub fn map<U>(self, turn: impl FnOnce(T) -> U) -> Decision<U> {
        Decision { next: turn(self.next), facts: self.facts, jobs: self.jobs }
    }

    /// Joins two decisions that stand or fall together.
    pub fn and<U>(mut self, other: Decision<U>) -> Decision<(T, U)> {
        self.facts.extend(other.facts);
        self.jobs.extend(other.jobs);
        Decision { next: (self.next, other.next), facts: self.facts, jobs: self.jobs }
    }
}
