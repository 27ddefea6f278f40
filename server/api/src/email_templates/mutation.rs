//! Changes of templates of e-mails.

use super::types::{EmailTemplateNode, EmailTemplateVersionNode};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local;
use crate::payload::payload;
use crate::sequences::mutation::problem_error;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_app::email_template::email_template_validate;
use tandem_app::{EmailTemplateArchive, EmailTemplatePublish};

/// The document of a template to publish.
#[derive(InputObject)]
pub struct EmailTemplatePublishInput {
    /// The document, in YAML or JSON.
    source: String,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A template to archive.
#[derive(InputObject)]
pub struct EmailTemplateArchiveInput {
    /// The template.
    email_template_id: ID,
    /// Why, 1 to 500 characters. Needed where the newest version of a sequence takes it.
    reason: Option<String>,
}

payload! {
    /// What `emailTemplatePublish` did.
    EmailTemplatePublishPayload {
        /// The template after the change.
        email_template: EmailTemplateNode,
        /// The new version.
        version: EmailTemplateVersionNode,
    }
    /// What `emailTemplateArchive` did.
    EmailTemplateArchivePayload {
        /// The template after the change.
        email_template: EmailTemplateNode,
    }
}

/// Changes of templates of e-mails.
#[derive(Default)]
pub struct EmailTemplateMutation;

#[Object]
impl EmailTemplateMutation {
    /// Publishes a document as the next version of the template of its key. No sequence changes: whoever publishes one again
    /// takes the newest version. Every problem of the document is a user error of its own.
    async fn email_template_publish(
        &self,
        ctx: &Context<'_>,
        input: EmailTemplatePublishInput,
    ) -> Result<EmailTemplatePublishPayload, ApiError> {
        let source = input.source.clone();
        let done = ctx.run(input.idempotency_key, EmailTemplatePublish { source: input.source }).await;
        if matches!(&done, Err(error) if error.code() == "EMAIL_TEMPLATE_INVALID")
            && let Err(problems) = email_template_validate(&source)
        {
            let user_errors = problems.into_iter().take(100).filter_map(problem_error).collect();
            return Ok(EmailTemplatePublishPayload { email_template: None, version: None, user_errors });
        }
        let nodes = |(template, version)| (EmailTemplateNode(template), EmailTemplateVersionNode(version));
        EmailTemplatePublishPayload::of(done.map(nodes))
    }

    /// Archives a template for good: nothing new takes it, and what took it keeps its texts.
    async fn email_template_archive(
        &self,
        ctx: &Context<'_>,
        input: EmailTemplateArchiveInput,
    ) -> Result<EmailTemplateArchivePayload, ApiError> {
        let done = async {
            let template = local(&input.email_template_id, "emailTemplateId")?;
            ctx.run(None, EmailTemplateArchive { template, reason: input.reason }).await
        };
        EmailTemplateArchivePayload::of(done.await.map(EmailTemplateNode))
    }
}
