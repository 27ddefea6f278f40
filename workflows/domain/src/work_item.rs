//! Work items: the entries of the human queues, and the claim on one of them.
//!
//! A claim is a lease with a fencing token. The token (`fence`) grows with every claim, so whoever comes late with an
//! old one changes nothing. What a verified or recycled lead means is in [`crate::verification`].

mod task;

pub use task::{CALLED_OFF, TaskChannel, TaskOutcome, call_off};

use crate::codes;
use crate::decision::{Decision, Fact, Job};
use crate::id::{AccountId, ContactId, EnrollmentId, LeadId, TeamId, UserId, WorkItemId};
use crate::lead::Grade;
use crate::normalise;
use crate::verification::{Answer, Round};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

codes! {
    /// What kind of work it is.
    pub enum ItemKind("work item kind") {
        /// Verify a lead; at most one per lead.
        VerifyLead = "VERIFY_LEAD",
        /// Any other thing to do, usually made by a sequence.
        Task = "TASK",
    }
}

codes! {
    /// Where a work item is.
    pub enum ItemState("work item state") {
        /// Anybody of the queue may claim it.
        Queued = "QUEUED",
        /// Somebody holds it and has not begun.
        Claimed = "CLAIMED",
        /// The holder works on it.
        InProgress = "IN_PROGRESS",
        /// The holder waits for an answer.
        Waiting = "WAITING",
        /// The lead is complete.
        Verified = "VERIFIED",
        /// Sales gave the lead back; it goes to the queue next.
        Reopened = "REOPENED",
        /// The lead is put aside.
        Recycled = "RECYCLED",
        /// The lead is not one.
        Disqualified = "DISQUALIFIED",
        /// The lead repeats another.
        Duplicate = "DUPLICATE",
        /// The task is done.
        Done = "DONE",
        /// Nobody needs it any more.
        Cancelled = "CANCELLED",
    }
}

impl ItemState {
    /// Whether somebody holds it in this state.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Claimed | Self::InProgress | Self::Waiting)
    }

    /// Whether work remains to be done on it.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Claimed | Self::InProgress | Self::Waiting | Self::Reopened)
    }
}

codes! {
    /// What a holder waits for.
    pub enum WaitFor("reason to wait") {
        /// For data about the lead.
        Enrichment = "ENRICHMENT",
        /// To call at an agreed time.
        Callback = "CALLBACK",
    }
}

/// Who holds a work item, under which token, until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Who.
    pub holder: UserId,
    /// The fencing token: equal to the item's `fence` as long as the claim is good.
    pub fence: u64,
    /// When the claim ends unless it is renewed.
    pub lease_until: DateTime<Utc>,
}

/// What the holder waits for, and until when at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What for.
    pub wait_for: WaitFor,
    /// When the wait ends by itself.
    pub until: DateTime<Utc>,
    /// What to remember.
    pub note: Option<String>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The reason code of a disposition; none for a verified lead or a finished task.
    pub reason: Option<String>,
    /// What the person wrote.
    pub note: Option<String>,
    /// Who; none where a timer or a rule did.
    pub by: Option<UserId>,
    /// What came of a task that was done; none for everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskOutcome>,
    /// When.
    pub at: DateTime<Utc>,
}

