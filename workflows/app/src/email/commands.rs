//! Commands on e-mails.

use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tandem_domain::decision::Decision;
use tandem_domain::email::{self, Delivery, Draft, Email, EmailState, Mailbox, Resolution, Standing};
use tandem_domain::id::{AccountId, ContactId, EmailId, EnrollmentId, LeadId, SuppressionId};
use tandem_domain::suppression::{self, Suppression, SuppressionKind, SuppressionReason, Wish};
use tandem_store::Tx;
use tandem_store::jobs::Lease;

async fn load(tx: &Tx, id: EmailId) -> Result<Email> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "Email", id: id.into() })
}

/// What is known about a person and the reason for writing, read under the locks that make it hold until the commit.
#[derive(Debug, Clone)]
pub struct Known {
    suppressions: Vec<Suppression>,
}

impl Known {
    /// In the form that the domain's rules take.
    pub fn standing(&self) -> Standing<'_> {
        Standing {
            suppressions: &self.suppressions,
            consent_withdrawn: false,
            opted_out: false,
            contact_current: true,
            enrollment_live: true,
        }
    }
}

/// Reads whether `contact` may be written to at `address` on behalf of an enrolment.
pub async fn standing_of(
    tx: &Tx,
    _contact: ContactId,
    address: &str,
    _enrollment: Option<EnrollmentId>,
) -> Result<Known> {
    Ok(Known { suppressions: tx.suppressions_of(address).await? })
}

/// Plans an e-mail as a part of a greater decision, e.g. the step of an enrolment.
pub async fn plan_email(tx: &Tx, draft: Draft, now: DateTime<Utc>) -> Result<Decision<Email>> {
    // The enrolment that is just being advanced is locked by its own command, which knows that it is live.
    let known = standing_of(tx, draft.contact, &draft.to.address, None).await?;
    Ok(email::plan(draft, known.standing(), now)?)
}

/// Plans an e-mail that belongs to no enrolment.
#[derive(Debug, Clone, Serialize)]
pub struct EmailPlan {
    /// What it is for, in a word or two.
    pub purpose: String,
    /// Whom it goes to.
    pub contact: ContactId,
    /// The lead it concerns.
    pub lead: Option<LeadId>,
    /// The account it concerns.
    pub account: Option<AccountId>,
    /// The recipient.
    pub to: Mailbox,
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: Option<String>,
}

impl Command for EmailPlan {
    const NAME: &'static str = "emailPlan";
    type Output = Email;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Email>> {
        let now = call.now(env);
        let draft = Draft {
            id: env.id(now),
            origin: (None, self.purpose.clone(), 0),
            contact: self.contact,
            lead: self.lead,
            account: self.account,
            to: self.to.clone(),
            from: env.mail.from.clone(),
            reply_to: env.mail.reply_to.clone(),
            subject: self.subject.clone(),
            text: self.text.clone(),
            html: self.html.clone(),
        };
        plan_email(tx, draft, now).await
    }
}

/// The first beat: records the attempt, or refuses the e-mail for good. Look at the state of what it gives back:
/// SENDING means that the caller must send and settle, everything else that there is nothing to send.
///
/// An e-mail that is found begun becomes UNKNOWN: its attempt belonged to a process that died or lost its lease.
#[derive(Debug, Clone, Serialize)]
pub struct EmailBegin {
    /// The e-mail.
    pub email: EmailId,
    /// The lease of the job. It is looked at but not spent: the job ends with the third beat.
    #[serde(skip)]
    pub lease: Option<Lease>,
}

impl Command for EmailBegin {
    const NAME: &'static str = "emailBegin";
    type Output = Email;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Email>> {
        let now = call.now(env);
        if let Some(lease) = &self.lease {
            tx.check_lease(lease).await?;
        }
        let email = load(tx, self.email).await?;
        if email.state == EmailState::Sending {
            return Ok(email::recover(email, now)?);
        }
        let known = standing_of(tx, email.contact, &email.to.address, email.enrollment).await?;
        Ok(email::begin(email, known.standing(), now)?)
    }
}

/// An e-mail whose attempt has its outcome, and the suppression of a mailbox that turned out not to exist.
pub type Settled = (Email, Option<Suppression>);

/// The third beat: records the outcome of an attempt and plans what follows.
#[derive(Debug, Clone, Serialize)]
pub struct EmailSettle {
    /// The e-mail.
    pub email: EmailId,
    /// The attempt that the outcome belongs to.
    pub attempt: u32,
    /// The outcome.
    pub delivery: Delivery,
}

impl Command for EmailSettle {
    const NAME: &'static str = "emailSettle";
    type Output = Settled;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Settled>> {
        let now = call.now(env);
        let email = load(tx, self.email).await?;
        let address = email.to.address.clone();
        let settled = email::settle(email, self.attempt, &self.delivery, now)?;
        if !self.delivery.mailbox_is_gone() {
            return Ok(settled.map(|email| (email, None)));
        }
        let (kind, reason) = (SuppressionKind::Email, SuppressionReason::Bounced);
        let value = suppression::normalise(kind, &address)?;
        let existing = tx.suppression_to_change(kind, &value).await?;
        if existing.as_ref().is_some_and(Suppression::is_live) {
            return Ok(settled.map(|email| (email, None)));
        }
        let id: SuppressionId = env.id(now);
        let wish = Wish { id, kind, value, reason, source: format!("e-mail {}", self.email) };
        Ok(settled.and(suppression::suppress(existing, wish, now)?).map(|(email, gone)| (email, Some(gone))))
    }
}

/// Records what a person found out about an e-mail of unknown fate.
#[derive(Debug, Clone, Serialize)]
pub struct EmailResolve {
    /// The e-mail.
    pub email: EmailId,
    /// That it went out, or that it shall be sent again.
    pub resolution: Resolution,
}

impl Command for EmailResolve {
    const NAME: &'static str = "emailResolve";
    type Output = Email;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Email>> {
        Ok(email::resolve(load(tx, self.email).await?, self.resolution, call.now(env))?)
    }
}
