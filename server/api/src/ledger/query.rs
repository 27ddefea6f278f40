//! Reads of the ledger.

use super::types::{LedgerBook, LedgerEntryNode, LedgerVerification};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::{local_opt, parts};
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_app::AppError;
use tandem_domain::id::{AccountId, LeadId, UserId};
use tandem_store::ledger::Filter;

/// Which entries to read; every condition given must hold.
#[derive(InputObject, Default)]
pub struct LedgerFilterInput {
    /// About this thing, whatever its kind.
    subject_id: Option<ID>,
    /// Concerning this lead.
    lead_id: Option<ID>,
    /// Concerning this account.
    account_id: Option<ID>,
    /// By this user.
    actor_id: Option<ID>,
    /// Of this kind, e.g. `handoff.accepted`; with a trailing dot, of this family, e.g. `handoff.`.
    kind: Option<String>,
    /// Of this book. The audit book is for administrators.
    book: Option<LedgerBook>,
}

/// Reads of the ledger.
#[derive(Default)]
pub struct LedgerQuery;

#[Object]
impl LedgerQuery {
    /// Entries of the ledger, in the order of the chain. Without the right to administer, only the business book.
    async fn ledger(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Which entries to read.")] filter: LedgerFilterInput,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, LedgerEntryNode>, ApiError> {
        let subject = match &filter.subject_id {
            None => None,
            Some(id) => match parts(id) {
                Some((_, id)) => Some(id),
                None => return Err(AppError::refused("ID_INVALID", "this is not an id", Some("subjectId")).into()),
            },
        };
        let book = match filter.book {
            Some(LedgerBook::Audit) => {
                ctx.actor().may_administer()?;
                Some("AUDIT")
            }
            None if ctx.actor().may_administer().is_ok() => None,
            Some(LedgerBook::Ledger) | None => Some("LEDGER"),
        };
        let filter = Filter {
            subject,
            lead: local_opt::<LeadId>(filter.lead_id.as_ref(), "leadId")?.map(Into::into),
            account: local_opt::<AccountId>(filter.account_id.as_ref(), "accountId")?.map(Into::into),
            actor: local_opt::<UserId>(filter.actor_id.as_ref(), "actorId")?.map(Into::into),
            kind: filter.kind,
            book: book.map(str::to_owned),
        };
        let links = ctx.app().store.ledger_page(&filter, &page(first, after, last, before)?).await?;
        Ok(connection(links, |link| link.entry.seq, LedgerEntryNode))
    }

    /// Checks the whole chain. Its cost grows with the ledger; administrators only.
    async fn ledger_verification(&self, ctx: &Context<'_>) -> Result<LedgerVerification, ApiError> {
        ctx.actor().may_administer()?;
        let verified = ctx.app().store.verify_ledger().await?;
        let broken = verified.broken.map(|broken| broken.to_string());
        Ok(LedgerVerification { entries: verified.entries, head: verified.head, broken })
    }
}
