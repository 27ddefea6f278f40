//! Identifiers: one type per kind of thing, so that a lead's id is never passed where an account's belongs.
//!
//! All are UUIDs (version 7 where Tandem makes them), so that byte order is the order of creation.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id that others know a thing by: opaque, and unique among all things. `kind` is its type name in the API.
pub fn global(kind: &str, id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(format!("{kind}:{}", id.simple()))
}

/// The id in what [`global`] made of a thing of this kind; none in anything else.
pub fn local(kind: &str, id: &str) -> Option<Uuid> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
    text.strip_prefix(kind)?.strip_prefix(':')?.parse().ok()
}

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl From<Uuid> for $name { fn from(id: Uuid) -> Self { Self(id) } }
        impl From<$name> for Uuid { fn from(id: $name) -> Self { id.0 } }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> { text.parse().map(Self) }
        }
    )+ };
}

ids! {
    /// A person who works with Tandem.
    UserId,
    /// A group of users on one side.
    TeamId,
    /// An access token.
    TokenId,
    /// A company.
    AccountId,
    /// A person at a company.
    ContactId,
    /// One candidacy of a contact for a purchase.
    LeadId,
    /// The definition of a custom field.
    CustomFieldId,
    /// One term of a governed taxonomy.
    TermId,
    /// A target-account list.
    ListId,
    /// One account's membership of one list.
    MembershipId,
    /// A proposed change to a list.
    ChangeRequestId,
    /// One immutable version of a list.
    ListVersionId,
    /// A nurture programme.
    SequenceId,
    /// One published version of a sequence.
    SequenceVersionId,
    /// One subject's run through one version of a sequence.
    EnrollmentId,
    /// One try at sending one e-mail.
    EmailId,
    /// An address or domain that is never written to.
    SuppressionId,
    /// An entry of a human queue.
    WorkItemId,
    /// A working calendar.
    CalendarId,
    /// A pool of people that opportunities are offered to.
    PoolId,
    /// The record of one choice among the members of a pool.
    ReceiptId,
    /// The rules that choose a pool.
    RoutingTableId,
    /// A verified lead handed to sales.
    OpportunityId,
    /// One transfer of responsibility for an opportunity.
    HandoffId,
    /// An entry of the ledger.
    EntryId,
    /// An address that other systems post to.
    InboundWebhookId,
    /// A delivery to an inbound webhook.
    InboundDeliveryId,
    /// An address that is told what happens.
    OutboundWebhookId,
    /// An event on its way to a webhook.
    OutboundDeliveryId,
    /// A sender of events.
    EventSourceId,
    /// Events that are applied together.
    EventBatchId,
    /// An event as it came.
    IngestedEventId,
    /// Somebody that events are about.
    VisitorId,
    /// Something that a person did.
    InteractionId,
    /// An e-mail that arrived.
    ReceivedEmailId,
    /// One move of enrolments to a newer version.
    SequenceMigrationId,
    /// An experiment on a step of a sequence.
    ExperimentId,
    /// An address outside that steps of sequences send to.
    OutboundChannelId,
    /// What a step sends to such an address.
    OutboundCallId,
    /// The last time that a trigger passed somebody over.
    TriggerSkipId,
    /// The rules on how often people may be written to.
    ContactPolicyId,
    /// A mailbox that e-mails are sent from.
    SendingMailboxId,
    /// A template of e-mails that sequences share.
    EmailTemplateId,
    /// One published version of a template of e-mails.
    EmailTemplateVersionId,
}
