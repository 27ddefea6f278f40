//! Types of templates of e-mails.

use crate::access::UserNode;
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use crate::loaders::TemplateVersionKey;
use crate::sequences::types::SequenceProblem;
use crate::sequences::{SequenceNode, SequenceVersionNode};
use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tandem_domain::email_template::{self, EmailTemplate, EmailTemplateVersion, Usage};
use tandem_domain::sequence::Problem;
use tandem_domain::sequence::steps::send_email::{EmailParts, Letter, TemplateUse};
use tandem_store::email_template::{UsageCursor, UsageFilter};

/// A number as the schema has it.
pub(crate) fn whole(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

/// The version of a template, loaded together with others of this request.
async fn version_of(ctx: &Context<'_>, key: &str, number: u32) -> Option<Result<EmailTemplateVersionNode, ApiError>> {
    let found = ctx.loader().load_one(TemplateVersionKey(key.to_owned(), number)).await;
    found
        .map_err(|failed| ApiError::from(failed.into_app()))
        .map(|found| found.map(EmailTemplateVersionNode))
        .transpose()
}

/// Where a template is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "email_template::EmailTemplateState")]
pub enum EmailTemplateState {
    /// Sequences can take it.
    Active,
    /// Nothing new takes it. What took it before keeps its texts.
    Archived,
}

/// A template of e-mails that sequences share.
pub struct EmailTemplateNode(pub EmailTemplate);

/// A template of e-mails that sequences share.
#[Object(name = "EmailTemplate")]
impl EmailTemplateNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Its stable name, by which steps of sequences take it: `template: welcome_mail`.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// The name to show: that of the newest version.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// Where it is.
    async fn state(&self) -> EmailTemplateState {
        self.0.state.into()
    }
    /// The newest version.
    async fn latest_version(&self, ctx: &Context<'_>) -> Option<Result<EmailTemplateVersionNode, ApiError>> {
        let version = ctx.load(self.0.latest_version).await.map_err(ApiError::from).transpose()?;
        Some(version.map(EmailTemplateVersionNode))
    }
    /// The version with this number; null where there is none.
    async fn version(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its number, from 1.")] number: i32,
    ) -> Option<Result<EmailTemplateVersionNode, ApiError>> {
        version_of(ctx, &self.0.key, u32::try_from(number).ok()?).await
    }
    /// Its versions, in the order in which they were published.
    async fn versions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Option<Result<Connection<String, EmailTemplateVersionNode>, ApiError>> {
        let read = async {
            let page = page(first, after, last, before)?;
            let versions = ctx.app().store.email_template_version_page(self.0.id, &page).await?;
            Ok(connection(versions, |version| version.id, EmailTemplateVersionNode))
        };
        Some(read.await)
    }
    /// The versions of sequences that took e-mails from it, as far as they start runs now or have live ones, in the order in which
    /// they were published.
    async fn used_by(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those that took an older version than the newest.", default)] behind: bool,
        #[graphql(desc = "Only those that start runs now.", default)] current: bool,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Option<Result<Connection<String, EmailTemplateUse>, ApiError>> {
        let read = async {
            let page = page(first, after, last, before)?;
            let filter = UsageFilter { before: behind.then_some(self.0.latest_number), current };
            let found = ctx.app().store.email_template_usage_page(&self.0.key, filter, &page).await?;
            let node = |usage| EmailTemplateUse { usage, key: self.0.key.clone(), newest: self.0.latest_number };
            Ok(connection(found, UsageCursor::of, node))
        };
        Some(read.await)
    }
    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// A version of a sequence that took e-mails from a template.
pub struct EmailTemplateUse {
    usage: Usage,
    /// The key of the template.
    key: String,
    /// The number of its newest version.
    newest: u32,
}

/// A version of a sequence that took e-mails from a template.
#[Object]
impl EmailTemplateUse {
    /// The sequence.
    async fn sequence(&self, ctx: &Context<'_>) -> Option<Result<SequenceNode, ApiError>> {
        let sequence = ctx.load(self.usage.sequence).await.map_err(ApiError::from).transpose()?;
        Some(sequence.map(SequenceNode))
    }
    /// Its version. `sequencePublish` with the `source` of this one takes the newest version of the template, unless `pinned`.
    async fn sequence_version(&self, ctx: &Context<'_>) -> Option<Result<SequenceVersionNode, ApiError>> {
        let version = ctx.load(self.usage.version).await.map_err(ApiError::from).transpose()?;
        Some(version.map(SequenceVersionNode))
    }
    /// The number of the template's version that it took.
    async fn number(&self) -> i32 {
        whole(self.usage.template_number)
    }
    /// The template's version that it took.
    async fn template_version(&self, ctx: &Context<'_>) -> Option<Result<EmailTemplateVersionNode, ApiError>> {
        version_of(ctx, &self.key, self.usage.template_number).await
    }
    /// Whether the template has a newer version.
    async fn behind(&self) -> bool {
        self.usage.is_behind(self.newest)
    }
    /// Whether the definition asks for this version, so that publishing it again takes the same.
    async fn pinned(&self) -> bool {
        self.usage.pinned
    }
    /// Whether it is what starts runs now: the newest version of a sequence that is not archived.
    async fn current(&self) -> bool {
        self.usage.current
    }
    /// How many live runs this version of the sequence has.
    async fn live_runs(&self) -> i32 {
        whole(self.usage.live_runs)
    }
}

/// A template in one language.
#[derive(Debug, Clone, SimpleObject)]
pub struct EmailTemplateLanguage {
    /// The BCP 47 tag, e.g. `pt-BR`.
    tag: String,
    /// The subject, with its variables.
    subject: String,
    /// The plain text, with its variables.
    text: String,
    /// The HTML, with its variables; null where the e-mail is plain text alone.
    html: Option<String>,
}

/// One published version of a template. It never changes.
pub struct EmailTemplateVersionNode(pub EmailTemplateVersion);

/// One published version of a template. It never changes.
#[Object(name = "EmailTemplateVersion")]
impl EmailTemplateVersionNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The template.
    async fn template(&self, ctx: &Context<'_>) -> Option<Result<EmailTemplateNode, ApiError>> {
        let template = ctx.load(self.0.template).await.map_err(ApiError::from).transpose()?;
        Some(template.map(EmailTemplateNode))
    }
    /// Counted from 1.
    async fn number(&self) -> i32 {
        whole(self.0.number)
    }
    /// The subject, with its variables.
    async fn subject(&self) -> &str {
        &self.0.definition.subject
    }
    /// The plain text, with its variables and its snippets in place.
    async fn text(&self) -> &str {
        &self.0.definition.text
    }
    /// The HTML, with its variables and its snippets in place; null where the e-mail is plain text alone.
    async fn html(&self) -> Option<&str> {
        self.0.definition.html.as_deref()
    }
    /// The same in other languages, in the order of their tags.
    async fn languages(&self) -> Vec<EmailTemplateLanguage> {
        let languages = self.0.definition.languages.clone().into_iter();
        let language = |(tag, EmailParts { subject, text, html })| EmailTemplateLanguage { tag, subject, text, html };
        languages.map(language).collect()
    }
    /// The document it was published from.
    async fn source(&self) -> &str {
        &self.0.source
    }
    /// Lower-case hexadecimal SHA-256 of what it says, in canonical form.
    async fn hash(&self) -> &str {
        &self.0.hash
    }
    /// Who published it; null for the installation itself.
    async fn published_by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.published_by?).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// When it was published.
    async fn published_at(&self) -> DateTime<Utc> {
        self.0.published_at
    }
}

