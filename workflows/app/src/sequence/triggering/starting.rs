//! A trigger starts those whom it means.
//!
//! A part looks at a few hundred people: it gathers what conditions read, works them out, starts who is to be started by the
//! command that people use, and notes what is to be remembered, in one transaction with the end of its job. A refusal is no
//! failure: it is noted as a [`Skip`].

use super::candidates::{Candidate, Part, Sight};
use super::{PartEnd, relaying};
use crate::received::absences_of_all_in_turn;
use crate::{App, AppError, Call, EnrollmentCreate, Result};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use tandem_domain::account::Account;
use tandem_domain::contact::Contact;
use tandem_domain::decision::Job;
use tandem_domain::expression;
use tandem_domain::id::{ContactId, SequenceId, SequenceVersionId};
use tandem_domain::lead::Lead;
use tandem_domain::sequence::trigger::kinds::Date;
use tandem_domain::sequence::trigger::{
    Cause, LONGEST_CHAIN, PassedOver, Skip, Trigger, TriggerKind, chain_of, next_in_chain,
};
use tandem_domain::sequence::{Enrollment, Sequence, SequenceState, SequenceVersion};
use tandem_store::jobs::{OnDuplicate, Unique};
use tandem_store::trigger::TriggerNotes;
use tandem_store::{StoreError, Tx};
use uuid::Uuid;

/// What a trigger remembers of whom it has inside.
const INSIDE: &str = "in";

/// A part of what a trigger does.
#[derive(Debug, Clone)]
pub struct TriggerStart {
    /// The sequence.
    pub sequence: SequenceId,
    /// The version that has the trigger.
    pub version: SequenceVersionId,
    /// The trigger's key.
    pub trigger: String,
    /// What set it off.
    pub cause: Cause,
    /// Behind whom this part begins.
    pub after: Option<Uuid>,
}

impl TriggerStart {
    /// Whose memory it is.
    pub(super) fn of(&self) -> (SequenceId, &str) {
        (self.sequence, &self.trigger)
    }

    /// The job for another part.
    fn job(&self, cause: Cause, after: Option<Uuid>) -> Job {
        let Self { sequence, version, trigger, .. } = self.clone();
        Job::StartByTrigger { sequence, version, trigger, cause, after }
    }
}

/// A run that is to be started.
struct Start {
    candidate: Candidate,
    vars: std::result::Result<Map<String, Value>, expression::Refusal>,
}

/// What a part is to do.
struct Plan {
    starts: Vec<Start>,
    notes: TriggerNotes,
}

impl App {
    /// Does a part of what a trigger does, in one transaction with the end of its job, and plans the rest. Whether there was
    /// anything to do. A sequence that is paused starts nobody; whoever would have started is passed over.
    pub async fn start_by_trigger(&self, call: &Call, mut start: TriggerStart) -> Result<bool> {
        let Some(sequence) = self.store.find::<Sequence>(start.sequence).await? else { return Ok(false) };
        if sequence.state == SequenceState::Archived {
            // Nobody starts any more, by hand neither.
            return Ok(false);
        }
        let now = call.now(&self.env);
        let Some((version, trigger)) = self.trigger_of(&sequence, &start).await? else {
            return self.gone(call, &sequence, &start, now).await;
        };
        let active = sequence.state == SequenceState::Active;
        if let (Cause::Tick {}, TriggerKind::Date(_)) = (start.cause, &trigger.kind) {
            let since = self.store.trigger_looked_until(start.sequence, &start.trigger).await?;
            let until = (now + relaying::AHEAD).timestamp_millis();
            start.cause = Cause::Dates { since: since.unwrap_or_else(|| now.timestamp_millis()), until };
        }
        let heard = (sequence, version);
        let part = self.candidates(&heard, &trigger, &start, call.request_id.as_str(), now).await?;
        let Part { candidates, next } = part;
        let sights = self.sights(&trigger, candidates, now).await?;
        let (of_trigger, judging) = (trigger.clone(), start.cause);
        // Aside from the threads that keep leases: conditions over many people take their time.
        let judged = tokio::task::spawn_blocking(move || judge(&of_trigger, judging, sights)).await;
        let judged = judged.map_err(|error| {
            tracing::error!(%error, "whom a trigger means could not be worked out; it is tried again");
            AppError::from(StoreError::Conflict)
        })?;
        if judged.iter().any(|(_, judgement)| matches!(judgement, Err(expression::Refusal::NoThread))) {
            return Err(StoreError::Conflict.into());
        }
        let mut plan = self.plan(&start, &trigger, judged, now).await?;
        if !active {
            let refusal = PassedOver::NotActive;
            for passed_over in std::mem::take(&mut plan.starts) {
                let why = (refusal.code(), refusal.to_string());
                plan.notes.skips.push(self.skip(start.of(), &passed_over.candidate, why, now));
            }
        }
        // What follows keeps the due time, so that a look that began earlier ends earlier.
        let due = call.due().unwrap_or(now);
        let next = next.map(|(cause, after)| (start.job(cause, after), due));
        self.carry_out(call, &heard.0, plan, next, now).await
    }

