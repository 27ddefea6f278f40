//! Reads of sequences and enrolments.

use super::types::{
    EnrollmentNode, EnrollmentState, SequenceEmailPreview, SequenceNode, SequenceSimulation, SequenceState,
    SequenceValidation,
};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::{local, local_opt};
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Json, Object};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tandem_app::AppError;
use tandem_app::sequence::{sequence_advice, sequence_schema, sequence_simulate};
use tandem_store::sequence::EnrollmentFilter;

/// Which enrolments to read. Every condition given must hold.
#[derive(InputObject, Default)]
pub struct EnrollmentFilterInput {
    /// In this sequence.
    sequence_id: Option<ID>,
    /// In this version.
    version_id: Option<ID>,
    /// Of this person.
    contact_id: Option<ID>,
    /// Of this lead.
    lead_id: Option<ID>,
    /// Of people at this company.
    account_id: Option<ID>,
    /// In one of these states; absent or empty means any.
    #[graphql(default)]
    states: Vec<EnrollmentState>,
}

/// Reads of sequences and enrolments.
#[derive(Default)]
pub struct SequenceQuery;

#[Object]
impl SequenceQuery {
    /// The sequence with this key; null where there is none.
    async fn sequence(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its key.")] key: String,
    ) -> Option<Result<SequenceNode, ApiError>> {
        let sequence = ctx.app().store.sequence_by_key(&key).await.map_err(ApiError::from).transpose()?;
        Some(sequence.map(SequenceNode))
    }

    /// Sequences, in the order they were made.
    async fn sequences(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only in one of these states; absent or empty means any.", default)] states: Vec<
            SequenceState,
        >,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, SequenceNode>, ApiError> {
        let states: Vec<_> = states.into_iter().map(Into::into).collect();
        let sequences = ctx.app().store.sequence_page(&states, &page(first, after, last, before)?).await?;
        Ok(connection(sequences, |sequence| sequence.id, SequenceNode))
    }

    /// Enrolments, in the order they were made.
    async fn enrollments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which ones; absent means all.", default)] filter: EnrollmentFilterInput,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, EnrollmentNode>, ApiError> {
        let filter = EnrollmentFilter {
            sequence: local_opt(filter.sequence_id.as_ref(), "filter.sequenceId")?,
            version: local_opt(filter.version_id.as_ref(), "filter.versionId")?,
            contact: local_opt(filter.contact_id.as_ref(), "filter.contactId")?,
            lead: local_opt(filter.lead_id.as_ref(), "filter.leadId")?,
            account: local_opt(filter.account_id.as_ref(), "filter.accountId")?,
            states: filter.states.into_iter().map(Into::into).collect(),
        };
        let enrollments = ctx.app().store.enrollment_page(&filter, &page(first, after, last, before)?).await?;
        Ok(connection(enrollments, |enrollment| enrollment.id, EnrollmentNode))
    }

    /// Checks a definition (YAML or JSON) without saving it: every problem for which it could not be published, at once.
    async fn sequence_validate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The definition.")] source: String,
    ) -> Result<SequenceValidation, ApiError> {
        let library = ctx.app().library(&source).await?;
        let found = ctx.app().sequence_problems(ctx.actor(), &source).await?;
        let problems: Vec<_> = found.into_iter().map(Into::into).collect();
        let advice = sequence_advice(&source, &library).into_iter().map(Into::into).collect();
        Ok(SequenceValidation { valid: problems.is_empty(), problems, advice })
    }

    /// The JSON Schema (draft 07) of a definition, with which editors complete and underline what is written. What only a look at
    /// the whole definition tells, `sequenceValidate` says.
    async fn sequence_schema(&self) -> Json<Value> {
        Json(sequence_schema())
    }

    /// An e-mail of a definition (YAML or JSON) as a contact would get it, without saving or sending anything.
    async fn sequence_email_preview(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The definition.")] source: String,
        #[graphql(desc = "The id of a step of the kind send_email.")] step: String,
        #[graphql(desc = "Who would get it.")] contact_id: ID,
        #[graphql(desc = "The lead that it concerns; absent where none does.")] lead_id: Option<ID>,
    ) -> Result<SequenceEmailPreview, ApiError> {
        let (contact, lead) = (local(&contact_id, "contactId")?, local_opt(lead_id.as_ref(), "leadId")?);
        Ok(ctx.app().sequence_email_preview(&source, &step, contact, lead).await?.into())
    }

    /// Runs a definition (YAML or JSON) for a sample subject, without saving or sending anything.
    async fn sequence_simulate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The definition.")] source: String,
        #[graphql(
            desc = "Takes the place of the sample, field by field: a map with `contact`, `account`, `lead`, `sender`, \
                    `interactions`, `lists`; `enrollment.vars`; and `answers`, what calls keep, by step. Anything else is refused."
        )]
        data: Option<Json<Value>>,
        #[graphql(desc = "The IANA name of the contact's time zone.", default = "UTC")] time_zone: String,
        #[graphql(desc = "When the run starts; absent means now.")] start_at: Option<DateTime<Utc>>,
    ) -> Result<SequenceSimulation, ApiError> {
        let unknown = || {
            let message = format!("`{time_zone}` is not in the IANA time zone database; an example is Europe/Berlin");
            AppError::refused("TIME_ZONE_UNKNOWN", message, Some("timeZone"))
        };
        let zone = time_zone.parse().map_err(|_| unknown())?;
        let start = start_at.unwrap_or_else(|| ctx.app().env.now());
        let data = data.map(|data| data.0);
        let calendars = ctx.app().store.calendars().await?;
        let library = ctx.app().library(&source).await?;
        Ok(match sequence_simulate(&source, &library, data.as_ref(), zone, start, &calendars)? {
            Ok(lines) => {
                SequenceSimulation { lines: lines.into_iter().map(Into::into).collect(), problems: Vec::new() }
            }
            Err(problems) => {
                SequenceSimulation { lines: Vec::new(), problems: problems.into_iter().map(Into::into).collect() }
            }
        })
    }
}
