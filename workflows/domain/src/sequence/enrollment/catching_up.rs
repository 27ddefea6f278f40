//! How a run goes on that fell due while its sequence was paused.

use super::{Enrollment, EnrollmentState, Refusal, WaitReason, live, resume};
use crate::decision::Decision;
use crate::sequence::backlog::{CatchUp, Way};
use chrono::{DateTime, Utc};

/// Resumes a run that paused with its sequence and whose next step fell due meanwhile: it goes on at `turn`, and catches up as
/// `way` says. One whose wait is not over goes on waiting, and so does one that waits for its e-mail.
pub fn resume_from_backlog(
    enrollment: Enrollment,
    turn: DateTime<Utc>,
    way: Option<Way>,
    now: DateTime<Utc>,
) -> Result<Decision<Enrollment>, Refusal> {
    let held = match enrollment.held {
        // What comes after an e-mail that was held up has not fallen due: it comes once the e-mail is settled.
        Some(held) if held.due_at <= now && held.waiting != Some(WaitReason::Email) => held,
        _ => return resume(enrollment, now),
    };
    live(&enrollment)?;
    let mut enrollment = Enrollment { held: None, ..enrollment };
    // The time for the task that it waited for is over.
    enrollment.memory.give_up_task();
    let later = turn > now;
    // One that was still catching up goes on from where it was.
    let behind = enrollment.trail.catch_up.map_or(held.due_at, |it| it.at);
    let state = match held.waiting {
        // The step that made a call is not taken twice: the run goes the way of a call that nobody came to know the end of.
        Some(WaitReason::Answer) => EnrollmentState::Waiting(WaitReason::Answer),
        _ if later => EnrollmentState::Waiting(WaitReason::Backlog),
        _ => EnrollmentState::Active,
    };
    let fact = enrollment
        .fact("enrollment.resumed")
        .moved(enrollment.state, state)
        .with("due_at", turn.max(now))
        .with("fell_due_at", held.due_at)
        .with("catches_up", way);
    enrollment.state = state;
    enrollment.due_at = Some(turn.max(now));
    enrollment.trail.catch_up = way.map(|way| CatchUp { way, at: behind });
    Ok(enrollment.timed(fact))
}
