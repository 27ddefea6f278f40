//! Types of lists, memberships and change requests.

use super::history::history;
use super::query::{membership_page, request_page};
use super::version_types::{ListDiff, ListEntries, ListVersionNode, entries};
use crate::access::UserNode;
use crate::access::types::Side;
use crate::accounts::AccountNode;
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tandem_app::AppError;
use tandem_domain::id::UserId;
use tandem_domain::target_list as domain;

/// Why an account is put on a list, taken off it, moved to another tier or suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::ChangeReason")]
pub enum ListChangeReason {
    /// It matches the ideal customer profile.
    IcpFit,
    /// It shows more interest than before.
    IntentSurge,
    /// Sales asked for it.
    SalesNominated,
    /// It is a customer already.
    ExistingCustomer,
    /// It competes with us.
    Competitor,
    /// Nobody sells there.
    OutOfTerritory,
    /// The law or a contract forbids it.
    LegalBlock,
    /// The same company is listed under another record.
    Duplicate,
    /// It became part of another company.
    Merged,
    /// It does not match the profile any more.
    NoLongerFit,
}

/// What a change request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::ChangeKind")]
pub enum ListChangeKind {
    /// Put the account on the list.
    Add,
    /// Take it off the list.
    Remove,
    /// Move it to another tier.
    Retier,
}

/// Where a change request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::RequestState")]
pub enum ChangeRequestState {
    /// Nobody's key has been turned.
    Proposed,
    /// One side agreed.
    PartiallyApproved,
    /// Both sides agreed, and the list was changed.
    Agreed,
    /// One side said no.
    Rejected,
    /// The proposer took it back.
    Withdrawn,
    /// The sides did not agree in time.
    Expired,
}

/// Where a membership stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::MembershipState")]
pub enum ListMembershipState {
    /// Asked for; nobody's key has been turned.
    Proposed,
    /// One side agreed.
    PartiallyApproved,
    /// Both sides agreed: the account is worked on.
    Active,
    /// Listed, but nothing is done with it.
    Suspended,
    /// Listed and worked on; its removal is asked for.
    RemovalProposed,
    /// Both sides agreed that it leaves.
    Removed,
    /// One side said no.
    Rejected,
    /// The proposer took the proposal back.
    Withdrawn,
    /// The sides did not agree in time.
    Expired,
}

/// One key, turned.
pub struct ListApproval(domain::Approval);

/// One key, turned.
#[Object]
impl ListApproval {
    /// Who turned it.
    async fn by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        user(ctx, self.0.by).await
    }
    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }
}

/// The keys turned so far: one side's each, by two different people.
#[derive(SimpleObject)]
pub struct ListKeys {
    /// Marketing's key.
    marketing: Option<ListApproval>,
    /// Sales' key.
    sales: Option<ListApproval>,
}

impl From<domain::Keys> for ListKeys {
    fn from(keys: domain::Keys) -> Self {
        Self { marketing: keys.marketing.map(ListApproval), sales: keys.sales.map(ListApproval) }
    }
}

/// What speaks for a change.
#[derive(SimpleObject)]
pub struct ListEvidence {
    /// In words.
    note: String,
    /// Where to read more.
    url: Option<String>,
}

/// Why and until when nothing is done with a listed account.
#[derive(SimpleObject)]
pub struct ListSuspension {
    /// Why.
    reason: ListChangeReason,
    /// In words; may be empty.
    note: String,
    /// Since when.
    since: DateTime<Utc>,
    /// When it ends by itself; null once it is permanent.
    until: Option<DateTime<Utc>>,
    /// Whether both sides made it permanent.
    permanent: bool,
    /// The keys turned for it.
    keys: ListKeys,
    /// The keys turned for ending a permanent one.
    ending: ListKeys,
}

pub(super) async fn user(ctx: &Context<'_>, id: UserId) -> Option<Result<UserNode, ApiError>> {
    let user = ctx.load(id).await.map_err(ApiError::from).transpose()?;
    Some(user.map(UserNode))
}

/// A list of accounts that marketing and sales own together.
pub struct TargetAccountListNode(pub domain::TargetAccountList);

