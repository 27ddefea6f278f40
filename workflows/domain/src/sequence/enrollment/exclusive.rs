//! Of the sequences of a group a person runs through one at a time.
//!
//! Owns who has the person. That two enrolments cannot both come in is for the application to see to (it locks the person)
//! and for a unique index.

use super::{Enrollment, ExitReason, Refusal, exit};
use crate::decision::Decision;
use crate::sequence::definition::Header;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An enrolment's place in a group: as its version said when it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusive {
    /// The group.
    pub group: String,
    /// The priority within it, 0 to 100.
    pub priority: u8,
}

impl Exclusive {
    /// The place of an enrolment that begins under this header; none where it names no group.
    pub fn of(header: &Header) -> Option<Self> {
        header.exclusive.clone().map(|group| Self { group, priority: header.priority })
    }
}

/// Whether `newcomer` may begin beside the live enrolments of the same person: gives the one that it takes the place of,
/// where it does. One of equal or higher priority stays, and the newcomer is refused.
pub fn compete<'a>(newcomer: &Enrollment, live: &'a [Enrollment]) -> Result<Option<&'a Enrollment>, Refusal> {
    let Some(mine) = &newcomer.exclusive else { return Ok(None) };
    let in_group = |other: &&Enrollment| {
        other.id != newcomer.id
            && other.state.is_live()
            && other.contact == newcomer.contact
            && other.exclusive.as_ref().is_some_and(|theirs| theirs.group == mine.group)
    };
    let Some(other) = live.iter().find(in_group) else { return Ok(None) };
    let priority = other.exclusive.as_ref().map_or(0, |theirs| theirs.priority);
    if priority >= mine.priority {
        return Err(Refusal::Excluded {
            group: mine.group.clone(),
            enrollment: other.id,
            rule: other.rule.clone(),
            priority,
        });
    }
    Ok(Some(other))
}

/// Ends an enrolment because `newcomer` takes its place.
pub fn supersede(
    other: Enrollment,
    newcomer: &Enrollment,
    now: DateTime<Utc>,
) -> Result<Decision<Enrollment>, Refusal> {
    let mut decision = exit(other, ExitReason::Superseded, now)?;
    for fact in &mut decision.facts {
        fact.detail.insert("superseded_by".to_owned(), Value::String(newcomer.id.to_string()));
        fact.detail.insert("superseded_by_rule".to_owned(), Value::String(newcomer.rule.clone()));
    }
    Ok(decision)
}
