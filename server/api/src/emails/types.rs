//! Types of e-mails and suppressions.

use crate::ids::global;
use crate::scalars::EmailAddress;
use async_graphql::{Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tandem_domain::{email, suppression};

/// Where an e-mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "email::EmailState")]
pub enum EmailState {
    /// To be sent.
    Planned,
    /// Handed to the network; the outcome is not recorded yet.
    Sending,
    /// The mail server took it.
    Sent,
    /// The mail server said "later", or could not be reached; it is tried again by itself.
    Deferred,
    /// Refused for good.
    Bounced,
    /// It may or may not have gone out; it is not sent again without a person's word (`emailResolve`).
    Unknown,
    /// Not sent, since the person may not be written to.
    Refused,
}

/// Why a planned e-mail was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "email::Obstacle")]
pub enum EmailObstacle {
    /// The address or its domain is suppressed.
    Suppressed,
    /// The person withdrew the consent.
    ConsentWithdrawn,
    /// It is not known that the person agreed, and did not become known within five days.
    ConsentUnknown,
    /// The person opted out.
    OptedOut,
    /// The mailbox does not exist.
    MailboxGone,
    /// The enrolment that planned it was ended meanwhile.
    EnrollmentEnded,
    /// The contact is gone, or has another address now.
    ContactGone,
    /// It could not be handed to a mail server within five days.
    Expired,
    /// It was held while its sequence was paused, and what was held then was to be left out.
    BacklogSkipped,
}

/// What a person decides about an e-mail of unknown fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "email::Resolution")]
pub enum EmailResolution {
    /// It did go out.
    Sent,
    /// It did not: send it again. The recipient may get it twice if that is wrong.
    Resend,
}

/// What a suppression covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "suppression::SuppressionKind")]
pub enum SuppressionKind {
    /// One address.
    Email,
    /// Every address of a domain and of its subdomains.
    Domain,
}

/// Why nobody writes to an address or a domain any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "suppression::SuppressionReason")]
pub enum SuppressionReason {
    /// The person used the unsubscribe link.
    Unsubscribed,
    /// The mailbox does not exist.
    Bounced,
    /// The person reported an e-mail as unwanted.
    Complaint,
    /// The person asked somebody here to stop.
    OptedOut,
    /// Somebody here decided it.
    Manual,
    /// The law or a lawyer demands it.
    Legal,
}

/// A name and an address.
#[derive(SimpleObject)]
pub struct Mailbox {
    /// The name to show.
    name: Option<String>,
    /// The address.
    address: EmailAddress,
}

impl From<&email::Mailbox> for Mailbox {
    fn from(mailbox: &email::Mailbox) -> Self {
        Self { name: mailbox.name.clone(), address: EmailAddress(mailbox.address.clone()) }
    }
}

/// One e-mail to one person.
pub struct EmailNode(pub email::Email);

/// One e-mail to one person.
#[Object(name = "Email")]
impl EmailNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Where it stands.
    async fn state(&self) -> EmailState {
        self.0.state.into()
    }
    /// Why it was not sent, where it was refused here, or where the other side says that the mailbox is gone.
    async fn obstacle(&self) -> Option<EmailObstacle> {
        self.0.obstacle.map(Into::into)
    }
    /// What the other side answered, or what went wrong, at the last try.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }
    /// How often it was begun.
    async fn attempts(&self) -> u32 {
        self.0.attempts
    }
    /// The global id of the contact it goes to.
    async fn contact_id(&self) -> ID {
        global(self.0.contact)
    }
    /// The global id of the lead it concerns.
    async fn lead_id(&self) -> Option<ID> {
        self.0.lead.map(global)
    }
    /// The global id of the account it concerns.
    async fn account_id(&self) -> Option<ID> {
        self.0.account.map(global)
    }
    /// The global id of the enrolment that planned it.
    async fn enrollment_id(&self) -> Option<ID> {
        self.0.enrollment.map(global)
    }
    /// The step's name within its sequence; for an e-mail without enrolment, what it is for.
    async fn step(&self) -> &str {
        &self.0.step
    }
    /// The recipient, as of planning.
    async fn to(&self) -> Mailbox {
        (&self.0.to).into()
    }
    /// The sender.
    async fn from(&self) -> Mailbox {
        (&self.0.from).into()
    }
    /// Where answers go, where that is not the sender.
    async fn reply_to(&self) -> Option<Mailbox> {
        self.0.reply_to.as_ref().map(Into::into)
    }
    /// The subject.
    async fn subject(&self) -> &str {
        &self.0.subject
    }
    /// The plain text. `{{ unsubscribe_url }}` stands where the recipient's own link goes.
    async fn text(&self) -> &str {
        &self.0.text
    }
    /// The HTML; null for a text-only e-mail. `{{ unsubscribe_url }}` stands where the recipient's own link goes.
    async fn html(&self) -> Option<&str> {
        self.0.html.as_deref()
    }
    /// The Message-ID without its angle brackets. A second try has the same one.
    async fn message_id(&self) -> &str {
        &self.0.message_id
    }
    /// When it was planned.
    async fn planned_at(&self) -> DateTime<Utc> {
        self.0.planned_at
    }
    /// When the last try began.
    async fn begun_at(&self) -> Option<DateTime<Utc>> {
        self.0.begun_at
    }
    /// Whether the person waits for it, so that no hours, caps or mailbox hold it back.
    async fn transactional(&self) -> bool {
        self.0.transactional
    }
    /// The global id of the mailbox it goes out from, where it is one of a pool.
    async fn sending_mailbox_id(&self) -> Option<ID> {
        self.0.mailbox.map(global)
    }
    /// While it waits to be begun: when it is expected to go out; null while that depends on somebody's word.
    async fn expected_at(&self) -> Option<DateTime<Utc>> {
        self.0.expected_at
    }
    /// When it came to its present end.
    async fn settled_at(&self) -> Option<DateTime<Utc>> {
        self.0.settled_at
    }
}

/// An address or a domain that is never written to while the suppression is live.
pub struct SuppressionNode(pub suppression::Suppression);

/// An address or a domain that is never written to while the suppression is live.
#[Object(name = "Suppression")]
impl SuppressionNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Whether it covers an address or a domain.
    async fn kind(&self) -> SuppressionKind {
        self.0.kind.into()
    }
    /// The normalised address or domain.
    async fn value(&self) -> &str {
        &self.0.value
    }
    /// Why.
    async fn reason(&self) -> SuppressionReason {
        self.0.reason.into()
    }
    /// Where the wish came from.
    async fn source(&self) -> &str {
        &self.0.source
    }
    /// Since when it is live.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }
    /// When it was lifted; null while it is live.
    async fn lifted_at(&self) -> Option<DateTime<Utc>> {
        self.0.lifted_at
    }
}
