//! Mailboxes that e-mails are sent from, and the rounds in which those that wait for one get their moments.
//!
//! Locks are taken in one order: the e-mail and all that its beginning locks, then the pace of its mailbox. A round locks the
//! pace first and then e-mails in its line, which nobody begins: they have no job.

use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tandem_domain::decision::Decision;
use tandem_domain::email::{Email, give_slot};
use tandem_domain::id::SendingMailboxId;
use tandem_domain::sending_mailbox::pace::{self, MailboxPace, Turn};
use tandem_domain::sending_mailbox::{self, MailboxDraft, SendingMailbox};
use tandem_domain::suppression::{self, SuppressionKind};
use tandem_store::Tx;
use uuid::Uuid;

/// A mailbox and its pace.
pub type Paced = (SendingMailbox, MailboxPace);

async fn load(tx: &Tx, id: SendingMailboxId) -> Result<SendingMailbox> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "SendingMailbox", id: id.into() })
}

/// The decision on a mailbox, with a round at once: what waits in its line finds the mailbox as it is now.
async fn with_round(tx: &Tx, decision: Decision<SendingMailbox>, now: DateTime<Utc>) -> Result<Decision<Paced>> {
    let id = decision.next.id;
    let pace = tx.mailbox_pace(id).await?.unwrap_or_else(|| MailboxPace::new(id, now));
    Ok(pace::wake(decision, pace, now))
}

/// Saves a mailbox under its address.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct SendingMailboxSave {
    /// The definition.
    pub draft: MailboxDraft,
}

impl Command for SendingMailboxSave {
    const NAME: &'static str = "sendingMailboxSave";
    type Output = Paced;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Paced>> {
        let now = call.now(env);
        let before = match suppression::normalise(SuppressionKind::Email, &self.draft.address) {
            Ok(address) => tx.sending_mailbox_with_address(&address).await?,
            // The domain says what is wrong with it.
            Err(_) => None,
        };
        let saved = sending_mailbox::save(before.as_ref(), env.id(now), self.draft.clone())?;
        with_round(tx, saved, now).await
    }
}

/// Pauses a mailbox: it sends nothing until it is resumed, and what is planned from it waits.
#[derive(Debug, Clone, Serialize)]
pub struct SendingMailboxPause {
    /// The mailbox.
    pub mailbox: SendingMailboxId,
}

impl Command for SendingMailboxPause {
    const NAME: &'static str = "sendingMailboxPause";
    type Output = SendingMailbox;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<SendingMailbox>> {
        Ok(sending_mailbox::pause(load(tx, self.mailbox).await?)?)
    }
}

/// Resumes a mailbox, and what waits for it.
#[derive(Debug, Clone, Serialize)]
pub struct SendingMailboxResume {
    /// The mailbox.
    pub mailbox: SendingMailboxId,
}

impl Command for SendingMailboxResume {
    const NAME: &'static str = "sendingMailboxResume";
    type Output = Paced;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Paced>> {
        let now = call.now(env);
        let resumed = sending_mailbox::resume(load(tx, self.mailbox).await?)?;
        with_round(tx, resumed, now).await
    }
}

/// One round of a mailbox: gives the next e-mails of its line their moments. Tandem's own.
#[derive(Debug, Clone, Serialize)]
pub struct MailboxSpread {
    /// The mailbox.
    pub mailbox: SendingMailboxId,
    /// The round that the job was planned for.
    pub round: u32,
}

impl Command for MailboxSpread {
    const NAME: &'static str = "mailboxSpread";
    type Output = (MailboxPace, Vec<Email>);

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Self::Output>> {
        let now = call.now(env);
        let missing = || AppError::NotFound { what: "SendingMailbox", id: self.mailbox.into() };
        let mailbox: SendingMailbox = tx.peek(self.mailbox).await?.ok_or_else(missing)?;
        let before = tx.mailbox_pace(self.mailbox).await?.ok_or_else(missing)?;
        let line = tx.mailbox_line(self.mailbox, pace::round_size(&mailbox).saturating_add(1)).await?;
        let given = pace::hand_out(&mailbox, &before, self.round, &line, now)?;
        let slots = given.next.slots.clone();
        // All of them in one statement, in the order of their ids, and written in one.
        tx.get_ahead::<Email>(slots.iter().map(|(email, _)| Uuid::from(*email))).await?;
        let mut decision = given.map(|given| (given.pace, Vec::with_capacity(slots.len())));
        for (email, at) in slots {
            let email: Option<Email> = tx.get(email).await?;
            if let Some(slotted) = email.and_then(|email| give_slot(email, at)) {
                decision = decision.and(slotted).map(|((pace, mut emails), email)| {
                    emails.push(email);
                    (pace, emails)
                });
            }
        }
        Ok(decision)
    }
}

/// What the mailbox of an e-mail says to its beginning, the pace after it, and whether a round was planned. The pace is
/// locked until the commit. None for an e-mail that no mailbox of a pool holds back.
pub(crate) async fn turn_of(tx: &Tx, email: &Email, now: DateTime<Utc>) -> Result<Option<(Turn, MailboxPace, bool)>> {
    let Some(id) = email.mailbox.filter(|_| !email.transactional) else { return Ok(None) };
    // The pace first: a mailbox that is paused or changed at the same moment is seen as it is when its turn has come.
    let pace = tx.mailbox_pace(id).await?;
    let mailbox: Option<SendingMailbox> = tx.peek(id).await?;
    let (Some(pace), Some(mailbox)) = (pace, mailbox) else { return Ok(None) };
    Ok(Some(pace::take(&mailbox, &pace, email.slot_at, now)))
}
