//! Reads of the numbers of sequences, and of what experiments need.

use super::experiments::ExperimentSize;
use super::report::{SequenceReport, SequenceReportGroup, SequenceReportRow};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local;
use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};
use tandem_app::AppError;
use tandem_app::insight::ReportAsk;
use tandem_domain::experiment::size::Plan;
use tandem_domain::experiment::sizes_of;
use tandem_domain::id::SequenceId;

/// Reads of the numbers of sequences, and of what experiments need.
#[derive(Default)]
pub struct InsightQuery;

#[Object]
impl InsightQuery {
    /// The numbers of a sequence, counted now from what is on record; null where there is no such sequence or version.
    async fn sequence_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The sequence.")] sequence_id: ID,
        #[graphql(desc = "Only runs of the version with this number.")] version: Option<i32>,
        #[graphql(desc = "Only runs that began at or after this moment.")] from: Option<DateTime<Utc>>,
        #[graphql(desc = "Only runs that began before this moment.")] to: Option<DateTime<Utc>>,
        #[graphql(desc = "What the rows are.")] group_by: SequenceReportGroup,
    ) -> Option<Result<SequenceReport, ApiError>> {
        let read = async {
            let app = ctx.app();
            let sequence: SequenceId = local(&sequence_id, "sequenceId")?;
            let version = match version {
                // Versions are counted from 1.
                Some(number) => match app
                    .store
                    .sequence_version_numbered(sequence, u32::try_from(number).unwrap_or_default())
                    .await?
                {
                    Some(version) => Some(version.id),
                    None => return Ok(None),
                },
                None => None,
            };
            let ask = ReportAsk { sequence, version, from, to, group: group_by.into() };
            match app.sequence_report(&ask).await {
                Ok(lines) => {
                    Ok(Some(SequenceReport { group_by, rows: lines.into_iter().map(SequenceReportRow).collect() }))
                }
                Err(AppError::NotFound { .. }) => Ok(None),
                Err(error) => Err(ApiError::from(error)),
            }
        };
        read.await.transpose()
    }

    /// How many people each variant of an experiment would need.
    async fn experiment_size(
        &self,
        #[graphql(desc = "The share of the control that is expected to convert, between 0 and 1.")] baseline: f64,
        #[graphql(desc = "The smallest difference worth knowing, as a share: 0.02 for two points of a hundred.")]
        smallest_effect: f64,
        #[graphql(desc = "The probability of seeing a difference where there is none: 0.0001 to 0.2.", default = 0.05)]
        alpha: f64,
        #[graphql(
            desc = "The probability of seeing the smallest effect where it is there: 0.5 to 0.99.",
            default = 0.8
        )]
        power: f64,
        #[graphql(desc = "How many variants there are, the control among them: 2 to 10.", default = 2)] variants: i32,
    ) -> Result<ExperimentSize, ApiError> {
        // None is refused as too few.
        let variants = u32::try_from(variants).unwrap_or_default();
        let sizes = sizes_of(Plan { baseline, smallest_effect, alpha, power }, variants).map_err(AppError::from)?;
        Ok(ExperimentSize::new(sizes))
    }
}