/// A list of accounts that marketing and sales own together.
#[Object(name = "TargetAccountList")]
impl TargetAccountListNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The short name, unique among lists.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// What the list is for.
    async fn description(&self) -> &str {
        &self.0.description
    }
    /// Days that a change request stays open.
    async fn request_days(&self) -> u32 {
        self.0.request_days
    }
    /// Hours that an emergency suspension lasts at most.
    async fn suspension_hours(&self) -> u32 {
        self.0.suspension_hours
    }
    /// The number of the newest version; 0 before anything was agreed.
    async fn version(&self) -> u32 {
        self.0.version
    }
    /// When the list was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The agreed states, from the first.
    async fn versions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ListVersionNode>, ApiError> {
        let page = page(first, after, last, before)?;
        let versions = ctx.app().store.list_version_page(self.0.id, &page).await?;
        Ok(connection(versions, |version| version.id, ListVersionNode))
    }

    /// The memberships, past ones included, in the order they were proposed.
    async fn memberships(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "In one of these states; none means any.")] states: Vec<ListMembershipState>,
        #[graphql(desc = "With this tier's code.")] tier: Option<String>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ListMembershipNode>, ApiError> {
        let filter = tandem_store::target_list::MembershipFilter {
            list: Some(self.0.id),
            account: None,
            states: states.into_iter().map(Into::into).collect(),
            tier,
        };
        membership_page(ctx, &filter, page(first, after, last, before)?).await
    }

    /// The change requests, in the order they were proposed.
    async fn change_requests(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "In one of these states; none means any.")] states: Vec<ChangeRequestState>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ChangeRequestNode>, ApiError> {
        let filter = tandem_store::target_list::RequestFilter {
            list: Some(self.0.id),
            account: None,
            states: states.into_iter().map(Into::into).collect(),
        };
        request_page(ctx, &filter, page(first, after, last, before)?).await
    }

    /// The accounts that were on the list at a moment: a version counts from its own moment on.
    async fn entries_as_of(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The moment.")] at: DateTime<Utc>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<ListEntries, ApiError> {
        let page = page(first, after, last, before)?;
        let history = history(ctx, self.0.id).await?;
        Ok(entries(history.entries(history.number_at(at)), &page))
    }

    /// What separates two versions. Version 0 is the empty list.
    async fn diff(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of the earlier version.")] from: u32,
        #[graphql(desc = "The number of the later version.")] to: u32,
    ) -> Result<ListDiff, ApiError> {
        let newest = self.0.version;
        if let Some(given) = [from, to].into_iter().find(|number| *number > newest) {
            return Err(AppError::from(domain::Refusal::VersionUnknown { given, newest }).into());
        }
        let history = history(ctx, self.0.id).await?;
        let entries = |number| history.entries(number).map(|entry| (entry.account, entry.clone())).collect();
        Ok(domain::diff(&entries(from), &entries(to)).into())
    }
}

/// One candidacy of one account for one list. Its ends are final: an account that comes back gets a new one.
pub struct ListMembershipNode(pub domain::ListMembership);

