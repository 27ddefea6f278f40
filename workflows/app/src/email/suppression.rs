//! Commands on suppressions.

use crate::{AppError, Call, Command, Env, Result};
use serde::Serialize;
use tandem_domain::decision::Decision;
use tandem_domain::email::Email;
use tandem_domain::id::{ContactId, EmailId, SuppressionId};
use tandem_domain::sequence::Enrollment;
use tandem_domain::sequence::enrollment;
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

/// The suppression that a link led to, and the enrolments that ended with it.
pub type Unsubscribed = (Suppression, Vec<Enrollment>);

/// What the recipient of an e-mail asked for by its link. The link's signature has been checked.
///
/// Repeating it is refused with `SUPPRESSION_EXISTS`, which tells the caller that all is done.
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
        let (kind, reason) = (SuppressionKind::Email, SuppressionReason::Unsubscribed);
        let value = suppression::normalise(kind, &email.to.address)?;
        let existing = tx.suppression_to_change(kind, &value).await?;
        let source = format!("unsubscribe link in e-mail {}", self.email);
        let wish = Wish { id: env.id(now), kind, value, reason, source };
        let mut all = suppression::suppress(existing, wish, now)?.map(|kept| (kept, Vec::new()));
        for live in tx.live_enrollments_of(self.contact).await? {
            all = all.and(enrollment::opt_out(live, now)?).map(|((kept, mut ended), one)| {
                ended.push(one);
                (kept, ended)
            });
        }
        Ok(all)
    }
}
