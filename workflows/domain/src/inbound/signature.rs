//! Whether a delivery comes from who it says: the schemes of verification, over the raw bytes and in constant time.

use crate::codes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::digest::{CtOutput, Output};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeMap;

codes! {
    /// How deliveries to an inbound webhook are verified.
    pub enum Scheme("webhook scheme") {
        /// Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`
        /// (<https://www.standardwebhooks.com>).
        StandardWebhooks = "STANDARD_WEBHOOKS",
        /// As GitHub signs: `X-Hub-Signature-256`, HMAC-SHA256 of the body in hexadecimal.
        Github = "GITHUB",
        /// A bearer token in `Authorization`, for senders that cannot sign.
        Bearer = "BEARER",
    }
}

/// How far a signed timestamp may be from now, to either side.
pub const TOLERANCE: TimeDelta = TimeDelta::seconds(300);
/// What a secret of Standard Webhooks begins with.
const PREFIX: &str = "whsec_";
/// The fewest and the most bytes of a key of Standard Webhooks.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The fewest and the most characters of any other secret.
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 16..=200;
/// The most entries of a list of signatures: one for each secret, and some to spare.
const MAX_SIGNATURES: usize = 16;
/// The longest id of a delivery, in characters.
pub const MAX_ID: usize = 200;

/// The headers of a delivery, by their names in small letters.
pub type Headers = BTreeMap<String, String>;

/// A shared secret. It is stored as it is, because a signature can be checked with nothing less, and never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// A secret in the form of the scheme, from 32 bytes that nobody can guess.
    pub fn of_bytes(scheme: Scheme, bytes: &[u8; 32]) -> Self {
        let text = STANDARD.encode(bytes);
        Self(match scheme {
            Scheme::StandardWebhooks => format!("{PREFIX}{text}"),
            Scheme::Github | Scheme::Bearer => text.replace(['+', '/', '='], ""),
        })
    }

    /// A secret that the sender chose; none where the scheme has another form, or it could be guessed.
    pub fn given(scheme: Scheme, text: &str) -> Option<Self> {
        let fits = match scheme {
            Scheme::StandardWebhooks => key_of(text).is_some(),
            Scheme::Github | Scheme::Bearer => {
                SECRET_CHARS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
            }
        };
        fits.then(|| Self(text.to_owned()))
    }

    /// The signature of Standard Webhooks for a message; none where the secret is of another scheme.
    pub fn sign(&self, message: &str, timestamp: &str, body: &str) -> Option<String> {
        let parts = [message.as_bytes(), b".", timestamp.as_bytes(), b".", body.as_bytes()];
        Some(format!("v1,{}", STANDARD.encode(mac(&key_of(&self.0)?, &parts)?)))
    }

    /// The text, for the one time that it is shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

fn key_of(secret: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
    KEY_BYTES.contains(&key.len()).then_some(key)
}

codes! {
    /// Which of an endpoint's secrets a delivery was made with.
    pub enum SecretUsed("secret") {
        /// The one given last.
        Current = "CURRENT",
        /// The one before, which is valid for a while after a rotation.
        Previous = "PREVIOUS",
    }
}

/// What the check of a delivery gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The scheme it was checked by.
    pub scheme: Scheme,
    /// The secret that fitted.
    pub secret: SecretUsed,
    /// The moment that the sender signed, where the scheme has one.
    pub signed_at: Option<DateTime<Utc>>,
}

/// Why a delivery is not believed. For the operator's log: the sender is told no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A header that the scheme needs is absent.
    #[error("the header `{0}` is missing")]
    Missing(&'static str),
    /// A header has another form.
    #[error("the header `{0}` has another form")]
    Malformed(&'static str),
    /// The signed moment is too far away.
    #[error("the signed timestamp is more than 300 seconds away from this server's clock")]
    Stale,
    /// No valid secret made this signature.
    #[error("no valid secret fits")]
    Forged,
}

/// An HMAC-SHA256.
pub(crate) type Tag = [u8; 32];

/// What a delivery brings to show who made it.
enum Proof<'a> {
    Standard { id: &'a str, timestamp: &'a str, signed_at: DateTime<Utc>, tags: Vec<Tag> },
    Github { tag: Tag },
    Bearer { token: &'a str },
}

impl<'a> Proof<'a> {
    fn read(scheme: Scheme, headers: &'a Headers) -> Result<Self, Rejection> {
        let header = |name: &'static str| headers.get(name).map(String::as_str).ok_or(Rejection::Missing(name));
        Ok(match scheme {
            Scheme::StandardWebhooks => {
                let id = Some(header("webhook-id")?).filter(|id| is_id(id));
                let timestamp = header("webhook-timestamp")?;
                // Entries of other versions are for other readers.
                let entries = header("webhook-signature")?.split(' ').filter_map(|entry| entry.strip_prefix("v1,"));
                let tags: Vec<Tag> = entries
                    .filter_map(|tag| STANDARD.decode(tag).ok()?.try_into().ok())
                    .take(MAX_SIGNATURES + 1)
                    .collect();
                if !(1..=MAX_SIGNATURES).contains(&tags.len()) {
                    return Err(Rejection::Malformed("webhook-signature"));
                }
                Self::Standard {
                    id: id.ok_or(Rejection::Malformed("webhook-id"))?,
                    timestamp,
                    signed_at: seconds(timestamp).ok_or(Rejection::Malformed("webhook-timestamp"))?,
                    tags,
                }
            }
            Scheme::Github => {
                let name = "x-hub-signature-256";
                let tag = header(name)?.strip_prefix("sha256=").and_then(from_hex);
                Self::Github { tag: tag.ok_or(Rejection::Malformed(name))? }
            }
            Scheme::Bearer => {
                let given = header("authorization")?.split_once(' ');
                let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
                let (_, token) = given.ok_or(Rejection::Malformed("authorization"))?;
                Self::Bearer { token: token.trim() }
            }
        })
    }

    const fn signed_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Standard { signed_at, .. } => Some(*signed_at),
            Self::Github { .. } | Self::Bearer { .. } => None,
        }
    }

    /// Whether it was made with this secret, in a time that does not tell how nearly.
    fn fits(&self, secret: &Secret, body: &[u8]) -> bool {
        match self {
            Self::Standard { id, timestamp, tags, .. } => {
                let Some(key) = key_of(&secret.0) else { return false };
                let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
                is_one_of(&key, &parts, tags)
            }
            Self::Github { tag } => is_one_of(secret.0.as_bytes(), &[body], std::slice::from_ref(tag)),
            // Both go through the same hash: the time tells neither length nor common beginning.
            Self::Bearer { token } => mac(b"bearer", &[token.as_bytes()])
                .is_some_and(|tag| is_one_of(b"bearer", &[secret.0.as_bytes()], &[tag])),
        }
    }
}

