//! How a run goes on that fell due while its sequence was paused.

use super::{Enrollment, EnrollmentState, Refusal, WaitReason, live, resume};
use crate::decision::Decision;
use crate::sequence::backlog::{CatchUp, Way};
use chrono::{DateTime, Utc};

/// Resumes a run that paused with its sequence and whose next step fell due meanwhile: it goes on at `turn`, and catches up as
/// `way` says. One whose wait is not over goes on waiting.
pub fn resume_from_backlog(
    enrollment: Enrollment,
    turn: DateTime<Utc>,
    way: Option<Way>,
    now: DateTime<Utc>,
) -> Result<Decision<Enrollment>, Refusal> {
    let held = match enrollment.held {
        Some(held) if held.due_at <= now => held,
        _ => return resume(enrollment, now),
    };
    live(&enrollment)?;
    let mut enrollment = Enrollment { held: None, awaits: None, ..enrollment };
    // The time for the task that it waited for is over.
    enrollment.memory.give_up_task();
    let later = turn > now;
    // One that was still catching up goes on from where it was.
    let behind = enrollment.trail.catch_up.map_or(held.due_at, |it| it.at);
    let state = if later { EnrollmentState::Waiting(WaitReason::Backlog) } else { EnrollmentState::Active };
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
