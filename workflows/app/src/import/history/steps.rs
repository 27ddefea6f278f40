//! One event of the past, as the commands that people would have run.

use super::event::{Event, EventKind};
use super::past::Past;
use super::people::{People, Step, as_role, on_behalf};
use super::subject::Subject;
use crate::dispatch::{
    HandoffAssign, HandoffConvert, HandoffLose, HandoffReturn, HandoffReviewReturn, HandoffStart, OpportunityDispatch,
};
use crate::import::fault::Fault;
use crate::import::mapping::short;
use crate::leads::{LeadQualify, LeadReceive};
use crate::queue::{ChecklistAnswer, WorkItemAnswer, WorkItemClaim, WorkItemStart, WorkItemVerify};
use crate::written::{MAX_ROWS, Outcome};
use crate::{App, AppError, Batch, Call};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use tandem_domain::access::{Role, User};
use tandem_domain::handoff::{Handoff, Reason, ReviewVerdict, Use};
use tandem_domain::id::LeadId;
use tandem_domain::lead::{Lead, Stage};
use tandem_domain::opportunity::Money;
use tandem_domain::verification::{Finding, Verdict};

/// The source of a lead whose event names none.
const NO_SOURCE: &str = "not_given";

/// Runs events within a batch.
pub(super) struct Steps<'a> {
    app: &'a App,
    pub(super) people: People<'a>,
    /// When the file says that leads were received.
    received: HashMap<String, DateTime<Utc>>,
    /// The leads met so far, by the file's name for them.
    leads: HashMap<String, LeadId>,
    /// Leads on record (with their sources) by the name that the events of the present batch give them.
    stored: HashMap<String, Vec<(LeadId, String)>>,
    /// Whom the leads that come in with the present batch are about.
    subjects: HashMap<(String, DateTime<Utc>), Result<Subject, Fault>>,
    /// What was recorded in this run and may not be in the ledger yet.
    done: HashSet<(LeadId, EventKind, DateTime<Utc>)>,
    /// Who took a lead last, by the file's word.
    reps: HashMap<LeadId, String>,
}

/// What the ledger calls an event.
const fn entry(kind: EventKind) -> &'static str {
    match kind {
        EventKind::LeadReceived => "lead.received",
        EventKind::Verified => "lead.verified",
        EventKind::Dispatched => "lead.dispatched",
        EventKind::Accepted => "lead.accepted",
        EventKind::Won => "lead.won",
        EventKind::Lost => "lead.lost",
        EventKind::Returned => "lead.returned",
    }
}

/// Passes a fault on and keeps what is right: `let user = ok!(people.person(..).await?);`
macro_rules! ok {
    ($step:expr) => {
        match $step {
            Ok(value) => value,
            Err(fault) => return Ok(Err(fault)),
        }
    };
}

impl<'a> Steps<'a> {
    pub(super) fn new(app: &'a App, people: People<'a>, received: HashMap<String, DateTime<Utc>>) -> Self {
        let (leads, stored, subjects) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { app, people, received, leads, stored, subjects, done: HashSet::new(), reps: HashMap::new() }
    }

    /// Forgets what a transaction that did not happen made; the database knows the rest.
    pub(super) fn forget(&mut self) {
        self.people.forget();
        self.leads.clear();
        self.done.clear();
    }

    /// Looks up what a batch of events speaks of, and makes the people of the leads that come in with it: many at a
    /// time, because most of a file is leads that came in.
    pub(super) async fn prepare(
        &mut self,
        batch: &mut Batch<'_>,
        call: &Call,
        events: &[(usize, &Event)],
        resume: DateTime<Utc>,
    ) -> Result<(), AppError> {
        self.stored.clear();
        self.subjects.clear();
        let unknown: BTreeSet<&str> = events
            .iter()
            .map(|(_, event)| event.lead.as_str())
            .filter(|name| !self.leads.contains_key(*name))
            .collect();
        let names: Vec<&str> = unknown.iter().copied().collect();
        for names in names.chunks(1_000) {
            for lead in batch.tx().leads_called(names).await? {
                let name = lead.external_id.unwrap_or_default();
                self.stored.entry(name).or_default().push((lead.id, lead.source));
            }
        }
        let now = self.app.env.now();
        let mut arriving: BTreeMap<DateTime<Utc>, Vec<&Event>> = BTreeMap::new();
        for (_, event) in events.iter().filter(|(_, event)| event.kind == EventKind::LeadReceived && event.at <= now) {
            if unknown.contains(event.lead.as_str()) && !self.stored.contains_key(&event.lead) {
                arriving.entry(event.at).or_default().push(event);
            }
        }
        let arriving =
            arriving.iter().flat_map(|(at, events)| events.chunks(MAX_ROWS).map(move |events| (*at, events)));
        for (at, events) in arriving {
            let found = super::subject::find_or_make(batch, &call.clone().at(at), events, resume).await?;
            let named = events.iter().map(|event| (event.lead.clone(), at));
            self.subjects.extend(named.zip(found));
        }
        Ok(())
    }

