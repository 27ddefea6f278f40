//! The one door from application errors to GraphQL: what the caller can mend becomes a `UserError` of the payload,
//! the rest a top-level error with a code.

use async_graphql::{Enum, ErrorExtensions, SimpleObject};
use std::sync::Arc;
use tandem_app::AppError;
use tandem_store::StoreError;

/// An application error on its way out as a top-level error.
#[derive(Debug, Clone)]
pub struct ApiError(Arc<AppError>);

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        Self(Arc::new(error))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        AppError::from(error).into()
    }
}

impl From<ApiError> for async_graphql::Error {
    fn from(ApiError(error): ApiError) -> Self {
        let (message, code) = match &*error {
            AppError::Forbidden { .. } => (error.to_string(), "FORBIDDEN"),
            refusal if refusal.is_refusal() => (error.to_string(), "BAD_USER_INPUT"),
            // The cause stays here; the request's span carries the id that the answer names.
            failure => {
                tracing::error!(error = %failure, "a request failed");
                ("something broke on our side; the log has the cause under this request id".to_owned(), "INTERNAL")
            }
        };
        async_graphql::Error::new(message).extend_with(|_, extensions| {
            extensions.set("code", code);
            if code == "BAD_USER_INPUT" {
                extensions.set("reason", error.code());
            }
        })
    }
}

/// What the caller can mend.
#[derive(Debug, Clone, SimpleObject)]
pub struct UserError {
    /// The path to the input field concerned, e.g. `["userId"]`; null where it is the whole input.
    pub field: Option<Vec<String>>,
    /// What is wrong and what to do next.
    pub message: String,
    /// The stable code.
    pub code: UserErrorCode,
}

macro_rules! user_error_codes {
    ($($(#[$meta:meta])* $variant:ident = $code:literal),+ $(,)?) => {
        /// The stable codes of what a caller can mend.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
        pub enum UserErrorCode { $($(#[$meta])* #[graphql(name = $code)] $variant),+ }

        impl UserErrorCode {
            /// Every code.
            #[cfg(test)]
            pub const ALL: &'static [&'static str] = &[$($code),+];

            fn of(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

// One line a code, by family.
user_error_codes! {
    /// There is nothing with this id.
    NotFound = "NOT_FOUND",
    /// This is no id, or the id of something else.
    IdInvalid = "ID_INVALID",
    /// Somebody else changed this at the same moment, again and again: read again and retry.
    Conflict = "CONFLICT",
    /// This exists already.
    Duplicate = "DUPLICATE",
    /// The idempotency key was used for another input.
    IdempotencyConflict = "IDEMPOTENCY_CONFLICT",
    /// A code that is not in its closed set.
    UnknownCode = "UNKNOWN_CODE",
    // access
    /// The time zone is not in the IANA database.
    TimeZoneUnknown = "TIME_ZONE_UNKNOWN",
    /// The token ended.
    TokenExpired = "TOKEN_EXPIRED",
    /// The token was revoked.
    TokenRevoked = "TOKEN_REVOKED",
    /// The user may not act any more.
    UserInactive = "USER_INACTIVE",
    /// The user lacks the role.
    RoleNotHeld = "ROLE_NOT_HELD",
    /// The role works on the other side.
    SideMismatch = "SIDE_MISMATCH",
    /// A user without a role could do nothing.
    UserWithoutRole = "USER_WITHOUT_ROLE",
    /// The token would end in the past.
    TokenExpiryPassed = "TOKEN_EXPIRY_PASSED",
}

/// Splits what a command answered: the value, or the errors the caller can mend. What cannot be mended stays an error,
/// and so does a refusal that the schema has no code for, which is a defect.
pub(crate) fn split<T>(done: Result<T, AppError>) -> Result<Result<T, Vec<UserError>>, ApiError> {
    let error = match done {
        Ok(value) => return Ok(Ok(value)),
        Err(error) => error,
    };
    if matches!(error, AppError::Forbidden { .. }) || !error.is_refusal() {
        return Err(error.into());
    }
    let Some(code) = UserErrorCode::of(error.code()) else {
        tracing::error!(code = error.code(), "a refusal has no code in the schema");
        return Err(error.into());
    };
    let field = match &error {
        AppError::Refused { field, .. } => field.as_ref().map(|path| path.split('.').map(str::to_owned).collect()),
        _ => None,
    };
    Ok(Err(vec![UserError { field, message: error.to_string(), code }]))
}
