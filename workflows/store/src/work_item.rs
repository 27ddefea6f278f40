//! Work items, in the order of the queue.

use crate::page::{Page, PageOf};
use crate::stored::stored;
use crate::{Result, Store, Stored, Tx};
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select, Statement, Value,
};
use tandem_domain::id::{ContactId, EnrollmentId, LeadId, TeamId, UserId};
use tandem_domain::work_item::{ItemKind, ItemState, WorkItem};
use uuid::Uuid;

stored!(WorkItem, "WorkItem", "work_item", |item| {
    kind: String = item.kind.to_string(),
    state: String = item.state.to_string(),
    lead_id: Option<Uuid> = item.lead.map(Into::into),
    contact_id: Uuid = item.contact.into(),
    account_id: Option<Uuid> = item.account.map(Into::into),
    team_id: Option<Uuid> = item.team.map(Into::into),
    holder_id: Option<Uuid> = item.claim.as_ref().map(|claim| claim.holder.into()),
    enrollment_id: Option<Uuid> = item.enrollment.map(Into::into),
    queue_rank: i64 = item.queue_rank(),
    due_at: i64 = crate::ms(item.due_at),
    verifies_id: Option<Uuid> = crate::work_item::verifies(item),
});

/// The lead that the item verifies.
fn verifies(item: &WorkItem) -> Option<Uuid> {
    item.lead.filter(|_| item.kind == ItemKind::VerifyLead).map(Into::into)
}

/// Which work items to read; what is absent does not restrict.
#[derive(Debug, Clone, Default)]
pub struct WorkItemFilter {
    /// In one of these states; empty means in any.
    pub states: Vec<ItemState>,
    /// Of this kind.
    pub kind: Option<ItemKind>,
    /// Of this team's queue, or of everybody's.
    pub team: Option<TeamId>,
    /// Held by this person.
    pub holder: Option<UserId>,
    /// About this lead.
    pub lead: Option<LeadId>,
    /// About this person.
    pub contact: Option<ContactId>,
}

impl WorkItemFilter {
    fn query(&self) -> Select<row::Entity> {
        use row::Column::{ContactId, HolderId, Kind, LeadId, State, TeamId};
        let mut query = row::Entity::find();
        if !self.states.is_empty() {
            query = query.filter(State.is_in(self.states.iter().map(|state| state.as_str())));
        }
        if let Some(kind) = self.kind {
            query = query.filter(Kind.eq(kind.as_str()));
        }
        if let Some(team) = self.team {
            let mine_or_common = Condition::any().add(TeamId.eq(Uuid::from(team))).add(TeamId.is_null());
            query = query.filter(mine_or_common);
        }
        if let Some(holder) = self.holder {
            query = query.filter(HolderId.eq(Uuid::from(holder)));
        }
        if let Some(lead) = self.lead {
            query = query.filter(LeadId.eq(Uuid::from(lead)));
        }
        if let Some(contact) = self.contact {
            query = query.filter(ContactId.eq(Uuid::from(contact)));
        }
        query
    }
}

/// A place in the queue: the rank and the id.
pub type QueuePlace = (i64, Uuid);

/// The place of an item in the queue.
pub fn place(item: &WorkItem) -> QueuePlace {
    (item.queue_rank(), item.id.into())
}

fn beyond((rank, id): QueuePlace, forward: bool) -> Condition {
    use row::Column::{Id, QueueRank};
    let (rank_is_beyond, id_is_beyond) =
        if forward { (QueueRank.gt(rank), Id.gt(id)) } else { (QueueRank.lt(rank), Id.lt(id)) };
    Condition::any().add(rank_is_beyond).add(Condition::all().add(QueueRank.eq(rank)).add(id_is_beyond))
}

/// How many values one statement binds in a list.
const CHUNK: usize = 500;

impl Store {
    /// A page of work items, in the order of the queue.
    pub async fn work_item_page(&self, filter: &WorkItemFilter, page: &Page<QueuePlace>) -> Result<PageOf<WorkItem>> {
        let mut query = filter.query();
        if let Some(after) = page.after {
            query = query.filter(beyond(after, true));
        }
        if let Some(before) = page.before {
            query = query.filter(beyond(before, false));
        }
        let order = if page.backward { Order::Desc } else { Order::Asc };
        let query = query.order_by(row::Column::QueueRank, order.clone()).order_by(row::Column::Id, order);
        Ok(PageOf::cut(self.all(query.limit(page.limit + 1)).await?, page))
    }

    /// Up to `limit` work items about each of these leads, in the order of the queue: one query for a whole page.
    pub async fn work_items_of_leads(&self, leads: &[LeadId], limit: u64) -> Result<Vec<WorkItem>> {
        let mut found = Vec::new();
        for leads in leads.chunks(CHUNK) {
            let marks = (2..leads.len() + 2).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
            let sql = format!(
                "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY lead_id ORDER BY queue_rank, id) AS place \
                 FROM work_item WHERE lead_id IN ({marks})) AS ranked WHERE place <= $1 ORDER BY queue_rank, id"
            );
            let mut values: Vec<Value> = vec![i64::try_from(limit).unwrap_or(i64::MAX).into()];
            values.extend(leads.iter().map(|lead| Value::from(Uuid::from(*lead))));
            let backend = self.reader().get_database_backend();
            let statement = Statement::from_sql_and_values(backend, sql, values);
            let rows = row::Entity::find().from_raw_sql(statement).all(self.reader()).await?;
            found.extend(
                rows.into_iter().map(|row| WorkItem::parts(row).map(|(item, _)| item)).collect::<Result<Vec<_>>>()?,
            );
        }
        Ok(found)
    }
}

impl Tx {
    /// The item that verifies a lead, to change it.
    ///
    /// An item is always locked before its lead, so that two commands on the same pair never wait for each other.
    pub async fn verification_of(&self, lead: LeadId) -> Result<Option<WorkItem>> {
        let query = row::Entity::find().filter(row::Column::VerifiesId.eq(Uuid::from(lead)));
        Ok(self.select(query).await?.pop())
    }

    /// The first queued item that nobody else is about to take: of this kind, and of this team's queue or everybody's.
    /// On PostgreSQL an item that another transaction has locked is passed over, so that many people can ask at once.
    pub async fn next_queued(&self, kind: Option<ItemKind>, team: Option<TeamId>) -> Result<Option<WorkItem>> {
        use row::Column::{Id, QueueRank, TeamId};
        let filter = WorkItemFilter { states: vec![ItemState::Queued], kind, team, ..Default::default() };
        let mut query = filter.query();
        if team.is_none() {
            query = query.filter(TeamId.is_null());
        }
        let mut query = query.order_by_asc(QueueRank).order_by_asc(Id).limit(1);
        if self.is_postgres() {
            query = query.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        }
        let row = query.one(self.connection().await?).await?;
        row.map(|row| self.keep::<WorkItem>(row)).transpose()
    }

    /// The open items that an enrolment made, to change them.
    pub async fn open_items_of_enrollment(&self, enrollment: EnrollmentId) -> Result<Vec<WorkItem>> {
        let open = ItemState::ALL.iter().filter(|state| state.is_open()).map(|state| state.as_str());
        let query = row::Entity::find()
            .filter(row::Column::EnrollmentId.eq(Uuid::from(enrollment)))
            .filter(row::Column::State.is_in(open));
        self.select(query.order_by_asc(WorkItem::id_column())).await
    }
}
