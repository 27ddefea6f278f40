//! Commands on what people did.

use crate::written::Written;
use crate::{AppError, Call, Command, Env, Result};
use serde::Serialize;
use tandem_domain::contact::Contact;
use tandem_domain::decision::Decision;
use tandem_domain::id::ContactId;
use tandem_domain::interaction::{self, Draft, Interaction};
use tandem_store::Tx;

/// Records what a person did.
#[derive(Debug, Clone, Serialize)]
pub struct InteractionRecord {
    /// The person.
    pub contact: ContactId,
    /// What the person did.
    pub draft: Draft,
    /// What it is known by, where it may be told more than once at the same moment: then it is recorded once.
    pub known_by: Option<String>,
}

impl Command for InteractionRecord {
    const NAME: &'static str = "interactionRecord";
    type Output = Written<Interaction>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<Interaction>>> {
        let now = call.now(env);
        let missing = || AppError::NotFound { what: "Contact", id: self.contact.into() };
        let contact: Contact = tx.peek(self.contact).await?.ok_or_else(missing)?;
        let occurred_at = self.draft.occurred_at.unwrap_or(now).min(now);
        let id = match &self.known_by {
            None => env.id(occurred_at),
            Some(known_by) => interaction::id_of(known_by, occurred_at),
        };
        if self.known_by.is_some()
            && let Some(known) = tx.peek::<Interaction>(id).await?
        {
            return Ok(Written::changed(known, None));
        }
        Ok(Written::created(interaction::record(id, (contact.id, contact.account), self.draft.clone(), now)?))
    }
}
