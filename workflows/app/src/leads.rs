//! Commands on leads, outside their verification.

use crate::written::Written;
use crate::{App, AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::account::Account;
use tandem_domain::contact::{self, ConsentGiven, ConsentState, Contact};
use tandem_domain::custom_field::{self, Entity};
use tandem_domain::decision::Decision;
use tandem_domain::id::{AccountId, ContactId, LeadId, global};
use tandem_domain::lead::{self, Grade, Lead, NewLead, editing};
use tandem_domain::normalise;
use tandem_domain::suppression::{self, Suppression, SuppressionKind, SuppressionReason, Wish};
use tandem_domain::verification::{self, Cause, Ending, Judged, Moved, Reason};
use tandem_domain::work_item::WorkItem;
use tandem_store::Tx;

/// A lead, and the item that verifies it where it has one, both to be changed.
///
/// The item is locked before the lead, here and everywhere, so that no two commands wait for each other.
pub(crate) async fn lead_and_item(tx: &Tx, lead: LeadId) -> Result<(Lead, Option<WorkItem>)> {
    let item = tx.verification_of(lead).await?;
    let lead = tx.get(lead).await?.ok_or(AppError::NotFound { what: "Lead", id: lead.into() })?;
    Ok((lead, item))
}

/// The contact that a new lead or task names.
pub(crate) async fn contact_of(tx: &Tx, contact: ContactId) -> Result<Contact> {
    tx.peek(contact).await?.ok_or(AppError::NotFound { what: "Contact", id: contact.into() })
}

/// The account that a new lead or task names, else its contact's.
pub(crate) async fn account_of(tx: &Tx, given: Option<AccountId>, contact: &Contact) -> Result<Option<AccountId>> {
    let Some(account) = given else { return Ok(contact.account) };
    match tx.peek::<Account>(account).await? {
        Some(account) => Ok(Some(account.id)),
        None => Err(AppError::NotFound { what: "Account", id: account.into() }),
    }
}

/// A person who does not want to be contacted, ever: the consent as it is then, and the suppression of the address.
pub type OptOut = (Option<Contact>, Option<Suppression>);

/// Takes the consent back and suppresses the address, where that was not done before.
pub(crate) async fn opt_out(
    tx: &Tx,
    contact: ContactId,
    source: &str,
    env: &Env,
    now: DateTime<Utc>,
) -> Result<Decision<OptOut>> {
    let before: Contact = tx.get(contact).await?.ok_or(AppError::NotFound { what: "Contact", id: contact.into() })?;
    let given = ConsentGiven { state: ConsentState::Withdrawn, source: Some(source.to_owned()), at: Some(now) };
    let withdrawn = contact::set_consent(&before, given, now)?;
    let withdrawn = withdrawn.map_or_else(|| Decision::unchanged(None), |decision| decision.map(Some));
    let mut suppressed = Decision::unchanged(None);
    if let Some(address) = &before.email {
        let value = suppression::normalise(SuppressionKind::Email, address)?;
        let existing = tx.suppression_to_change(SuppressionKind::Email, &value).await?;
        if !existing.as_ref().is_some_and(Suppression::is_live) {
            let (kind, reason) = (SuppressionKind::Email, SuppressionReason::OptedOut);
            let wish = Wish { id: env.id(now), kind, value, reason, source: source.to_owned() };
            suppressed = suppression::suppress(existing, wish, now)?.map(Some);
        }
    }
    Ok(withdrawn.and(suppressed))
}

/// A lead comes in.
#[derive(Debug, Clone, Serialize)]
pub struct LeadReceive {
    /// The person.
    pub contact: ContactId,
    /// The company; by default the person's.
    pub account: Option<AccountId>,
    /// Where it came from, 1 to 80 characters in any case.
    pub source: String,
    /// The id that the source gave it; unique per source.
    pub external_id: Option<String>,
    /// Fit by intent, where the source knows it.
    pub grade: Option<Grade>,
    /// 0 to 100; by default 50.
    pub priority: Option<u8>,
    /// Free labels.
    pub tags: BTreeSet<String>,
    /// Values of custom fields, by key.
    pub custom: BTreeMap<String, Value>,
}

impl Command for LeadReceive {
    const NAME: &'static str = "leadReceive";
    type Output = Lead;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Lead>> {
        let now = call.now(env);
        let contact = contact_of(tx, self.contact).await?;
        let account = account_of(tx, self.account, &contact).await?;
        let source = lead::normalise_source(&self.source)?;
        let external_id = self.external_id.as_deref().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned);
        if let Some(id) = &external_id
            && let Some(known) = tx.lead_by_external_id(&source, id).await?
        {
            let known = global("Lead", known.id.into());
            let message = format!("the source {source} already gave the lead {known} this id; use that lead");
            return Err(AppError::refused("LEAD_EXISTS", message, Some("externalId")));
        }
        let fields = tx.custom_fields().await?;
        let mut custom = BTreeMap::new();
        custom_field::apply(&fields, Entity::Lead, &mut custom, &self.custom)?;
        custom_field::complete(&fields, Entity::Lead, &custom)?;
        let new = NewLead {
            id: env.id(now),
            contact: self.contact,
            account,
            source,
            external_id,
            grade: self.grade,
            priority: self.priority.unwrap_or(lead::USUAL_PRIORITY),
            tags: normalise::tags(&self.tags.iter().cloned().collect::<Vec<_>>())?,
            custom,
        };
        Ok(lead::receive(new, &env.queue.policy.patience, now)?)
    }
}

