//! The next step of an enrolment that is due.
//!
//! [`advance`] looks first whether the run is over (suppression, consent, answer, goal, exit), then takes steps until
//! one waits or asks for an effect. It is pure: the same version, enrolment, context and moment give the same result,
//! so that a repetition after a crash decides the same, and (enrollment, step, visit) names each effect for good.

use super::backlog::CatchUp;
use super::backlog::course::{self, Course};
use super::definition::Definition;
use super::enrollment::{
    AwaitedTask, Enrollment, EnrollmentState, ExitReason, FinishReason, PauseReason, Refusal, WaitReason, close,
    overdue, pause,
};
use super::hearing;
use super::publishing::SequenceState;
use super::steps::{Effect, Failure, Next, Run};
use crate::calendar::Calendars;
use crate::contact_policy::Capped;
use crate::decision::Decision;
use crate::expression::Expression;
use crate::sending_mailbox::SendingMailbox;
use crate::standing::Standing;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::borrow::Cow;

/// The most steps in one advance: each takes no time, so that more of them would be a loop.
pub const MAX_STEPS: usize = 250;
/// The most steps and waits in the whole life of an enrolment.
pub const MAX_VISITS: u32 = 10_000;
/// When it is looked again whether a consent that could not be read has become known.
const CONSENT_RETRY: TimeDelta = TimeDelta::hours(24);
/// When a step that failed for a passing reason is tried again.
const PASSING_RETRY: TimeDelta = TimeDelta::minutes(1);
/// When an enrolment looks for itself what became of its e-mail, since nobody told it: later than an e-mail is settled that
/// nothing holds up, which is tried for five days and then at most a day longer.
pub(super) const EMAIL_OVERDUE: TimeDelta = TimeDelta::days(7);
/// How long after the last try of a call an enrolment goes on although nobody told it how that ended.
const CALL_OVERDUE: TimeDelta = TimeDelta::days(1);

/// Everything about the subject of an enrolment at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// A JSON object with the variables of [`super::environment`] and `unsubscribe_url`.
    pub data: &'a Value,
    /// The contact's time zone.
    pub zone: Tz,
    /// Whether the contact may be written to.
    pub standing: Standing,
    /// Whether the contact answered since the enrolment started.
    pub replied: bool,
    /// Whether a meeting was booked since the enrolment started.
    pub meeting_booked: bool,
    /// The state of the sequence.
    pub sequence: SequenceState,
    /// The working calendars that the definition names, as they are now.
    pub calendars: &'a Calendars,
    /// The mailboxes of the pools that the definition names, as they are now.
    pub mailboxes: &'a [SendingMailbox],
    /// What holds an e-mail to the person back, where the person or the account was written to often enough. It is only asked
    /// for once it is known that an e-mail is next.
    pub capped: Option<Capped>,
}

/// The enrolment after an advance, and what must happen.
#[derive(Debug, Clone, PartialEq)]
pub struct Advance {
    /// The enrolment.
    pub enrollment: Enrollment,
    /// At most one effect; the enrolment goes on in a next advance: after an e-mail, a call, or a task that it waits for, once
    /// that is settled.
    pub effect: Option<Effect>,
}

