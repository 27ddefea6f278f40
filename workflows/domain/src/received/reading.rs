//! What an e-mail that arrived says: who wrote it, which of our e-mails it answers, and whether a person, a machine or a
//! mail server did.
//!
//! Delivery reports are read as RFC 3464 has them, feedback reports as RFC 5965, automatic answers as RFC 3834 and the
//! headers that were used before it. Whatever has none of these and comes from a mail server's own address is not a reply
//! either.

mod parts;

use super::away;
use crate::codes;
use crate::email::Mailbox;
use crate::expression::{self, Broken};
use chrono::{DateTime, NaiveDate, Utc};
use mail_parser::{Address, HeaderValue, Message, MessagePart, MimeHeaders};
use serde::{Deserialize, Serialize};

/// How many bytes of a message are read: enough for every report and for what a person wrote above what is quoted.
pub const MAX_BYTES: usize = 256 * 1024;
/// How many characters of the text are kept.
pub const MAX_TEXT: usize = 4_000;
const MAX_LINE: usize = 300;
/// How many of the e-mails that are answered are looked for.
const MAX_ANSWERED: usize = 50;

codes! {
    /// What a mail server reports about an e-mail that it had taken.
    pub enum ReportedAs("delivery report") {
        /// It could not be delivered, and will not be.
        Failed = "FAILED",
        /// It could not be delivered yet.
        Delayed = "DELAYED",
        /// It was delivered, or handed to a server that sends no reports.
        Delivered = "DELIVERED",
    }
}

/// What a mail server reports about an e-mail that it had taken (RFC 3464).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// What became of it.
    pub outcome: ReportedAs,
    /// The status (RFC 3463): class, subject and detail.
    pub status: Option<[u16; 3]>,
    /// What the other server said.
    pub diagnostic: String,
    /// Whom it was for, as we and as the last server knew them.
    pub recipients: Vec<String>,
}

/// What an e-mail is, by its form alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// A person wrote it.
    Letter,
    /// A machine wrote it: a list, an acknowledgement, an answer of somebody who is away.
    Automatic {
        /// Whether it says that the person is away.
        away: bool,
        /// The first day on which the person is back, where it says so.
        back_on: Option<NaiveDate>,
    },
    /// A mail server says what became of an e-mail.
    Delivery(DeliveryReport),
    /// A mail provider passes on that somebody reported an e-mail as unwanted (RFC 5965).
    Complaint {
        /// The type of feedback, e.g. `abuse`.
        feedback: String,
    },
    /// It could not be taken apart.
    Unreadable,
}

/// An e-mail that arrived, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Its Message-ID without the angle brackets.
    pub message_id: Option<String>,
    /// Who wrote it.
    pub from: Option<Mailbox>,
    /// Its subject, at most 300 characters.
    pub subject: String,
    /// The beginning of its text, at most 4,000 characters.
    pub text: String,
    /// When its author sent it, as the author's clock says.
    pub sent_at: Option<DateTime<Utc>>,
    /// The Message-IDs of the e-mails that it answers or is about, the closest first.
    pub about: Vec<String>,
    /// What it is.
    pub content: Content,
}

impl Reading {
    fn unreadable() -> Self {
        let content = Content::Unreadable;
        let (message_id, from, subject, text, sent_at) = (None, None, String::new(), String::new(), None);
        Self { message_id, from, subject, text, sent_at, about: Vec::new(), content }
    }
}

/// Reads the bytes of an e-mail that arrived at a moment; what stands behind [`MAX_BYTES`] is not looked at. It never
/// fails: what cannot be taken apart is [`Content::Unreadable`].
pub fn read(raw: &[u8], arrived_at: DateTime<Utc>) -> Reading {
    let raw = &in_one_piece(&raw[..raw.len().min(MAX_BYTES)]);
    // On a stack of its own: whoever may write to a mailbox must not be able to stop whoever reads it.
    let read = match expression::with_stack(|| taken_apart(raw, arrived_at)) {
        // Without a thread it is read here: the reader's own depth is bounded, and nothing is lost.
        Err(Broken::NoThread) => taken_apart(raw, arrived_at),
        read => read.ok().flatten(),
    };
    read.unwrap_or_else(Reading::unreadable)
}

