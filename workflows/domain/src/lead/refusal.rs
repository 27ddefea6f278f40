//! Why a lead does not move.

use super::Stage;
use crate::normalise;
use chrono::{DateTime, Utc};

/// Why a lead does not move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The source is empty or longer than 80 characters.
    #[error("a lead needs a source of 1 to 80 characters; say where it came from, e.g. `webinar`")]
    SourceInvalid,
    /// The id where it came from has another form.
    #[error("the id of a lead where it came from has 1 to 200 characters, none of them a control character")]
    ExternalIdInvalid,
    /// The priority is above 100.
    #[error("a priority is 0 (least urgent) to 100; {given} is not")]
    PriorityOutOfRange {
        /// What was given.
        given: u8,
    },
    /// The text is not a grade.
    #[error("`{given}` is not a grade; a letter A to D and a digit 1 to 4 are expected, e.g. `B2`")]
    GradeInvalid {
        /// What was given.
        given: String,
    },
    /// The life cycle has no such arrow.
    #[error("a lead that is {from} cannot become {to}; read the lead again and choose a step that its stage allows")]
    NotAllowed {
        /// The stage it is in.
        from: Stage,
        /// The stage asked for.
        to: Stage,
    },
    /// The lead's life is over.
    #[error("the lead is {stage}, which is an end; receive a new lead instead")]
    Ended {
        /// The end it came to.
        stage: Stage,
    },
    /// The due time of an open lead is in the past.
    #[error("the lead would fall due at {at}, which has passed; choose a later time")]
    DuePassed {
        /// The time asked for.
        at: DateTime<Utc>,
    },
    /// A lead cannot be a duplicate of itself.
    #[error("a lead cannot be a duplicate of itself; name the other lead")]
    DuplicateOfItself,
    /// A text given as a reason is empty.
    #[error("an end needs a reason; give its code")]
    ReasonMissing,
    /// A text is too long.
    #[error(transparent)]
    Normalise(#[from] normalise::Refusal),
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SourceInvalid => "LEAD_SOURCE_INVALID",
            Self::ExternalIdInvalid => "LEAD_EXTERNAL_ID_INVALID",
            Self::PriorityOutOfRange { .. } => "LEAD_PRIORITY_OUT_OF_RANGE",
            Self::GradeInvalid { .. } => "LEAD_GRADE_INVALID",
            Self::NotAllowed { .. } => "LEAD_MOVE_NOT_ALLOWED",
            Self::Ended { .. } => "LEAD_ENDED",
            Self::DuePassed { .. } => "LEAD_DUE_PASSED",
            Self::DuplicateOfItself => "LEAD_DUPLICATE_OF_ITSELF",
            Self::ReasonMissing => "LEAD_REASON_MISSING",
            Self::Normalise(refusal) => refusal.code(),
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::SourceInvalid => Some("source"),
            Self::ExternalIdInvalid => Some("externalId"),
            Self::PriorityOutOfRange { .. } => Some("priority"),
            Self::GradeInvalid { .. } => Some("grade"),
            Self::DuePassed { .. } => Some("until"),
            Self::DuplicateOfItself => Some("duplicateOfId"),
            Self::ReasonMissing => Some("reason"),
            Self::Normalise(refusal) => refusal.field(),
            Self::NotAllowed { .. } | Self::Ended { .. } => None,
        }
    }
}
