//! What a resolver can ask of its context.

use crate::ids::parts;
use crate::loaders::RowKey;
use async_graphql::dataloader::DataLoader;
use async_graphql::{Context, ID, Value};
use tandem_app::{Actor, App, AppError, Call, Command};
use tandem_store::Stored;
use uuid::Uuid;

/// Who sent the request, and the request's id.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// The id that the log has too.
    pub request_id: String,
}

/// The most characters of an idempotency key.
const LONGEST_KEY: usize = 200;

/// Whether a caller may give this idempotency key. Control characters are left to keys that Tandem derives from it.
fn is_key(key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&key.chars().count()) && !key.chars().any(char::is_control)
}

/// Where an input names a thing by its global id, with dots between the names; none where it does not.
fn path_to(input: &Value, (kind, id): (&str, Uuid)) -> Option<String> {
    let within = |name: &str, value: &Value| match path_to(value, (kind, id))? {
        inner if inner.is_empty() => Some(name.to_owned()),
        inner => Some(format!("{name}.{inner}")),
    };
    match input {
        Value::String(text) => {
            let (found, named) = parts(&ID(text.clone()))?;
            (found == kind && named == id).then(String::new)
        }
        Value::Object(fields) => fields.iter().find_map(|(name, value)| within(name, value)),
        Value::List(items) => items.iter().enumerate().find_map(|(place, value)| within(&place.to_string(), value)),
        _ => None,
    }
}

/// Short ways to what every resolver needs.
pub(crate) trait ContextExt {
    /// The application.
    fn app(&self) -> &App;
    /// Who acts.
    fn actor(&self) -> &Actor;
    /// A call of the caller; a key that is none is refused here, for every mutation.
    fn call(&self, idempotency_key: Option<String>) -> Result<Call, AppError>;
    /// Runs a command for the caller. What is not there is refused with the field of the input that names it.
    async fn run<C: Command>(&self, idempotency_key: Option<String>, command: C) -> Result<C::Output, AppError>;
    /// An aggregate, loaded together with its neighbours of this request.
    async fn load<T: Stored>(&self, id: impl Into<Uuid>) -> Result<Option<T>, AppError>;
    /// The request's loader.
    fn loader(&self) -> &DataLoader<crate::loaders::StoreLoader>;
}

impl ContextExt for Context<'_> {
    fn app(&self) -> &App {
        self.data_unchecked()
    }

    fn actor(&self) -> &Actor {
        &self.data_unchecked::<Caller>().actor
    }

    fn call(&self, idempotency_key: Option<String>) -> Result<Call, AppError> {
        if idempotency_key.as_deref().is_some_and(|key| !is_key(key)) {
            return Err(AppError::IdempotencyKeyInvalid);
        }
        let caller: &Caller = self.data_unchecked();
        Ok(Call::new(caller.actor.clone(), caller.request_id.clone()).with_key(idempotency_key))
    }

    async fn run<C: Command>(&self, idempotency_key: Option<String>, command: C) -> Result<C::Output, AppError> {
        let done = self.app().run(&self.call(idempotency_key)?, command).await;
        done.map_err(|error| match error {
            AppError::NotFound { what, id } => {
                let message = error.to_string();
                let arguments = self.field().arguments().unwrap_or_default();
                let field = arguments.iter().find_map(|(_, input)| path_to(input, (what, id)));
                AppError::Refused { code: error.code(), message, field }
            }
            other => other,
        })
    }

    async fn load<T: Stored>(&self, id: impl Into<Uuid>) -> Result<Option<T>, AppError> {
        self.loader().load_one(RowKey::<T>::new(id.into())).await.map_err(crate::loaders::Failed::into_app)
    }

    fn loader(&self) -> &DataLoader<crate::loaders::StoreLoader> {
        self.data_unchecked()
    }
}
