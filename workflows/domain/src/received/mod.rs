//! E-mails that arrive: answers, reports of mail servers, complaints, and what people who are away have set up.
//!
//! ```text
//! NEW -> APPLIED     it concerned one of our e-mails or contacts, and did what its kind does
//!     -> UNMATCHED   it concerns nobody here
//! ```
//!
//! It is stored before anything is done, once however often it is brought, and without its attachments.

pub mod away;
pub mod reading;
mod told;

pub use reading::{Content, DeliveryReport, Reading, ReportedAs};
pub use told::{Reported, Told, told};

use crate::codes;
use crate::decision::{Decision, Fact, Job};
use crate::id::{ContactId, EmailId, EnrollmentId, ReceivedEmailId};
use chrono::{DateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How long an enrolment pauses for somebody who is away and does not say until when.
pub const AWAY_WITHOUT_A_DATE: TimeDelta = TimeDelta::days(7);
/// The hour of the first day back at which a paused enrolment goes on, in the contact's zone.
const BACK_AT: u32 = 9;

codes! {
    /// What an e-mail that arrived is.
    pub enum ReceivedKind("kind of received e-mail") {
        /// A person answers one of our e-mails, or a contact writes.
        Reply = "REPLY",
        /// A machine answers that the person is away.
        OutOfOffice = "OUT_OF_OFFICE",
        /// A machine wrote it: it is no reply.
        Automatic = "AUTOMATIC",
        /// A mail server says that an e-mail could not be delivered.
        Bounce = "BOUNCE",
        /// A mail server says that an e-mail is late, or was delivered.
        DeliveryReport = "DELIVERY_REPORT",
        /// Somebody reported an e-mail as unwanted.
        Complaint = "COMPLAINT",
        /// One of us wrote it, who answers by hand: it is no reply to us.
        Own = "OWN",
        /// Somebody asks by e-mail not to be written to, as a mail program does for a click on "unsubscribe".
        Unsubscribe = "UNSUBSCRIBE",
        /// It could not be taken apart.
        Unreadable = "UNREADABLE",
    }
}

codes! {
    /// What was done with an e-mail that arrived.
    pub enum ReceivedState("state of a received e-mail") {
        /// Nothing yet.
        New = "NEW",
        /// What its kind does.
        Applied = "APPLIED",
        /// Nothing: it concerns none of our e-mails and no contact.
        Unmatched = "UNMATCHED",
    }
}

/// An e-mail that arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedEmail {
    /// Its id.
    pub id: ReceivedEmailId,
    /// What it is known by, so that it is taken once.
    pub known_by: String,
    /// How it came, e.g. `imap` or `webhook:replies`.
    pub via: String,
    /// When it came to the mailbox, or to the provider. Nothing that began later is ended by it.
    pub arrived_at: DateTime<Utc>,
    /// When it was taken in here.
    pub taken_at: DateTime<Utc>,
    /// What it says.
    pub reading: Reading,
    /// What it is.
    pub kind: ReceivedKind,
    /// What was done with it.
    pub state: ReceivedState,
    /// The e-mail of ours that it is about.
    pub email: Option<EmailId>,
    /// The contact that it is of, or about.
    pub contact: Option<ContactId>,
    /// The enrolments that it ended, paused or let go on.
    pub enrollments: Vec<EnrollmentId>,
    /// Until when it paused them.
    pub until: Option<DateTime<Utc>>,
}

/// Why something cannot be done with an e-mail that arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was done.
    #[error("this e-mail is {state}; nothing is left to do")]
    Settled {
        /// Where it stands.
        state: ReceivedState,
    },
    /// Nothing says who wrote it or what it is about.
    #[error("give the whole message as `raw`, or at least `from`, `about` or `inReplyTo`")]
    Empty,
    /// Not the text of bytes.
    #[error("`rawBase64` is not Base64")]
    NotBase64,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Settled { .. } => "RECEIVED_EMAIL_SETTLED",
            Self::Empty => "RECEIVED_EMAIL_EMPTY",
            Self::NotBase64 => "RECEIVED_EMAIL_NOT_BASE64",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Settled { .. } => None,
            Self::Empty => Some("raw"),
            Self::NotBase64 => Some("rawBase64"),
        }
    }
}

