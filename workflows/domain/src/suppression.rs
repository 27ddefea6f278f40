//! Who is never written to: addresses and whole domains. A suppression wins over everything.
//!
//! One value has one record: suppressing it again after it was lifted revives that record, so that its history
//! in the ledger is one story. The ledger never holds the address itself, which could not be erased from it.

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::SuppressionId;
use crate::normalise::at_most;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

codes! {
    /// What a suppression covers.
    pub enum SuppressionKind("suppression kind") {
        /// One address.
        Email = "EMAIL",
        /// Every address of a domain and of its subdomains.
        Domain = "DOMAIN",
    }
}

codes! {
    /// Why nobody writes to an address or a domain any more.
    pub enum SuppressionReason("suppression reason") {
        /// The person used the unsubscribe link.
        Unsubscribed = "UNSUBSCRIBED",
        /// The mailbox does not exist.
        Bounced = "BOUNCED",
        /// The person reported an e-mail as unwanted.
        Complaint = "COMPLAINT",
        /// The person asked somebody here to stop.
        OptedOut = "OPTED_OUT",
        /// Somebody here decided it.
        Manual = "MANUAL",
        /// The law or a lawyer demands it.
        Legal = "LEGAL",
    }
}

/// An address or a domain that is never written to while the suppression is live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suppression {
    /// Its id.
    pub id: SuppressionId,
    /// Whether it covers an address or a domain.
    pub kind: SuppressionKind,
    /// The normalised address or domain; unique together with the kind.
    pub value: String,
    /// Why.
    pub reason: SuppressionReason,
    /// Where the wish came from, in short words, e.g. `unsubscribe link`, `import of 3 May`.
    pub source: String,
    /// Since when it is live.
    pub at: DateTime<Utc>,
    /// When it was lifted; none while it is live.
    #[serde(default)]
    pub lifted_at: Option<DateTime<Utc>>,
}

/// Why a change to the suppressions is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The text is not an e-mail address.
    #[error("this is not an e-mail address; give it in the form name@example.com")]
    NotAnAddress,
    /// The text is not a domain.
    #[error("this is not a domain; give it in the form example.com, with at least one dot and no address before it")]
    NotADomain,
    /// It is suppressed already.
    #[error("it has been suppressed since {since} ({reason}); nothing needs to be done")]
    AlreadySuppressed {
        /// Since when.
        since: DateTime<Utc>,
        /// Why.
        reason: SuppressionReason,
    },
    /// It was lifted before.
    #[error("this suppression was lifted at {at}; nothing needs to be done")]
    AlreadyLifted {
        /// When.
        at: DateTime<Utc>,
    },
    /// Lifting needs a reason that a reader of the record can judge.
    #[error("say why the suppression may be lifted, e.g. where the person's new consent is recorded")]
    LiftUnexplained,
    /// A text is too long.
    #[error(transparent)]
    Normalise(#[from] crate::normalise::Refusal),
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAnAddress => "SUPPRESSION_NOT_AN_ADDRESS",
            Self::NotADomain => "SUPPRESSION_NOT_A_DOMAIN",
            Self::AlreadySuppressed { .. } => "SUPPRESSION_EXISTS",
            Self::AlreadyLifted { .. } => "SUPPRESSION_LIFTED",
            Self::LiftUnexplained => "SUPPRESSION_LIFT_UNEXPLAINED",
            Self::Normalise(refusal) => refusal.code(),
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::NotAnAddress | Self::NotADomain | Self::AlreadySuppressed { .. } => Some("value"),
            Self::LiftUnexplained => Some("because"),
            Self::Normalise(refusal) => refusal.field(),
            Self::AlreadyLifted { .. } => None,
        }
    }
}

/// The longest reason to lift a suppression, in characters.
pub const MOST_BECAUSE: usize = 500;