    /// The trigger and the version that has it. An entry was heard by the version that was the newest there; for everything
    /// else the newest one has to have the trigger still.
    async fn trigger_of(
        &self,
        sequence: &Sequence,
        start: &TriggerStart,
    ) -> Result<Option<(SequenceVersion, Trigger)>> {
        let version = match start.cause {
            Cause::Entries { .. } => Some(start.version),
            _ => sequence.latest_version,
        };
        let Some(version) = version else { return Ok(None) };
        let Some(version) = self.store.find::<SequenceVersion>(version).await? else { return Ok(None) };
        let trigger = version.definition.trigger(&start.trigger).cloned();
        Ok(trigger.map(|trigger| (version, trigger)))
    }

    /// A trigger that is gone does nothing. What it noted for moments that have come is forgotten: a later version that has it
    /// again would make up for them. What it noted for moments to come is left to them.
    async fn gone(&self, call: &Call, sequence: &Sequence, start: &TriggerStart, now: DateTime<Utc>) -> Result<bool> {
        if start.cause != (Cause::Due {}) {
            return Ok(false);
        }
        let mut notes = TriggerNotes::new(start.sequence, start.trigger.clone());
        notes.forget = self.store.trigger_due(start.of(), now, AT_ONCE as u64).await?;
        let full = notes.forget.len() == AT_ONCE;
        let next = full.then(|| (start.job(Cause::Due {}, None), call.due().unwrap_or(now)));
        self.carry_out(call, sequence, Plan { starts: Vec::new(), notes }, next, now).await
    }

    async fn plan(
        &self,
        start: &TriggerStart,
        trigger: &Trigger,
        judged: Vec<(Sight, Judgement)>,
        now: DateTime<Utc>,
    ) -> Result<Plan> {
        let mut plan = Plan { starts: Vec::new(), notes: TriggerNotes::new(start.sequence, start.trigger.clone()) };
        let contacts: Vec<_> = judged.iter().map(|(sight, _)| sight.candidate.contact.id).collect();
        match &trigger.kind {
            TriggerKind::Segment(segment) => {
                let inside = self.store.trigger_memory(start.of(), &contacts).await?;
                let mut inside: BTreeSet<_> = inside.into_keys().collect();
                for (sight, judgement) in judged {
                    let contact = sight.candidate.contact.id;
                    match judgement {
                        Ok(Some(vars)) if inside.insert(contact) => {
                            let starts = match start.cause {
                                Cause::Baseline { before, resumed } => {
                                    // Of who was changed since, an entry tells, which is looked at after this.
                                    if sight.candidate.contact.updated_at.timestamp_millis() > before
                                        && !segment.existing
                                    {
                                        continue;
                                    }
                                    segment.existing && !resumed
                                }
                                _ => true,
                            };
                            plan.notes.remember.push((contact, INSIDE.to_owned(), None));
                            if starts {
                                plan.starts.push(Start { candidate: sight.candidate, vars });
                            }
                        }
                        Ok(None) if inside.remove(&contact) => plan.notes.forget.push((contact, INSIDE.to_owned())),
                        Err(error) => self.unclear(&mut plan, start, sight, &error, now),
                        Ok(_) => {}
                    }
                }
            }
            TriggerKind::Date(date) if start.cause == (Cause::Due {}) => {
                self.due(&mut plan, start, date, judged, now);
            }
            TriggerKind::Date(date) => {
                let known = self.store.trigger_memory(start.of(), &contacts).await?;
                let mut moments = BTreeSet::new();
                for (sight, _) in judged {
                    let contact = &sight.candidate.contact;
                    let zone = contact.time_zone.unwrap_or(chrono_tz::Tz::UTC);
                    let Some(day) = date.date(&sight.data, zone) else { continue };
                    let value = day.to_string();
                    let known = known.get(&contact.id).is_some_and(|values| values.contains(&value));
                    let within = sight.candidate.dates.unwrap_or((i64::MAX, i64::MIN));
                    let moment = date
                        .moment(day, zone)
                        .filter(|moment| (within.0..within.1).contains(&moment.timestamp_millis()));
                    if let Some(moment) = moment.filter(|_| !known) {
                        plan.notes.remember.push((contact.id, value, Some(moment)));
                        moments.insert(moment);
                    }
                }
                plan.notes.jobs = moments.into_iter().filter_map(|moment| due_job(start, moment)).collect();
            }
            _ => {
                for (sight, judgement) in judged {
                    match judgement {
                        Ok(Some(vars)) => plan.starts.push(Start { candidate: sight.candidate, vars }),
                        Ok(None) => {}
                        Err(error) => self.unclear(&mut plan, start, sight, &error, now),
                    }
                }
            }
        }
        if let Cause::Dates { until, .. } = start.cause {
            // The next look begins where moments may have been missed that were not known in this one.
            plan.notes.looked_until = Some(until - relaying::AHEAD.num_milliseconds());
        }
        Ok(plan)
    }