/// What an e-mail is known by: its Message-ID and author, else what it says and `brought_as`, by which whoever brought it tells
/// it from others. Two mailboxes that get the same one, and two ways to bring it here, make no second.
pub fn known_by(reading: &Reading, brought_as: &str) -> String {
    let mut digest = Sha256::new();
    match &reading.message_id {
        Some(id) => digest.update(id),
        None => {
            digest.update(brought_as);
            digest.update(serde_json::to_vec(reading).unwrap_or_default());
        }
    }
    digest.update(reading.from.as_ref().map(|from| from.address.to_lowercase()).unwrap_or_default());
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An e-mail as it is brought: how, by what it is told from others, and when it arrived, where that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Brought {
    /// What it says.
    pub reading: Reading,
    /// How it came, e.g. `imap` or `webhook:replies`.
    pub via: String,
    /// By what whoever brings it tells it from others; it counts where there is no Message-ID.
    pub brought_as: String,
    /// When it came to the mailbox, or to the provider.
    pub arrived_at: Option<DateTime<Utc>>,
}

/// Takes an e-mail in that is not known yet by `known_by`; what it does is done by a job at once.
pub fn take(id: ReceivedEmailId, known_by: String, brought: Brought, now: DateTime<Utc>) -> Decision<ReceivedEmail> {
    let Brought { reading, via, arrived_at, .. } = brought;
    let kind = match &reading.content {
        Content::Letter => ReceivedKind::Reply,
        Content::Automatic { away: true, .. } => ReceivedKind::OutOfOffice,
        Content::Automatic { away: false, .. } => ReceivedKind::Automatic,
        Content::Delivery(DeliveryReport { outcome: ReportedAs::Failed, .. }) => ReceivedKind::Bounce,
        Content::Delivery(_) => ReceivedKind::DeliveryReport,
        Content::Complaint { .. } => ReceivedKind::Complaint,
        Content::Unreadable => ReceivedKind::Unreadable,
    };
    let received = ReceivedEmail {
        id,
        known_by,
        via,
        // A mailbox whose clock is wrong brings nothing from the future, and nothing from before all clocks.
        arrived_at: arrived_at.map_or(now, |at| at.max(DateTime::UNIX_EPOCH).min(now)),
        taken_at: now,
        reading,
        kind,
        state: ReceivedState::New,
        email: None,
        contact: None,
        enrollments: Vec::new(),
        until: None,
    };
    // Neither subject nor address: the ledger could not forget them.
    let fact = Fact::audit("received_email.taken", id).with("kind", kind).with("via", &received.via);
    Decision::new(received, fact).plan(Job::ApplyReceivedEmail { received: id }, now)
}

/// Whom an e-mail concerns, and what it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The e-mail of ours.
    pub email: Option<EmailId>,
    /// The contact.
    pub contact: Option<ContactId>,
    /// The enrolments that it ended, paused or let go on.
    pub enrollments: Vec<EnrollmentId>,
    /// Until when it paused them.
    pub until: Option<DateTime<Utc>>,
}

/// Records what an e-mail did; that of one which concerns nobody is nothing.
pub fn settle(
    received: ReceivedEmail,
    kind: ReceivedKind,
    applied: Applied,
) -> Result<Decision<ReceivedEmail>, Refusal> {
    if received.state != ReceivedState::New {
        return Err(Refusal::Settled { state: received.state });
    }
    let Applied { email, contact, enrollments, until } = applied;
    let state = if email.is_none() && contact.is_none() { ReceivedState::Unmatched } else { ReceivedState::Applied };
    let fact = Fact::audit("received_email.applied", received.id)
        .moved(received.state, state)
        .with("kind", kind)
        .with("email", email)
        .with("contact", contact)
        .with("enrollments", &enrollments)
        .with("until", until);
    Ok(Decision::new(ReceivedEmail { kind, state, email, contact, enrollments, until, ..received }, fact))
}

