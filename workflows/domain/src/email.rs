//! One e-mail to one person, and the three beats of sending it: begin, the effect, settle.
//!
//! ```text
//! PLANNED -> SENDING -> SENT
//!    |        |  |  \-> BOUNCED            the other side refused it for good: the mailbox is gone, or it does not
//!    |        |  |                           want an e-mail like this from us
//!    |        |  \----> DEFERRED -> SENDING  it may be tried again later
//!    |        \-------> UNKNOWN            it may have gone out: never sent again without a person's word
//!    \-> REFUSED                           the person may not be written to any more
//! ```
//!
//! [`begin`] is the last gate before the network: it looks at suppression, consent and the enrolment again, in the
//! transaction that records the attempt. An e-mail found in SENDING by a later run of its job was begun by a process
//! that died or lost its lease: nobody can tell whether it went out, so it becomes UNKNOWN.

mod delivery;
mod holding;
mod refusal;

pub use delivery::Delivery;
pub use holding::{GIVE_UP_AFTER, HeldFor, HoldReason, Patience, Room, give_slot, release, skip, withdraw};
pub use refusal::Refusal;

use crate::codes;
use crate::decision::{Decision, Fact, Job};
use crate::id::{AccountId, ContactId, EmailId, EnrollmentId, LeadId, SendingMailboxId, SequenceId};
use crate::received::{DeliveryReport, ReportedAs};
use crate::sequence::enrollment::{Enrollment, EnrollmentState, FinishReason};
use crate::sequence::publishing::SequenceState;
use crate::sequence::window::Hours;
use crate::standing::Standing;
use crate::suppression;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

codes! {
    /// Where an e-mail stands.
    pub enum EmailState("e-mail state") {
        /// To be sent.
        Planned = "PLANNED",
        /// Handed to the network; the outcome is not recorded yet.
        Sending = "SENDING",
        /// The mail server took it.
        Sent = "SENT",
        /// The mail server said "later", or could not be reached; it is tried again by itself.
        Deferred = "DEFERRED",
        /// Refused for good.
        Bounced = "BOUNCED",
        /// It may or may not have gone out.
        Unknown = "UNKNOWN",
        /// Not sent, since the person may not be written to.
        Refused = "REFUSED",
    }
}

codes! {
    /// Why a planned e-mail was not sent.
    pub enum Obstacle("e-mail obstacle") {
        /// The address or its domain is suppressed.
        Suppressed = "SUPPRESSED",
        /// The person withdrew the consent.
        ConsentWithdrawn = "CONSENT_WITHDRAWN",
        /// It is not known that the person agreed, and did not become known within five days.
        ConsentUnknown = "CONSENT_UNKNOWN",
        /// The person opted out.
        OptedOut = "OPTED_OUT",
        /// The mailbox does not exist.
        MailboxGone = "MAILBOX_GONE",
        /// The enrolment that planned it was ended meanwhile.
        EnrollmentEnded = "ENROLLMENT_ENDED",
        /// The contact was merged away, erased or has another address now.
        ContactGone = "CONTACT_GONE",
        /// It could not be handed to a mail server within five days.
        Expired = "EXPIRED",
        /// It was held while its sequence was paused, and what was held then was to be left out.
        BacklogSkipped = "BACKLOG_SKIPPED",
    }
}

codes! {
    /// What a person decides about an e-mail of unknown fate.
    pub enum Resolution("e-mail resolution") {
        /// It did go out.
        Sent = "SENT",
        /// It did not: send it again. The recipient may get it twice if that is wrong.
        Resend = "RESEND",
    }
}

/// What stands in a stored e-mail where the recipient's link to unsubscribe goes. The link itself is put in on the way
/// out: whoever reads the e-mail here must not be able to unsubscribe the person.
pub const UNSUBSCRIBE_HERE: &str = "{{ unsubscribe_url }}";

/// A name and an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// The name to show, where there is one.
    #[serde(default)]
    pub name: Option<String>,
    /// The address.
    pub address: String,
}

impl Mailbox {
    /// An address without a name.
    pub fn bare(address: impl Into<String>) -> Self {
        Self { name: None, address: address.into() }
    }

    /// An address with a name.
    pub fn named(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self { name: Some(name.into()), address: address.into() }
    }

