//! Leads.

use crate::page::{Page, PageOf};
use crate::stored::stored;
use crate::{Result, Store, Tx, ms};
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use tandem_domain::id::{AccountId, ContactId, LeadId, UserId};
use tandem_domain::lead::{Lead, OwnerKind, Stage};
use uuid::Uuid;

stored!(Lead, "Lead", "lead", |lead| {
    contact_id: Uuid = lead.contact.into(),
    account_id: Option<Uuid> = lead.account.map(Into::into),
    source: String = lead.source.clone(),
    external_id: Option<String> = lead.external_id.clone(),
    stage: String = lead.stage.to_string(),
    owner_kind: String = lead.owner.kind().to_string(),
    owner_id: Option<Uuid> = crate::lead::owner_id(lead),
    grade: Option<String> = lead.grade.map(|grade| grade.to_string()),
    due_at: Option<i64> = lead.due_at.map(crate::ms),
    received_at: i64 = crate::ms(lead.received_at),
});

/// The person or enrolment that owns the lead.
fn owner_id(lead: &Lead) -> Option<Uuid> {
    use tandem_domain::lead::Owner::{Marketing, Nobody, Routing, Sales, Sdr, SdrQueue, Sequence};
    match lead.owner {
        Sdr(user) | Sales(user) => Some(user.into()),
        Sequence(enrollment) => Some(enrollment.into()),
        Marketing | SdrQueue | Routing | Nobody => None,
    }
}

/// Which leads to read; what is absent does not restrict.
#[derive(Debug, Clone, Default)]
pub struct LeadFilter {
    /// In one of these stages; empty means in any.
    pub stages: Vec<Stage>,
    /// From this source, in its normal form.
    pub source: Option<String>,
    /// Owned by this kind of owner.
    pub owner_kind: Option<OwnerKind>,
    /// Owned by this person.
    pub owner: Option<UserId>,
    /// Of this person.
    pub contact: Option<ContactId>,
    /// Of this company.
    pub account: Option<AccountId>,
}

impl LeadFilter {
    fn query(&self) -> Select<row::Entity> {
        use row::Column::{AccountId, ContactId, OwnerId, OwnerKind, Source, Stage};
        let mut query = row::Entity::find();
        if !self.stages.is_empty() {
            query = query.filter(Stage.is_in(self.stages.iter().map(|stage| stage.as_str())));
        }
        if let Some(source) = &self.source {
            query = query.filter(Source.eq(source));
        }
        if let Some(kind) = self.owner_kind {
            query = query.filter(OwnerKind.eq(kind.as_str()));
        }
        if let Some(owner) = self.owner {
            query = query.filter(OwnerId.eq(Uuid::from(owner)));
        }
        if let Some(contact) = self.contact {
            query = query.filter(ContactId.eq(Uuid::from(contact)));
        }
        if let Some(account) = self.account {
            query = query.filter(AccountId.eq(Uuid::from(account)));
        }
        query
    }
}

fn by_external_id(source: &str, external_id: &str) -> Select<row::Entity> {
    row::Entity::find().filter(row::Column::Source.eq(source)).filter(row::Column::ExternalId.eq(external_id))
}

impl Store {
    /// A page of leads, in the order in which they came in.
    pub async fn lead_page(&self, filter: &LeadFilter, page: &Page<Uuid>) -> Result<PageOf<Lead>> {
        self.page(filter.query(), page).await
    }

    /// The lead that a source (in its normal form) knows by this id.
    pub async fn lead_by_external_id(&self, source: &str, external_id: &str) -> Result<Option<Lead>> {
        Ok(self.all(by_external_id(source, external_id)).await?.pop())
    }

    /// The leads of a person, oldest first.
    pub async fn leads_of_contact(&self, contact: ContactId) -> Result<Vec<Lead>> {
        let filter = LeadFilter { contact: Some(contact), ..Default::default() };
        self.all(filter.query().order_by_asc(row::Column::Id)).await
    }

    /// Up to `limit` leads that fell due before `before`, the longest overdue first.
    pub async fn overdue_leads(&self, before: DateTime<Utc>, limit: u64) -> Result<Vec<Lead>> {
        let query = row::Entity::find().filter(row::Column::DueAt.lt(ms(before)));
        self.all(query.order_by_asc(row::Column::DueAt).order_by_asc(row::Column::Id).limit(limit)).await
    }
}

impl Tx {
    /// The lead that a source (in its normal form) knows by this id, to change it.
    pub async fn lead_by_external_id(&self, source: &str, external_id: &str) -> Result<Option<Lead>> {
        Ok(self.select(by_external_id(source, external_id)).await?.pop())
    }

    /// The open leads of a person, to change them, oldest first.
    pub async fn open_leads_of_contact(&self, contact: ContactId) -> Result<Vec<Lead>> {
        let filter = LeadFilter { contact: Some(contact), ..Default::default() };
        let open = filter.query().filter(row::Column::DueAt.is_not_null());
        self.select(open.order_by_asc(row::Column::Id)).await
    }

    /// The newest open lead of a person, not locked.
    pub async fn newest_open_lead_of(&self, contact: ContactId) -> Result<Option<Lead>> {
        let filter = LeadFilter { contact: Some(contact), ..Default::default() };
        let open = filter.query().filter(row::Column::DueAt.is_not_null());
        Ok(self.read(open.order_by_desc(row::Column::Id).limit(1)).await?.pop())
    }

    /// Whether a lead with this id exists.
    pub async fn lead_exists(&self, lead: LeadId) -> Result<bool> {
        Ok(self.peek::<Lead>(lead).await?.is_some())
    }
}