    /// Dates that fell due: whoever still has the date starts, where the condition holds now.
    fn due(
        &self,
        plan: &mut Plan,
        start: &TriggerStart,
        date: &Date,
        judged: Vec<(Sight, Judgement)>,
        now: DateTime<Utc>,
    ) {
        for (sight, judgement) in judged {
            let Some(value) = sight.candidate.value.clone() else { continue };
            let contact = sight.candidate.contact.id;
            let zone = sight.candidate.contact.time_zone.unwrap_or(chrono_tz::Tz::UTC);
            let day = date.date(&sight.data, zone).filter(|day| day.to_string() == value);
            let Some(moment) = day.and_then(|day| date.moment(day, zone)) else {
                plan.notes.forget.push((contact, value));
                continue;
            };
            if moment > now {
                // The person moved to another zone meanwhile.
                plan.notes.remember.push((contact, value, Some(moment)));
                plan.notes.jobs.extend(due_job(start, moment));
                continue;
            }
            plan.notes.remember.push((contact, value, None));
            match judgement {
                Ok(Some(vars)) => plan.starts.push(Start { candidate: sight.candidate, vars }),
                Ok(None) => {}
                Err(error) => self.unclear(plan, start, sight, &error, now),
            }
        }
    }

    /// A condition that has no value for somebody: told of where that somebody was meant, and of everybody only in the log.
    fn unclear(
        &self,
        plan: &mut Plan,
        start: &TriggerStart,
        sight: Sight,
        error: &expression::Refusal,
        now: DateTime<Utc>,
    ) {
        if matches!(start.cause, Cause::Tick {} | Cause::Baseline { .. }) {
            tracing::debug!(trigger = start.trigger, %error, "the condition of a trigger has no value for somebody");
            return;
        }
        let skip = self.skip(start.of(), &sight.candidate, (error.code(), error.to_string()), now);
        plan.notes.skips.push(skip);
    }

    fn skip(
        &self,
        (sequence, trigger): (SequenceId, &str),
        of: &Candidate,
        (code, message): (&str, String),
        now: DateTime<Utc>,
    ) -> Skip {
        Skip {
            id: self.env.id(now),
            sequence,
            trigger: trigger.to_owned(),
            contact: of.contact.id,
            lead: of.lead.as_ref().map(|lead| lead.id),
            code: code.to_owned(),
            message,
            seq: of.seq,
            at: now,
        }
    }

    async fn carry_out(
        &self,
        call: &Call,
        sequence: &Sequence,
        plan: Plan,
        next: Option<(Job, DateTime<Utc>)>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let Plan { starts, mut notes } = plan;
        if next.is_some() {
            // Only the last part has looked at everybody.
            notes.looked_until = None;
        }
        if starts.is_empty() && notes.is_empty() && next.is_none() {
            return Ok(false);
        }
        let own = call.without_job();
        let mut batch = self.batch().await?;
        if !starts.is_empty() {
            let read = ahead(batch.tx(), sequence, &starts).await;
            batch.note(read)?;
        }
        for Start { candidate, vars } in starts {
            let skipped = match vars {
                Err(error) => Some((error.code(), error.to_string())),
                Ok(_) if chain_of(&candidate.request_id) >= LONGEST_CHAIN => {
                    let refusal = PassedOver::ChainTooLong;
                    Some((refusal.code(), refusal.to_string()))
                }
                Ok(vars) => {
                    let create = EnrollmentCreate {
                        sequence: sequence.id,
                        contact: Some(candidate.contact.id),
                        lead: candidate.lead.as_ref().map(|lead| lead.id),
                        vars,
                    };
                    let request_id = next_in_chain(&candidate.request_id, candidate.seq);
                    let started = batch.run(&own.in_answer_to(request_id), &create).await;
                    match started {
                        Ok(_) => None,
                        Err(error) if error.is_refusal() && !batch.is_broken() => {
                            Some((error.code(), error.to_string()))
                        }
                        Err(error) => return Err(error),
                    }
                }
            };
            if let Some(why) = skipped {
                let skip = self.skip((sequence.id, &notes.trigger), &candidate, why, now);
                notes.skips.push(skip);
            }
        }
        let notes = Some(notes).filter(|notes| !notes.is_empty() || !notes.jobs.is_empty());
        batch.run(&own, &PartEnd { notes, next }).await?;
        if let Some(lease) = call.job {
            batch.finish_job(lease);
        }
        batch.commit().await?;
        Ok(true)
    }
}