/// Puts a value into the one form in which suppressions are kept and compared: lower case, the domain in ASCII
/// (IDNA), no surrounding space, no final dot. A domain may be given as a URL.
///
/// It takes more addresses than [`crate::normalise::email`] does, for a person to be left alone need not have an address that
/// we would write to; where both take one, the form is the same.
pub fn normalise(kind: SuppressionKind, value: &str) -> Result<String, Refusal> {
    let value = value.trim();
    match kind {
        SuppressionKind::Email => {
            let (local, host) = value.rsplit_once('@').ok_or(Refusal::NotAnAddress)?;
            let odd = |c: char| c.is_whitespace() || c.is_control() || "<>,;:\"\\()@".contains(c);
            if local.is_empty() || local.len() > 64 || local.contains(odd) {
                return Err(Refusal::NotAnAddress);
            }
            let host = ascii_domain(host).ok_or(Refusal::NotAnAddress)?;
            Ok(format!("{}@{host}", local.to_lowercase()))
        }
        SuppressionKind::Domain => crate::normalise::domain(value).map_err(|_| Refusal::NotADomain),
    }
}

fn ascii_domain(text: &str) -> Option<String> {
    let host = idna::domain_to_ascii_strict(text.trim_end_matches('.')).ok()?.to_ascii_lowercase();
    (host.contains('.') && host.len() <= 253 && !host.starts_with('.')).then_some(host)
}

/// Every (kind, value) under which `address` could be suppressed: the address, its domain, and the domains above
/// it. An address that cannot be normalised is looked up as it stands.
pub fn lookups(address: &str) -> Vec<(SuppressionKind, String)> {
    let address =
        normalise(SuppressionKind::Email, address).unwrap_or_else(|_| address.trim().to_lowercase().to_owned());
    let mut found = vec![(SuppressionKind::Email, address.clone())];
    let mut rest = address.rsplit_once('@').map(|(_, host)| host);
    while let Some(host) = rest {
        if !host.contains('.') {
            break;
        }
        found.push((SuppressionKind::Domain, host.to_owned()));
        rest = host.split_once('.').map(|(_, above)| above);
    }
    found
}

impl Suppression {
    /// Whether nobody may be written to under it now.
    pub const fn is_live(&self) -> bool {
        self.lifted_at.is_none()
    }

    /// Whether it is live and covers `address` (in any spelling that normalises to the same address).
    pub fn covers(&self, address: &str) -> bool {
        self.is_live() && lookups(address).iter().any(|(kind, value)| *kind == self.kind && *value == self.value)
    }
}

/// A wish to suppress something.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The id of the record, where a new one is made.
    pub id: SuppressionId,
    /// An address or a domain.
    pub kind: SuppressionKind,
    /// The address or the domain, as given.
    pub value: String,
    /// Why.
    pub reason: SuppressionReason,
    /// Where the wish came from.
    pub source: String,
}

/// Suppresses an address or a domain. `existing` is the record of the same kind and (normalised) value, where
/// there is one: a live one refuses, a lifted one is revived.
pub fn suppress(
    existing: Option<Suppression>,
    wish: Wish,
    now: DateTime<Utc>,
) -> Result<Decision<Suppression>, Refusal> {
    let Wish { id, kind, value, reason, source } = wish;
    if let Some(live) = existing.as_ref().filter(|found| found.is_live()) {
        return Err(Refusal::AlreadySuppressed { since: live.at, reason: live.reason });
    }
    let value = normalise(kind, &value)?;
    let id = existing.map_or(id, |lifted| lifted.id);
    let next = Suppression { id, kind, value, reason, source, at: now, lifted_at: None };
    let mut fact =
        Fact::ledger("suppression.added", id).because(reason).with("kind", kind).with("source", &next.source);
    if kind == SuppressionKind::Domain {
        fact = fact.with("domain", &next.value);
    }
    Ok(Decision::new(next, fact))
}

