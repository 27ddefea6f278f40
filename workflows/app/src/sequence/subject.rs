//! Everything about the subject of an enrolment, as conditions, templates and the stepper see it.

use crate::{App, AppError, Env, Result};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tandem_domain::account::Account;
use tandem_domain::calendar::Calendars;
use tandem_domain::contact::Contact;
use tandem_domain::email::UNSUBSCRIBE_HERE;
use tandem_domain::id::{AccountId, ContactId, LeadId};
use tandem_domain::lead::Lead;
use tandem_domain::sending_mailbox::SendingMailbox;
use tandem_domain::sequence::interactions;
use tandem_domain::sequence::reads::Reads;
use tandem_domain::sequence::stepper::Context;
use tandem_domain::sequence::{Definition, Enrollment, SequenceState};
use tandem_domain::standing::{Standing, standing};
use tandem_store::Tx;

/// What a definition names of what sales ops defines beside it, as it is at this moment.
#[derive(Default)]
pub(super) struct Surroundings {
    calendars: Arc<Calendars>,
    mailboxes: Arc<Vec<SendingMailbox>>,
}

impl Surroundings {
    /// Reads it, where the definition names any: at most a statement a transaction for each kind.
    pub(super) async fn load(tx: &Tx, definition: &Definition) -> Result<Self> {
        let mut found = Self::default();
        if !definition.calendars().is_empty() {
            found.calendars = tx.calendars_by_key().await?;
        }
        if !definition.mailbox_pools().is_empty() {
            found.mailboxes = tx.sending_mailboxes().await?;
        }
        Ok(found)
    }
}

/// A person, the lead and the company, read in this transaction.
pub(crate) struct Subject {
    pub(super) contact: Contact,
    pub(super) account: Option<Account>,
    pub(crate) lead: Option<Lead>,
    standing: Standing,
    seen: Seen,
}

/// What was looked up because something reads it.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// The value of `interactions`.
    pub(super) interactions: Option<Value>,
    /// The value of `lists`.
    pub(super) lists: Option<Vec<String>>,
}

impl App {
    /// What conditions read of people, each with the company that counts, beside their records: a statement for each kind of
    /// thing that is read. In the order of the people.
    pub(super) async fn seen_of(
        &self,
        people: &[(ContactId, Option<AccountId>)],
        reads: &Reads,
        now: DateTime<Utc>,
    ) -> Result<Vec<Seen>> {
        let contacts: BTreeSet<ContactId> = people.iter().map(|(contact, _)| *contact).collect();
        let tallies = self.store.tallies(&Vec::from_iter(contacts), &reads.interactions, now).await?;
        let companies: BTreeSet<AccountId> = people.iter().filter_map(|(_, account)| *account).collect();
        let companies = if reads.lists { Vec::from_iter(companies) } else { Vec::new() };
        let lists = self.store.list_keys_of(&companies).await?;
        let seen = |(contact, account): &(ContactId, Option<AccountId>)| {
            let done = tallies.get(contact).map_or(&[][..], Vec::as_slice);
            let of_company = || account.and_then(|account| lists.get(&account)).cloned().unwrap_or_default();
            Seen {
                interactions: (!reads.interactions.is_empty()).then(|| interactions::data(&reads.interactions, done)),
                lists: reads.lists.then(of_company),
            }
        };
        Ok(people.iter().map(seen).collect())
    }
}

impl Subject {
    /// Reads it. The contact is locked, so that a consent withdrawn at the same moment is either seen or comes after.
    pub(crate) async fn load(tx: &Tx, contact: ContactId, lead: Option<LeadId>) -> Result<Self> {
        let contact: Contact =
            tx.get(contact).await?.ok_or(AppError::NotFound { what: "Contact", id: contact.into() })?;
        let lead: Option<Lead> = match lead {
            Some(id) => Some(tx.get(id).await?.ok_or(AppError::NotFound { what: "Lead", id: id.into() })?),
            None => None,
        };
        let account = match lead.as_ref().and_then(|lead| lead.account).or(contact.account) {
            Some(account) => tx.peek(account).await?,
            None => None,
        };
        let suppressions = match &contact.email {
            Some(address) => tx.suppressions_of(address).await?,
            None => Vec::new(),
        };
        let standing = standing(&contact, contact.email.as_deref(), &suppressions);
        Ok(Self { contact, account, lead, standing, seen: Seen::default() })
    }

