//! Whether a person may be written to: the one rule, asked when somebody is enrolled, before every step, when an
//! e-mail is planned, and once more when it is about to go out.

use crate::codes;
use crate::contact::{ConsentState, Contact};
use crate::suppression::{Suppression, SuppressionReason};

codes! {
    /// Whether a person may be written to.
    pub enum Standing("standing") {
        /// Yes.
        Allowed = "ALLOWED",
        /// It cannot be said now, since consent or address is not known: nothing is sent until it is.
        Unknown = "UNKNOWN",
        /// The address or its domain is suppressed.
        Suppressed = "SUPPRESSED",
        /// The mailbox does not exist.
        Bounced = "BOUNCED",
        /// The person withdrew the consent.
        Withdrawn = "WITHDRAWN",
        /// The person unsubscribed, or asked somebody here to stop.
        OptedOut = "OPTED_OUT",
    }
}

impl Standing {
    /// How somebody stands whose address was suppressed for this reason, as long as nothing else is known.
    pub const fn after(reason: SuppressionReason) -> Self {
        match reason {
            SuppressionReason::Unsubscribed | SuppressionReason::OptedOut => Self::OptedOut,
            SuppressionReason::Complaint | SuppressionReason::Manual | SuppressionReason::Legal => Self::Suppressed,
            SuppressionReason::Bounced => Self::Bounced,
        }
    }
}

/// Whether `contact` may be written to at `address`. `suppressions` are all that were found under
/// [`crate::suppression::lookups`] of the address, live or not.
///
/// What the person wants comes first, then what somebody here decided. A consent that nobody knows, or an address that
/// nobody knows, can become known.
pub fn standing(contact: &Contact, address: Option<&str>, suppressions: &[Suppression]) -> Standing {
    let covering = |reasons: &[SuppressionReason]| {
        let covers = |found: &Suppression| address.is_some_and(|address| found.covers(address));
        suppressions.iter().any(|found| reasons.contains(&found.reason) && covers(found))
    };
    let others = [SuppressionReason::Complaint, SuppressionReason::Manual, SuppressionReason::Legal];
    if covering(&[SuppressionReason::Unsubscribed, SuppressionReason::OptedOut]) {
        return Standing::OptedOut;
    }
    if covering(&others) {
        return Standing::Suppressed;
    }
    match contact.consent.state {
        ConsentState::Withdrawn => Standing::Withdrawn,
        _ if covering(&[SuppressionReason::Bounced]) => Standing::Bounced,
        ConsentState::Granted if address.is_some() => Standing::Allowed,
        ConsentState::Granted | ConsentState::Unknown => Standing::Unknown,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::contact::Consent;
    use crate::id::{ContactId, SuppressionId};
    use crate::suppression::{SuppressionKind, Wish, suppress};
    use chrono::{DateTime, Utc};
    use uuid::Uuid;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    /// A person about whom nothing else is known.
    pub(crate) fn person(state: ConsentState) -> Contact {
        Contact {
            id: ContactId(Uuid::nil()),
            account: None,
            name: None,
            email: None,
            phone: None,
            title: None,
            locale: None,
            time_zone: None,
            consent: Consent { state, source: None, at: NOW },
            tags: Default::default(),
            custom: Default::default(),
            external_ids: Default::default(),
            source: None,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    fn suppressed(reason: SuppressionReason) -> Suppression {
        let (id, kind) = (SuppressionId(Uuid::nil()), SuppressionKind::Domain);
        let wish = Wish { id, kind, value: "example.com".into(), reason, source: "test".into() };
        suppress(None, wish, NOW).unwrap().next
    }

    #[test]
    fn only_a_consent_that_is_known_to_be_given_allows() {
        let at = |state, address| standing(&person(state), address, &[]);
        assert_eq!(at(ConsentState::Granted, Some("a@example.com")), Standing::Allowed);
        assert_eq!(at(ConsentState::Granted, None), Standing::Unknown);
        assert_eq!(at(ConsentState::Unknown, Some("a@example.com")), Standing::Unknown);
        assert_eq!(at(ConsentState::Withdrawn, Some("a@example.com")), Standing::Withdrawn);
    }

    #[test]
    fn every_live_suppression_forbids_whatever_was_agreed_to() {
        for reason in SuppressionReason::ALL.iter().copied() {
            let found = [suppressed(reason)];
            for state in ConsentState::ALL.iter().copied() {
                let standing = standing(&person(state), Some("a@mail.example.com"), &found);
                assert!(!matches!(standing, Standing::Allowed | Standing::Unknown), "{reason} {state}: {standing}");
            }
            assert_eq!(standing(&person(ConsentState::Granted), Some("a@other.com"), &found), Standing::Allowed);
        }
    }
}
