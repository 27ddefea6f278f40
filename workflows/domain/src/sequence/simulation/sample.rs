//! The day-by-day plan of a definition for one sample subject, by the very rules that production uses.

use super::effects::{apply, describe, refusal};
use super::told::{Taken, Told, moment, told, waits_at};
use crate::calendar::Calendars;
use crate::id::{ContactId, EnrollmentId, LeadId, SendingMailboxId, SequenceId, SequenceVersionId};
use crate::sending_mailbox::{MailboxState, SendingMailbox};
use crate::sequence::calling::Request;
use crate::sequence::definition::{Definition, SubjectKind};
use crate::sequence::enrollment::{
    Answered, Enrollment, EnrollmentState, Memory, TaskEnd, answered, email_settled, task_settled,
};
use crate::sequence::hearing::Hearing;
use crate::sequence::interactions;
use crate::sequence::publishing::SequenceState;
use crate::sequence::stepper::{Context, advance};
use crate::sequence::steps::Effect;
use crate::sequence::trail::Trail;
use crate::standing::Standing;
use chrono::{DateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The most lines of a plan: an endless loop of waits is cut here.
pub const MAX_LINES: usize = 500;

/// One line of the plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The calendar day in the zone of the plan; that of the beginning is 1.
    pub day: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// The step.
    pub step: String,
    /// The visit.
    pub visit: u32,
    /// What happens, in one line.
    pub what: String,
    /// The effect in full, where there is one.
    pub effect: Option<Effect>,
}

/// Which calendar day of a zone a moment is on, where the day of `start` is day 1.
pub(super) fn day_of(at: DateTime<Utc>, start: DateTime<Utc>, zone: Tz) -> i64 {
    let date = |moment: DateTime<Utc>| {
        let offset = zone.offset_from_utc_datetime(&moment.naive_utc()).fix();
        moment.naive_utc().checked_add_offset(offset).unwrap_or(moment.naive_utc()).date()
    };
    (date(at) - date(start)).num_days() + 1
}

/// The data of a sample subject, for conditions and templates, where the caller brings none of their own.
pub fn sample() -> Value {
    json!({
        "contact": {
            "id": Uuid::nil(), "first_name": "Sam", "name": "Sam Sample", "email": "sam@example.com", "phone": null,
            "title": "Head of Operations", "locale": null, "time_zone": null, "consent": "GRANTED", "source": "sample",
            "tags": [], "custom": {},
        },
        "account": {
            "id": Uuid::nil(), "name": "Example Ltd", "domains": ["example.com"], "industry": null, "tier": null,
            "territory": null, "country": null, "tags": [], "custom": {},
        },
        "lead": {
            "id": Uuid::nil(), "stage": "NURTURING", "source": "sample", "grade": "B2", "priority": 50,
            "received_at": "2026-03-02T09:00:00+00:00", "reason": null, "tags": [], "custom": {},
        },
        "sender": { "name": "Tandem", "email": "tandem@example.com" },
        "unsubscribe_url": "https://example.com/u/sample",
        "interactions": interactions::nothing(),
        "lists": [],
    })
}

/// Sets what the sample subject did: of each kind that `done` names, the fields that it names. The others stay.
pub fn set_interactions(sample: &mut Map<String, Value>, done: &Value) {
    for (kind, fields) in done.as_object().into_iter().flatten() {
        let known = sample.get_mut("interactions").and_then(|known| known.get_mut(kind)).and_then(Value::as_object_mut);
        if let (Some(known), Value::Object(fields)) = (known, fields) {
            known.extend(fields.clone());
        }
    }
}

