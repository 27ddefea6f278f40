//! What happens in the queue.

use super::types::{WorkItemKind, WorkItemNode};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local_opt;
use crate::live::{Event, changed};
use async_graphql::futures_util::stream::{Stream, StreamExt};
use async_graphql::{Context, ID, Subscription};
use std::collections::HashSet;
use std::future::ready;
use tandem_domain::id::{TeamId, WorkItemId};
use tandem_domain::work_item::{ItemKind, WorkItem};
use tandem_store::Page;
use tandem_store::work_item::WorkItemFilter;

/// The most items of one person that are known from the beginning.
const HELD: u64 = 1_000;

/// What happens in the queue.
#[derive(Default)]
pub struct QueueSubscription;

#[Subscription]
impl QueueSubscription {
    /// Each work item that enters the queue, moves in it or leaves it, as it is then.
    async fn work_queue_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this kind.")] kind: Option<WorkItemKind>,
        #[graphql(desc = "Only what this team may claim.")] team_id: Option<ID>,
    ) -> Result<impl Stream<Item = Event<WorkItemNode>>, ApiError> {
        let kind: Option<ItemKind> = kind.map(Into::into);
        let team: Option<TeamId> = local_opt(team_id.as_ref(), "teamId")?;
        let wanted = move |item: &WorkItem| {
            kind.is_none_or(|kind| kind == item.kind) && (team.is_none() || item.team.is_none() || item.team == team)
        };
        let events = changed::<WorkItem>(ctx).await?;
        let events = events.filter(move |event| ready(event.as_ref().map_or(true, &wanted)));
        Ok(events.map(|event| event.map(WorkItemNode)))
    }

    /// Each work item that the caller claims, holds or loses, as it is then: also when somebody else took it back, or its
    /// lease ran out.
    async fn my_work_changed(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = Event<WorkItemNode>>, ApiError> {
        let me = ctx.actor().person()?;
        let events = changed::<WorkItem>(ctx).await?;
        let filter = WorkItemFilter { holder: Some(me), ..WorkItemFilter::default() };
        let held = ctx.app().store.work_item_page(&filter, &Page::first(HELD)).await?.items;
        let mut held: HashSet<WorkItemId> = held.into_iter().map(|item| item.id).collect();
        let mut wanted = move |item: &WorkItem| {
            let mine = item.claim.as_ref().is_some_and(|claim| claim.holder == me);
            if mine { held.insert(item.id) || mine } else { held.remove(&item.id) }
        };
        let events = events.filter(move |event| ready(event.as_ref().map_or(true, &mut wanted)));
        Ok(events.map(|event| event.map(WorkItemNode)))
    }
}
