//! Types of leads.

use crate::access::UserNode;
use crate::accounts::{AccountNode, ContactNode};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use crate::loaders::{Failed, StoreLoader};
use crate::queue::WorkItemNode;
use crate::queue::query::{cursor, places};
use crate::sequences::EnrollmentNode;
use async_graphql::connection::Connection;
use async_graphql::dataloader::Loader;
use async_graphql::{Context, Enum, ID, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use tandem_domain::id::LeadId;
use tandem_domain::lead;
use tandem_domain::work_item::WorkItem;
use tandem_store::PageOf;
use tandem_store::work_item::WorkItemFilter;

/// Where a lead is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "lead::Stage")]
pub enum LeadStage {
    /// It came in; marketing decides what becomes of it.
    Received,
    /// A sequence works on it.
    Nurturing,
    /// Qualified by marketing (MQL); it waits for an SDR.
    Queued,
    /// An SDR holds it, or waits for an answer about it.
    Verifying,
    /// Checked and complete; the SDR dispatches it next.
    Verified,
    /// Routing looks for somebody in sales.
    Dispatched,
    /// Somebody in sales took it (SAL).
    Accepted,
    /// Sales works on it (SQL).
    Working,
    /// Sales gave it back; the return is under review.
    Returned,
    /// Put aside until a date or a better grade.
    Recycled,
    /// Sold.
    Won,
    /// Worked and not sold.
    Lost,
    /// Judged not to be a lead.
    Disqualified,
    /// The same candidacy as another lead.
    Duplicate,
    /// Ended for another reason.
    Closed,
}

/// The kind of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "lead::OwnerKind")]
pub enum LeadOwnerKind {
    /// Marketing, which decides what becomes of the lead.
    Marketing,
    /// An enrolment in a sequence.
    Sequence,
    /// The queue that SDRs take leads from.
    SdrQueue,
    /// One SDR.
    Sdr,
    /// Routing: an offer is out or is looked for, or a return is under review.
    Routing,
    /// One person in sales.
    Sales,
    /// Nobody: the lead's life is over.
    Nobody,
}

/// How well a lead matches what is wanted; A is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "lead::FitGrade")]
pub enum FitGrade {
    /// An ideal match.
    A,
    /// A good match.
    B,
    /// A weak match.
    C,
    /// No match.
    D,
}

/// Fit by intent.
#[derive(Debug, Clone, SimpleObject)]
pub struct Grade {
    /// Both in two characters, `A1` (best) to `D4`.
    code: String,
    /// How well it matches.
    fit: FitGrade,
    /// How ready it is to buy: 1 (most) to 4.
    intent: i32,
}

impl From<lead::Grade> for Grade {
    fn from(grade: lead::Grade) -> Self {
        Self { code: grade.to_string(), fit: grade.fit.into(), intent: i32::from(grade.intent as u8) + 1 }
    }
}

/// One candidacy of a contact for a purchase, from one source.
pub struct LeadNode(pub lead::Lead);

/// One candidacy of a contact for a purchase, from one source.
#[Object(name = "Lead")]
impl LeadNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The person.
    async fn contact(&self, ctx: &Context<'_>) -> Option<Result<ContactNode, ApiError>> {
        let contact = ctx.load(self.0.contact).await.map_err(ApiError::from).transpose()?;
        Some(contact.map(ContactNode))
    }
    /// The company, where it is known.
    async fn account(&self, ctx: &Context<'_>) -> Option<Result<AccountNode, ApiError>> {
        let account = ctx.load(self.0.account?).await.map_err(ApiError::from).transpose()?;
        Some(account.map(AccountNode))
    }
    /// Where it came from.
    async fn source(&self) -> &str {
        &self.0.source
    }
    /// The id that the source gave it.
    async fn external_id(&self) -> Option<&str> {
        self.0.external_id.as_deref()
    }
    /// Where it is in its life.
    async fn stage(&self) -> LeadStage {
        self.0.stage.into()
    }
    /// Since when it is there.
    async fn stage_since(&self) -> DateTime<Utc> {
        self.0.stage_since
    }
    /// The kind of whoever must move it next.
    async fn owner_kind(&self) -> LeadOwnerKind {
        self.0.owner.kind().into()
    }
    /// Who must move it next, where that is a person.
    async fn owner(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.owner.user()?).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// The enrolment that must move it next, where that is one.
    async fn owner_enrollment(&self, ctx: &Context<'_>) -> Option<Result<EnrollmentNode, ApiError>> {
        let lead::Owner::Sequence(enrollment) = self.0.owner else { return None };
        let enrollment = ctx.load(enrollment).await.map_err(ApiError::from).transpose()?;
        Some(enrollment.map(EnrollmentNode))
    }
    /// When a timer moves it if nobody else does; null exactly when its life is over.
    async fn due_at(&self) -> Option<DateTime<Utc>> {
        self.0.due_at
    }
    /// Fit by intent, once it was graded.
    async fn grade(&self) -> Option<Grade> {
        self.0.grade.map(Grade::from)
    }
    /// How urgent it is: 0 (least) to 100.
    async fn priority(&self) -> i32 {
        i32::from(self.0.priority)
    }
    /// Free labels.
    async fn tags(&self) -> Vec<&str> {
        self.0.tags.iter().map(String::as_str).collect()
    }
    /// The values of its custom fields, by key.
    async fn custom(&self) -> Json<BTreeMap<String, Value>> {
        Json(self.0.custom.clone())
    }
    /// When it came in.
    async fn received_at(&self) -> DateTime<Utc> {
        self.0.received_at
    }
    /// The reason code of the last move that had one.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }
    /// The lead that it repeats.
    async fn duplicate_of(&self, ctx: &Context<'_>) -> Option<Result<LeadNode, ApiError>> {
        let lead = ctx.load(self.0.duplicate_of?).await.map_err(ApiError::from).transpose()?;
        Some(lead.map(LeadNode))
    }
    /// The SDR who verified it last.
    async fn verified_by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.verified_by?).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// The person in sales who took it last.
    async fn sold_by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.sold_by?).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// Its work items in the order of the queue: the one that verifies it, and tasks about it.
    async fn work_items(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, WorkItemNode>, ApiError> {
        let page = places(page(first, after, last, before)?);
        // The first page of every lead of a list comes in one query; whoever reads on looks at one lead.
        let items = if page.after.is_none() && page.before.is_none() && !page.backward {
            let key = WorkItemsKey { lead: self.0.id, limit: page.limit };
            let mut items = ctx.loader().load_one(key).await.map_err(Failed::into_app)?.unwrap_or_default();
            let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
            let has_next = items.len() > limit;
            items.truncate(limit);
            PageOf { items, has_previous: false, has_next }
        } else {
            let filter = WorkItemFilter { lead: Some(self.0.id), ..WorkItemFilter::default() };
            ctx.app().store.work_item_page(&filter, &page).await?
        };
        Ok(connection(items, cursor, WorkItemNode))
    }
}

/// The first work items of a lead, and one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WorkItemsKey {
    lead: LeadId,
    limit: u64,
}

#[async_trait::async_trait]
impl Loader<WorkItemsKey> for StoreLoader {
    type Value = Vec<WorkItem>;
    type Error = Failed;

    async fn load(&self, keys: &[WorkItemsKey]) -> Result<HashMap<WorkItemsKey, Vec<WorkItem>>, Failed> {
        let mut by_limit: BTreeMap<u64, Vec<LeadId>> = BTreeMap::new();
        for key in keys {
            by_limit.entry(key.limit).or_default().push(key.lead);
        }
        let mut found: HashMap<WorkItemsKey, Vec<WorkItem>> = HashMap::new();
        for (limit, leads) in by_limit {
            for item in self.store.work_items_of_leads(&leads, limit + 1).await? {
                if let Some(lead) = item.lead {
                    found.entry(WorkItemsKey { lead, limit }).or_default().push(item);
                }
            }
        }
        Ok(found)
    }
}
