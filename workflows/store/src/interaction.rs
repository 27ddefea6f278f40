//! What people did.

use crate::page::{Page, PageOf};
use crate::{Result, Store, StoreError, Stored, Tx};
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set, Statement, Value};
use std::collections::BTreeSet;
use tandem_domain::id::{AccountId, ContactId, InteractionId};
use tandem_domain::interaction::{Interaction, InteractionKind};
use uuid::Uuid;

pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "interaction")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub contact_id: Option<Uuid>,
        pub account_id: Option<Uuid>,
        pub visitor_id: Option<Uuid>,
        pub kind: String,
        pub occurred_at: i64,
        pub email_id: Option<Uuid>,
        pub automated: Option<String>,
        #[sea_orm(column_type = "JsonBinary")]
        pub body: Json,
        pub row_version: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

// By hand, because who did it becomes known later, for many rows at once: the columns say it, and the JSON does not follow.
impl Stored for Interaction {
    type Row = row::Entity;
    type ActiveRow = row::ActiveModel;
    const KIND: &'static str = "Interaction";

    fn key(&self) -> Uuid {
        self.id.into()
    }

    fn row(&self, version: i32) -> Result<row::ActiveModel> {
        let body = serde_json::to_value(self).map_err(|source| StoreError::Decode { kind: Self::KIND, source })?;
        Ok(row::ActiveModel {
            id: Set(self.id.into()),
            contact_id: Set(self.contact.map(Into::into)),
            account_id: Set(self.account.map(Into::into)),
            visitor_id: Set(self.visitor.map(Into::into)),
            kind: Set(self.kind.to_string()),
            occurred_at: Set(crate::ms(self.occurred_at)),
            email_id: Set(self.email().map(Into::into)),
            automated: Set(self.automated.map(|automated| automated.to_string())),
            body: Set(body),
            row_version: Set(version),
        })
    }

    fn parts(row: row::Model) -> Result<(Self, i32)> {
        let told: Self =
            serde_json::from_value(row.body).map_err(|source| StoreError::Decode { kind: Self::KIND, source })?;
        let contact = row.contact_id.map(Into::into);
        let (account, visitor) = (row.account_id.map(Into::into), row.visitor_id.map(Into::into));
        Ok((Self { contact, account, visitor, ..told }, row.row_version))
    }

    fn id_column() -> row::Column {
        row::Column::Id
    }

    fn version_column() -> row::Column {
        row::Column::RowVersion
    }

    /// Whoever asks again what the person did asks the database.
    async fn save_parts(&self, tx: &Tx) -> Result<()> {
        if let Some(contact) = self.contact {
            tx.ahead().conditions.tallies.remove(&contact);
        }
        Ok(())
    }
}

/// Whose interactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Of {
    /// A person's.
    Contact(ContactId),
    /// Those of the people at a company.
    Account(AccountId),
}

/// Which interactions to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct InteractionFilter {
    /// Whose.
    pub of: Option<Of>,
    /// Of one of these kinds; empty means any.
    pub kinds: Vec<InteractionKind>,
}

/// An interaction of which it is known who did it, without what else is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    /// The interaction.
    pub id: InteractionId,
    /// Who did it.
    pub contact: ContactId,
    /// What was done.
    pub kind: InteractionKind,
}

/// How many people or companies one statement asks for at most.
const CHUNK: usize = 500;