    /// Runs one event. `call` is Tandem's own; `resume` is when unfinished leads are taken up.
    pub(super) async fn run(
        &mut self,
        batch: &mut Batch<'_>,
        call: &Call,
        event: &Event,
        resume: DateTime<Utc>,
    ) -> Step<Outcome> {
        if event.at > self.app.env.now() {
            let sentence = format!("{} is in the future; only the past can be imported", event.at.to_rfc3339());
            return Ok(Err(Fault::new("at", "HISTORY_IN_FUTURE", sentence)));
        }
        let call = call.clone().at(event.at);
        let lead = ok!(self.lead(batch, event).await?);
        if event.kind == EventKind::LeadReceived {
            return match lead {
                Some(lead) if lead.received_at == event.at => Ok(Ok(Outcome::Unchanged)),
                Some(lead) => {
                    let at = lead.received_at.to_rfc3339();
                    let sentence =
                        format!("the lead `{}` was received at {at}; correct one of them", short(&event.lead));
                    Ok(Err(Fault::new("lead", "HISTORY_LEAD_EXISTS", sentence)))
                }
                None => self.receive(batch, &call, event, resume).await,
            };
        }
        let Some(lead) = lead else {
            if let Some(received) = self.received.get(&event.lead) {
                ok!(after_receipt(event, *received));
            }
            let sentence = format!(
                "no lead `{}` was received; import its `lead_received` event first, or correct the id",
                short(&event.lead)
            );
            return Ok(Err(Fault::new("lead", "HISTORY_LEAD_UNKNOWN", sentence)));
        };
        if let Some(rep) = event.fields.text("rep") {
            self.reps.insert(lead.id, rep.to_owned());
        }
        let mark = (lead.id, event.kind, event.at);
        // What is later than all that is known of the lead cannot be known yet.
        if event.at <= lead.stage_since
            && (self.done.contains(&mark) || batch.tx().is_on_record(lead.id, entry(event.kind), event.at).await?)
        {
            return Ok(Ok(Outcome::Unchanged));
        }
        ok!(in_time(event, &lead));
        match event.kind {
            EventKind::LeadReceived => {}
            EventKind::Verified => ok!(self.verify(batch, &call, event, lead, resume).await?),
            EventKind::Dispatched => ok!(self.dispatch(batch, &call, event, lead, resume).await?),
            EventKind::Accepted => ok!(self.accept(batch, &call, event, lead, resume).await?),
            EventKind::Won | EventKind::Lost | EventKind::Returned => {
                ok!(self.conclude(batch, &call, event, lead, resume).await?)
            }
        }
        self.done.insert(mark);
        Ok(Ok(Outcome::Created))
    }

    /// The lead of an event, to be changed.
    async fn lead(&mut self, batch: &Batch<'_>, event: &Event) -> Step<Option<Lead>> {
        if let Some(id) = self.leads.get(&event.lead) {
            return Ok(Ok(batch.tx().get(*id).await?));
        }
        let source = event.fields.text("source").map(tandem_domain::lead::normalise_source).transpose();
        let source = ok!(source.map_err(|refusal| Fault::new("source", refusal.code(), refusal.to_string())));
        let stored = self.stored.get(&event.lead).into_iter().flatten();
        let found: Vec<_> = stored.filter(|(_, from)| source.as_ref().is_none_or(|source| source == from)).collect();
        match found[..] {
            [] => Ok(Ok(None)),
            [(id, _)] => {
                self.leads.insert(event.lead.clone(), *id);
                Ok(Ok(batch.tx().get(*id).await?))
            }
            _ => {
                let sources = found.iter().map(|(_, source)| source.as_str()).collect::<Vec<_>>().join(", ");
                let sentence =
                    format!("several leads are called `{}` ({sources}); name the source", short(&event.lead));
                Ok(Err(Fault::new("lead", "HISTORY_LEAD_AMBIGUOUS", sentence)))
            }
        }
    }

