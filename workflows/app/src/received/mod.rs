//! E-mails that arrive: taken in once, by whichever way they come, and then applied by a job.
//!
//! Locks are taken in one order: the e-mail that arrived, the e-mail of ours, the enrolments, the contact, the leads, the
//! names of suppressions. An absence takes its person's turn before the enrolments, and locks nothing after them.

mod applying;
pub mod port;

pub use applying::{Outcome, ReceivedEmailApply};

use crate::written::Written;
use crate::{App, AppError, Call, Command, Env, Result};
use chrono::TimeDelta;
use serde::Serialize;
use tandem_domain::decision::Decision;
use tandem_domain::id::ContactId;
use tandem_domain::received::{self, Brought, ReceivedEmail};
use tandem_store::{StoreError, Tx};

/// How far back a mailbox is read at the first look: an answer to an older e-mail does not stop what is sent now.
const FIRST_LOOK: TimeDelta = TimeDelta::days(5);
/// How many looks one job takes; the next minute goes on.
const LOOKS: usize = 20;

/// Takes an e-mail in that arrived, unless it is known.
#[derive(Debug, Clone, Serialize)]
pub struct EmailReceive {
    /// The e-mail.
    pub brought: Brought,
}

impl Command for EmailReceive {
    const NAME: &'static str = "emailReceive";
    type Output = Written<ReceivedEmail>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<ReceivedEmail>>> {
        let now = call.now(env);
        let mut brought = self.brought.clone();
        // The subject's is needed until the e-mail is applied. Without a Message-ID the text is what an e-mail is known by: so
        // it is the text that is kept.
        brought.reading.text = env.mail.links.hide(&brought.reading.text);
        let known_by = received::known_by(&brought.reading, &brought.brought_as);
        if let Some(known) = tx.received_email_known_by(&known_by).await? {
            return Ok(Written::changed(known, None));
        }
        Ok(Written::created(received::take(env.id(now), known_by, brought, now)))
    }
}

/// Makes absences of a person that are applied, and runs of the person that begin, go one after the other: no row stands for
/// both.
pub(crate) async fn absences_in_turn(tx: &Tx, contact: ContactId) -> Result<()> {
    absences_of_all_in_turn(tx, &[contact]).await
}

/// The same for many people, whose turns are taken in the order in which everybody takes them.
pub(crate) async fn absences_of_all_in_turn(tx: &Tx, contacts: &[ContactId]) -> Result<()> {
    let names: Vec<String> = contacts.iter().map(ToString::to_string).collect();
    Ok(tx.take_turns("absence", &names).await?)
}

/// What a look into the mailbox came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// There is no mailbox to look into.
    NoInbox,
    /// So many e-mails were taken in that were not known.
    Took(usize),
    /// It could not be read; a sentence for an operator.
    Failed(String),
}

impl App {
    /// Takes in what came to the mailbox since the last look. The place up to which it was read is kept after the e-mails
    /// are: after a crash between the two they are brought again, and are known.
    pub async fn poll_inbox(&self, call: &Call) -> Result<Polled> {
        let Some(inbox) = &self.env.mail.inbox else { return Ok(Polled::NoInbox) };
        let name = format!("inbox:{}", inbox.name());
        let mut took = 0;
        for _ in 0..LOOKS {
            let now = self.env.now();
            let after = self.store.checkpoint(&name).await?;
            let look = match inbox.look(after.clone(), now - FIRST_LOOK).await {
                Ok(look) => look,
                Err(sentence) => return Ok(Polled::Failed(sentence)),
            };
            for message in look.messages {
                let reading = received::reading::read(&message.raw, message.arrived_at.unwrap_or(now));
                let arrived_at = message.arrived_at;
                let brought = Brought { reading, via: "imap".to_owned(), brought_as: name.clone(), arrived_at };
                match self.run(&call.without_job(), EmailReceive { brought }).await {
                    Ok(written) => took += usize::from(written.outcome == crate::Outcome::Created),
                    // Somebody else has brought it at this moment.
                    Err(AppError::Store(StoreError::Duplicate { .. })) => {}
                    Err(error) => return Err(error),
                }
            }
            if after.as_deref() != Some(look.cursor.as_str()) {
                self.store.save_checkpoint(&name, &look.cursor).await?;
            }
            if !look.more {
                break;
            }
        }
        Ok(Polled::Took(took))
    }
}
