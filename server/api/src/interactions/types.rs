//! Types of what people did, and the pages of it beside a contact or an account.

use crate::accounts::{AccountNode, ContactNode};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::events::EventSourceNode;
use crate::ids::global;
use crate::loaders::{Failed, StoreLoader};
use async_graphql::connection::Connection;
use async_graphql::dataloader::Loader;
use async_graphql::{Context, Enum, ID, Json, Object};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use tandem_domain::interaction::{self, Interaction};
use tandem_store::PageOf;
use tandem_store::interaction::{InteractionFilter, Of};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "interaction::InteractionKind")]
pub enum InteractionKind {
    /// An e-mail was opened.
    EmailOpen,
    /// A link of an e-mail was followed.
    EmailClick,
    /// An e-mail was answered.
    EmailReply,
    /// A page was seen.
    Page,
    /// A screen of an app was seen.
    Screen,
    /// A form was filled in.
    Form,
    /// Something was downloaded.
    Download,
    /// Something was read for a while.
    Reading,
    /// Somebody registered for an event.
    EventRegistration,
    /// Somebody came to an event.
    CheckIn,
    /// A meeting was booked or held.
    Meeting,
    /// Anything else that was worth telling.
    Other,
}

/// Why an interaction was no person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "interaction::Automation")]
pub enum InteractionAutomation {
    /// The agent calls itself a crawler, a monitor, a preview or a script.
    Bot,
    /// A mail gateway followed the link or fetched the picture before anybody could have.
    LinkScanner,
}

/// What somebody did. It never changes; who did it may become known later.
pub struct InteractionNode(pub Interaction);

/// What somebody did. It never changes; who did it may become known later.
#[Object(name = "Interaction")]
impl InteractionNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Who did it; null until that is known.
    async fn contact(&self, ctx: &Context<'_>) -> Option<Result<ContactNode, ApiError>> {
        let contact = ctx.load(self.0.contact?).await.map_err(ApiError::from).transpose()?;
        Some(contact.map(ContactNode))
    }
    /// The company that the person worked for when it became known who did it.
    async fn account(&self, ctx: &Context<'_>) -> Option<Result<AccountNode, ApiError>> {
        let account = ctx.load(self.0.account?).await.map_err(ApiError::from).transpose()?;
        Some(account.map(AccountNode))
    }
    /// Where it was heard from; null where a user or a webhook recorded it.
    async fn source(&self, ctx: &Context<'_>) -> Option<Result<EventSourceNode, ApiError>> {
        let source = ctx.load(self.0.source?).await.map_err(ApiError::from).transpose()?;
        Some(source.map(EventSourceNode))
    }
    /// What was done.
    async fn kind(&self) -> InteractionKind {
        self.0.kind.into()
    }
    /// Its name in the sender's words, e.g. the page's or the event's.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// When it happened.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.0.occurred_at
    }
    /// When Tandem heard of it.
    async fn recorded_at(&self) -> DateTime<Utc> {
        self.0.recorded_at
    }
    /// Why it was not a person, where that is so. Such an interaction counts for nothing.
    async fn automated(&self) -> Option<InteractionAutomation> {
        self.0.automated.map(Into::into)
    }
    /// How long it took, in seconds, where that was told.
    async fn seconds(&self) -> Option<u32> {
        self.0.seconds
    }
    /// The address of the page or the link.
    async fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }
    /// What else the sender told.
    async fn properties(&self) -> Json<&Map<String, Value>> {
        Json(&self.0.properties)
    }
}

/// What a page of interactions beside something asks for.
pub(crate) struct Asked {
    pub(crate) kinds: Vec<InteractionKind>,
    pub(crate) first: Option<i32>,
    pub(crate) after: Option<String>,
    pub(crate) last: Option<i32>,
    pub(crate) before: Option<String>,
}

/// The interactions of a person or a company.
pub(crate) async fn interactions_of(
    ctx: &Context<'_>,
    of: Of,
    asked: Asked,
) -> Result<Connection<String, InteractionNode>, ApiError> {
    let Asked { kinds, first, after, last, before } = asked;
    let page = page(first, after, last, before)?;
    // The first or last page of every row of a list comes in one query; whoever reads on looks at one.
    let found = if page.after.is_none() && page.before.is_none() && kinds.is_empty() {
        let key = InteractionsKey { of, limit: page.limit, backward: page.backward };
        let mut items = ctx.loader().load_one(key).await.map_err(Failed::into_app)?.unwrap_or_default();
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        if page.backward && more {
            items.remove(0);
        }
        items.truncate(limit);
        PageOf { items, has_previous: more && page.backward, has_next: more && !page.backward }
    } else {
        let filter = InteractionFilter { of: Some(of), kinds: kinds.into_iter().map(Into::into).collect() };
        ctx.app().store.interaction_page(&filter, &page).await?
    };
    Ok(connection(found, |interaction| interaction.id, InteractionNode))
}

/// The first or last interactions of a person or a company, and one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct InteractionsKey {
    of: Of,
    limit: u64,
    backward: bool,
}

#[async_trait::async_trait]
impl Loader<InteractionsKey> for StoreLoader {
    type Value = Vec<Interaction>;
    type Error = Failed;

    async fn load(&self, keys: &[InteractionsKey]) -> Result<HashMap<InteractionsKey, Vec<Interaction>>, Failed> {
        let mut alike: BTreeMap<(u64, bool), Vec<Of>> = BTreeMap::new();
        for key in keys {
            alike.entry((key.limit, key.backward)).or_default().push(key.of);
        }
        let mut found: HashMap<InteractionsKey, Vec<Interaction>> = HashMap::new();
        for ((limit, backward), of) in alike {
            for (of, interaction) in self.store.interactions_of(&of, limit + 1, backward).await? {
                found.entry(InteractionsKey { of, limit, backward }).or_default().push(interaction);
            }
        }
        Ok(found)
    }
}
