//! What a command can answer instead of doing its work.

use tandem_domain::id::global;
use tandem_store::StoreError;
use uuid::Uuid;

/// The result of a command.
pub type Result<T, E = AppError> = std::result::Result<T, E>;

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The domain says no; the caller can mend it.
    #[error("{message}")]
    Refused {
        /// The stable code.
        code: &'static str,
        /// A sentence that says what to do next.
        message: String,
        /// The input field concerned, in the schema's spelling.
        field: Option<String>,
    },
    /// What the command names is not there.
    #[error("there is no {what} with the id {id}", id = global(what, *.id))]
    NotFound {
        /// The type name.
        what: &'static str,
        /// The id given.
        id: Uuid,
    },
    /// The actor may not do this.
    #[error("this needs {needed}")]
    Forbidden {
        /// Who may.
        needed: String,
    },
    /// The idempotency key was used for something else within 24 hours.
    #[error("this idempotency key was used for another input in the last 24 hours; use a new key")]
    IdempotencyConflict,
    /// The idempotency key is empty, too long, or holds what cannot be printed.
    #[error("an idempotency key is 1 to 200 printable characters; a UUID of the caller's own is a good one")]
    IdempotencyKeyInvalid,
    /// The world broke, or somebody else was first and stayed first.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AppError {
    /// A refusal that no domain module words: for rules of the application itself.
    pub fn refused(code: &'static str, message: impl Into<String>, field: Option<&str>) -> Self {
        Self::Refused { code, message: message.into(), field: field.map(str::to_owned) }
    }

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused { code, .. } => code,
            Self::NotFound { .. } => "NOT_FOUND",
            Self::Forbidden { .. } => "FORBIDDEN",
            Self::IdempotencyConflict => "IDEMPOTENCY_CONFLICT",
            Self::IdempotencyKeyInvalid => "IDEMPOTENCY_KEY_INVALID",
            Self::Store(StoreError::Conflict) => "CONFLICT",
            Self::Store(StoreError::Duplicate { .. }) => "DUPLICATE",
            Self::Store(_) => "INTERNAL",
        }
    }

    /// Whether the caller can mend it; everything else is a failure of the world.
    pub const fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Self::Store(
                StoreError::Database(_)
                    | StoreError::Decode { .. }
                    | StoreError::LeaseLost { .. }
                    | StoreError::NotMigrated { .. }
                    | StoreError::Address(_)
                    | StoreError::Shared(_)
            )
        )
    }
}

/// Each module's refusals become application errors here, and nowhere else.
macro_rules! refusals {
    ($($refusal:ty),+ $(,)?) => { $(
        impl From<$refusal> for AppError {
            fn from(refusal: $refusal) -> Self {
                Self::Refused {
                    code: refusal.code(),
                    message: refusal.to_string(),
                    field: refusal.field().map(|field| field.to_string()),
                }
            }
        }
    )+ };
}
refusals!(
    crate::jobs::Refusal,
    tandem_domain::access::Refusal,
    tandem_domain::account::Refusal,
    tandem_domain::contact::Refusal,
    tandem_domain::contact_policy::Refusal,
    tandem_domain::custom_field::Refusal,
    tandem_domain::email::Refusal,
    tandem_domain::email_template::Refusal,
    tandem_domain::experiment::Refusal,
    tandem_domain::inbound::Refusal,
    tandem_domain::ingest::source::Refusal,
    tandem_domain::interaction::Refusal,
    tandem_domain::lead::Refusal,
    tandem_domain::expression::Refusal,
    tandem_domain::link::Refusal,
    tandem_domain::outbound::Refusal,
    tandem_domain::outbound::call::Refusal,
    tandem_domain::outbound::channel::Refusal,
    tandem_domain::normalise::Refusal,
    tandem_domain::received::Refusal,
    tandem_domain::sequence::enrollment::Refusal,
    tandem_domain::sequence::publishing::Refusal,
    tandem_domain::sending_mailbox::Refusal,
    tandem_domain::suppression::Refusal,
    tandem_domain::target_list::Refusal,
    tandem_domain::taxonomy::Refusal,
    tandem_domain::verification::Refusal,
    tandem_domain::work_item::Refusal,
    tandem_domain::calendar::Refusal,
    tandem_domain::routing::Refusal,
    tandem_domain::opportunity::Refusal,
    tandem_domain::handoff::Refusal,
    tandem_domain::sequence::migration::Refusal,
    crate::sequence::StepRefusal,
);
