//! Types of the ledger.

use crate::access::UserNode;
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global_of;
use async_graphql::{Context, Enum, ID, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tandem_store::ledger::Link;

/// The two books of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum LedgerBook {
    /// What happened to accounts, leads, opportunities and lists.
    Ledger,
    /// What happened to users, tokens, definitions and settings.
    Audit,
}

/// What checking the chain found.
#[derive(SimpleObject)]
pub struct LedgerVerification {
    /// How many entries are good, from the first one of the ledger on. Where `after` was given, those before it are taken to be.
    pub entries: i64,
    /// The hash of the last entry: kept elsewhere, it proves that nothing was cut off the end.
    pub head: String,
    /// The first broken place, in words; null where none was found.
    pub broken: Option<String>,
    /// Whether the check came to an end: at the last entry, or at the first broken place. If not, ask again with `after`.
    pub complete: bool,
    /// Where the check came to. As `after` of the next request it goes on from there, and holds what was checked to this hash.
    pub end: String,
}

/// One entry of the ledger. It is never changed and never removed.
pub struct LedgerEntryNode(pub Link);

/// One entry of the ledger. It is never changed and never removed.
#[Object(name = "LedgerEntry")]
impl LedgerEntryNode {
    /// The place in the chain, from 1, without gaps.
    async fn seq(&self) -> i64 {
        self.0.entry.seq
    }
    /// When it happened.
    async fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.entry.at).unwrap_or_default()
    }
    /// When it was written down; later than `at` for a past that was imported.
    async fn recorded_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.entry.recorded_at).unwrap_or_default()
    }
    /// The book.
    async fn book(&self) -> LedgerBook {
        if self.0.entry.book == "AUDIT" { LedgerBook::Audit } else { LedgerBook::Ledger }
    }
    /// What happened, e.g. `handoff.accepted`.
    async fn kind(&self) -> &str {
        &self.0.entry.kind
    }
    /// The type of what it is about.
    async fn subject_kind(&self) -> &str {
        &self.0.entry.subject_kind
    }
    /// The global id of what it is about.
    async fn subject_id(&self) -> ID {
        global_of(&self.0.entry.subject_kind, self.0.entry.subject_id)
    }
    /// The global id of the lead concerned.
    async fn lead_id(&self) -> Option<ID> {
        self.0.entry.lead_id.map(|id| global_of("Lead", id))
    }
    /// The global id of the account concerned.
    async fn account_id(&self) -> Option<ID> {
        self.0.entry.account_id.map(|id| global_of("Account", id))
    }
    /// Who acted; null for Tandem itself.
    async fn actor(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.entry.actor_id?).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// The role acted in, or `SYSTEM`.
    async fn actor_role(&self) -> &str {
        &self.0.entry.actor_role
    }
    /// The side the actor stood on.
    async fn side(&self) -> Option<&str> {
        self.0.entry.side.as_deref()
    }
    /// The state before, for a transition.
    async fn state_before(&self) -> Option<&str> {
        self.0.entry.state_before.as_deref()
    }
    /// The state after, for a transition.
    async fn state_after(&self) -> Option<&str> {
        self.0.entry.state_after.as_deref()
    }
    /// The reason code.
    async fn reason(&self) -> Option<&str> {
        self.0.entry.reason.as_deref()
    }
    /// The version of the rule that decided, e.g. `pool:enterprise@3`.
    async fn rule(&self) -> Option<&str> {
        self.0.entry.rule.as_deref()
    }
    /// The request that led to it.
    async fn request_id(&self) -> &str {
        &self.0.entry.request_id
    }
    /// Everything else.
    async fn detail(&self) -> Json<Map<String, Value>> {
        Json(self.0.entry.detail.clone())
    }
    /// The hash that links it to the entry before: SHA-256, hexadecimal.
    async fn hash(&self) -> &str {
        &self.0.hash
    }
}