    /// What it is called: its name, else its address.
    pub fn called(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.address)
    }
}

/// One e-mail to one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Email {
    /// Its id.
    pub id: EmailId,
    /// The enrolment that planned it, where one did. (enrollment, step, visit) is unique.
    pub enrollment: Option<EnrollmentId>,
    /// The step's name within its sequence; for an e-mail without enrolment, what it is for.
    pub step: String,
    /// The enrolment's visit counter when it was planned.
    pub visit: u32,
    /// Whom it goes to.
    pub contact: ContactId,
    /// The lead it concerns, where it concerns one.
    pub lead: Option<LeadId>,
    /// The account it concerns, where it concerns one.
    pub account: Option<AccountId>,
    /// The recipient, as of planning.
    pub to: Mailbox,
    /// The subject: one line. In it, the text and the HTML, [`UNSUBSCRIBE_HERE`] stands for the link.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML; none for a text-only e-mail.
    pub html: Option<String>,
    /// The hours in which it may go out; none for always.
    #[serde(default)]
    pub hours: Option<Hours>,
    /// The sender.
    pub from: Mailbox,
    /// Where answers go, where that is not the sender.
    pub reply_to: Option<Mailbox>,
    /// The Message-ID without its angle brackets; made from the id, so that a second try has the same one.
    pub message_id: String,
    /// Where it stands.
    pub state: EmailState,
    /// How often it was begun. It is also the fence of [`settle`].
    pub attempts: u32,
    /// Why it was not sent, where it was refused here, or where the other side says that the mailbox is gone.
    pub obstacle: Option<Obstacle>,
    /// What the other side answered, or what went wrong, at the last try.
    pub error: Option<String>,
    /// When it was planned.
    pub planned_at: DateTime<Utc>,
    /// When the last try began.
    pub begun_at: Option<DateTime<Utc>>,
    /// When it came to its present end.
    pub settled_at: Option<DateTime<Utc>>,
    /// What it waits for, where the last look found that it had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_for: Option<HeldFor>,
    /// From when on its five days count, where that is not when it was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<Patience>,
    /// Whether the person waits for it: no hours, caps or mailbox hold it back, and it counts for none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transactional: bool,
    /// The mailbox that it goes out from, where it is one of a pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<SendingMailboxId>,
    /// While it waits to be begun: when it is expected to go out; none while that depends on somebody's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_at: Option<DateTime<Utc>>,
    /// The moment that its mailbox gave it, until it is begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_at: Option<DateTime<Utc>>,
    /// Since when it waits in the line of its mailbox; it then has no job of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<DateTime<Utc>>,
    /// The sequence that it waits for, which was paused when it was to go out; it then has no job of its own. See [`release`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_with: Option<SequenceId>,
}

/// What to send to whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The id it will have.
    pub id: EmailId,
    /// The enrolment, the step's name and the visit; for an e-mail without enrolment, what it is for and 0.
    pub origin: (Option<EnrollmentId>, String, u32),
    /// Whom it goes to.
    pub contact: ContactId,
    /// The lead it concerns.
    pub lead: Option<LeadId>,
    /// The account it concerns.
    pub account: Option<AccountId>,
    /// The recipient.
    pub to: Mailbox,
    /// The sender.
    pub from: Mailbox,
    /// Where answers go, where that is not the sender.
    pub reply_to: Option<Mailbox>,
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: Option<String>,
    /// The hours in which it may go out; none for always.
    pub hours: Option<Hours>,
    /// Whether the person waits for it, so that nothing but consent and suppression holds it back.
    pub transactional: bool,
    /// The mailbox that it goes out from, where it is one of a pool.
    pub mailbox: Option<SendingMailboxId>,
}

/// What is known, at this moment and in this transaction, about the person and the reason for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Whether the person may be written to at the e-mail's address.
    pub standing: Standing,
    /// Whether the contact still exists under this address.
    pub contact_current: bool,
    /// What the enrolment says; [`Gate::Open`] for an e-mail without enrolment.
    pub enrollment: Gate,
    /// While it is [`Gate::Held`]: when the pause ends by itself, where it does.
    pub held_until: Option<DateTime<Utc>>,
}

