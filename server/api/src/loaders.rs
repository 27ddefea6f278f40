//! Loads in batches what a list would otherwise ask for row by row.

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::{TokioSpawner, TokioTimer};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;
use tandem_app::AppError;
use tandem_domain::id::InboundDeliveryId;
use tandem_domain::inbound::Raw;
use tandem_store::{Store, StoreError, Stored};
use uuid::Uuid;

/// The key of an aggregate.
pub(crate) struct RowKey<T>(Uuid, PhantomData<fn() -> T>);

impl<T> RowKey<T> {
    pub(crate) const fn new(id: Uuid) -> Self {
        Self(id, PhantomData)
    }
}
impl<T> Clone for RowKey<T> {
    fn clone(&self) -> Self {
        Self(self.0, PhantomData)
    }
}
impl<T> PartialEq for RowKey<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for RowKey<T> {}
impl<T> Hash for RowKey<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// A batch that failed; every resolver that waited for it gets the same error.
#[derive(Debug, Clone)]
pub(crate) struct Failed(Arc<StoreError>);

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self(Arc::new(error))
    }
}

impl Failed {
    pub(crate) fn into_app(self) -> AppError {
        AppError::Store(match &*self.0 {
            StoreError::Conflict => StoreError::Conflict,
            _ => StoreError::Shared(self.0),
        })
    }
}

/// Loads from the store, for one request. Families add `impl Loader<TheirKey> for StoreLoader`.
pub(crate) struct StoreLoader {
    pub(crate) store: Store,
}

#[async_trait::async_trait]
impl<T: Stored> Loader<RowKey<T>> for StoreLoader {
    type Value = T;
    type Error = Failed;

    async fn load(&self, keys: &[RowKey<T>]) -> Result<HashMap<RowKey<T>, T>, Failed> {
        tracing::debug!(kind = T::KIND, keys = keys.len(), "loads a batch");
        let found = self.store.find_many::<T>(keys.iter().map(|key| key.0)).await?;
        Ok(found.into_iter().map(|value| (RowKey::new(value.key()), value)).collect())
    }
}

/// The key of what came with a delivery to an inbound webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RawKey(pub(crate) InboundDeliveryId);

#[async_trait::async_trait]
impl Loader<RawKey> for StoreLoader {
    type Value = Raw;
    type Error = Failed;

    async fn load(&self, keys: &[RawKey]) -> Result<HashMap<RawKey, Raw>, Failed> {
        let found = self.store.inbound_raws(keys.iter().map(|key| key.0)).await?;
        Ok(found.into_iter().map(|(id, raw)| (RawKey(id), raw)).collect())
    }
}

/// A loader for one request.
pub(crate) fn loader(store: Store) -> DataLoader<StoreLoader> {
    DataLoader::new(StoreLoader { store }, TokioSpawner::current(), TokioTimer::default())
}
