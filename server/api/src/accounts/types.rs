//! Types of accounts and contacts.

use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::{ApiError, UserError};
use crate::ids::global;
use crate::interactions::types::{Asked, interactions_of};
use crate::interactions::{InteractionKind, InteractionNode};
use crate::loaders::{Failed, StoreLoader};
use crate::scalars::EmailAddress;
use crate::taxonomy::TaxonomyTermNode;
use crate::taxonomy::types::term;
use async_graphql::connection::Connection;
use async_graphql::dataloader::Loader;
use async_graphql::{Context, Enum, ID, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, HashMap};
use tandem_domain::account::Account;
use tandem_domain::contact::{self, Contact};
use tandem_domain::custom_field::Values;
use tandem_domain::id::AccountId;
use tandem_domain::taxonomy::Taxonomy;
use tandem_store::PageOf;
use tandem_store::account::ContactFilter;
use tandem_store::interaction::Of;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "tandem_app::Outcome")]
pub enum WriteOutcome {
    /// It was made.
    Created,
    /// It was there, and changed.
    Changed,
    /// It was there, and is as it was.
    Unchanged,
}

/// Whether a person agreed to be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contact::ConsentState")]
pub enum ConsentState {
    /// Agreed.
    Granted,
    /// Nobody knows.
    Unknown,
    /// Taken back, or refused.
    Withdrawn,
}

/// What a person agreed to.
#[derive(SimpleObject)]
pub struct Consent {
    /// Whether the person agreed.
    state: ConsentState,
    /// Where that is known from.
    source: Option<String>,
    /// Since when.
    at: DateTime<Utc>,
}

/// An id in another system.
#[derive(SimpleObject)]
pub struct ExternalId {
    /// The system's name.
    system: String,
    /// The id there.
    id: String,
}

fn external_ids(ids: &BTreeMap<String, String>) -> Vec<ExternalId> {
    ids.iter().map(|(system, id)| ExternalId { system: system.clone(), id: id.clone() }).collect()
}

/// A company; identified by its domains, registry number or ids in other systems.
pub struct AccountNode(pub Account);

/// A company; identified by its domains, registry number or ids in other systems.
#[Object(name = "Account")]
impl AccountNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// The domains, in lower-case ASCII. No two accounts share one.
    async fn domains(&self) -> Vec<&str> {
        self.0.domains.iter().map(String::as_str).collect()
    }
    /// The number in the register of its country: letters and digits alone.
    async fn registry_number(&self) -> Option<&str> {
        self.0.registry_number.as_deref()
    }
    /// The ids in other systems.
    async fn external_ids(&self) -> Vec<ExternalId> {
        external_ids(&self.0.external_ids)
    }
    /// How much it matters.
    async fn tier(&self, ctx: &Context<'_>) -> Option<Result<TaxonomyTermNode, ApiError>> {
        term(ctx, Taxonomy::Tier, self.0.tier.as_ref()).await
    }
    /// What it does.
    async fn industry(&self, ctx: &Context<'_>) -> Option<Result<TaxonomyTermNode, ApiError>> {
        term(ctx, Taxonomy::Industry, self.0.industry.as_ref()).await
    }
    /// Whose ground it stands on.
    async fn territory(&self, ctx: &Context<'_>) -> Option<Result<TaxonomyTermNode, ApiError>> {
        term(ctx, Taxonomy::Territory, self.0.territory.as_ref()).await
    }
    /// The country: ISO 3166-1, two letters.
    async fn country(&self) -> Option<&str> {
        self.0.country.as_deref()
    }
    /// The tags.
    async fn tags(&self) -> Vec<&str> {
        self.0.tags.iter().map(String::as_str).collect()
    }
    /// The values of the custom fields, by key.
    async fn custom_fields(&self) -> Json<&Values> {
        Json(&self.0.custom)
    }
    /// Where the record came from.
    async fn source(&self) -> Option<&str> {
        self.0.source.as_deref()
    }
    /// The people who work there, in the order they were added.
    async fn contacts(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ContactNode>, ApiError> {
        let page = page(first, after, last, before)?;
        // The first page of every account of a list comes in one query; whoever reads on looks at one account.
        let contacts = if page.after.is_none() && page.before.is_none() && !page.backward {
            let key = ContactsKey { account: self.0.id, limit: page.limit };
            let found = ctx.loader().load_one(key).await.map_err(Failed::into_app)?;
            let mut items = found.unwrap_or_default();
            let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
            let has_next = items.len() > limit;
            items.truncate(limit);
            PageOf { items, has_previous: false, has_next }
        } else {
            let filter = ContactFilter { account: Some(self.0.id), ..ContactFilter::default() };
            ctx.app().store.contact_page(&filter, &page).await?
        };
        Ok(connection(contacts, |contact| contact.id, ContactNode))
    }
    /// What the people who work there did, in the order in which it happened. For the latest, ask for the `last`.
    async fn interactions(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Of one of these kinds; none means any.")] kinds: Vec<InteractionKind>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, InteractionNode>, ApiError> {
        let asked = Asked { kinds, first, after, last, before };
        interactions_of(ctx, Of::Account(self.0.id), asked).await
    }
    /// When the record was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When the record was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// The first contacts of an account, and one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ContactsKey {
    account: AccountId,
    limit: u64,
}

