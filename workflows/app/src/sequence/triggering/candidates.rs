//! Whom a trigger looks at, part by part, and what it sees of them.

use super::relaying;
use super::starting::{AT_ONCE, TriggerStart};
use crate::sequence::subject::{Seen, Subject};
use crate::{App, Result};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::account::Account;
use tandem_domain::contact::Contact;
use tandem_domain::id::{AccountId, ContactId, LeadId};
use tandem_domain::interaction::Interaction;
use tandem_domain::lead::Lead;
use tandem_domain::ledger::Entry;
use tandem_domain::sequence::reads::Reads;
use tandem_domain::sequence::trigger::matching::KINDS;
use tandem_domain::sequence::trigger::{Cause, Event, Meant, Trigger, TriggerKind, Who, completed, meant};
use tandem_domain::sequence::{Sequence, SequenceVersion};
use uuid::Uuid;

/// How many people a look at everybody reads at once: few of them are started.
const EVERYBODY_AT_ONCE: u64 = 500;

/// Somebody that a trigger looks at.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) contact: Contact,
    /// The trigger's lead, else the newest open one.
    pub(super) lead: Option<Lead>,
    /// What the person did.
    event: Option<Event>,
    /// The variable of the kind of trigger.
    seen: Option<(&'static str, Value)>,
    /// The entry that set the trigger off.
    pub(super) seq: Option<i64>,
    /// In answer to what that was.
    pub(super) request_id: String,
    /// The date that fell due.
    pub(super) value: Option<String>,
    /// The stretch of time, in milliseconds, in which dates are looked for.
    pub(super) dates: Option<(i64, i64)>,
}

/// Somebody, and what conditions read.
pub(super) struct Sight {
    pub(super) candidate: Candidate,
    pub(super) data: Value,
}

/// Some candidates, and where the next part goes on.
pub(super) struct Part {
    pub(super) candidates: Vec<Candidate>,
    pub(super) next: Option<(Cause, Option<Uuid>)>,
}

/// Whom an entry means, before anybody was looked up.
struct Call<'e> {
    entry: &'e Entry,
    meant: Meant,
}

impl App {
    /// The next candidates of a trigger.
    pub(super) async fn candidates(
        &self,
        listener: &(Sequence, SequenceVersion),
        trigger: &Trigger,
        start: &TriggerStart,
        request_id: &str,
        now: DateTime<Utc>,
    ) -> Result<Part> {
        let plain = |contact: Contact, value: Option<String>, dates| Candidate {
            contact,
            lead: None,
            event: None,
            seen: None,
            seq: None,
            request_id: request_id.to_owned(),
            value,
            dates,
        };
        match start.cause {
            Cause::Entries { from, to } => self.meant_by_entries(listener, trigger, (from, to), start.after).await,
            Cause::Tick {} | Cause::Baseline { .. } | Cause::Dates { .. } => {
                let dates = if let Cause::Dates { since, until } = start.cause { Some((since, until)) } else { None };
                let contacts = self.store.contacts_behind(None, start.after, EVERYBODY_AT_ONCE).await?;
                let last = contacts.last().filter(|_| contacts.len() as u64 == EVERYBODY_AT_ONCE);
                let next = last.map(|contact| (start.cause, Some(contact.id.into())));
                let candidates = contacts.into_iter().map(|contact| plain(contact, None, dates)).collect();
                Ok(Part { candidates, next })
            }
            Cause::Due {} => {
                let due = self.store.trigger_due(start.of(), now, AT_ONCE as u64).await?;
                let full = due.len() == AT_ONCE;
                let contacts = self.people(due.iter().map(|(contact, _)| *contact)).await?;
                let candidates = due
                    .into_iter()
                    .filter_map(|(contact, value)| Some(plain(contacts.get(&contact)?.clone(), Some(value), None)))
                    .collect();
                Ok(Part { candidates, next: full.then_some((Cause::Due {}, None)) })
            }
        }
    }

    async fn people(&self, ids: impl IntoIterator<Item = ContactId>) -> Result<BTreeMap<ContactId, Contact>> {
        let ids: BTreeSet<Uuid> = ids.into_iter().map(Uuid::from).collect();
        let found: Vec<Contact> = self.store.find_many(ids).await?;
        Ok(found.into_iter().map(|contact| (contact.id, contact)).collect())
    }