impl Scheme {
    /// Checks a delivery against secrets that are valid now, the current one first.
    pub fn verify(
        self,
        secrets: &[&Secret],
        headers: &Headers,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Verdict, Rejection> {
        let proof = Proof::read(self, headers)?;
        let signed_at = proof.signed_at();
        if signed_at.is_some_and(|signed_at| (now - signed_at).abs() > TOLERANCE) {
            return Err(Rejection::Stale);
        }
        let uses = [SecretUsed::Current, SecretUsed::Previous];
        let used = secrets.iter().zip(uses).find(|(secret, _)| proof.fits(secret, body)).map(|(_, used)| used);
        Ok(Verdict { scheme: self, secret: used.ok_or(Rejection::Forged)?, signed_at })
    }

    /// The id that the sender gave the delivery, by which a repetition is known.
    pub fn delivery_id(self, headers: &Headers) -> Option<&str> {
        let names: &[&str] = match self {
            Self::StandardWebhooks => &["webhook-id"],
            Self::Github => &["x-github-delivery"],
            Self::Bearer => &["webhook-id", "idempotency-key"],
        };
        names.iter().find_map(|name| headers.get(*name)).map(String::as_str).filter(|id| is_id(id))
    }
}

/// Whether a text can be the id of a delivery: 1 to 200 printable ASCII characters without blanks.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn seconds(text: &str) -> Option<DateTime<Utc>> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    DateTime::from_timestamp(text.parse().ok().filter(|_| digits)?, 0)
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    parts.iter().for_each(|part| mac.update(part));
    Some(mac)
}

/// The HMAC-SHA256 of the parts, one behind the other.
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> Option<Tag> {
    Some(keyed(key, parts)?.finalize().into_bytes().into())
}

/// Whether one of the tags is that of the parts, which are read once however many there are. Each is compared in constant time,
/// and all of them are, so that the time does not tell which fits.
fn is_one_of(key: &[u8], parts: &[&[u8]], tags: &[Tag]) -> bool {
    let Some(mac) = keyed(key, parts) else { return false };
    let made = mac.finalize();
    tags.iter().fold(false, |fits, tag| fits | (made == CtOutput::new(Output::<Hmac<Sha256>>::from(*tag))))
}

