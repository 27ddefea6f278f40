//! The few commands that reading takes. None of them changes anything at the server.

use super::answer::{Heard, Message, Status, can, code};
use super::error::ImapError;
use super::line::Line;
use super::settings::ImapSettings;
use super::tls::{Protection, Tls};
use super::words::{folder, quoted};
use super::{Found, LARGEST_PART};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// The response codes (RFC 5530, RFC 9051) of what another time may be given.
const PASSING: [&str; 3] = ["[UNAVAILABLE", "[INUSE", "[LIMIT"];

/// Why a server gives no message.
pub(super) struct Refused {
    /// A sentence for an operator.
    pub(super) why: String,
    /// Whether the server says that it would give it another time.
    pub(super) passes: bool,
}

/// A folder that is open for reading.
pub(super) struct Session {
    line: Line,
    /// How many messages there are.
    pub(super) exists: u32,
    /// While this stays the same, so do the numbers of the messages.
    pub(super) uid_validity: u32,
    /// The highest number that was given to a message until now.
    pub(super) newest: u32,
}

impl Session {
    /// Connects, logs in and opens the folder.
    pub(super) async fn open(settings: &ImapSettings, protection: &Protection) -> Result<Self, ImapError> {
        let mut line = Line::connect(settings).await?;
        match protection {
            Protection::None => line.greeting().await?,
            Protection::Implicit(tls) => {
                line = line.protect(tls).await?;
                line.greeting().await?;
            }
            Protection::Starttls(tls) => {
                line.greeting().await?;
                line = starttls(line, tls).await?;
            }
        }
        let offered = login(&mut line, settings).await?;
        introduce(&mut line, &offered).await?;
        examine(line, &settings.folder).await
    }

    /// The numbers of the messages that a search finds, in order.
    pub(super) async fn search(&mut self, criteria: &str) -> Result<Vec<u32>, ImapError> {
        let mut uids = Vec::new();
        let hear = |heard: Heard<'_>| {
            if let Heard::Uids(found) = heard {
                uids.extend(found);
            }
        };
        let refused = |why| ImapError::Protocol(format!("it does not search: {why}"));
        self.line.ask("UID SEARCH", criteria, None, hear).await?.map_err(refused)?;
        uids.sort_unstable();
        uids.dedup();
        Ok(uids)
    }

    /// The messages of these numbers, which are in order, as far as they are still there; or why the server gives none of them.
    pub(super) async fn fetch(&mut self, uids: &[u32]) -> Result<Result<Vec<Found>, Refused>, ImapError> {
        let set = uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let arguments = format!("{set} (UID RFC822.SIZE INTERNALDATE BODY.PEEK[]<0.{LARGEST_PART}>)");
        let mut messages = BTreeMap::new();
        let hear = |heard: Heard<'_>| {
            // A server may speak of any message at any time, of its flags say.
            if let Heard::Message(Message { uid: Some(uid), size, arrived, body: Some(body) }) = heard
                && uids.binary_search(&uid).is_ok()
            {
                let mut raw = body.into_owned();
                raw.truncate(LARGEST_PART);
                let size = size.or_else(|| u32::try_from(raw.len()).ok()).unwrap_or(u32::MAX);
                let arrived_at = arrived.and_then(|text| moment(&text));
                messages.insert(uid, Found { uid, raw, size, arrived_at });
            }
        };
        let verdict = self.line.ask("UID FETCH", &arguments, None, hear).await?;
        let refused = |why: String| Refused {
            passes: PASSING
                .iter()
                .any(|code| why.get(..code.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(code))),
            why: format!("it does not give the messages {set}: {why}"),
        };
        Ok(verdict.map(|()| messages.into_values().collect()).map_err(refused))
    }

    /// Whether the server gives any other message than these now, of the oldest and the newest that there are.
    pub(super) async fn gives_others(&mut self, than: &[u32]) -> Result<bool, ImapError> {
        let mut given = false;
        for number in [1, self.exists.max(1)] {
            let hear = |heard: Heard<'_>| {
                if let Heard::Message(Message { uid: Some(uid), body: Some(_), .. }) = heard {
                    given |= !than.contains(&uid);
                }
            };
            let verdict = self.line.ask("FETCH", &format!("{number} (UID BODY.PEEK[]<0.1>)"), None, hear).await?;
            if verdict.is_ok() && given {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says good-bye.
    pub(super) fn hang_up(self) {
        self.line.hang_up();
    }
}

async fn capabilities(line: &mut Line) -> Result<Vec<u8>, ImapError> {
    let mut all = Vec::new();
    let hear = |heard: Heard<'_>| {
        if let Heard::Capabilities(list) = heard {
            all = list.to_vec();
        }
    };
    let refused = |why| ImapError::Protocol(format!("it does not say what it can do: {why}"));
    line.ask("CAPABILITY", "", None, hear).await?.map_err(refused)?;
    Ok(all)
}

