//! Types of versions, the list's entries in them, and what separates two of them.

use super::history::history;
use super::types::{TargetAccountListNode, user};
use crate::access::UserNode;
use crate::accounts::AccountNode;
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tandem_domain::target_list as domain;
use tandem_store::{Page, PageOf};
use uuid::Uuid;

/// What a version did to one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::EntryChangeKind")]
pub enum ListEntryChangeKind {
    /// It came onto the list.
    Added,
    /// It left the list.
    Removed,
    /// It moved to another tier.
    Retiered,
    /// It stays on the list, but nothing is done with it.
    Suspended,
    /// It is worked on again.
    Restored,
}

/// Whether a listed account is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Standing")]
pub enum ListStanding {
    /// It is worked on.
    Active,
    /// It is listed, but nothing is done with it.
    Suspended,
}

/// One account on a list at one moment.
pub struct ListEntry(domain::Entry);

/// One account on a list at one moment.
#[Object]
impl ListEntry {
    /// The global id of the account.
    async fn account_id(&self) -> ID {
        global(self.0.account)
    }
    /// The account.
    async fn account(&self, ctx: &Context<'_>) -> Option<Result<AccountNode, ApiError>> {
        let account = ctx.load(self.0.account).await.map_err(ApiError::from).transpose()?;
        Some(account.map(AccountNode))
    }
    /// The global id of the membership.
    async fn membership_id(&self) -> ID {
        global(self.0.membership)
    }
    /// The code of the customer tier.
    async fn tier(&self) -> &str {
        &self.0.tier
    }
    /// Whether it is worked on.
    async fn standing(&self) -> ListStanding {
        self.0.standing.into()
    }
}

/// What a version did to one account.
pub struct ListEntryChange(domain::EntryChange);

/// What a version did to one account.
#[Object]
impl ListEntryChange {
    /// The global id of the account.
    async fn account_id(&self) -> ID {
        global(self.0.account)
    }
    /// The account.
    async fn account(&self, ctx: &Context<'_>) -> Option<Result<AccountNode, ApiError>> {
        let account = ctx.load(self.0.account).await.map_err(ApiError::from).transpose()?;
        Some(account.map(AccountNode))
    }
    /// The global id of the membership.
    async fn membership_id(&self) -> ID {
        global(self.0.membership)
    }
    /// What was done.
    async fn kind(&self) -> ListEntryChangeKind {
        self.0.kind.into()
    }
    /// The code of the tier after the change; for a removal the one it had.
    async fn tier(&self) -> &str {
        &self.0.tier
    }
    /// The global id of the request that asked for it; null for suspensions and their ends.
    async fn change_request_id(&self) -> Option<ID> {
        self.0.request.map(global)
    }
}

/// An account that moved to another tier between two versions.
#[derive(SimpleObject)]
pub struct ListRetiered {
    /// The code of the tier in the earlier version.
    from_tier: String,
    /// The account as it is in the later one.
    entry: ListEntry,
}

/// What separates two versions of a list.
#[derive(SimpleObject)]
pub struct ListDiff {
    /// On the list in the later one alone.
    added: Vec<ListEntry>,
    /// On the list in the earlier one alone, as they were there.
    removed: Vec<ListEntry>,
    /// In both, with another tier.
    retiered: Vec<ListRetiered>,
    /// In both, suspended only in the later one.
    suspended: Vec<ListEntry>,
    /// In both, suspended only in the earlier one.
    restored: Vec<ListEntry>,
}

impl From<domain::ListDiff> for ListDiff {
    fn from(diff: domain::ListDiff) -> Self {
        let entries = |entries: Vec<domain::Entry>| entries.into_iter().map(ListEntry).collect();
        let retiered = |moved: domain::Retiered| ListRetiered { from_tier: moved.from, entry: ListEntry(moved.entry) };
        Self {
            added: entries(diff.added),
            removed: entries(diff.removed),
            retiered: diff.retiered.into_iter().map(retiered).collect(),
            suspended: entries(diff.suspended),
            restored: entries(diff.restored),
        }
    }
}

/// How many entries there are beside those of the page.
#[derive(SimpleObject)]
pub struct ListEntryTotal {
    /// How many accounts are on the list at that moment.
    total_count: usize,
}

/// Accounts on a list at one moment.
pub(super) type ListEntries = Connection<String, ListEntry, ListEntryTotal>;

/// A page of folded entries, in the order of account ids.
pub(super) fn entries<'h>(entries: impl Iterator<Item = &'h domain::Entry>, page: &Page<Uuid>) -> ListEntries {
    let mut total = ListEntryTotal { total_count: 0 };
    let within = |id: Uuid| page.after.is_none_or(|after| id > after) && page.before.is_none_or(|before| id < before);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let counted = entries.inspect(|_entry| total.total_count += 1);
    let mut items: Vec<_> = counted.filter(|entry| within(entry.account.into())).collect();
    let more = items.len() > limit;
    let page = if page.backward {
        let items = items.split_off(items.len().saturating_sub(limit));
        PageOf { items, has_previous: more, has_next: page.before.is_some() }
    } else {
        items.truncate(limit);
        PageOf { items, has_previous: page.after.is_some(), has_next: more }
    };
    let plain: Connection<String, ListEntry> =
        connection(page, |entry| entry.account, |entry| ListEntry(entry.clone()));
    let mut counted = Connection::with_additional_fields(plain.has_previous_page, plain.has_next_page, total);
    counted.edges = plain.edges;
    counted
}

/// One agreed state of a list. It is never changed.
pub struct ListVersionNode(pub domain::ListVersion);

/// One agreed state of a list. It is never changed.
#[Object(name = "ListVersion")]
impl ListVersionNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The list.
    async fn list(&self, ctx: &Context<'_>) -> Option<Result<TargetAccountListNode, ApiError>> {
        let list = ctx.load(self.0.list).await.map_err(ApiError::from).transpose()?;
        Some(list.map(TargetAccountListNode))
    }
    /// Its number: 1, 2, 3 and so on, without gaps.
    async fn number(&self) -> u32 {
        self.0.number
    }
    /// When it was made.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }
    /// Who turned the last key; null where a timer made it.
    async fn by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        user(ctx, self.0.by?).await
    }
    /// What changed since the version before: at most one change an account.
    async fn changes(&self) -> Vec<ListEntryChange> {
        self.0.changes.iter().cloned().map(ListEntryChange).collect()
    }
    /// The accounts on the list in this version.
    async fn entries(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<ListEntries, ApiError> {
        let page = page(first, after, last, before)?;
        let history = history(ctx, self.0.list).await?;
        Ok(entries(history.entries(self.0.number), &page))
    }
}