/// An entry of a human queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkItem {
    /// Its id.
    pub id: WorkItemId,
    /// What kind of work it is.
    pub kind: ItemKind,
    /// The lead it is about; always present where the kind is `VERIFY_LEAD`.
    pub lead: Option<LeadId>,
    /// The person it is about.
    pub contact: ContactId,
    /// The person's company, where it is known.
    pub account: Option<AccountId>,
    /// What to do, in one line.
    pub title: String,
    /// The team whose queue it is in; none means everybody's.
    pub team: Option<TeamId>,
    /// How urgent it is: 0 (least) to 100.
    pub priority: u8,
    /// The lead's grade, where it has one.
    pub grade: Option<Grade>,
    /// When it should be done.
    pub due_at: DateTime<Utc>,
    /// Where it is.
    pub state: ItemState,
    /// Who holds it; present exactly while it is claimed, in progress or waiting.
    pub claim: Option<Claim>,
    /// The last fencing token given out; 0 before the first claim.
    pub fence: u64,
    /// Counts the changes: a timer planned under another revision does nothing.
    pub revision: u32,
    /// The checklist's answers of this round, by the item's key.
    pub answers: BTreeMap<String, Answer>,
    /// What the holder waits for; present exactly while it waits.
    pub waiting: Option<Waiting>,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// What whoever made it wants to say.
    pub notes: Option<String>,
    /// The enrolment whose step made it, where one did.
    pub enrollment: Option<EnrollmentId>,
    /// The visit of the enrolment under which it was made: with the enrolment it names the step, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit: Option<u32>,
    /// By which way it is done, where whoever made it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<TaskChannel>,
    /// The rounds before this one: a lead can be recycled or returned, and is then checked anew.
    #[serde(default)]
    pub earlier: Vec<Round>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Why a work item does not move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The claim that the caller refers to is over, or was never the caller's.
    #[error("this claim is over: the token {given} is not the one that holds the work item; claim it again")]
    StaleToken {
        /// The token given.
        given: u64,
    },
    /// Somebody holds it.
    #[error("the work item is held until {until}; take the next one, or wait for its release")]
    Held {
        /// When the lease ends.
        until: DateTime<Utc>,
    },
    /// The state machine has no such arrow.
    #[error("a work item that is {from} cannot be {verb}; read it again and choose a step that its state allows")]
    NotAllowed {
        /// Where it is.
        from: ItemState,
        /// What was asked for, as a participle.
        verb: &'static str,
    },
    /// The wait would end in the past or too far away.
    #[error("a wait ends after now and within {days} days; {until} does not")]
    WaitOutOfRange {
        /// The end asked for.
        until: DateTime<Utc>,
        /// The longest wait.
        days: u32,
    },
    /// A verification cannot be ticked off like a task, nor a task judged like a lead.
    #[error("a {kind} cannot be {verb}; use the commands for its kind")]
    WrongKind {
        /// What it is.
        kind: ItemKind,
        /// What was asked for, as a participle.
        verb: &'static str,
    },
    /// A task needs a title.
    #[error("a work item needs a title of 1 to 200 characters")]
    TitleInvalid,
    /// A text is too long.
    #[error(transparent)]
    Normalise(#[from] normalise::Refusal),
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::StaleToken { .. } => "WORK_ITEM_STALE_TOKEN",
            Self::Held { .. } => "WORK_ITEM_HELD",
            Self::NotAllowed { .. } => "WORK_ITEM_MOVE_NOT_ALLOWED",
            Self::WaitOutOfRange { .. } => "WORK_ITEM_WAIT_OUT_OF_RANGE",
            Self::WrongKind { .. } => "WORK_ITEM_WRONG_KIND",
            Self::TitleInvalid => "WORK_ITEM_TITLE_INVALID",
            Self::Normalise(refusal) => refusal.code(),
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::StaleToken { .. } => Some("token"),
            Self::WaitOutOfRange { .. } => Some("until"),
            Self::TitleInvalid => Some("title"),
            Self::Normalise(refusal) => refusal.field(),
            Self::Held { .. } | Self::NotAllowed { .. } | Self::WrongKind { .. } => None,
        }
    }
}

/// The longest notes of a task, in characters.
pub const MOST_NOTES: usize = 2_000;

/// How long claims and waits last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lease {
    /// Minutes until a claim ends unless its holder renews it.
    pub minutes: u32,
    /// The longest wait, in days.
    pub longest_wait_days: u32,
}

impl Default for Lease {
    fn default() -> Self {
        Self { minutes: 30, longest_wait_days: 30 }
    }
}

impl Lease {
    /// When a claim taken or renewed at `now` ends.
    pub fn until(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::minutes(i64::from(self.minutes))
    }
}

/// Proof of a claim: who acts, and the token that the claim gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Who acts.
    pub holder: UserId,
    /// The fencing token.
    pub fence: u64,
}

/// What a new task is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewTask {
    /// Its id.
    pub id: WorkItemId,
    /// The lead, where it is about one.
    pub lead: Option<LeadId>,
    /// The person.
    pub contact: ContactId,
    /// The person's company, where it is known.
    pub account: Option<AccountId>,
    /// What to do, in one line of 1 to 200 characters.
    pub title: String,
    /// The team whose queue it goes to.
    pub team: Option<TeamId>,
    /// 0 to 100.
    pub priority: u8,
    /// The lead's grade, where it has one.
    pub grade: Option<Grade>,
    /// When it should be done.
    pub due_at: DateTime<Utc>,
    /// More words about it, at most [`MOST_NOTES`] characters.
    pub notes: Option<String>,
    /// The enrolment whose step makes it, and its visit.
    pub made_by: Option<(EnrollmentId, u32)>,
    /// By which way it is done.
    pub channel: Option<TaskChannel>,
}

