//! Reads of templates of e-mails.

use super::types::{EmailTemplateNode, EmailTemplatePreview, EmailTemplateState, EmailTemplateValidation};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::{local, local_opt};
use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object};
use tandem_app::AppError;
use tandem_app::email_template::{Previewed, email_template_advice, email_template_validate};

/// Reads of templates of e-mails.
#[derive(Default)]
pub struct EmailTemplateQuery;

#[Object]
impl EmailTemplateQuery {
    /// The template with this key; null where there is none.
    async fn email_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its key.")] key: String,
    ) -> Option<Result<EmailTemplateNode, ApiError>> {
        let template = ctx.app().store.email_template_by_key(&key).await.map_err(ApiError::from).transpose()?;
        Some(template.map(EmailTemplateNode))
    }

    /// Templates of e-mails, in the order they were made.
    async fn email_templates(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only in one of these states; absent or empty means any.", default)] states: Vec<
            EmailTemplateState,
        >,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, EmailTemplateNode>, ApiError> {
        let states: Vec<_> = states.into_iter().map(Into::into).collect();
        let found = ctx.app().store.email_template_page(&states, &page(first, after, last, before)?).await?;
        Ok(connection(found, |template| template.id, EmailTemplateNode))
    }

    /// Checks the document of a template (YAML or JSON) without saving it: every problem at once.
    async fn email_template_validate(
        &self,
        #[graphql(desc = "The document.")] source: String,
    ) -> EmailTemplateValidation {
        let problems: Vec<_> =
            email_template_validate(&source).err().unwrap_or_default().into_iter().map(Into::into).collect();
        let advice = email_template_advice(&source).into_iter().map(Into::into).collect();
        EmailTemplateValidation { valid: problems.is_empty(), problems, advice }
    }

    /// A template as a contact would get it, without saving or sending anything.
    async fn email_template_preview(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The document, in YAML or JSON. Either this or `key`.")] source: Option<String>,
        #[graphql(desc = "The key of a stored template. Either this or `source`.")] key: Option<String>,
        #[graphql(desc = "The number of the stored version; absent means the newest.")] version: Option<i32>,
        #[graphql(desc = "Who would get it.")] contact_id: ID,
        #[graphql(desc = "The lead that it concerns; absent where none does.")] lead_id: Option<ID>,
    ) -> Result<EmailTemplatePreview, ApiError> {
        let (contact, lead) = (local(&contact_id, "contactId")?, local_opt(lead_id.as_ref(), "leadId")?);
        let of = match (source, key) {
            (Some(source), None) if version.is_none() => Previewed::Document(source),
            // There is no version 0, so a number that cannot be one of a version is told as such.
            (None, Some(key)) => {
                Previewed::Stored { key, number: version.map(|number| u32::try_from(number).unwrap_or(0)) }
            }
            _ => {
                let message = "give either a document, or the key of a stored template and, where wanted, a version";
                return Err(AppError::refused("EMAIL_TEMPLATE_CHOICE", message, Some("source")).into());
            }
        };
        Ok(ctx.app().email_template_preview(&of, contact, lead).await?.into())
    }
}
