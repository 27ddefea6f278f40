//! Dispatch and return: calendars, pools and the routing table; the dispatch of a verified lead; what sales, managers and
//! timers do with a handoff.
//!
//! A handoff, its opportunity and its lead move together, in one transaction. Rows are locked in this order: handoff,
//! work item, opportunity, lead, pool, users.

mod definitions;
mod handoffs;
mod opening;
mod returns;
mod timers;

pub use definitions::{OutOfOfficeSet, PoolSave, RoutingTableSave, WorkingCalendarSave};
pub use handoffs::{
    HandoffAccept, HandoffAssign, HandoffConvert, HandoffLose, HandoffProgress, HandoffReclaim, HandoffReject,
    HandoffStart,
};
pub use opening::OpportunityDispatch;
pub use returns::{HandoffReturn, HandoffReviewReturn};
pub use timers::{HandoffCheckSla, HandoffExpireOffer, HandoffMatch, TIMER_STALE};

use crate::{AppError, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tandem_domain::calendar::WorkingCalendar;
use tandem_domain::decision::Decision;
use tandem_domain::handoff::{Handoff, Terms};
use tandem_domain::id::{CalendarId, HandoffId, PoolId};
use tandem_domain::lead::{self, Lead};
use tandem_domain::opportunity::Opportunity;
use tandem_domain::routing::{Pool, Receipt};
use tandem_domain::work_item::WorkItem;
use tandem_store::{Save, StoreError, Tx};

/// What moved with a handoff. What is absent stayed as it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HandoffMoved {
    /// The handoff.
    pub handoff: Handoff,
    /// The handoff that goes on after a re-route.
    pub next: Option<Handoff>,
    /// The opportunity.
    #[serde(skip)]
    pub opportunity: Option<Opportunity>,
    /// The lead.
    #[serde(skip)]
    pub lead: Option<Lead>,
    /// The lead's work item.
    #[serde(skip)]
    pub item: Option<WorkItem>,
    /// The pool, whose turns changed.
    #[serde(skip)]
    pub pool: Option<Pool>,
    /// The receipt of a choice.
    #[serde(skip)]
    pub receipt: Option<Receipt>,
}

impl HandoffMoved {
    /// The handoff alone.
    const fn new(handoff: Handoff) -> Self {
        Self { handoff, next: None, opportunity: None, lead: None, item: None, pool: None, receipt: None }
    }
}

impl Save for HandoffMoved {
    async fn save(&self, tx: &Tx) -> Result<(), StoreError> {
        // A handoff that ended before the one that follows it: an opportunity has one that goes on.
        self.handoff.save(tx).await?;
        self.next.save(tx).await?;
        self.opportunity.save(tx).await?;
        self.item.save(tx).await?;
        self.lead.save(tx).await?;
        self.pool.save(tx).await?;
        self.receipt.save(tx).await
    }
}

/// A handoff with all that a decision on it needs.
struct Scene {
    handoff: Handoff,
    opportunity: Opportunity,
    lead: Lead,
    pool: Pool,
    calendars: BTreeMap<CalendarId, WorkingCalendar>,
}

impl Scene {
    /// Loads a handoff to move it: it, its opportunity and its lead are locked, the pool is read.
    async fn load(tx: &Tx, id: HandoffId) -> Result<Self> {
        let handoff: Handoff = tx.get(id).await?.ok_or(AppError::NotFound { what: "Handoff", id: id.into() })?;
        let opportunity = tx.get::<Opportunity>(handoff.opportunity).await?;
        let id = handoff.opportunity.into();
        let opportunity = opportunity.ok_or(AppError::NotFound { what: "Opportunity", id })?;
        let lead = tx.get::<Lead>(handoff.lead).await?;
        let lead = lead.ok_or(AppError::NotFound { what: "Lead", id: handoff.lead.into() })?;
        let (pool, calendars) = read_pool(tx, handoff.pool).await?;
        Ok(Self { handoff, opportunity, lead, pool, calendars })
    }

    fn terms(&self) -> Terms<'_> {
        Terms { pool: &self.pool, calendars: &self.calendars }
    }
}

async fn read_pool(tx: &Tx, id: PoolId) -> Result<(Pool, BTreeMap<CalendarId, WorkingCalendar>)> {
    let pool: Pool = tx.peek(id).await?.ok_or(AppError::NotFound { what: "Pool", id: id.into() })?;
    let calendars = tx.calendars(pool.calendars()).await?;
    Ok((pool, calendars))
}

/// Two decisions that stand or fall together, put into one value.
fn join<A, B, C>(first: Decision<A>, second: Decision<B>, put: impl FnOnce(A, B) -> C) -> Decision<C> {
    first.and(second).map(|(a, b)| put(a, b))
}

/// Moves the lead along with its handoff.
///
/// A lead that was ended or taken elsewhere meanwhile stays where it is: the handoff still needs its end on record.
fn follow(decision: Decision<HandoffMoved>, lead: Lead, now: DateTime<Utc>) -> Result<Decision<HandoffMoved>> {
    let moved = &decision.next;
    let step = moved.next.as_ref().unwrap_or(&moved.handoff).step();
    match step.filter(|_| lead.stage.is_with_sales()) {
        Some(step) => {
            let lead = lead::follow_handoff(lead, &step, now)?;
            Ok(join(decision, lead, |moved, lead| HandoffMoved { lead: Some(lead), ..moved }))
        }
        None => Ok(decision),
    }
}

/// Adds what became of the opportunity.
fn with_opportunity(decision: Decision<HandoffMoved>, opportunity: Decision<Opportunity>) -> Decision<HandoffMoved> {
    join(decision, opportunity, |moved, opportunity| HandoffMoved { opportunity: Some(opportunity), ..moved })
}