/// Lifts a suppression. `because` must say why that is right: it stays in the ledger.
pub fn lift(suppression: Suppression, because: &str, now: DateTime<Utc>) -> Result<Decision<Suppression>, Refusal> {
    if let Some(at) = suppression.lifted_at {
        return Err(Refusal::AlreadyLifted { at });
    }
    let because = because.trim();
    if because.is_empty() {
        return Err(Refusal::LiftUnexplained);
    }
    at_most("because", because, MOST_BECAUSE)?;
    let fact = Fact::ledger("suppression.lifted", suppression.id)
        .with("kind", suppression.kind)
        .with("was", suppression.reason)
        .with("because", because);
    Ok(Decision::new(Suppression { lifted_at: Some(now), ..suppression }, fact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
    }

    fn wish(kind: SuppressionKind, value: &str) -> Wish {
        let (id, source) = (SuppressionId(Uuid::from_u128(7)), "test".to_owned());
        Wish { id, kind, value: value.to_owned(), reason: SuppressionReason::Manual, source }
    }

    #[test]
    fn an_address_is_covered_in_every_spelling_of_it() {
        let kept = suppress(None, wish(SuppressionKind::Email, " Ann.Li@BÜCHER.example. "), now()).unwrap().next;
        assert_eq!(kept.value, "ann.li@xn--bcher-kva.example");
        assert!(kept.covers("ANN.LI@bücher.example"));
        assert!(!kept.covers("ann.lu@bücher.example"));
    }

    #[test]
    fn an_address_has_the_same_form_here_as_in_a_contact() {
        for given in
            ["Ann.Li@Example.COM", " o'neil+x@sub.example.org", "a@bücher.example", "a_b@xn--bcher-kva.example"]
        {
            let contact = crate::normalise::email(given).unwrap();
            assert_eq!(normalise(SuppressionKind::Email, given), Ok(contact), "{given}");
        }
    }

    #[test]
    fn a_domain_covers_its_subdomains_and_not_its_neighbours() {
        let kept = suppress(None, wish(SuppressionKind::Domain, "Example.com"), now()).unwrap().next;
        assert!(kept.covers("a@example.com") && kept.covers("a@mail.example.com"));
        assert!(!kept.covers("a@notexample.com") && !kept.covers("a@example.org"));
    }

    #[test]
    fn what_is_neither_address_nor_domain_is_refused() {
        for bad in
            ["", "ann", "@example.com", "a b@example.com", "a@b@example.com", "ann@example", "a\r\nb@example.com"]
        {
            assert_eq!(normalise(SuppressionKind::Email, bad), Err(Refusal::NotAnAddress), "{bad:?}");
        }
        for bad in ["", "example", "ann@example.com", "exa mple.com", ".example.com"] {
            assert_eq!(normalise(SuppressionKind::Domain, bad), Err(Refusal::NotADomain), "{bad:?}");
        }
    }

    #[test]
    fn a_live_suppression_is_not_suppressed_again_and_a_lifted_one_is_revived() {
        let first = suppress(None, wish(SuppressionKind::Email, "a@example.com"), now()).unwrap().next;
        let again = suppress(Some(first.clone()), wish(SuppressionKind::Email, "a@example.com"), now());
        assert_eq!(again.unwrap_err().code(), "SUPPRESSION_EXISTS");
        assert_eq!(lift(first.clone(), "  ", now()).unwrap_err(), Refusal::LiftUnexplained);
        let wordy = lift(first.clone(), &"x".repeat(MOST_BECAUSE + 1), now()).unwrap_err();
        assert_eq!((wordy.code(), wordy.field()), ("TEXT_TOO_LONG", Some("because")));
        let lifted = lift(first.clone(), "consent form 12", now()).unwrap().next;
        assert!(!lifted.covers("a@example.com"));
        assert_eq!(lift(lifted.clone(), "twice", now()).unwrap_err().code(), "SUPPRESSION_LIFTED");
        let revived = suppress(Some(lifted), wish(SuppressionKind::Email, "a@example.com"), now()).unwrap().next;
        assert!(revived.covers("a@example.com") && revived.id == first.id);
    }

    #[test]
    fn no_address_enters_the_ledger() {
        let decision = suppress(None, wish(SuppressionKind::Email, "secret@example.com"), now()).unwrap();
        assert!(!format!("{:?}", decision.facts).contains("secret"));
    }
}
