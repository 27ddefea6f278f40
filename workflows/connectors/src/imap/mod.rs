//! Incoming e-mail over IMAP (RFC 3501): a folder is looked at now and then, and left as it is.
//!
//! The folder is opened by EXAMINE and the messages are read by BODY.PEEK, so nothing is marked, moved or deleted, and
//! somebody may read the same mailbox with a program of their own. How far it was read is in a `Cursor` that the caller
//! keeps: a message is given once for each cursor, and again whenever the server numbers its messages anew.

mod answer;
mod error;
mod inbox;
mod line;
mod session;
mod settings;
mod tls;
mod words;

pub use error::ImapError;
pub use settings::{COMMANDS_OF_A_LOOK, ImapSettings, TlsMode};

use chrono::{DateTime, NaiveTime, Utc};
use serde::{Deserialize, Serialize};
use session::{Refused, Session};
use tls::Protection;
use words::day;

/// The most bytes of a message that are read: its first 256 KiB.
pub const LARGEST_PART: usize = 256 * 1024;
/// The most bytes of messages that one look holds.
const LARGEST_LOOK: usize = 16 * 1024 * 1024;
/// How many messages are asked for by one command.
const AT_ONCE: usize = 16;

/// How far a mailbox was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The numbering that `uid` is of. With another one, the mailbox is read from the beginning.
    pub uid_validity: u32,
    /// The number of the last message that was read.
    pub uid: u32,
}

/// A message of the mailbox.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub uid: u32,
    /// Its bytes, or the first 256 KiB of them.
    pub raw: Vec<u8>,
    /// How many bytes all of it has.
    pub size: u32,
    /// When it arrived, as far as the server says so.
    pub arrived_at: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { uid, raw, size, arrived_at } = self;
        // What somebody wrote is not for a log.
        let raw = format_args!("{} bytes", raw.len());
        f.debug_struct("Found")
            .field("uid", uid)
            .field("raw", &raw)
            .field("size", size)
            .field("arrived_at", arrived_at)
            .finish()
    }
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The messages, in the order of their numbers.
    pub messages: Vec<Found>,
    /// What to look after the next time.
    pub cursor: Cursor,
    /// Whether there are more, which the next look finds.
    pub more: bool,
}

/// Reads a folder. Every look is a connection of its own.
pub struct ImapInbox {
    settings: ImapSettings,
    protection: Protection,
}

impl std::fmt::Debug for ImapInbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImapInbox").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ImapInbox {
    /// Reads the certificates and judges the settings; connects to nothing yet.
    pub fn new(settings: ImapSettings) -> Result<Self, ImapError> {
        settings.judge()?;
        let protection = Protection::new(&settings)?;
        Ok(Self { settings, protection })
    }

    /// The messages that are new since `after`, at most `limit` of them. Without a cursor, or with one of another
    /// numbering, they are those that arrived on the day of `since` or later.
    ///
    /// A look also ends after 16 MiB, and where the connection breaks off: what was read until then is given, and the
    /// next look meets the error, if it is still there.
    pub async fn look(&self, after: Option<Cursor>, since: DateTime<Utc>, limit: usize) -> Result<Look, ImapError> {
        let mut session = Session::open(&self.settings, &self.protection).await?;
        let after = after.filter(|cursor| cursor.uid_validity == session.uid_validity).map(|cursor| cursor.uid);
        let look = read(&mut session, after, since, limit).await?;
        session.hang_up();
        Ok(look)
    }

    /// Whether the folder can be read: where it is and how many messages there are, on one line.
    pub async fn check(&self) -> Result<String, ImapError> {
        let session = Session::open(&self.settings, &self.protection).await?;
        let protected = if self.settings.tls == TlsMode::None { "not encrypted" } else { "encrypted" };
        let (place, folder, exists) = (self.settings.place(), &self.settings.folder, session.exists);
        session.hang_up();
        Ok(format!("{place} ({protected}), {folder}: {exists} messages"))
    }
}