    /// Whom the entries of a stretch mean, in their order. The people at a company come page by page: `after` is the last one
    /// of the first company.
    async fn meant_by_entries(
        &self,
        listener: &(Sequence, SequenceVersion),
        trigger: &Trigger,
        (from, to): (i64, i64),
        after: Option<Uuid>,
    ) -> Result<Part> {
        let entries = self.store.ledger_between(from, to, &KINDS).await?;
        let lists = self.lists_of(&[&listener.1]).await?;
        let key = listener.0.key.as_str();
        let calls = entries.iter().filter_map(|entry| Some(Call { entry, meant: meant(trigger, key, entry, &lists)? }));
        let (mut some, mut weight) = (Vec::new(), 0);
        let mut next = None;
        for call in calls {
            if weight >= AT_ONCE {
                next = some.last().map(|call: &Call<'_>| (Cause::Entries { from: call.entry.seq, to }, None));
                break;
            }
            weight += match &call.meant.who {
                Who::Doers(ids) => ids.len(),
                // A company is a page by itself.
                Who::Account(_) => AT_ONCE,
                Who::Contact(_) | Who::Lead(_) => 1,
            };
            some.push(call);
        }
        let looked = self.looked_up(&some).await?;
        let mut candidates = Vec::new();
        let mut after = after;
        for Call { entry, meant } in some {
            let seen = || meant.seen.clone();
            let candidate = |contact: Contact, lead: Option<Lead>, event: Option<Event>| Candidate {
                contact,
                lead,
                event,
                seen: seen(),
                seq: Some(entry.seq),
                request_id: entry.request_id.clone(),
                value: None,
                dates: dates(trigger, entry),
            };
            match &meant.who {
                Who::Contact(id) => {
                    candidates.extend(looked.contacts.get(id).map(|contact| candidate(contact.clone(), None, None)));
                }
                Who::Lead(id) => {
                    let lead = looked.leads.get(id);
                    let contact = lead.and_then(|lead| looked.contacts.get(&lead.contact));
                    candidates.extend(contact.map(|contact| candidate(contact.clone(), lead.cloned(), None)));
                }
                Who::Doers(ids) => {
                    for id in ids {
                        let Some(deed) = looked.deeds.get(&Uuid::from(*id)) else { continue };
                        let contact = deed.contact.and_then(|id| looked.contacts.get(&id));
                        if matches!(trigger.kind, TriggerKind::Segment(_)) {
                            // Its condition counts what people do.
                            candidates.extend(contact.map(|contact| candidate(contact.clone(), None, None)));
                            continue;
                        }
                        let wanted = matches!(&trigger.kind, TriggerKind::Event(on) if on.event.contains(&deed.kind));
                        let contact = contact.filter(|_| wanted);
                        let did = contact.zip(Event::of(deed));
                        candidates.extend(did.map(|(contact, event)| candidate(contact.clone(), None, Some(event))));
                    }
                }
                Who::Account(id) => {
                    let page = self.store.contacts_behind(Some(*id), after.take(), AT_ONCE as u64).await?;
                    if page.len() == AT_ONCE {
                        let last = page.last().map(|contact| contact.id.into());
                        next = Some((Cause::Entries { from: entry.seq - 1, to }, last));
                    }
                    candidates.extend(page.into_iter().map(|contact| candidate(contact, None, None)));
                }
            }
        }
        Ok(Part { candidates, next })
    }

    async fn looked_up(&self, calls: &[Call<'_>]) -> Result<LookedUp> {
        let (mut contacts, mut leads, mut deeds) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for call in calls {
            match &call.meant.who {
                Who::Contact(id) => contacts.extend([*id]),
                Who::Lead(id) => leads.extend([Uuid::from(*id)]),
                Who::Doers(ids) => deeds.extend(ids.iter().map(|id| Uuid::from(*id))),
                Who::Account(_) => {}
            }
        }
        let leads: Vec<Lead> = self.store.find_many(leads).await?;
        let deeds: Vec<Interaction> = self.store.find_many(deeds).await?;
        contacts.extend(leads.iter().map(|lead| lead.contact));
        contacts.extend(deeds.iter().filter_map(|deed| deed.contact));
        Ok(LookedUp {
            contacts: self.people(contacts).await?,
            leads: leads.into_iter().map(|lead| (lead.id, lead)).collect(),
            deeds: deeds.into_iter().map(|deed| (deed.id.into(), deed)).collect(),
        })
    }

    /// What conditions read of candidates.
    pub(super) async fn sights(
        &self,
        trigger: &Trigger,
        mut candidates: Vec<Candidate>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Sight>> {
        let without: BTreeSet<ContactId> = candidates
            .iter()
            .filter(|candidate| candidate.lead.is_none())
            .map(|candidate| candidate.contact.id)
            .collect();
        let newest = self.store.newest_open_leads(&without.into_iter().collect::<Vec<_>>()).await?;
        for candidate in candidates.iter_mut().filter(|candidate| candidate.lead.is_none()) {
            candidate.lead = newest.get(&candidate.contact.id).cloned();
        }
        let account = |candidate: &Candidate| -> Option<AccountId> {
            candidate.lead.as_ref().and_then(|lead| lead.account).or(candidate.contact.account)
        };
        let accounts: BTreeSet<Uuid> = candidates.iter().filter_map(account).map(Uuid::from).collect();
        let accounts: Vec<Account> = self.store.find_many(accounts).await?;
        let accounts: BTreeMap<AccountId, Account> =
            accounts.into_iter().map(|account| (account.id, account)).collect();
        let people: Vec<_> = candidates.iter().map(|candidate| (candidate.contact.id, account(candidate))).collect();
        let seen = self.seen_of(&people, &Reads::of_trigger(trigger), now).await?;
        let sight = |(candidate, seen): (Candidate, Seen)| {
            let account = account(&candidate).and_then(|id| accounts.get(&id)).cloned();
            let subject = Subject::glimpsed(candidate.contact.clone(), account, candidate.lead.clone(), seen);
            let mut data = subject.data(&self.env, None, now);
            let mut extra: Map<String, Value> = completed(trigger, candidate.seen.clone(), &data);
            extra.extend(candidate.event.as_ref().map(|event| ("event".to_owned(), event.data())));
            for (name, value) in extra {
                data[name] = value;
            }
            Sight { candidate, data }
        };
        Ok(candidates.into_iter().zip(seen).map(sight).collect())
    }
}

/// What was looked up for some entries.
struct LookedUp {
    contacts: BTreeMap<ContactId, Contact>,
    leads: BTreeMap<LeadId, Lead>,
    deeds: BTreeMap<Uuid, Interaction>,
}

/// A date that an entry tells of counts from the moment of the entry on.
fn dates(trigger: &Trigger, entry: &Entry) -> Option<(i64, i64)> {
    let ahead: TimeDelta = relaying::AHEAD;
    let is_date = matches!(trigger.kind, TriggerKind::Date(_));
    is_date.then(|| (entry.at, entry.at.saturating_add(ahead.num_milliseconds())))
}