    async fn receive(
        &mut self,
        batch: &mut Batch<'_>,
        call: &Call,
        event: &Event,
        resume: DateTime<Utc>,
    ) -> Step<Outcome> {
        let (contact, account) = match self.subjects.remove(&(event.lead.clone(), event.at)) {
            Some(subject) => ok!(subject),
            // The name is that of a lead from another source.
            None => match super::subject::find_or_make(batch, call, &[event], resume).await?.pop() {
                Some(subject) => ok!(subject),
                None => return Err(AppError::NotFound { what: "Contact", id: uuid::Uuid::nil() }),
            },
        };
        let command = LeadReceive {
            contact,
            account,
            source: event.fields.owned("source").unwrap_or_else(|| NO_SOURCE.to_owned()),
            external_id: Some(event.lead.clone()),
            grade: None,
            priority: None,
            tags: BTreeSet::new(),
            custom: BTreeMap::new(),
        };
        let lead = batch.run(call, &Past { command, resume }).await?;
        self.leads.insert(event.lead.clone(), lead.id);
        Ok(Ok(Outcome::Created))
    }

    /// Everything from the queue to the complete checklist, by the SDR named.
    async fn verify(
        &mut self,
        batch: &mut Batch<'_>,
        call: &Call,
        event: &Event,
        lead: Lead,
        resume: DateTime<Utc>,
    ) -> Step<()> {
        let sdr = ok!(self.people.person(batch, call, event.fields.text("sdr"), Role::Sdr).await?);
        let lead = lead.id;
        match ok!(stage(batch, event, lead, &[Stage::Received, Stage::Recycled, Stage::Queued, Stage::Returned]).await?)
        {
            Stage::Returned => self.review(batch, call, lead, ReviewVerdict::ToSdr, resume).await?,
            Stage::Queued => {}
            _ => {
                let command = LeadQualify { lead, grade: None, priority: None };
                batch.run(call, &Past { command, resume }).await?;
            }
        }
        let Some(item) = batch.tx().verification_of(lead).await? else {
            return Err(AppError::NotFound { what: "WorkItem", id: lead.into() });
        };
        let sdr = as_role(call, &sdr, Role::Sdr);
        let (item, token) = {
            let command = WorkItemClaim { item: item.id };
            let (item, _) = batch.run(&sdr, &Past { command, resume }).await?;
            (item.id, item.fence)
        };
        batch.run(&sdr, &Past { command: WorkItemStart { item, token }, resume }).await?;
        let evidence = Some("recorded by the system that was used then".to_owned());
        let finding = Finding { verdict: Verdict::Confirmed, value: None, evidence };
        let items = &self.app.env.queue.checklist.items;
        let answers = items.iter().filter(|item| item.required);
        let answers =
            answers.map(|item| ChecklistAnswer { item: item.key.clone(), finding: finding.clone() }).collect();
        batch.run(&sdr, &Past { command: WorkItemAnswer { item, token, answers }, resume }).await?;
        let note = event.fields.owned("note");
        batch.run(&sdr, &Past { command: WorkItemVerify { item, token, note }, resume }).await?;
        Ok(Ok(()))
    }

    /// A manager's word on a return that the file only implies by what happened next.
    async fn review(
        &mut self,
        batch: &mut Batch<'_>,
        call: &Call,
        lead: LeadId,
        verdict: ReviewVerdict,
        resume: DateTime<Utc>,
    ) -> Result<(), AppError> {
        let manager = match self.people.person(batch, call, None, Role::SalesManager).await? {
            Ok(user) => user,
            Err(fault) => return Err(AppError::refused("HISTORY_PERSON_UNKNOWN", fault.sentence, None)),
        };
        let handoff = handoff_of(batch, lead).await?.id;
        let command = HandoffReviewReturn { handoff, verdict, note: None, pool: None, until: None };
        batch.run(&as_role(call, &manager, Role::SalesManager), &Past { command, resume }).await?;
        Ok(())
    }

