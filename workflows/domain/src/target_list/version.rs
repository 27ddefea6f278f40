//! The versions of a list: what was agreed, and when. Nothing here is ever changed.

use crate::codes;
use crate::id::{AccountId, ChangeRequestId, ListId, ListVersionId, MembershipId, UserId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

codes! {
    /// What a version did to one account.
    pub enum EntryChangeKind("list entry change") {
        /// It came onto the list.
        Added = "ADDED",
        /// It left the list.
        Removed = "REMOVED",
        /// It moved to another tier.
        Retiered = "RETIERED",
        /// It stays on the list, but nothing is done with it.
        Suspended = "SUSPENDED",
        /// It is worked on again.
        Restored = "RESTORED",
    }
}

codes! {
    /// Whether a listed account is worked on.
    pub enum Standing("list standing") {
        /// It is worked on.
        Active = "ACTIVE",
        /// It is listed, but nothing is done with it.
        Suspended = "SUSPENDED",
    }
}

/// What one version did to one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryChange {
    /// The account.
    pub account: AccountId,
    /// Its membership.
    pub membership: MembershipId,
    /// What was done.
    pub kind: EntryChangeKind,
    /// The account's tier after the change; for a removal the one it had.
    pub tier: String,
    /// The request that asked for it; none for suspensions and their ends.
    pub request: Option<ChangeRequestId>,
}

/// One agreed state of a list, as the changes from the state before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListVersion {
    /// Its id.
    pub id: ListVersionId,
    /// The list.
    pub list: ListId,
    /// Its number: 1, 2, 3, ... without gaps.
    pub number: u32,
    /// When it was made; never before the version under it.
    pub at: DateTime<Utc>,
    /// Who turned the last key; none where a timer made it.
    pub by: Option<UserId>,
    /// What changed; at most one change per account.
    pub changes: Vec<EntryChange>,
}

/// One account on a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The account.
    pub account: AccountId,
    /// Its membership.
    pub membership: MembershipId,
    /// Its tier.
    pub tier: String,
    /// Whether it is worked on.
    pub standing: Standing,
}

/// The accounts on a list at one moment, by id.
pub type Entries = BTreeMap<AccountId, Entry>;

/// An account that moved to another tier between two versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retiered {
    /// The tier in the earlier version.
    pub from: String,
    /// The account as it is in the later one.
    pub entry: Entry,
}

/// What separates two versions, each in the order of account ids.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ListDiff {
    /// On the list in the later one alone.
    pub added: Vec<Entry>,
    /// On the list in the earlier one alone.
    pub removed: Vec<Entry>,
    /// In both, with another tier.
    pub retiered: Vec<Retiered>,
    /// In both, suspended only in the later one.
    pub suspended: Vec<Entry>,
    /// In both, suspended only in the earlier one.
    pub restored: Vec<Entry>,
}

/// An account after a change; none where it left the list.
fn after(change: &EntryChange, before: Option<&Entry>) -> Option<Entry> {
    let standing = match change.kind {
        EntryChangeKind::Removed => return None,
        EntryChangeKind::Suspended => Standing::Suspended,
        EntryChangeKind::Added | EntryChangeKind::Restored => Standing::Active,
        EntryChangeKind::Retiered => before.map_or(Standing::Active, |entry| entry.standing),
    };
    Some(Entry { account: change.account, membership: change.membership, tier: change.tier.clone(), standing })
}

/// The accounts on the list after `versions`, which are given in the order of their numbers, from the first.
pub fn fold<'a>(versions: impl IntoIterator<Item = &'a ListVersion>) -> Entries {
    let mut entries = Entries::new();
    for change in versions.into_iter().flat_map(|version| &version.changes) {
        match after(change, entries.get(&change.account)) {
            Some(entry) => entries.insert(change.account, entry),
            None => entries.remove(&change.account),
        };
    }
    entries
}

/// Every state that a list has had, folded once: each of them can be read without folding again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// The moments of the versions, from the first.
    moments: Vec<DateTime<Utc>>,
    /// What became of each account, by the number of the version that did it; none where it left.
    accounts: BTreeMap<AccountId, Vec<(u32, Option<Entry>)>>,
}

impl History {
    /// The history that all versions of a list make, which are given in the order of their numbers, from the first.
    pub fn of<'a>(versions: impl IntoIterator<Item = &'a ListVersion>) -> Self {
        let mut history = Self::default();
        for version in versions {
            history.moments.push(version.at);
            for change in &version.changes {
                let past = history.accounts.entry(change.account).or_default();
                let entry = after(change, past.last().and_then(|(_, entry)| entry.as_ref()));
                past.push((version.number, entry));
            }
        }
        history
    }

    /// The number of the version that counts at a moment; 0 before the first.
    pub fn number_at(&self, at: DateTime<Utc>) -> u32 {
        u32::try_from(self.moments.partition_point(|moment| *moment <= at)).unwrap_or(u32::MAX)
    }

    /// The accounts on the list in the version of this number, in the order of their ids.
    pub fn entries(&self, number: u32) -> impl Iterator<Item = &Entry> {
        self.accounts.values().filter_map(move |past| {
            let known = past.partition_point(|(version, _)| *version <= number);
            past.get(known.checked_sub(1)?)?.1.as_ref()
        })
    }
}

/// The accounts on the list at the moment `at`: a version counts from its own moment on.
pub fn as_of<'a>(versions: impl IntoIterator<Item = &'a ListVersion>, at: DateTime<Utc>) -> Entries {
    fold(versions.into_iter().filter(|version| version.at <= at))
}

/// What separates `from` and `to`.
pub fn diff(from: &Entries, to: &Entries) -> ListDiff {
    let mut diff = ListDiff::default();
    for (account, after) in to {
        let Some(before) = from.get(account) else {
            diff.added.push(after.clone());
            continue;
        };
        if before.tier != after.tier {
            diff.retiered.push(Retiered { from: before.tier.clone(), entry: after.clone() });
        }
        match (before.standing, after.standing) {
            (Standing::Active, Standing::Suspended) => diff.suspended.push(after.clone()),
            (Standing::Suspended, Standing::Active) => diff.restored.push(after.clone()),
            _ => {}
        }
    }
    diff.removed =
        from.iter().filter(|(account, _)| !to.contains_key(account)).map(|(_, entry)| entry.clone()).collect();
    diff
}