/// Marketing qualifies a lead (MQL): it enters the SDR queue.
#[derive(Debug, Clone, Serialize)]
pub struct LeadQualify {
    /// The lead.
    pub lead: LeadId,
    /// Its grade, where it is graded with this.
    pub grade: Option<Grade>,
    /// Its priority, 0 to 100, where it changes with this.
    pub priority: Option<u8>,
}

impl Command for LeadQualify {
    const NAME: &'static str = "leadQualify";
    type Output = Judged;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Judged>> {
        let (lead, item) = lead_and_item(tx, self.lead).await?;
        qualify(lead, item, self.grade, self.priority, env, call.now(env))
    }
}

/// Qualifies a lead: it gets the grade and the priority that are given, and enters the SDR queue with its item.
pub(crate) fn qualify(
    mut lead: Lead,
    item: Option<WorkItem>,
    grade: Option<Grade>,
    priority: Option<u8>,
    env: &Env,
    now: DateTime<Utc>,
) -> Result<Decision<Judged>> {
    let mut facts = Vec::new();
    if let Some(grade) = grade {
        let graded = lead::grade(lead, grade, "manual")?;
        facts.extend(graded.facts);
        lead = graded.next;
    }
    if let Some(priority) = priority {
        let prioritised = lead::prioritise(lead, priority)?;
        facts.extend(prioritised.facts);
        lead = prioritised.next;
    }
    let mut decision = verification::enqueue(lead, item, env.id(now), Cause::Qualified, None, &env.queue.policy, now)?;
    decision.facts.splice(0..0, facts);
    Ok(decision)
}

/// Grades a lead. A better grade brings a recycled lead back into the queue.
#[derive(Debug, Clone, Serialize)]
pub struct LeadGrade {
    /// The lead.
    pub lead: LeadId,
    /// Fit by intent.
    pub grade: Grade,
    /// The version of the rule that graded it, e.g. `scoring:default@3`; `manual` where a person did.
    pub rule: String,
}

impl Command for LeadGrade {
    const NAME: &'static str = "leadGrade";
    type Output = Moved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Moved>> {
        let now = call.now(env);
        let (lead, item) = lead_and_item(tx, self.lead).await?;
        let new = env.id(now);
        Ok(verification::regrade(lead, item, new, self.grade, &self.rule, &env.queue.policy, now)?)
    }
}

/// Adds tags to a lead and sets values of its custom fields; null takes a value away.
#[derive(Debug, Clone, Serialize)]
pub struct LeadChange {
    /// The lead.
    pub lead: LeadId,
    /// The tags to add, as typed.
    pub tags: Vec<String>,
    /// Values of custom fields, by key.
    pub custom: custom_field::Values,
}

impl Command for LeadChange {
    const NAME: &'static str = "leadChange";
    type Output = Written<Lead>;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<Written<Lead>>> {
        let before: Lead = tx.get(self.lead).await?.ok_or(AppError::NotFound { what: "Lead", id: self.lead.into() })?;
        let fields = tx.custom_fields().await?;
        let changed = match editing::edit(&before, &self.tags, &self.custom, &fields) {
            Ok(changed) => changed,
            Err(editing::Refusal::Tag(refusal)) => return Err(refusal.into()),
            Err(editing::Refusal::Custom(refusal)) => return Err(refusal.into()),
        };
        Ok(Written::changed(before, changed))
    }
}

/// Changes how urgent a lead is; its queued item takes its new place.
#[derive(Debug, Clone, Serialize)]
pub struct LeadPrioritise {
    /// The lead.
    pub lead: LeadId,
    /// 0 (least urgent) to 100.
    pub priority: u8,
}

