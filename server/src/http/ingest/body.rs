//! A body as SDKs send it: perhaps compressed, perhaps with numbers that JSON does not have.

use super::HttpError;
use axum::body::to_bytes;
use axum::http::{HeaderMap, StatusCode, header};
use flate2::read::MultiGzDecoder;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::Read;
use tokio::sync::Semaphore;

/// The largest body, in bytes, as it is when it is not compressed.
pub(super) const MAX_BODY: usize = 4 * 1024 * 1024;
/// The most objects and lists, and the most parts of them: in memory they take many times what they take as text.
const MAX_OPENED: usize = 100_000;
const MAX_PARTS: usize = 500_000;
/// How many bodies are taken apart at once.
static APART: Semaphore = Semaphore::const_new(8);
/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A body that was read.
#[derive(Debug)]
pub(super) struct Body {
    /// What it says: an object.
    pub(super) value: Value,
    /// How long it is, not compressed.
    pub(super) bytes: usize,
}

/// Reads a body, no more of it than is allowed, whatever it inflates to.
pub(super) async fn read(headers: &HeaderMap, body: axum::body::Body) -> Result<Body, HttpError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(HttpError::too_large(MAX_BODY));
    }
    // A sender that broke off does not read the answer, so that only the limit needs a name.
    let sent = to_bytes(body, MAX_BODY).await.map_err(|_error| HttpError::too_large(MAX_BODY))?;
    // Some senders compress and do not say so, and some say so of what a proxy has inflated.
    let parse = move || parse(&sent);
    let _turn = APART.acquire().await;
    match tokio::task::spawn_blocking(parse).await {
        Ok(parsed) => parsed,
        Err(_panicked) => Err(HttpError::internal()),
    }
}

fn bad(message: impl Into<String>) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "EVENTS_NOT_JSON", message)
}

fn parse(sent: &[u8]) -> Result<Body, HttpError> {
    let inflated;
    let text = if sent.starts_with(&GZIP) {
        inflated = inflate(sent)?;
        inflated.as_slice()
    } else {
        sent
    };
    let opened = text.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    let parts = text.iter().filter(|byte| **byte == b',').count();
    if opened > MAX_OPENED || parts > MAX_PARTS {
        let message =
            format!("the body has more than {MAX_OPENED} objects and lists, or {MAX_PARTS} parts; send less at a time");
        return Err(bad(message));
    }
    let value = match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(error) => {
            let mended = finite(text);
            let text = mended.as_deref().unwrap_or(text);
            let read = serde_json::from_slice(text).ok().or_else(|| one_by_one(text));
            read.ok_or_else(|| bad(format!("the body is not JSON: {error}")))?
        }
    };
    match value {
        Value::Object(_) => Ok(Body { value, bytes: text.len() }),
        _ => Err(bad("the body is not a JSON object")),
    }
}

fn inflate(sent: &[u8]) -> Result<Vec<u8>, HttpError> {
    let mut inflated = Vec::new();
    let limit = MAX_BODY as u64 + 1;
    let read = MultiGzDecoder::new(sent).take(limit).read_to_end(&mut inflated);
    if inflated.len() > MAX_BODY {
        return Err(HttpError::too_large(MAX_BODY));
    }
    read.map_err(|error| bad(format!("the body is not whole gzip: {error}")))?;
    Ok(inflated)
}

/// The same with null where Python's JSON has `NaN` or an `Infinity`, and U+FFFD where a text was cut within a character (half
/// of a surrogate pair): they would lose everything else that was sent with them. None where there is nothing of the kind.
fn finite(text: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let mut mended = Vec::with_capacity(text.len());
    let (mut at, mut in_text, mut found) = (0, false, false);
    while let Some(byte) = text.get(at) {
        if !in_text && let Some(word) = WORDS.iter().find(|word| text[at..].starts_with(word)) {
            mended.extend_from_slice(b"null");
            at += word.len();
            found = true;
            continue;
        }
        if in_text && *byte == b'\\' {
            if let Some(width) = half(text, at) {
                mended.extend_from_slice(b"\\ufffd");
                at += width;
                found = true;
                continue;
            }
            if unit(text, at).is_some_and(|unit| HIGH.contains(&unit)) {
                mended.extend_from_slice(&text[at..at + 12]);
                at += 12;
                continue;
            }
            // Whatever is escaped ends no text.
            mended.extend_from_slice(&text[at..(at + 2).min(text.len())]);
            at += 2;
            continue;
        }
        in_text ^= *byte == b'"';
        mended.push(*byte);
        at += 1;
    }
    found.then_some(mended)
}

