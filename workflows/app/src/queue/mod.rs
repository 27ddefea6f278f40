//! Commands on work items: claims, waits, and their timers; and, in files of their own, tasks and verdicts.

mod tasks;
mod verdict;

pub use tasks::{Closed, TaskCancel, TaskComplete, TaskCreate};
pub use verdict::{
    ChecklistAnswer, WorkItemAnswer, WorkItemDisqualify, WorkItemMarkDuplicate, WorkItemRecycle, WorkItemVerify,
};

use crate::leads::obsolete;
use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tandem_domain::access::User;
use tandem_domain::decision::Decision;
use tandem_domain::id::WorkItemId;
use tandem_domain::lead::Lead;
use tandem_domain::verification::{self, Case};
use tandem_domain::work_item::{ItemKind, Token, WaitFor, Waiting, WorkItem};
use tandem_store::Tx;

/// An item and, where it verifies one, its lead, both to be changed: the item first, as everywhere.
async fn case(tx: &Tx, item: WorkItemId) -> Result<Case> {
    let item: WorkItem = tx.get(item).await?.ok_or(AppError::NotFound { what: "WorkItem", id: item.into() })?;
    let lead = lead_of(tx, &item).await?;
    Ok((item, lead))
}

async fn lead_of(tx: &Tx, item: &WorkItem) -> Result<Option<Lead>> {
    match (item.kind, item.lead) {
        (ItemKind::VerifyLead, Some(lead)) => Ok(tx.get(lead).await?),
        _ => Ok(None),
    }
}

/// The caller's token: the fence given, in the caller's own hand.
fn token(call: &Call, fence: u64) -> Result<Token> {
    Ok(Token { holder: call.actor.person()?, fence })
}

/// Takes one queued item.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemClaim {
    /// The item.
    pub item: WorkItemId,
}

impl Command for WorkItemClaim {
    const NAME: &'static str = "workItemClaim";
    type Output = Case;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Case>> {
        let holder = call.actor.person()?;
        let case = case(tx, self.item).await?;
        Ok(verification::claim(case, holder, &env.queue.policy, call.now(env))?)
    }
}

/// Takes the first item of the caller's queue: that of the caller's team, and everybody's.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemClaimNext {
    /// Only of this kind.
    pub kind: Option<ItemKind>,
}

impl Command for WorkItemClaimNext {
    const NAME: &'static str = "workItemClaimNext";
    type Output = Case;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Case>> {
        let holder = call.actor.person()?;
        let team = tx.peek::<User>(holder).await?.and_then(|user| user.team);
        let Some(item) = tx.next_queued(self.kind, team).await? else {
            return Err(AppError::refused("QUEUE_EMPTY", "nothing waits in your queue; ask again later", None));
        };
        let lead = lead_of(tx, &item).await?;
        Ok(verification::claim((item, lead), holder, &env.queue.policy, call.now(env))?)
    }
}

/// Renews the lease of a claim.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemHeartbeat {
    /// The item.
    pub item: WorkItemId,
    /// The fencing token that the claim gave.
    pub token: u64,
}

impl Command for WorkItemHeartbeat {
    const NAME: &'static str = "workItemHeartbeat";
    type Output = Case;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Case>> {
        let token = token(call, self.token)?;
        Ok(verification::heartbeat(case(tx, self.item).await?, token, &env.queue.policy, call.now(env))?)
    }
}

/// Gives an item back to its queue.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemRelease {
    /// The item.
    pub item: WorkItemId,
    /// The fencing token that the claim gave.
    pub token: u64,
}

impl Command for WorkItemRelease {
    const NAME: &'static str = "workItemRelease";
    type Output = Case;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Case>> {
        let token = token(call, self.token)?;
        Ok(verification::release(case(tx, self.item).await?, token, &env.queue.policy, call.now(env))?)
    }
}

/// A manager takes an item from its holder and puts it back into its queue.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemTakeBack {
    /// The item.
    pub item: WorkItemId,
}

impl Command for WorkItemTakeBack {
    const NAME: &'static str = "workItemTakeBack";
    type Output = Case;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Case>> {
        let by = call.actor.person()?;
        Ok(verification::take_back(case(tx, self.item).await?, by, &env.queue.policy, call.now(env))?)
    }
}

/// The holder begins.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemStart {
    /// The item.
    pub item: WorkItemId,
    /// The fencing token that the claim gave.
    pub token: u64,
}

impl Command for WorkItemStart {
    const NAME: &'static str = "workItemStart";
    type Output = Case;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Case>> {
        let token = token(call, self.token)?;
        Ok(verification::start(case(tx, self.item).await?, token, call.now(env))?)
    }
}

/// The holder waits for data or for an agreed time, and keeps the item.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemWait {
    /// The item.
    pub item: WorkItemId,
    /// The fencing token that the claim gave.
    pub token: u64,
    /// What for.
    pub wait_for: WaitFor,
    /// When the wait ends by itself.
    pub until: DateTime<Utc>,
    /// What to remember.
    pub note: Option<String>,
}

impl Command for WorkItemWait {
    const NAME: &'static str = "workItemWait";
    type Output = Case;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Case>> {
        let token = token(call, self.token)?;
        let waiting = Waiting { wait_for: self.wait_for, until: self.until, note: self.note.clone() };
        Ok(verification::wait(case(tx, self.item).await?, token, waiting, &env.queue.policy, call.now(env))?)
    }
}

/// The holder goes on before the wait is over.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemResume {
    /// The item.
    pub item: WorkItemId,
    /// The fencing token that the claim gave.
    pub token: u64,
}

impl Command for WorkItemResume {
    const NAME: &'static str = "workItemResume";
    type Output = Case;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Case>> {
        let token = token(call, self.token)?;
        Ok(verification::resume(case(tx, self.item).await?, token, &env.queue.policy, call.now(env))?)
    }
}

/// A lease ran out. A timer runs it.
#[derive(Debug, Clone, Serialize)]
pub struct ClaimExpire {
    /// The item.
    pub item: WorkItemId,
    /// The fencing token of the claim.
    pub fence: u64,
}

impl Command for ClaimExpire {
    const NAME: &'static str = "claimExpire";
    type Output = Case;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Case>> {
        let case = case(tx, self.item).await?;
        verification::expire(case, self.fence, &env.queue.policy, call.now(env))?.ok_or_else(obsolete)
    }
}

/// A wait is over. A timer runs it.
#[derive(Debug, Clone, Serialize)]
pub struct WorkItemWake {
    /// The item.
    pub item: WorkItemId,
    /// The revision that the timer was planned under.
    pub revision: u32,
}

impl Command for WorkItemWake {
    const NAME: &'static str = "workItemWake";
    type Output = Case;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Case>> {
        let case = case(tx, self.item).await?;
        verification::wake(case, self.revision, &env.queue.policy, call.now(env))?.ok_or_else(obsolete)
    }
}
