//! What a mail provider tells of an e-mail that it has read itself.

use super::Refusal;
use super::reading::{self, Content, DeliveryReport, Reading, ReportedAs};
use crate::codes;
use crate::email::Mailbox;
use chrono::{DateTime, Utc};
use serde::Serialize;

/// An e-mail as a mail provider's webhook tells it, whose parts were read by the provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Told {
    /// Who wrote it: an address, or a name and an address in angle brackets.
    pub from: Option<String>,
    /// Its subject.
    pub subject: Option<String>,
    /// Its text.
    pub text: Option<String>,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// The Message-IDs of the e-mails that it is about, separated by blanks or commas.
    pub about: Option<String>,
    /// The value of its `In-Reply-To` header.
    pub in_reply_to: Option<String>,
    /// The value of its `References` header.
    pub references: Option<String>,
    /// The value of its `Auto-Submitted` header; everything but `no` says that a machine wrote it.
    pub auto_submitted: Option<String>,
    /// What a mail server reports, where this is about a delivery.
    pub report: Option<Reported>,
    /// The status of that (RFC 3463), e.g. `5.1.1`.
    pub status: Option<String>,
    /// What the other server said.
    pub diagnostic: Option<String>,
    /// Whom the e-mail was for.
    pub recipient: Option<String>,
}

codes! {
    /// What a mail provider tells about an e-mail of ours.
    pub enum Reported("report of a provider") {
        /// It could not be delivered, and will not be.
        Failed = "FAILED",
        /// It could not be delivered yet.
        Delayed = "DELAYED",
        /// It was delivered.
        Delivered = "DELIVERED",
        /// The person reported it as unwanted.
        Complaint = "COMPLAINT",
    }
}

/// Reads what a provider tells.
pub fn told(told: Told, now: DateTime<Utc>) -> Result<Reading, Refusal> {
    let line = |text: &Option<String>| text.as_deref().map(|text| reading::line(text, 300)).unwrap_or_default();
    let (subject, text) = (line(&told.subject), told.text.as_deref().map(reading::tidy).unwrap_or_default());
    let from = Some(line(&told.from)).filter(|from| !from.is_empty()).map(|from| match from.rsplit_once('<') {
        Some((name, address)) => {
            let name = name.trim().trim_matches('"').trim().to_owned();
            let address = address.trim_end_matches('>').trim().to_owned();
            Mailbox { name: Some(name).filter(|name| !name.is_empty()), address }
        }
        None => Mailbox::bare(from),
    });
    let ids = |text: &Option<String>| text.as_deref().map(reading::ids_of).unwrap_or_default();
    let mut about = ids(&told.about);
    about.extend(ids(&told.in_reply_to));
    // The header names the oldest first.
    about.extend(ids(&told.references).into_iter().rev());
    let about = reading::first_of_each(about);
    if from.is_none() && about.is_empty() {
        return Err(Refusal::Empty);
    }
    let report = |outcome| {
        Content::Delivery(DeliveryReport {
            outcome,
            status: told.status.as_deref().and_then(reading::status),
            diagnostic: told.diagnostic.as_deref().map(|text| reading::line(text, 1_000)).unwrap_or_default(),
            recipients: told.recipient.as_deref().map(|one| reading::line(one, 300)).into_iter().collect(),
        })
    };
    let by_machine = told.auto_submitted.as_deref().is_some_and(|value| {
        let value = value.trim().to_lowercase();
        !value.is_empty() && !value.starts_with("no")
    });
    let content = match told.report {
        Some(Reported::Failed) => report(ReportedAs::Failed),
        Some(Reported::Delayed) => report(ReportedAs::Delayed),
        Some(Reported::Delivered) => report(ReportedAs::Delivered),
        Some(Reported::Complaint) => Content::Complaint { feedback: "abuse".to_owned() },
        None if by_machine || reading::is_of_a_machine(from.as_ref(), &subject) => {
            reading::automatic(&subject, &text, now)
        }
        None => Content::Letter,
    };
    let message_id = told.message_id.as_deref().and_then(|id| reading::ids_of(id).into_iter().next());
    Ok(Reading { message_id, from, subject, text, sent_at: None, about, content })
}