impl Command for LeadPrioritise {
    const NAME: &'static str = "leadPrioritise";
    type Output = Moved;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<Moved>> {
        let (lead, item) = lead_and_item(tx, self.lead).await?;
        let decision = lead::prioritise(lead, self.priority)?;
        let item = item.filter(|item| item.state.is_open()).map(|item| WorkItem { priority: self.priority, ..item });
        Ok(decision.map(|lead| (item, lead)))
    }
}

/// Marketing finds that a lead is not one. A lead that an SDR holds is the SDR's to judge. Where the person opted out,
/// the consent ends and the address is suppressed in the same transaction.
#[derive(Debug, Clone, Serialize)]
pub struct LeadDisqualify {
    /// The lead.
    pub lead: LeadId,
    /// Why.
    pub reason: Reason,
}

impl Command for LeadDisqualify {
    const NAME: &'static str = "leadDisqualify";
    type Output = (Moved, Option<OptOut>);

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Self::Output>> {
        let now = call.now(env);
        let (lead, item) = lead_and_item(tx, self.lead).await?;
        let contact = lead.contact;
        let ended = verification::end(lead, item, Ending::Disqualified(self.reason), now)?;
        if !self.reason.suppresses() {
            return Ok(ended.map(|moved| (moved, None)));
        }
        Ok(ended.and(opt_out(tx, contact, "opt-out told to marketing", env, now).await?.map(Some)))
    }
}

/// Marketing finds that a lead repeats another one, which goes on.
#[derive(Debug, Clone, Serialize)]
pub struct LeadMarkDuplicate {
    /// The lead that ends.
    pub lead: LeadId,
    /// The lead that goes on.
    pub duplicate_of: LeadId,
}

impl Command for LeadMarkDuplicate {
    const NAME: &'static str = "leadMarkDuplicate";
    type Output = Moved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Moved>> {
        check_other(tx, self.duplicate_of).await?;
        let (lead, item) = lead_and_item(tx, self.lead).await?;
        Ok(verification::end(lead, item, Ending::DuplicateOf(self.duplicate_of), call.now(env))?)
    }
}

/// Refuses unless the lead that shall go on exists.
pub(crate) async fn check_other(tx: &Tx, lead: LeadId) -> Result<()> {
    if tx.lead_exists(lead).await? { Ok(()) } else { Err(AppError::NotFound { what: "Lead", id: lead.into() }) }
}

/// Ends a lead for a reason that is none of the other ends.
#[derive(Debug, Clone, Serialize)]
pub struct LeadClose {
    /// The lead.
    pub lead: LeadId,
    /// A reason code.
    pub reason: String,
}

impl Command for LeadClose {
    const NAME: &'static str = "leadClose";
    type Output = Moved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Moved>> {
        let (lead, item) = lead_and_item(tx, self.lead).await?;
        Ok(verification::end(lead, item, Ending::Closed(self.reason.trim().to_owned()), call.now(env))?)
    }
}

/// A lead's own timer fires: nothing stays where it is for ever.
#[derive(Debug, Clone, Serialize)]
pub struct LeadFallDue {
    /// The lead.
    pub lead: LeadId,
    /// The revision that the timer was planned under.
    pub revision: u32,
}

impl Command for LeadFallDue {
    const NAME: &'static str = "leadFallDue";
    type Output = Moved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Moved>> {
        let now = call.now(env);
        let (lead, item) = lead_and_item(tx, self.lead).await?;
        verification::fall_due(lead, item, env.id(now), self.revision, &env.queue.policy, now)?.ok_or_else(obsolete)
    }
}

/// What a timer answers whose moment has passed: the runner takes the job for done.
pub(crate) fn obsolete() -> AppError {
    AppError::refused("TIMER_OBSOLETE", "the state moved on since this timer was set; nothing is to be done", None)
}

impl App {
    /// Moves up to `limit` leads that are overdue by more than an hour although their timer should have moved them
    /// (its job was given up, or deleted by hand). Gives how many moved.
    pub async fn sweep_overdue_leads(&self, call: &Call, limit: u64) -> Result<usize> {
        let before = call.now(&self.env) - chrono::TimeDelta::hours(1);
        let mut moved = 0;
        for lead in self.store.overdue_leads(before, limit).await? {
            match self.run(call, LeadFallDue { lead: lead.id, revision: lead.revision }).await {
                Ok(_) => moved += 1,
                // Under the timer of a claim or of a handoff, or moved by somebody since it was read.
                Err(AppError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }
}
