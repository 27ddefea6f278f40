//! `send_email`: one e-mail to the contact.

use super::{Effect, Failure, Kind, Next, Run};
use crate::email::Mailbox;
use crate::id::{AccountId, ContactId, EnrollmentId, LeadId, SendingMailboxId};
use crate::sending_mailbox::{self, SendingMailbox};
use crate::sequence::enrollment::WaitReason;
use crate::sequence::stepper::Context;
use crate::sequence::template::Form;
use crate::sequence::validate::{Check, Rule};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The variable that only e-mails have: the link by which the person unsubscribes.
pub const UNSUBSCRIBE_URL: &str = "unsubscribe_url";

/// The settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is written.
    pub template: EmailTemplate,
    /// The sender; without it, the one that the installation is configured with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Address>,
    /// Where answers go; without it, to the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Address>,
    /// Whether the person waits for it, e.g. a confirmation: then it goes out at any hour.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transactional: bool,
    /// The key of a pool of mailboxes, one of which is the sender: for one person the same in the whole sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
}

/// The parts of an e-mail, each a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailTemplate {
    /// One line, at most 200 characters.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML; without it, the e-mail is plain text alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

/// A mailbox: an address, and a name to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The address, e.g. `sales@example.com`.
    pub address: String,
}

/// An e-mail that a step asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedEmail {
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// The step.
    pub step: String,
    /// The visit.
    pub visit: u32,
    /// Whom it goes to.
    pub contact: ContactId,
    /// The lead it concerns.
    pub lead: Option<LeadId>,
    /// The account it concerns.
    pub account: Option<AccountId>,
    /// The subject: one line.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: Option<String>,
    /// The sender; none for the configured one.
    pub from: Option<Address>,
    /// Where answers go; none for the sender.
    pub reply_to: Option<Address>,
    /// Whether it goes out at any hour.
    #[serde(default)]
    pub transactional: bool,
    /// The mailbox that it goes out from, where it is one of a pool.
    #[serde(default)]
    pub mailbox: Option<SendingMailboxId>,
}

/// When it is looked again whether a pool has an active mailbox.
const POOL_RETRY: TimeDelta = TimeDelta::hours(1);

/// A person's mailbox as templates see it: `sender`.
fn with_sender(data: &Value, mailbox: &SendingMailbox) -> Value {
    let mut data = data.clone();
    if let Some(data) = data.as_object_mut() {
        data.insert("sender".to_owned(), json!({ "name": mailbox.name, "email": mailbox.address }));
    }
    data
}

fn address(mailbox: Mailbox) -> Address {
    Address { name: mailbox.name, address: mailbox.address }
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        let extra = [UNSUBSCRIBE_URL];
        check.template("template.subject", &self.template.subject, Form::Line, &extra, 200);
        check.template("template.text", &self.template.text, Form::Text, &extra, 60_000);
        if let Some(html) = &self.template.html {
            check.template("template.html", html, Form::Html, &extra, 60_000);
        }
        if let Some(pool) = &self.pool {
            check.key("pool", pool, "a pool of mailboxes");
        }
        for (field, given) in [("from", &self.from), ("reply_to", &self.reply_to)] {
            let Some(given) = given else { continue };
            if !is_address(&given.address) {
                let message = "this is not an e-mail address; write it in the form name@example.com";
                check.problem(&format!("{field}.address"), Rule::Shape, message);
            }
            if self.pool.is_some() && field == "from" {
                let message = "the sender comes from the pool; keep either `from` or `pool`";
                check.problem("from", Rule::Shape, message);
            }
            if given.name.as_ref().is_some_and(|name| name.chars().any(char::is_control) || name.chars().count() > 200)
            {
                check.problem(&format!("{field}.name"), Rule::Shape, "a name is one line of at most 200 characters");
            }
        }
    }

    fn mailbox_pool(&self) -> Option<&str> {
        self.pool.as_deref()
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let enrollment = run.enrollment;
        let mailbox = match &self.pool {
            Some(pool) => {
                let mailboxes = run.context.mailboxes;
                match sending_mailbox::choose(mailboxes, pool, enrollment.sequence, enrollment.contact) {
                    Some(mailbox) => Some(mailbox),
                    // Somebody has paused all of them.
                    None => return Ok(Next::Later(WaitReason::Event, run.now + POOL_RETRY)),
                }
            }
            None => None,
        };
        let data = mailbox.map(|mailbox| with_sender(run.context.data, mailbox));
        let context = Context { data: data.as_ref().unwrap_or(run.context.data), ..*run.context };
        let run = &Run { context: &context, ..*run };
        let html = self.template.html.as_ref().map(|html| run.render(html, Form::Html)).transpose()?;
        let email = PlannedEmail {
            enrollment: enrollment.id,
            step: run.step.id.clone(),
            visit: enrollment.visit,
            contact: enrollment.contact,
            lead: enrollment.lead,
            account: enrollment.account,
            subject: run.render(&self.template.subject, Form::Line)?,
            text: run.render(&self.template.text, Form::Text)?,
            html,
            from: mailbox.map(|mailbox| address(mailbox.sender())).or_else(|| self.from.clone()),
            reply_to: self
                .reply_to
                .clone()
                .or_else(|| mailbox.and_then(|mailbox| mailbox.reply_to.clone()).map(address)),
            transactional: self.transactional,
            mailbox: mailbox.map(|mailbox| mailbox.id),
        };
        Ok(Next::Act(Box::new(Effect::SendEmail(email))))
    }
}

fn is_address(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>,;:\"\\()".contains(c);
    text.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty() && host.contains('.') && !host.contains('@') && !host.starts_with('.') && !host.ends_with('.')
    }) && !text.contains(odd)
        && text.len() <= 254
}
