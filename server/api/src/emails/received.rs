//! E-mails that arrived.

use super::types::{EmailNode, Mailbox};
use crate::accounts::ContactNode;
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::{global, local_opt};
use crate::scalars::Date;
use crate::sequences::EnrollmentNode;
use async_graphql::connection::Connection;
use async_graphql::futures_util::future::try_join_all;
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tandem_domain::received::{self, Content, ReceivedEmail};
use tandem_store::received::ReceivedEmailFilter;

/// What an e-mail that arrived is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "received::ReceivedKind")]
pub enum ReceivedEmailKind {
    /// A person answers one of our e-mails, or a contact writes.
    Reply,
    /// A machine answers that the person is away.
    OutOfOffice,
    /// A machine wrote it: it is no reply.
    Automatic,
    /// A mail server says that an e-mail could not be delivered.
    Bounce,
    /// A mail server says that an e-mail is late, or was delivered.
    DeliveryReport,
    /// Somebody reported an e-mail as unwanted.
    Complaint,
    /// One of us wrote it, who answers by hand: it is no reply to us.
    Own,
    /// Somebody asks by e-mail not to be written to.
    Unsubscribe,
    /// It could not be taken apart.
    Unreadable,
}

/// What was done with an e-mail that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "received::ReceivedState")]
pub enum ReceivedEmailState {
    /// Nothing yet.
    New,
    /// What its kind does.
    Applied,
    /// Nothing: it concerns none of our e-mails and no contact.
    Unmatched,
}

/// What a mail server reports about an e-mail that it had taken.
#[derive(Debug, Clone, SimpleObject)]
pub struct ReceivedEmailReport {
    /// The status (RFC 3463), e.g. `5.1.1`; null where the report has none.
    status: Option<String>,
    /// What the other server said; empty where it said nothing.
    diagnostic: String,
    /// Whom the e-mail was for, as the mail servers knew them.
    recipients: Vec<String>,
}

/// An e-mail that arrived: an answer, a report, a complaint.
pub struct ReceivedEmailNode(pub ReceivedEmail);

/// An e-mail that arrived: an answer, a report, a complaint.
#[Object(name = "ReceivedEmail")]
impl ReceivedEmailNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// What it is.
    async fn kind(&self) -> ReceivedEmailKind {
        self.0.kind.into()
    }
    /// What was done with it.
    async fn state(&self) -> ReceivedEmailState {
        self.0.state.into()
    }
    /// How it came: `imap`, or `webhook:` and the webhook's key.
    async fn via(&self) -> &str {
        &self.0.via
    }
    /// When it was taken in here.
    async fn taken_at(&self) -> DateTime<Utc> {
        self.0.taken_at
    }
    /// When it came to the mailbox, or to the provider. No run that began later is ended by it.
    async fn arrived_at(&self) -> DateTime<Utc> {
        self.0.arrived_at
    }
    /// Who wrote it, as it says; null where it does not say.
    async fn from(&self) -> Option<Mailbox> {
        self.0.reading.from.as_ref().map(Into::into)
    }
    /// Its subject, at most 300 characters.
    async fn subject(&self) -> &str {
        &self.0.reading.subject
    }
    /// The beginning of its text, at most 4,000 characters.
    async fn text(&self) -> &str {
        &self.0.reading.text
    }
    /// Its Message-ID without the angle brackets.
    async fn message_id(&self) -> Option<&str> {
        self.0.reading.message_id.as_deref()
    }
    /// The first day on which the person is back, where the person is away and says so.
    async fn back_on(&self) -> Option<Date> {
        match self.0.reading.content {
            Content::Automatic { back_on, .. } => back_on.map(Date),
            _ => None,
        }
    }
    /// What a mail server reports; null where it is no report.
    async fn report(&self) -> Option<ReceivedEmailReport> {
        let Content::Delivery(report) = &self.0.reading.content else { return None };
        Some(ReceivedEmailReport {
            status: report.status.map(|[class, subject, detail]| format!("{class}.{subject}.{detail}")),
            diagnostic: report.diagnostic.clone(),
            recipients: report.recipients.clone(),
        })
    }
    /// The e-mail of ours that it answers or is about.
    async fn email(&self, ctx: &Context<'_>) -> Option<Result<EmailNode, ApiError>> {
        let email = ctx.load(self.0.email?).await.map_err(ApiError::from).transpose()?;
        Some(email.map(EmailNode))
    }
    /// The contact that it is of, or about.
    async fn contact(&self, ctx: &Context<'_>) -> Option<Result<ContactNode, ApiError>> {
        let contact = ctx.load(self.0.contact?).await.map_err(ApiError::from).transpose()?;
        Some(contact.map(ContactNode))
    }
    /// The enrolments that it ended, paused or let go on.
    async fn enrollments(&self, ctx: &Context<'_>) -> Result<Vec<EnrollmentNode>, ApiError> {
        let found = try_join_all(self.0.enrollments.iter().map(|id| ctx.load(*id))).await?;
        Ok(found.into_iter().flatten().map(EnrollmentNode).collect())
    }
    /// Until when it paused them.
    async fn paused_until(&self) -> Option<DateTime<Utc>> {
        self.0.until
    }
}

/// Which e-mails that arrived to read. Every condition given must hold.
#[derive(InputObject, Default)]
pub struct ReceivedEmailFilterInput {
    /// Of one of these kinds; empty means any.
    #[graphql(default)]
    kinds: Vec<ReceivedEmailKind>,
    /// In one of these states; empty means any.
    #[graphql(default)]
    states: Vec<ReceivedEmailState>,
    /// Of, or about, this contact.
    contact_id: Option<ID>,
    /// About this e-mail of ours.
    email_id: Option<ID>,
}

/// Reads of e-mails that arrived.
#[derive(Default)]
pub struct ReceivedEmailQuery;

#[Object]
impl ReceivedEmailQuery {
    /// E-mails that arrived, in the order in which they were taken in. They are kept for ninety days.
    async fn received_emails(
        &self,
        ctx: &Context<'_>,
        #[graphql(default, desc = "Which e-mails to read.")] filter: ReceivedEmailFilterInput,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, ReceivedEmailNode>, ApiError> {
        let filter = ReceivedEmailFilter {
            kinds: filter.kinds.into_iter().map(Into::into).collect(),
            states: filter.states.into_iter().map(Into::into).collect(),
            contact: local_opt(filter.contact_id.as_ref(), "filter.contactId")?,
            email: local_opt(filter.email_id.as_ref(), "filter.emailId")?,
        };
        let found = ctx.app().store.received_email_page(&filter, &page(first, after, last, before)?).await?;
        Ok(connection(found, |received| received.id, ReceivedEmailNode))
    }
}
