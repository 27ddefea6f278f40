//! Why a step does not do what it asks for, where no other module words it.

/// Why a step does not do what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A step is about a company, and the person's is not known.
    #[error("the company of this person is not known, so nothing was changed; link the contact to an account")]
    NoAccount,
    /// Nobody is there in whose name a proposal could be made.
    #[error("nobody is there in whose name it could be proposed; name an active user as `proposer` and publish again")]
    NoProposer,
    /// There is no such list.
    #[error("there is no target list `{key}`; make it first")]
    ListUnknown {
        /// The key.
        key: String,
    },
    /// There is no such team.
    #[error("there is no team `{name}`; make it, or publish the sequence without it")]
    TeamUnknown {
        /// The name.
        name: String,
    },
    /// There is no such sequence.
    #[error("there is no sequence `{key}`; publish it first")]
    SequenceUnknown {
        /// The key.
        key: String,
    },
    /// Runs started each other too often in a row.
    #[error("too many runs started each other in a row within a day; put a step of kind wait between them")]
    ChainTooLong,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoAccount => "ENROLLMENT_ACCOUNT_MISSING",
            Self::NoProposer => "SEQUENCE_PROPOSER_MISSING",
            Self::ListUnknown { .. } => "SEQUENCE_LIST_UNKNOWN",
            Self::TeamUnknown { .. } => "SEQUENCE_TEAM_UNKNOWN",
            Self::SequenceUnknown { .. } => "SEQUENCE_UNKNOWN",
            Self::ChainTooLong => "ENROLLMENT_CHAIN_TOO_LONG",
        }
    }

    /// The input field concerned: none, since nobody gave one.
    pub const fn field(&self) -> Option<&'static str> {
        None
    }
}