impl WorkItem {
    /// The place in the queue: ascending by this, then by id, is the order in which work is handed out. Priority counts
    /// first (higher is earlier), then the grade (better is earlier, none is last), then the due time.
    pub fn queue_rank(&self) -> i64 {
        const UNGRADED: u8 = 31;
        let urgency = i64::from(100_u8.saturating_sub(self.priority));
        let grade = i64::from(self.grade.map_or(UNGRADED, Grade::rank));
        // 45 bits of milliseconds reach the year 3084; 5 bits hold a grade; 7 bits hold the urgency.
        let due = self.due_at.timestamp_millis().clamp(0, (1 << 45) - 1);
        urgency << 50 | grade << 45 | due
    }

    /// Whether the item keeps its law: held exactly with a claim under the current token, waiting exactly with a wait.
    pub fn keeps_the_law(&self) -> bool {
        self.state.is_held() == self.claim.is_some()
            && (self.state == ItemState::Waiting) == self.waiting.is_some()
            && self.claim.as_ref().is_none_or(|claim| claim.fence == self.fence)
    }

    /// A fact about this item that names its lead and account too.
    pub(crate) fn fact(&self, kind: &'static str) -> Fact {
        Fact::ledger(kind, self.id).lead(self.lead).account(self.account).with("kind", self.kind)
    }

    /// The good claim that `token` proves; in every other case the token is stale.
    fn claim_of(&self, token: Token) -> Result<&Claim, Refusal> {
        self.claim
            .as_ref()
            .filter(|claim| claim.holder == token.holder && claim.fence == token.fence)
            .ok_or(Refusal::StaleToken { given: token.fence })
    }

    /// As [`Self::claim_of`], and the lease still runs. A lease that ran out is over at once, not only when its timer
    /// gets to it: otherwise a late holder could still write while the next one already reads.
    fn live_claim(&self, token: Token, now: DateTime<Utc>) -> Result<&Claim, Refusal> {
        let claim = self.claim_of(token)?;
        if claim.lease_until <= now { Err(Refusal::StaleToken { given: token.fence }) } else { Ok(claim) }
    }

    fn check_state(&self, verb: &'static str, allowed: &[ItemState]) -> Result<(), Refusal> {
        if allowed.contains(&self.state) { Ok(()) } else { Err(Refusal::NotAllowed { from: self.state, verb }) }
    }

    pub(crate) fn check_kind(&self, verb: &'static str, kind: ItemKind) -> Result<(), Refusal> {
        if self.kind == kind { Ok(()) } else { Err(Refusal::WrongKind { kind: self.kind, verb }) }
    }

    /// Checks that the holder with this token works on it right now.
    pub(crate) fn check_working(&self, verb: &'static str, token: Token, now: DateTime<Utc>) -> Result<(), Refusal> {
        self.live_claim(token, now)?;
        self.check_state(verb, &[ItemState::InProgress])
    }

    /// Moves on to a state; a state that is not held gives up claim and wait.
    pub(crate) fn moved(mut self, state: ItemState) -> Self {
        self.state = state;
        self.revision += 1;
        if state != ItemState::Waiting {
            self.waiting = None;
        }
        if !state.is_held() {
            self.claim = None;
        }
        self
    }

    fn with_lease(mut self, until: DateTime<Utc>) -> Self {
        if let Some(claim) = &mut self.claim {
            claim.lease_until = until;
        }
        self
    }
}

