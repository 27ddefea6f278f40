//! Signed links: what a URL in an e-mail may carry, and how nobody else can make one.
//!
//! A token holds ids and never an e-mail address. Its bytes are `version (1) | purpose | key id | email id | contact id |
//! where a click leads | HMAC-SHA256 over all before it`, in base64 for URLs without padding. The key id says which key
//! signed, so that a key can be changed while the links in e-mails of last year still work. Where a click leads is signed, so
//! that nobody can send people elsewhere under our name.

use crate::id::{ContactId, EmailId};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use uuid::Uuid;

const VERSION: u8 = 1;
const UNSUBSCRIBE: u8 = b'u';
const OPEN: u8 = b'o';
const CLICK: u8 = b'c';
const HEAD: usize = 3;
const IDS: usize = HEAD + 16 + 16;
const TAG: usize = 32;
/// The longest address that a click leads to, in bytes.
pub const MAX_URL: usize = 2_000;

/// What a link asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Write no more to the person whom this e-mail went to.
    Unsubscribe {
        /// The e-mail that carried the link.
        email: EmailId,
        /// The person it went to.
        contact: ContactId,
    },
    /// Show the picture that tells that this e-mail was opened.
    Open {
        /// The e-mail that holds the picture.
        email: EmailId,
        /// The person it went to.
        contact: ContactId,
    },
    /// Lead on to where a link of this e-mail leads.
    Click {
        /// The e-mail that carried the link.
        email: EmailId,
        /// The person it went to.
        contact: ContactId,
        /// Where it leads: an http or https address of at most 2,000 bytes.
        url: String,
    },
}

/// Why a token or a key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not of the form of a token.
    #[error("this link is damaged; copy the whole link from the e-mail")]
    Malformed,
    /// The signature is not ours.
    #[error("this link was not made here; use the link in the e-mail")]
    Forged,
    /// The key that signed it is not kept any more.
    #[error("this link is too old to be checked; answer the e-mail instead")]
    KeyRetired,
    /// A short secret could be guessed.
    #[error("a signing key needs at least 32 bytes; make one with `openssl rand -base64 32`")]
    KeyTooShort,
    /// The key that signs must be among the keys.
    #[error("the current key is not among the keys; add it or name another")]
    KeyMissing,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "LINK_MALFORMED",
            Self::Forged => "LINK_FORGED",
            Self::KeyRetired => "LINK_KEY_RETIRED",
            Self::KeyTooShort => "LINK_KEY_TOO_SHORT",
            Self::KeyMissing => "LINK_KEY_MISSING",
        }
    }

    /// The input field concerned: always the token.
    pub const fn field(&self) -> Option<&'static str> {
        None
    }
}

/// The keys that sign and check links: one signs, all check.
#[derive(Clone)]
pub struct KeyRing {
    current: u8,
    keys: BTreeMap<u8, Vec<u8>>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing").field("current", &self.current).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// Keys by id, of at least 32 bytes each; `current` signs.
    pub fn new(current: u8, keys: BTreeMap<u8, Vec<u8>>) -> Result<Self, Refusal> {
        if keys.values().any(|key| key.len() < 32) {
            return Err(Refusal::KeyTooShort);
        }
        if !keys.contains_key(&current) {
            return Err(Refusal::KeyMissing);
        }
        Ok(Self { current, keys })
    }

    fn mac(&self, key: u8, signed: &[u8]) -> Option<Hmac<Sha256>> {
        // HMAC takes a key of any length, so the second `ok` never loses one.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.keys.get(&key)?).ok()?;
        mac.update(signed);
        Some(mac)
    }

    /// The token for a link, of characters that are safe in a URL: 90 of them, and more where a click leads somewhere.
    pub fn sign(&self, link: &Link) -> String {
        let (purpose, email, contact, url) = match link {
            Link::Unsubscribe { email, contact } => (UNSUBSCRIBE, email, contact, ""),
            Link::Open { email, contact } => (OPEN, email, contact, ""),
            Link::Click { email, contact, url } => (CLICK, email, contact, url.as_str()),
        };
        let mut bytes = Vec::with_capacity(IDS + url.len() + TAG);
        bytes.extend([VERSION, purpose, self.current]);
        bytes.extend(email.0.as_bytes());
        bytes.extend(contact.0.as_bytes());
        bytes.extend(url.as_bytes());
        let tag = self.mac(self.current, &bytes).map(|mac| mac.finalize().into_bytes());
        bytes.extend(tag.unwrap_or_default());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token asks for. The signature is compared in constant time.
    pub fn open(&self, token: &str) -> Result<Link, Refusal> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Refusal::Malformed)?;
        let length = bytes.len().checked_sub(TAG).filter(|length| (IDS..=IDS + MAX_URL).contains(length));
        let (signed, tag) = bytes.split_at(length.ok_or(Refusal::Malformed)?);
        let (purpose, url) = (signed[1], &signed[IDS..]);
        if signed[0] != VERSION || ![UNSUBSCRIBE, OPEN, CLICK].contains(&purpose) {
            return Err(Refusal::Malformed);
        }
        self.mac(signed[2], signed).ok_or(Refusal::KeyRetired)?.verify_slice(tag).map_err(|_| Refusal::Forged)?;
        let id = |from: usize| Uuid::from_slice(&signed[from..from + 16]).map_err(|_| Refusal::Malformed);
        let (email, contact) = (EmailId(id(HEAD)?), ContactId(id(HEAD + 16)?));
        match purpose {
            UNSUBSCRIBE if url.is_empty() => Ok(Link::Unsubscribe { email, contact }),
            OPEN if url.is_empty() => Ok(Link::Open { email, contact }),
            CLICK => {
                let url = String::from_utf8(url.to_vec()).map_err(|_| Refusal::Malformed)?;
                Ok(Link::Click { email, contact, url })
            }
            _ => Err(Refusal::Malformed),
        }
    }
}