/// What an enrolment says about an e-mail that it planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It may go out.
    Open,
    /// The enrolment is paused: it waits.
    Held,
    /// The whole sequence is paused: it waits for that one to go on.
    HeldWith(SequenceId),
    /// Something other than its own steps ended the enrolment: it shall not go out any more.
    Shut,
}

impl Gate {
    /// What an enrolment says about the e-mails that it planned. One that came to its end by its own steps leaves them alone:
    /// they are a part of the way that it went. One that anything else ended takes them back, whatever that was: the goal came
    /// about, the exit held, the person answered, somebody ended it. One that failed leaves them alone too: that a later step
    /// could not be taken says nothing against what was decided before it, and nobody decided that the person is to be left
    /// alone.
    pub const fn of(enrollment: &Enrollment) -> Self {
        use EnrollmentState::{Active, Bounced, Exited, Failed, Finished, OptedOut, Paused, Pending, Waiting};
        match enrollment.state {
            Pending | Active | Waiting(_) | Failed | Finished(FinishReason::Completed) => Self::Open,
            Paused(_) => Self::Held,
            Finished(_) | Exited(_) if enrollment.memory.ended_by_step => Self::Open,
            Finished(_) | Exited(_) | OptedOut | Bounced => Self::Shut,
        }
    }
}

impl Gate {
    /// The same, with what the sequence of the enrolment says: one that is paused holds everything that has not gone out, also
    /// of runs that came to their end; one that is archived sends nothing any more.
    pub const fn within(self, sequence: SequenceId, state: SequenceState) -> Self {
        match (self, state) {
            (Self::Shut, _) | (_, SequenceState::Archived) => Self::Shut,
            (_, SequenceState::Paused) => Self::HeldWith(sequence),
            (gate, SequenceState::Draft | SequenceState::Active) => gate,
        }
    }
}

impl Known {
    /// The strongest reason never to send the e-mail; none if it may be sent, now or later.
    pub const fn obstacle(self) -> Option<Obstacle> {
        match (self.standing, self.enrollment) {
            (Standing::OptedOut, _) => Some(Obstacle::OptedOut),
            (Standing::Suppressed, _) => Some(Obstacle::Suppressed),
            (Standing::Withdrawn, _) => Some(Obstacle::ConsentWithdrawn),
            (Standing::Bounced, _) => Some(Obstacle::MailboxGone),
            _ if !self.contact_current => Some(Obstacle::ContactGone),
            (_, Gate::Shut) => Some(Obstacle::EnrollmentEnded),
            (Standing::Allowed | Standing::Unknown, Gate::Open | Gate::Held | Gate::HeldWith(_)) => None,
        }
    }
}

/// What the fate of an e-mail means for the enrolment that planned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// The e-mail is not settled: nothing yet.
    Wait,
    /// It goes on: the e-mail was sent, or may have been, or was not for a reason that does not end a run.
    GoOn,
    /// It ends as bounced.
    Bounced,
    /// It ends as opted out.
    OptedOut,
}

impl Email {
    /// What its fate means for the enrolment that planned it.
    pub const fn outlook(&self) -> Outlook {
        match (self.state, self.obstacle) {
            (EmailState::Planned | EmailState::Sending | EmailState::Deferred, _) => Outlook::Wait,
            (EmailState::Bounced | EmailState::Refused, Some(Obstacle::MailboxGone)) => Outlook::Bounced,
            (EmailState::Refused, Some(Obstacle::OptedOut | Obstacle::Suppressed | Obstacle::ConsentWithdrawn)) => {
                Outlook::OptedOut
            }
            (EmailState::Sent | EmailState::Bounced | EmailState::Unknown | EmailState::Refused, _) => Outlook::GoOn,
        }
    }

    /// What the record of its run says of it: which e-mail, of which step, and where it is.
    pub fn told(&self) -> Value {
        serde_json::json!({"id": self.id, "step": self.step, "state": self.state.to_string(), "obstacle": self.obstacle})
    }

    /// How the person stands whom it did not reach for that; none where it was for another reason, or reached them.
    pub const fn standing(&self) -> Option<Standing> {
        match self.obstacle {
            Some(Obstacle::OptedOut) => Some(Standing::OptedOut),
            Some(Obstacle::Suppressed) => Some(Standing::Suppressed),
            Some(Obstacle::ConsentWithdrawn) => Some(Standing::Withdrawn),
            Some(Obstacle::MailboxGone) => Some(Standing::Bounced),
            _ => None,
        }
    }

