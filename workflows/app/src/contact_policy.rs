//! The policy on how often people are written to.

use crate::{Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tandem_domain::contact_policy::{self, Capped, ContactPolicy, PolicyDraft};
use tandem_domain::decision::Decision;
use tandem_domain::email::Email;
use tandem_domain::id::{AccountId, ContactId};
use tandem_store::Tx;

/// Saves the contact policy, of which there is one.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct ContactPolicySave {
    /// The definition.
    pub draft: PolicyDraft,
}

impl Command for ContactPolicySave {
    const NAME: &'static str = "contactPolicySave";
    type Output = ContactPolicy;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<ContactPolicy>> {
        let before = tx.contact_policy_to_change().await?;
        Ok(contact_policy::save(before.as_ref(), env.id(call.now(env)), self.draft.clone())?)
    }
}

/// What the policy says to another e-mail that is about to be planned. Where there is no cap, nothing is counted.
pub(crate) async fn capped_for_plan(
    tx: &Tx,
    contact: ContactId,
    account: Option<AccountId>,
    now: DateTime<Utc>,
) -> Result<Option<Capped>> {
    let policy = tx.contact_policy().await?;
    let Some(policy) = policy.filter(|policy| !policy.caps.is_empty()) else { return Ok(None) };
    let counted = tx.counted_for_plan(&policy, contact, account, now).await?;
    Ok(policy.holds(&counted, now))
}

/// What the policy says to an e-mail that is about to begin, whose contact is locked: it holds until the commit.
pub(crate) async fn capped_for_begin(tx: &Tx, email: &Email, now: DateTime<Utc>) -> Result<Option<Capped>> {
    let policy = tx.contact_policy().await?;
    let Some(policy) = policy.filter(|policy| !policy.caps.is_empty()) else { return Ok(None) };
    let counted = tx.counted_for_begin(&policy, email, now).await?;
    Ok(policy.holds(&counted, now))
}