impl Store {
    /// Who did these, as far as it is known and no machine did; of these kinds, empty means any. In no particular order.
    pub async fn deeds(&self, ids: &[InteractionId], kinds: &[InteractionKind]) -> Result<Vec<Deed>> {
        use row::{Column, Entity};
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut query = Entity::find()
                .select_only()
                .columns([Column::Id, Column::ContactId, Column::Kind])
                .filter(Column::Id.is_in(ids.iter().map(|id| Uuid::from(*id))))
                .filter(Column::ContactId.is_not_null())
                .filter(Column::Automated.is_null());
            if !kinds.is_empty() {
                query = query.filter(Column::Kind.is_in(kinds.iter().map(|kind| kind.as_str())));
            }
            for (id, contact, kind) in query.into_tuple::<(Uuid, Uuid, String)>().all(self.reader()).await? {
                // A kind that a newer process wrote is none that anybody here listens for.
                let Ok(kind) = kind.parse() else { continue };
                found.push(Deed { id: id.into(), contact: contact.into(), kind });
            }
        }
        Ok(found)
    }

    /// A page of interactions, in the order in which they happened.
    pub async fn interaction_page(&self, filter: &InteractionFilter, page: &Page<Uuid>) -> Result<PageOf<Interaction>> {
        use row::{Column, Entity};
        let mut query = Entity::find();
        match filter.of {
            Some(Of::Contact(contact)) => query = query.filter(Column::ContactId.eq(Uuid::from(contact))),
            Some(Of::Account(account)) => query = query.filter(Column::AccountId.eq(Uuid::from(account))),
            None => {}
        }
        if !filter.kinds.is_empty() {
            query = query.filter(Column::Kind.is_in(filter.kinds.iter().map(|kind| kind.as_str())));
        }
        self.page(query, page).await
    }

    /// Up to `limit` interactions of each of these people and companies, the first ones or the last: one query for all
    /// people and one for all companies. Each one's are in the order in which they happened.
    pub async fn interactions_of(&self, of: &[Of], limit: u64, backward: bool) -> Result<Vec<(Of, Interaction)>> {
        let contacts: Vec<Uuid> =
            of.iter().filter_map(|of| if let Of::Contact(id) = of { Some((*id).into()) } else { None }).collect();
        let accounts: Vec<Uuid> =
            of.iter().filter_map(|of| if let Of::Account(id) = of { Some((*id).into()) } else { None }).collect();
        let mut found = Vec::new();
        for ids in contacts.chunks(CHUNK) {
            let part = self.ranked("contact_id", ids, limit, backward).await?;
            found.extend(part.into_iter().filter_map(|one| Some((Of::Contact(one.contact?), one))));
        }
        for ids in accounts.chunks(CHUNK) {
            let part = self.ranked("account_id", ids, limit, backward).await?;
            found.extend(part.into_iter().filter_map(|one| Some((Of::Account(one.account?), one))));
        }
        Ok(found)
    }

    /// What these people did of these kinds from one moment on and before another, in the order in which it happened, without
    /// what machines did.
    pub async fn interactions_between(
        &self,
        contacts: &[ContactId],
        kinds: &BTreeSet<InteractionKind>,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Vec<Interaction>> {
        use row::{Column, Entity};
        let mut found = Vec::new();
        for contacts in contacts.chunks(CHUNK) {
            let query = Entity::find()
                .filter(Column::ContactId.is_in(contacts.iter().map(|contact| Uuid::from(*contact))))
                .filter(Column::Kind.is_in(kinds.iter().map(|kind| kind.as_str())))
                .filter(Column::Automated.is_null())
                .filter(Column::OccurredAt.gte(crate::ms(from)))
                .filter(Column::OccurredAt.lt(crate::ms(to)))
                .order_by_asc(Column::OccurredAt)
                .order_by_asc(Column::Id);
            found.extend(self.all::<Interaction>(query).await?);
        }
        Ok(found)
    }

    async fn ranked(&self, column: &str, ids: &[Uuid], limit: u64, backward: bool) -> Result<Vec<Interaction>> {
        let marks = (2..ids.len() + 2).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let order = if backward { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY {column} ORDER BY id {order}) AS place \
             FROM interaction WHERE {column} IN ({marks})) AS ranked WHERE place <= $1 ORDER BY id"
        );
        let mut values: Vec<Value> = vec![i64::try_from(limit).unwrap_or(i64::MAX).into()];
        values.extend(ids.iter().map(|id| Value::from(*id)));
        let backend = self.reader().get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, values);
        let rows = row::Entity::find().from_raw_sql(statement).all(self.reader()).await?;
        rows.into_iter().map(|row| Interaction::parts(row).map(|(found, _)| found)).collect()
    }
}