    fn fact(&self, kind: &'static str) -> Fact {
        Fact::ledger(kind, self.id)
            .lead(self.lead)
            .account(self.account)
            .with("contact", self.contact)
            .with("step", &self.step)
            .with("attempt", self.attempts)
    }

    fn turn(self, state: EmailState, kind: &'static str) -> Decision<Self> {
        let fact = self.fact(kind).moved(self.state, state);
        Decision::new(Self { state, ..self }, fact)
    }
}

fn one_line(field: &'static str, text: &str) -> Result<(), Refusal> {
    if text.chars().any(char::is_control) { Err(Refusal::LineBreak { field }) } else { Ok(()) }
}

fn check_mailbox(field: &'static str, mailbox: &Mailbox) -> Result<(), Refusal> {
    one_line(field, &mailbox.address)?;
    one_line(field, mailbox.name.as_deref().unwrap_or_default())?;
    suppression::normalise(suppression::SuppressionKind::Email, &mailbox.address)
        .map(drop)
        .map_err(|_| Refusal::NotAnAddress { field })
}

/// Plans an e-mail: it is written down and its delivery falls due at once. The Message-ID ends in the sender's domain.
pub fn plan(draft: Draft, known: Known, now: DateTime<Utc>) -> Result<Decision<Email>, Refusal> {
    one_line("subject", &draft.subject)?;
    if draft.subject.trim().is_empty() {
        return Err(Refusal::SubjectEmpty);
    }
    if draft.text.trim().is_empty() {
        return Err(Refusal::TextEmpty);
    }
    check_mailbox("to", &draft.to)?;
    check_mailbox("from", &draft.from)?;
    if let Some(reply_to) = &draft.reply_to {
        check_mailbox("replyTo", reply_to)?;
    }
    // The enrolment that plans it is just being advanced, so only the person can be what is waited for.
    let unknown = (known.standing == Standing::Unknown).then_some(Obstacle::ConsentUnknown);
    if let Some(obstacle) = known.obstacle().or(unknown) {
        return Err(Refusal::MayNotWrite { obstacle });
    }
    let Draft {
        id,
        origin: (enrollment, step, visit),
        contact,
        lead,
        account,
        to,
        from,
        reply_to,
        subject,
        text,
        html,
        hours,
        transactional,
        mailbox,
    } = draft;
    let sender = suppression::normalise(suppression::SuppressionKind::Email, &from.address)
        .map_err(|_| Refusal::NotAnAddress { field: "from" })?;
    let domain = sender.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let message_id = format!("{}@{domain}", id.0.as_simple());
    let email = Email {
        id,
        enrollment,
        step,
        visit,
        contact,
        lead,
        account,
        to,
        subject,
        text,
        html,
        hours,
        from,
        reply_to,
        message_id,
        state: EmailState::Planned,
        attempts: 0,
        obstacle: None,
        error: None,
        planned_at: now,
        begun_at: None,
        settled_at: None,
        held_for: None,
        patience: None,
        transactional,
        mailbox,
        expected_at: Some(now),
        slot_at: None,
        queued_at: None,
        held_with: None,
    };
    let fact = email.fact("email.planned").with("enrollment", email.enrollment).with("message_id", &email.message_id);
    Ok(deliver(Decision::new(email, fact), now))
}

