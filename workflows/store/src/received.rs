//! E-mails that arrived.

use crate::page::{Page, PageOf};
use crate::stored::stored;
use crate::{Result, Store, Tx, ms};
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement};
use tandem_domain::id::{ContactId, EmailId};
use tandem_domain::received::{ReceivedEmail, ReceivedKind, ReceivedState};
use uuid::Uuid;

/// How many answers of a person and of the machine that answers for it are looked at.
const ANSWERS: u64 = 20;

stored!(ReceivedEmail, "ReceivedEmail", "received_email", |received| {
    known_by: String = received.known_by.clone(),
    email_id: Option<Uuid> = received.email.map(Into::into),
    contact_id: Option<Uuid> = received.contact.map(Into::into),
    kind: String = received.kind.to_string(),
    state: String = received.state.to_string(),
    arrived_at: i64 = ms(received.arrived_at),
});

/// Which e-mails to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct ReceivedEmailFilter {
    /// Of one of these kinds; empty means any.
    pub kinds: Vec<ReceivedKind>,
    /// In one of these states; empty means any.
    pub states: Vec<ReceivedState>,
    /// Of, or about, this person.
    pub contact: Option<ContactId>,
    /// About this e-mail of ours.
    pub email: Option<EmailId>,
}

impl Tx {
    /// The e-mail that is known by this.
    pub async fn received_email_known_by(&self, known_by: &str) -> Result<Option<ReceivedEmail>> {
        Ok(self.read(row::Entity::find().filter(row::Column::KnownBy.eq(known_by))).await?.pop())
    }
}

impl Tx {
    /// What a person's machine said of absences since the person last wrote, the newest first; of the last twenty answers of
    /// either.
    pub async fn absences_of(&self, contact: ContactId) -> Result<Vec<ReceivedEmail>> {
        let kinds = [ReceivedKind::OutOfOffice.as_str(), ReceivedKind::Reply.as_str()];
        let query = row::Entity::find()
            .filter(row::Column::ContactId.eq(Uuid::from(contact)))
            .filter(row::Column::Kind.is_in(kinds))
            .order_by_desc(row::Column::Id)
            .limit(ANSWERS);
        let answers: Vec<ReceivedEmail> = self.read(query).await?;
        Ok(answers.into_iter().take_while(|answer| answer.kind == ReceivedKind::OutOfOffice).collect())
    }
}

impl Store {
    /// A page of e-mails that arrived.
    pub async fn received_email_page(
        &self,
        filter: &ReceivedEmailFilter,
        page: &Page<Uuid>,
    ) -> Result<PageOf<ReceivedEmail>> {
        use row::{Column, Entity};
        let mut query = Entity::find();
        if !filter.kinds.is_empty() {
            query = query.filter(Column::Kind.is_in(filter.kinds.iter().map(|kind| kind.as_str())));
        }
        if !filter.states.is_empty() {
            query = query.filter(Column::State.is_in(filter.states.iter().map(|state| state.as_str())));
        }
        if let Some(contact) = filter.contact {
            query = query.filter(Column::ContactId.eq(Uuid::from(contact)));
        }
        if let Some(email) = filter.email {
            query = query.filter(Column::EmailId.eq(Uuid::from(email)));
        }
        self.page(query, page).await
    }

    /// Forgets up to `limit` e-mails that arrived before a moment. Gives back how many.
    pub async fn prune_received(&self, before: DateTime<Utc>, limit: u64) -> Result<u64> {
        let sql = format!(
            "DELETE FROM received_email WHERE state <> 'NEW' AND id IN (SELECT id FROM received_email \
             WHERE arrived_at < $1 AND state <> 'NEW' ORDER BY arrived_at LIMIT {limit})"
        );
        let backend = self.writer().get_database_backend();
        let done = self.writer().execute_raw(Statement::from_sql_and_values(backend, sql, [ms(before).into()])).await?;
        Ok(done.rows_affected())
    }
}