    /// Looks up what is read of what the person did and of the lists of the company: a statement for each, and none where
    /// nothing reads it. Until then the data are without.
    pub(crate) async fn see(&mut self, tx: &Tx, reads: &Reads, now: DateTime<Utc>) -> Result<()> {
        if !reads.interactions.is_empty() {
            let tallies = tx.tallies(self.contact.id, &reads.interactions, now).await?;
            self.seen.interactions = Some(interactions::data(&reads.interactions, &tallies));
        }
        if reads.lists {
            self.seen.lists = Some(match &self.account {
                Some(account) => tx.list_keys_of(account.id).await?,
                None => Vec::new(),
            });
        }
        Ok(())
    }

    /// The same as it was a moment ago, for conditions alone: whether the person may be written to is not looked up.
    pub(super) fn glimpsed(contact: Contact, account: Option<Account>, lead: Option<Lead>, seen: Seen) -> Self {
        Self { contact, account, lead, standing: Standing::Unknown, seen }
    }

    /// The variables.
    pub(crate) fn data(&self, env: &Env, enrollment: Option<&Enrollment>, now: DateTime<Utc>) -> Value {
        let contact = &self.contact;
        let from = &env.mail.from;
        let mut data = json!({
            "contact": {
                "id": contact.id,
                "name": contact.name,
                "first_name": contact.name.as_deref().and_then(|name| name.split_whitespace().next()),
                "email": contact.email,
                "phone": contact.phone,
                "title": contact.title,
                "locale": contact.locale,
                "time_zone": contact.time_zone,
                "consent": contact.consent.state,
                "source": contact.source,
                "tags": contact.tags,
                "custom": contact.custom,
            },
            "account": self.account.as_ref().map(|account| json!({
                "id": account.id,
                "name": account.name,
                "domains": account.domains,
                "tier": account.tier,
                "industry": account.industry,
                "territory": account.territory,
                "country": account.country,
                "tags": account.tags,
                "custom": account.custom,
            })),
            "lead": self.lead.as_ref().map(|lead| json!({
                "id": lead.id,
                "stage": lead.stage,
                "source": lead.source,
                "grade": lead.grade,
                "priority": lead.priority,
                "received_at": lead.received_at.to_rfc3339(),
                "reason": lead.reason,
                "tags": lead.tags,
                "custom": lead.custom,
            })),
            "sender": { "name": from.called(), "email": from.address },
            "unsubscribe_url": UNSUBSCRIBE_HERE,
            "enrollment": enrollment.map(Enrollment::data),
            "now": now.to_rfc3339(),
        });
        // What was not looked up is not there: nothing reads it, and nothing must take it for none.
        if let Some(interactions) = &self.seen.interactions {
            data["interactions"] = interactions.clone();
        }
        if let Some(lists) = &self.seen.lists {
            data["lists"] = json!(lists);
        }
        data
    }

    /// What the domain's rules take. Of answers and meetings a run hears as they come, and not here.
    pub(super) fn context<'a>(
        &self,
        data: &'a Value,
        sequence: SequenceState,
        surroundings: &'a Surroundings,
    ) -> Context<'a> {
        let zone = self.contact.time_zone.unwrap_or(Tz::UTC);
        Context {
            data,
            zone,
            standing: self.standing,
            replied: false,
            meeting_booked: false,
            sequence,
            calendars: &surroundings.calendars,
            mailboxes: &surroundings.mailboxes,
            capped: None,
        }
    }
}
