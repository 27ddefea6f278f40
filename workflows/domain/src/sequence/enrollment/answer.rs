//! What becomes of a run once it is known how the call ended that its step made.

use super::{Enrollment, EnrollmentState, close};
use crate::decision::Decision;
use crate::sequence::definition::Definition;
use crate::sequence::steps::Failure;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// The most that a run keeps in its variables, in bytes of JSON: what it was started with, and what its calls were answered.
pub const MAX_VARS: usize = 256 * 1024;

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    /// It was taken; under which name which value is kept in `enrollment.vars`.
    Success(Option<(String, Value)>),
    /// It was not, for good.
    Failure(Failure),
}

/// Ends the wait for the call that was planned under `visit`: the next step is due now, or as soon as the enrolment is resumed.
/// The steps are those of `definition`, the version that the run is on. None where it does not wait for that call (any more).
///
/// A failure for which the step names no way ends the run.
pub fn answered(
    mut enrollment: Enrollment,
    definition: &Definition,
    visit: u32,
    answered: Answered,
    now: DateTime<Utc>,
) -> Option<Decision<Enrollment>> {
    if enrollment.awaits? != visit {
        return None;
    }
    let moved_on = std::mem::take(&mut enrollment.memory.moved_on);
    let (way, failure) = match kept(&mut enrollment, answered) {
        // Whatever the answer is, it goes on where it was moved to.
        kept if moved_on => (Ok(enrollment.step.clone()), kept.err()),
        Ok(()) => (success_of(&enrollment, definition), None),
        Err(failure) => (failure_of(&enrollment, definition).ok_or_else(|| failure.clone()), Some(failure)),
    };
    let way = match way {
        Ok(way) => way,
        Err(failure) => {
            enrollment.failure = Some(failure);
            return Some(close(enrollment, EnrollmentState::Failed, now));
        }
    };
    let fact = enrollment
        .fact("enrollment.answered")
        .with("planned_under", visit)
        .with("code", failure.as_ref().map(|failure| &failure.code))
        .with("next", &way);
    enrollment.awaits = None;
    enrollment.step = way;
    Some(enrollment.due_at_once(fact, now))
}

/// The same where nobody told it in time how its call ended: a failure.
pub fn overdue(enrollment: Enrollment, definition: &Definition, now: DateTime<Utc>) -> Decision<Enrollment> {
    let message = "nobody came to know in time how the call ended";
    let failure = Failure::new("CALL_OVERDUE", message);
    let visit = enrollment.awaits.unwrap_or_default();
    answered(enrollment.clone(), definition, visit, Answered::Failure(failure.clone()), now).unwrap_or_else(|| {
        let lost = Enrollment { failure: Some(failure), ..enrollment };
        close(lost, EnrollmentState::Failed, now)
    })
}

/// Keeps what a success brings. More than a run can keep makes a failure of it.
fn kept(enrollment: &mut Enrollment, answered: Answered) -> Result<(), Failure> {
    match answered {
        Answered::Failure(failure) => Err(failure),
        Answered::Success(None) => Ok(()),
        Answered::Success(Some((name, value))) => {
            let mut vars = enrollment.vars.clone();
            vars.insert(name, value);
            if serde_json::to_string(&vars).map_or(0, |text| text.len()) > MAX_VARS {
                let message =
                    format!("the answers that the run keeps are larger than {MAX_VARS} bytes; keep less of them");
                return Err(Failure::new("CALL_ANSWERS_TOO_LARGE", message));
            }
            enrollment.vars = vars;
            Ok(())
        }
    }
}

fn success_of(enrollment: &Enrollment, definition: &Definition) -> Result<String, Failure> {
    let Some((position, step)) = definition.step(&enrollment.step) else {
        let message = format!("the version has no step `{}`", enrollment.step);
        return Err(Failure::new("ENROLLMENT_STEP_MISSING", message));
    };
    let next = definition.after_call(position).map(str::to_owned);
    next.ok_or_else(|| Failure::new("SEQUENCE_NO_END", format!("nothing follows the step `{}`", step.id)))
}

fn failure_of(enrollment: &Enrollment, definition: &Definition) -> Option<String> {
    definition.step(&enrollment.step)?.1.kind.on()?.failure.clone()
}
