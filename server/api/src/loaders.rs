//! Loads in batches what a list would otherwise ask for row by row.

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::{TokioSpawner, TokioTimer};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;
use tandem_app::AppError;
use tandem_domain::email_template::EmailTemplateVersion;
use tandem_domain::id::{EmailTemplateId, InboundDeliveryId, SequenceId};
use tandem_domain::inbound::Raw;
use tandem_domain::sequence::enrollment::StateKind;
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

/// A version of a template of e-mails: the key of the template, and the number of the version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TemplateVersionKey(pub(crate) String, pub(crate) u32);

#[async_trait::async_trait]
impl Loader<TemplateVersionKey> for StoreLoader {
    type Value = EmailTemplateVersion;
    type Error = Failed;

    async fn load(
        &self,
        keys: &[TemplateVersionKey],
    ) -> Result<HashMap<TemplateVersionKey, EmailTemplateVersion>, Failed> {
        tracing::debug!(kind = "EmailTemplateVersion", keys = keys.len(), "loads a batch");
        let named: BTreeSet<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let templates = self.store.email_templates_with_keys(&Vec::from_iter(named)).await?;
        let ids: HashMap<&str, EmailTemplateId> =
            templates.iter().map(|template| (template.key.as_str(), template.id)).collect();
        let of = |key: &TemplateVersionKey| ids.get(key.0.as_str()).map(|id| (*id, key.1));
        let found =
            self.store.email_template_versions_numbered(&keys.iter().filter_map(of).collect::<Vec<_>>()).await?;
        let found: HashMap<(EmailTemplateId, u32), EmailTemplateVersion> =
            found.into_iter().map(|version| ((version.template, version.number), version)).collect();
        Ok(keys.iter().filter_map(|key| Some((key.clone(), found.get(&of(key)?)?.clone()))).collect())
    }
}

/// The key of the enrolments of a sequence, counted by their states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CountsKey(pub(crate) SequenceId);

#[async_trait::async_trait]
impl Loader<CountsKey> for StoreLoader {
    type Value = BTreeMap<StateKind, i64>;
    type Error = Failed;

    async fn load(&self, keys: &[CountsKey]) -> Result<HashMap<CountsKey, BTreeMap<StateKind, i64>>, Failed> {
        tracing::debug!(kind = "EnrollmentCounts", keys = keys.len(), "loads a batch");
        let found = self.store.enrollment_counts_of(keys.iter().map(|key| key.0)).await?;
        Ok(found.into_iter().map(|(id, counts)| (CountsKey(id), counts)).collect())
    }
}

/// The key of how many enrolments paused with a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BacklogKey(pub(crate) SequenceId);

#[async_trait::async_trait]
impl Loader<BacklogKey> for StoreLoader {
    type Value = u64;
    type Error = Failed;

    async fn load(&self, keys: &[BacklogKey]) -> Result<HashMap<BacklogKey, u64>, Failed> {
        tracing::debug!(kind = "Backlog", keys = keys.len(), "loads a batch");
        let found = self.store.count_paused_with_each(keys.iter().map(|key| key.0)).await?;
        Ok(found.into_iter().map(|(id, count)| (BacklogKey(id), count)).collect())
    }
}

/// A loader for one request.
pub(crate) fn loader(store: Store) -> DataLoader<StoreLoader> {
    DataLoader::new(StoreLoader { store }, TokioSpawner::current(), TokioTimer::default())
}
