//! What changes a record: a field, tags, a consent.

use super::{Acted, Acting, Made, Refusal};
use crate::leads::LeadPrioritise;
use crate::{AppError, Command, Result};
use tandem_domain::account::{self, AccountPatch};
use tandem_domain::contact::{self, ConsentGiven, ContactPatch};
use tandem_domain::custom_field;
use tandem_domain::lead;
use tandem_domain::sequence::steps::Record;
use tandem_domain::sequence::steps::consent::PlannedConsent;
use tandem_domain::sequence::steps::set_field::PlannedField;
use tandem_domain::sequence::steps::tag::PlannedTags;

impl Acting<'_> {
    pub(super) async fn set_field(&self, planned: &PlannedField) -> Result<Acted> {
        if let Some(priority) = planned.priority() {
            let priority = priority.map_err(|failure| {
                AppError::refused("LEAD_PRIORITY_OUT_OF_RANGE", failure.message, Some("priority"))
            })?;
            return self.prioritise(priority).await;
        }
        let changes: custom_field::Values = [(planned.key.clone(), planned.value.clone())].into();
        match planned.owner {
            Record::Contact => {
                let words = self.tx.vocabulary(None).await?;
                let patch = ContactPatch { custom: changes, ..ContactPatch::default() };
                let changed = contact::change(&self.subject.contact, patch, &words, self.now)?;
                Ok(Acted::changed(changed, |contact| Made { contact: Some(contact), ..Made::default() }))
            }
            Record::Lead => {
                let changed = lead::set_custom(self.lead()?, &changes, &self.tx.custom_fields().await?)?;
                Ok(Acted::changed(changed, |lead| Made { leads: vec![lead], ..Made::default() }))
            }
            Record::Account => {
                let Some(before) = self.account().await? else {
                    return Ok(Acted::refused(&Refusal::NoAccount));
                };
                let words = self.tx.vocabulary(None).await?;
                let patch = AccountPatch { custom: changes, ..AccountPatch::default() };
                let changed = account::change(&before, patch, &words, self.now)?;
                Ok(Acted::changed(changed, |account| Made { account: Some(account), ..Made::default() }))
            }
        }
    }

    async fn prioritise(&self, priority: u8) -> Result<Acted> {
        let lead = self.lead()?;
        if lead.priority == priority {
            return Ok(Acted::unchanged());
        }
        let moved = LeadPrioritise { lead: lead.id, priority }.decide(self.tx, self.call, self.env).await?;
        Ok(Acted::of(moved.map(|(item, lead)| Made {
            leads: vec![lead],
            items: item.into_iter().collect(),
            ..Made::default()
        })))
    }

    pub(super) async fn tag(&self, planned: &PlannedTags) -> Result<Acted> {
        let (add, remove) = (&planned.add, &planned.remove);
        match planned.of {
            Record::Contact => {
                let changed = contact::tag(&self.subject.contact, add, remove, self.now)?;
                Ok(Acted::changed(changed, |contact| Made { contact: Some(contact), ..Made::default() }))
            }
            Record::Lead => {
                let changed = lead::tag(self.lead()?, add, remove)?;
                Ok(Acted::changed(changed, |lead| Made { leads: vec![lead], ..Made::default() }))
            }
            Record::Account => {
                let Some(before) = self.account().await? else {
                    return Ok(Acted::refused(&Refusal::NoAccount));
                };
                let changed = account::tag(&before, add, remove, self.now)?;
                Ok(Acted::changed(changed, |account| Made { account: Some(account), ..Made::default() }))
            }
        }
    }

    pub(super) fn consent(&self, planned: &PlannedConsent) -> Result<Acted> {
        let given = ConsentGiven { state: planned.state, source: Some(planned.source.clone()), at: None };
        match contact::record_consent(&self.subject.contact, given, self.now) {
            Ok(changed) => Ok(Acted::changed(changed, |contact| Made { contact: Some(contact), ..Made::default() })),
            // What the person wants is no failure of the run.
            Err(refusal @ contact::Refusal::ConsentWithdrawn) => Acted::going_on(refusal.into()),
            Err(refusal) => Err(refusal.into()),
        }
    }
}
