//! Whom a trigger meant and did not start, and why.

use crate::id::{ContactId, LeadId, SequenceId, TriggerSkipId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Why a trigger passes somebody over by itself, where the sequence was never asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Starts that follow from one another do not go on for ever.
    #[error(
        "eight starts by triggers led to this one; sequences that start one another are stopped here, so look at what their \
         steps change"
    )]
    ChainTooLong,
    /// It was the turn of somebody while nobody could be started.
    #[error(
        "the sequence was not active when its trigger came to this person, and nobody starts late; enrol by hand who should"
    )]
    NotActive,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ChainTooLong => "TRIGGER_CHAIN_TOO_LONG",
            Self::NotActive => "SEQUENCE_NOT_ACTIVE",
        }
    }
}

/// The last time that a trigger of a sequence meant a person and no run began. That is no error: a run of the person may be
/// live, or the person may not be written to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skip {
    /// Its id.
    pub id: TriggerSkipId,
    /// The sequence.
    pub sequence: SequenceId,
    /// The key of the trigger.
    pub trigger: String,
    /// The person.
    pub contact: ContactId,
    /// The lead, where one was meant.
    pub lead: Option<LeadId>,
    /// The stable code of the refusal.
    pub code: String,
    /// Its sentence.
    pub message: String,
    /// The entry of the ledger that set the trigger off, where one did.
    pub seq: Option<i64>,
    /// When.
    pub at: DateTime<Utc>,
}