async fn starttls(mut line: Line, tls: &Tls) -> Result<Line, ImapError> {
    if !can(&capabilities(&mut line).await?, "STARTTLS") {
        return Err(ImapError::Tls("the server offers no STARTTLS, so the password was not sent".to_owned()));
    }
    let refused = |why| ImapError::Tls(format!("the server refused STARTTLS: {why}"));
    line.ask("STARTTLS", "", None, |_| {}).await?.map_err(refused)?;
    line.protect(tls).await
}

/// Logs in; gives what the server offers.
async fn login(line: &mut Line, settings: &ImapSettings) -> Result<Vec<u8>, ImapError> {
    let ImapSettings { username, password, .. } = settings;
    // What was said before TLS does not count any more.
    let offered = capabilities(line).await?;
    // A quoted string has no other characters.
    let quotable = username.is_ascii() && password.is_ascii();
    let verdict = if quotable && !can(&offered, "LOGINDISABLED") {
        line.ask("LOGIN", &format!("{} {}", quoted(username), quoted(password)), None, |_| {}).await?
    } else if can(&offered, "AUTH=PLAIN") {
        let secret = STANDARD.encode(format!("\0{username}\0{password}"));
        line.keep(secret.clone());
        line.ask("AUTHENTICATE", "PLAIN", Some(&format!("{secret}\r\n")), |_| {}).await?
    } else if quotable {
        Err("it takes no password over a connection like this one (LOGINDISABLED)".to_owned())
    } else {
        Err("it takes no user and no password with other characters than ASCII (no AUTH=PLAIN)".to_owned())
    };
    verdict.map(|()| offered).map_err(ImapError::Login)
}

/// Says who asks (RFC 2971), where the server wants to know: some open no folder for a stranger. What it makes of that is its
/// own affair.
async fn introduce(line: &mut Line, offered: &[u8]) -> Result<(), ImapError> {
    if can(offered, "ID") {
        let _heeded = line.ask("ID", "(\"name\" \"Tandem\")", None, |_| {}).await?;
    }
    Ok(())
}

async fn examine(mut line: Line, name: &str) -> Result<Session, ImapError> {
    let (mut exists, mut uid_validity, mut uid_next) = (0, None, None);
    let hear = |heard: Heard<'_>| match heard {
        Heard::Exists(count) => exists = count,
        Heard::Said { status: Status::Ok, text } => {
            uid_validity = code(text, "UIDVALIDITY").or(uid_validity);
            uid_next = code(text, "UIDNEXT").or(uid_next);
        }
        _ => {}
    };
    let refused = |why| ImapError::Folder(format!("`{name}`: {why}"));
    line.ask("EXAMINE", &quoted(&folder(name)), None, hear).await?.map_err(refused)?;
    match (uid_validity, uid_next) {
        (Some(uid_validity), Some(next)) => Ok(Session { line, exists, uid_validity, newest: next.saturating_sub(1) }),
        _ => Err(ImapError::Protocol("its messages have no lasting numbers (no UIDVALIDITY or no UIDNEXT)".to_owned())),
    }
}

fn moment(text: &[u8]) -> Option<DateTime<Utc>> {
    let text = std::str::from_utf8(text).ok()?;
    DateTime::parse_from_str(text.trim(), "%d-%b-%Y %H:%M:%S %z").ok().map(|at| at.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_with_its_zone_and_with_a_day_of_one_digit() {
        let expected: DateTime<Utc> = "2026-03-01T23:30:00Z".parse().unwrap();
        for text in [" 2-Mar-2026 01:30:00 +0200", "02-Mar-2026 01:30:00 +0200", "1-Mar-2026 23:30:00 +0000"] {
            assert_eq!(moment(text.as_bytes()), Some(expected));
        }
        for text in ["", "tomorrow", "32-Mar-2026 01:30:00 +0200", "\u{fffd}"] {
            assert_eq!(moment(text.as_bytes()), None);
        }
    }
}