/// Takes the next steps of an enrolment that is due at `now`.
pub fn advance(
    enrollment: &Enrollment,
    definition: &Definition,
    context: &Context<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Advance>, Refusal> {
    if !enrollment.state.is_live() {
        return Err(Refusal::Ended { state: enrollment.state });
    }
    match enrollment.due_at {
        None => return Err(Refusal::Paused { state: enrollment.state }),
        Some(at) if at > now => return Err(Refusal::NotDue { at }),
        Some(_) => {}
    }
    if context.sequence == SequenceState::Paused {
        return Ok(pause(enrollment.clone(), PauseReason::Sequence, None, now)?.map(alone));
    }
    let over = match over(definition, context) {
        Ok(over) => over,
        Err(failure) => return Ok(failed(enrollment.clone(), enrollment.state, Vec::new(), failure, now)),
    };
    if let Some(state) = over {
        return Ok(on_grounds(close(enrollment.clone(), state, now), definition, context, state).map(alone));
    }
    if enrollment.state == EnrollmentState::Waiting(WaitReason::Answer) {
        return Ok(overdue(enrollment.clone(), definition, now).map(alone));
    }
    take_steps(enrollment.clone(), definition, context, now)
}

/// Waits on for an e-mail that is itself held back, by caps, hours or its mailbox, when the enrolment would go on without
/// it: what comes after an e-mail comes after it. None where the enrolment does not wait for an e-mail, or it is not due.
pub fn wait_on(
    mut enrollment: Enrollment,
    held_until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<Decision<Enrollment>> {
    let waits = enrollment.state == EnrollmentState::Waiting(WaitReason::Email);
    if !waits || enrollment.due_at.is_none_or(|due| due > now) {
        return None;
    }
    let later = held_until.map_or(now, |until| until.max(now)) + EMAIL_OVERDUE;
    enrollment.visit = enrollment.visit.saturating_add(1);
    enrollment.due_at = Some(later);
    let fact = enrollment.fact("enrollment.email_awaited").with("due_at", later);
    Some(enrollment.timed(fact))
}

fn alone(enrollment: Enrollment) -> Advance {
    Advance { enrollment, effect: None }
}

fn fail(
    mut enrollment: Enrollment,
    from: EnrollmentState,
    taken: Vec<Value>,
    failure: Failure,
    now: DateTime<Utc>,
) -> Decision<Advance> {
    enrollment.failure = Some(failure);
    ended(enrollment, from, EnrollmentState::Failed, taken, now)
}

/// A step that could not be taken ends the run, unless the reason passes by itself: then it is tried again soon.
fn failed(
    enrollment: Enrollment,
    from: EnrollmentState,
    taken: Vec<Value>,
    failure: Failure,
    now: DateTime<Utc>,
) -> Decision<Advance> {
    if failure.passing {
        held(again(enrollment, from, taken, (WaitReason::Event, now + PASSING_RETRY)), &failure.code)
    } else {
        fail(enrollment, from, taken, failure, now)
    }
}

/// The same step again later, under a new visit: nothing has happened under this one.
fn again(
    mut enrollment: Enrollment,
    from: EnrollmentState,
    taken: Vec<Value>,
    (reason, later): (WaitReason, DateTime<Utc>),
) -> Decision<Advance> {
    enrollment.visit += 1;
    enrollment.state = EnrollmentState::Waiting(reason);
    enrollment.due_at = Some(later);
    enrollment.awaits = None;
    enrollment.memory.give_up_task();
    done(enrollment, from, taken, None)
}

/// Says on the record what put a step off, where the reason of the wait does not.
fn held(mut decision: Decision<Advance>, by: &str) -> Decision<Advance> {
    for fact in &mut decision.facts {
        fact.detail.insert("held_by".to_owned(), Value::from(by));
    }
    decision
}

/// Says on the record which rule ended the run: the condition that held, or the standing of the person.
pub(crate) fn on_grounds(
    mut decision: Decision<Enrollment>,
    definition: &Definition,
    context: &Context<'_>,
    state: EnrollmentState,
) -> Decision<Enrollment> {
    let grounds = match state {
        EnrollmentState::Finished(FinishReason::Goal) => {
            definition.header.goal.as_ref().map(|goal| json!({"goal": goal}))
        }
        EnrollmentState::Exited(ExitReason::Rule) => definition.header.exit.as_ref().map(|exit| json!({"exit": exit})),
        EnrollmentState::OptedOut | EnrollmentState::Bounced => Some(json!({"standing": context.standing.to_string()})),
        _ => None,
    };
    if let Some(grounds) = grounds {
        for fact in &mut decision.facts {
            fact.detail.insert("grounds".to_owned(), grounds.clone());
        }
    }
    decision
}

/// Why an e-mail cannot be planned now, and the first moment at which both caps and window allow it.
fn not_yet(definition: &Definition, context: &Context<'_>, now: DateTime<Utc>) -> Option<(WaitReason, DateTime<Utc>)> {
    let allowed = context.capped.map_or(now, |capped| capped.until.max(now));
    let calendar = definition.header.window_calendar().and_then(|key| context.calendars.get(key));
    let window = definition.header.send_window.as_ref();
    let opens = window.and_then(|window| window.opens(allowed, context.zone, calendar));
    match (context.capped, opens) {
        (Some(_), opens) => Some((WaitReason::Cap, opens.unwrap_or(allowed))),
        (None, Some(opens)) => Some((WaitReason::Window, opens)),
        (None, None) => None,
    }
}

/// Says on the record which rule put an e-mail off, where it was a cap.
fn put_off(mut decision: Decision<Advance>, reason: WaitReason, capped: Option<Capped>) -> Decision<Advance> {
    if let Some(capped) = capped.filter(|_| reason == WaitReason::Cap) {
        for fact in &mut decision.facts {
            fact.detail.insert("capped_by".to_owned(), Value::String(capped.rule()));
        }
    }
    decision
}

/// Whether the run is over whatever its next step is. What the person wants comes first.
pub(super) fn over(definition: &Definition, context: &Context<'_>) -> Result<Option<EnrollmentState>, Failure> {
    let holds = |condition: &Option<String>| match condition {
        Some(condition) => Ok::<_, Failure>(Expression::parse(condition)?.holds(context.data)?),
        None => Ok(false),
    };
    Ok(match context.standing {
        Standing::Suppressed | Standing::Withdrawn | Standing::OptedOut => Some(EnrollmentState::OptedOut),
        Standing::Bounced => Some(EnrollmentState::Bounced),
        _ if context.replied => Some(EnrollmentState::Finished(FinishReason::Replied)),
        _ if context.meeting_booked => Some(EnrollmentState::Finished(FinishReason::MeetingBooked)),
        _ if context.sequence == SequenceState::Archived => Some(EnrollmentState::Exited(ExitReason::Superseded)),
        _ if holds(&definition.header.goal)? => Some(EnrollmentState::Finished(FinishReason::Goal)),
        _ if holds(&definition.header.exit)? => Some(EnrollmentState::Exited(ExitReason::Rule)),
        _ => None,
    })
}

fn take_steps(
    before: Enrollment,
    definition: &Definition,
    context: &Context<'_>,
    now: DateTime<Utc>,
) -> Result<Decision<Advance>, Refusal> {
    let from = before.state;
    let mut enrollment = Enrollment { state: EnrollmentState::Active, due_at: Some(now), awaits: None, ..before };
    let mut data = Cow::Borrowed(context.data);
    if enrollment.memory.give_up_task() {
        remember(&mut data, &enrollment);
    }
    let mut taken: Vec<Value> = Vec::new();
    for _ in 0..MAX_STEPS {
        if enrollment.visit >= MAX_VISITS {
            let message = format!("it took {MAX_VISITS} steps without coming to an end");
            return Ok(fail(enrollment, from, taken, Failure::new("ENROLLMENT_TOO_LONG", message), now));
        }
        let Some((position, step)) = definition.step(&enrollment.step) else {
            let message = format!("the version has no step `{}`", enrollment.step);
            return Ok(fail(enrollment, from, taken, Failure::new("ENROLLMENT_STEP_MISSING", message), now));
        };
        let context = Context { data: &data, ..*context };
        let catch_up = enrollment.trail.catch_up;
        // What an e-mail says is worked out when it is planned, not each time that it is put off.
        if catch_up.is_none()
            && context.standing == Standing::Allowed
            && step.kind.keeps_hours()
            && let Some(until) = not_yet(definition, &context, now)
        {
            return Ok(put_off(again(enrollment, from, taken, until), until.0, context.capped));
        }
        let run = Run { enrollment: &enrollment, step, header: &definition.header, context: &context, now };
        let (next, course) = match plan((definition, position), &run, &taken) {
            Ok(planned) => planned,
            Err(failure) => return Ok(failed(enrollment, from, taken, failure, now)),
        };
        let mut entry = json!({"step": step.id, "kind": step.kind.name(), "visit": enrollment.visit});
        match course {
            Course::Usual => {}
            Course::LeftOut => entry["skipped"] = json!("BACKLOG"),
            Course::Over(at) | Course::TimedOut(at) => {
                enrollment.trail.catch_up = catch_up.map(|it| CatchUp { at, ..it });
            }
        }
        if course::is_over(&next, &enrollment, step) {
            enrollment.trail.catch_up = None;
        }
        let held_back =
            matches!(&next, Next::Act(effect) if effect.reaches_the_person()) && context.standing != Standing::Allowed;
        if held_back {
            let later = again(enrollment, from, taken, (WaitReason::Event, now + CONSENT_RETRY));
            return Ok(held(later, "CONSENT_UNKNOWN"));
        }
        if let Next::Act(effect) = &next
            && effect.keeps_hours()
            && let Some(until) = not_yet(definition, &context, now)
        {
            return Ok(put_off(again(enrollment, from, taken, until), until.0, context.capped));
        }
        if let Next::Later(reason, later, by) = next {
            return Ok(held(again(enrollment, from, taken, (reason, later)), by));
        }
        taken.push(entry);
        if let (Some(decided), Some(Value::Object(entry))) = (step.kind.because(&next), taken.last_mut()) {
            entry.extend(decided);
        }
        if matches!(&next, Next::Act(_)) {
            enrollment.trail.take(&step.id);
        }
        let following = match &next {
            Next::GoTo(id) => id.clone(),
            Next::Split { variant, to } => {
                if let Some(Value::Object(entry)) = taken.last_mut() {
                    entry.insert("variant".to_owned(), json!(variant));
                }
                enrollment.memory.variants.insert(step.id.clone(), variant.clone());
                remember(&mut data, &enrollment);
                to.clone()
            }
            Next::Finish(reason) => {
                let state = EnrollmentState::Finished(*reason);
                return Ok(ended(enrollment, from, state, taken, now));
            }
            Next::Exit => {
                return Ok(ended(enrollment, from, EnrollmentState::Exited(ExitReason::Rule), taken, now));
            }
            // Where it goes from here is known once the call was answered.
            Next::Act(effect) if matches!(**effect, Effect::Call(_)) => step.id.clone(),
            Next::Await(_) => step.id.clone(),
            Next::GoOn | Next::Wait(..) | Next::Later(..) | Next::Act(_) => match definition.following(position) {
                Some(id) => id.to_owned(),
                None => {
                    let message = format!("nothing follows the step `{}`", step.id);
                    return Ok(fail(enrollment, from, taken, Failure::new("SEQUENCE_NO_END", message), now));
                }
            },
        };
        let visit = enrollment.visit;
        enrollment.step = following;
        enrollment.visit += 1;
        if !matches!(next, Next::Await(_)) {
            enrollment.hearing.awaited = None;
        }
        if matches!(course, Course::TimedOut(_)) {
            // It did not stand in the wait, and heard nothing there.
            enrollment.hearing.event = None;
            remember(&mut data, &enrollment);
        }
        match next {
            Next::Await(until) => {
                hearing::wait(&mut enrollment, until, now);
                return Ok(done(enrollment, from, taken, None));
            }
            Next::Wait(reason, until) => {
                enrollment.state = EnrollmentState::Waiting(reason);
                enrollment.due_at = Some(until);
                return Ok(done(enrollment, from, taken, None));
            }
            Next::Act(effect) => {
                if effect.reaches_the_person() {
                    enrollment.state = EnrollmentState::Waiting(WaitReason::Email);
                    enrollment.due_at = Some(now + EMAIL_OVERDUE);
                    enrollment.awaits = Some(visit);
                }
                if let Some(wait) = effect.task_to_wait_for() {
                    enrollment.state = EnrollmentState::Waiting(WaitReason::Task);
                    enrollment.due_at = Some(wait.until);
                    enrollment.memory.task = Some(AwaitedTask { step: step.id.clone(), visit });
                    if let Some(step) = &wait.timed_out {
                        enrollment.step.clone_from(step);
                    }
                }
                if let Effect::Call(call) = &*effect {
                    enrollment.state = EnrollmentState::Waiting(WaitReason::Answer);
                    enrollment.due_at = Some(call.give_up_at + CALL_OVERDUE);
                    enrollment.awaits = Some(visit);
                }
                return Ok(done(enrollment, from, taken, Some(*effect)));
            }
            _ => {}
        }
    }
    if enrollment.trail.catch_up.is_some() {
        // Many waits are over. It goes on from here at once, in a transaction of its own.
        return Ok(done(enrollment, from, taken, None));
    }
    let message = format!("it took {MAX_STEPS} steps without waiting");
    Ok(fail(enrollment, from, taken, Failure::new("SEQUENCE_LOOP_WITHOUT_WAIT", message), now))
}

/// What follows from the step of `run`, and how it is taken by a run that is behind, after these steps of the same advance.
fn plan(place: (&Definition, usize), run: &Run<'_>, taken: &[Value]) -> Result<(Next, Course), Failure> {
    match run.enrollment.trail.catch_up {
        None => Ok((run.step.kind.plan(run)?, Course::Usual)),
        Some(catch_up) => {
            let again = taken.iter().any(|entry| entry["step"] == run.step.id);
            course::plan(catch_up, place, run, again)
        }
    }
}

/// Lets the steps that follow at once see what the run has just learnt of itself.
fn remember(data: &mut Cow<'_, Value>, enrollment: &Enrollment) {
    // Where nobody looks at the run, it is not among the data, which would have to be copied.
    if !data.get("enrollment").is_some_and(Value::is_object) {
        return;
    }
    let (Value::Object(known), Some(Value::Object(seen))) = (enrollment.data(), data.to_mut().get_mut("enrollment"))
    else {
        return;
    };
    seen.extend(
        known.into_iter().filter(|(key, _)| ["variants", "last_task_outcome", "event"].contains(&key.as_str())),
    );
}

fn done(enrollment: Enrollment, from: EnrollmentState, taken: Vec<Value>, effect: Option<Effect>) -> Decision<Advance> {
    let fact = enrollment
        .fact("enrollment.advanced")
        .moved(from, enrollment.state)
        .with("taken", taken)
        .with("effect", effect.as_ref().map(Effect::name))
        .with("due_at", enrollment.due_at);
    enrollment.timed(fact).map(|enrollment| Advance { enrollment, effect })
}

fn ended(
    enrollment: Enrollment,
    from: EnrollmentState,
    state: EnrollmentState,
    taken: Vec<Value>,
    now: DateTime<Utc>,
) -> Decision<Advance> {
    let mut decision = close(Enrollment { state: from, ..enrollment }, state, now);
    decision.next.memory.ended_by_step = true;
    for fact in &mut decision.facts {
        fact.detail.insert("taken".to_owned(), Value::Array(taken.clone()));
    }
    decision.map(alone)
}

#[cfg(test)]
mod tests;