fn from_hex(text: &str) -> Option<Tag> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<u8>>().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The example of the Standard Webhooks specification's libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn standard(signature: &str, now: i64) -> Result<Verdict, Rejection> {
        let headers = headers(&[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ]);
        let secret = Secret::given(Scheme::StandardWebhooks, SECRET).unwrap();
        Scheme::StandardWebhooks.verify(&[&secret], &headers, BODY, at(now))
    }

    #[test]
    fn the_published_example_of_standard_webhooks_is_believed_for_five_minutes() {
        let verdict = standard(SIGNATURE, 1_614_265_330).unwrap();
        assert_eq!((verdict.secret, verdict.signed_at), (SecretUsed::Current, Some(at(1_614_265_330))));
        assert!(standard(SIGNATURE, 1_614_265_630).is_ok() && standard(SIGNATURE, 1_614_265_030).is_ok());
        assert_eq!(standard(SIGNATURE, 1_614_265_631), Err(Rejection::Stale));
        assert_eq!(standard(SIGNATURE, 1_614_265_029), Err(Rejection::Stale));
    }

    #[test]
    fn any_entry_of_the_list_may_fit_and_others_are_passed_by() {
        let list = format!("v1a,abc v2,def v1,{} {SIGNATURE} nonsense", STANDARD.encode([0; 32]));
        assert!(standard(&list, 1_614_265_330).is_ok());
        let malformed = Err(Rejection::Malformed("webhook-signature"));
        for other in ["", "v1", "v1,", "v1,***", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="] {
            let refused = standard(other, 1_614_265_330);
            assert!(refused == malformed || refused == Err(Rejection::Forged), "{other}: {refused:?}");
        }
    }

    #[test]
    fn a_list_of_many_signatures_is_none() {
        let list = format!("{SIGNATURE} {}", vec![SIGNATURE; MAX_SIGNATURES].join(" "));
        assert_eq!(standard(&list, 1_614_265_330), Err(Rejection::Malformed("webhook-signature")));
        // What is no tag is not counted, and costs nothing.
        assert!(standard(&format!("{} {SIGNATURE}", "v1, ".repeat(5_000)), 1_614_265_330).is_ok());
    }

    #[test]
    fn githubs_published_example_is_believed() {
        let secret = Secret::given(Scheme::Github, "It's a Secret to Everybody".replace(' ', "_").as_str()).unwrap();
        let tag = mac(secret.reveal().as_bytes(), &[b"Hello, World!"]).unwrap();
        let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let verify = |value: &str| {
            let headers = headers(&[("x-hub-signature-256", value), ("x-github-delivery", "72d3162e")]);
            Scheme::Github.verify(&[&secret], &headers, b"Hello, World!", at(0))
        };
        assert!(verify(&format!("sha256={hex}")).is_ok());
        assert_eq!(verify(&hex), Err(Rejection::Malformed("x-hub-signature-256")));
        assert_eq!(verify("sha256=+f"), Err(Rejection::Malformed("x-hub-signature-256")));
        assert_eq!(verify(&format!("sha256={}", "0".repeat(64))), Err(Rejection::Forged));
        // The value that GitHub's documentation gives for its secret and payload.
        let documented = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let tag = mac(b"It's a Secret to Everybody", &[b"Hello, World!"]).unwrap();
        assert_eq!(from_hex(documented), Some(tag));
    }

    #[test]
    fn a_bearer_token_is_the_secret_and_the_previous_one_is_told() {
        let (new, old) =
            (Secret::of_bytes(Scheme::Bearer, &[1; 32]), Secret::given(Scheme::Bearer, "0123456789abcdef").unwrap());
        let verify = |value: &str| {
            let headers = headers(&[("authorization", value)]);
            Scheme::Bearer.verify(&[&new, &old], &headers, b"{}", at(0)).map(|verdict| verdict.secret)
        };
        assert_eq!(verify(&format!("Bearer {}", new.reveal())), Ok(SecretUsed::Current));
        assert_eq!(verify("bearer 0123456789abcdef"), Ok(SecretUsed::Previous));
        assert_eq!(verify("Bearer 0123456789abcde"), Err(Rejection::Forged));
        assert_eq!(verify("Basic 0123456789abcdef"), Err(Rejection::Malformed("authorization")));
        assert_eq!(
            Scheme::Bearer.verify(&[&new], &Headers::new(), b"", at(0)),
            Err(Rejection::Missing("authorization"))
        );
    }

    #[test]
    fn a_secret_has_the_form_of_its_scheme_and_is_never_printed() {
        for scheme in Scheme::ALL {
            let made = Secret::of_bytes(*scheme, &[251; 32]);
            assert_eq!(Secret::given(*scheme, made.reveal()), Some(made.clone()), "{scheme}");
            assert_eq!(format!("{made:?}"), "Secret(..)");
        }
        for weak in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!"] {
            assert_eq!(Secret::given(Scheme::StandardWebhooks, weak), None, "{weak}");
        }
        assert_eq!(Secret::given(Scheme::Bearer, "with a blank inside"), None);
        assert_eq!(Secret::given(Scheme::Github, "short"), None);
    }

    proptest! {
        #[test]
        fn a_changed_bit_is_noticed(place in 0..BODY.len(), bit in 0..8_u32) {
            let mut body = BODY.to_vec();
            body[place] ^= 1 << bit;
            let headers = headers(&[
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", SIGNATURE),
            ]);
            let secret = Secret::given(Scheme::StandardWebhooks, SECRET).unwrap();
            let verdict = Scheme::StandardWebhooks.verify(&[&secret], &headers, &body, at(1_614_265_330));
            prop_assert_eq!(verdict, Err(Rejection::Forged));
        }

        #[test]
        fn no_headers_make_it_panic(values in proptest::collection::vec("\\PC{0,60}", 5)) {
            let names = ["webhook-id", "webhook-timestamp", "webhook-signature", "x-hub-signature-256", "authorization"];
            let headers: Headers = names.iter().map(|name| (*name).to_owned()).zip(values).collect();
            for scheme in Scheme::ALL {
                let secret = Secret::of_bytes(*scheme, &[7; 32]);
                let verdict = scheme.verify(&[&secret], &headers, b"body", at(0));
                prop_assert!(verdict.is_err());
            }
        }
    }
}