/// The template that a step of a version of a sequence took its e-mail from.
pub struct SequenceTemplate {
    pub(crate) step: String,
    pub(crate) uses: TemplateUse,
}

/// The template that a step of a version of a sequence took its e-mail from.
#[Object]
impl SequenceTemplate {
    /// The id of the step.
    async fn step(&self) -> &str {
        &self.step
    }
    /// The key of the template.
    async fn key(&self) -> &str {
        &self.uses.template
    }
    /// The number of the version that was taken.
    async fn number(&self) -> i32 {
        whole(self.uses.version)
    }
    /// Whether the definition asks for this version; else it was the newest when the sequence was published.
    async fn pinned(&self) -> bool {
        self.uses.pinned
    }
    /// The version that was taken.
    async fn template_version(&self, ctx: &Context<'_>) -> Option<Result<EmailTemplateVersionNode, ApiError>> {
        version_of(ctx, &self.uses.template, self.uses.version).await
    }
}

/// What checking a template came to.
#[derive(Debug, Clone, SimpleObject)]
pub struct EmailTemplateValidation {
    /// Whether it could be published.
    pub(super) valid: bool,
    /// Everything that is wrong, in the order of the document.
    pub(super) problems: Vec<SequenceProblem>,
    /// Advice on a valid template: what would go wrong for some of those who get it.
    pub(super) advice: Vec<SequenceProblem>,
}

/// A template as one person would get it, or why there is none.
#[derive(Debug, Clone, SimpleObject)]
pub struct EmailTemplatePreview {
    /// The tag of the language that was chosen; null for what everybody else gets.
    language: Option<String>,
    /// The subject; null where the document is not valid.
    subject: Option<String>,
    /// The plain text; null where the document is not valid. The link to unsubscribe by is put in as an e-mail goes out.
    text: Option<String>,
    /// The HTML; null where there is none.
    html: Option<String>,
    /// Everything that is wrong with the document.
    problems: Vec<SequenceProblem>,
}

impl From<Result<Letter, Vec<Problem>>> for EmailTemplatePreview {
    fn from(letter: Result<Letter, Vec<Problem>>) -> Self {
        match letter {
            Ok(Letter { language, subject, text, html }) => {
                Self { language, subject: Some(subject), text: Some(text), html, problems: Vec::new() }
            }
            Err(problems) => {
                let problems = problems.into_iter().map(Into::into).collect();
                Self { language: None, subject: None, text: None, html: None, problems }
            }
        }
    }
}
