//! What a step comes to for a run that catches up with what it missed.
//!
//! SKIP looks at each step at this moment and leaves out what it would do. LATEST looks at each step at the moment to which the run
//! has caught up, passes the waits that were over by now, and does what is left to do at this moment. With both a run has caught
//! up where it comes to stand and time passes: what follows from there is of this moment again.

use super::{CatchUp, Way};
use crate::sequence::definition::{Definition, Step};
use crate::sequence::enrollment::{Enrollment, TaskEnd};
use crate::sequence::stepper::MAX_STEPS;
use crate::sequence::steps::{Failure, Next, Run, StepKind};
use chrono::{DateTime, Utc};

/// How a run that catches up takes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sequence) enum Course {
    /// As always.
    Usual,
    /// Without its effect.
    LeftOut,
    /// Its wait was over at this moment.
    Over(DateTime<Utc>),
    /// The time for what it waits for was over at this moment, and nothing had come.
    TimedOut(DateTime<Utc>),
}

/// A definition, and the place of a step in it.
type Place<'a> = (&'a Definition, usize);

/// What follows from the step of `run`, whose moment is the present one, and how it is taken. `again` says that the run came by
/// this step before, at the same moment.
pub(in crate::sequence) fn plan(
    catch_up: CatchUp,
    place: Place<'_>,
    run: &Run<'_>,
    again: bool,
) -> Result<(Next, Course), Failure> {
    match catch_up.way {
        Way::Skip => skip(place, run, again),
        Way::Latest => latest(place, run, catch_up.at.min(run.now)),
    }
}

fn skip(place: Place<'_>, run: &Run<'_>, again: bool) -> Result<(Next, Course), Failure> {
    let next = run.step.kind.plan(run)?;
    let is_left_out = match &next {
        Next::Act(effect) if effect.is_bookkeeping() => false,
        // A round in which nothing is waited for but its own task would have no end without that task.
        Next::Act(effect) => !(again && effect.task_to_wait_for().is_some()),
        // The e-mail that comes later is one of those that are left out.
        Next::Later(..) => true,
        Next::GoOn | Next::GoTo(_) | Next::Split { .. } | Next::Wait(..) | Next::Await(_) => false,
        Next::Finish(_) | Next::Exit => false,
    };
    Ok(if is_left_out { left_out(place, run.step) } else { (next, Course::Usual) })
}

fn latest(place: Place<'_>, run: &Run<'_>, at: DateTime<Utc>) -> Result<(Next, Course), Failure> {
    let then = Run { now: at, ..*run };
    let is_old = || newer_email(place, &then, run.now);
    Ok(match run.step.kind.plan(&then)? {
        Next::Act(effect) if effect.reaches_the_person() && is_old() => left_out(place, run.step),
        Next::Later(..) if is_old() => left_out(place, run.step),
        Next::Wait(_, until) if until <= run.now => (Next::GoOn, Course::Over(until)),
        Next::Await(until) if until <= run.now && !came_before(run.enrollment, run.step) => {
            (going_to(place.0.after_timeout(place.1)), Course::TimedOut(until))
        }
        // What really happens, and what is listened for, is planned for the moment in which that is so.
        Next::Act(_) | Next::Await(_) | Next::Later(..) => (run.step.kind.plan(run)?, Course::Usual),
        next @ (Next::GoOn | Next::GoTo(_) | Next::Split { .. } | Next::Wait(..) | Next::Finish(_) | Next::Exit) => {
            (next, Course::Usual)
        }
    })
}

fn going_to(step: Option<&str>) -> Next {
    step.map_or(Next::GoOn, |id| Next::GoTo(id.to_owned()))
}

/// Without its effect: a call counts as taken, and a task as one that nobody did in time.
fn left_out((definition, position): Place<'_>, step: &Step) -> (Next, Course) {
    let next = match step.kind {
        StepKind::CreateTask(_) => definition.after_task(&step.id, TaskEnd::TimedOut),
        _ => definition.after_call(position),
    };
    (going_to(next), Course::LeftOut)
}

fn came_before(enrollment: &Enrollment, step: &Step) -> bool {
    enrollment.hearing.came_before(&step.id)
}

/// Whether a run from which `next` follows at `step` has caught up: it comes to stand there. It has not where it waits for the
/// answer to a call, which is no wait of the sequence.
pub(in crate::sequence) fn is_over(next: &Next, enrollment: &Enrollment, step: &Step) -> bool {
    match next {
        Next::Wait(..) | Next::Later(..) => true,
        Next::Await(_) => !came_before(enrollment, step),
        Next::Act(effect) => effect.reaches_the_person() || effect.task_to_wait_for().is_some(),
        Next::GoOn | Next::GoTo(_) | Next::Split { .. } | Next::Finish(_) | Next::Exit => false,
    }
}

/// Whether another e-mail would have fallen due by `now` on the way from the e-mail that `run` is at. It is looked ahead with
/// the values of this moment: what a step on the way would change is not seen, and calls are taken.
fn newer_email((definition, position): Place<'_>, run: &Run<'_>, now: DateTime<Utc>) -> bool {
    let (mut at, mut next) = (run.now, definition.following(position));
    for _ in 0..MAX_STEPS {
        let Some((position, step)) = next.and_then(|id| definition.step(id)) else { return false };
        let Ok(planned) = step.kind.plan(&Run { step, now: at, ..*run }) else { return false };
        next = match planned {
            // One for which no mailbox can be had now has fallen due all the same.
            Next::Later(..) => return true,
            Next::Act(effect) if effect.reaches_the_person() => return true,
            // It is made now, and what follows comes after it.
            Next::Act(effect) if effect.task_to_wait_for().is_some() => return false,
            Next::Act(_) => definition.after_call(position),
            Next::Wait(_, until) if until > now => return false,
            Next::Wait(_, until) => {
                at = until;
                definition.following(position)
            }
            Next::Await(_) if came_before(run.enrollment, step) => definition.following(position),
            Next::Await(until) if until > now => return false,
            Next::Await(until) => {
                at = until;
                definition.after_timeout(position)
            }
            Next::GoOn => definition.following(position),
            Next::GoTo(id) | Next::Split { to: id, .. } => definition.step(&id).map(|(_, step)| step.id.as_str()),
            Next::Finish(_) | Next::Exit => return false,
        };
    }
    false
}
