//! E-mail: planning, the three beats of sending, what people decide about it, and who is never written to.
//!
//! A delivery is `EmailBegin` (a transaction), the mailer (none), `EmailSettle` (a transaction). Between the two the
//! process may die; the next run of the job then finds the e-mail begun and calls it UNKNOWN.

pub(crate) mod commands;
mod links;
pub mod port;
pub(crate) mod suppression;
mod tracking;

pub use commands::{Begun, EmailBegin, EmailPlan, EmailResolve, EmailSettle, Settled, Tried, plan_email};
pub use links::{LinkError, Links};
pub use suppression::{EmailUnsubscribe, SuppressionAdd, SuppressionLift, Unsubscribed};
pub use tracking::{EmailTrack, Tracked, Tracking};

use crate::received::port::Inbox;
use port::{Delivery, Mailbox, Mailer, OutgoingEmail, PortFuture, UnsubscribeBy};
use std::sync::Arc;
use tandem_domain::email::{Email, UNSUBSCRIBE_HERE};

/// Everything that e-mail needs of its surroundings.
#[derive(Clone)]
pub struct Mail {
    /// Sends.
    pub mailer: Arc<dyn Mailer>,
    /// Makes and checks the links in e-mails.
    pub links: Links,
    /// The sender where a step names none.
    pub from: Mailbox,
    /// Where answers go where a step names nobody; none for the sender.
    pub reply_to: Option<Mailbox>,
    /// What is found out of what becomes of an e-mail.
    pub tracking: Tracking,
    /// The mailbox that answers and reports come to; none where nobody looks into one.
    pub inbox: Option<Arc<dyn Inbox>>,
    /// The address of a mailbox that is looked into, to which mail programs may write "no more".
    pub unsubscribe_mailbox: Option<String>,
}

impl Mail {
    /// Where a mail program writes for "no more": the token in the subject says who.
    fn unsubscribe_mailto(&self, email: &Email) -> Option<String> {
        let mailbox = self.unsubscribe_mailbox.as_ref()?;
        Some(format!(
            "mailto:{mailbox}?subject=unsubscribe%20{}",
            self.links.unsubscribe_token(email.id, email.contact)
        ))
    }

    /// The e-mail as the mailer wants it, with the recipient's link in its place.
    pub fn outgoing(&self, email: &Email) -> OutgoingEmail {
        let url = self.links.unsubscribe_url(email.id, email.contact);
        let with_link = |text: &str| text.replace(UNSUBSCRIBE_HERE, &url);
        // Quotes and brackets cannot be in the address, so this makes it fit for an attribute too.
        let in_html = url.replace('&', "&amp;").replace('\'', "&#39;");
        OutgoingEmail {
            message_id: email.message_id.clone(),
            date: email.begun_at.unwrap_or(email.planned_at),
            from: email.from.clone(),
            reply_to: email.reply_to.clone(),
            to: email.to.clone(),
            subject: with_link(&email.subject),
            text: with_link(&email.text),
            html: email.html.as_ref().map(|html| {
                let html = self.tracking.put_into(html, &self.links, email);
                html.replace(UNSUBSCRIBE_HERE, &in_html)
            }),
            unsubscribe: Some(UnsubscribeBy { mailto: self.unsubscribe_mailto(email), url }),
        }
    }
}

/// Stands in where nothing can be sent: every e-mail waits and is tried again later.
#[derive(Debug, Clone, Copy)]
pub struct NoMailer;

const NO_SERVER: &str = "no mail server is configured; set smtp.host";

impl Mailer for NoMailer {
    fn send(&self, _message: OutgoingEmail) -> PortFuture<'_, Delivery> {
        Box::pin(async { Delivery::Unreached { error: NO_SERVER.to_owned() } })
    }

    fn check(&self) -> PortFuture<'_, Result<String, String>> {
        Box::pin(async { Err(NO_SERVER.to_owned()) })
    }
}
