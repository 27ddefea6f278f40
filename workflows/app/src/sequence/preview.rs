//! An e-mail of a sequence as one real person would get it. Nothing is stored or sent, and nothing is locked.

use super::subject::Subject;
use crate::{App, AppError, Result};
use serde_json::Value;
use tandem_domain::account::Account;
use tandem_domain::contact::Contact;
use tandem_domain::id::{ContactId, LeadId};
use tandem_domain::lead::Lead;
use tandem_domain::sequence::reads::Reads;
use tandem_domain::sequence::steps::StepKind;
use tandem_domain::sequence::steps::send_email::Letter;
use tandem_domain::sequence::{Problem, validate};

impl App {
    /// The e-mail of the step `step` of a definition (YAML or JSON) for a contact, and for a lead where one is named; or
    /// everything that is wrong with the definition.
    ///
    /// Refused are a step that there is not, one that sends no e-mail (`SEQUENCE_STEP_UNKNOWN`), and a template that has no
    /// value for this person (`TEMPLATE_UNDEFINED`, `TEMPLATE_FAILED`).
    pub async fn sequence_email_preview(
        &self,
        source: &str,
        step: &str,
        contact: ContactId,
        lead: Option<LeadId>,
    ) -> Result<std::result::Result<Letter, Vec<Problem>>> {
        let library = self.library(source).await?;
        let definition = match validate::read_with(source, &library) {
            Ok(definition) => definition,
            Err(problems) => return Ok(Err(problems)),
        };
        let email = match definition.step(step).map(|(_, step)| &step.kind) {
            Some(StepKind::SendEmail(email)) => email,
            found => {
                let what = if found.is_some() { "sends no e-mail" } else { "is not in the definition" };
                let message = format!("the step `{step}` {what}; name one of the kind send_email");
                return Err(AppError::refused("SEQUENCE_STEP_UNKNOWN", message, Some("step")));
            }
        };
        let reads = Reads::of(&definition);
        let data = self.preview_data(contact, lead, &reads, (&definition.header.key, step)).await?;
        let letter = email.compose(&data);
        Ok(Ok(letter.map_err(|refusal| AppError::refused(refusal.code(), refusal.to_string(), Some("step")))?))
    }

    /// The variables of an e-mail that a contact would get, and with a lead where one is named, from a step of what has a key.
    /// `reads` is what the e-mail reads of what is not at hand.
    pub(crate) async fn preview_data(
        &self,
        contact: ContactId,
        lead: Option<LeadId>,
        reads: &Reads,
        (key, step): (&str, &str),
    ) -> Result<Value> {
        let missing = || AppError::NotFound { what: "Contact", id: contact.into() };
        let person: Contact = self.store.find(contact).await?.ok_or_else(missing)?;
        let lead: Option<Lead> = match lead {
            Some(id) => Some(self.store.find(id).await?.ok_or(AppError::NotFound { what: "Lead", id: id.into() })?),
            None => None,
        };
        if lead.as_ref().is_some_and(|lead| lead.contact != contact) {
            let message = "the lead belongs to another contact; leave it out, or name the lead of this one";
            return Err(AppError::refused("ENROLLMENT_CONTACT_DIFFERS", message, Some("leadId")));
        }
        let account: Option<Account> = match lead.as_ref().and_then(|lead| lead.account).or(person.account) {
            Some(account) => self.store.find(account).await?,
            None => None,
        };
        let now = self.env.now();
        let company = account.as_ref().map(|account| account.id);
        let seen = self.seen_of(&[(contact, company)], reads, now).await?.pop().unwrap_or_default();
        let mut data = Subject::glimpsed(person, account, lead, seen).data(&self.env, None, now);
        data["enrollment"] = serde_json::json!({
            "id": contact, "rule": format!("{key}@0"), "step": step, "visit": 0,
            "started_at": now.to_rfc3339(), "vars": {}, "variants": {}, "last_task_outcome": null, "event": null,
        });
        Ok(data)
    }
}
