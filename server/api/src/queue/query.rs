//! Reads of the SDR queue.

use super::types::{ChecklistNode, WorkItemKind, WorkItemNode, WorkItemState};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local_opt;
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object};
use std::fmt;
use std::str::FromStr;
use tandem_domain::work_item::{ItemState, WorkItem};
use tandem_store::Page;
use tandem_store::work_item::{QueuePlace, WorkItemFilter, place};
use uuid::Uuid;

/// The cursor of a queue: rank and id.
pub(crate) struct Place(QueuePlace);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.0, self.0.1.simple())
    }
}

impl FromStr for Place {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (rank, id) = text.split_once(':').ok_or(())?;
        Ok(Self((rank.parse().map_err(drop)?, id.parse::<Uuid>().map_err(drop)?)))
    }
}

/// A page as the store takes it.
pub(crate) fn places(page: Page<Place>) -> Page<QueuePlace> {
    let Page { limit, after, before, backward } = page;
    Page { limit, after: after.map(|place| place.0), before: before.map(|place| place.0), backward }
}

/// The cursor of a work item.
pub(crate) fn cursor(item: &WorkItem) -> Place {
    Place(place(item))
}

/// Reads of the SDR queue.
#[derive(Default)]
pub struct QueueQuery;

#[Object]
impl QueueQuery {
    /// Work items in the order in which they are handed out: by priority, then grade, then due time. A change of any
    /// of these moves an item, so a page that is read later may show it again.
    async fn work_queue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this kind.")] kind: Option<WorkItemKind>,
        #[graphql(desc = "Only these states; by default only what waits in the queue.")] states: Option<
            Vec<WorkItemState>,
        >,
        #[graphql(desc = "Only what this team may claim.")] team_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, WorkItemNode>, ApiError> {
        let states = match states {
            Some(states) => states.into_iter().map(Into::into).collect(),
            None => vec![ItemState::Queued],
        };
        let team = local_opt(team_id.as_ref(), "teamId")?;
        let filter = WorkItemFilter { states, kind: kind.map(Into::into), team, ..Default::default() };
        let page = places(page(first, after, last, before)?);
        Ok(connection(ctx.app().store.work_item_page(&filter, &page).await?, cursor, WorkItemNode))
    }

    /// The work items that the caller holds, in the order of the queue.
    async fn my_work(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, WorkItemNode>, ApiError> {
        let filter = WorkItemFilter { holder: Some(ctx.actor().person()?), ..Default::default() };
        let page = places(page(first, after, last, before)?);
        Ok(connection(ctx.app().store.work_item_page(&filter, &page).await?, cursor, WorkItemNode))
    }

    /// What must be confirmed of a lead before it may be dispatched.
    async fn checklist(&self, ctx: &Context<'_>) -> ChecklistNode {
        ChecklistNode(ctx.app().env.queue.checklist.clone())
    }
}
