//! What a run hears of while it waits: an event that it waits for, a goal or an exit that holds now, a meeting, an
//! opportunity at the account.
//!
//! Without this a run would find out at its next due time. Which entries of the ledger may concern a run is [`concern`]; what
//! one does to a run is [`hear`], which is pure like all of it.

use super::definition::Definition;
use super::enrollment::{Enrollment, EnrollmentState, FinishReason, close};
use super::reads::Reads;
use super::stepper::{Context, on_grounds, over};
use super::steps::StepKind;
use super::steps::wait_for::{self, Since};
use super::trigger::matching::{doers, done, relisted, touched};
use super::trigger::{Event, TriggerKind, Who, is_news};
use crate::decision::Decision;
use crate::expression::Expression;
use crate::interaction::InteractionKind;
use crate::ledger::Entry;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A run hears of changes of the person, the lead and the company: it has a goal, an exit, or waits for a condition.
pub const CONDITIONS: i32 = 1;
/// A run hears of meetings.
pub const MEETINGS: i32 = 2;
/// A run hears of opportunities at the company.
pub const OPPORTUNITIES: i32 = 4;
/// A run hears of what the person does: one of its steps waits for it.
pub const EVENTS: i32 = 8;

/// A run hears of what the person does: a condition reads `interactions`.
pub const DEEDS: i32 = 16;
/// A run hears of the lists that the company is on: a condition reads `lists`.
pub const LISTS: i32 = 32;

/// What a run knows of what it waits for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hearing {
    /// The last place of the ledger before the run began; none for runs of before this was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// What the present step waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited: Option<Awaited>,
    /// What the last step that waited for an event heard; none after a time-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// By step, what came before a step that counts events from the beginning of the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub noted: BTreeMap<String, Event>,
}

impl Hearing {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a run that comes to the step does not wait there: what the step waits for came before.
    pub(super) fn came_before(&self, step: &str) -> bool {
        let waits = self.awaited.as_ref().is_some_and(|awaited| awaited.step == step);
        !waits && self.noted.contains_key(step)
    }
}

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The step.
    pub step: String,
    /// The last place of the ledger before the step began: an event at or before it does not count. The application sets it
    /// in the transaction in which the step begins.
    pub since: Option<i64>,
    /// When the waiting is over whatever happens.
    pub until: DateTime<Utc>,
    /// Whether it has come.
    pub met: bool,
}

/// What the runs of a definition hear of: a sum of the constants above.
pub fn listens(definition: &Definition) -> i32 {
    let header = &definition.header;
    let waits = || {
        definition.steps.iter().filter_map(|step| match &step.kind {
            StepKind::WaitFor(config) => Some(config),
            _ => None,
        })
    };
    let conditions: Vec<&String> =
        header.goal.iter().chain(&header.exit).chain(waits().filter_map(|wait| wait.condition.as_ref())).collect();
    let reads: Vec<Reads> = conditions.iter().map(|condition| Reads::of_expression(condition)).collect();
    let parts = [
        (!conditions.is_empty(), CONDITIONS),
        (reads.iter().any(|reads| !reads.interactions.is_empty()), DEEDS),
        (reads.iter().any(|reads| reads.lists), LISTS),
        (header.stop_on_meeting, MEETINGS),
        (header.stop_on_opportunity, OPPORTUNITIES),
        (waits().any(|wait| !wait.event.is_empty()), EVENTS),
    ];
    parts.into_iter().filter(|(hears, _)| *hears).map(|(_, part)| part).sum()
}

/// What people may do that a definition hears of: by its triggers, in its steps, or because it ends runs.
pub fn kinds_heard(definition: &Definition) -> BTreeSet<InteractionKind> {
    let header = &definition.header;
    let triggers = header.triggers.iter().filter_map(|trigger| match &trigger.kind {
        TriggerKind::Event(on) => Some(&on.event),
        _ => None,
    });
    let waits = definition.steps.iter().filter_map(|step| match &step.kind {
        StepKind::WaitFor(wait) => Some(&wait.event),
        _ => None,
    });
    let ends = [InteractionKind::EmailReply, InteractionKind::Meeting];
    triggers.chain(waits).flatten().copied().chain(ends).collect()
}

/// Whose runs an entry may concern, and which of them: those that hear of one of the parts of the sum.
pub fn concern(entry: &Entry) -> Option<(Who, i32)> {
    if !is_news(entry) {
        return None;
    }
    if let Some(doers) = doers(entry) {
        let kind = entry.detail.get("kind").and_then(Value::as_str);
        let may_be_meeting = kind.is_none_or(|kind| kind == InteractionKind::Meeting.as_str());
        let hears = EVENTS | DEEDS;
        return Some((Who::Doers(doers), if may_be_meeting { hears | MEETINGS } else { hears }));
    }
    if let Some(who) = done(entry) {
        return Some((who, DEEDS));
    }
    if let Some(who) = relisted(entry) {
        return Some((who, LISTS));
    }
    if entry.kind == "opportunity.opened" {
        let who = entry.account_id.map(|id| Who::Account(id.into()));
        return Some((who.or_else(|| entry.lead_id.map(|id| Who::Lead(id.into())))?, OPPORTUNITIES));
    }
    // A lead that a run takes up, or lets go, is no news to it.
    let own = ["lead.nurtured", "lead.nurture_ended"].contains(&entry.kind.as_str());
    touched(entry).filter(|_| !own).map(|who| (who, CONDITIONS))
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Something that conditions read may have changed.
    Change,
    /// The person did something.
    Event(Event),
    /// An opportunity was opened at the company.
    Opportunity,
}

