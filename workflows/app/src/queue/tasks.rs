//! Tasks: made, done, called off.

use super::token;
use crate::leads::{account_of, contact_of};
use crate::sequence::{run_of_task, task_closed};
use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tandem_domain::decision::Decision;
use tandem_domain::id::{AccountId, ContactId, LeadId, TeamId, WorkItemId};
use tandem_domain::lead::Lead;
use tandem_domain::sequence::Enrollment;
use tandem_domain::sequence::enrollment::TaskEnd;
use tandem_domain::work_item::{self, NewTask, TaskChannel, TaskOutcome, WorkItem};
use tandem_store::Tx;

/// A task at its end, and the run that waited for it.
pub type Closed = (WorkItem, Option<Enrollment>);

/// Makes a task.
#[derive(Debug, Clone, Serialize)]
pub struct TaskCreate {
    /// The lead, where it is about one.
    pub lead: Option<LeadId>,
    /// The person.
    pub contact: ContactId,
    /// The person's company.
    pub account: Option<AccountId>,
    /// What to do, in one line of 1 to 200 characters.
    pub title: String,
    /// The team whose queue it goes to; none for everybody's.
    pub team: Option<TeamId>,
    /// 0 to 100; by default 50.
    pub priority: Option<u8>,
    /// When it should be done.
    pub due_at: DateTime<Utc>,
    /// More words about it.
    pub notes: Option<String>,
    /// By which way it is done.
    pub channel: Option<TaskChannel>,
}

impl Command for TaskCreate {
    const NAME: &'static str = "taskCreate";
    type Output = WorkItem;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<WorkItem>> {
        let now = call.now(env);
        let contact = contact_of(tx, self.contact).await?;
        let lead = match self.lead {
            Some(id) => Some(tx.peek::<Lead>(id).await?.ok_or(AppError::NotFound { what: "Lead", id: id.into() })?),
            None => None,
        };
        let new = NewTask {
            id: env.id(now),
            lead: self.lead,
            contact: self.contact,
            account: account_of(tx, self.account.or(lead.as_ref().and_then(|lead| lead.account)), &contact).await?,
            title: self.title.clone(),
            team: self.team,
            priority: self.priority.unwrap_or(50),
            grade: lead.and_then(|lead| lead.grade),
            due_at: self.due_at,
            notes: self.notes.clone(),
            made_by: None,
            channel: self.channel,
        };
        Ok(work_item::make_task(new, now)?)
    }
}

async fn load(tx: &Tx, item: WorkItemId) -> Result<WorkItem> {
    tx.get(item).await?.ok_or(AppError::NotFound { what: "WorkItem", id: item.into() })
}

/// A task that was closed, with the run that goes on because of it.
async fn closed(
    tx: &Tx,
    decision: Decision<WorkItem>,
    run: Option<Enrollment>,
    end: TaskEnd,
    now: DateTime<Utc>,
) -> Result<Decision<Closed>> {
    Ok(match task_closed(tx, &decision.next, run, end, now).await? {
        Some(settled) => decision.and(settled.map(Some)),
        None => decision.map(|item| (item, None)),
    })
}

/// The holder has done a task. A run that waits for it goes on.
#[derive(Debug, Clone, Serialize)]
pub struct TaskComplete {
    /// The task.
    pub item: WorkItemId,
    /// The fencing token that the claim gave.
    pub token: u64,
    /// What came of it; `DONE` where it is not said.
    pub outcome: Option<TaskOutcome>,
    /// In words.
    pub note: Option<String>,
}

impl Command for TaskComplete {
    const NAME: &'static str = "taskComplete";
    type Output = Closed;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Closed>> {
        let (now, token) = (call.now(env), token(call, self.token)?);
        let outcome = self.outcome.unwrap_or(TaskOutcome::Done);
        let run = run_of_task(tx, self.item).await?;
        let done = work_item::complete(load(tx, self.item).await?, token, outcome, self.note.clone(), now)?;
        closed(tx, done, run, outcome.into(), now).await
    }
}

/// Calls a queued task off. A run that waits for it goes on.
#[derive(Debug, Clone, Serialize)]
pub struct TaskCancel {
    /// The task.
    pub item: WorkItemId,
    /// Why, in words.
    pub note: Option<String>,
}

impl Command for TaskCancel {
    const NAME: &'static str = "taskCancel";
    type Output = Closed;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Closed>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        let run = run_of_task(tx, self.item).await?;
        let cancelled = work_item::call_off(load(tx, self.item).await?, by, self.note.clone(), now)?;
        closed(tx, cancelled, run, TaskEnd::Cancelled, now).await
    }
}