/// One candidacy of one account for one list. Its ends are final: an account that comes back gets a new one.
#[Object(name = "ListMembership")]
impl ListMembershipNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The list.
    async fn list(&self, ctx: &Context<'_>) -> Option<Result<TargetAccountListNode, ApiError>> {
        let list = ctx.load(self.0.list).await.map_err(ApiError::from).transpose()?;
        Some(list.map(TargetAccountListNode))
    }
    /// The global id of the account.
    async fn account_id(&self) -> ID {
        global(self.0.account)
    }
    /// The account.
    async fn account(&self, ctx: &Context<'_>) -> Option<Result<AccountNode, ApiError>> {
        let account = ctx.load(self.0.account).await.map_err(ApiError::from).transpose()?;
        Some(account.map(AccountNode))
    }
    /// The code of the customer tier; until both sides agreed, the one asked for.
    async fn tier(&self) -> &str {
        &self.0.tier
    }
    /// Where it stands.
    async fn state(&self) -> ListMembershipState {
        self.0.state.into()
    }
    /// Counts the changes of state, tier and suspension. Approvals of a suspension name it.
    async fn revision(&self) -> u32 {
        self.0.revision
    }
    /// The keys of the latest agreed addition or change of tier.
    async fn keys(&self) -> ListKeys {
        self.0.keys.into()
    }
    /// The suspension, while it is suspended.
    async fn suspension(&self) -> Option<ListSuspension> {
        let suspension = self.0.suspension.clone()?;
        Some(ListSuspension {
            reason: suspension.reason.into(),
            note: suspension.note,
            since: suspension.since,
            until: suspension.until,
            permanent: suspension.until.is_none(),
            keys: suspension.keys.into(),
            ending: suspension.ending.into(),
        })
    }
    /// The open change request about it.
    async fn change_request(&self, ctx: &Context<'_>) -> Option<Result<ChangeRequestNode, ApiError>> {
        let request = ctx.load(self.0.request?).await.map_err(ApiError::from).transpose()?;
        Some(request.map(ChangeRequestNode))
    }
    /// When both sides first agreed.
    async fn active_since(&self) -> Option<DateTime<Utc>> {
        self.0.active_since
    }
    /// When it was first proposed.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// A request to change a list for one account.
pub struct ChangeRequestNode(pub domain::ChangeRequest);

/// A request to change a list for one account.
#[Object(name = "ChangeRequest")]
impl ChangeRequestNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The list.
    async fn list(&self, ctx: &Context<'_>) -> Option<Result<TargetAccountListNode, ApiError>> {
        let list = ctx.load(self.0.list).await.map_err(ApiError::from).transpose()?;
        Some(list.map(TargetAccountListNode))
    }
    /// The account's membership.
    async fn membership(&self, ctx: &Context<'_>) -> Option<Result<ListMembershipNode, ApiError>> {
        let member = ctx.load(self.0.membership).await.map_err(ApiError::from).transpose()?;
        Some(member.map(ListMembershipNode))
    }
    /// The global id of the account.
    async fn account_id(&self) -> ID {
        global(self.0.account)
    }
    /// The account.
    async fn account(&self, ctx: &Context<'_>) -> Option<Result<AccountNode, ApiError>> {
        let account = ctx.load(self.0.account).await.map_err(ApiError::from).transpose()?;
        Some(account.map(AccountNode))
    }
    /// What is asked for.
    async fn kind(&self) -> ListChangeKind {
        self.0.kind.into()
    }
    /// The code of the tier asked for; null for a removal.
    async fn tier(&self) -> Option<&str> {
        self.0.tier.as_deref()
    }
    /// Why.
    async fn reasons(&self) -> Vec<ListChangeReason> {
        self.0.reasons.iter().copied().map(Into::into).collect()
    }
    /// What speaks for it.
    async fn evidence(&self) -> Vec<ListEvidence> {
        let item = |item: &domain::Evidence| ListEvidence { note: item.note.clone(), url: item.url.clone() };
        self.0.evidence.iter().map(item).collect()
    }
    /// Who proposed it.
    async fn proposer(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        user(ctx, self.0.proposer).await
    }
    /// The side it was proposed for, whose key the proposal turned; null where the proposer has no side.
    async fn side(&self) -> Option<Side> {
        self.0.side.map(Into::into)
    }
    /// The keys turned for the present revision.
    async fn approvals(&self) -> ListKeys {
        self.0.approvals.into()
    }
    /// Counts the edits, from 1. Whoever decides names the revision that was read.
    async fn revision(&self) -> u32 {
        self.0.revision
    }
    /// Where it stands.
    async fn state(&self) -> ChangeRequestState {
        self.0.state.into()
    }
    /// Why it was rejected, in words; empty otherwise.
    async fn verdict(&self) -> &str {
        &self.0.verdict
    }
    /// When it ends by itself if it is not decided.
    async fn expires_at(&self) -> DateTime<Utc> {
        self.0.expires_at
    }
    /// When it was proposed.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When it was decided.
    async fn closed_at(&self) -> Option<DateTime<Utc>> {
        self.0.closed_at
    }
}
