//! A lead goes to the SDRs.

use super::{Acted, Acting, Made};
use crate::Result;
use crate::leads::{lead_and_item, qualify};
use serde_json::json;
use tandem_domain::decision::Decision;
use tandem_domain::lead::{self, Lead, NewLead, Stage, USUAL_PRIORITY};
use tandem_domain::sequence::SubjectKind;
use tandem_domain::sequence::steps::hand_to_sdr::PlannedHandover;
use tandem_domain::work_item::WorkItem;

/// A lead with the item that verifies it, and, where the lead is new, the decision that received it.
type Found = (Lead, Option<WorkItem>, Option<Decision<Lead>>);

impl Acting<'_> {
    /// Qualifies the run's lead, else the person's newest open one, else one that is made for it. A lead that the SDRs have
    /// already, or that sales has, stays where it is; one that ended has nobody who could check it.
    pub(super) async fn hand_to_sdr(&self, planned: &PlannedHandover) -> Result<Acted> {
        let team = self.team(planned.team.as_deref()).await?;
        let (lead, item, received) = self.lead_to_hand(planned).await?;
        if !matches!(lead.stage, Stage::Received | Stage::Nurturing | Stage::Recycled) {
            return Ok(Acted::nothing(json!({ "lead": lead.id, "already": lead.stage })));
        }
        let priority = planned.priority.filter(|priority| *priority != lead.priority);
        let qualified = qualify(lead, item, None, priority, self.env, self.now)?;
        let mut decision = qualified.map(|(mut item, lead)| {
            item.team = team.or(item.team);
            item.notes = planned.notes.clone().or(item.notes);
            (item, lead)
        });
        let is_new = received.is_some();
        if let Some(received) = received {
            // Its timer is obsolete before it is planned: the lead moved on.
            decision.facts.splice(0..0, received.facts);
        }
        let (item, lead) = (decision.next.0.id, decision.next.1.id);
        let made = decision.map(|(item, lead)| Made { leads: vec![lead], items: vec![item], ..Made::default() });
        let acted = Acted::of(made).saying(json!({ "lead": lead, "work_item": item, "received": is_new }));
        Ok(Acted { lead: Some(lead), ..acted })
    }

    async fn lead_to_hand(&self, planned: &PlannedHandover) -> Result<Found> {
        let own = self.subject.lead.as_ref();
        if let Some(lead) = own.filter(|lead| lead.stage.is_open() || self.run.subject == SubjectKind::Lead) {
            let (lead, item) = lead_and_item(self.tx, lead.id).await?;
            return Ok((lead, item, None));
        }
        if let Some(lead) = self.tx.newest_open_lead_of(self.run.contact).await? {
            let (lead, item) = lead_and_item(self.tx, lead.id).await?;
            return Ok((lead, item, None));
        }
        let contact = &self.subject.contact;
        // Fields that a new lead must have are asked of whoever brings one in. Here the SDR's check completes it.
        let new = NewLead {
            id: self.env.id(self.now),
            contact: contact.id,
            account: contact.account,
            source: planned.source.clone(),
            external_id: None,
            grade: None,
            priority: planned.priority.unwrap_or(USUAL_PRIORITY),
            tags: Default::default(),
            custom: Default::default(),
        };
        let received = lead::receive(new, &self.env.queue.policy.patience, self.now)?;
        Ok((received.next.clone(), None, Some(received)))
    }
}
