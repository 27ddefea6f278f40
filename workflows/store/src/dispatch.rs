//! Calendars, pools, the routing table, opportunities, handoffs and routing receipts.

pub mod calendar {
    //! The calendar's row.
    use crate::stored::stored;
    use tandem_domain::calendar::WorkingCalendar;
    stored!(WorkingCalendar, "WorkingCalendar", "working_calendar", |calendar| { key: String = calendar.key.clone() },
        save_parts = changed);

    /// Whoever asks again in this transaction asks the database.
    async fn changed(_: &WorkingCalendar, tx: &crate::Tx) -> crate::Result<()> {
        tx.ahead().once.calendars = None;
        Ok(())
    }
}

pub mod pool {
    //! The pool's row.
    use crate::stored::stored;
    use tandem_domain::routing::Pool;
    stored!(Pool, "Pool", "pool", |pool| { key: String = pool.key.clone() });
}

pub mod table {
    //! The row of the one routing table.
    use crate::stored::stored;
    use tandem_domain::routing::RoutingTable;
    // The same key each time, under a unique index: a second table cannot be.
    stored!(RoutingTable, "RoutingTable", "routing_table", |_table| { key: String = "default".to_owned() });
}

pub mod opportunity {
    //! The opportunity's row.
    use crate::stored::stored;
    use tandem_domain::opportunity::Opportunity;
    stored!(Opportunity, "Opportunity", "opportunity", |opportunity| {
        lead_id: Uuid = opportunity.lead.into(),
        account_id: Option<Uuid> = opportunity.account.map(Into::into),
        contact_id: Uuid = opportunity.contact.into(),
        state: String = opportunity.state.to_string(),
        sales_id: Option<Uuid> = opportunity.sales.map(Into::into),
        created_at: i64 = crate::ms(opportunity.created_at),
    });
}

pub mod handoff {
    //! The handoff's row.
    use crate::stored::stored;
    use tandem_domain::handoff::Handoff;
    stored!(Handoff, "Handoff", "handoff", |handoff| {
        opportunity_id: Uuid = handoff.opportunity.into(),
        lead_id: Uuid = handoff.lead.into(),
        account_id: Option<Uuid> = handoff.account.map(Into::into),
        pool_id: Uuid = handoff.pool.into(),
        state: String = handoff.state.to_string(),
        holder_id: Option<Uuid> = handoff.holder().map(Into::into),
        due_at: Option<i64> = handoff.due_at.map(crate::ms),
    });
}

pub mod receipt {
    //! The receipt's row. It is written once: the table refuses updates and deletes.
    use crate::stored::stored;
    use tandem_domain::routing::Receipt;
    stored!(Receipt, "RoutingReceipt", "routing_receipt", |receipt| {
        handoff_id: Uuid = receipt.handoff.into(),
        attempt: i32 = i32::try_from(receipt.attempt).unwrap_or(i32::MAX),
        at: i64 = crate::ms(receipt.at),
    });
}

use crate::page::{Page, PageOf};
use crate::{Result, Store, Stored, Tx};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_domain::access::User;
use tandem_domain::calendar::{Calendars, WorkingCalendar};
use tandem_domain::handoff::{Handoff, HandoffState};
use tandem_domain::id::{AccountId, CalendarId, HandoffId, LeadId, OpportunityId, PoolId, UserId};
use tandem_domain::opportunity::{Opportunity, OpportunityState};
use tandem_domain::routing::{Pool, Receipt, RoutingTable};
use uuid::Uuid;

/// Which opportunities to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct OpportunityFilter {
    /// In one of these states; empty means any.
    pub states: Vec<OpportunityState>,
    /// From this lead.
    pub lead: Option<LeadId>,
    /// Of this company.
    pub account: Option<AccountId>,
    /// Taken last by this person in sales.
    pub sales: Option<UserId>,
}

/// Which handoffs to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct HandoffFilter {
    /// In one of these states; empty means any.
    pub states: Vec<HandoffState>,
    /// Of this opportunity.
    pub opportunity: Option<OpportunityId>,
    /// From this lead.
    pub lead: Option<LeadId>,
    /// Of this company.
    pub account: Option<AccountId>,
    /// In this pool.
    pub pool: Option<PoolId>,
    /// Held by this person: offered to, accepted or worked on by.
    pub holder: Option<UserId>,
}

