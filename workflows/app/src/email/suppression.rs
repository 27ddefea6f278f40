//! Commands on suppressions.

use crate::sequence::{LetGo, lead_of, let_go};
use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tandem_domain::contact::{self, ConsentGiven, ConsentState, Contact};
use tandem_domain::decision::{Decision, Fact, Planned};
use tandem_domain::email::Email;
use tandem_domain::id::{ContactId, EmailId, SuppressionId};
use tandem_domain::sequence::enrollment;
use tandem_domain::standing::Standing;
use tandem_domain::suppression::{self, Suppression, SuppressionKind, SuppressionReason, Wish};
use tandem_store::Tx;

/// Suppresses an address or a domain.
#[derive(Debug, Clone, Serialize)]
pub struct SuppressionAdd {
    /// An address or a domain.
    pub kind: SuppressionKind,
    /// Which, as typed.
    pub value: String,
    /// Why.
    pub reason: SuppressionReason,
    /// Where the wish came from.
    pub source: String,
}

impl Command for SuppressionAdd {
    const NAME: &'static str = "suppressionAdd";
    type Output = Suppression;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Suppression>> {
        let now = call.now(env);
        let value = suppression::normalise(self.kind, &self.value)?;
        let existing = tx.suppression_to_change(self.kind, &value).await?;
        let source = self.source.trim().chars().take(200).collect();
        let wish = Wish { id: env.id(now), kind: self.kind, value, reason: self.reason, source };
        Ok(suppression::suppress(existing, wish, now)?)
    }
}

/// Lifts a suppression.
#[derive(Debug, Clone, Serialize)]
pub struct SuppressionLift {
    /// The suppression.
    pub suppression: SuppressionId,
    /// Why that is right.
    pub because: String,
}

impl Command for SuppressionLift {
    const NAME: &'static str = "suppressionLift";
    type Output = Suppression;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Suppression>> {
        let found = tx.get(self.suppression).await?;
        let found: Suppression =
            found.ok_or(AppError::NotFound { what: "Suppression", id: self.suppression.into() })?;
        Ok(suppression::lift(found, &self.because, call.now(env))?)
    }
}

/// What a link led to: the suppression, unless there was one; the contact without its consent, unless that was
/// withdrawn; and the enrolments that ended, each with the lead and the tasks that it let go.
pub type Unsubscribed = (Option<Suppression>, Option<Contact>, Vec<LetGo>);

/// What the recipient of an e-mail asked for by its link. The link's signature has been checked.
///
/// The address is suppressed, the person's consent is withdrawn (so that another address of the same person is left
/// alone too), and every enrolment of the person ends. Repeating it is refused with `SUPPRESSION_EXISTS`, which tells
/// the caller that all is done.
#[derive(Debug, Clone, Serialize)]
pub struct EmailUnsubscribe {
    /// The e-mail that carried the link.
    pub email: EmailId,
    /// The person it went to.
    pub contact: ContactId,
}

impl Command for EmailUnsubscribe {
    const NAME: &'static str = "emailUnsubscribe";
    type Output = Unsubscribed;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Unsubscribed>> {
        let now = call.now(env);
        let missing = || AppError::NotFound { what: "Email", id: self.email.into() };
        let email: Email = tx.peek(self.email).await?.ok_or_else(missing)?;
        if email.contact != self.contact {
            return Err(missing());
        }
        let source = format!("unsubscribe link in e-mail {}", self.email);
        leave_alone(tx, self.contact, &email.to.address, (SuppressionReason::Unsubscribed, source), env, now).await
    }
}

/// Sees to it that a person is left alone: the address is suppressed, the consent withdrawn, every enrolment ended. Refuses
/// where all of that is so already.
pub(crate) async fn leave_alone(
    tx: &Tx,
    contact: ContactId,
    address: &str,
    (reason, source): (SuppressionReason, String),
    env: &Env,
    now: DateTime<Utc>,
) -> Result<Decision<Unsubscribed>> {
    let (mut facts, mut jobs) = (Vec::new(), Vec::new());
    let mut ended = Vec::new();
    // All enrolments, the contact, then the leads: the order in which everybody locks.
    let live = tx.live_enrollments_of(contact).await?;
    let mut without_consent = None;
    if let Some(found) = tx.get::<Contact>(contact).await?
        && found.consent.state != ConsentState::Withdrawn
    {
        let given = ConsentGiven { state: ConsentState::Withdrawn, source: Some(source.clone()), at: None };
        let withdrawn = contact::set_consent(&found, given, now)?;
        without_consent = withdrawn.map(|decision| take(decision, &mut facts, &mut jobs));
    }
    for live in live {
        let lead = lead_of(tx, &live).await?;
        let over = enrollment::on_standing(enrollment::opt_out(live, now)?, Standing::after(reason), Some(reason));
        ended.push(take(let_go(tx, over, lead, env, now).await?, &mut facts, &mut jobs));
    }
    let kind = SuppressionKind::Email;
    let value = suppression::normalise(kind, address)?;
    let existing = tx.suppression_to_change(kind, &value).await?;
    let wish = Wish { id: env.id(now), kind, value, reason, source };
    let (suppression, refused) = match suppression::suppress(existing, wish, now) {
        Ok(decision) => (Some(take(decision, &mut facts, &mut jobs)), None),
        Err(refusal) => (None, Some(refusal)),
    };
    match refused {
        Some(refusal) if facts.is_empty() => Err(refusal.into()),
        _ => Ok(Decision { next: (suppression, without_consent, ended), facts, jobs }),
    }
}

/// Takes the state out of a decision and keeps what explains it and what follows.
pub(crate) fn take<T>(decision: Decision<T>, facts: &mut Vec<Fact>, jobs: &mut Vec<Planned>) -> T {
    facts.extend(decision.facts);
    jobs.extend(decision.jobs);
    decision.next
}
