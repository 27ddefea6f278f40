//! Why something is not done with an e-mail.

use super::{EmailState, Obstacle};

/// Why an e-mail is refused, or a change to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A line break in a header would let its text forge other headers.
    #[error("{field} has a line break or control character in it; write it in one line")]
    LineBreak {
        /// The input field.
        field: &'static str,
    },
    /// An e-mail without a subject is taken for spam.
    #[error("the subject is empty; give one")]
    SubjectEmpty,
    /// There is nothing to read.
    #[error("the text is empty; an e-mail needs a plain text beside its HTML")]
    TextEmpty,
    /// An address cannot be written to.
    #[error("{field} is not an e-mail address; give it in the form name@example.com")]
    NotAnAddress {
        /// The input field.
        field: &'static str,
    },
    /// The person may not be written to.
    #[error("nothing may be sent to this person ({obstacle}); leave them out")]
    MayNotWrite {
        /// Why.
        obstacle: Obstacle,
    },
    /// Only an e-mail that waits for a try can be begun.
    #[error("the e-mail is {state}, so it cannot be begun")]
    NotWaiting {
        /// Where it stands.
        state: EmailState,
    },
    /// An outcome belongs to a try that is under way.
    #[error("the e-mail is {state} at attempt {attempt}, so this outcome is not its own")]
    NotSending {
        /// Where it stands.
        state: EmailState,
        /// Its last attempt.
        attempt: u32,
    },
    /// Only an e-mail of unknown fate needs a person's word.
    #[error("the e-mail is {state}; only one that is UNKNOWN can be resolved")]
    NotUnknown {
        /// Where it stands.
        state: EmailState,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::LineBreak { .. } => "EMAIL_LINE_BREAK",
            Self::SubjectEmpty => "EMAIL_SUBJECT_EMPTY",
            Self::TextEmpty => "EMAIL_TEXT_EMPTY",
            Self::NotAnAddress { .. } => "EMAIL_NOT_AN_ADDRESS",
            Self::MayNotWrite { .. } => "EMAIL_MAY_NOT_WRITE",
            Self::NotWaiting { .. } => "EMAIL_NOT_WAITING",
            Self::NotSending { .. } => "EMAIL_NOT_SENDING",
            Self::NotUnknown { .. } => "EMAIL_NOT_UNKNOWN",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::LineBreak { field } | Self::NotAnAddress { field } => Some(field),
            Self::SubjectEmpty => Some("subject"),
            Self::TextEmpty => Some("text"),
            Self::MayNotWrite { .. } => Some("to"),
            Self::NotWaiting { .. } | Self::NotSending { .. } | Self::NotUnknown { .. } => None,
        }
    }
}
