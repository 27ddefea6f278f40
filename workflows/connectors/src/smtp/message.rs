//! From an outgoing e-mail to the bytes on the wire.

use super::dkim::Signer;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox as LettreMailbox, Message, MultiPart, SinglePart};
use lettre::{Address, address::Envelope};
use std::time::SystemTime;
use tandem_app::email::port::{Mailbox, OutgoingEmail};

/// The bytes of an e-mail and its envelope.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Who sends to whom.
    pub envelope: Envelope,
    /// The message with CRLF line ends, signed where there is a key.
    pub bytes: Vec<u8>,
}

fn one_line(what: &str, text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) { Err(format!("{what} has a control character in it")) } else { Ok(()) }
}

fn address(what: &str, mailbox: &Mailbox) -> Result<Address, String> {
    one_line(what, &mailbox.address)?;
    mailbox.address.parse().map_err(|cause| format!("{what} is not an address: {cause}"))
}

fn mailbox(what: &str, mailbox: &Mailbox) -> Result<LettreMailbox, String> {
    one_line(what, mailbox.name.as_deref().unwrap_or_default())?;
    Ok(LettreMailbox::new(mailbox.name.clone(), address(what, mailbox)?))
}

/// A header that must not be encoded or broken: printable ASCII with the folds that are in it.
fn literal(name: &'static str, parts: &[&str]) -> Result<HeaderValue, String> {
    for part in parts {
        if !part.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(format!("{name} may only have printable ASCII characters in it"));
        }
    }
    let name = HeaderName::new_from_ascii_str(name);
    Ok(HeaderValue::dangerous_new_pre_encoded(name, parts.join(" "), parts.join("\r\n ")))
}

/// The text with CRLF line ends. Done here in one pass: the builder's own way takes quadratic time on long texts.
fn crlf(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 40);
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            out.push_str("\r\n");
        }
        out.push_str(line.strip_suffix('\r').unwrap_or(line));
    }
    out
}

/// Builds the message. It fails only on what the domain refuses to plan; the same input gives the same bytes (the
/// boundary comes from the Message-ID).
pub fn prepare(email: &OutgoingEmail, signer: Option<&Signer>) -> Result<Prepared, String> {
    one_line("the subject", &email.subject)?;
    let message_id = format!("<{}>", email.message_id);
    one_line("the Message-ID", &message_id)?;
    let envelope = Envelope::new(Some(address("the sender", &email.from)?), vec![address("the recipient", &email.to)?])
        .map_err(|cause| cause.to_string())?;
    let mut builder = Message::builder()
        .from(mailbox("the sender", &email.from)?)
        .to(mailbox("the recipient", &email.to)?)
        .date(SystemTime::from(email.date))
        .message_id(Some(message_id))
        .subject(email.subject.clone())
        .envelope(envelope.clone());
    if let Some(reply_to) = &email.reply_to {
        builder = builder.reply_to(mailbox("the reply address", reply_to)?);
    }
    if let Some(unsubscribe) = &email.unsubscribe {
        let url = format!("<{}>", unsubscribe.url);
        let ways = match &unsubscribe.mailto {
            Some(mailto) => vec![format!("{url},"), format!("<{mailto}>")],
            None => vec![url],
        };
        let ways: Vec<&str> = ways.iter().map(String::as_str).collect();
        builder = builder
            .raw_header(literal("List-Unsubscribe", &ways)?)
            .raw_header(literal("List-Unsubscribe-Post", &["List-Unsubscribe=One-Click"])?);
    }
    let text = SinglePart::plain(crlf(&email.text));
    let message = match &email.html {
        Some(html) => {
            let unique: String = email.message_id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
            builder.multipart(
                MultiPart::alternative()
                    .boundary(format!("=_{unique}"))
                    .singlepart(text)
                    .singlepart(SinglePart::html(crlf(html))),
            )
        }
        None => builder.singlepart(text),
    }
    .map_err(|cause| cause.to_string())?;
    let bytes = message.formatted();
    let bytes = match signer {
        Some(signer) => signer.sign(&bytes, email.date)?,
        None => bytes,
    };
    Ok(Prepared { envelope, bytes })
}
