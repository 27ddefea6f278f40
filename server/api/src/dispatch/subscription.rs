//! What happens to offers and handoffs.

use super::types::HandoffNode;
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local;
use crate::live::{Event, changed, watched};
use async_graphql::futures_util::stream::{Stream, StreamExt};
use async_graphql::{Context, ID, Subscription};
use std::future::ready;
use tandem_domain::handoff::{Handoff, HandoffState};
use tandem_domain::id::HandoffId;

/// What happens to offers and handoffs.
#[derive(Default)]
pub struct DispatchSubscription;

#[Subscription]
impl DispatchSubscription {
    /// Each offer to the caller, from now on, escalated ones included. Those that wait already are in `myOffers`.
    async fn offer_made(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = Event<HandoffNode>>, ApiError> {
        let me = ctx.actor().person()?;
        let offered = move |handoff: &Handoff| {
            handoff.offered_to == Some(me) && matches!(handoff.state, HandoffState::Offered | HandoffState::Escalated)
        };
        let events = changed::<Handoff>(ctx).await?;
        let events = events.filter(move |event| ready(event.as_ref().map_or(true, offered)));
        Ok(events.map(|event| event.map(HandoffNode)))
    }

    /// A handoff as it is now, and then whenever it changes.
    async fn handoff_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The handoff.")] id: ID,
    ) -> Result<impl Stream<Item = Event<HandoffNode>>, ApiError> {
        let id: HandoffId = local(&id, "id")?;
        Ok(watched::<Handoff>(ctx, id.into()).await?.map(|event| event.map(HandoffNode)))
    }
}
