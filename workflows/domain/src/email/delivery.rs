//! What a mail server made of an e-mail.

use serde::{Deserialize, Serialize};

/// What became of one try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Delivery {
    /// The server answered the message with 250.
    Accepted {
        /// Its answer.
        response: String,
    },
    /// The server answered with a 4xx: it certainly did not take the message.
    Deferred {
        /// The reply code.
        code: u16,
        /// Its answer.
        response: String,
    },
    /// The server answered with a 5xx: it will never take the message.
    Rejected {
        /// The reply code.
        code: u16,
        /// Its answer.
        response: String,
        /// Whether the answer was about the recipient (RCPT), not about the message or the sender.
        recipient: bool,
    },
    /// It certainly was not sent: no connection, no TLS, no login, or the line broke before DATA.
    Unreached {
        /// What went wrong.
        error: String,
    },
    /// The line broke after DATA: the server may have taken the message.
    Unknown {
        /// What went wrong.
        error: String,
    },
}

impl Delivery {
    /// Its name, for logs and traces.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Deferred { .. } => "deferred",
            Self::Rejected { .. } => "rejected",
            Self::Unreached { .. } => "unreached",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Whether the mailbox itself is gone, so that nothing may be sent there again: the recipient was refused, and
    /// the enhanced status (RFC 3463) speaks about the address; without one, the classic 550 counts. A refusal for
    /// policy, authentication or a block list (5.7.x) is about us, and says nothing about the mailbox.
    pub fn mailbox_is_gone(&self) -> bool {
        let Self::Rejected { code, response, recipient: true } = self else { return false };
        response.split_whitespace().find_map(enhanced).map_or(*code == 550, says_gone)
    }
}

/// Whether the subject and detail of a permanent failure (RFC 3463) say that there is no such mailbox any more.
pub(super) const fn says_gone(status: [u16; 2]) -> bool {
    matches!(status, [1, 0 | 1 | 2 | 3 | 6 | 10] | [2, 1])
}

/// Subject and detail of a permanent failure, where a word of an answer is its enhanced status: `5.1.1`, `#5.1.1`,
/// `(5.7.1)`.
fn enhanced(word: &str) -> Option<[u16; 2]> {
    let mut parts = word.trim_matches(|c: char| !c.is_ascii_digit()).split('.');
    let status = [parts.next()?, parts.next()?, parts.next()?].map(|part| part.parse::<u16>().ok());
    match (status, parts.next()) {
        ([Some(5), Some(subject), Some(detail)], None) => Some([subject, detail]),
        _ => None,
    }
}