/// When an enrolment of somebody goes on who is away: in the morning of the first day back in the contact's zone, or where no
/// day is said [`AWAY_WITHOUT_A_DATE`] after the answer came. None where that is past: whoever is back need not be left alone.
pub fn goes_on_at(
    back_on: Option<chrono::NaiveDate>,
    zone: Tz,
    arrived_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let morning = back_on.and_then(|day| {
        let nine = day.and_time(NaiveTime::from_hms_opt(BACK_AT, 0, 0)?);
        // A morning that a change of the clocks leaves out comes an hour later.
        let there = zone.from_local_datetime(&nine).earliest();
        there.or_else(|| zone.from_local_datetime(&(nine + TimeDelta::hours(1))).earliest())
    });
    let at = match back_on {
        Some(_) => morning.map(|at| at.with_timezone(&Utc)),
        None => Some(arrived_at + AWAY_WITHOUT_A_DATE),
    };
    at.filter(|at| *at > now)
}

/// What people write, and nothing else, who want no more e-mails.
const STOP: [&str; 27] = [
    "unsubscribe please",
    "please unsubscribe me from this list",
    "take me off your list",
    "take me off your mailing list",
    "please take me off your mailing list",
    "désabonner",
    "退訂",
    "不要再发邮件",
    "请勿再发邮件",
    "unsubscribe",
    "please unsubscribe",
    "unsubscribe me",
    "please unsubscribe me",
    "stop",
    "remove",
    "remove me",
    "please remove me",
    "opt out",
    "opt-out",
    "abmelden",
    "bitte abmelden",
    "désinscription",
    "désinscrire",
    "darse de baja",
    "baja",
    "退订",
    "取消订阅",
];

/// Whether the first line of a reply asks for no more e-mails and says nothing else. A line with more in it is for a person
/// to read.
pub fn asks_to_stop(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_lowercase();
    STOP.contains(&first.trim_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation() || "。!".contains(c)))
}

