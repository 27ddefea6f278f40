//! What an e-mail that arrived does.

use crate::email::commands::{followed, gone, lead_of_run, run_of};
use crate::email::suppression::{leave_alone, take};
use crate::received::absences_in_turn;
use crate::sequence::{LetGo, lead_of, let_go};
use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;
use tandem_domain::contact::{BY_EMAIL, Contact};
use tandem_domain::decision::{Decision, Fact, Planned};
use tandem_domain::email::{self, Email};
use tandem_domain::id::{ContactId, ReceivedEmailId, global};
use tandem_domain::identity::Identity;
use tandem_domain::interaction::{self, Draft, Interaction, InteractionKind};
use tandem_domain::link::Link;
use tandem_domain::received::{self, Applied, Content, DeliveryReport, ReceivedEmail, ReceivedKind};
use tandem_domain::sequence::enrollment::{self, FinishReason};
use tandem_domain::sequence::{SequenceVersion, StopOnReply};
use tandem_domain::suppression::{self, Suppression, SuppressionKind, SuppressionReason};
use tandem_store::{StoreError, Tx};
use uuid::Uuid;

/// The types of feedback (RFC 5965, and its register) by which a person says that an e-mail was not wanted.
const COMPLAINTS: [&str; 4] = ["abuse", "fraud", "opt-out", "other"];

/// What an e-mail that arrived changed: the enrolments that ended, paused or go on, with what they let go; the e-mail of ours;
/// the suppression; the contact without its consent; what the contact did.
pub type Outcome =
    (ReceivedEmail, (Vec<LetGo>, Option<Email>, Option<Suppression>, Option<Contact>, Option<Interaction>));

/// Does what an e-mail that arrived does: a reply ends runs, a report tells what became of an e-mail, who is away is left
/// alone for as long, who asks to be left alone is.
#[derive(Debug, Clone, Serialize)]
pub struct ReceivedEmailApply {
    /// The e-mail.
    pub received: ReceivedEmailId,
}

impl Command for ReceivedEmailApply {
    const NAME: &'static str = "receivedEmailApply";
    type Output = Outcome;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Outcome>> {
        let missing = || AppError::NotFound { what: "ReceivedEmail", id: self.received.into() };
        let received: ReceivedEmail = tx.get(self.received).await?.ok_or_else(missing)?;
        let mut deed = Deed { tx, env, now: call.now(env), made: Made::default(), facts: Vec::new(), jobs: Vec::new() };
        let kind = deed.apply(&received).await?;
        let Deed { made, mut facts, mut jobs, .. } = deed;
        let Made { runs, email, suppression, contact, interaction, applied } = made;
        let mut settled = take(received::settle(received, kind, applied)?, &mut facts, &mut jobs);
        settled.reading.subject = env.mail.links.hide(&settled.reading.subject);
        Ok(Decision { next: (settled, (runs, email, suppression, contact, interaction)), facts, jobs })
    }
}

#[derive(Default)]
struct Made {
    runs: Vec<LetGo>,
    email: Option<Email>,
    suppression: Option<Suppression>,
    contact: Option<Contact>,
    interaction: Option<Interaction>,
    applied: Applied,
}

struct Deed<'a> {
    tx: &'a Tx,
    env: &'a Env,
    now: DateTime<Utc>,
    made: Made,
    facts: Vec<Fact>,
    jobs: Vec<Planned>,
}