/// The message with the types of messages in it made unknown, byte for byte: a message within a message is read for its headers
/// alone, as text. Types that are written as nobody writes them stay, and are taken apart with the rest, which is no harm
/// but tells nothing.
fn in_one_piece(raw: &[u8]) -> Vec<u8> {
    let mut whole = raw.to_vec();
    let prefix = b"message/";
    let mut at = 0;
    while let Some(found) = whole[at..].windows(prefix.len()).position(|part| part.eq_ignore_ascii_case(prefix)) {
        let kind = at + found + prefix.len();
        let ends =
            |byte: Option<&u8>| !byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
        let is = |name: &[u8]| {
            whole.get(kind..kind + name.len()).is_some_and(|part| part.eq_ignore_ascii_case(name))
                && ends(whole.get(kind + name.len()))
        };
        if is(b"rfc822") || is(b"global") {
            whole[kind + 5] = b'x';
        }
        at = kind;
    }
    whole
}

fn taken_apart(raw: &[u8], arrived_at: DateTime<Utc>) -> Option<Reading> {
    let message = parts::parse(raw)?;
    let reading = of_message(&message, arrived_at);
    parts::dissolve(message);
    Some(reading)
}

fn of_message(message: &Message<'_>, arrived_at: DateTime<Utc>) -> Reading {
    let from = message.from().and_then(mailbox);
    let subject = line(message.subject().unwrap_or_default(), MAX_LINE);
    let text = parts::shown(message).map(|text| tidy(&text)).unwrap_or_default();
    let sent_at = message.date().and_then(|date| DateTime::from_timestamp(date.to_timestamp(), 0));
    let mut about = ids_in(message.in_reply_to());
    about.extend(ids_in(message.references()).into_iter().rev());
    let is_report = message.parts.first().is_some_and(|root| is_part(root, "multipart/report"));
    let content = match report(message).filter(|_| is_report) {
        Some(content) => {
            // What is reported is what is returned; the report's own references may lead to other e-mails of the thread.
            let returned = returned(message);
            about = if returned.is_empty() { about } else { returned };
            content
        }
        // A receipt, or a report that nobody here understands: no person wrote it.
        None if is_report || is_automatic(message, (from.as_ref(), &subject), &about) => {
            automatic(&subject, &text, arrived_at)
        }
        None => Content::Letter,
    };
    let about = first_of_each(about);
    let message_id = message.message_id().map(|id| line(id, MAX_LINE)).filter(|id| !id.is_empty());
    Reading { message_id, from, subject, text, sent_at, about, content }
}

/// Message-IDs without repetitions, and no more than are looked for.
pub fn first_of_each(mut about: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    about.retain(|id| seen.insert(id.clone()));
    about.truncate(MAX_ANSWERED);
    about
}

/// What a machine's answer with these words is.
pub fn automatic(subject: &str, text: &str, arrived_at: DateTime<Utc>) -> Content {
    let back_on = away::back_on(subject, text, arrived_at.date_naive());
    let away = away::says_so(subject, text);
    match back_on {
        // Who says from when on they are there again says that they are not.
        Some(day) if away || day.is_return => Content::Automatic { away: true, back_on: Some(day.date) },
        _ => Content::Automatic { away, back_on: None },
    }
}

/// In one line, without control characters, at most so many characters.
pub fn line(text: &str, most: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(most).collect()
}

/// A text as it is kept: without control characters but line ends and tabs, cut.
pub fn tidy(text: &str) -> String {
    let kept = text.replace("\r\n", "\n");
    let kept = kept.trim().chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    kept.take(MAX_TEXT).collect()
}

