//! Why nothing is simulated.

use crate::AppError;
use tandem_domain::expression;
use tandem_domain::sequence::simulation::Fault;

/// Why a simulation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No target list has this key.
    #[error("there is no target list `{given}`; name one by its key")]
    ListUnknown {
        /// What was given.
        given: String,
    },
    /// No sequence has this key.
    #[error("there is no sequence `{given}`; name one by its key")]
    SequenceUnknown {
        /// What was given.
        given: String,
    },
    /// The sequence has no such version.
    #[error("the sequence {key} has no version {}; its newest is {latest}", .number.map_or_else(|| "yet".to_owned(), |n| n.to_string()))]
    VersionUnknown {
        /// The sequence's key.
        key: String,
        /// The number that was given; none for the newest.
        number: Option<u32>,
        /// The number of the newest; 0 where nothing is published.
        latest: u32,
    },
    /// The condition on people cannot be read.
    #[error("the condition on people cannot be used: {0}")]
    Condition(String),
    /// A stretch of the past that ends before it begins, or has not begun.
    #[error("a recorded past begins before it ends, and before now; give another stretch of time")]
    History,
    /// Nobody is recorded to have set anything off.
    #[error(
        "the past sets triggers off only where one is given to live through again; give it, or let people begin otherwise"
    )]
    NothingToTrigger,
    /// It begins in another age.
    #[error("a simulation begins within a hundred years of now; give another beginning")]
    Start,
    /// What is given beforehand is not what anything reads.
    #[error("what is given cannot be used: {wrong}")]
    Data {
        /// The input field.
        field: &'static str,
        /// Everything that is wrong with it, each with its path.
        wrong: String,
    },
    /// It broke off.
    #[error("the simulation broke off, which is told in the log; try it with fewer people or days")]
    BrokeOff,
}

impl Refusal {
    /// What is given in an input field is not what anything reads.
    pub fn data(field: &'static str, faults: &[Fault]) -> Self {
        Self::Data { field, wrong: faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ") }
    }

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ListUnknown { .. } => "SIMULATION_LIST_UNKNOWN",
            Self::SequenceUnknown { .. } => "SIMULATION_SEQUENCE_UNKNOWN",
            Self::VersionUnknown { .. } => "SIMULATION_VERSION_UNKNOWN",
            Self::Condition(_) => "SIMULATION_CONDITION_INVALID",
            Self::History => "SIMULATION_HISTORY_INVALID",
            Self::NothingToTrigger => "SIMULATION_HISTORY_MISSING",
            Self::Start => "SIMULATION_START_INVALID",
            Self::Data { .. } => "SIMULATION_DATA_INVALID",
            Self::BrokeOff => "SIMULATION_BROKE_OFF",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::ListUnknown { .. } | Self::Condition(_) => Some("who"),
            Self::SequenceUnknown { .. } | Self::VersionUnknown { .. } => Some("against"),
            Self::History | Self::NothingToTrigger => Some("history"),
            Self::Start => Some("startAt"),
            Self::Data { field, .. } => Some(field),
            Self::BrokeOff => None,
        }
    }
}

impl From<Refusal> for AppError {
    fn from(refusal: Refusal) -> Self {
        Self::refused(refusal.code(), refusal.to_string(), refusal.field())
    }
}

impl From<expression::Refusal> for Refusal {
    fn from(refusal: expression::Refusal) -> Self {
        Self::Condition(refusal.to_string())
    }
}