/// Makes a task and puts it into its queue.
pub fn make_task(new: NewTask, now: DateTime<Utc>) -> Result<Decision<WorkItem>, Refusal> {
    let title = new.title.trim().to_owned();
    if title.is_empty() || title.chars().count() > 200 {
        return Err(Refusal::TitleInvalid);
    }
    if let Some(notes) = &new.notes {
        normalise::at_most("notes", notes, MOST_NOTES)?;
    }
    let item = WorkItem {
        id: new.id,
        kind: ItemKind::Task,
        lead: new.lead,
        contact: new.contact,
        account: new.account,
        title,
        team: new.team,
        priority: new.priority.min(100),
        grade: new.grade,
        due_at: new.due_at,
        state: ItemState::Queued,
        claim: None,
        fence: 0,
        revision: 1,
        answers: BTreeMap::new(),
        waiting: None,
        outcome: None,
        notes: new.notes,
        enrollment: new.made_by.map(|(enrollment, _)| enrollment),
        visit: new.made_by.map(|(_, visit)| visit),
        channel: new.channel,
        earlier: Vec::new(),
        created_at: now,
    };
    let fact = item
        .fact("work_item.queued")
        .with("title", &item.title)
        .with("priority", item.priority)
        .with("due_at", item.due_at)
        .with("channel", item.channel)
        .with("enrollment", item.enrollment);
    Ok(Decision::new(item, fact))
}

/// Takes a queued item: gives its next token, and plans the end of the lease.
pub fn claim(item: WorkItem, holder: UserId, lease: &Lease, now: DateTime<Utc>) -> Result<Decision<WorkItem>, Refusal> {
    if let Some(claim) = &item.claim {
        return Err(Refusal::Held { until: claim.lease_until });
    }
    item.check_state("claimed", &[ItemState::Queued])?;
    let (from, until) = (item.state, lease.until(now));
    let mut item = item.moved(ItemState::Claimed);
    item.fence += 1;
    item.claim = Some(Claim { holder, fence: item.fence, lease_until: until });
    let (id, fence) = (item.id, item.fence);
    let fact = item
        .fact("work_item.claimed")
        .moved(from, item.state)
        .with("holder", holder)
        .with("fence", fence)
        .with("lease_until", until);
    Ok(Decision::new(item, fact).plan(Job::ExpireClaim { item: id, fence }, until))
}

/// Renews the lease from now, and plans its new end; the timers of the earlier ends become obsolete.
pub fn heartbeat(
    item: WorkItem,
    token: Token,
    lease: &Lease,
    now: DateTime<Utc>,
) -> Result<Decision<WorkItem>, Refusal> {
    item.live_claim(token, now)?;
    item.check_state("renewed", &[ItemState::Claimed, ItemState::InProgress])?;
    let until = lease.until(now);
    let item = item.with_lease(until);
    let fact = item.fact("work_item.lease_renewed").with("fence", token.fence).with("lease_until", until);
    let timer = Job::ExpireClaim { item: item.id, fence: token.fence };
    Ok(Decision::new(item, fact).plan(timer, until))
}

/// The holder begins: claimed to in progress.
pub fn start(item: WorkItem, token: Token, now: DateTime<Utc>) -> Result<Decision<WorkItem>, Refusal> {
    item.live_claim(token, now)?;
    item.check_state("started", &[ItemState::Claimed])?;
    let from = item.state;
    let item = item.moved(ItemState::InProgress);
    let fact = item.fact("work_item.started").moved(from, item.state).with("holder", token.holder);
    Ok(Decision::new(item, fact))
}

fn requeued(item: WorkItem, kind: &'static str, by: Option<UserId>) -> Decision<WorkItem> {
    let (from, holder) = (item.state, item.claim.as_ref().map(|claim| claim.holder));
    let item = item.moved(ItemState::Queued);
    let fact = item.fact(kind).moved(from, item.state).with("holder", holder).with("by", by).with("fence", item.fence);
    Decision::new(item, fact)
}

/// The holder gives it back to the queue. A lease that ran out needs no giving back, but does no harm either.
pub fn release(item: WorkItem, token: Token) -> Result<Decision<WorkItem>, Refusal> {
    item.claim_of(token)?;
    item.check_state("released", &[ItemState::Claimed, ItemState::InProgress])?;
    Ok(requeued(item, "work_item.released", Some(token.holder)))
}

/// A manager takes a held item from its holder and puts it back into the queue.
pub fn take_back(item: WorkItem, by: UserId) -> Result<Decision<WorkItem>, Refusal> {
    item.check_state("taken back", &[ItemState::Claimed, ItemState::InProgress])?;
    Ok(requeued(item, "work_item.taken_back", Some(by)))
}

