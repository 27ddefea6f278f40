//! DKIM signatures (RFC 6376, RFC 8463), relaxed/relaxed, over the bytes that go out.
//!
//! The headers that a forger would want to add a second time (From, To, Subject, Date and the unsubscribe pair) are
//! signed once more than they occur, so that an added one breaks the signature.

use super::settings::{DkimSettings, SettingsError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest, Sha256};

const SIGNED: [&str; 12] = [
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "auto-submitted",
];
const OVERSIGNED: [&str; 6] = ["from", "to", "subject", "date", "list-unsubscribe", "list-unsubscribe-post"];

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

/// A key with the place where its public half is published.
pub struct Signer {
    domain: String,
    selector: String,
    key: Key,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads the key of the settings.
    pub fn new(settings: &DkimSettings) -> Result<Self, SettingsError> {
        let refused = |cause: &dyn std::fmt::Display| SettingsError::DkimKey(cause.to_string());
        for (name, value) in [("domain", &settings.domain), ("selector", &settings.selector)] {
            if value.is_empty()
                || !value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-' || b == b'_')
            {
                return Err(SettingsError::DkimKey(format!("smtp.dkim.{name} must be a name in the DNS")));
            }
        }
        let pem = PrivateKeyDer::from_pem_slice(settings.private_key.as_bytes())
            .map_err(|cause| SettingsError::DkimKey(format!("no private key in PEM form is in it ({cause})")))?;
        let key = match &pem {
            PrivateKeyDer::Pkcs1(der) => {
                Key::Rsa(Box::new(RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(|cause| refused(&cause))?))
            }
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
                    Ok(pair) => Key::Ed25519(pair),
                    Err(_) => Key::Rsa(Box::new(RsaKeyPair::from_pkcs8(der).map_err(|cause| refused(&cause))?)),
                }
            }
            _ => return Err(SettingsError::DkimKey("an RSA or Ed25519 key is needed".to_owned())),
        };
        Ok(Self { domain: settings.domain.clone(), selector: settings.selector.clone(), key })
    }

    /// The message with its `DKIM-Signature` in front. The message must have CRLF line ends.
    pub fn sign(&self, message: &[u8], at: DateTime<Utc>) -> Result<Vec<u8>, String> {
        let (head, body) = split(message);
        let fields = fields(head);
        let names = names_to_sign(&fields);
        let algorithm = match self.key {
            Key::Rsa(_) => "rsa-sha256",
            Key::Ed25519(_) => "ed25519-sha256",
        };
        let body_hash = STANDARD.encode(Sha256::digest(relaxed_body(body)));
        let unsigned = format!(
            "DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed; d={}; s={};\r\n t={}; h={};\r\n bh={body_hash};\r\n b=",
            self.domain,
            self.selector,
            at.timestamp(),
            names.join(":\r\n "),
        );
        let signed = STANDARD.encode(self.raw_signature(&signed_input(&fields, &names, unsigned.as_bytes()))?);
        let mut out = unsigned.into_bytes();
        for line in signed.as_bytes().chunks(72) {
            out.extend(b"\r\n ");
            out.extend(line);
        }
        out.extend(b"\r\n");
        out.extend(message);
        Ok(out)
    }

    fn raw_signature(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        match &self.key {
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input, &mut signature)
                    .map_err(|_| "the DKIM key could not sign".to_owned())?;
                Ok(signature)
            }
            // RFC 8463: Ed25519 signs the hash, not the text.
            Key::Ed25519(pair) => Ok(pair.sign(&Sha256::digest(input)).as_ref().to_vec()),
        }
    }
}

/// Head (without the empty line) and body.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    match message.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(at) => (&message[..at + 2], &message[at + 4..]),
        None => (message, &[]),
    }
}

/// The header fields in order, each with its continuation lines and without its last line end.
fn fields(head: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let (mut from, mut at) = (0, 0);
    while at < head.len() {
        let ends = head[at..].starts_with(b"\r\n");
        let folded = ends && matches!(head.get(at + 2), Some(b' ' | b'\t'));
        if ends && !folded {
            found.push(&head[from..at]);
            from = at + 2;
            at += 1;
        }
        at += 1;
    }
    if from < head.len() {
        found.push(&head[from..]);
    }
    found
}

fn name_of(field: &[u8]) -> String {
    let name = field.split(|byte| *byte == b':').next().unwrap_or_default();
    String::from_utf8_lossy(name).trim().to_ascii_lowercase()
}

fn names_to_sign(fields: &[&[u8]]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in SIGNED {
        let occurrences = fields.iter().filter(|field| name_of(field) == name).count();
        names.extend(std::iter::repeat_n(name, occurrences + usize::from(OVERSIGNED.contains(&name))));
    }
    names
}

/// What is hashed: the named fields from the bottom up (one that does not occur is empty), then the signature's own.
fn signed_input(fields: &[&[u8]], names: &[impl AsRef<str>], own: &[u8]) -> Vec<u8> {
    let mut left: Vec<&[u8]> = fields.to_vec();
    let mut input = Vec::new();
    for name in names {
        if let Some(at) = left.iter().rposition(|field| name_of(field) == name.as_ref()) {
            input.extend(relaxed_field(left.remove(at)));
            input.extend(b"\r\n");
        }
    }
    input.extend(relaxed_field(own));
    input
}

/// RFC 6376, 3.4.2.
fn relaxed_field(field: &[u8]) -> Vec<u8> {
    let colon = field.iter().position(|byte| *byte == b':').unwrap_or(field.len());
    let mut out = name_of(field).into_bytes();
    out.push(b':');
    let value = field.get(colon + 1..).unwrap_or_default();
    let unfolded: Vec<u8> = value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    out.extend(squeeze(&unfolded).trim_ascii());
    out
}

/// Runs of spaces and tabs become one space.
fn squeeze(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    for byte in line.iter().map(|byte| if *byte == b'\t' { b' ' } else { *byte }) {
        if byte != b' ' || out.last() != Some(&b' ') {
            out.push(byte);
        }
    }
    out
}

/// RFC 6376, 3.4.4.
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 2);
    for line in body.split(|byte| *byte == b'\n') {
        let line = squeeze(line.strip_suffix(b"\r").unwrap_or(line));
        out.extend(line.strip_suffix(b" ").unwrap_or(&line));
        out.extend(b"\r\n");
    }
    while out.ends_with(b"\r\n\r\n") {
        out.truncate(out.len() - 2);
    }
    if out == b"\r\n" { Vec::new() } else { out }
}

#[cfg(test)]
#[path = "dkim_tests.rs"]
mod tests;