    async fn dispatch(
        &mut self,
        batch: &mut Batch<'_>,
        call: &Call,
        event: &Event,
        lead: Lead,
        resume: DateTime<Utc>,
    ) -> Step<()> {
        let amount = ok!(amount(event));
        let lead = lead.id;
        if ok!(stage(batch, event, lead, &[Stage::Verified, Stage::Returned]).await?) == Stage::Returned {
            self.review(batch, call, lead, ReviewVerdict::ReRoute, resume).await?;
            return Ok(Ok(()));
        }
        let sdr = ok!(self.people.person(batch, call, event.fields.text("sdr"), Role::Sdr).await?);
        let pool = Some(self.people.pool(batch, call, resume).await?);
        let command = OpportunityDispatch { lead, name: None, amount, pool };
        batch.run(&on_behalf(call, sdr.id), &Past { command, resume }).await?;
        Ok(Ok(()))
    }

    async fn accept(
        &mut self,
        batch: &mut Batch<'_>,
        call: &Call,
        event: &Event,
        lead: Lead,
        resume: DateTime<Utc>,
    ) -> Step<()> {
        ok!(stage(batch, event, lead.id, &[Stage::Dispatched]).await?);
        let rep = ok!(self.rep(batch, call, &lead, event).await?);
        let handoff = handoff_of(batch, lead.id).await?;
        let command = HandoffAssign { handoff: handoff.id, user: rep.id };
        batch.run(&on_behalf(call, handoff.dispatched_by), &Past { command, resume }).await?;
        Ok(Ok(()))
    }

    /// The person in sales: whom the event names, else whom an earlier event of the lead named.
    async fn rep(&mut self, batch: &mut Batch<'_>, call: &Call, lead: &Lead, event: &Event) -> Step<User> {
        let name = event.fields.owned("rep").or_else(|| self.reps.get(&lead.id).cloned());
        self.people.person(batch, call, name.as_deref(), Role::Sales).await
    }

    /// The sale, the loss or the return, with the beginning of the work where the file does not say when that was.
    async fn conclude(
        &mut self,
        batch: &mut Batch<'_>,
        call: &Call,
        event: &Event,
        lead: Lead,
        resume: DateTime<Utc>,
    ) -> Step<()> {
        let (amount, note) = (ok!(amount(event)), event.fields.owned("note"));
        let reason = match event.kind {
            EventKind::Lost => Some(ok!(reason(event, Use::Lose))),
            EventKind::Returned => Some(ok!(reason(event, Use::Return))),
            _ => None,
        };
        let stage = ok!(stage(batch, event, lead.id, &[Stage::Accepted, Stage::Working]).await?);
        let handoff = handoff_of(batch, lead.id).await?;
        let named = event.fields.text("rep").is_some();
        let rep = match handoff.assignee {
            Some(assignee) if !named => batch.tx().peek::<User>(assignee).await?,
            _ => None,
        };
        let rep = match rep {
            Some(rep) => rep,
            None => ok!(self.rep(batch, call, &lead, event).await?),
        };
        if handoff.assignee != Some(rep.id) {
            let sentence = format!("somebody else than {} accepted this lead; name the same person", rep.name);
            return Ok(Err(Fault::new("rep", "HISTORY_OTHER_PERSON", sentence)));
        }
        let (sales, handoff) = (as_role(call, &rep, Role::Sales), handoff.id);
        if stage == Stage::Accepted {
            batch.run(&sales, &Past { command: HandoffStart { handoff }, resume }).await?;
        }
        match (event.kind, reason) {
            (EventKind::Lost, Some(reason)) => {
                batch.run(&sales, &Past { command: HandoffLose { handoff, reason, note }, resume }).await?;
            }
            (EventKind::Returned, Some(reason)) => {
                batch.run(&sales, &Past { command: HandoffReturn { handoff, reason, note }, resume }).await?;
            }
            _ => {
                batch.run(&sales, &Past { command: HandoffConvert { handoff, amount }, resume }).await?;
            }
        }
        Ok(Ok(()))
    }
}