/// Ends the claim `fence` if its lease has run out. None where the timer is obsolete: the claim was renewed (a later
/// timer looks after it), ended in another way, or waits under a timer of its own.
pub fn expire(item: WorkItem, fence: u64, now: DateTime<Utc>) -> Option<Decision<WorkItem>> {
    let claim = item.claim.as_ref()?;
    let over = claim.fence == fence && claim.lease_until <= now && item.state != ItemState::Waiting;
    over.then(|| requeued(item, "work_item.lease_expired", None))
}

/// The holder waits for data or for an agreed time, and keeps the item meanwhile.
pub fn wait(
    item: WorkItem,
    token: Token,
    waiting: Waiting,
    lease: &Lease,
    now: DateTime<Utc>,
) -> Result<Decision<WorkItem>, Refusal> {
    item.check_working("put to wait", token, now)?;
    let (until, days) = (waiting.until, lease.longest_wait_days);
    if until <= now || until > now + TimeDelta::days(i64::from(days)) {
        return Err(Refusal::WaitOutOfRange { until, days });
    }
    let from = item.state;
    // The lease covers the wait, so that nobody else can take the item; its wake gives a fresh lease.
    let mut item = item.moved(ItemState::Waiting).with_lease(until);
    let fact = item
        .fact("work_item.waiting")
        .moved(from, item.state)
        .because(waiting.wait_for)
        .with("until", until)
        .with("note", &waiting.note);
    item.waiting = Some(waiting);
    let timer = Job::WakeWorkItem { item: item.id, revision: item.revision };
    Ok(Decision::new(item, fact).plan(timer, until))
}

fn woken(item: WorkItem, kind: &'static str, lease: &Lease, now: DateTime<Utc>) -> Decision<WorkItem> {
    let (from, until) = (item.state, lease.until(now));
    let item = item.moved(ItemState::InProgress).with_lease(until);
    let fact = item.fact(kind).moved(from, item.state).with("lease_until", until);
    let timer = Job::ExpireClaim { item: item.id, fence: item.fence };
    Decision::new(item, fact).plan(timer, until)
}

/// The holder goes on before the wait is over.
pub fn resume(item: WorkItem, token: Token, lease: &Lease, now: DateTime<Utc>) -> Result<Decision<WorkItem>, Refusal> {
    item.claim_of(token)?;
    item.check_state("resumed", &[ItemState::Waiting])?;
    Ok(woken(item, "work_item.resumed", lease, now))
}

/// The wait is over: the item is in progress again under a fresh lease. None where the timer is obsolete.
pub fn wake(item: WorkItem, revision: u32, lease: &Lease, now: DateTime<Utc>) -> Option<Decision<WorkItem>> {
    let over = item.waiting.as_ref().is_some_and(|waiting| waiting.until <= now);
    (over && item.revision == revision).then(|| woken(item, "work_item.woken", lease, now))
}

/// The holder has done the task. A claimed task need not be started first.
pub fn complete(
    item: WorkItem,
    token: Token,
    outcome: TaskOutcome,
    note: Option<String>,
    now: DateTime<Utc>,
) -> Result<Decision<WorkItem>, Refusal> {
    item.check_kind("completed", ItemKind::Task)?;
    item.live_claim(token, now)?;
    item.check_state("completed", &[ItemState::Claimed, ItemState::InProgress])?;
    let from = item.state;
    let mut item = item.moved(ItemState::Done);
    let fact = item
        .fact("work_item.completed")
        .moved(from, item.state)
        .with("by", token.holder)
        .with("outcome", outcome)
        .with("note", &note);
    item.outcome = Some(Outcome { reason: None, note, by: Some(token.holder), task: Some(outcome), at: now });
    Ok(Decision::new(item, fact))
}

/// Nobody needs the item any more (its enrolment ended, or its lead did). An item that is held is left to its holder.
pub fn cancel(item: WorkItem, reason: &str, now: DateTime<Utc>) -> Result<Decision<WorkItem>, Refusal> {
    if let Some(claim) = &item.claim {
        return Err(Refusal::Held { until: claim.lease_until });
    }
    item.check_state("cancelled", &[ItemState::Queued])?;
    let from = item.state;
    let mut item = item.moved(ItemState::Cancelled);
    item.outcome = Some(Outcome { reason: Some(reason.to_owned()), note: None, by: None, task: None, at: now });
    let fact = item.fact("work_item.cancelled").moved(from, item.state).because(reason);
    Ok(Decision::new(item, fact))
}