/// What a run does about something that happened at a place of the ledger: it ends, goes on, notes it for a later step, or
/// (none) nothing. What cannot be worked out is left to the next due time, where it is said.
pub fn hear(
    mut enrollment: Enrollment,
    definition: &Definition,
    context: &Context<'_>,
    (heard, seq): (&Heard, i64),
    now: DateTime<Utc>,
) -> Option<Decision<Enrollment>> {
    if !enrollment.state.is_live() {
        return None;
    }
    let in_time = |event: &Event| match enrollment.hearing.since {
        Some(since) => seq > since,
        None => event.occurred_at >= enrollment.started_at,
    };
    let met =
        |event: &Event| event.kind == InteractionKind::Meeting && definition.header.stop_on_meeting && in_time(event);
    let meeting_booked = context.meeting_booked || matches!(heard, Heard::Event(event) if met(event));
    if let Ok(Some(state)) = over(definition, &Context { meeting_booked, ..*context }) {
        return Some(on_grounds(close(enrollment, state, now), definition, context, state));
    }
    match heard {
        Heard::Opportunity => {
            let ends =
                definition.header.stop_on_opportunity && enrollment.hearing.since.is_none_or(|since| seq > since);
            let state = EnrollmentState::Finished(FinishReason::OpportunityOpened);
            ends.then(|| close(enrollment, state, now))
        }
        Heard::Change => {
            if !holds_now(&enrollment, definition, context) {
                return None;
            }
            let fact = enrollment.fact("enrollment.event_heard").with("heard", seq);
            Some(go_on(enrollment, fact, now))
        }
        Heard::Event(event) => {
            let wanted = |wait: &wait_for::Config| wait.hears(event, context.data).unwrap_or(false);
            let awaited = enrollment.hearing.awaited.as_ref().and_then(|awaited| awaited.since);
            let wakes = waited(&enrollment, definition).is_some_and(|wait| {
                let in_time = match wait.since {
                    Since::Step => awaited.is_none_or(|since| seq > since),
                    Since::Enrollment => in_time(event),
                };
                in_time && wanted(wait)
            });
            let noted: Vec<String> = definition
                .steps
                .iter()
                .filter(|step| {
                    !(enrollment.hearing.noted.contains_key(&step.id) || wakes && step.id == enrollment.step)
                })
                .filter(|step| match &step.kind {
                    StepKind::WaitFor(wait) => wait.since == Since::Enrollment && in_time(event) && wanted(wait),
                    _ => false,
                })
                .map(|step| step.id.clone())
                .collect();
            // A condition may be about what people do; then the event is not what was waited for, and is not kept as that.
            let holds = !wakes && holds_now(&enrollment, definition, context);
            if !wakes && !holds && noted.is_empty() {
                return None;
            }
            let fact = enrollment
                .fact("enrollment.event_heard")
                .with("heard", seq)
                .with("interaction", event.id)
                .with("kind", event.kind)
                .with("noted_for", &noted);
            let kept = event.clone().kept();
            enrollment.hearing.noted.extend(noted.into_iter().map(|step| (step, kept.clone())));
            if holds {
                return Some(go_on(enrollment, fact, now));
            }
            if !wakes {
                return Some(Decision::new(enrollment, fact));
            }
            enrollment.hearing.event = Some(kept);
            Some(go_on(enrollment, fact, now))
        }
    }
}

/// The step that the run waits in, where that has not been met.
fn waited<'d>(enrollment: &Enrollment, definition: &'d Definition) -> Option<&'d wait_for::Config> {
    let awaited = enrollment.hearing.awaited.as_ref()?;
    if awaited.met || awaited.step != enrollment.step {
        return None;
    }
    match &definition.step(&enrollment.step)?.1.kind {
        StepKind::WaitFor(config) => Some(config),
        _ => None,
    }
}

/// Whether the condition that the run waits for holds. One that cannot be worked out does not.
fn holds_now(enrollment: &Enrollment, definition: &Definition, context: &Context<'_>) -> bool {
    let condition = waited(enrollment, definition).and_then(|wait| wait.condition.as_ref());
    let holds = condition.map(|condition| Expression::parse(condition).and_then(|c| c.holds(context.data)));
    holds.is_some_and(|holds| holds.unwrap_or(false))
}

/// The wait is over: the step is due now, or as soon as the run is resumed.
fn go_on(mut enrollment: Enrollment, fact: crate::decision::Fact, now: DateTime<Utc>) -> Decision<Enrollment> {
    if let Some(awaited) = &mut enrollment.hearing.awaited {
        awaited.met = true;
    }
    enrollment.due_at_once(fact, now)
}

/// The run begins to wait in its present step, or goes on waiting. What came before, where that counts, is taken at once, in a
/// step of its own, so that conditions see it.
pub(super) fn wait(enrollment: &mut Enrollment, until: DateTime<Utc>, now: DateTime<Utc>) {
    use super::enrollment::WaitReason;
    let step = enrollment.step.clone();
    let hearing = &mut enrollment.hearing;
    let going_on = hearing.awaited.take().filter(|awaited| awaited.step == step);
    if going_on.is_none()
        && let Some(event) = hearing.noted.remove(&step)
    {
        hearing.event = Some(event);
        hearing.awaited = Some(Awaited { step, since: None, until, met: true });
        (enrollment.state, enrollment.due_at) = (EnrollmentState::Active, Some(now));
        return;
    }
    hearing.event = None;
    hearing.awaited = Some(going_on.unwrap_or(Awaited { step, since: None, until, met: false }));
    (enrollment.state, enrollment.due_at) = (EnrollmentState::Waiting(WaitReason::Event), Some(until));
}

#[cfg(test)]
mod tests;