/// Begins a try; or refuses the e-mail for good if the person may not be written to; or lets it wait while that is not known, its
/// enrolment or its sequence is paused, or there is no `room` for it: look at the state of the result. A look that finds it waiting for the
/// same as before records nothing.
///
/// After it, the state is SENDING and the one who began must send and then [`settle`].
pub fn begin(email: Email, known: Known, room: &Room<'_>, now: DateTime<Utc>) -> Result<Decision<Email>, Refusal> {
    if !matches!(email.state, EmailState::Planned | EmailState::Deferred) {
        return Err(Refusal::NotWaiting { state: email.state });
    }
    if let Some(obstacle) = known.obstacle() {
        return Ok(refuse(email, obstacle, now));
    }
    if email.held_with.is_some() {
        // Whoever lets it go on knows what becomes of what was held; until then no look of its own changes that.
        return Ok(Decision::unchanged(email));
    }
    let pauses = matches!(known.enrollment, Gate::Held | Gate::HeldWith(_));
    let email = if pauses { email } else { email.after_pause(now) };
    match (known.standing, known.enrollment) {
        (_, Gate::HeldWith(sequence)) => return Ok(holding::with_sequence(email, sequence)),
        (Standing::Unknown, _) => return Ok(holding::for_consent(email, now)),
        (_, Gate::Held) => return Ok(holding::for_pause(email, known.held_until, now)),
        _ => {}
    }
    if let Some(reason) = room.lacks(&email, now) {
        return Ok(holding::for_room(email, reason, now));
    }
    let begun = Email {
        attempts: email.attempts.saturating_add(1),
        begun_at: Some(now),
        settled_at: None,
        held_for: None,
        expected_at: None,
        slot_at: None,
        queued_at: None,
        ..email
    };
    Ok(begun.turn(EmailState::Sending, "email.begun"))
}

fn refuse(email: Email, obstacle: Obstacle, now: DateTime<Utc>) -> Decision<Email> {
    let mut decision = Email { obstacle: Some(obstacle), settled_at: Some(now), held_with: None, ..email }
        .turn(EmailState::Refused, "email.refused");
    decision.facts = decision.facts.into_iter().map(|fact| fact.because(obstacle)).collect();
    decision
}

/// Plans the delivery. Limits per key of its queue are per domain of the recipient: what a mail provider counts.
fn deliver(decision: Decision<Email>, due: DateTime<Utc>) -> Decision<Email> {
    let job = Job::DeliverEmail { email: decision.next.id };
    let address = suppression::normalise(suppression::SuppressionKind::Email, &decision.next.to.address);
    match address.as_deref().map(|address| address.rsplit_once('@')) {
        Ok(Some((_, domain))) => decision.plan_under(domain, job, due),
        _ => decision.plan(job, due),
    }
}

/// How long to wait after the `attempt`-th try (from 1). The first waits are short for the sake of greylisting, and
/// shorter still where our own mail server could not be reached.
pub fn back_off(attempt: u32, unreached: bool) -> TimeDelta {
    const DEFERRED: [i64; 9] = [5, 15, 30, 60, 120, 240, 480, 720, 1440];
    const UNREACHED: [i64; 6] = [1, 2, 5, 10, 15, 30];
    let table: &[i64] = if unreached { &UNREACHED } else { &DEFERRED };
    let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX).min(table.len() - 1);
    TimeDelta::minutes(table[at])
}

/// Records the outcome of the try number `attempt`.
///
/// It is also taken for an e-mail that was called UNKNOWN meanwhile (its worker lost the lease but lived on), since a
/// known outcome is better than an unknown one; never for another attempt.
pub fn settle(email: Email, attempt: u32, delivery: &Delivery, now: DateTime<Utc>) -> Result<Decision<Email>, Refusal> {
    let open = matches!(email.state, EmailState::Sending | EmailState::Unknown);
    if !open || email.attempts != attempt {
        return Err(Refusal::NotSending { state: email.state, attempt: email.attempts });
    }
    let late = email.is_late(now);
    let with = |email: Email, error: Option<&str>| Email {
        error: error.map(|text| text.chars().take(1000).collect()),
        settled_at: Some(now),
        ..email
    };
    let decision = match delivery {
        Delivery::Accepted { .. } => with(email, None).turn(EmailState::Sent, "email.sent"),
        Delivery::Rejected { response, code, .. } => {
            let obstacle = delivery.mailbox_is_gone().then_some(Obstacle::MailboxGone);
            let email = Email { obstacle, ..with(email, Some(response)) };
            let mut decision = email.turn(EmailState::Bounced, "email.bounced");
            if let Some(obstacle) = obstacle {
                decision.facts = decision.facts.into_iter().map(|fact| fact.because(obstacle)).collect();
            }
            explain(decision, "code", *code)
        }
        Delivery::Deferred { response, code } if late => {
            let decision = with(email, Some(response)).turn(EmailState::Bounced, "email.bounced");
            explain(decision, "gave_up_at_code", *code)
        }
        Delivery::Unreached { error } if late => refuse(with(email, Some(error)), Obstacle::Expired, now),
        Delivery::Deferred { response: error, .. } | Delivery::Unreached { error } => {
            let due = now + back_off(attempt, matches!(delivery, Delivery::Unreached { .. }));
            let email = Email { expected_at: Some(due), ..with(email, Some(error)) };
            let decision = email.turn(EmailState::Deferred, "email.deferred");
            deliver(explain(decision, "again_at", due), due)
        }
        Delivery::Unknown { error } => return Ok(lose_sight(with(email, Some(error)), now)),
    };
    Ok(decision)
}

