//! The people that a simulation is about, with all that is known of them: a few statements for a page of them.

use super::{Refusal, SimulationAsk};
use crate::sequence::subject::{Seen, Subject};
use crate::{App, AppError, Result};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tandem_domain::account::Account;
use tandem_domain::contact::Contact;
use tandem_domain::expression::Expression;
use tandem_domain::expression::typing::{Purpose, faults};
use tandem_domain::id::{AccountId, ContactId};
use tandem_domain::interaction::InteractionKind;
use tandem_domain::lead::Lead;
use tandem_domain::sequence::environment::environment;
use tandem_domain::sequence::hearing::kinds_heard;
use tandem_domain::sequence::reads::Reads;
use tandem_domain::sequence::simulation::{Entering, Person, Surroundings};
use tandem_domain::sequence::trigger::Event;
use tandem_domain::sequence::{Definition, SubjectKind};
use tandem_domain::standing::standing;
use tandem_domain::suppression::{Suppression, SuppressionKind, lookups};
use tandem_store::simulation::Crowd;
use uuid::Uuid;

/// How many people are read at once.
const PAGE: u64 = 500;

/// Whom a simulation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Everybody.
    Everybody,
    /// Those at a company that is active on the target list with this key.
    OnList(String),
    /// Those who run through the sequence with this key now.
    InSequence(String),
    /// Those for whom a condition (CEL) holds now, seen with their newest open lead.
    Where(String),
    /// These people.
    These(BTreeSet<ContactId>),
}

/// What must be known of people, since a definition reads it or hears of it.
pub(super) struct Wanted {
    reads: Reads,
    kinds: BTreeSet<InteractionKind>,
}

impl Wanted {
    /// By these definitions.
    pub(super) fn by<'a>(definitions: impl Iterator<Item = &'a Definition>) -> Self {
        let mut wanted = Self { reads: Reads::default(), kinds: BTreeSet::new() };
        for definition in definitions {
            wanted.reads = wanted.reads.and(Reads::of(definition));
            wanted.kinds.extend(kinds_heard(definition));
        }
        wanted
    }
}

/// Who was found.
pub(super) struct Found {
    pub(super) people: Vec<Person>,
    pub(super) left_out: bool,
}

/// A person and what belongs to them.
type Individual = (Contact, Option<Account>, Option<Lead>);

/// When the simulation begins, and now.
type Moments = (DateTime<Utc>, DateTime<Utc>);

impl App {
    /// Reads the people, with what is wanted of them, and into `around` what was written to their companies.
    pub(super) async fn found(
        &self,
        ask: &SimulationAsk,
        (definition, wanted): (&Definition, &Wanted),
        (start, now): Moments,
        around: &mut Surroundings,
    ) -> Result<Found> {
        if ask.history.is_some_and(|(from, to)| from >= to || from >= now) {
            return Err(Refusal::History.into());
        }
        if ask.entering == Entering::Triggered && ask.history.is_none() {
            return Err(Refusal::NothingToTrigger.into());
        }
        let condition = match &ask.who {
            Who::Where(condition) => Some((condition.as_str(), read(condition)?)),
            _ => None,
        };
        let crowd = self.crowd(&ask.who).await?;
        let mut found = Found { people: Vec::new(), left_out: false };
        let mut after = None;
        loop {
            let page = match (&ask.who, crowd) {
                (Who::These(ids), _) => self.these(ids, after).await?,
                (_, crowd) => self.store.crowd_behind(crowd, after, PAGE).await?,
            };
            let Some(last) = page.last().map(|contact| contact.id) else { break };
            let full = page.len() as u64 == PAGE;
            let seen = self.seen(page, definition, condition.is_some()).await?;
            let mut seen = match &condition {
                Some((source, condition)) => self.for_whom_it_holds((source, condition.clone()), seen, now).await?,
                None => seen,
            };
            let room = usize::try_from(ask.most).unwrap_or(usize::MAX).saturating_sub(found.people.len());
            if seen.len() > room {
                seen.truncate(room);
                found.left_out = true;
            }
            if definition.header.subject == SubjectKind::Contact {
                // A run of a person sees no lead.
                seen.iter_mut().for_each(|(_, _, lead)| *lead = None);
            }
            let people = self.known(seen, (ask, wanted), (start, now), around).await?;
            found.people.extend(people);
            if !full || found.left_out {
                break;
            }
            after = Some(last);
        }
        Ok(found)
    }

