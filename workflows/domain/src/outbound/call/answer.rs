//! What leaves the house, and what the answer to it means.

use super::super::channel::Provider;
use super::super::chat;
use super::OutboundCall;
use crate::sequence::calling::Request;
use chrono::TimeDelta;
use serde_json::Value;

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 64 * 1024;

/// What leaves the house.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The method, in capital letters.
    pub method: &'static str,
    /// Where to, the query included.
    pub url: String,
    /// Name in small letters, and value.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
    /// How long it may take at most, in seconds; none for the sender's own patience.
    pub timeout_seconds: Option<u32>,
}

impl Outgoing {
    /// A POST of JSON.
    pub(in crate::outbound) fn json(url: String, body: String) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
        Self { method: "POST", url, headers, body: Some(body), timeout_seconds: None }
    }
}

/// As much of an answer's body as was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// It is larger than [`MAX_ANSWER`].
    TooLarge,
    /// It broke off, or took too long.
    BrokenOff,
}

/// What the other side answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long it wants to be left alone.
    pub retry_after: Option<TimeDelta>,
    /// The beginning of the body, at most 1,000 characters, none of which moves a cursor.
    pub excerpt: String,
    /// The body.
    pub body: Body,
}

/// What an answer, or its absence, means.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It was taken; the answer, where it is to be kept.
    Taken(Value),
    /// It may be taken later.
    Later {
        /// The stable code.
        code: &'static str,
        /// A sentence.
        message: String,
        /// How long the other side wants to be left alone.
        after: Option<TimeDelta>,
    },
    /// It will never be taken.
    Never {
        /// The stable code.
        code: &'static str,
        /// A sentence.
        message: String,
    },
}

impl Verdict {
    /// What the status alone says; none for a success.
    pub(in crate::outbound) fn of_status(answer: &Answer) -> Option<Self> {
        let (status, after) = (answer.status, answer.retry_after);
        let said: String = answer.excerpt.chars().take(300).collect();
        let message = if said.is_empty() { format!("the answer was {status}") } else { format!("{status}: {said}") };
        Some(match status {
            200..=299 => return None,
            300..=399 => {
                let message =
                    format!("the answer was {status}, and no redirect is followed; give the channel the address");
                Self::Never { code: "CALL_REDIRECTED", message }
            }
            429 => Self::Later { code: "CALL_LIMITED", message, after },
            408 | 425 | 500..=599 => Self::Later { code: "CALL_NOT_TAKEN", message, after },
            401 | 403 => Self::Never { code: "CALL_CREDENTIALS_WRONG", message },
            400..=499 => Self::Never { code: "CALL_REFUSED", message },
            _ => Self::Later { code: "CALL_NOT_TAKEN", message, after },
        })
    }

    /// What it means that there was no answer, by the sender's code.
    pub fn unsent(code: &'static str, message: String) -> Self {
        match code {
            "WEBHOOK_ADDRESS_REFUSED" | "WEBHOOK_URL_INVALID" | "WEBHOOK_HEADER_INVALID" => {
                Self::Never { code, message }
            }
            _ => Self::Later { code, message, after: None },
        }
    }
}

/// What the answer to a call means, by what stands behind its channel.
pub fn judge(call: &OutboundCall, provider: Provider, answer: &Answer) -> Verdict {
    let Request::Http { keep, .. } = &call.request else { return chat::judge(provider, answer) };
    if let Some(verdict) = Verdict::of_status(answer) {
        return verdict;
    }
    // What nobody wants to keep may be anything.
    if keep.is_none() {
        return Verdict::Taken(Value::Null);
    }
    match &answer.body {
        Body::Whole(bytes) if bytes.trim_ascii().is_empty() => Verdict::Taken(Value::Null),
        Body::Whole(bytes) => match serde_json::from_slice(bytes) {
            Ok(answer) => Verdict::Taken(answer),
            Err(error) => {
                let message = format!("the answer is not JSON: {error}");
                Verdict::Never { code: "CALL_ANSWER_NOT_JSON", message }
            }
        },
        Body::TooLarge => {
            let message = format!("the answer is larger than {MAX_ANSWER} bytes");
            Verdict::Never { code: "CALL_ANSWER_TOO_LARGE", message }
        }
        Body::BrokenOff => {
            let message = "the answer broke off".to_owned();
            Verdict::Later { code: "WEBHOOK_BROKEN_OFF", message, after: None }
        }
    }
}

/// An address with more in its query. Whatever is in a value stays a value.
pub(crate) fn with_query(url: &str, query: &[(&str, &str)]) -> String {
    let mut whole = url.to_owned();
    for (name, value) in query {
        whole.push(if whole.contains('?') { '&' } else { '?' });
        whole.push_str(&encoded(name));
        whole.push('=');
        whole.push_str(&encoded(value));
    }
    whole
}

/// Everything but what RFC 3986 calls unreserved, as percent signs and hexadecimal digits.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