fn explain(mut decision: Decision<Email>, key: &str, value: impl Serialize + Copy) -> Decision<Email> {
    decision.facts = decision.facts.into_iter().map(|fact| fact.with(key, value)).collect();
    decision
}

fn lose_sight(email: Email, now: DateTime<Utc>) -> Decision<Email> {
    Email { settled_at: Some(now), ..email }.turn(EmailState::Unknown, "email.lost_sight_of")
}

/// Marks an e-mail UNKNOWN whose try was begun and whose outcome was never recorded.
pub fn recover(email: Email, now: DateTime<Utc>) -> Result<Decision<Email>, Refusal> {
    if email.state != EmailState::Sending {
        return Err(Refusal::NotSending { state: email.state, attempt: email.attempts });
    }
    let error = Some("the process that was sending it stopped before it could record the outcome".to_owned());
    Ok(lose_sight(Email { error, ..email }, now))
}

/// Records what a mail server reports about an e-mail that it took, or may have taken. None where that changes nothing: a
/// delay, a second report, a report about an e-mail that was not sent.
pub fn reported(email: Email, report: &DeliveryReport, now: DateTime<Utc>) -> Option<Decision<Email>> {
    // A report can be here before the outcome of the try is: a relay may be quick, and we slow.
    let open = matches!(email.state, EmailState::Sent | EmailState::Unknown | EmailState::Sending);
    match report.outcome {
        ReportedAs::Failed if open => {
            let obstacle = report_says_gone(&email, report).then_some(Obstacle::MailboxGone);
            let error = Some(report.diagnostic.clone()).filter(|text| !text.is_empty());
            let email = Email { obstacle, error: error.or(email.error), settled_at: Some(now), ..email };
            let mut decision = email.turn(EmailState::Bounced, "email.bounced");
            if let Some(obstacle) = obstacle {
                decision.facts = decision.facts.into_iter().map(|fact| fact.because(obstacle)).collect();
            }
            Some(explain(decision, "reported_status", report.status))
        }
        ReportedAs::Delivered if email.state == EmailState::Unknown => {
            let email = Email { error: None, settled_at: Some(now), ..email };
            Some(explain(email.turn(EmailState::Sent, "email.sent"), "reported_status", report.status))
        }
        _ => None,
    }
}

/// Whether a report says that the mailbox we wrote to is gone, so that nothing may be sent there again. Where the person
/// lets e-mails be forwarded, the other mailbox may be gone: then the e-mail came to nothing, but the address stays.
fn report_says_gone(email: &Email, report: &DeliveryReport) -> bool {
    let normal = |text: &str| suppression::normalise(suppression::SuppressionKind::Email, text).ok();
    let to = normal(&email.to.address);
    let for_it = report.recipients.is_empty() || report.recipients.iter().any(|one| normal(one) == to);
    for_it && matches!(report.status, Some([5, subject, detail]) if delivery::says_gone([subject, detail]))
}

/// Records what a person found out about an e-mail of unknown fate. A resend keeps the Message-ID and passes through
/// [`begin`] like any other try.
pub fn resolve(email: Email, resolution: Resolution, now: DateTime<Utc>) -> Result<Decision<Email>, Refusal> {
    if email.state != EmailState::Unknown {
        return Err(Refusal::NotUnknown { state: email.state });
    }
    let decision = match resolution {
        Resolution::Sent => Email { settled_at: Some(now), ..email }.turn(EmailState::Sent, "email.resolved"),
        Resolution::Resend => {
            // The five days begin again: the person asked for it now.
            let again = Email { settled_at: None, planned_at: now, patience: None, expected_at: Some(now), ..email };
            deliver(again.turn(EmailState::Planned, "email.resolved"), now)
        }
    };
    Ok(explain(decision, "resolution", resolution))
}

#[cfg(test)]
mod laws;