impl HandoffFilter {
    fn query(&self) -> Select<handoff::row::Entity> {
        use handoff::row::{Column, Entity};
        let mut query = Entity::find();
        if !self.states.is_empty() {
            query = query.filter(Column::State.is_in(self.states.iter().map(|state| state.as_str())));
        }
        let equal = [
            (Column::OpportunityId, self.opportunity.map(Uuid::from)),
            (Column::LeadId, self.lead.map(Uuid::from)),
            (Column::AccountId, self.account.map(Uuid::from)),
            (Column::PoolId, self.pool.map(Uuid::from)),
            (Column::HolderId, self.holder.map(Uuid::from)),
        ];
        for (column, id) in equal {
            if let Some(id) = id {
                query = query.filter(column.eq(id));
            }
        }
        query
    }
}

impl Tx {
    /// These calendars, only to be read; one that does not exist is left out.
    pub async fn calendars(
        &self,
        ids: impl IntoIterator<Item = CalendarId>,
    ) -> Result<BTreeMap<CalendarId, WorkingCalendar>> {
        use calendar::row::{Column, Entity};
        let query = Entity::find().filter(Column::Id.is_in(ids.into_iter().map(Uuid::from)));
        let found: Vec<WorkingCalendar> = self.read(query).await?;
        Ok(found.into_iter().map(|calendar| (calendar.id, calendar)).collect())
    }

    /// Every calendar by its key, only to be read: at most one statement a transaction. There are few, so all are read.
    pub async fn calendars_by_key(&self) -> Result<Arc<Calendars>> {
        let held = self.ahead().once.calendars.clone();
        if let Some(held) = held {
            return Ok(held);
        }
        let found: Vec<WorkingCalendar> = self.read(calendar::row::Entity::find()).await?;
        let found = Arc::new(found.into_iter().map(|one| (one.key.clone(), one)).collect::<Calendars>());
        self.ahead().once.calendars = Some(found.clone());
        Ok(found)
    }

    /// The calendar with this key, to change it.
    pub async fn calendar_with_key(&self, key: &str) -> Result<Option<WorkingCalendar>> {
        let query = calendar::row::Entity::find().filter(calendar::row::Column::Key.eq(key));
        Ok(self.select(query).await?.pop())
    }

    /// The pool with this key, to change it.
    pub async fn pool_with_key(&self, key: &str) -> Result<Option<Pool>> {
        Ok(self.select(pool::row::Entity::find().filter(pool::row::Column::Key.eq(key))).await?.pop())
    }

    /// Every pool that a person is a member of, to change it. There are few pools, so all are looked through.
    pub async fn pools_of(&self, user: UserId) -> Result<Vec<Pool>> {
        let all: Vec<Pool> = self.select(pool::row::Entity::find().order_by_asc(pool::row::Column::Id)).await?;
        Ok(all.into_iter().filter(|pool| pool.member(user).is_some()).collect())
    }

    /// The routing table, to change it.
    pub async fn routing_table_to_change(&self) -> Result<Option<RoutingTable>> {
        Ok(self.select(table::row::Entity::find()).await?.pop())
    }

    /// The routing table, only to be read.
    pub async fn routing_table(&self) -> Result<Option<RoutingTable>> {
        Ok(self.read(table::row::Entity::find()).await?.pop())
    }

    /// The latest handoff of a lead, only to be read.
    pub async fn last_handoff_of(&self, lead: LeadId) -> Result<Option<Handoff>> {
        let filter = HandoffFilter { lead: Some(lead), ..Default::default() };
        let query = filter.query().order_by_desc(handoff::row::Column::Id).limit(1);
        Ok(self.read(query).await?.pop())
    }

