//! The one door from application errors to GraphQL: what the caller can mend becomes a `UserError` of the payload,
//! the rest a top-level error with a code.

mod codes;

use async_graphql::{ErrorExtensions, SimpleObject};
use std::sync::Arc;
use tandem_app::{AppError, RowRefusal};
use tandem_store::StoreError;

pub use codes::UserErrorCode;

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

impl UserError {
    /// Why one row of many did nothing.
    pub(crate) fn of_row(RowRefusal { code, message, field }: RowRefusal) -> Self {
        let code = UserErrorCode::of(&code).unwrap_or_else(|| {
            tracing::error!(code, "a refusal has no code in the schema");
            UserErrorCode::Conflict
        });
        Self { field: field.map(|path| path.split('.').map(str::to_owned).collect()), message, code }
    }
}

/// The refusal with its field called as this mutation's input calls it: `names` pairs the name that a rule gives with the
/// path in the input. A field that is not there keeps its name.
pub(crate) fn named(error: AppError, names: &[(&str, &str)]) -> AppError {
    match error {
        AppError::Refused { code, message, field } => AppError::Refused { code, message, field: path(field, names) },
        other => other,
    }
}

/// The same for the refusal of one row of many.
pub(crate) fn named_row(refusal: RowRefusal, names: &[(&str, &str)]) -> RowRefusal {
    RowRefusal { field: path(refusal.field, names), ..refusal }
}

fn path(field: Option<String>, names: &[(&str, &str)]) -> Option<String> {
    field.map(|field| match names.iter().find(|(name, _)| *name == field) {
        Some((_, path)) => (*path).to_owned(),
        None => field,
    })
}

/// The refusal with its field inside `outer`, the field of the input that holds what was refused.
pub(crate) fn within(error: AppError, outer: &str) -> AppError {
    match error {
        AppError::Refused { code, message, field: Some(field) } => {
            AppError::Refused { code, message, field: Some(format!("{outer}.{field}")) }
        }
        other => other,
    }
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
        AppError::IdempotencyKeyInvalid => Some(vec!["idempotencyKey".to_owned()]),
        _ => None,
    };
    Ok(Err(vec![UserError { field, message: error.to_string(), code }]))
}