    async fn crowd(&self, who: &Who) -> Result<Crowd> {
        Ok(match who {
            Who::Everybody | Who::Where(_) | Who::These(_) => Crowd::Everybody,
            Who::OnList(key) => {
                let list = self.store.list_by_key(key).await?;
                Crowd::OnList(list.ok_or_else(|| Refusal::ListUnknown { given: key.clone() })?.id)
            }
            Who::InSequence(key) => {
                let sequence = self.store.sequence_by_key(key).await?;
                Crowd::InSequence(sequence.ok_or_else(|| Refusal::SequenceUnknown { given: key.clone() })?.id)
            }
        })
    }

    async fn these(&self, ids: &BTreeSet<ContactId>, after: Option<ContactId>) -> Result<Vec<Contact>> {
        let page: Vec<ContactId> =
            ids.iter().filter(|id| after.is_none_or(|after| **id > after)).take(PAGE as usize).copied().collect();
        let mut found: Vec<Contact> = self.store.find_many(page.iter().map(|id| Uuid::from(*id))).await?;
        found.sort_by_key(|contact| contact.id);
        let is_there = |id: &ContactId| found.binary_search_by_key(id, |contact| contact.id).is_ok();
        match page.iter().find(|id| !is_there(id)) {
            Some(unknown) => Err(AppError::NotFound { what: "Contact", id: (*unknown).into() }),
            None => Ok(found),
        }
    }

    /// The people of a page with their companies, and with their newest open leads where those are wanted or where leads run
    /// through the sequence.
    async fn seen(&self, page: Vec<Contact>, definition: &Definition, with_leads: bool) -> Result<Vec<Individual>> {
        let ids: Vec<ContactId> = page.iter().map(|contact| contact.id).collect();
        let mut leads = match definition.header.subject {
            SubjectKind::Contact if !with_leads => BTreeMap::new(),
            _ => self.store.newest_open_leads(&ids).await?,
        };
        let of = |contact: &Contact, lead: Option<&Lead>| lead.and_then(|lead| lead.account).or(contact.account);
        let wanted: BTreeSet<Uuid> =
            page.iter().filter_map(|contact| of(contact, leads.get(&contact.id))).map(Uuid::from).collect();
        let own: BTreeSet<Uuid> = page.iter().filter_map(|contact| contact.account).map(Uuid::from).collect();
        let accounts: Vec<Account> = self.store.find_many(wanted.union(&own).copied()).await?;
        let accounts: HashMap<AccountId, Account> = accounts.into_iter().map(|account| (account.id, account)).collect();
        let mut seen = Vec::with_capacity(page.len());
        for contact in page {
            let lead = leads.remove(&contact.id);
            let contact_run = definition.header.subject == SubjectKind::Contact;
            // What a condition sees goes by the lead; what the run of a person sees does not.
            let lead_decides = lead.as_ref().filter(|_| !contact_run || with_leads);
            let account = of(&contact, lead_decides).and_then(|id| accounts.get(&id)).cloned();
            seen.push((contact, account, lead));
        }
        Ok(seen)
    }

    async fn glimpses(&self, people: &[Individual], reads: &Reads, now: DateTime<Utc>) -> Result<Vec<Seen>> {
        let of = |(contact, account, _): &Individual| (contact.id, account.as_ref().map(|account| account.id));
        self.seen_of(&people.iter().map(of).collect::<Vec<_>>(), reads, now).await
    }

