//! Reads of e-mails and suppressions.

use super::types::{EmailNode, EmailState, SuppressionNode};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local_opt;
use crate::scalars::EmailAddress;
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_store::email::EmailFilter;

/// Which e-mails to read. Every condition given must hold.
#[derive(InputObject, Default)]
pub struct EmailFilterInput {
    /// In one of these states; empty means any.
    #[graphql(default)]
    states: Vec<EmailState>,
    /// To this contact.
    contact_id: Option<ID>,
    /// About this lead.
    lead_id: Option<ID>,
    /// Planned by this enrolment.
    enrollment_id: Option<ID>,
}

/// Reads of e-mails and suppressions.
#[derive(Default)]
pub struct EmailQuery;

#[Object]
impl EmailQuery {
    /// E-mails, in the order they were planned.
    async fn emails(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Which e-mails to read.")] filter: EmailFilterInput,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, EmailNode>, ApiError> {
        let filter = EmailFilter {
            states: filter.states.into_iter().map(Into::into).collect(),
            contact: local_opt(filter.contact_id.as_ref(), "filter.contactId")?,
            lead: local_opt(filter.lead_id.as_ref(), "filter.leadId")?,
            enrollment: local_opt(filter.enrollment_id.as_ref(), "filter.enrollmentId")?,
        };
        let emails = ctx.app().store.email_page(&filter, &page(first, after, last, before)?).await?;
        Ok(connection(emails, |email| email.id, EmailNode))
    }

    /// Suppressions, in the order they were made.
    async fn suppressions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only the live ones, or only the lifted ones; null for all.")] live: Option<bool>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, SuppressionNode>, ApiError> {
        let suppressions = ctx.app().store.suppression_page(live, &page(first, after, last, before)?).await?;
        Ok(connection(suppressions, |suppression| suppression.id, SuppressionNode))
    }

    /// The live suppressions that cover an address: its own, and those of its domain and the domains above it.
    async fn suppressions_of(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The address that somebody may want to write to.")] address: EmailAddress,
    ) -> Result<Vec<SuppressionNode>, ApiError> {
        let live = ctx.app().store.live_suppressions_of(&address.0).await?;
        Ok(live.into_iter().map(SuppressionNode).collect())
    }
}