/// A body whose events are read each for itself, since one of them says what no number can hold (`1e999`) or is nested deeper
/// than anybody reads: that one becomes its own text, which is no event, and the others are saved. None where the body is not
/// JSON at all, or holds no list of events.
fn one_by_one(text: &[u8]) -> Option<Value> {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(text).ok()?;
    let events: Vec<Box<RawValue>> = serde_json::from_str(fields.get("batch")?.get()).ok()?;
    let events = events
        .iter()
        .map(|event| serde_json::from_str(event.get()).unwrap_or_else(|_| Value::String(event.get().to_owned())));
    let mut body = Map::new();
    body.insert("batch".to_owned(), events.collect());
    for (name, value) in fields.iter().filter(|(name, _)| name.as_str() != "batch") {
        body.insert(name.clone(), serde_json::from_str(value.get()).ok()?);
    }
    Some(Value::Object(body))
}

/// The halves of a surrogate pair.
const HIGH: std::ops::Range<u16> = 0xd800..0xdc00;
const LOW: std::ops::Range<u16> = 0xdc00..0xe000;

/// The UTF-16 unit that is escaped at a place.
fn unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

/// How long the escape at a place is, where it is half of a pair without the other half.
fn half(text: &[u8], at: usize) -> Option<usize> {
    let unit_here = unit(text, at)?;
    let follows = || unit(text, at + 6).is_some_and(|next| LOW.contains(&next));
    (LOW.contains(&unit_here) || (HIGH.contains(&unit_here) && !follows())).then_some(6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn refused(sent: &[u8]) -> u16 {
        parse(sent).unwrap_err().status.as_u16()
    }

    #[test]
    fn plain_and_compressed_say_the_same() {
        let text = br#"{ "a": 1 }"#;
        assert_eq!(parse(text).unwrap().value, json!({ "a": 1 }));
        assert_eq!(parse(&gzip(text)).unwrap().value, json!({ "a": 1 }));
    }

    #[test]
    fn a_bomb_is_not_inflated_and_what_is_broken_is_refused() {
        let bomb = gzip(&vec![b' '; 200 * 1024 * 1024]);
        assert!(bomb.len() < MAX_BODY);
        assert_eq!(refused(&bomb), 413);
        let whole = gzip(br#"{ "a": 1 }"#);
        assert_eq!(refused(&whole[..whole.len() - 4]), 400);
        for text in ["", "[]", "7", "{", "{\"a\":}", "\u{feff}{}"] {
            assert_eq!(refused(text.as_bytes()), 400, "{text}");
        }
        assert_eq!(refused("[".repeat(100_000).as_bytes()), 400);
        assert_eq!(refused(&[0xff, 0xfe]), 400);
    }

    #[test]
    fn one_event_that_cannot_be_read_costs_no_other() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let text = format!(
            r#"{{ "writeKey": "k", "batch": [{{ "a": 1 }}, {{ "a": 1e999 }}, {{ "a": {deep} }}, {{ "a": NaN }}] }}"#
        );
        let value = parse(text.as_bytes()).unwrap().value;
        let deep = format!(r#"{{ "a": {deep} }}"#);
        let expected = json!({ "writeKey": "k", "batch": [{ "a": 1 }, "{ \"a\": 1e999 }", deep, { "a": null }] });
        assert_eq!(value, expected);
        for text in
            [r#"{ "writeKey": 1e999, "batch": [{}] }"#, r#"{ "a": 1e999 }"#, r#"{ "batch": [{ "a": 1e999 }, ] }"#]
        {
            assert_eq!(refused(text.as_bytes()), 400, "{text}");
        }
    }

    #[test]
    fn a_number_that_json_does_not_have_is_null_and_texts_are_left_alone() {
        let text = br#"{ "a": NaN, "b": [-Infinity, Infinity], "c": "NaN \" Infinity \\", "d": 1 }"#;
        let expected = json!({ "a": null, "b": [null, null], "c": "NaN \" Infinity \\", "d": 1 });
        assert_eq!(parse(text).unwrap().value, expected);
        let cut =
            br#"{ "a": "x\ud83d", "b": "\ude00y", "c": "\ud83d\ude00", "d": "\\ud83d", "e": "\ud83d\ud83d\ude00" }"#;
        let expected = json!({
            "a": "x\u{fffd}", "b": "\u{fffd}y", "c": "\u{1f600}", "d": "\\ud83d", "e": "\u{fffd}\u{1f600}",
        });
        assert_eq!(parse(cut).unwrap().value, expected);
        assert_eq!(refused(format!("[{}]", "{},".repeat(100_001)).as_bytes()), 400);
        assert_eq!(refused(br#"{ "a": NaNa }"#), 400);
        assert_eq!(refused(br#"{ "a": NaN, "b": "\"#), 400);
    }
}
