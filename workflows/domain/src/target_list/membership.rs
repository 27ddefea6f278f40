//! One account's membership of one list, and its emergency suspension.

use super::{
    ChangeReason, EntryChange, EntryChangeKind, Keys, Outcome, Party, RULE, Refusal, TargetAccountList, next_version,
};
use crate::codes;
use crate::decision::{Decision, Fact, Job};
use crate::id::{AccountId, ChangeRequestId, ListId, ListVersionId, MembershipId};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

codes! {
    /// Where a membership stands.
    pub enum MembershipState("membership state") {
        /// Asked for; nobody's key has been turned.
        Proposed = "PROPOSED",
        /// One side agreed.
        PartiallyApproved = "PARTIALLY_APPROVED",
        /// Both sides agreed: the account is worked on.
        Active = "ACTIVE",
        /// Listed, but nothing is done with it.
        Suspended = "SUSPENDED",
        /// Listed and worked on; its removal is asked for.
        RemovalProposed = "REMOVAL_PROPOSED",
        /// Both sides agreed that it leaves. Final.
        Removed = "REMOVED",
        /// One side said no. Final.
        Rejected = "REJECTED",
        /// The proposer took the proposal back. Final.
        Withdrawn = "WITHDRAWN",
        /// The sides did not agree in time. Final.
        Expired = "EXPIRED",
    }
}

impl MembershipState {
    /// Whether the membership can still change: at most one such per list and account.
    pub const fn live(self) -> bool {
        matches!(
            self,
            Self::Proposed | Self::PartiallyApproved | Self::Active | Self::Suspended | Self::RemovalProposed
        )
    }

    /// Whether the account is on the list.
    pub const fn listed(self) -> bool {
        matches!(self, Self::Active | Self::Suspended | Self::RemovalProposed)
    }
}

/// Why and until when nothing is done with an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspension {
    /// Why.
    pub reason: ChangeReason,
    /// In the words of whoever suspended it; may be empty.
    pub note: String,
    /// The keys turned for it: one suspends, both make it permanent.
    pub keys: Keys,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it ends by itself; none once it is permanent.
    pub until: Option<DateTime<Utc>>,
    /// The keys turned for ending a permanent one.
    pub ending: Keys,
}

/// What an emergency suspension is asked for with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emergency {
    /// Why.
    pub reason: ChangeReason,
    /// In words, at most 2,000 characters; may be empty.
    pub note: String,
    /// When it shall end by itself; by default as late as the list permits.
    pub until: Option<DateTime<Utc>>,
}

/// One candidacy of one account for one list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListMembership {
    /// Its id.
    pub id: MembershipId,
    /// The list.
    pub list: ListId,
    /// The account.
    pub account: AccountId,
    /// The code of the customer tier; until both sides agreed, the one asked for.
    pub tier: String,
    /// Where it stands.
    pub state: MembershipState,
    /// Counts the changes of state, tier and suspension, from 1.
    pub revision: u32,
    /// The keys that put it where it is: those of the latest agreed addition or change of tier.
    pub keys: Keys,
    /// The suspension, while it is suspended.
    pub suspension: Option<Suspension>,
    /// The open change request about it.
    pub request: Option<ChangeRequestId>,
    /// When both sides first agreed.
    pub active_since: Option<DateTime<Utc>>,
    /// When it was first proposed.
    pub created_at: DateTime<Utc>,
}

impl ListMembership {
    pub(super) fn change(&self, kind: EntryChangeKind, request: Option<ChangeRequestId>) -> EntryChange {
        EntryChange { account: self.account, membership: self.id, kind, tier: self.tier.clone(), request }
    }

    fn suspended(&self) -> Result<&Suspension, Refusal> {
        match (&self.suspension, self.state) {
            (Some(suspension), MembershipState::Suspended) => Ok(suspension),
            (_, state) => Err(Refusal::NotSuspended { account: self.account, state }),
        }
    }

    fn check_revision(&self, seen: u32) -> Result<(), Refusal> {
        if seen == self.revision { Ok(()) } else { Err(Refusal::StaleRevision { seen, current: self.revision }) }
    }
}

fn outcome(
    mut list: TargetAccountList,
    membership: ListMembership,
    kind: EntryChangeKind,
    version: ListVersionId,
    by: Option<Party>,
    fact: Fact,
    now: DateTime<Utc>,
) -> Decision<Outcome> {
    let made = next_version(&mut list, version, by, vec![membership.change(kind, None)], now);
    let (version, made) = made.unzip();
    let next = Outcome { list, requests: Vec::new(), memberships: vec![membership], version };
    made.into_iter().fold(Decision::new(next, fact), Decision::record)
}