fn mailbox(address: &Address<'_>) -> Option<Mailbox> {
    let first = address.first()?;
    let name = first.name().map(|name| line(name, MAX_LINE)).filter(|name| !name.is_empty());
    let address = line(first.address()?, MAX_LINE);
    (!address.is_empty()).then_some(Mailbox { name, address })
}

fn ids_in(value: &HeaderValue<'_>) -> Vec<String> {
    match value {
        HeaderValue::Text(text) => ids_of(text),
        HeaderValue::TextList(texts) => texts.iter().flat_map(|text| ids_of(text)).collect(),
        _ => Vec::new(),
    }
}

/// The Message-IDs in a text, with or without angle brackets, in their order.
pub fn ids_of(text: &str) -> Vec<String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';'))
        // No database keeps a NUL as text, and an honest id has no control characters.
        .filter(|part| part.contains('@') && part.len() <= MAX_LINE && !part.contains(char::is_control))
        .map(str::to_owned)
        .collect()
}

fn header<'m>(message: &'m Message<'_>, name: &'static str) -> Option<&'m str> {
    message.header_raw(name).map(str::trim)
}

/// How mail programs begin the subject of what they answer by themselves, in small letters: some say it nowhere else.
const ANSWERING_MACHINES: [&str; 12] = [
    "automatic reply:",
    "auto reply:",
    "autoreply:",
    "auto-reply:",
    "out of office:",
    "automatische antwort:",
    "automatisch antwoord:",
    "réponse automatique",
    "respuesta automática",
    "risposta automatica",
    "自动回复",
    "自動回覆",
];

/// How the addresses of machines begin.
const MACHINES: [&str; 6] = ["mailer-daemon@", "postmaster@", "noreply@", "no-reply@", "donotreply@", "do-not-reply@"];

/// Whether an e-mail of this author with this subject is a machine's, whatever its headers say.
pub fn is_of_a_machine(from: Option<&Mailbox>, subject: &str) -> bool {
    let subject = subject.to_lowercase();
    let address = from.map(|from| from.address.to_lowercase()).unwrap_or_default();
    ANSWERING_MACHINES.iter().any(|words| subject.starts_with(words))
        || MACHINES.iter().any(|local| address.starts_with(local))
}

/// Whether a machine wrote it.
fn is_automatic(message: &Message<'_>, (from, subject): (Option<&Mailbox>, &str), about: &[String]) -> bool {
    let is = |name, words: &[&str]| {
        header(message, name).is_some_and(|value| {
            let value = value.to_lowercase();
            words.iter().any(|word| value.starts_with(word))
        })
    };
    // RFC 3834: everything but `no` says so.
    let submitted = header(message, "Auto-Submitted").is_some_and(|value| !value.to_lowercase().starts_with("no"));
    let marked =
        ["X-Autoreply", "X-Autorespond", "X-Autogenerated"].iter().any(|name| message.header_raw(*name).is_some());
    // A group that hands on what comes to it marks all of it so, also a person's answer to one of our e-mails.
    let handed_on = is("Precedence", &["bulk", "list", "junk"])
        || ["X-Auto-Response-Suppress", "List-Id"].iter().any(|name| message.header_raw(*name).is_some());
    let answers_ours = about.iter().any(|id| super::ours(id).is_some());
    let precedence = is("Precedence", &["auto_reply", "auto-reply"]) || (handed_on && !answers_ours);
    // A message without a sender's envelope asks not to be answered: mail servers write so.
    let no_envelope = message.header_raw("Return-Path").is_some_and(|path| path.trim() == "<>");
    submitted || precedence || marked || no_envelope || is_of_a_machine(from, subject)
}

fn subtype<'p>(part: &'p MessagePart<'_>) -> Option<(&'p str, &'p str)> {
    let kind = part.content_type()?;
    Some((kind.ctype(), kind.subtype()?))
}

fn is_part(part: &MessagePart<'_>, kind: &str) -> bool {
    subtype(part).is_some_and(|(main, sub)| format!("{main}/{sub}").eq_ignore_ascii_case(kind))
}

