//! How often a person, and all people of one account, may be written to over all sequences.
//!
//! Owns the agreed policy and its arithmetic. A cap speaks of a rolling window: in every span of its hours at most so many
//! e-mails are begun. When it opens again follows from the moments that count, so nobody has to look again and again.
//! Transactional e-mails are exempt and do not count.

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::ContactPolicyId;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most caps of a policy.
pub const MOST_CAPS: usize = 20;
/// The most e-mails that a cap may allow.
pub const MOST_EMAILS: u32 = 1_000;
/// The longest window of a cap, in hours: 90 days.
pub const MOST_HOURS: u32 = 90 * 24;

codes! {
    /// Over whom a cap counts.
    pub enum CapScope("cap scope") {
        /// One person.
        Person = "PERSON",
        /// Everybody of one account together.
        Account = "ACCOUNT",
    }
}

/// At most so many e-mails in so many hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrequencyCap {
    /// Over whom it counts.
    pub scope: CapScope,
    /// How many e-mails, 1 to [`MOST_EMAILS`].
    pub most: u32,
    /// In how many hours, 1 to [`MOST_HOURS`]. A day is 24 of them, whatever the clocks do.
    pub hours: u32,
}

impl FrequencyCap {
    /// The length of its window.
    pub fn window(self) -> TimeDelta {
        TimeDelta::hours(self.hours.into())
    }

    /// From when on it allows one more, where it does not `now`. `moments` are those that count for its scope, newest first;
    /// one that lies ahead, as a reservation does, counts too.
    pub fn opens(self, moments: &[DateTime<Utc>], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let place = usize::try_from(self.most.max(1)).unwrap_or(usize::MAX) - 1;
        let leaves = moments.get(place)?.checked_add_signed(self.window())?;
        (leaves > now).then_some(leaves)
    }
}

impl std::fmt::Display for FrequencyCap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scope = match self.scope {
            CapScope::Person => "a person",
            CapScope::Account => "an account",
        };
        match self.hours {
            hours if hours % 24 == 0 => write!(f, "{} in {}d {scope}", self.most, hours / 24),
            hours => write!(f, "{} in {hours}h {scope}", self.most),
        }
    }
}

/// The rules on how often people may be written to. There is one policy; without it, or with an empty one, nothing is capped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactPolicy {
    /// Its id.
    pub id: ContactPolicyId,
    /// Counts the definitions from 1.
    pub version: u32,
    /// The caps; all of them hold.
    pub caps: Vec<FrequencyCap>,
}

/// What the caps of one scope need to know: the newest moments, as many as the widest cap allows, within the longest window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// How many moments, newest first.
    pub most: u32,
    /// How far back.
    pub window: TimeDelta,
}

/// The moments that count for one e-mail, newest first: as far as the policy's reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Those of the person.
    pub person: Vec<DateTime<Utc>>,
    /// Those of everybody of the account.
    pub account: Vec<DateTime<Utc>>,
}

/// Until when caps hold an e-mail back, and the cap that does it for longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capped {
    /// The first moment at which all caps allow it.
    pub until: DateTime<Utc>,
    /// The cap that opens last.
    pub cap: FrequencyCap,
    /// The version of the policy.
    pub version: u32,
}

impl Capped {
    /// The rule that decided, for the ledger: `contact_policy@3: 1 in 1d a person`.
    pub fn rule(&self) -> String {
        format!("contact_policy@{}: {}", self.version, self.cap)
    }
}

impl ContactPolicy {
    /// What the caps of a scope need to know; none where there are none.
    pub fn reach(&self, scope: CapScope) -> Option<Reach> {
        let caps = || self.caps.iter().filter(|cap| cap.scope == scope);
        let most = caps().map(|cap| cap.most).max()?;
        let window = caps().map(|cap| cap.window()).max()?;
        Some(Reach { most, window })
    }

    /// Until when its caps hold an e-mail back; none where they allow it `now`. At the moment given all of them allow it, as long
    /// as nothing else is begun.
    pub fn holds(&self, counted: &Counted, now: DateTime<Utc>) -> Option<Capped> {
        let opens = self.caps.iter().filter_map(|cap| {
            let moments = match cap.scope {
                CapScope::Person => &counted.person,
                CapScope::Account => &counted.account,
            };
            let until = cap.opens(moments, now)?;
            Some(Capped { until, cap: *cap, version: self.version })
        });
        opens.max_by_key(|capped| capped.until)
    }
}

/// The policy as sales ops writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyDraft {
    /// The caps, at most [`MOST_CAPS`]; none lifts all of them.
    pub caps: Vec<FrequencyCap>,
}