/// The e-mail of ours that a Message-ID belongs to, as far as its form says: the e-mail itself must have the same one.
pub fn ours(message_id: &str) -> Option<EmailId> {
    let (local, _) = message_id.split_once('@')?;
    // Ours are written without hyphens; another form of the same number is somebody else's.
    (local.len() == 32).then(|| Uuid::try_parse(local).ok()).flatten().map(EmailId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::email::Mailbox;

    fn now() -> DateTime<Utc> {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    fn letter() -> Reading {
        let from = Some("Ann Lee <ann@acme.example>".to_owned());
        told(Told { from, about: Some("<a@b.example>, c@d.example".to_owned()), ..Told::default() }, now()).unwrap()
    }

    #[test]
    fn what_a_provider_tells_is_read_like_the_message() {
        let read = letter();
        assert_eq!(read.from, Some(Mailbox::named("Ann Lee", "ann@acme.example")));
        assert_eq!(
            (read.about.as_slice(), read.content),
            (["a@b.example".to_owned(), "c@d.example".to_owned()].as_slice(), Content::Letter)
        );
        let away = Told {
            from: Some("ann@acme.example".to_owned()),
            subject: Some("Out of office".to_owned()),
            text: Some("Back on 2026-12-07".to_owned()),
            auto_submitted: Some("auto-replied".to_owned()),
            ..Told::default()
        };
        let back_on = Some("2026-12-07".parse().unwrap());
        assert_eq!(told(away, now()).unwrap().content, Content::Automatic { away: true, back_on });
        let bounce = Told {
            about: Some("x@y.example".to_owned()),
            report: Some(Reported::Failed),
            status: Some("5.1.1".to_owned()),
            ..Told::default()
        };
        assert!(matches!(
            told(bounce, now()).unwrap().content,
            Content::Delivery(DeliveryReport { outcome: ReportedAs::Failed, status: Some([5, 1, 1]), .. })
        ));
        assert_eq!(told(Told::default(), now()), Err(Refusal::Empty));
    }

    #[test]
    fn a_machine_that_a_provider_tells_of_is_one_without_the_header_too() {
        let of = |from: &str, subject: &str| {
            let (from, subject) = (Some(from.to_owned()), Some(subject.to_owned()));
            let in_reply_to = Some("<a@b.example>".to_owned());
            told(Told { from, subject, in_reply_to, ..Told::default() }, now()).unwrap().content
        };
        let machine = Content::Automatic { away: false, back_on: None };
        assert_eq!(of("Mail Delivery System <MAILER-DAEMON@mx.example>", "Undelivered"), machine);
        assert_eq!(of("no-reply@acme.example", "Ticket 4711"), machine);
        assert!(matches!(of("ann@acme.example", "Automatic reply: Hello"), Content::Automatic { away: true, .. }));
        assert_eq!(of("ann@acme.example", "Re: Hello"), Content::Letter);
    }

    #[test]
    fn an_e_mail_is_known_by_its_id_and_author() {
        let one = Reading { message_id: Some("m1@acme.example".to_owned()), ..letter() };
        let again = Reading { text: "quoted otherwise".to_owned(), ..one.clone() };
        assert_eq!(known_by(&one, "a"), known_by(&again, "b"));
        let other = Reading { from: Some(Mailbox::bare("bob@acme.example")), ..one.clone() };
        assert_ne!(known_by(&one, "a"), known_by(&other, "a"));
        // Without an id two that say the same may be two.
        assert_ne!(known_by(&letter(), "a"), known_by(&letter(), "b"));
        assert_ne!(known_by(&letter(), "a"), known_by(&Reading { text: "x".to_owned(), ..letter() }, "a"));
    }

    #[test]
    fn what_was_settled_is_not_settled_again() {
        let later = Some(now() + TimeDelta::days(1));
        let brought =
            Brought { reading: letter(), via: "imap".to_owned(), brought_as: String::new(), arrived_at: later };
        let taken = take(ReceivedEmailId(Uuid::nil()), "a".to_owned(), brought.clone(), now());
        assert_eq!(taken.next.arrived_at, now(), "nothing arrives ahead");
        let ancient = Brought { arrived_at: Some(DateTime::UNIX_EPOCH - TimeDelta::days(1)), ..brought };
        let ancient = take(ReceivedEmailId(Uuid::nil()), "a".to_owned(), ancient, now());
        assert_eq!(ancient.next.arrived_at, DateTime::UNIX_EPOCH);
        assert_eq!((taken.next.state, taken.jobs.len()), (ReceivedState::New, 1));
        let contact = Some(ContactId(Uuid::nil()));
        let applied = Applied { contact, ..Applied::default() };
        let settled = settle(taken.next.clone(), ReceivedKind::Reply, applied.clone()).unwrap().next;
        assert_eq!(settled.state, ReceivedState::Applied);
        assert_eq!(
            settle(settled, ReceivedKind::Reply, applied),
            Err(Refusal::Settled { state: ReceivedState::Applied })
        );
        let nobody = settle(taken.next, ReceivedKind::Reply, Applied::default()).unwrap().next;
        assert_eq!(nobody.state, ReceivedState::Unmatched);
    }

    #[test]
    fn who_is_back_is_written_to_in_the_morning_there() {
        let zone = Tz::America__New_York;
        let at = |day: &str| goes_on_at(Some(day.parse().unwrap()), zone, now(), now());
        assert_eq!(at("2026-12-04"), Some("2026-12-04T14:00:00Z".parse::<DateTime<Utc>>().unwrap()));
        assert_eq!(at("2026-11-22"), Some("2026-11-22T14:00:00Z".parse::<DateTime<Utc>>().unwrap()));
        assert_eq!(at("2026-11-21"), None, "whoever is back is not left alone");
        assert_eq!(goes_on_at(None, zone, now(), now()), Some(now() + AWAY_WITHOUT_A_DATE));
        assert_eq!(goes_on_at(None, zone, now() - TimeDelta::days(8), now()), None);
    }

    #[test]
    fn who_says_stop_and_nothing_else_is_understood() {
        for text in ["STOP", "\n Please unsubscribe me.\n\n> Hi", "退订", "Remove me!"] {
            assert!(asks_to_stop(text), "{text}");
        }
        for text in ["", "Stop by on Monday", "How do I unsubscribe?", "No need to stop", "> unsubscribe here"] {
            assert!(!asks_to_stop(text), "{text}");
        }
    }

    #[test]
    fn only_our_form_of_a_message_id_is_ours() {
        let id = Uuid::from_u128(7);
        assert_eq!(ours(&format!("{}@example.com", id.as_simple())), Some(EmailId(id)));
        for other in
            [format!("{id}@example.com"), format!("{{{id}}}@x"), "abc@x".to_owned(), id.as_simple().to_string()]
        {
            assert_eq!(ours(&other), None, "{other}");
        }
    }
}
