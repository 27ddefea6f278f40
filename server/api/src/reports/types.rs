//! Types of reports.

use crate::access::types::UserNode;
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use async_graphql::{Context, Enum, Object};
use tandem_app::reports::{Funnel, FunnelGroup as Group, FunnelLine, FunnelRow as Row};
use tandem_domain::access::User;
use tandem_domain::id::UserId;
use uuid::Uuid;

/// What the rows of a funnel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "tandem_app::reports::FunnelGroup")]
pub enum FunnelGroup {
    /// Where the lead came from.
    Source,
    /// The SDR who verified it last.
    Sdr,
    /// The person in sales who took it last.
    SalesRep,
    /// The territory of its account.
    Territory,
}

/// How many leads came in, and how far they got. Each lead is in exactly one row, and counted once in each column,
/// however often it was dispatched or returned.
pub struct FunnelReport {
    pub(super) funnel: Funnel,
    pub(super) group: Group,
}

/// How many leads came in, and how far they got. Each lead is in exactly one row, and counted once in each column,
/// however often it was dispatched or returned.
#[Object]
impl FunnelReport {
    /// The rows, the largest first.
    async fn rows(&self) -> Vec<FunnelRow> {
        let row = |line: &FunnelLine| FunnelRow { line: line.clone(), group: self.group };
        self.funnel.lines.iter().map(row).collect()
    }
    /// All rows together.
    async fn total(&self) -> FunnelCounts {
        FunnelCounts(self.funnel.total.clone())
    }
}

/// One row of a funnel.
pub struct FunnelRow {
    line: FunnelLine,
    group: Group,
}

impl FunnelRow {
    fn person(&self) -> Option<UserId> {
        let person = matches!(self.group, Group::Sdr | Group::SalesRep);
        self.line.row.key.as_deref().filter(|_| person)?.parse::<Uuid>().ok().map(UserId)
    }
}

/// One row of a funnel.
#[Object]
impl FunnelRow {
    /// The source, the global id of the person, or the territory; null for leads that have none.
    async fn key(&self) -> Option<String> {
        self.person().map(|user| global(user).0).or_else(|| self.line.row.key.clone())
    }
    /// What to call the row: the source in words, the person's name, the territory.
    async fn label(&self) -> &str {
        &self.line.label
    }
    /// The person, where rows are people.
    async fn user(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load::<User>(self.person()?).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// Leads that came in.
    async fn leads(&self) -> i64 {
        self.line.row.leads
    }
    /// Of these, verified at least once.
    async fn verified(&self) -> i64 {
        self.line.row.verified
    }
    /// Dispatched to sales at least once.
    async fn dispatched(&self) -> i64 {
        self.line.row.dispatched
    }
    /// Accepted by sales at least once.
    async fn accepted(&self) -> i64 {
        self.line.row.accepted
    }
    /// Sold.
    async fn won(&self) -> i64 {
        self.line.row.won
    }
    /// Worked and not sold.
    async fn lost(&self) -> i64 {
        self.line.row.lost
    }
    /// Given back by sales at least once.
    async fn returned(&self) -> i64 {
        self.line.row.returned
    }
}

/// How far leads got.
pub struct FunnelCounts(Row);

/// How far leads got.
#[Object]
impl FunnelCounts {
    /// Leads that came in.
    async fn leads(&self) -> i64 {
        self.0.leads
    }
    /// Of these, verified at least once.
    async fn verified(&self) -> i64 {
        self.0.verified
    }
    /// Dispatched to sales at least once.
    async fn dispatched(&self) -> i64 {
        self.0.dispatched
    }
    /// Accepted by sales at least once.
    async fn accepted(&self) -> i64 {
        self.0.accepted
    }
    /// Sold.
    async fn won(&self) -> i64 {
        self.0.won
    }
    /// Worked and not sold.
    async fn lost(&self) -> i64 {
        self.0.lost
    }
    /// Given back by sales at least once.
    async fn returned(&self) -> i64 {
        self.0.returned
    }
}
