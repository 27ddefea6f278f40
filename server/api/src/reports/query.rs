//! Reads of reports.

use super::types::{FunnelGroup, FunnelReport};
use crate::context::ContextExt;
use crate::error::ApiError;
use async_graphql::{Context, Object};
use chrono::{DateTime, Utc};

/// Reads of reports.
#[derive(Default)]
pub struct ReportsQuery;

#[Object]
impl ReportsQuery {
    /// How many leads came in, and how far they got.
    async fn funnel_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the rows are.")] group_by: FunnelGroup,
        #[graphql(desc = "Only leads received at or after this moment.")] received_from: Option<DateTime<Utc>>,
        #[graphql(desc = "Only leads received before this moment.")] received_until: Option<DateTime<Utc>>,
    ) -> Result<FunnelReport, ApiError> {
        let group = group_by.into();
        let funnel = ctx.app().funnel(group, received_from, received_until).await?;
        Ok(FunnelReport { funnel, group })
    }
}
