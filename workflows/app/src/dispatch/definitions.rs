//! Commands on calendars, pools, the routing table and absences. Definitions are saved by their key: what is there under the
//! key becomes the next version, otherwise it is new.

use crate::{AppError, Call, Command, Env, Result};
use serde::Serialize;
use tandem_domain::access::{Role, User};
use tandem_domain::calendar::{self, Draft, WorkingCalendar};
use tandem_domain::decision::Decision;
use tandem_domain::id::{PoolId, UserId};
use tandem_domain::routing::{self, Absence, Pool, PoolDraft, RoutingTable, TableDraft};
use tandem_store::Tx;

/// Saves a working calendar under its key.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct WorkingCalendarSave {
    /// The definition.
    pub draft: Draft,
}

impl Command for WorkingCalendarSave {
    const NAME: &'static str = "workingCalendarSave";
    type Output = WorkingCalendar;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<WorkingCalendar>> {
        let before = tx.calendar_with_key(&self.draft.key).await?;
        Ok(calendar::save(before.as_ref(), env.id(call.now(env)), self.draft.clone())?)
    }
}

/// Saves a pool under its key. Those who stay keep their turns and absences.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct PoolSave {
    /// The definition.
    pub draft: PoolDraft,
}

impl Command for PoolSave {
    const NAME: &'static str = "poolSave";
    type Output = Pool;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Pool>> {
        let before = tx.pool_with_key(&self.draft.key).await?;
        let decision = routing::save_pool(before.as_ref(), env.id(call.now(env)), self.draft.clone())?;
        let pool = &decision.next;
        let known = tx.calendars(pool.calendars()).await?;
        if let Some(missing) = pool.calendars().into_iter().find(|id| !known.contains_key(id)) {
            return Err(AppError::NotFound { what: "WorkingCalendar", id: missing.into() });
        }
        for user in pool.members.iter().map(|member| member.user).chain(pool.escalate_to) {
            tx.peek::<User>(user).await?.ok_or(AppError::NotFound { what: "User", id: user.into() })?;
        }
        Ok(decision)
    }
}

/// Saves the routing table.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct RoutingTableSave {
    /// The definition.
    pub draft: TableDraft,
}

impl Command for RoutingTableSave {
    const NAME: &'static str = "routingTableSave";
    type Output = RoutingTable;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<RoutingTable>> {
        let before = tx.routing_table_to_change().await?;
        let decision = routing::save_table(before.as_ref(), env.id(call.now(env)), self.draft.clone())?;
        let table = &decision.next;
        for pool in table.rules.iter().map(|rule| rule.pool).chain([table.fallback]) {
            find_pool(tx, pool).await?;
        }
        Ok(decision)
    }
}

pub(super) async fn find_pool(tx: &Tx, id: PoolId) -> Result<Pool> {
    tx.peek(id).await?.ok_or(AppError::NotFound { what: "Pool", id: id.into() })
}

/// Sets when a person takes no offers, in every pool the person is a member of. People set it for themselves; managers and
/// sales ops for anybody.
#[derive(Debug, Clone, Serialize)]
pub struct OutOfOfficeSet {
    /// Who; none means whoever asks.
    pub user: Option<UserId>,
    /// When, in place of what was set before.
    pub absences: Vec<Absence>,
}

impl Command for OutOfOfficeSet {
    const NAME: &'static str = "outOfOfficeSet";
    type Output = Vec<Pool>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Vec<Pool>>> {
        let user = match self.user {
            Some(user) => user,
            None => call.actor.person()?,
        };
        let others = [Role::SalesManager, Role::SalesOps, Role::Admin];
        if call.actor.user != Some(user) && !call.actor.is_any(&others) {
            return Err(AppError::Forbidden { needed: "the person or SALES_MANAGER, SALES_OPS, ADMIN".to_owned() });
        }
        let mut whole: Option<Decision<Vec<Pool>>> = None;
        for pool in tx.pools_of(user).await? {
            let one = routing::set_out_of_office(&pool, user, self.absences.clone(), call.now(env))?;
            whole = Some(match whole {
                None => one.map(|pool| vec![pool]),
                Some(whole) => super::join(whole, one, |mut pools, pool| {
                    pools.push(pool);
                    pools
                }),
            });
        }
        whole.ok_or_else(|| {
            let message = "the person is in no pool; add the person to one first";
            AppError::refused("OUT_OF_OFFICE_WITHOUT_POOL", message, Some("userId"))
        })
    }
}