/// Whether an address is one of the web: whoever shows others as a link leads people to scripts.
pub fn has_web_scheme(url: &str) -> bool {
    let begins = |scheme: &str| url.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    begins("https://") || begins("http://")
}

/// Whether a link of an e-mail leads to somewhere that a click can be led on to.
pub fn is_web(url: &str) -> bool {
    url.len() <= MAX_URL && url.bytes().all(|byte| byte.is_ascii_graphic()) && has_web_scheme(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring(seed: u8) -> KeyRing {
        KeyRing::new(1, BTreeMap::from([(1, vec![seed; 32])])).unwrap()
    }

    proptest! {
        #[test]
        fn a_signed_link_opens_to_what_was_signed(email: u128, contact: u128, seed: u8) {
            let link = Link::Unsubscribe {
                email: EmailId(Uuid::from_u128(email)), contact: ContactId(Uuid::from_u128(contact)),
            };
            let token = ring(seed).sign(&link);
            prop_assert!(token.len() == 90 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(ring(seed).open(&token), Ok(link));
            prop_assert_eq!(ring(seed.wrapping_add(1)).open(&token), Err(Refusal::Forged));
        }

        #[test]
        fn a_token_changed_in_any_bit_is_refused(email: u128, at in 0..IDS + TAG, bit in 0..8_u32) {
            let link = Link::Unsubscribe { email: EmailId(Uuid::from_u128(email)), contact: ContactId(Uuid::nil()) };
            let mut bytes = URL_SAFE_NO_PAD.decode(ring(1).sign(&link)).unwrap();
            bytes[at] ^= 1 << bit;
            prop_assert!(ring(1).open(&URL_SAFE_NO_PAD.encode(bytes)).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            prop_assert!(ring(1).open(&text).is_err());
        }
    }

    #[test]
    fn where_a_click_leads_is_part_of_what_is_signed() {
        let (email, contact) = (EmailId(Uuid::max()), ContactId(Uuid::nil()));
        let url = "https://acme.example/pricing?a=1&b=2#top".to_owned();
        let link = Link::Click { email, contact, url };
        let token = ring(1).sign(&link);
        assert_eq!(ring(1).open(&token), Ok(link));
        let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        bytes[IDS + 9] ^= 1;
        assert_eq!(ring(1).open(&URL_SAFE_NO_PAD.encode(bytes)), Err(Refusal::Forged));
        // One kind of link is not another.
        let mut open = URL_SAFE_NO_PAD.decode(ring(1).sign(&Link::Open { email, contact })).unwrap();
        open[1] = UNSUBSCRIBE;
        assert_eq!(ring(1).open(&URL_SAFE_NO_PAD.encode(open)), Err(Refusal::Forged));
        for (url, leads) in [
            ("https://a.example", true),
            ("HTTP://a", true),
            ("mailto:a@b.c", false),
            ("javascript:x", false),
            ("https://a b", false),
        ] {
            assert_eq!(is_web(url), leads, "{url}");
        }
    }

    #[test]
    fn an_old_key_still_checks_and_a_retired_one_does_not() {
        let link = Link::Unsubscribe { email: EmailId(Uuid::max()), contact: ContactId(Uuid::nil()) };
        let old = KeyRing::new(1, BTreeMap::from([(1, vec![1; 32])])).unwrap();
        let both = KeyRing::new(2, BTreeMap::from([(1, vec![1; 32]), (2, vec![2; 32])])).unwrap();
        let new = KeyRing::new(2, BTreeMap::from([(2, vec![2; 32])])).unwrap();
        assert_eq!(both.open(&old.sign(&link)), Ok(link.clone()));
        assert_eq!(new.open(&old.sign(&link)), Err(Refusal::KeyRetired));
        assert_eq!(new.open(&both.sign(&link)), Ok(link));
    }

    #[test]
    fn a_key_that_could_be_guessed_is_refused() {
        assert_eq!(KeyRing::new(1, BTreeMap::from([(1, b"secret".to_vec())])).unwrap_err(), Refusal::KeyTooShort);
        assert_eq!(KeyRing::new(2, BTreeMap::from([(1, vec![0; 32])])).unwrap_err(), Refusal::KeyMissing);
    }

    #[test]
    fn a_key_is_never_printed() {
        assert!(!format!("{:?}", ring(77)).contains("77"));
    }
}