/// Runs a definition for a subject with these data from `start` on. Waits take no time here, e-mails arrive at once, calls
/// succeed, and what a step changes is seen by the steps after it. A task that is waited for is done when it is due, unless
/// the wait is over before. The run has the variables `enrollment.vars` of
/// the data; what a call keeps is `answers.<step>`, else null. Caps and mailboxes hold nothing
/// back: a pool is one mailbox, that of the sender. A custom field takes any value: which there are is not known. A calendar that is not among `calendars` ends the run where business time
/// is counted on it.
pub fn simulate(
    definition: &Definition,
    data: &Value,
    zone: Tz,
    start: DateTime<Utc>,
    calendars: &Calendars,
) -> Vec<Line> {
    let mailboxes = stand_ins(definition, data);
    let mut data = data.clone();
    let lead = (definition.header.subject == SubjectKind::Lead).then(|| LeadId(Uuid::nil()));
    let mut enrollment = Enrollment {
        id: EnrollmentId(Uuid::nil()),
        sequence: SequenceId(Uuid::nil()),
        version: SequenceVersionId(Uuid::nil()),
        rule: format!("{}@0", definition.header.key),
        contact: ContactId(Uuid::nil()),
        lead,
        account: None,
        subject: definition.header.subject,
        reentry_key: String::new(),
        state: EnrollmentState::Pending,
        step: definition.steps.first().map(|step| step.id.clone()).unwrap_or_default(),
        visit: 0,
        due_at: Some(start),
        held: None,
        awaits: None,
        hearing: Hearing::default(),
        vars: data.pointer("/enrollment/vars").and_then(Value::as_object).cloned().unwrap_or_default(),
        started_at: start,
        ended_at: None,
        failure: None,
        trail: Trail::new(),
        memory: Memory::default(),
        exclusive: None,
    };
    let mut standing = Standing::Allowed;
    let mut lines = Vec::new();
    while let Some(now) = enrollment.due_at.filter(|_| lines.len() < MAX_LINES) {
        if let Some(data) = data.as_object_mut() {
            data.insert("enrollment".to_owned(), enrollment.data());
            data.insert("now".to_owned(), json!(now.to_rfc3339()));
        }
        let context = Context {
            data: &data,
            zone,
            standing,
            replied: false,
            meeting_booked: false,
            sequence: SequenceState::Active,
            calendars,
            mailboxes: &mailboxes,
            capped: None,
        };
        let Ok(decision) = advance(&enrollment, definition, &context, now) else { break };
        let (at, visit) = (enrollment.step.clone(), enrollment.visit);
        let before = std::mem::replace(&mut enrollment, decision.next.enrollment);
        let Told { taken, held_by, .. } = told(decision.facts);
        let line = |step: String, visit: u32, what: String, effect: Option<Effect>| Line {
            day: day_of(now, start, zone),
            at: now,
            step,
            visit,
            what,
            effect,
        };
        for Taken { step, visit, variant } in &taken {
            if let Some(variant) = variant {
                lines.push(line(step.clone(), *visit, format!("variant {variant}"), None));
            }
        }
        if let Some(effect) = &decision.next.effect {
            if let Some(failure) = refusal(effect, &data, None) {
                lines.push(line(at, visit, format!("end: FAILED: {} {}", failure.code, failure.message), None));
                break;
            }
            if apply(effect, &mut data, None, now) {
                standing = Standing::Withdrawn;
            }
            let (step, visit) = effect.origin();
            lines.push(line(step.to_owned(), visit, describe(effect, zone), Some(effect.clone())));
            if let Effect::Call(call) = effect {
                let keep = match &call.request {
                    Request::Http { keep: Some(keep), .. } => {
                        Some((keep.name.clone(), data["answers"][&call.step].clone()))
                    }
                    _ => None,
                };
                if let Some(settled) = answered(enrollment.clone(), definition, visit, Answered::Success(keep), now) {
                    enrollment = settled.next;
                }
            }
            // Here every e-mail arrives at once.
            if let Some(settled) = email_settled(enrollment.clone(), visit, now) {
                enrollment = settled.next;
            }
            if let (Effect::CreateTask(task), Some(wait)) = (effect, effect.task_to_wait_for())
                && task.due_at <= wait.until
                && let Some(settled) = task_settled(enrollment.clone(), definition, visit, TaskEnd::Done, task.due_at)
            {
                enrollment = settled.next;
                let until = moment(task.due_at, zone);
                lines.push(line(step.to_owned(), visit, format!("wait (TASK) until {until}, when it is DONE"), None));
            }
        }
        match enrollment.state {
            EnrollmentState::Waiting(reason) => {
                let (step, visit) = waits_at(&before, &enrollment, &taken, held_by.is_some());
                let until = moment(enrollment.due_at.unwrap_or(now), zone);
                let reason = held_by.unwrap_or_else(|| reason.to_string());
                lines.push(line(step, visit, format!("wait ({reason}) until {until}"), None));
            }
            state if !state.is_live() => {
                let why =
                    enrollment.failure.as_ref().map(|f| format!(": {} {}", f.code, f.message)).unwrap_or_default();
                lines.push(line(enrollment.step.clone(), enrollment.visit, format!("end: {state}{why}"), None));
            }
            _ => {}
        }
    }
    lines
}

/// One mailbox for each pool that the definition names, with the sender's name and address.
fn stand_ins(definition: &Definition, data: &Value) -> Vec<SendingMailbox> {
    let sender = |key: &str| data.pointer(&format!("/sender/{key}")).and_then(Value::as_str).map(str::to_owned);
    let stand_in = |pool: &str| SendingMailbox {
        id: SendingMailboxId(Uuid::nil()),
        address: sender("email").unwrap_or_default(),
        name: sender("name"),
        reply_to: None,
        pool: pool.to_owned(),
        zone: Tz::UTC,
        daily_cap: 1,
        ramp_up: None,
        interval: 0,
        state: MailboxState::Active,
        version: 1,
    };
    definition.mailbox_pools().into_iter().map(stand_in).collect()
}