/// The job that looks at what a trigger noted for a moment: one for each moment, however often it is noted.
fn due_job(start: &TriggerStart, moment: DateTime<Utc>) -> Option<tandem_store::jobs::NewJob> {
    let job = start.job(Cause::Due {}, None);
    let key = format!("trigger:{}:{}@{}", start.sequence, start.trigger, moment.timestamp_millis());
    let request_id = format!("date:{}", moment.timestamp_millis());
    let mut job = relaying::planned(&job, moment, request_id)?;
    job.unique = Some(Unique { key, on_duplicate: OnDuplicate::KeepFirst });
    Some(job)
}

/// Whether somebody is meant, and with which values; or why that cannot be said.
type Judgement =
    std::result::Result<Option<std::result::Result<Map<String, Value>, expression::Refusal>>, expression::Refusal>;

fn judge(trigger: &Trigger, cause: Cause, sights: Vec<Sight>) -> Vec<(Sight, Judgement)> {
    // Whether the condition of a date holds is asked when the date comes.
    let ahead = matches!(trigger.kind, TriggerKind::Date(_)) && cause != (Cause::Due {});
    let judge = |sight: Sight| {
        let judgement = match ahead {
            true => Ok(None),
            false => trigger.holds(&sight.data).map(|holds| holds.then(|| trigger.values(&sight.data))),
        };
        (sight, judgement)
    };
    sights.into_iter().map(judge).collect()
}

/// Reads what starting these people asks for, in a few statements, and locks it in the order in which everybody does.
async fn ahead(tx: &Tx, sequence: &Sequence, starts: &[Start]) -> Result<()> {
    // First, as whoever enrols does, and so it stays what it is until all of them have begun.
    let shared = tx.share_sequence(sequence.id).await?;
    let same = |now: Sequence| (now.state, now.latest_version) == (sequence.state, sequence.latest_version);
    if !shared.is_some_and(same) {
        // Published anew or paused since the trigger was looked at, which is done again.
        return Err(StoreError::Conflict.into());
    }
    let newest: Vec<SequenceVersion> = tx.peek_ahead(sequence.latest_version.map(Uuid::from)).await?;
    let group = newest.first().and_then(|version| version.definition.header.exclusive.as_deref());
    let people: BTreeSet<ContactId> = starts.iter().map(|start| start.candidate.contact.id).collect();
    let people: Vec<ContactId> = people.into_iter().collect();
    let rivals = match group {
        Some(_) => tx.live_enrollment_ids_of(&people).await?,
        None => BTreeSet::new(),
    };
    // Enrolments are locked before their contacts, all of them by id: what takes steps beside this does so too.
    let locked: Vec<Enrollment> = tx.get_many(rivals.iter().copied()).await?;
    let contacts: Vec<Contact> = tx.get_ahead(people.iter().map(|contact| Uuid::from(*contact))).await?;
    if group.is_some() && !tx.live_enrollment_ids_of(&people).await?.is_subset(&rivals) {
        // One began while the contacts were waited for, and is not locked. Behind them nobody begins any more.
        return Err(StoreError::Conflict.into());
    }
    let in_group = |run: &&Enrollment| run.exclusive.as_ref().map(|place| place.group.as_str()) == group;
    let given_up = locked.iter().filter(|_| group.is_some()).filter(in_group).filter_map(|run| run.lead);
    let leads = starts.iter().filter_map(|start| start.candidate.lead.as_ref()).map(|lead| lead.id);
    let leads: Vec<Lead> = tx.get_ahead(leads.chain(given_up).map(Uuid::from)).await?;
    let accounts = leads.iter().filter_map(|lead| lead.account);
    let accounts = accounts.chain(contacts.iter().filter_map(|contact| contact.account));
    tx.peek_ahead::<Account>(accounts.map(Uuid::from)).await?;
    tx.suppressions_ahead(contacts.iter().filter_map(|contact| contact.email.as_deref())).await?;
    absences_of_all_in_turn(tx, &people).await
}

/// No part holds its locks for longer than this many people take.
pub(super) const AT_ONCE: usize = 200;
