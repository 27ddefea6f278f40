//! Whom a simulation is about, read page by page without a lock.

use crate::account::contact_row::row as contact;
use crate::sequence::enrollment_row::row as enrollment;
use crate::target_list::membership::row as membership;
use crate::{Result, Store};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select};
use tandem_domain::contact::Contact;
use tandem_domain::id::{ContactId, ListId, SequenceId};
use tandem_domain::target_list::MembershipState;
use uuid::Uuid;

/// Some of all people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// All of them.
    Everybody,
    /// Those at a company that is active on a target list.
    OnList(ListId),
    /// Those who run through a sequence now.
    InSequence(SequenceId),
}

fn some(crowd: Crowd) -> Select<contact::Entity> {
    let query = contact::Entity::find();
    match crowd {
        Crowd::Everybody => query,
        Crowd::OnList(list) => {
            let listed = membership::Entity::find()
                .select_only()
                .column(membership::Column::AccountId)
                .filter(membership::Column::ListId.eq(Uuid::from(list)))
                .filter(membership::Column::State.eq(MembershipState::Active.as_str()));
            query.filter(contact::Column::AccountId.in_subquery(listed.into_query()))
        }
        Crowd::InSequence(sequence) => {
            let running = enrollment::Entity::find()
                .select_only()
                .column(enrollment::Column::ContactId)
                .filter(enrollment::Column::SequenceId.eq(Uuid::from(sequence)))
                .filter(enrollment::Column::Live.eq(true));
            query.filter(contact::Column::Id.in_subquery(running.into_query()))
        }
    }
}

impl Store {
    /// Up to `limit` people of a crowd behind one in the order of their ids.
    pub async fn crowd_behind(&self, crowd: Crowd, after: Option<ContactId>, limit: u64) -> Result<Vec<Contact>> {
        let mut query = some(crowd).order_by_asc(contact::Column::Id).limit(limit);
        if let Some(after) = after {
            query = query.filter(contact::Column::Id.gt(Uuid::from(after)));
        }
        self.all(query).await
    }

    /// How many people a crowd has.
    pub async fn crowd_size(&self, crowd: Crowd) -> Result<u64> {
        Ok(some(crowd).count(self.reader()).await?)
    }
}
