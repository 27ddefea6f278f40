//! What a server says, as far as anybody asked.
//!
//! These few forms are read here. A parser of all that IMAP has would read what nobody asked for as well, and the one
//! that there is (imap-proto 0.17) goes one call deeper for each parenthesis: a line of nothing else ends the process.
//! Nothing here calls itself, and what is not asked for is passed over, whatever it looks like.

use std::borrow::Cow;

/// How an answer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It was done.
    Ok,
    /// It was not.
    No,
    /// It was not understood.
    Bad,
    /// The server closes the connection.
    Bye,
    /// The server lets us in before anybody asked.
    Preauth,
}

/// One thing that a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// The rest of the command is waited for.
    GoOn,
    /// A command has ended.
    Done { tag: &'a [u8], status: Status, text: &'a [u8] },
    /// Something about the command, or about the connection.
    Said { status: Status, text: &'a [u8] },
    /// What the server can do.
    Capabilities(&'a [u8]),
    /// How many messages there are.
    Exists(u32),
    /// Which messages were found.
    Uids(Vec<u32>),
    /// Something of a message.
    Message(Message<'a>),
    /// What nobody asked for.
    Other,
}

/// What was said of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Message<'a> {
    /// Its number.
    pub(super) uid: Option<u32>,
    /// The bytes of all of it.
    pub(super) size: Option<u32>,
    /// When it arrived.
    pub(super) arrived: Option<Cow<'a, [u8]>>,
    /// Its first bytes.
    pub(super) body: Option<Cow<'a, [u8]>>,
}

impl Status {
    fn of(word: &[u8]) -> Option<Self> {
        let known =
            [("OK", Self::Ok), ("NO", Self::No), ("BAD", Self::Bad), ("BYE", Self::Bye), ("PREAUTH", Self::Preauth)];
        known.into_iter().find(|(name, _)| is(word, name)).map(|(_, status)| status)
    }
}

/// Reads a whole response, its line ends and literals included. Nothing, if it is none.
pub(super) fn read(raw: &[u8]) -> Option<Heard<'_>> {
    let raw = raw.strip_suffix(b"\n")?;
    let (first, rest) = word(raw.strip_suffix(b"\r").unwrap_or(raw));
    match first {
        b"" => None,
        b"+" => Some(Heard::GoOn),
        b"*" => untagged(rest),
        tag => {
            let (status, text) = word(rest);
            Some(Heard::Done { tag, status: Status::of(status)?, text })
        }
    }
}

/// The length of the literal that a line announces at its end.
pub(super) fn announced(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"\r\n")?.strip_suffix(b"}")?;
    let open = line.iter().rposition(|byte| *byte == b'{')?;
    length(line.get(open + 1..)?)
}

/// The number of a response code (`[UIDNEXT 7] ...`).
pub(super) fn code(text: &[u8], name: &str) -> Option<u32> {
    let end = text.iter().position(|byte| *byte == b']')?;
    let (given, value) = word(text.get(..end)?.strip_prefix(b"[")?);
    if is(given, name) { number(value) } else { None }
}

/// Whether a list of capabilities has one in it.
pub(super) fn can(capabilities: &[u8], name: &str) -> bool {
    capabilities.split(|byte| *byte == b' ').any(|given| is(given, name))
}

fn untagged(rest: &[u8]) -> Option<Heard<'_>> {
    let (name, rest) = word(rest);
    if let Some(status) = Status::of(name) {
        return Some(Heard::Said { status, text: rest });
    }
    if is(name, "CAPABILITY") {
        return Some(Heard::Capabilities(rest));
    }
    if is(name, "SEARCH") {
        let uids = rest.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).map(number);
        return uids.collect::<Option<_>>().map(Heard::Uids);
    }
    let Some(count) = number(name) else { return Some(Heard::Other) };
    let (name, rest) = word(rest);
    if is(name, "EXISTS") {
        Some(Heard::Exists(count))
    } else if is(name, "FETCH") {
        message(rest).map(Heard::Message)
    } else {
        Some(Heard::Other)
    }
}

fn message(list: &[u8]) -> Option<Message<'_>> {
    let mut message = Message::default();
    let mut rest = list.strip_prefix(b"(")?;
    loop {
        rest = rest.trim_ascii_start();
        if rest.starts_with(b")") {
            return Some(message);
        }
        let (name, after) = word(rest);
        let (value, after) = value(after)?;
        if is(name, "UID") {
            message.uid = number(&value?);
        } else if is(name, "RFC822.SIZE") {
            message.size = number(&value?);
        } else if is(name, "INTERNALDATE") {
            message.arrived = value;
        } else if is(name, "BODY[]") || is(name, "BODY[]<0>") {
            // What is gone is said to be NIL.
            message.body = Some(value.unwrap_or_default());
        }
        rest = after;
    }
}

/// A value and what comes after it.
type Value<'a> = (Option<Cow<'a, [u8]>>, &'a [u8]);

/// A string, an atom, or a list. There is nothing in a list, nor in NIL.
fn value(text: &[u8]) -> Option<Value<'_>> {
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        let (first, after) = rest.split_first()?;
        let read = match first {
            b'(' => {
                depth = depth.saturating_add(1);
                (None, after)
            }
            b')' if depth > 0 => {
                depth -= 1;
                (None, after)
            }
            b' ' if depth > 0 => (None, after),
            b'"' => quoted(after)?,
            b'{' => literal(after)?,
            _ => atom(rest)?,
        };
        if depth == 0 {
            return Some(if text.starts_with(b"(") { (None, read.1) } else { read });
        }
        rest = read.1;
    }
}

fn quoted(text: &[u8]) -> Option<Value<'_>> {
    let mut out = Vec::new();
    let mut bytes = text.iter();
    loop {
        match bytes.next()? {
            b'"' => return Some((Some(Cow::Owned(out)), bytes.as_slice())),
            b'\\' => out.push(*bytes.next()?),
            b'\r' | b'\n' => return None,
            byte => out.push(*byte),
        }
    }
}

fn literal(text: &[u8]) -> Option<Value<'_>> {
    let end = text.iter().position(|byte| *byte == b'}')?;
    let (digits, rest) = text.split_at_checked(end)?;
    let (bytes, rest) = rest.strip_prefix(b"}\r\n")?.split_at_checked(length(digits)?)?;
    Some((Some(Cow::Borrowed(bytes)), rest))
}

fn atom(text: &[u8]) -> Option<Value<'_>> {
    let end = text.iter().position(|byte| matches!(byte, b' ' | b'(' | b')')).unwrap_or(text.len());
    let (atom, rest) = text.split_at_checked(end).filter(|(atom, _)| !atom.is_empty())?;
    Some((if is(atom, "NIL") { None } else { Some(Cow::Borrowed(atom)) }, rest))
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// The first word, and what comes after the space behind it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = text.splitn(2, |byte| *byte == b' ');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn digits(text: &[u8]) -> Option<&str> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)
}

fn number(text: &[u8]) -> Option<u32> {
    digits(text)?.parse().ok()
}

/// A length. More than fits is more than anybody takes.
fn length(text: &[u8]) -> Option<usize> {
    digits(text).map(|digits| digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