/// Why a policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More caps than anybody could keep in mind.
    #[error("a policy has at most {MOST_CAPS} caps; leave some out")]
    TooManyCaps,
    /// A cap that allows nothing, or more than it is there for.
    #[error(
        "a cap allows 1 to {MOST_EMAILS} e-mails, not {given}; to write to nobody, suppress them or pause the sequences"
    )]
    Most {
        /// What was given.
        given: u32,
    },
    /// A window out of range.
    #[error("the window of a cap is 1 to {MOST_HOURS} hours, not {given}; write a day as 24 and a week as 168")]
    Window {
        /// What was given.
        given: u32,
    },
    /// Two caps over the same window: the greater would never do anything.
    #[error("there are two caps for {scope} over {hours} hours; keep one")]
    Twice {
        /// The scope.
        scope: CapScope,
        /// The window.
        hours: u32,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooManyCaps => "CONTACT_POLICY_TOO_MANY_CAPS",
            Self::Most { .. } => "CONTACT_POLICY_MOST_INVALID",
            Self::Window { .. } => "CONTACT_POLICY_WINDOW_INVALID",
            Self::Twice { .. } => "CONTACT_POLICY_CAP_TWICE",
        }
    }

    /// The input field concerned.
    pub const fn field(&self) -> Option<&'static str> {
        Some("caps")
    }
}

/// Saves the policy: a new one under `id`, or the next version of `before`, which keeps its id. What is planned already is
/// looked at again, under the policy of that moment, before it goes out.
pub fn save(
    before: Option<&ContactPolicy>,
    id: ContactPolicyId,
    draft: PolicyDraft,
) -> Result<Decision<ContactPolicy>, Refusal> {
    if draft.caps.len() > MOST_CAPS {
        return Err(Refusal::TooManyCaps);
    }
    let mut seen = BTreeSet::new();
    for cap in &draft.caps {
        if !(1..=MOST_EMAILS).contains(&cap.most) {
            return Err(Refusal::Most { given: cap.most });
        }
        if !(1..=MOST_HOURS).contains(&cap.hours) {
            return Err(Refusal::Window { given: cap.hours });
        }
        if !seen.insert((cap.scope, cap.hours)) {
            return Err(Refusal::Twice { scope: cap.scope, hours: cap.hours });
        }
    }
    let (id, version) = before.map_or((id, 0), |before| (before.id, before.version));
    let mut next = ContactPolicy { id, version, caps: draft.caps };
    let changed = before != Some(&next);
    if changed {
        next.version = version.saturating_add(1);
    }
    let fact = Fact::audit("contact_policy.saved", id)
        .with("version", next.version)
        .with("caps", &next.caps)
        .with("before", before.map(|before| &before.caps))
        .with("changed", changed);
    Ok(Decision::new(next, fact))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cap(scope: CapScope, most: u32, hours: u32) -> FrequencyCap {
        FrequencyCap { scope, most, hours }
    }

    fn saved(caps: &[FrequencyCap]) -> Result<ContactPolicy, &'static str> {
        let draft = PolicyDraft { caps: caps.to_vec() };
        save(None, ContactPolicyId(uuid::Uuid::from_u128(1)), draft).map(|done| done.next).map_err(|no| no.code())
    }

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    #[test]
    fn a_policy_has_sensible_caps_each_once() {
        let day = cap(CapScope::Person, 1, 24);
        assert_eq!(saved(&[day, day]), Err("CONTACT_POLICY_CAP_TWICE"));
        assert_eq!(saved(&[cap(CapScope::Person, 0, 24)]), Err("CONTACT_POLICY_MOST_INVALID"));
        assert_eq!(saved(&[cap(CapScope::Account, 1, MOST_HOURS + 1)]), Err("CONTACT_POLICY_WINDOW_INVALID"));
        assert_eq!(saved(&vec![day; MOST_CAPS + 1]), Err("CONTACT_POLICY_TOO_MANY_CAPS"));
        let policy = saved(&[day, cap(CapScope::Person, 3, 168), cap(CapScope::Account, 10, 168)]).unwrap();
        assert_eq!(policy.reach(CapScope::Person), Some(Reach { most: 3, window: TimeDelta::hours(168) }));
        let same = save(Some(&policy), policy.id, PolicyDraft { caps: policy.caps.clone() }).unwrap().next;
        assert_eq!(same.version, 1, "only a change makes a version");
        let none = save(Some(&policy), policy.id, PolicyDraft { caps: Vec::new() }).unwrap().next;
        assert_eq!((none.version, none.reach(CapScope::Person)), (2, None));
    }

    #[test]
    fn the_cap_that_opens_last_decides_and_is_named() {
        let policy = saved(&[cap(CapScope::Person, 1, 24), cap(CapScope::Account, 2, 168)]).unwrap();
        let counted = Counted { person: vec![at(10)], account: vec![at(12), at(10)] };
        let held = policy.holds(&counted, at(20)).unwrap();
        assert_eq!((held.until, held.rule().as_str()), (at(178), "contact_policy@1: 2 in 7d an account"));
        let held = policy.holds(&Counted { account: Vec::new(), ..counted.clone() }, at(20)).unwrap();
        assert_eq!(held.until, at(34));
        assert_eq!(policy.holds(&counted, at(178)), None);
    }
}