/// Suspends an active account in an emergency: one key is enough, and it ends by itself. `version` is the id for the version that this makes.
pub fn suspend(
    list: TargetAccountList,
    membership: ListMembership,
    emergency: Emergency,
    version: ListVersionId,
    by: Party,
    now: DateTime<Utc>,
) -> Result<Decision<Outcome>, Refusal> {
    let account = membership.account;
    let Emergency { reason, note, until } = emergency;
    let keys = Keys::default().turn(by, now)?;
    match membership.state {
        MembershipState::Active => {}
        MembershipState::Suspended => return Err(Refusal::Suspended { account }),
        state => return Err(Refusal::NotActive { account, state }),
    }
    if note.chars().count() > 2_000 {
        return Err(Refusal::TooLong { field: "note" });
    }
    let latest = now + TimeDelta::hours(list.suspension_hours.into());
    // Timers are kept to the millisecond: a finer end would still be ahead when its one timer comes.
    let until = until.unwrap_or(latest).trunc_subsecs(3);
    if until <= now || until > latest {
        return Err(Refusal::BadSuspensionEnd { hours: list.suspension_hours });
    }
    let revision = membership.revision + 1;
    let fact = Fact::ledger("list.account_suspended", membership.id)
        .account(account)
        .moved(membership.state, MembershipState::Suspended)
        .because(reason)
        .under(RULE)
        .with("list", list.id)
        .with("side", by.side)
        .with("until", until)
        .with("note", &note);
    let suspension = Suspension { reason, note, keys, since: now, until: Some(until), ending: Keys::default() };
    let membership =
        ListMembership { state: MembershipState::Suspended, revision, suspension: Some(suspension), ..membership };
    let job = Job::EndSuspension { list: list.id, account, revision };
    Ok(outcome(list, membership, EntryChangeKind::Suspended, version, Some(by), fact, now).plan(job, until))
}

/// Turns the second key of a suspension: it no longer ends by itself. The list's entries stay as they are, so
/// that no version is made. `seen` is the membership's revision that the caller read.
pub fn make_permanent(
    list: TargetAccountList,
    membership: ListMembership,
    seen: u32,
    by: Party,
    now: DateTime<Utc>,
) -> Result<Decision<Outcome>, Refusal> {
    let account = membership.account;
    by.key()?;
    let suspension = membership.suspended()?;
    let Some(until) = suspension.until else { return Err(Refusal::AlreadyPermanent { account }) };
    // The timer may be late; the end it was planned for holds all the same.
    if until <= now {
        return Err(Refusal::SuspensionOver { account, at: until });
    }
    membership.check_revision(seen)?;
    let keys = suspension.keys.turn(by, now)?;
    let fact = Fact::ledger("list.suspension_made_permanent", membership.id)
        .account(account)
        .because(suspension.reason)
        .under(RULE)
        .with("list", list.id)
        .with("side", by.side);
    let suspension = Suspension { keys, until: None, ..suspension.clone() };
    // The new revision makes the timer of the temporary suspension stale.
    let membership = ListMembership { revision: membership.revision + 1, suspension: Some(suspension), ..membership };
    let next = Outcome { list, requests: Vec::new(), memberships: vec![membership], version: None };
    Ok(Decision::new(next, fact))
}

/// Ends a suspension early. One key ends a temporary suspension; what two keys made permanent only two can end:
/// the first `restore` turns one, the second brings the account back.
pub fn restore(
    list: TargetAccountList,
    membership: ListMembership,
    seen: u32,
    version: ListVersionId,
    by: Party,
    now: DateTime<Utc>,
) -> Result<Decision<Outcome>, Refusal> {
    by.key()?;
    let suspension = membership.suspended()?;
    membership.check_revision(seen)?;
    let ending = suspension.ending.turn(by, now)?;
    if suspension.until.is_none() && !ending.agreed() {
        let fact = Fact::ledger("list.restore_approved", membership.id)
            .account(membership.account)
            .under(RULE)
            .with("list", list.id)
            .with("side", by.side);
        let suspension = Suspension { ending, ..suspension.clone() };
        let membership = ListMembership { suspension: Some(suspension), ..membership };
        let next = Outcome { list, requests: Vec::new(), memberships: vec![membership], version: None };
        return Ok(Decision::new(next, fact));
    }
    Ok(restored(list, membership, version, Some(by), now))
}

/// Ends an emergency suspension whose time has run out; `planned` is the revision the timer was set for.
pub fn end_suspension(
    list: TargetAccountList,
    membership: ListMembership,
    planned: u32,
    version: ListVersionId,
    now: DateTime<Utc>,
) -> Result<Decision<Outcome>, Refusal> {
    let suspension = membership.suspended()?;
    let Some(until) = suspension.until else {
        return Err(Refusal::AlreadyPermanent { account: membership.account });
    };
    membership.check_revision(planned)?;
    if until > now {
        return Err(Refusal::NotDue { at: until });
    }
    Ok(restored(list, membership, version, None, now))
}

fn restored(
    list: TargetAccountList,
    membership: ListMembership,
    version: ListVersionId,
    by: Option<Party>,
    now: DateTime<Utc>,
) -> Decision<Outcome> {
    let kind = if by.is_some() { "list.account_restored" } else { "list.suspension_ended" };
    let fact = Fact::ledger(kind, membership.id)
        .account(membership.account)
        .moved(membership.state, MembershipState::Active)
        .under(RULE)
        .with("list", list.id)
        .with("side", by.and_then(|party| party.side));
    let revision = membership.revision + 1;
    let membership = ListMembership { state: MembershipState::Active, revision, suspension: None, ..membership };
    outcome(list, membership, EntryChangeKind::Restored, version, by, fact, now)
}
