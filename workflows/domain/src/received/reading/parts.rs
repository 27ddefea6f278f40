//! A message taken apart into its parts, and what is in them.
//!
//! The parser takes the structure apart and decodes no part: where it decodes a message within a message it calls itself, and
//! copies the whole of it once for each message in there, so that a small e-mail could take all memory. What is encoded is
//! decoded here, one part at a time and only where it is read.

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::html_to_text;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{HeaderName, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use std::borrow::Cow;
use std::sync::LazyLock;

static PARSER: LazyLock<MessageParser> = LazyLock::new(|| {
    MessageParser::new()
        .with_mime_headers()
        .with_date_headers()
        .with_address_headers()
        .with_message_ids()
        .header_text(HeaderName::Subject)
        .ignore_header(HeaderName::ContentTransferEncoding)
        .default_header_raw()
});

/// Takes a message apart; none where nothing in it is a header. Dispose of what it gives with [`dissolve`].
pub(super) fn parse(raw: &[u8]) -> Option<Message<'_>> {
    PARSER.parse(raw)
}

/// Lets go of a message. Those within it are let go one after the other: however deep they lie, the stack is enough.
pub(super) fn dissolve(message: Message<'_>) {
    let mut left = vec![message];
    while let Some(message) = left.pop() {
        left.extend(message.parts.into_iter().filter_map(|part| match part.body {
            PartType::Message(inner) => Some(inner),
            _ => None,
        }));
    }
}

/// The text that a message shows; what is HTML as plain text.
pub(super) fn shown(message: &Message<'_>) -> Option<String> {
    let part = message.text_part(0)?;
    match part.body {
        PartType::Text(_) => Some(text(message, part)),
        PartType::Html(_) => Some(html_to_text(&text(message, part))),
        _ => None,
    }
}

/// The text of a part, decoded.
pub(super) fn text(message: &Message<'_>, part: &MessagePart<'_>) -> String {
    let bytes = bytes(message, part);
    let charset = part.content_type().and_then(|kind| kind.attribute("charset"));
    match charset.and_then(|charset| charset_decoder(charset.as_bytes())) {
        Some(decode) => decode(&bytes),
        None => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// The bytes of a part, decoded; those that are not what their header says, as they are.
fn bytes<'m>(message: &'m Message<'_>, part: &MessagePart<'_>) -> Cow<'m, [u8]> {
    let slice = |from: u32, to: u32| {
        let place = usize::try_from(from).ok().zip(usize::try_from(to).ok());
        place.and_then(|(from, to)| message.raw_message.get(from..to)).unwrap_or_default()
    };
    let body = slice(part.offset_body, part.offset_end);
    let header = part.headers.iter().rfind(|header| header.name == HeaderName::ContentTransferEncoding);
    let encoding = header.map(|header| slice(header.offset_start, header.offset_end).trim_ascii()).unwrap_or_default();
    let decoded = if encoding.eq_ignore_ascii_case(b"base64") {
        base64_decode(body)
    } else if encoding.eq_ignore_ascii_case(b"quoted-printable") {
        quoted_printable_decode(body)
    } else {
        None
    };
    decoded.map_or(Cow::Borrowed(body), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes a message and all messages in it hold for themselves.
    fn owned(message: Message<'_>) -> usize {
        let of = |text: &Cow<'_, [u8]>| if let Cow::Owned(bytes) = text { bytes.len() } else { 0 };
        let of_text = |text: &Cow<'_, str>| if let Cow::Owned(text) = text { text.len() } else { 0 };
        let (mut bytes, mut left) = (0, vec![message]);
        while let Some(message) = left.pop() {
            bytes += of(&message.raw_message);
            for part in message.parts {
                match part.body {
                    PartType::Text(text) | PartType::Html(text) => bytes += of_text(&text),
                    PartType::Binary(binary) | PartType::InlineBinary(binary) => bytes += of(&binary),
                    PartType::Message(inner) => left.push(inner),
                    PartType::Multipart(_) => {}
                }
            }
        }
        bytes
    }

    #[test]
    fn messages_within_messages_are_not_copied_once_for_each_of_them() {
        let kinds = ["message/ rfc822", "message /rfc822", "message/(a comment)rfc822", "message/\r\n global"];
        let nested = |kind: &str| format!("Content-Type: {kind}\r\n\r\n").repeat(400);
        let digest = |encoding: &str| {
            format!(
                "Content-Type: multipart/digest; boundary=B\r\n\r\n--B\r\n{encoding}\r\n\r\n{}",
                nested("message/ rfc822")
            )
        };
        let mut bombs: Vec<String> = kinds
            .iter()
            .map(|kind| {
                format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}", nested(kind))
            })
            .collect();
        bombs.push(digest("Content-Transfer-Encoding: quoted-printable"));
        bombs.push(digest("Content-Transfer-Encoding: 7bit"));
        for bomb in bombs {
            let message = parse(bomb.as_bytes()).unwrap();
            assert!(owned(message) <= bomb.len(), "{}", &bomb[..90]);
        }
    }

    #[test]
    fn a_part_is_decoded_once_and_what_cannot_be_is_kept_as_it_is() {
        let shown_of = |encoding: &str, body: &str| {
            let raw = format!(
                "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding:{encoding}\r\n\r\n{body}"
            );
            shown(&parse(raw.as_bytes()).unwrap()).unwrap()
        };
        assert_eq!(shown_of(" base64", "R3LDvMOfZSBh\r\ndXMgQmVybGlu\r\n"), "Grüße aus Berlin");
        assert_eq!(shown_of(" Quoted-Printable ", "Gr=C3=BC=C3=9Fe=\r\n aus Berlin"), "Grüße aus Berlin");
        assert_eq!(shown_of(" base64", "no base64!"), "no base64!");
        assert_eq!(shown_of(" quoted-printable", "100 =% sure"), "100 =% sure");
        assert_eq!(shown_of(" 8bit", "Grüße"), "Grüße");
    }

    #[test]
    fn each_part_of_a_message_is_decoded_for_itself() {
        let raw = "Content-Type: multipart/alternative; boundary=B\r\n\r\n--B\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
                   Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n--B\r\nContent-Type: text/html\r\n\
                   Content-Transfer-Encoding: base64\r\n\r\nPGI+bm88L2I+\r\n--B--\r\n";
        let message = parse(raw.as_bytes()).unwrap();
        assert_eq!(shown(&message).as_deref(), Some("Grüße"));
        assert_eq!(text(&message, &message.parts[2]), "<b>no</b>");
    }
}
