//! What events make known: who visitors are, and what they did.
//!
//! A part of a batch is applied in one transaction with the end of its job: a crash before it leaves everything as it was.

use super::people::Scribe;
use crate::{Actor, App, AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::access::{Role, User};
use tandem_domain::account::Account;
use tandem_domain::decision::{Decision, Fact, Job};
use tandem_domain::id::{AccountId, ContactId, EventBatchId, EventSourceId, IngestedEventId, InteractionId, VisitorId};
use tandem_domain::identity::Identity;
use tandem_domain::ingest::event::{self, Deed};
use tandem_domain::ingest::{Crowd, EventKind, EventSource, Fault, IngestedEvent, Keys, State, Trust};
use tandem_domain::interaction::Interaction;
use tandem_domain::sequence::trigger;
use tandem_store::Tx;
use tandem_store::ingest::Applied;

/// How many events are applied in one transaction: other writers are not kept waiting for longer than that takes.
const AT_ONCE: u64 = 250;

/// An event that was read.
struct Read {
    event: IngestedEvent,
    fields: Map<String, Value>,
    keys: Keys,
    kind: EventKind,
}

fn read(source: &EventSource, event: IngestedEvent) -> std::result::Result<Read, IngestedEventId> {
    let Ok(Value::Object(fields)) = serde_json::from_str(&event.payload) else { return Err(event.id) };
    let Some(kind) = event.kind else { return Err(event.id) };
    let [anonymous, user] = ["anonymousId", "userId"].map(|name| event::id(fields.get(name)));
    let keys = Keys::of(anonymous.as_deref(), user.as_deref(), &source.user_system);
    Ok(Read { event, fields, keys, kind })
}

/// What some events of a source make known of visitors and what they did. Run by [`App::apply_events`].
#[derive(Serialize)]
pub struct EventsApply {
    source: EventSourceId,
    batch: EventBatchId,
    #[serde(skip)]
    definition: EventSource,
    #[serde(skip)]
    told: BTreeMap<IngestedEventId, Told>,
}

/// What became of what an event tells of people and companies.
#[derive(Default)]
struct Told {
    contact: Option<(ContactId, Option<AccountId>)>,
    /// Why it was refused, or what of it was left out.
    fault: Option<Fault>,
    is_refused: bool,
}

impl Told {
    const fn refused(fault: Fault) -> Self {
        Self { contact: None, fault: Some(fault), is_refused: true }
    }
}

fn different() -> Fault {
    let message = "this would make one of two people that are known to be different; nothing was joined";
    Fault::new("EVENT_IDENTITIES_DIFFER", message)
}

impl EventsApply {
    /// Contacts that are known under the ids that these users have in the source's system.
    async fn by_user_id(&self, tx: &Tx, events: &[Read]) -> Result<BTreeMap<String, (ContactId, Option<AccountId>)>> {
        let kind = format!("contact.external:{}", self.definition.user_system);
        let users: BTreeSet<String> = events.iter().filter_map(|read| event::id(read.fields.get("userId"))).collect();
        let keys: Vec<Identity> = users.into_iter().map(|user| Identity::new(&kind, user)).collect();
        let owners = tx.identity_owners(&keys).await?;
        let contacts = tx.peek_many::<tandem_domain::contact::Contact>(owners.iter().map(|(_, owner)| *owner)).await?;
        let accounts: BTreeMap<ContactId, Option<AccountId>> =
            contacts.into_iter().map(|contact| (contact.id, contact.account)).collect();
        let known = owners.into_iter().filter_map(|(key, owner)| {
            let contact = ContactId(owner);
            Some((key.value, (contact, *accounts.get(&contact)?)))
        });
        Ok(known.collect())
    }
}

impl Command for EventsApply {
    const NAME: &'static str = "eventsApply";
    type Output = Applied;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Applied>> {
        let now = call.now(env);
        let waiting = tx.events_waiting(self.batch, AT_ONCE).await?;
        let more = waiting.len() as u64 == AT_ONCE;
        let mut applied = Applied::default();
        let mut events = Vec::with_capacity(waiting.len());
        for event in waiting {
            match read(&self.definition, event) {
                Ok(read) => events.push(read),
                Err(id) => {
                    let fault = Fault::new("EVENT_NOT_AN_OBJECT", "an event is a JSON object");
                    applied.settled.push((id, State::Refused, Some(fault)));
                }
            }
        }
        let mut keys: BTreeSet<String> = events.iter().flat_map(|read| read.keys.all().cloned()).collect();
        for previous in events.iter().filter_map(|read| event::id(read.fields.get("previousId"))) {
            let previous = Keys::of(Some(&previous), Some(&previous), &self.definition.user_system);
            keys.extend(previous.all().cloned());
        }
        let users = self.by_user_id(tx, &events).await?;
        let mut crowd = Crowd::new(tx.crowd(&keys).await?);
        let mut deeds: Vec<(VisitorId, &IngestedEvent, Deed)> = Vec::new();
        for Read { event, fields, keys, kind } in &events {
            let Some(visitor) = crowd.meet(keys, env.id(now), event.occurred_at) else { continue };
            let known = event::id(fields.get("userId")).and_then(|user| users.get(&user).copied());
            let told = self.told.get(&event.id);
            let mut fault = told.and_then(|told| told.fault.clone());
            let is_refused = told.is_some_and(|told| told.is_refused);
            for (contact, account) in told.and_then(|told| told.contact).into_iter().chain(known) {
                if crowd.know(visitor, (contact, account), self.definition.trust).is_err() {
                    fault.get_or_insert_with(different);
                }
            }
            if *kind == EventKind::Alias && self.definition.trust == Trust::Browser {
                // Two users of ours are not made one by a page that anybody can read.
                let message = "only a source with the trust SERVER may say that two visitors are one";
                fault.get_or_insert_with(|| Fault::new("EVENT_NEEDS_TRUST", message));
            } else if *kind == EventKind::Alias
                && let Some(previous) = event::id(fields.get("previousId"))
                && crowd.alias(&previous, &self.definition.user_system, visitor).is_err()
            {
                fault.get_or_insert_with(different);
            }
            if *kind == EventKind::Group && self.definition.trust == Trust::Browser {
                let message = "only a source with the trust SERVER may tell of companies";
                fault.get_or_insert_with(|| Fault::new("EVENT_NEEDS_TRUST", message));
            }
            // One fault is kept: what was refused or left out goes before the time that could not be used.
            let fault = fault.or_else(|| event.fault.clone());
            if let Some(deed) = event::deed(&self.definition, *kind, fields) {
                deeds.push((visitor, event, deed));
            }
            applied.settled.push((event.id, if is_refused { State::Refused } else { State::Applied }, fault));
        }
        let (changes, visitors) = crowd.close();
        let merged: BTreeMap<VisitorId, VisitorId> = changes.merged.iter().copied().collect();
        // Ids of one moment come in no order of their own; what was told in an order keeps it.
        let mut ids: BTreeMap<DateTime<Utc>, Vec<InteractionId>> = BTreeMap::new();
        for (_, event, _) in &deeds {
            ids.entry(event.occurred_at).or_default().push(env.id(event.occurred_at));
        }
        ids.values_mut().for_each(|alike| alike.sort_unstable_by(|one, other| other.cmp(one)));
        applied.interactions = deeds
            .into_iter()
            .map(|(met, event, deed)| {
                let mut id = met;
                while let Some(other) = merged.get(&id) {
                    id = *other;
                }
                let visitor = visitors.get(&id);
                Interaction {
                    id: ids.get_mut(&event.occurred_at).and_then(Vec::pop).unwrap_or_else(|| env.id(event.occurred_at)),
                    contact: visitor.and_then(|visitor| visitor.contact),
                    account: visitor.and_then(|visitor| visitor.account),
                    visitor: Some(id),
                    source: Some(self.source),
                    kind: deed.kind,
                    name: deed.name,
                    occurred_at: event.occurred_at,
                    recorded_at: now,
                    automated: deed.automated,
                    seconds: deed.seconds,
                    url: deed.url,
                    properties: deed.properties,
                }
            })
            .collect();
        let refused = applied.settled.iter().filter(|(_, state, _)| *state == State::Refused).count();
        let fact = Fact::ledger("events.applied", self.batch)
            .with("source", self.source)
            .with("events", applied.settled.len())
            .with("refused", refused)
            .with("interactions", applied.interactions.len())
            .with("heard", of_people(&applied.interactions));
        let (identified, merged) = (changes.identified.clone(), changes.merged.clone());
        applied.changes = changes;
        let mut decision = Decision::new(applied, fact);
        for id in identified {
            let Some(visitor) = visitors.get(&id) else { continue };
            let fact = Fact::ledger("visitor.identified", id).account(visitor.account).with("contact", visitor.contact);
            decision = decision.record(fact);
        }
        for (from, to) in merged {
            decision = decision.record(Fact::ledger("visitor.merged", to).with("from", from));
        }
        if more {
            decision = decision.plan(Job::ApplyEvents { source: self.source, batch: self.batch }, now);
        }
        Ok(decision)
    }
}

/// The interactions that somebody known did, so that sequences may hear of them.
fn of_people(interactions: &[Interaction]) -> Vec<InteractionId> {
    let counts = |interaction: &&Interaction| trigger::Event::of(interaction).is_some();
    interactions.iter().filter(counts).map(|interaction| interaction.id).collect()
}

impl App {
    /// Applies some events of a batch, in one transaction with the end of the job, and plans the rest. Whether there was
    /// anything to do.
    pub async fn apply_events(&self, call: &Call, source: EventSourceId, events: EventBatchId) -> Result<bool> {
        let missing = || AppError::NotFound { what: "EventSource", id: source.into() };
        let definition: EventSource = self.store.find(source).await?.ok_or_else(missing)?;
        let mut batch = self.batch().await?;
        let waiting = batch.tx().events_waiting(events, AT_ONCE).await?;
        if waiting.is_empty() {
            return Ok(false);
        }
        let acts = batch.tx().peek::<User>(definition.acts_as).await?;
        if let Err(problem) = crate::inbound::check_actor(acts.as_ref()) {
            // The events wait: nothing is lost by a user who was switched off, and somebody has to look.
            let message = format!("the source acts as user {}: {problem}", definition.acts_as);
            return Err(AppError::refused("SOURCE_ACTOR_UNFIT", message, None));
        }
        let own = call.without_job();
        let actor = Actor::user(definition.acts_as, Role::Integration, None);
        let fields = batch.tx().vocabulary(None).await?.fields;
        let scribe = Scribe { source: &definition, call: own.by(actor), fields };
        let read: Vec<Read> = waiting.into_iter().filter_map(|event| read(&definition, event).ok()).collect();
        let mut told = BTreeMap::new();
        for identify in read.iter().filter(|read| read.kind == EventKind::Identify) {
            match scribe.person(&mut batch, &identify.fields).await? {
                None => {}
                Some(Ok(person)) => {
                    let contact = Some((person.record.id, person.record.account));
                    told.insert(identify.event.id, Told { contact, fault: person.fault, is_refused: false });
                }
                Some(Err(fault)) => {
                    told.insert(identify.event.id, Told::refused(fault));
                }
            }
        }
        let mut companies: Vec<(&Keys, Account)> = Vec::new();
        let groups = read.iter().filter(|read| read.kind == EventKind::Group && definition.trust == Trust::Server);
        for group in groups {
            match scribe.company(&mut batch, &group.fields).await? {
                None => {}
                Some(Ok(company)) => {
                    companies.push((&group.keys, company.record));
                    told.insert(group.event.id, Told { fault: company.fault, ..Told::default() });
                }
                Some(Err(fault)) => {
                    told.insert(group.event.id, Told::refused(fault));
                }
            }
        }
        let apply = EventsApply { source, batch: events, definition: definition.clone(), told };
        batch.run(&own, &apply).await?;
        for (keys, company) in companies {
            let held = batch.tx().crowd(&keys.all().cloned().collect()).await?;
            let person = held.into_iter().find_map(|(_, visitor)| visitor.contact);
            if let Some(person) = person {
                scribe.employ(&mut batch, person, &company).await?;
            }
        }
        if let Some(lease) = call.job {
            batch.finish_job(lease);
        }
        batch.commit().await?;
        Ok(true)
    }
}