#[async_trait::async_trait]
impl Loader<ContactsKey> for StoreLoader {
    type Value = Vec<Contact>;
    type Error = Failed;

    async fn load(&self, keys: &[ContactsKey]) -> Result<HashMap<ContactsKey, Vec<Contact>>, Failed> {
        let mut by_limit: BTreeMap<u64, Vec<AccountId>> = BTreeMap::new();
        for key in keys {
            by_limit.entry(key.limit).or_default().push(key.account);
        }
        let mut found: HashMap<ContactsKey, Vec<Contact>> = HashMap::new();
        for (limit, accounts) in by_limit {
            for contact in self.store.contacts_of(&accounts, limit + 1).await? {
                if let Some(account) = contact.account {
                    found.entry(ContactsKey { account, limit }).or_default().push(contact);
                }
            }
        }
        Ok(found)
    }
}

/// A person; one record per person across all sources.
pub struct ContactNode(pub Contact);

/// A person; one record per person across all sources.
#[Object(name = "Contact")]
impl ContactNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The company the person works for.
    async fn account(&self, ctx: &Context<'_>) -> Option<Result<AccountNode, ApiError>> {
        let account = ctx.load(self.0.account?).await.map_err(ApiError::from).transpose()?;
        Some(account.map(AccountNode))
    }
    /// The name.
    async fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }
    /// The e-mail address. No two contacts share one.
    async fn email(&self) -> Option<EmailAddress> {
        self.0.email.clone().map(EmailAddress)
    }
    /// The phone number in the form of E.164.
    async fn phone(&self) -> Option<&str> {
        self.0.phone.as_deref()
    }
    /// What the person does there.
    async fn title(&self) -> Option<&str> {
        self.0.title.as_deref()
    }
    /// The language to write in: a language tag.
    async fn locale(&self) -> Option<&str> {
        self.0.locale.as_deref()
    }
    /// The person's time zone, by its IANA name.
    async fn time_zone(&self) -> Option<&'static str> {
        self.0.time_zone.map(|zone| zone.name())
    }
    /// What the person agreed to.
    async fn consent(&self) -> Consent {
        let contact::Consent { state, source, at } = self.0.consent.clone();
        Consent { state: state.into(), source, at }
    }
    /// The tags.
    async fn tags(&self) -> Vec<&str> {
        self.0.tags.iter().map(String::as_str).collect()
    }
    /// The values of the custom fields, by key.
    async fn custom_fields(&self) -> Json<&Values> {
        Json(&self.0.custom)
    }
    /// The ids in other systems.
    async fn external_ids(&self) -> Vec<ExternalId> {
        external_ids(&self.0.external_ids)
    }
    /// Where the record came from.
    async fn source(&self) -> Option<&str> {
        self.0.source.as_deref()
    }
    /// What the person did, in the order in which it happened. For the latest, ask for the `last`.
    async fn interactions(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Of one of these kinds; none means any.")] kinds: Vec<InteractionKind>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, InteractionNode>, ApiError> {
        let asked = Asked { kinds, first, after, last, before };
        interactions_of(ctx, Of::Contact(self.0.id), asked).await
    }
    /// When the record was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When the record was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// What became of one row of an account import.
#[derive(SimpleObject)]
pub struct AccountRowResult {
    /// What was done; null where the row was refused.
    pub outcome: Option<WriteOutcome>,
    /// The id of the row's account; null where the row was refused.
    pub account_id: Option<ID>,
    /// Why the row did nothing; null where it was good.
    pub error: Option<UserError>,
}

/// What became of one row of a contact import.
#[derive(SimpleObject)]
pub struct ContactRowResult {
    /// What was done; null where the row was refused.
    pub outcome: Option<WriteOutcome>,
    /// The id of the row's contact; null where the row was refused.
    pub contact_id: Option<ID>,
    /// Why the row did nothing; null where it was good.
    pub error: Option<UserError>,
}
