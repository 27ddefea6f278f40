//! The history of lists, read and folded once for all that ask for it together.

use crate::context::ContextExt;
use crate::error::ApiError;
use crate::loaders::{Failed, StoreLoader};
use async_graphql::Context;
use async_graphql::dataloader::Loader;
use std::collections::HashMap;
use std::sync::Arc;
use tandem_domain::id::ListId;
use tandem_domain::target_list::History;

/// The key of a list's history.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct HistoryKey(ListId);

#[async_trait::async_trait]
impl Loader<HistoryKey> for StoreLoader {
    type Value = Arc<History>;
    type Error = Failed;

    async fn load(&self, keys: &[HistoryKey]) -> Result<HashMap<HistoryKey, Arc<History>>, Failed> {
        let mut histories = HashMap::with_capacity(keys.len());
        for key in keys {
            tracing::debug!(list = %key.0, "folds a history");
            let versions = self.store.list_versions(key.0).await?;
            histories.insert(key.clone(), Arc::new(History::of(&versions)));
        }
        Ok(histories)
    }
}

/// The history of a list, newer versions than those that the caller has seen included.
pub(super) async fn history(ctx: &Context<'_>, list: ListId) -> Result<Arc<History>, ApiError> {
    let history = ctx.loader().load_one(HistoryKey(list)).await.map_err(Failed::into_app)?;
    Ok(history.unwrap_or_default())
}
