//! How what somebody chose is written in a command, and how what the server said is written for an operator.

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use chrono::{DateTime, NaiveDate, Utc};

/// The most characters of what a server says that are shown.
const SHOWN_CHARS: usize = 200;

/// A quoted string. It is for text without line ends: the settings have been judged.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The name of a folder as it goes over the wire: modified UTF-7 (RFC 3501, 5.1.3).
pub(super) fn folder(name: &str) -> String {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let plain = |c: char| matches!(c, ' '..='~');
        let end = rest.find(|c| plain(c) != plain(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        if plain(first) {
            out.push_str(&run.replace('&', "&-"));
        } else {
            let units: Vec<u8> = run.encode_utf16().flat_map(u16::to_be_bytes).collect();
            out.push('&');
            ENGINE.encode_string(units, &mut out);
            out.push('-');
        }
        rest = after;
    }
    out
}

/// The first day that the messages since a moment can be of. A server compares the day in whatever zone it likes, so
/// this is the day before.
pub(super) fn day(since: DateTime<Utc>) -> String {
    let day = since.date_naive();
    // A year has four digits there.
    day.pred_opt().unwrap_or(day).max(NaiveDate::default()).format("%-d-%b-%Y").to_string()
}

/// What a server said, short, on one line, and without the secrets that it may have repeated.
pub(super) fn shown(said: &[u8], secrets: &[String]) -> String {
    let mut text = String::from_utf8_lossy(said).into_owned();
    for secret in secrets {
        text = text.replace(secret, "***");
    }
    let moves = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.trim().chars().take(SHOWN_CHARS).map(|c| if moves(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_the_name_that_the_rfc_gives_it() {
        for (name, wire) in [
            ("INBOX", "INBOX"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("Hi Mom -☺-!", "Hi Mom -&Jjo--!"),
            ("A & B", "A &- B"),
            ("Größe", "Gr&APYA3w-e"),
            ("😀", "&2D3eAA-"),
            ("", ""),
        ] {
            assert_eq!(folder(name), wire);
        }
    }

    #[test]
    fn a_quoted_string_ends_where_it_ends() {
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }

    #[test]
    fn a_day_is_one_that_a_server_understands() {
        let at = |text: &str| day(text.parse().unwrap());
        assert_eq!(at("2026-03-01T00:00:00Z"), "28-Feb-2026");
        assert_eq!(at("2026-01-07T23:59:59Z"), "6-Jan-2026");
        assert_eq!(day(DateTime::<Utc>::MIN_UTC), "1-Jan-1970");
    }

    #[test]
    fn what_is_shown_is_short_and_keeps_secrets() {
        let secrets = ["s3cret".to_owned()];
        assert_eq!(shown(b"no s3cret\r\n\x1b[2J\xff", &secrets), "no ***   [2J\u{fffd}");
        assert_eq!(shown(&b"s3cret".repeat(1_000), &secrets).chars().count(), SHOWN_CHARS);
    }
}