/// Groups of fields, separated by blank lines; folded lines are joined. Names are in small letters.
fn groups(text: &str) -> Vec<Vec<(String, String)>> {
    let mut groups: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for line in text.lines() {
        if line.trim().is_empty() {
            groups.push(Vec::new());
            continue;
        }
        let Some(group) = groups.last_mut() else { continue };
        match (line.starts_with([' ', '\t']), group.last_mut()) {
            (true, Some((_, value))) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            _ => {
                if let Some((name, value)) = line.split_once(':') {
                    group.push((name.trim().to_lowercase(), value.trim().to_owned()));
                }
            }
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn field<'g>(group: &'g [(String, String)], name: &str) -> Option<&'g str> {
    group.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// The value behind `rfc822;` or another type.
fn untyped(value: &str) -> &str {
    value.split_once(';').map_or(value, |(_, rest)| rest).trim()
}

/// What a report says. Only a message that is one reports to us: a person may forward a report, as a part of a letter.
fn report(message: &Message<'_>) -> Option<Content> {
    if let Some(part) = message.parts.iter().find(|part| is_part(part, "message/feedback-report")) {
        let groups = groups(&parts::text(message, part));
        let feedback = groups.iter().find_map(|group| field(group, "feedback-type")).unwrap_or("other");
        return Some(Content::Complaint { feedback: line(feedback, 60).to_lowercase() });
    }
    let part = message
        .parts
        .iter()
        .find(|part| is_part(part, "message/delivery-status") || is_part(part, "message/global-delivery-status"))?;
    let groups = groups(&parts::text(message, part));
    // One of our e-mails has one recipient; where there are more, the worst that happened counts.
    let reports = groups.iter().filter_map(|group| {
        let action = field(group, "action")?.to_lowercase();
        let outcome = match action.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default() {
            "failed" => ReportedAs::Failed,
            "delayed" => ReportedAs::Delayed,
            "delivered" | "relayed" | "expanded" => ReportedAs::Delivered,
            _ => return None,
        };
        let recipients = ["original-recipient", "final-recipient"].iter().filter_map(|name| field(group, name));
        Some(DeliveryReport {
            outcome,
            status: field(group, "status").and_then(status),
            diagnostic: line(field(group, "diagnostic-code").map(untyped).unwrap_or_default(), 1_000),
            recipients: recipients.map(|value| line(untyped(value), MAX_LINE)).collect(),
        })
    });
    let worst = |report: &DeliveryReport| match report.outcome {
        ReportedAs::Failed => 2,
        ReportedAs::Delayed => 1,
        ReportedAs::Delivered => 0,
    };
    reports.max_by_key(worst).map(Content::Delivery)
}

/// A status code (RFC 3463) at the beginning of a text: `5.1.1`, `5.1.1 (no such mailbox)`.
pub fn status(text: &str) -> Option<[u16; 3]> {
    let code = text.split_whitespace().next()?;
    let mut parts = code.split('.').map(|part| part.parse::<u16>().ok());
    let status = [parts.next()??, parts.next()??, parts.next()??];
    (parts.next().is_none() && matches!(status[0], 2 | 4 | 5)).then_some(status)
}

/// The Message-ID of the e-mail that a report returns, whole or its headers alone.
fn returned(message: &Message<'_>) -> Vec<String> {
    let of = |part: &MessagePart<'_>| {
        // The second two as they are after `in_one_piece`.
        let holds = [
            "text/rfc822-headers",
            "message/rfc822-headers",
            "message/rfc82x",
            "message/globax",
            "message/global-headers",
        ];
        if !holds.iter().any(|kind| is_part(part, kind)) {
            return Vec::new();
        }
        let groups = groups(&parts::text(message, part));
        groups.first().and_then(|group| field(group, "message-id")).map(ids_of).unwrap_or_default()
    };
    message.parts.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests;