    async fn for_whom_it_holds(
        &self,
        (source, condition): (&str, Expression),
        seen: Vec<Individual>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Individual>> {
        let sights = self.glimpses(&seen, &Reads::of_expression(source), now).await?;
        let env = self.env.clone();
        let judged = tokio::task::spawn_blocking(move || {
            let mut kept = Vec::new();
            for ((contact, account, lead), sight) in seen.into_iter().zip(sights) {
                let own = account.clone();
                let subject = Subject::glimpsed(contact, account, lead, sight);
                match condition.holds(&subject.data(&env, None, now)) {
                    Ok(true) => kept.push((subject.contact, own, subject.lead)),
                    // As with segments: whom it has no value for is not meant.
                    Ok(false) | Err(tandem_domain::expression::Refusal::Failed { .. }) => {}
                    Err(error) => return Err(Refusal::from(error)),
                }
            }
            Ok(kept)
        });
        match judged.await {
            Ok(judged) => Ok(judged?),
            Err(_) => Err(Refusal::BrokeOff.into()),
        }
    }

    /// What is known of people beside what conditions see: whether they may be written to, what was written to them, what they
    /// did.
    async fn known(
        &self,
        mut seen: Vec<Individual>,
        (ask, wanted): (&SimulationAsk, &Wanted),
        (start, now): Moments,
        around: &mut Surroundings,
    ) -> Result<Vec<Person>> {
        // The company of a person's own run is the person's own.
        let elsewhere: BTreeSet<Uuid> = seen
            .iter()
            .filter(|(contact, account, lead)| {
                lead.is_none() && account.as_ref().map(|account| account.id) != contact.account
            })
            .filter_map(|(contact, ..)| contact.account)
            .map(Uuid::from)
            .collect();
        if !elsewhere.is_empty() {
            let accounts: Vec<Account> = self.store.find_many(elsewhere).await?;
            for (contact, account, lead) in &mut seen {
                if lead.is_none() && account.as_ref().map(|account| account.id) != contact.account {
                    *account = accounts.iter().find(|found| Some(found.id) == contact.account).cloned();
                }
            }
        }
        let addresses = seen.iter().filter_map(|(contact, ..)| contact.email.as_deref());
        let mut suppressions: BTreeMap<(SuppressionKind, String), Vec<Suppression>> = BTreeMap::new();
        for found in self.store.suppressions_covering(addresses).await? {
            suppressions.entry((found.kind, found.value.clone())).or_default().push(found);
        }
        let contacts: Vec<ContactId> = seen.iter().map(|(contact, ..)| contact.id).collect();
        let accounts: BTreeSet<Uuid> =
            seen.iter().filter_map(|(_, account, _)| account.as_ref()).map(|account| account.id.into()).collect();
        let (mut touched, of_companies) = match around.policy.as_ref().filter(|policy| !policy.caps.is_empty()) {
            Some(policy) => {
                let people = contacts.iter().copied().map(Uuid::from).collect();
                let asked = accounts.into_iter().filter(|id| !around.accounts.contains_key(&AccountId(*id))).collect();
                self.store.counted_of(policy, people, asked, start.min(now)).await?
            }
            None => Default::default(),
        };
        around.accounts.extend(of_companies.into_iter().map(|(id, moments)| (AccountId(id), moments)));
        let mut history: HashMap<ContactId, Vec<Event>> = HashMap::new();
        if let Some((from, to)) = ask.history {
            let shift: TimeDelta = start - from;
            for deed in self.store.interactions_between(&contacts, &wanted.kinds, (from, to.min(now))).await? {
                let Some((contact, mut event)) = deed.contact.zip(Event::of(&deed)) else { continue };
                let Some(at) = event.occurred_at.checked_add_signed(shift) else { continue };
                event.occurred_at = at;
                history.entry(contact).or_default().push(event);
            }
        }
        let sights = self.glimpses(&seen, &wanted.reads, now).await?;
        let env = Arc::new(self.env.clone());
        let person = |((contact, account, lead), sight): (Individual, Seen)| {
            let covering: Vec<Suppression> = contact
                .email
                .as_deref()
                .map(lookups)
                .unwrap_or_default()
                .iter()
                .filter_map(|name| suppressions.get(name))
                .flatten()
                .cloned()
                .collect();
            let standing = standing(&contact, contact.email.as_deref(), &covering);
            let (id, zone) = (contact.id, contact.time_zone.unwrap_or(Tz::UTC));
            let subject = Subject::glimpsed(contact, account, lead, sight);
            Person {
                contact: id,
                lead: subject.lead.as_ref().map(|lead| lead.id),
                account: subject.account.as_ref().map(|account| account.id),
                zone,
                standing,
                data: subject.data(&env, None, now),
                touched: touched.remove(&id.into()).unwrap_or_default(),
                history: history.remove(&id).unwrap_or_default(),
            }
        };
        Ok(seen.into_iter().zip(sights).map(person).collect())
    }
}

/// Reads a condition on people; what is wrong with it is told as for a definition.
fn read(condition: &str) -> Result<Expression> {
    let expression = Expression::parse(condition).map_err(Refusal::from)?;
    let wrong = faults(condition, environment(), Purpose::Condition);
    match wrong.first() {
        Some(fault) => Err(Refusal::Condition(fault.message.clone()).into()),
        None => Ok(expression),
    }
}
