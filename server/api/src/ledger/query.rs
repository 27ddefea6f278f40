//! Reads of the ledger.

use super::types::{LedgerBook, LedgerEntryNode, LedgerVerification};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::{local_opt, parts};
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Object};
use std::time::Duration;
use tandem_app::AppError;
use tandem_domain::id::{AccountId, LeadId, UserId};
use tandem_domain::ledger::Chain;
use tandem_store::ledger::Filter;
use tokio::time::Instant;

/// How long one request checks the chain: well under the time that a request has.
const VERIFICATION_PATIENCE: Duration = Duration::from_secs(2);

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

    /// Checks the chain of the ledger, for about two seconds: a long ledger takes several requests, each with the `end` of the one
    /// before it as `after`. `tandem ledger verify` checks all of it at once. Administrators only.
    async fn ledger_verification(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The `end` of an earlier request: only what follows is checked, and must follow on it.")]
        after: Option<String>,
    ) -> Result<LedgerVerification, ApiError> {
        ctx.actor().may_administer()?;
        let store = &ctx.app().store;
        let mut verification = store.begin_verification(chain_up_to(after.as_deref())?).await?;
        let patience = Instant::now() + VERIFICATION_PATIENCE;
        let mut found = None;
        while found.is_none() && Instant::now() < patience {
            found = store.verify_on(&mut verification).await?;
        }
        let complete = found.is_some();
        let broken = found.and_then(|verified| verified.broken).map(|broken| broken.to_string());
        let chain = verification.chain;
        let end = format!("{}:{}", chain.checked(), chain.hash());
        Ok(LedgerVerification { entries: chain.checked(), head: verification.head, broken, complete, end })
    }
}

/// The chain that an earlier check knew, from what it said it came to.
fn chain_up_to(end: Option<&str>) -> Result<Chain, AppError> {
    let Some(end) = end else { return Ok(Chain::default()) };
    let invalid = || AppError::refused("PAGE_INVALID", "this is no `end` of a verification", Some("after"));
    let (seq, hash) = end.split_once(':').ok_or_else(invalid)?;
    let seq: i64 = seq.parse().ok().filter(|seq| *seq >= 0).ok_or_else(invalid)?;
    Ok(Chain::known_up_to(seq, hash.to_owned()))
}
