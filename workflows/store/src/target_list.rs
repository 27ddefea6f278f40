//! Target-account lists, memberships, change requests and versions.

pub mod list {
    //! The list's row.
    use crate::stored::stored;
    use tandem_domain::target_list::TargetAccountList;
    stored!(TargetAccountList, "TargetAccountList", "target_list", |list| { key: String = list.key.clone() });
}

pub mod membership {
    //! The membership's row.
    use crate::stored::stored;
    use tandem_domain::target_list::ListMembership;
    stored!(ListMembership, "ListMembership", "list_membership", |member| {
        list_id: Uuid = member.list.into(),
        account_id: Uuid = member.account.into(),
        state: String = member.state.to_string(),
        tier: String = member.tier.clone(),
        live: bool = member.state.live(),
    }, save_parts = listed);

    /// Whoever asks again which lists the company is on asks the database.
    async fn listed(member: &ListMembership, tx: &crate::Tx) -> crate::Result<()> {
        tx.ahead().conditions.lists.remove(&member.account);
        Ok(())
    }
}

pub mod change_request {
    //! The change request's row.
    use crate::stored::stored;
    use tandem_domain::target_list::ChangeRequest;
    stored!(ChangeRequest, "ChangeRequest", "change_request", |request| {
        list_id: Uuid = request.list.into(),
        account_id: Uuid = request.account.into(),
        state: String = request.state.to_string(),
        undecided: bool = request.state.open(),
    });
}

pub mod version {
    //! The version's row. It is written once: the table refuses updates and deletes.
    use crate::ms;
    use crate::stored::stored;
    use tandem_domain::target_list::ListVersion;
    stored!(ListVersion, "ListVersion", "list_version", |version| {
        list_id: Uuid = version.list.into(),
        number: i32 = i32::try_from(version.number).unwrap_or(i32::MAX),
        made_at: i64 = ms(version.at),
    });
}

use crate::page::{Page, PageOf};
use crate::{Result, Save, Store, Tx};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tandem_domain::id::{AccountId, ListId};
use tandem_domain::target_list::{
    ChangeRequest, ListMembership, ListVersion, MembershipState, Outcome, RequestState, TargetAccountList,
};
use uuid::Uuid;

/// Which memberships to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct MembershipFilter {
    /// Of this list.
    pub list: Option<ListId>,
    /// Of this account.
    pub account: Option<AccountId>,
    /// In one of these states; empty means any.
    pub states: Vec<MembershipState>,
    /// With this tier.
    pub tier: Option<String>,
}

/// Which change requests to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// Of this list.
    pub list: Option<ListId>,
    /// About this account.
    pub account: Option<AccountId>,
    /// In one of these states; empty means any.
    pub states: Vec<RequestState>,
}

impl Save for Outcome {
    async fn save(&self, tx: &Tx) -> Result<()> {
        self.list.save(tx).await?;
        tx.write_many(&self.requests).await?;
        tx.write_many(&self.memberships).await?;
        self.version.save(tx).await
    }
}

/// SQLite binds at most 32,766 values to one statement.
const CHUNK: usize = 1_000;

impl Tx {
    /// The live memberships that these accounts have of the list, locked.
    pub async fn live_memberships(&self, list: ListId, accounts: &[AccountId]) -> Result<Vec<ListMembership>> {
        use membership::row::{Column, Entity};
        let mut found = Vec::new();
        for accounts in accounts.chunks(CHUNK) {
            let query = Entity::find()
                .filter(Column::ListId.eq(Uuid::from(list)))
                .filter(Column::AccountId.is_in(accounts.iter().map(|account| Uuid::from(*account))))
                .filter(Column::Live.eq(true))
                .order_by_asc(Column::Id);
            found.extend(self.select(query).await?);
        }
        Ok(found)
    }

    /// The id of the list with this key.
    pub async fn list_with_key(&self, key: &str) -> Result<Option<ListId>> {
        let query = list::row::Entity::find().filter(list::row::Column::Key.eq(key));
        Ok(self.read::<TargetAccountList>(query).await?.pop().map(|list| list.id))
    }

    /// The keys of up to `limit` lists.
    pub async fn list_keys(&self, limit: u64) -> Result<Vec<String>> {
        let lists: Vec<TargetAccountList> = self.read(list::row::Entity::find().limit(limit)).await?;
        Ok(lists.into_iter().map(|list| list.key).collect())
    }
}

impl Store {
    /// The list with this key.
    pub async fn list_by_key(&self, key: &str) -> Result<Option<TargetAccountList>> {
        let query = list::row::Entity::find().filter(list::row::Column::Key.eq(key));
        Ok(self.all(query).await?.pop())
    }

    /// A page of lists.
    pub async fn list_page(&self, page: &Page<Uuid>) -> Result<PageOf<TargetAccountList>> {
        self.page(list::row::Entity::find(), page).await
    }

    /// A page of memberships.
    pub async fn membership_page(
        &self,
        filter: &MembershipFilter,
        page: &Page<Uuid>,
    ) -> Result<PageOf<ListMembership>> {
        use membership::row::{Column, Entity};
        let mut query = Entity::find();
        if let Some(list) = filter.list {
            query = query.filter(Column::ListId.eq(Uuid::from(list)));
        }
        if let Some(account) = filter.account {
            query = query.filter(Column::AccountId.eq(Uuid::from(account)));
        }
        if !filter.states.is_empty() {
            query = query.filter(Column::State.is_in(filter.states.iter().map(|state| state.as_str())));
        }
        if let Some(tier) = &filter.tier {
            query = query.filter(Column::Tier.eq(tier));
        }
        self.page(query, page).await
    }

    /// The account's live membership of the list.
    pub async fn live_membership(&self, list: ListId, account: AccountId) -> Result<Option<ListMembership>> {
        use membership::row::{Column, Entity};
        let query = Entity::find()
            .filter(Column::ListId.eq(Uuid::from(list)))
            .filter(Column::AccountId.eq(Uuid::from(account)))
            .filter(Column::Live.eq(true));
        Ok(self.all(query).await?.pop())
    }

    /// A page of change requests.
    pub async fn change_request_page(
        &self,
        filter: &RequestFilter,
        page: &Page<Uuid>,
    ) -> Result<PageOf<ChangeRequest>> {
        use change_request::row::{Column, Entity};
        let mut query = Entity::find();
        if let Some(list) = filter.list {
            query = query.filter(Column::ListId.eq(Uuid::from(list)));
        }
        if let Some(account) = filter.account {
            query = query.filter(Column::AccountId.eq(Uuid::from(account)));
        }
        if !filter.states.is_empty() {
            query = query.filter(Column::State.is_in(filter.states.iter().map(|state| state.as_str())));
        }
        self.page(query, page).await
    }

    /// A page of a list's versions.
    pub async fn list_version_page(&self, list: ListId, page: &Page<Uuid>) -> Result<PageOf<ListVersion>> {
        use version::row::{Column, Entity};
        self.page(Entity::find().filter(Column::ListId.eq(Uuid::from(list))), page).await
    }

    /// All versions of a list, from the first, to be folded.
    pub async fn list_versions(&self, list: ListId) -> Result<Vec<ListVersion>> {
        use version::row::{Column, Entity};
        self.all(Entity::find().filter(Column::ListId.eq(Uuid::from(list))).order_by_asc(Column::Number)).await
    }
}
