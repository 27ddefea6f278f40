//! E-mails.

use crate::page::{Page, PageOf};
use crate::stored::stored;
use crate::{Result, Store, Tx, ms};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::BTreeMap;
use tandem_domain::email::{Email, EmailState};
use tandem_domain::id::{ContactId, EnrollmentId, LeadId, SequenceId};
use uuid::Uuid;

stored!(Email, "Email", "email", |email| {
    enrollment_id: Option<Uuid> = email.enrollment.map(Into::into),
    step: String = email.step.clone(),
    visit: i32 = i32::try_from(email.visit).unwrap_or(i32::MAX),
    contact_id: Uuid = email.contact.into(),
    lead_id: Option<Uuid> = email.lead.map(Into::into),
    state: String = email.state.to_string(),
    planned_at: i64 = ms(email.planned_at),
    account_id: Option<Uuid> = email.account.map(Into::into),
    mailbox_id: Option<Uuid> = email.mailbox.map(Into::into),
    counted_at: Option<i64> = email.counts_at().map(ms),
    queued_at: Option<i64> = email.queued_at.map(ms),
    held_with: Option<Uuid> = email.held_with.map(Into::into),
}, save_parts = counted);

/// Whoever plans another e-mail to the same person or account in this transaction asks the database again.
async fn counted(email: &Email, tx: &Tx) -> Result<()> {
    tx.ahead().forget_counted(email.contact.into(), email.account.map(Into::into));
    Ok(())
}

/// Which e-mails to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct EmailFilter {
    /// In one of these states; empty means any.
    pub states: Vec<EmailState>,
    /// To this person.
    pub contact: Option<ContactId>,
    /// About this lead.
    pub lead: Option<LeadId>,
    /// Planned by this enrolment.
    pub enrollment: Option<EnrollmentId>,
}

impl Tx {
    /// The e-mail that an enrolment planned under a visit. It is read without a lock.
    pub async fn email_planned_by(&self, enrollment: EnrollmentId, visit: u32) -> Result<Option<Email>> {
        let Ok(visit) = i32::try_from(visit) else { return Ok(None) };
        let query = row::Entity::find()
            .filter(row::Column::EnrollmentId.eq(Uuid::from(enrollment)))
            .filter(row::Column::Visit.eq(visit))
            .limit(1);
        Ok(self.read(query).await?.pop())
    }

    /// Up to `limit` e-mails that are held with this sequence, locked, in the order in which they were planned.
    pub async fn emails_held_with(&self, of: SequenceId, limit: u64) -> Result<Vec<Email>> {
        let query = row::Entity::find()
            .filter(row::Column::HeldWith.eq(Uuid::from(of)))
            .order_by_asc(row::Column::PlannedAt)
            .order_by_asc(row::Column::Id)
            .limit(limit);
        self.select(query).await
    }
}

impl Store {
    /// A page of e-mails.
    pub async fn email_page(&self, filter: &EmailFilter, page: &Page<Uuid>) -> Result<PageOf<Email>> {
        use row::{Column, Entity};
        let mut query = Entity::find();
        if !filter.states.is_empty() {
            query = query.filter(Column::State.is_in(filter.states.iter().map(|state| state.as_str())));
        }
        if let Some(contact) = filter.contact {
            query = query.filter(Column::ContactId.eq(Uuid::from(contact)));
        }
        if let Some(lead) = filter.lead {
            query = query.filter(Column::LeadId.eq(Uuid::from(lead)));
        }
        if let Some(enrollment) = filter.enrollment {
            query = query.filter(Column::EnrollmentId.eq(Uuid::from(enrollment)));
        }
        self.page(query, page).await
    }

    /// How many e-mails are in each of these states; a state without any is left out.
    pub async fn email_counts(&self, states: &[EmailState]) -> Result<BTreeMap<EmailState, i64>> {
        use row::{Column, Entity};
        let rows: Vec<(String, i64)> = Entity::find()
            .select_only()
            .column(Column::State)
            .column_as(Column::Id.count(), "count")
            .filter(Column::State.is_in(states.iter().map(|state| state.as_str())))
            .group_by(Column::State)
            .into_tuple()
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().filter_map(|(state, count)| Some((state.parse().ok()?, count))).collect())
    }
}