impl Deed<'_> {
    fn take<T>(&mut self, decision: Decision<T>) -> T {
        take(decision, &mut self.facts, &mut self.jobs)
    }

    async fn apply(&mut self, received: &ReceivedEmail) -> Result<ReceivedKind> {
        let reading = &received.reading;
        let ours = self.ours(&reading.about).await?;
        self.made.applied.email = ours.as_ref().map(|email| email.id);
        self.made.applied.contact = ours.as_ref().map(|email| email.contact);
        match &reading.content {
            Content::Unreadable => {}
            Content::Delivery(report) => {
                if let Some(email) = ours {
                    self.report(email, report).await?;
                }
            }
            Content::Complaint { feedback } => {
                // `not-spam` is a complaint taken back, and `auth-failure`, `virus` and the like say nothing of the person.
                if let Some(email) = ours.filter(|_| COMPLAINTS.contains(&feedback.as_str())) {
                    let source = format!("complaint ({feedback}) about e-mail {}", email.id);
                    self.leave_alone(email.contact, &email.to.address, (SuppressionReason::Complaint, source)).await?;
                }
            }
            Content::Automatic { .. } | Content::Letter => return self.of_somebody(received, ours).await,
        }
        Ok(received.kind)
    }

    /// The first e-mail of ours among those that are answered or reported. It is found without a lock, and then locked: so
    /// only one is.
    async fn ours(&self, about: &[String]) -> Result<Option<Email>> {
        for message_id in about {
            let Some(id) = received::ours(message_id) else { continue };
            let found: Option<Email> = self.tx.peek(id).await?;
            if found.is_some_and(|email| email.message_id == *message_id) {
                return Ok(self.tx.get(id).await?);
            }
        }
        Ok(None)
    }

    async fn report(&mut self, email: Email, report: &DeliveryReport) -> Result<()> {
        let Some(reported) = email::reported(email, report, self.now) else { return Ok(()) };
        let run = run_of(self.tx, &reported.next).await?;
        let lead = lead_of_run(self.tx, run.as_ref()).await?;
        let email = self.take(reported);
        if let Some(followed) = followed(self.tx, &email, run, lead, self.env, self.now).await? {
            let run = self.take(followed);
            self.made.applied.enrollments.push(run.0.id);
            self.made.runs.push(run);
        }
        if email.obstacle == Some(email::Obstacle::MailboxGone)
            && let Some(gone) = gone(self.tx, &email, self.env, self.now).await?
        {
            self.made.suppression = Some(self.take(gone));
        }
        self.made.email = Some(email);
        Ok(())
    }

    /// A person's e-mail, or that of the machine that answers for a person.
    async fn of_somebody(&mut self, received: &ReceivedEmail, ours: Option<Email>) -> Result<ReceivedKind> {
        let reading = &received.reading;
        if let Some((email, contact)) = self.asks_by_token(&reading.subject).await? {
            let source = format!("e-mail to the address for unsubscribing in e-mail {}", email.id);
            self.made.applied.email = Some(email.id);
            self.made.applied.contact = Some(contact);
            self.leave_alone(contact, &email.to.address, (SuppressionReason::Unsubscribed, source)).await?;
            return Ok(ReceivedKind::Unsubscribe);
        }
        if self.is_one_of_us(received, ours.as_ref()).await? {
            return Ok(ReceivedKind::Own);
        }
        let author = self.author(received).await?;
        let concerned = ours.as_ref().map(|email| email.contact).or(author);
        self.made.applied.contact = author.or(concerned);
        let Some(concerned) = concerned else { return Ok(received.kind) };
        match reading.content {
            // A colleague's machine that has our e-mail speaks for the colleague.
            Content::Automatic { away: true, back_on } => {
                self.away(author.unwrap_or(concerned), back_on, received.arrived_at).await?;
            }
            Content::Letter => {
                if let Some(address) = self.asks_by_word(received, ours.as_ref(), author) {
                    let source = format!("reply {}", received.id);
                    self.leave_alone(concerned, &address, (SuppressionReason::Unsubscribed, source)).await?;
                    return Ok(ReceivedKind::Unsubscribe);
                }
                self.reply(received, ours.as_ref(), concerned, author).await?;
            }
            _ => {}
        }
        Ok(received.kind)
    }

    /// Whom a subject names that a mail program wrote for a click on "unsubscribe".
    async fn asks_by_token(&self, subject: &str) -> Result<Option<(Email, ContactId)>> {
        for word in subject.split_whitespace() {
            if let Ok(Link::Unsubscribe { email, contact }) = self.env.mail.links.open(word) {
                let email: Option<Email> = self.tx.peek(email).await?;
                return Ok(email.filter(|email| email.contact == contact).map(|email| (email, contact)));
            }
        }
        Ok(None)
    }

    /// The address to leave alone, where the first line of an answer to one of our e-mails says nothing but that. Whoever has the
    /// e-mail could follow the link in it, too; but a colleague we know speaks for nobody else, and an author's address
    /// alone can be anybody's.
    fn asks_by_word(
        &self,
        received: &ReceivedEmail,
        ours: Option<&Email>,
        author: Option<ContactId>,
    ) -> Option<String> {
        if !received::asks_to_stop(&received.reading.text) {
            return None;
        }
        let email = ours.filter(|email| author.is_none_or(|author| author == email.contact))?;
        Some(email.to.address.clone())
    }

    /// Whether the author is one of us, who answers by hand or is copied in: the sender's own addresses, and those of users.
    async fn is_one_of_us(&self, received: &ReceivedEmail, ours: Option<&Email>) -> Result<bool> {
        let normal = |address: &str| suppression::normalise(SuppressionKind::Email, address).ok();
        let Some(author) = received.reading.from.as_ref().and_then(|from| normal(&from.address)) else {
            return Ok(false);
        };
        let mail = &self.env.mail;
        let configured = [Some(&mail.from), mail.reply_to.as_ref()];
        let of_email = [ours.map(|email| &email.from), ours.and_then(|email| email.reply_to.as_ref())];
        let mailboxes = configured.into_iter().chain(of_email).flatten().map(|mailbox| mailbox.address.as_str());
        let own =
            mailboxes.chain(mail.unsubscribe_mailbox.as_deref()).filter_map(normal).any(|address| address == author);
        Ok(own || self.tx.user_with_email(&author).await?.is_some())
    }

    /// The contact with the author's address.
    async fn author(&self, received: &ReceivedEmail) -> Result<Option<ContactId>> {
        let Some(from) = &received.reading.from else { return Ok(None) };
        let Ok(address) = suppression::normalise(SuppressionKind::Email, &from.address) else { return Ok(None) };
        let owners = self.tx.identity_owners(&[Identity::new(BY_EMAIL, address)]).await?;
        Ok(owners.first().map(|(_, owner)| ContactId(*owner)))
    }

    async fn leave_alone(&mut self, contact: ContactId, address: &str, why: (SuppressionReason, String)) -> Result<()> {
        match leave_alone(self.tx, contact, address, why, self.env, self.now).await {
            Ok(left) => {
                let (suppression, contact, runs) = self.take(left);
                self.made.applied.enrollments.extend(runs.iter().map(|(run, _)| run.id));
                self.made.runs.extend(runs);
                self.made.suppression = suppression;
                self.made.contact = contact;
                Ok(())
            }
            // Said before: all is done.
            Err(AppError::Refused { code: "SUPPRESSION_EXISTS", .. }) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    async fn away(&mut self, contact: ContactId, back_on: Option<NaiveDate>, arrived_at: DateTime<Utc>) -> Result<()> {
        // A run that began after the answer had come is paused as well: the person is away now. Runs are locked before turns
        // are taken, here as everywhere; one that began while the turn was waited for is not locked.
        let live = self.tx.live_enrollments_of(contact).await?;
        absences_in_turn(self.tx, contact).await?;
        let locked: BTreeSet<Uuid> = live.iter().map(|run| run.id.into()).collect();
        if !self.tx.live_enrollment_ids_of(&[contact]).await?.is_subset(&locked) {
            return Err(StoreError::Conflict.into());
        }
        let found: Option<Contact> = self.tx.peek(contact).await?;
        let zone = found.and_then(|contact| contact.time_zone).unwrap_or(Tz::UTC);
        let Some(until) = received::goes_on_at(back_on, zone, arrived_at, self.now) else { return Ok(()) };
        for run in live {
            if let Some(paused) = enrollment::away(run, until, self.now) {
                let run = self.take(paused);
                self.made.applied.enrollments.push(run.id);
                self.made.applied.until = Some(until);
                self.made.runs.push((run, (None, Vec::new())));
            }
        }
        Ok(())
    }

    /// A reply ends the runs whose definition says so: those of the person who was written to, and those of a colleague who
    /// answers instead.
    async fn reply(
        &mut self,
        received: &ReceivedEmail,
        ours: Option<&Email>,
        concerned: ContactId,
        author: Option<ContactId>,
    ) -> Result<()> {
        let mut people = vec![concerned];
        people.extend(author.filter(|author| *author != concerned));
        // In one order for everybody, so that two replies do not wait for each other.
        people.sort();
        let mut live = Vec::new();
        for person in people {
            live.extend(self.tx.live_enrollments_of(person).await?);
        }
        for run in live {
            let answered = ours.is_some_and(|email| email.enrollment == Some(run.id));
            // What was written before a run began is no answer to it. Who answers its e-mail wrote after it, whatever the
            // mailbox's clock says.
            if !answered && run.started_at > received.arrived_at {
                continue;
            }
            let version: Option<SequenceVersion> = self.tx.peek(run.version).await?;
            let rule = version.map(|version| version.definition.header.stop_on_reply).unwrap_or_default();
            let ends = match rule {
                StopOnReply::Any => true,
                StopOnReply::Sequence => answered,
                StopOnReply::Never => false,
            };
            if ends {
                let lead = lead_of(self.tx, &run).await?;
                let ended = enrollment::finish(run, FinishReason::Replied, self.now)?;
                let ended = let_go(self.tx, ended, lead, self.env, self.now).await?;
                let ended = self.take(ended);
                self.made.applied.enrollments.push(ended.0.id);
                self.made.runs.push(ended);
            }
        }
        self.record(received, ours, author.unwrap_or(concerned)).await
    }

    /// What the person did, for the record of what people did.
    async fn record(&mut self, received: &ReceivedEmail, ours: Option<&Email>, person: ContactId) -> Result<()> {
        let Some(contact) = self.tx.peek::<Contact>(person).await? else { return Ok(()) };
        let subject = interaction::name_of(&self.env.mail.links.hide(&received.reading.subject));
        let properties = json!({
            "receivedEmail": global("ReceivedEmail", received.id.into()),
            "email": ours.map(|email| global("Email", email.id.into())),
            "step": ours.map(|email| email.step.clone()),
        });
        let draft = Draft {
            kind: InteractionKind::EmailReply,
            name: if subject.is_empty() { "(no subject)".to_owned() } else { subject },
            occurred_at: Some(received.arrived_at.max(DateTime::UNIX_EPOCH).min(self.now)),
            seconds: None,
            url: None,
            properties: properties.as_object().cloned().unwrap_or_default(),
        };
        let id = interaction::id_of(&format!("reply {}", received.id), received.arrived_at);
        let recorded = interaction::record(id, (contact.id, contact.account), draft, self.now)?;
        self.made.interaction = Some(self.take(recorded));
        Ok(())
    }
}