/// Refuses an event that lies before its lead came in.
fn after_receipt(event: &Event, received: DateTime<Utc>) -> Result<(), Fault> {
    if event.at >= received {
        return Ok(());
    }
    let (at, received) = (event.at.to_rfc3339(), received.to_rfc3339());
    let sentence = format!(
        "`{}` at {at} lies before the lead was received at {received}; correct one of the two times",
        event.kind
    );
    Err(Fault::new("at", "HISTORY_BEFORE_LEAD", sentence))
}

/// Refuses an event that lies before what is already known of its lead.
fn in_time(event: &Event, lead: &Lead) -> Result<(), Fault> {
    after_receipt(event, lead.received_at)?;
    let at = event.at.to_rfc3339();
    if event.at < lead.stage_since {
        let sentence = format!(
            "`{}` at {at} lies before the lead became {} at {}; correct one of the two times",
            event.kind,
            lead.stage,
            lead.stage_since.to_rfc3339()
        );
        return Err(Fault::new("at", "HISTORY_OUT_OF_ORDER", sentence));
    }
    Ok(())
}

/// The stage a lead is in, where the event can happen in it.
async fn stage(batch: &Batch<'_>, event: &Event, lead: LeadId, allowed: &[Stage]) -> Step<Stage> {
    let lead: Lead = batch.tx().get(lead).await?.ok_or(AppError::NotFound { what: "Lead", id: lead.into() })?;
    if allowed.contains(&lead.stage) {
        return Ok(Ok(lead.stage));
    }
    let before = match event.kind {
        EventKind::LeadReceived | EventKind::Verified => EventKind::LeadReceived,
        EventKind::Dispatched => EventKind::Verified,
        EventKind::Accepted => EventKind::Dispatched,
        EventKind::Won | EventKind::Lost | EventKind::Returned => EventKind::Accepted,
    };
    let sentence = format!(
        "the lead is {}, in which `{}` cannot happen; it follows `{before}`: add what is missing, or remove this",
        lead.stage, event.kind
    );
    Ok(Err(Fault::new("event", "HISTORY_OUT_OF_ORDER", sentence)))
}

async fn handoff_of(batch: &Batch<'_>, lead: LeadId) -> Result<Handoff, AppError> {
    let handoff = batch.tx().last_handoff_of(lead).await?;
    handoff.ok_or(AppError::NotFound { what: "Handoff", id: lead.into() })
}

fn reason(event: &Event, what: Use) -> Result<Reason, Fault> {
    let Some(text) = event.fields.text("reason") else {
        let sentence = format!("`reason` is empty and `{}` needs one", event.kind);
        return Err(Fault::new("reason", "IMPORT_VALUE_MISSING", sentence));
    };
    let code = text.trim().to_uppercase().replace([' ', '-'], "_");
    let reason: Reason = code.parse().map_err(|error: tandem_domain::code::UnknownCode| {
        Fault::new("reason", tandem_domain::code::UnknownCode::CODE, error.to_string())
    })?;
    if reason.serves(what) {
        return Ok(reason);
    }
    let sentence = format!("{reason} is not a reason to {what}; choose another");
    Err(Fault::new("reason", "HANDOFF_REASON_NOT_ALLOWED", sentence))
}

/// Reads `1250.50` and a currency. Currencies without a smaller unit take no decimals.
fn amount(event: &Event) -> Result<Option<Money>, Fault> {
    let Some(text) = event.fields.text("amount") else { return Ok(None) };
    let wrong = |what: &str| Fault::new("amount", "HISTORY_AMOUNT_INVALID", format!("`{}` {what}", short(text)));
    let currency = event.fields.owned("currency").ok_or_else(|| wrong("has no currency; fill `currency`"))?;
    let currency = currency.trim().to_uppercase();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let sentence = format!("`{}` is not a currency; expected an ISO 4217 code such as EUR", short(&currency));
        return Err(Fault::new("currency", "HISTORY_AMOUNT_INVALID", sentence));
    }
    let digits = if matches!(currency.as_str(), "JPY" | "KRW" | "VND" | "CLP" | "ISK") { 0 } else { 2 };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = part.trim_end_matches('0');
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !numeric(whole) || !numeric(part) || part.len() > digits {
        return Err(wrong("is not an amount; expected digits with a point, e.g. 1250.50"));
    }
    let minor = format!("{whole}{part:0<digits$}").parse().map_err(|_| wrong("is too large"))?;
    Ok(Some(Money { minor, currency }))
}
