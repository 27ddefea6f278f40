//! What happens to change requests.

use super::types::ChangeRequestNode;
use crate::error::ApiError;
use crate::ids::local;
use crate::live::{Event, changed};
use async_graphql::futures_util::stream::{Stream, StreamExt};
use async_graphql::{Context, ID, Subscription};
use std::future::ready;
use tandem_domain::id::ListId;
use tandem_domain::target_list::ChangeRequest;

/// What happens to change requests.
#[derive(Default)]
pub struct ListSubscription;

#[Subscription]
impl ListSubscription {
    /// Each change request of a list that is proposed, edited, approved, rejected, withdrawn or expires, as it is then.
    async fn change_request_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The list.")] list_id: ID,
    ) -> Result<impl Stream<Item = Event<ChangeRequestNode>>, ApiError> {
        let list: ListId = local(&list_id, "listId")?;
        let events = changed::<ChangeRequest>(ctx).await?;
        let events = events.filter(move |event| ready(event.as_ref().map_or(true, |request| request.list == list)));
        Ok(events.map(|event| event.map(ChangeRequestNode)))
    }
}
