//! Tasks: what is done, and what came of it.

use super::{ItemKind, Outcome, Refusal, WorkItem, cancel};
use crate::codes;
use crate::decision::Decision;
use crate::id::UserId;
use chrono::{DateTime, Utc};

codes! {
    /// By which way a task is done.
    pub enum TaskChannel("task channel") {
        /// By phone.
        Call = "CALL",
        /// In a social network.
        Social = "SOCIAL",
        /// By letter or parcel.
        Letter = "LETTER",
        /// In any other way.
        Other = "OTHER",
    }
}

codes! {
    /// What came of a task that somebody has done.
    pub enum TaskOutcome("task outcome") {
        /// It is done; there is nothing more to say.
        Done = "DONE",
        /// The person was not reached.
        NoAnswer = "NO_ANSWER",
        /// The person asks for another time.
        CallBack = "CALL_BACK",
        /// The person is interested.
        Interested = "INTERESTED",
        /// The person is not interested.
        NotInterested = "NOT_INTERESTED",
        /// A meeting was agreed.
        MeetingBooked = "MEETING_BOOKED",
        /// The number, the address or the person is wrong.
        BadData = "BAD_DATA",
    }
}

/// The reason of a task that somebody called off.
pub const CALLED_OFF: &str = "CALLED_OFF";

/// Somebody finds that a queued task need not be done. One that is held is its holder's to finish or to give back.
pub fn call_off(
    item: WorkItem,
    by: UserId,
    note: Option<String>,
    now: DateTime<Utc>,
) -> Result<Decision<WorkItem>, Refusal> {
    item.check_kind("called off", ItemKind::Task)?;
    if let Some(note) = &note {
        crate::normalise::at_most("note", note, super::MOST_NOTES)?;
    }
    let mut decision = cancel(item, CALLED_OFF, now)?;
    for fact in &mut decision.facts {
        *fact = fact.clone().with("by", by).with("note", &note);
    }
    let item = &mut decision.next;
    item.outcome = Some(Outcome { reason: Some(CALLED_OFF.to_owned()), note, by: Some(by), task: None, at: now });
    Ok(decision)
}