    /// These users and how many open opportunities each holds in all pools, offers included.
    ///
    /// PostgreSQL locks the users, in the order of their ids: two choices that could both fill the last place of the same
    /// person wait for each other.
    pub async fn open_opportunities_of(&self, users: &[UserId]) -> Result<Vec<(User, u32)>> {
        use crate::access::user::row as user;
        use handoff::row::{Column, Entity};
        let ids: Vec<Uuid> = users.iter().copied().map(Uuid::from).collect();
        let found = user::Entity::find().filter(user::Column::Id.is_in(ids.iter().copied()));
        let found: Vec<User> = self.select(found.order_by_asc(user::Column::Id)).await?;
        let occupied = HandoffState::ALL.iter().filter(|state| state.occupies()).map(|state| state.as_str());
        let held: Vec<(Uuid, i64)> = Entity::find()
            .select_only()
            .column(Column::HolderId)
            .column_as(Column::Id.count(), "held")
            .filter(Column::HolderId.is_in(ids))
            .filter(Column::State.is_in(occupied))
            .group_by(Column::HolderId)
            .into_tuple()
            .all(self.connection().await?)
            .await?;
        let held: BTreeMap<Uuid, i64> = held.into_iter().collect();
        let count = |user: &User| held.get(&user.key()).map_or(0, |count| u32::try_from(*count).unwrap_or(u32::MAX));
        Ok(found.into_iter().map(|user| (count(&user), user)).map(|(count, user)| (user, count)).collect())
    }
}

impl Store {
    /// The calendar with this key.
    pub async fn calendar_by_key(&self, key: &str) -> Result<Option<WorkingCalendar>> {
        let query = calendar::row::Entity::find().filter(calendar::row::Column::Key.eq(key));
        Ok(self.all(query).await?.pop())
    }

    /// Every calendar by its key. There are few.
    pub async fn calendars(&self) -> Result<Calendars> {
        let found = self.all::<WorkingCalendar>(calendar::row::Entity::find()).await?;
        Ok(found.into_iter().map(|calendar| (calendar.key.clone(), calendar)).collect())
    }

    /// A page of calendars.
    pub async fn calendar_page(&self, page: &Page<Uuid>) -> Result<PageOf<WorkingCalendar>> {
        self.page(calendar::row::Entity::find(), page).await
    }

    /// The pool with this key.
    pub async fn pool_by_key(&self, key: &str) -> Result<Option<Pool>> {
        Ok(self.all(pool::row::Entity::find().filter(pool::row::Column::Key.eq(key))).await?.pop())
    }

    /// A page of pools.
    pub async fn pool_page(&self, page: &Page<Uuid>) -> Result<PageOf<Pool>> {
        self.page(pool::row::Entity::find(), page).await
    }

    /// The routing table, once there is one.
    pub async fn routing_table(&self) -> Result<Option<RoutingTable>> {
        Ok(self.all(table::row::Entity::find()).await?.pop())
    }

    /// A page of opportunities, in the order in which they were dispatched.
    pub async fn opportunity_page(&self, filter: &OpportunityFilter, page: &Page<Uuid>) -> Result<PageOf<Opportunity>> {
        use opportunity::row::{Column, Entity};
        let mut query = Entity::find();
        if !filter.states.is_empty() {
            query = query.filter(Column::State.is_in(filter.states.iter().map(|state| state.as_str())));
        }
        let equal = [
            (Column::LeadId, filter.lead.map(Uuid::from)),
            (Column::AccountId, filter.account.map(Uuid::from)),
            (Column::SalesId, filter.sales.map(Uuid::from)),
        ];
        for (column, id) in equal {
            if let Some(id) = id {
                query = query.filter(column.eq(id));
            }
        }
        self.page(query, page).await
    }

    /// A page of handoffs, in the order in which they began.
    pub async fn handoff_page(&self, filter: &HandoffFilter, page: &Page<Uuid>) -> Result<PageOf<Handoff>> {
        self.page(filter.query(), page).await
    }

    /// The handoffs of these opportunities, oldest first.
    pub async fn handoffs_of(&self, opportunities: &[OpportunityId]) -> Result<Vec<Handoff>> {
        use handoff::row::{Column, Entity};
        let ids = opportunities.iter().copied().map(Uuid::from);
        self.all(Entity::find().filter(Column::OpportunityId.is_in(ids)).order_by_asc(Column::Id)).await
    }

    /// The receipts of these handoffs, oldest first.
    pub async fn receipts_of(&self, handoffs: &[HandoffId]) -> Result<Vec<Receipt>> {
        use receipt::row::{Column, Entity};
        let ids = handoffs.iter().copied().map(Uuid::from);
        self.all(Entity::find().filter(Column::HandoffId.is_in(ids)).order_by_asc(Column::Id)).await
    }
}