/// Reads what is new, until there is enough of it.
async fn read(
    session: &mut Session,
    after: Option<u32>,
    since: DateTime<Utc>,
    limit: usize,
) -> Result<Look, ImapError> {
    let uids = pending(session, after, since).await?;
    let first_day = since.date_naive().and_time(NaiveTime::MIN).and_utc();
    let wanted = |found: &Found| after.is_some() || found.arrived_at.is_none_or(|at| at >= first_day);
    let (mut messages, mut held) = (Vec::<Found>::new(), 0_usize);
    // Where the next look goes on: before the first message, and then after each that was read.
    let mut reached = after.unwrap_or_else(|| uids.first().map_or(session.newest, |uid| uid.saturating_sub(1)));
    let mut left = uids.as_slice();
    while let Some((now, later)) = left.split_at_checked(room(limit, messages.len(), held).min(left.len()))
        && let Some(last) = now.last()
    {
        match each(session, now).await {
            Ok(found) => messages.extend(found.into_iter().filter(wanted)),
            Err(error) if left.len() == uids.len() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, read = messages.len(), left = left.len(), "a look at the mailbox ended early");
                break;
            }
        }
        held = messages.iter().map(|found| found.raw.len()).sum();
        (reached, left) = (*last, later);
    }
    let more = !left.is_empty();
    // What was there before the first look, and is older than `since`, is not new to the next one either.
    let uid = if more || after.is_some() { reached } else { reached.max(session.newest) };
    Ok(Look { messages, cursor: Cursor { uid_validity: session.uid_validity, uid }, more })
}

/// The messages of these numbers. Where the server refuses them together they are asked for one by one, and one that it refuses
/// while it gives others is passed over: it must not hold up all that come after it. Where it gives none at all, or says that
/// it would give them another time, something else is wrong, and nothing is passed over.
async fn each(session: &mut Session, uids: &[u32]) -> Result<Vec<Found>, ImapError> {
    let refused = match session.fetch(uids).await? {
        Ok(found) => return Ok(found),
        Err(refused) => refused,
    };
    let (mut messages, mut passed_over) = (Vec::new(), Vec::new());
    if uids.len() == 1 {
        passed_over.push(refused);
    } else {
        for uid in uids {
            match session.fetch(&[*uid]).await? {
                Ok(found) => messages.extend(found),
                Err(why) => passed_over.push(why),
            }
        }
    }
    let trouble = passed_over.iter().position(|refused| refused.passes);
    let trouble = match trouble {
        None if messages.is_empty() && !session.gives_others(uids).await? => Some(0),
        trouble => trouble,
    };
    if let Some(refused) = trouble.and_then(|at| passed_over.get(at)) {
        return Err(ImapError::Protocol(refused.why.clone()));
    }
    for Refused { why, .. } in passed_over {
        tracing::error!(why, "a message of the mailbox is passed over");
    }
    Ok(messages)
}

/// How many messages may be asked for at once, when so many are there with so many bytes.
fn room(limit: usize, messages: usize, held: usize) -> usize {
    let bytes = LARGEST_LOOK.saturating_sub(held) / LARGEST_PART;
    AT_ONCE.min(bytes).min(limit.saturating_sub(messages))
}

/// The numbers of the messages that are to be read.
async fn pending(session: &mut Session, after: Option<u32>, since: DateTime<Utc>) -> Result<Vec<u32>, ImapError> {
    // Not every server can search where there is nothing.
    if session.exists == 0 {
        return Ok(Vec::new());
    }
    let criteria = match after {
        Some(uid) => format!("UID {}:*", uid.saturating_add(1)),
        None => format!("SINCE {}", day(since)),
    };
    let mut uids = session.search(&criteria).await?;
    // Where there is none from there on, `:*` means the last one all the same.
    uids.retain(|uid| *uid > after.unwrap_or_default());
    Ok(uids)
}
